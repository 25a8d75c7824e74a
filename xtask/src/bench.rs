//! `cargo xtask bench`: the VMM beside QEMU 10, same kernel, same root file system, in turn.
//!
//! Four groups: the processor time from start to the first line of `/init`; what an idle guest at its
//! prompt costs in time and memory; code that runs once; and the programs of `guest/bench` inside the guest. Rounds alternate
//! between the machines, so that a slow minute of the host hits all of them; a ratio is formed within a
//! round, and its median, least and greatest value over the rounds are told. Figures are the host's; only
//! ratios hold elsewhere.
//!
//! A backend that this host cannot run, a machine that fails, and a QEMU that is not to be had are told and left out;
//! without QEMU the first backend is what the others are compared with. The results are printed and written as JSON and
//! as a page with plots.

mod facts;
mod guest;
mod page;
mod readme;
mod straight;
mod table;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::Args;

use crate::cache::Cache;
use crate::progress::{self, Task};
use crate::{KernelSource, SetupArgs, boot, images, packages, qemu, run, workspace};
use facts::Setting;
use guest::Guest;
use table::Results;

/// The line that `/init` prints before anything else.
const FIRST_LINE: &str = "init: first line";
/// The prompt of the guest's shell.
const PROMPT: &str = "/ # ";
/// Longest time to a prompt on any machine worth measuring.
const BOOT_LIMIT: Duration = Duration::from_secs(120);
/// Longest time of all programs of `guest/bench`.
const BENCH_LIMIT: Duration = Duration::from_secs(1200);
/// How long an idle guest is watched.
const IDLE_SPAN: Duration = Duration::from_secs(5);

/// Options of `cargo xtask bench`.
#[derive(Args, Debug)]
pub(crate) struct BenchArgs {
    #[command(flatten)]
    setup: SetupArgs,
    /// Engines to measure beside QEMU; those that cannot run here are left out
    #[arg(long, value_name = "ID", value_delimiter = ',', default_value = "jit,interp,unicorn,kvm")]
    backend: Vec<String>,
    /// Measure without QEMU
    #[arg(long)]
    no_qemu: bool,
    /// Rounds of each measurement
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=50))]
    rounds: u32,
    /// Groups to measure
    #[arg(long, value_delimiter = ',', default_value = "boot,idle,once,guest")]
    group: Vec<Group>,
    /// Figures of guest/bench to run (all when empty): null-syscall,tlb-miss,...
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    figure: Vec<String>,
    /// Guest memory
    #[arg(long, default_value = "128")]
    megabytes: u32,
    /// Measure this build of the VMM, with the plugins beside it, instead of building one
    #[arg(long, value_name = "FILE")]
    vmm: Option<PathBuf>,
    /// Write the results as JSON here instead of target/bench/results.json
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write the page with plots here instead of target/bench/results.html
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Put the table into this Markdown file, between the lines that mark its place
    #[arg(long, value_name = "FILE")]
    readme: Option<PathBuf>,
}

/// What can be measured.
#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
enum Group {
    /// Processor time from start to the first line of /init
    Boot,
    /// Processor time and memory of a guest that waits at its prompt
    Idle,
    /// Processor time of an instruction that is executed for the first and only time
    Once,
    /// The programs of guest/bench
    Guest,
}

/// A machine under test: a name and how to start it.
struct Machine {
    name: String,
    program: PathBuf,
    arguments: Vec<String>,
}

impl Machine {
    fn qemu(program: PathBuf, megabytes: u32, [kernel, initrd]: &[String; 2]) -> Self {
        let memory = megabytes.to_string();
        // Without a card, because the default one wants a ROM file that Debian ships elsewhere.
        let fixed = ["-M", "bamboo", "-nographic", "-nic", "none", "-no-reboot", "-m", &memory];
        let arguments = [&fixed[..], &["-kernel", kernel, "-initrd", initrd]].concat();
        let arguments = arguments.into_iter().map(str::to_owned).collect();
        Self { name: QEMU.to_owned(), program, arguments }
    }

    fn vmm(program: PathBuf, backend: &str, megabytes: u32, [kernel, initrd]: &[String; 2]) -> Self {
        let memory = format!("{megabytes}M");
        let fixed = ["run", "--board", "bamboo", "--on-reset", "exit", "--backend", backend];
        let arguments = [&fixed[..], &["--memory", &memory, "--kernel", kernel, "--initrd", initrd]].concat();
        let arguments = arguments.into_iter().map(str::to_owned).collect();
        Self { name: backend.to_owned(), program, arguments }
    }

    /// Starts it with extra words on the kernel's command line.
    fn start(&self, words: &str) -> Result<Guest> {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).arg(if self.name == QEMU { "-append" } else { "--append" });
        command.arg(format!("{} {words}", boot::APPEND).trim());
        Guest::start(command)
    }

    /// Starts it with another kernel and no root file system.
    fn start_bare(&self, image: &Path) -> Result<Guest> {
        let kernel = self.arguments.iter().position(|word| word.ends_with("-kernel"));
        let kernel = kernel.context("A machine without a kernel")?;
        let mut command = Command::new(&self.program);
        command.args(&self.arguments[..=kernel]).arg(image);
        Guest::start(command)
    }
}

/// Name of the peer in the results.
const QEMU: &str = "qemu";

/// Measures, prints a table, writes files.
pub(crate) fn bench(args: &BenchArgs) -> Result<ExitCode> {
    let cache = Cache::open()?;
    packages::require(&[packages::GUEST, packages::SOURCES], &args.setup)?;
    let images = images::boot(&cache, &args.setup, &KernelSource::default())?;
    let vmm = match &args.vmm {
        Some(program) => program.clone(),
        None => {
            packages::require(&[packages::WORKSPACE], &args.setup)?;
            boot::build_vmm()?
        }
    };
    let files = [images.kernel.file("vmlinux"), images.initrd].map(|path| path.display().to_string());
    let mut setting = Setting { megabytes: args.megabytes, rounds: args.rounds, ..Setting::look() };
    let mut troubles = Vec::new();
    let mut trouble = |what: String| {
        progress::line(&format!("skip {what}"));
        troubles.push(what);
    };
    let mut machines = Vec::new();
    if !args.no_qemu {
        match qemu::ensure(&cache, &args.setup) {
            Ok(peer) => {
                let version = run::output(run::tool("sh").arg(&peer.program).arg("--version"))?;
                version.lines().next().unwrap_or_default().clone_into(&mut setting.peer);
                machines.push(Machine::qemu(peer.program, args.megabytes, &files));
            }
            Err(error) => trouble(format!("qemu: {error:#}")),
        }
    }
    for backend in &args.backend {
        match usable(&vmm, backend) {
            Ok(()) => machines.push(Machine::vmm(vmm.clone(), backend, args.megabytes, &files)),
            Err(error) => trouble(format!("{backend}: {error:#}")),
        }
    }
    let peer = machines.first().context("There is no machine to measure: no QEMU, no backend")?.name.clone();
    let mut results = Results::new(machines.iter().map(|machine| machine.name.clone()).collect(), &peer);
    measure(args, &machines, &mut results, &mut trouble);
    setting.load[1] = facts::load();
    progress::finish();
    print!("{}", results.table());
    write(args, &results, &setting, &troubles)?;
    Ok(if troubles.iter().any(|what| what.contains(FAILED)) { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// What a trouble says that is more than something missing.
const FAILED: &str = " failed: ";

/// All rounds. A machine that fails in a group is not asked for that group again, so that the rounds of those that are
/// left stay beside each other.
fn measure(args: &BenchArgs, machines: &[Machine], results: &mut Results, trouble: &mut impl FnMut(String)) {
    let task = Task::new("bench");
    let lines = workspace::target_dir().and_then(|target| straight::Images::write(&target.join("bench")));
    let mut given_up = Vec::new();
    for round in 1..=args.rounds {
        for machine in machines {
            for group in &args.group {
                if given_up.contains(&(&machine.name, *group)) {
                    continue;
                }
                let what = format!("{group:?}").to_lowercase();
                task.set(&format!("round {round} of {}: {} {what}", args.rounds, machine.name));
                let done = match group {
                    Group::Boot => measure_boot(machine, results),
                    Group::Idle => measure_idle(machine, args.megabytes, results),
                    Group::Once => match &lines {
                        Ok(lines) => lines.measure(machine, results),
                        Err(error) => Err(anyhow::anyhow!("{error:#}")),
                    },
                    Group::Guest => measure_guest(machine, &args.figure, results),
                };
                if let Err(error) = done {
                    trouble(format!("{} {what} in round {round}{FAILED}{error:#}", machine.name));
                    given_up.push((&machine.name, *group));
                }
            }
        }
    }
}

/// Whether the program can run a backend here; if not, why.
fn usable(vmm: &Path, backend: &str) -> Result<()> {
    let listed = run::output(Command::new(vmm).arg("backends"))?;
    let mut lines = listed.lines().skip_while(|line| line.split_whitespace().next() != Some(backend));
    ensure!(lines.next().is_some(), "{} has no such backend", vmm.display());
    let verdict = lines.take_while(|line| line.starts_with(' ')).map(str::trim);
    let verdict = verdict.filter(|line| line.contains("usable here")).last().unwrap_or_default();
    ensure!(verdict.starts_with("usable here"), "{verdict}");
    Ok(())
}

/// Writes the files.
fn write(args: &BenchArgs, results: &Results, setting: &Setting, troubles: &[String]) -> Result<()> {
    let folder = workspace::target_dir()?.join("bench");
    let path = |given: &Option<PathBuf>, name: &str| given.clone().unwrap_or_else(|| folder.join(name));
    if args.json.is_none() || args.html.is_none() {
        fs::create_dir_all(&folder).with_context(|| format!("Cannot make {}", folder.display()))?;
    }
    let json = serde_json::json!({ "setting": setting, "results": results.json(), "troubles": troubles });
    let json = serde_json::to_string_pretty(&json).context("Cannot write JSON")? + "\n";
    for (path, text) in [
        (path(&args.json, "results.json"), json),
        (path(&args.html, "results.html"), page::page(results, setting, troubles)),
    ] {
        fs::write(&path, text).with_context(|| format!("Cannot write {}", path.display()))?;
        println!("{}", path.display());
    }
    if let Some(path) = &args.readme {
        readme::update(path, results, setting)?;
    }
    Ok(())
}

fn measure_boot(machine: &Machine, results: &mut Results) -> Result<()> {
    let mut guest = machine.start("")?;
    guest.wait_for(FIRST_LINE, BOOT_LIMIT)?;
    results.add(&machine.name, "boot-cpu", "s", guest.cpu_time()?.as_secs_f64());
    results.add(&machine.name, "boot-wall", "s", guest.age().as_secs_f64());
    guest.kill()
}

fn measure_idle(machine: &Machine, megabytes: u32, results: &mut Results) -> Result<()> {
    let mut guest = machine.start("")?;
    guest.wait_for(PROMPT, BOOT_LIMIT)?;
    // What the shell's start still does is no idling.
    std::thread::sleep(Duration::from_secs(1));
    let before = guest.cpu_time()?;
    std::thread::sleep(IDLE_SPAN);
    let spent = guest.cpu_time()? - before;
    results.add(&machine.name, "idle-cpu", "%", 100.0 * spent.as_secs_f64() / IDLE_SPAN.as_secs_f64());
    let memory = guest.memory(u64::from(megabytes) << 20)?;
    let mebibytes = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    results.add(&machine.name, "memory-peak", "MiB", mebibytes(memory.peak));
    if let Some(touched) = memory.guest_pages {
        results.add(
            &machine.name,
            "memory-beyond-guest",
            "MiB",
            mebibytes(memory.peak.saturating_sub(touched)),
        );
    }
    guest.kill()
}

fn measure_guest(machine: &Machine, figures: &[String], results: &mut Results) -> Result<()> {
    let words = if figures.is_empty() {
        "vmmtest=bench".to_owned()
    } else {
        format!("vmmtest=bench vmmargs={}", figures.join(","))
    };
    let mut guest = machine.start(&words)?;
    let console = guest.wait_for("vmmtest: bench: exit ", BENCH_LIMIT)?;
    let mut found = 0;
    for (name, value, unit) in console.lines().filter_map(guest::figure) {
        results.add(&machine.name, name, unit, value);
        found += 1;
    }
    guest.kill()?;
    ensure!(found > 0, "The guest on {} printed no figures; its console:\n{console}", machine.name);
    Ok(())
}
