//! The command line: what it accepts, and what its help teaches.

use std::path::PathBuf;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{Args, CommandFactory as _, Parser, Subcommand, ValueEnum};
use regex::Regex;
use vmm_plugin::api::PolicyKind;

const EXAMPLES: &str = "\
Examples:
  Boot a kernel with an initial RAM disk; the console is this terminal (Ctrl-A x leaves, Ctrl-A h helps):
    vmm run --kernel vmlinux --initrd initramfs.cpio.gz --append 'console=ttyS0'
  The same in a script that wants a verdict:
    vmm run --kernel vmlinux --initrd test.cpio.gz --on-reset exit --timeout 60 --exit-when 'TEST OK=0' </dev/null
  See what this machine can run:
    vmm backends
    vmm boards
    vmm selftest";

/// Boots unmodified PowerPC 440 systems on a backend and a board chosen at run time.
#[derive(Debug, Parser)]
#[command(name = "vmm", version, after_help = EXAMPLES, max_term_width = 110)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// Plugin file or folder, looked at before the search path; may be repeated.
    #[arg(long, global = true, value_name = "PATH")]
    pub plugin: Vec<PathBuf>,
    /// Log filter such as `info` or `warn,devices_4xx=debug`; VMM_LOG gives the default.
    #[arg(long, global = true, value_name = "FILTER", env = "VMM_LOG", default_value = "warn")]
    pub log: tracing_subscriber::filter::Targets,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Boot a guest.
    Run(Box<Run>),
    /// List the backends: version, licence, whether this host can run them and why not.
    Backends,
    /// List the boards.
    Boards,
    /// Check every usable backend with the microkernels that this program carries.
    Selftest(Selftest),
}

/// Options of `vmm selftest`.
#[derive(Debug, Args)]
pub struct Selftest {
    /// Board to run on.
    #[arg(long, default_value = "bamboo", value_name = "NAME")]
    pub board: String,
    /// Backend to check instead of all; may be repeated.
    #[arg(long, value_name = "NAME")]
    pub backend: Vec<String>,
    /// Microkernel to run instead of all; may be repeated.
    #[arg(long, value_name = "NAME")]
    pub only: Vec<String>,
}

const RUN_HELP: &str = "\
Serial ports:
  stdio        this terminal, or the program's standard input and output
  pty          a new pseudo terminal, whose name is printed
  file:PATH    output into a file, no input
  unix:PATH    a listening Unix socket, one client at a time
  tcp:HOST:PORT  a listening TCP socket, one client at a time
  null         nothing

Traces:
  tlb:FILE     what the guest does to its TLB, for mmu-core's policy-lab (interp; the guest runs slower)
  blocks:FILE  each block of guest code as it is translated and dropped, a line each (jit)

Keys on a terminal: Ctrl-A x leave, Ctrl-A c monitor, Ctrl-A h help, Ctrl-A Ctrl-A sends Ctrl-A.

Exit codes:
  0    the guest halted, or reset with --on-reset exit, or Ctrl-A x
  1    the program could not go on (its message says why)
  2    wrong usage
  3    the guest cannot go on: an exception vector faults on itself
  4    \"Kernel panic\" on a console (with --on-panic exit)
  124  --timeout
  130  Ctrl-C while standard input is no terminal (143: SIGTERM)
  CODE of the first --exit-when that matched";

/// Options of `vmm run`.
#[derive(Debug, Args)]
#[command(after_help = RUN_HELP)]
pub struct Run {
    /// Board to build; `vmm boards` lists them.
    #[arg(long, default_value = "bamboo", value_name = "NAME")]
    pub board: String,
    /// Engine that executes the guest; `auto` takes the usable one of highest rank.
    #[arg(long, default_value = "auto", value_name = "NAME")]
    pub backend: String,
    /// Take only a backend that walls the guest's engine in: one that breaks it holds nothing of this program.
    #[arg(long)]
    pub sandbox: bool,
    /// Kernel: ELF vmlinux, uImage, cuImage, treeImage (recognised), or raw with --load-address.
    #[arg(long, value_name = "FILE")]
    pub kernel: PathBuf,
    /// Initial RAM disk.
    #[arg(long, value_name = "FILE")]
    pub initrd: Option<PathBuf>,
    /// Kernel command line.
    #[arg(long, value_name = "STR")]
    pub append: Option<String>,
    /// Flattened device tree that describes the machine; default: the board's own.
    #[arg(long, value_name = "FILE")]
    pub dtb: Option<PathBuf>,
    /// RAM size such as 128M or 1G; default: what the device tree says, else the board's.
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub memory: Option<u64>,
    /// Physical address of a raw kernel, for example 0x400000.
    #[arg(long, value_name = "ADDRESS", value_parser = address)]
    pub load_address: Option<u64>,
    /// Board strap, see the board's documentation; may be repeated.
    #[arg(long, value_name = "NAME=VALUE", value_parser = strap)]
    pub strap: Vec<(String, String)>,
    /// First serial port (see below).
    #[arg(long, value_name = "WHERE", default_value = "stdio", value_parser = serial)]
    pub serial0: Serial,
    /// Second serial port.
    #[arg(long, value_name = "WHERE", default_value = "null", value_parser = serial)]
    pub serial1: Serial,
    /// Third serial port.
    #[arg(long, value_name = "WHERE", default_value = "null", value_parser = serial)]
    pub serial2: Serial,
    /// Fourth serial port.
    #[arg(long, value_name = "WHERE", default_value = "null", value_parser = serial)]
    pub serial3: Serial,
    /// How time passes: with the host's clock, or one tick for each retired instruction (repeatable runs).
    #[arg(long, value_enum, default_value_t = ClockKind::Host)]
    pub clock: ClockKind,
    /// Write what is typed into FILE, with the tick at which the guest got it; needs --clock icount.
    #[arg(long, value_name = "FILE", conflicts_with = "replay_input")]
    pub record_input: Option<PathBuf>,
    /// Type what --record-input wrote, at the same ticks: the run repeats to the byte, on any backend that has
    /// --clock icount. What is typed meanwhile is ignored, keys after Ctrl-A are not.
    #[arg(long, value_name = "FILE")]
    pub replay_input: Option<PathBuf>,
    /// Which shadow of a guest page makes room for another in a bounded pool: round-robin, sparing, clock, lru, plru or
    /// random. Without this and --shadow-size there is no pool: engines hold what the guest's TLB gives.
    #[arg(long, value_name = "NAME")]
    pub tlb_policy: Option<PolicyKind>,
    /// Keep shadows of guest pages in a pool of so many, 1 to 65535 (4096 with --tlb-policy alone).
    #[arg(long, value_name = "PAGES", value_parser = clap::value_parser!(u32).range(1..=65535))]
    pub shadow_size: Option<u32>,
    /// What a reset of the guest does.
    #[arg(long, value_enum, default_value_t = OnReset::Reboot)]
    pub on_reset: OnReset,
    /// What "Kernel panic" on a console does; default: exit unless standard input is a terminal.
    #[arg(long, value_enum)]
    pub on_panic: Option<OnPanic>,
    /// End with code 124 after this many seconds.
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub timeout: Option<Duration>,
    /// End with CODE (0-255) as soon as a console line matches, also before the line is complete; may be repeated.
    #[arg(long, value_name = "REGEX=CODE", value_parser = exit_when)]
    pub exit_when: Vec<ExitWhen>,
    /// Record what happens inside the engine (see below): tlb:FILE or blocks:FILE.
    #[arg(long, value_name = "WHAT:FILE", value_parser = trace, conflicts_with = "perf_map")]
    pub trace: Option<Trace>,
    /// Write /tmp/perf-PID.map at once and as it grows, so that `perf` names translated code by guest address.
    #[arg(long)]
    pub perf_map: bool,
    /// Print counters at the end, on standard error.
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub stats: Option<StatsFormat>,
}

/// Where a serial port goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Serial {
    /// Standard input and output.
    Stdio,
    /// A new pseudo terminal.
    Pty,
    /// Output into a file.
    File(PathBuf),
    /// A listening Unix socket.
    Unix(PathBuf),
    /// A listening TCP socket, `HOST:PORT`.
    Tcp(String),
    /// Nowhere.
    Null,
}

/// See `--trace`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trace {
    /// What the engine records.
    pub topic: &'static str,
    /// Where it goes.
    pub path: PathBuf,
}

/// See `--clock`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ClockKind {
    /// The host's monotonic clock.
    Host,
    /// One tick for each retired instruction.
    Icount,
}

/// See `--on-reset`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum OnReset {
    /// The machine is reset and the images are loaded again.
    Reboot,
    /// The program ends with code 0.
    Exit,
}

/// See `--on-panic`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum OnPanic {
    /// The program ends with code 4.
    Exit,
    /// The guest goes on.
    Ignore,
}

/// See `--stats`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum StatsFormat {
    /// One JSON object on one line.
    Json,
}

/// See `--exit-when`.
#[derive(Debug, Clone)]
pub struct ExitWhen {
    /// What to look for in a line of console output.
    pub pattern: Regex,
    /// The exit code.
    pub code: u8,
}

/// A number of bytes: decimal or 0x-hexadecimal, with K, M or G (powers of 1024).
fn size(text: &str) -> Result<u64, String> {
    let (digits, shift) = match text.char_indices().last() {
        Some((at, 'k' | 'K')) => (&text[..at], 10),
        Some((at, 'm' | 'M')) => (&text[..at], 20),
        Some((at, 'g' | 'G')) => (&text[..at], 30),
        _ => (text, 0),
    };
    let count = number(digits).ok_or("give a number with K, M or G, for example 128M")?;
    match count.checked_shl(shift).filter(|bytes| bytes >> shift == count) {
        None => Err("that is more than an address can hold".into()),
        Some(0) => Err("a machine needs some memory".into()),
        Some(bytes) if bytes % 4096 != 0 => Err("memory comes in pages of 4K".into()),
        Some(bytes) => Ok(bytes),
    }
}

fn number(digits: &str) -> Option<u64> {
    match digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
        Some(hex) => u64::from_str_radix(hex, 16).ok(),
        // `parse` would take a sign.
        None if digits.starts_with(|c: char| c.is_ascii_digit()) => digits.parse().ok(),
        None => None,
    }
}

fn address(text: &str) -> Result<u64, String> {
    number(text).filter(|pa| *pa < 1 << 36).ok_or_else(|| {
        "give a physical address of at most 36 bits, decimal or 0x-hexadecimal, for example 0x400000".into()
    })
}

fn strap(text: &str) -> Result<(String, String), String> {
    text.split_once('=')
        .filter(|(name, _)| !name.is_empty())
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .ok_or_else(|| "give NAME=VALUE".into())
}

fn serial(text: &str) -> Result<Serial, String> {
    let (kind, rest) = text.split_once(':').map_or((text, None), |(kind, rest)| (kind, Some(rest)));
    match (kind, rest) {
        ("stdio", None) => Ok(Serial::Stdio),
        ("pty", None) => Ok(Serial::Pty),
        ("null", None) => Ok(Serial::Null),
        ("file", Some(path)) if !path.is_empty() => Ok(Serial::File(path.into())),
        ("unix", Some(path)) if !path.is_empty() => Ok(Serial::Unix(path.into())),
        ("tcp", Some(place))
            if place.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok()) =>
        {
            Ok(Serial::Tcp(place.to_owned()))
        }
        ("tcp", _) => Err("give tcp:HOST:PORT, for example tcp:127.0.0.1:4440".into()),
        _ => Err("give stdio, pty, file:PATH, unix:PATH, tcp:HOST:PORT or null".into()),
    }
}

fn trace(text: &str) -> Result<Trace, String> {
    let known = ["tlb", "blocks"];
    text.split_once(':')
        .filter(|(_, path)| !path.is_empty())
        .and_then(|(what, path)| {
            let topic = known.into_iter().find(|topic| *topic == what)?;
            Some(Trace { topic, path: path.into() })
        })
        .ok_or_else(|| "give tlb:FILE or blocks:FILE".into())
}

fn seconds(text: &str) -> Result<Duration, String> {
    text.parse()
        .ok()
        .filter(|seconds: &f64| *seconds > 0.0)
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .ok_or_else(|| "give a positive number of seconds, for example 60 or 2.5".into())
}

fn exit_when(text: &str) -> Result<ExitWhen, String> {
    let (pattern, code) = text.rsplit_once('=').ok_or("give REGEX=CODE, for example 'TEST OK=0'")?;
    let code = code.parse().map_err(|_| format!("the exit code `{code}` is not a number from 0 to 255"))?;
    if pattern.is_empty() {
        return Err("the pattern is empty and would match at once".into());
    }
    let pattern = Regex::new(pattern).map_err(|error| error.to_string())?;
    Ok(ExitWhen { pattern, code })
}

impl Cli {
    /// Checks what the parser cannot: values of one option that need values of another.
    ///
    /// # Errors
    /// A usage error.
    pub fn check(&self) -> Result<(), clap::Error> {
        let Command::Run(run) = &self.command else { return Ok(()) };
        let option = match (&run.record_input, &run.replay_input) {
            _ if run.clock == ClockKind::Icount => return Ok(()),
            (Some(_), _) => "--record-input",
            (_, Some(_)) => "--replay-input",
            (None, None) => return Ok(()),
        };
        let told = format!("{option} needs --clock icount: under the host's clock no run repeats");
        Err(Self::command().error(ErrorKind::ArgumentConflict, told))
    }
}

impl Run {
    /// The four serial ports in order.
    #[must_use]
    pub fn serials(&self) -> [&Serial; 4] {
        [&self.serial0, &self.serial1, &self.serial2, &self.serial3]
    }
}
