//! `vmm selftest`: the microkernels on every usable backend, as a table.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::{Duration, Instant};

use microkernels::{Microkernel, Report};
use vmm_plugin::api::{Backend as _, BoardConfig, Refusal};
use vmm_plugin::load::{LoadedBackend, LoadedBoard};

use crate::cli::{OnReset, Selftest};
use crate::console::{Output, Sink};
use crate::control::Control;
use crate::plugins::Plugins;
use crate::vcpu::{self, Setup, Source};
use crate::verdict::Verdict;

/// A microkernel takes milliseconds; this is for engines that lose their way.
const LIMIT: Duration = Duration::from_secs(5);
/// How long an engine may take to stop after that.
const GRACE: Duration = Duration::from_secs(3);

/// Runs the tests; the exit code is 1 if any check failed.
pub(crate) fn run(options: &Selftest, mut plugins: Plugins) -> Result<ExitCode, Refusal> {
    let started = Instant::now();
    let board = plugins.board(&options.board)?;
    let backends = choose(options, &mut plugins)?;
    let kernels = kernels(&options.only)?;
    let width = kernels.iter().map(|kernel| kernel.name.len()).max().unwrap_or(0).max(11);
    print!("{:<width$}", "microkernel");
    for (id, _) in &backends {
        print!("  {id:<12}");
    }
    println!();
    let mut problems = Vec::new();
    let mut checks = 0;
    for kernel in &kernels {
        print!("{:<width$}", kernel.name);
        for (id, backend) in &backends {
            let (report, found) = check(kernel, &board, backend);
            checks += report.checks.len();
            let cell = if found.is_empty() {
                format!("{} ok", report.checks.len())
            } else {
                format!("{} wrong", found.len())
            };
            print!("  {cell:<12}");
            // A row grows while the user watches.
            let _ = std::io::stdout().flush();
            problems.extend(found.into_iter().map(|problem| format!("{} on {id}: {problem}", kernel.name)));
        }
        println!();
    }
    println!("{checks} checks in {:.1} s, {} problems", started.elapsed().as_secs_f64(), problems.len());
    for problem in &problems {
        println!("  {problem}");
    }
    Ok(ExitCode::from(u8::from(!problems.is_empty())))
}

/// The backends to check, with their names: those that were named, else all that are usable here.
fn choose(options: &Selftest, plugins: &mut Plugins) -> Result<Vec<(String, LoadedBackend)>, Refusal> {
    if !options.backend.is_empty() {
        return options.backend.iter().map(|id| Ok((id.clone(), plugins.backend(id, 0)?.0))).collect();
    }
    plugins.load_all();
    let mut usable = Vec::new();
    for backend in plugins.backends() {
        let id = backend.info().id;
        match backend.probe() {
            Ok(()) => usable.push((id, backend)),
            Err(why) => println!("Without {id}, which cannot run here: {why}"),
        }
    }
    if usable.is_empty() {
        // Says where it was looked.
        plugins.backend("auto", 0)?;
    }
    Ok(usable)
}

fn kernels(only: &[String]) -> Result<Vec<&'static Microkernel>, Refusal> {
    let unknown: BTreeSet<&str> =
        only.iter().map(String::as_str).filter(|name| microkernels::find(name).is_none()).collect();
    if let Some(name) = unknown.first() {
        let known: Vec<&str> = microkernels::all().iter().map(|kernel| kernel.name).collect();
        return Err(Refusal(format!("There is no microkernel `{name}`; there is {}", known.join(", "))));
    }
    let wanted = |kernel: &&Microkernel| only.is_empty() || only.iter().any(|name| name == kernel.name);
    Ok(microkernels::all().iter().filter(wanted).collect())
}

/// Runs one microkernel on one backend; returns what it reported and all that is wrong with that.
fn check(
    kernel: &'static Microkernel,
    board: &LoadedBoard,
    backend: &LoadedBackend,
) -> (Report, Vec<String>) {
    let console = Arc::new(Mutex::new(Vec::new()));
    let control = Arc::new(Control::new(1));
    let setup = Setup {
        board: Box::new(board.clone()),
        backend: Box::new(backend.clone()),
        board_config: BoardConfig { constraints: backend.constraints(), ..BoardConfig::default() },
        tlb: crate::tlb::TlbOptions::default(),
        trace: None,
        input: crate::input::InputOptions::default(),
        source: Source::Carried { name: format!("microkernel {}", kernel.name), kernel: kernel.image },
        on_reset: OnReset::Exit,
        output: Output::new(vec![Sink::Memory(Arc::clone(&console))], Vec::new(), false),
        control: Arc::clone(&control),
    };
    let (done, ended) = mpsc::channel();
    let spawned = std::thread::Builder::new().name("vcpu".into()).spawn(move || {
        // Nobody waits any more if this comes too late.
        let _ = done.send(vcpu::run(setup).verdict);
    });
    let verdict = match spawned {
        Err(error) => Verdict::Error(format!("Cannot start a thread: {error}")),
        Ok(_) => ended
            .recv_timeout(LIMIT)
            .or_else(|_| {
                control.stop(Verdict::Timeout(LIMIT));
                ended.recv_timeout(GRACE)
            })
            .unwrap_or(Verdict::Error("The engine does not stop".into())),
    };
    let console = console.lock().unwrap_or_else(PoisonError::into_inner);
    let report = Report::parse(&String::from_utf8_lossy(&console));
    let mut problems = report.problems(kernel, []);
    if verdict != Verdict::Reset {
        let sentence = verdict.sentence();
        problems.push(sentence.lines().next().unwrap_or_default().to_owned());
    }
    (report, problems)
}
