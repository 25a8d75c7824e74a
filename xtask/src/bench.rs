//! `cargo xtask bench`: the VMM beside QEMU 10, same kernel, same root file system, in turn.
//!
//! Three groups: the processor time from start to the first line of `/init`; what an idle guest at its
//! prompt costs in time and memory; and the programs of `guest/bench` inside the guest. Rounds alternate
//! between the machines, so that a slow minute of the host hits all of them; a ratio is formed within a
//! round, and its median, least and greatest value over the rounds are told. Figures are the host's; only
//! ratios hold elsewhere.

mod guest;
mod table;

use std::fs;
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::Args;

use crate::cache::Cache;
use crate::progress::{self, Task};
use crate::{KernelSource, SetupArgs, boot, images, packages, qemu};
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
    /// Engines to measure beside QEMU
    #[arg(long, value_name = "ID", value_delimiter = ',', default_value = "interp,unicorn")]
    backend: Vec<String>,
    /// Rounds of each measurement
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=50))]
    rounds: u32,
    /// Groups to measure
    #[arg(long, value_delimiter = ',', default_value = "boot,idle,guest")]
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
    /// Write the results as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// What can be measured.
#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
enum Group {
    /// Processor time from start to the first line of /init
    Boot,
    /// Processor time and memory of a guest that waits at its prompt
    Idle,
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
    /// Starts it with extra words on the kernel's command line.
    fn start(&self, words: &str) -> Result<Guest> {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).arg(if self.name == QEMU { "-append" } else { "--append" });
        command.arg(format!("{} {words}", boot::APPEND).trim());
        Guest::start(command)
    }
}

/// Name of the peer in the results.
const QEMU: &str = "qemu";

/// Measures and prints a table.
pub(crate) fn bench(args: &BenchArgs) -> Result<ExitCode> {
    let cache = Cache::open()?;
    packages::require(&[packages::GUEST, packages::SOURCES], &args.setup)?;
    let images = images::boot(&cache, &args.setup, &KernelSource::default())?;
    let peer = qemu::ensure(&cache, &args.setup)?;
    let vmm = match &args.vmm {
        Some(program) => program.clone(),
        None => {
            packages::require(&[packages::WORKSPACE], &args.setup)?;
            boot::build_vmm()?
        }
    };
    let kernel = images.kernel.file("vmlinux").display().to_string();
    let initrd = images.initrd.display().to_string();

    let text = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>();
    let memory = args.megabytes.to_string();
    let mut machines = vec![Machine {
        name: QEMU.to_owned(),
        program: peer.program,
        // Without a card, because the default one wants a ROM file that Debian ships elsewhere.
        arguments: text(&[
            "-M",
            "bamboo",
            "-m",
            &memory,
            "-nographic",
            "-nic",
            "none",
            "-no-reboot",
            "-kernel",
            &kernel,
            "-initrd",
            &initrd,
        ]),
    }];
    for backend in &args.backend {
        let memory = format!("{memory}M");
        machines.push(Machine {
            name: backend.clone(),
            program: vmm.clone(),
            arguments: text(&[
                "run",
                "--board",
                "bamboo",
                "--backend",
                backend,
                "--memory",
                &memory,
                "--on-reset",
                "exit",
                "--kernel",
                &kernel,
                "--initrd",
                &initrd,
            ]),
        });
    }

    let mut results = Results::new(machines.iter().map(|machine| machine.name.clone()).collect());
    let task = Task::new("bench");
    for round in 1..=args.rounds {
        for machine in &machines {
            let told =
                |what: &str| task.set(&format!("round {round} of {}: {} {what}", args.rounds, machine.name));
            if args.group.contains(&Group::Boot) {
                told("boot");
                measure_boot(machine, &mut results)?;
            }
            if args.group.contains(&Group::Idle) {
                told("idle");
                measure_idle(machine, args.megabytes, &mut results)?;
            }
            if args.group.contains(&Group::Guest) {
                told("guest programs");
                measure_guest(machine, &args.figure, &mut results)?;
            }
        }
    }
    drop(task);
    progress::finish();
    print!("{}", results.table(QEMU));
    if let Some(path) = &args.json {
        let text = serde_json::to_string_pretty(&results.json(QEMU)).context("Cannot write JSON")?;
        fs::write(path, text + "\n").with_context(|| format!("Cannot write {}", path.display()))?;
    }
    Ok(ExitCode::SUCCESS)
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
