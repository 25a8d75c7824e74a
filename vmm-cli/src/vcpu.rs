//! The vCPU's thread: builds the machine, loads the guest, runs the engine, and decides what each exit means.

use std::rc::Rc;
use std::sync::Arc;

use std::path::{Path, PathBuf};
use std::time::Instant;

use vmm_plugin::api::{
    Backend, Board, BoardConfig, Clock, CpuState, Engine, EngineConfig, Exit, Images, Refusal, ResetKind,
    attention,
};
use vmm_plugin::bus::{BusHost, serve};
use vmm_plugin::host::BoardHost;

use crate::cli::OnReset;
use crate::console::Output;
use crate::control::{Control, Request, Show};
use crate::host::{BoardSide, Calls, Host};
use crate::input::{Input, InputOptions};
use crate::tlb::TlbOptions;
use crate::trace::{self, Trace};
use crate::verdict::Verdict;

/// Instructions between two looks at what only this thread can see, when nothing else ends a run.
const BUDGET: u64 = 1 << 28;

/// What a run is made of.
pub(crate) struct Setup {
    pub(crate) board: Box<dyn Board + Send>,
    pub(crate) backend: Box<dyn Backend + Send>,
    pub(crate) board_config: BoardConfig,
    pub(crate) tlb: TlbOptions,
    pub(crate) trace: Option<trace::Wanted>,
    pub(crate) input: InputOptions,
    pub(crate) source: Source,
    pub(crate) on_reset: OnReset,
    pub(crate) output: Output,
    pub(crate) control: Arc<Control>,
}

/// Where the images come from.
#[derive(Debug, Clone)]
pub(crate) enum Source {
    /// Files, which are read anew at each boot: held in memory they would cost as much as the guest.
    Files(Files),
    /// An image that the program carries.
    Carried {
        /// For messages.
        name: String,
        /// The kernel.
        kernel: &'static [u8],
    },
}

/// The files to boot from.
#[derive(Debug, Clone)]
pub(crate) struct Files {
    pub(crate) kernel: PathBuf,
    pub(crate) initrd: Option<PathBuf>,
    pub(crate) append: Option<String>,
    pub(crate) load_address: Option<u64>,
}

/// How a run ended, and its figures.
#[derive(Debug, Clone)]
pub(crate) struct Outcome {
    pub(crate) verdict: Verdict,
    pub(crate) stats: Stats,
}

/// Figures of a run.
#[derive(Debug, Clone, Default)]
pub(crate) struct Stats {
    /// Instructions retired.
    pub(crate) retired: u64,
    /// Machine time at the end, in timebase ticks.
    pub(crate) ticks: u64,
    /// Timebase frequency in Hz.
    pub(crate) tb_hz: u32,
    /// Host time from the guest's first instruction, in seconds.
    pub(crate) seconds: f64,
    /// The engine's own counters.
    pub(crate) engine: Vec<(String, u64)>,
}

/// Reads a file; the error names it.
pub(crate) fn read_file(path: &Path) -> Result<Vec<u8>, Refusal> {
    std::fs::read(path).map_err(|error| Refusal(format!("Cannot read {}: {error}", path.display())))
}

impl Source {
    fn read(&self) -> Result<Images, Refusal> {
        let files = match self {
            Self::Files(files) => files,
            Self::Carried { name, kernel } => {
                return Ok(Images {
                    kernel: kernel.to_vec(),
                    kernel_name: name.clone(),
                    ..Images::default()
                });
            }
        };
        Ok(Images {
            kernel: read_file(&files.kernel)?,
            kernel_name: files.kernel.display().to_string(),
            initrd: files.initrd.as_deref().map(read_file).transpose()?,
            initrd_name: files.initrd.as_ref().map_or_else(String::new, |path| path.display().to_string()),
            append: files.append.clone(),
            load_address: files.load_address,
        })
    }
}

/// One machine with its engine.
struct Vcpu {
    // The engine goes before the host that it uses.
    engine: Box<dyn Engine>,
    host: Rc<Host>,
    source: Source,
    on_reset: OnReset,
    control: Arc<Control>,
    trace: Option<Trace>,
    tb_hz: u32,
    started: Instant,
}

/// Runs a guest to its end on the calling thread.
pub(crate) fn run(setup: Setup) -> Outcome {
    let failed = |refusal: Refusal| Outcome { verdict: Verdict::Error(refusal.0), stats: Stats::default() };
    match Vcpu::build(setup) {
        Ok(mut vcpu) => {
            let verdict = vcpu.run();
            vcpu.host.board.flush();
            vcpu.host.finish();
            Outcome { verdict, stats: vcpu.stats() }
        }
        Err(refusal) => failed(refusal),
    }
}

impl Vcpu {
    fn build(setup: Setup) -> Result<Self, Refusal> {
        let clock = setup.board_config.clock;
        let side = BoardSide::new(clock, setup.output, Arc::clone(&setup.control));
        let calls = BoardHost::new(Box::new(Calls(Rc::clone(&side))));
        let machine = setup.board.create(&setup.board_config, calls)?;
        let core = machine.core();
        let input = Input::open(&setup.input, clock)?;
        let host = Host::new(Rc::clone(&side), machine, core.serial_ports as usize, input);
        let state = host.machine.borrow_mut().load(&setup.source.read()?)?;
        let (shadow_pages, tlb_policy) = (setup.tlb.pages, setup.tlb.policy);
        let config = EngineConfig { tb_hz: core.tb_hz, clock, shadow_pages, tlb_policy };
        let mut engine = setup.backend.create(&config, serve(Rc::clone(&host)))?;
        let trace = setup.trace.as_ref().map(|wanted| Trace::start(wanted, &mut *engine)).transpose()?;
        side.clock.start(core.tb_hz);
        setup.control.attach(side.seal());
        let mut vcpu = Self {
            engine,
            host,
            source: setup.source,
            on_reset: setup.on_reset,
            control: setup.control,
            trace,
            tb_hz: core.tb_hz,
            started: Instant::now(),
        };
        vcpu.enter(&state);
        Ok(vcpu)
    }

    fn enter(&mut self, state: &CpuState) {
        let refused = self.engine.set_state(state);
        if !refused.is_empty() {
            tracing::info!("The engine keeps its own value of {}", refused.join(", "));
        }
        self.host.service_soon();
    }

    fn run(&mut self) -> Verdict {
        loop {
            let exit = self.engine.run(Trace::budget(self.trace.as_ref(), BUDGET));
            self.host.board.flush();
            if let Some(trace) = &mut self.trace
                && let Err(refusal) = trace.take(&mut *self.engine)
            {
                return Verdict::Error(refusal.0);
            }
            if let Some(verdict) = self.control.verdict() {
                return verdict;
            }
            if let Some(verdict) = self.judge(exit) {
                // What the kernel said before it went down counts more than how it went down.
                let panicked = self.host.board.output.borrow().panicked();
                return if panicked && !matches!(verdict, Verdict::Error(_)) {
                    Verdict::Panic
                } else {
                    verdict
                };
            }
        }
    }

    /// What an exit means; `None` goes on.
    fn judge(&mut self, exit: Exit) -> Option<Verdict> {
        match exit {
            Exit::Budget => None,
            Exit::Stop => {
                // The bit goes first: what is asked from here on sets it again.
                self.host.signals().lower(attention::STOP);
                if let Some(verdict) = self.control.verdict() {
                    return Some(verdict);
                }
                self.control.take_requests().into_iter().find_map(|request| self.serve(request))
            }
            Exit::Reset(kind) => self.reset(kind),
            Exit::Halted => Some(Verdict::Halted),
            Exit::Debug => {
                Some(Verdict::Error("The engine stopped for a debugger, but none is attached".into()))
            }
            Exit::GuestFatal(message) => {
                Some(Verdict::GuestFatal { message, registers: crate::registers::dump(&self.state()) })
            }
            Exit::Error(message) => Some(Verdict::Error(format!("The backend failed: {message}"))),
        }
    }

    fn reset(&mut self, kind: ResetKind) -> Option<Verdict> {
        if self.on_reset == OnReset::Exit || self.host.board.output.borrow().panicked() {
            return Some(Verdict::Reset);
        }
        self.reboot(kind)
    }

    fn reboot(&mut self, kind: ResetKind) -> Option<Verdict> {
        tracing::info!("Reset ({kind:?}): the guest boots again");
        let booted = self.source.read().and_then(|images| {
            let mut machine = self.host.machine.borrow_mut();
            machine.reset(kind);
            machine.load(&images)
        });
        self.host.signals().lower(attention::RESET);
        match booted {
            Ok(state) => {
                self.host.board.mark_all_dirty();
                self.enter(&state);
                None
            }
            Err(refusal) => Some(Verdict::Error(format!("Cannot boot again: {refusal}"))),
        }
    }

    fn serve(&mut self, request: Request) -> Option<Verdict> {
        match request {
            Request::Reset => self.reboot(ResetKind::System),
            Request::Show(what, answer) => {
                let text = match what {
                    Show::Registers => crate::registers::dump(&self.state()),
                    Show::Tlb => crate::registers::tlb(&self.state()) + &self.engine.inspect("tlb"),
                    Show::Jit => self.inspect("jit"),
                    Show::Kvm => self.inspect("kvm"),
                    Show::Devices => self.host.machine.borrow_mut().describe(),
                    Show::Stats => self.stats().lines(),
                };
                // Whoever asked may be gone.
                let _ = answer.send(text);
                None
            }
        }
    }

    /// What only some engines can tell.
    fn inspect(&mut self, topic: &str) -> String {
        let text = self.engine.inspect(topic);
        if text.is_empty() {
            format!("This backend has no `info {topic}`; backend {topic} has\n")
        } else {
            text
        }
    }

    fn state(&mut self) -> CpuState {
        let mut state = CpuState::reset(0);
        self.engine.get_state(&mut state);
        state
    }

    fn stats(&self) -> Stats {
        Stats {
            retired: self.engine.retired(),
            ticks: self.host.board.clock.now(),
            tb_hz: self.tb_hz,
            seconds: self.started.elapsed().as_secs_f64(),
            engine: self.engine.stats(),
        }
    }
}

impl Stats {
    /// For people, one figure a line.
    fn lines(&self) -> String {
        let mut text = format!(
            "instructions retired: {}\nguest time: {:.3} s\nhost time: {:.3} s\n",
            self.retired,
            self.ticks as f64 / f64::from(self.tb_hz.max(1)),
            self.seconds,
        );
        for (name, value) in self.engine.iter().filter(|(name, _)| name != "retired") {
            text.push_str(&format!("{name}: {value}\n"));
        }
        text
    }

    /// For machines.
    pub(crate) fn json(&self, verdict: &Verdict) -> serde_json::Value {
        let engine: serde_json::Map<_, _> =
            self.engine.iter().map(|(name, value)| (name.clone(), (*value).into())).collect();
        serde_json::json!({
            "verdict": verdict.name(),
            "exit_code": verdict.code(),
            "retired": self.retired,
            "guest_ticks": self.ticks,
            "tb_hz": self.tb_hz,
            "host_seconds": self.seconds,
            "engine": engine,
        })
    }
}

/// How time passes, from the command line's word.
impl From<crate::cli::ClockKind> for Clock {
    fn from(kind: crate::cli::ClockKind) -> Self {
        match kind {
            crate::cli::ClockKind::Host => Self::Host,
            crate::cli::ClockKind::Icount => Self::Icount,
        }
    }
}
