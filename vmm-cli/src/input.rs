//! Console input on its way to the guest. Under the host's clock it is handed on as it comes. Under `--clock icount` it
//! is handed on at a tick that is fixed a moment before, so that the engine meets it as it meets any device's deadline:
//! at the first point at or after that tick where it looks. Such a tick can be written down and met again, whatever
//! engine runs then, and that is what `--record-input` and `--replay-input` do.
//!
//! A recording is text: a line `vmm-input 1`, then one line for each piece that the guest took, with the tick, the
//! serial port, and the bytes in hexadecimal. Empty lines and those that begin with `#` say nothing.

use std::collections::VecDeque;
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use vmm_plugin::api::{Clock, Machine, NEVER, Refusal};

use crate::cli::Run;
use crate::control::Control;

/// The first line of a recording.
const HEAD: &str = "vmm-input 1";
/// Ticks from the look that finds input to the one that hands it on, under icount.
const LEAD: u64 = 256;

/// What the command line asks of console input.
#[derive(Debug, Default)]
pub(crate) struct InputOptions {
    record: Option<PathBuf>,
    replay: Option<PathBuf>,
}

impl InputOptions {
    pub(crate) fn of(options: &Run) -> Self {
        Self { record: options.record_input.clone(), replay: options.replay_input.clone() }
    }
}

/// A piece of input that the guest took.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Event {
    /// Machine time in ticks.
    tick: u64,
    port: usize,
    bytes: Vec<u8>,
}

/// How input goes to the guest.
#[derive(Debug)]
pub(crate) enum Input {
    /// As it comes.
    Direct,
    /// At a tick that is known beforehand.
    Scheduled {
        /// When what waits is handed on.
        at: Option<u64>,
        /// Where it is written down.
        recording: Option<Recording>,
    },
    /// From a recording; what comes from elsewhere is dropped.
    Replay {
        /// For messages.
        path: PathBuf,
        /// What is still to come.
        events: VecDeque<Event>,
    },
}

/// A recording that is being written. Each event is written at once, so that it survives whatever comes.
#[derive(Debug)]
pub(crate) struct Recording {
    path: PathBuf,
    file: File,
}

impl Input {
    /// # Errors
    /// That a file cannot be had or is no recording.
    pub(crate) fn open(options: &InputOptions, clock: Clock) -> Result<Self, Refusal> {
        if let Some(path) = &options.replay {
            let text = std::fs::read_to_string(path)
                .map_err(|error| Refusal(format!("Cannot read {}: {error}", path.display())))?;
            let events = parse(&text).map_err(|why| {
                Refusal(format!("{} is no recording of --record-input: {why}", path.display()))
            })?;
            return Ok(Self::Replay { path: path.clone(), events });
        }
        match clock {
            Clock::Host => Ok(Self::Direct),
            Clock::Icount => {
                let recording = options.record.as_deref().map(Recording::create).transpose()?;
                Ok(Self::Scheduled { at: None, recording })
            }
        }
    }

    /// Hands to `machine` what is due at tick `now`. Returns when to be called again, at the latest. What the guest
    /// does not take is offered again after `again` ticks.
    ///
    /// # Errors
    /// That a recording cannot be written, or does not fit what the guest does.
    pub(crate) fn deliver(
        &mut self,
        now: u64,
        again: u64,
        ports: usize,
        control: &Control,
        machine: &mut dyn Machine,
    ) -> Result<u64, String> {
        match self {
            Self::Direct => {
                let mut waiting = 0;
                for port in 0..ports {
                    waiting += control.offer_input(port, |bytes| machine.char_input(port as u32, bytes));
                }
                Ok(if waiting == 0 { NEVER } else { now.saturating_add(again) })
            }
            Self::Scheduled { at, recording } => {
                if at.is_some_and(|at| at <= now) {
                    *at = None;
                    for port in 0..ports {
                        let mut written = Ok(());
                        let waiting = control.offer_input(port, |bytes| {
                            let taken = machine.char_input(port as u32, bytes).min(bytes.len());
                            if let Some(recording) = recording
                                && taken != 0
                            {
                                let bytes = bytes[..taken].to_vec();
                                written = recording.write(&Event { tick: now, port, bytes });
                            }
                            taken
                        });
                        written?;
                        if waiting != 0 {
                            *at = Some(now.saturating_add(again));
                        }
                    }
                } else if at.is_none() && (0..ports).any(|port| control.queued(port) != 0) {
                    *at = Some(now.saturating_add(LEAD));
                }
                Ok(at.unwrap_or(NEVER))
            }
            Self::Replay { path, events } => {
                for port in 0..ports {
                    control.offer_input(port, <[u8]>::len);
                }
                while let Some(event) = events.front()
                    && event.tick <= now
                {
                    let taken = machine.char_input(event.port as u32, &event.bytes);
                    if event.tick != now || taken != event.bytes.len() {
                        let Event { tick, port, bytes } = event;
                        return Err(format!(
                            "The replay of {} does not fit this run: at tick {tick} serial{port} took {} bytes, now at \
                             tick {now} it takes {taken}; replay with the guest, board and memory that were recorded",
                            path.display(),
                            bytes.len(),
                        ));
                    }
                    events.pop_front();
                }
                Ok(events.front().map_or(NEVER, |event| event.tick))
            }
        }
    }

    /// Tells, at the end of a run, what of a recording was never handed on.
    pub(crate) fn finish(&self) {
        if let Self::Replay { path, events } = self
            && let Some(event) = events.front()
        {
            tracing::warn!(
                "The run ended before the input of {} did: the next piece would have come at tick {}",
                path.display(),
                event.tick
            );
        }
    }
}

impl Recording {
    fn create(path: &Path) -> Result<Self, Refusal> {
        let failed = |error| Refusal(format!("Cannot create {}: {error}", path.display()));
        let mut file = File::create(path).map_err(failed)?;
        writeln!(file, "{HEAD}\n# tick port bytes").map_err(failed)?;
        Ok(Self { path: path.to_owned(), file })
    }

    fn write(&mut self, event: &Event) -> Result<(), String> {
        let line = line(event);
        self.file
            .write_all(line.as_bytes())
            .map_err(|error| format!("Cannot write {}: {error}", self.path.display()))
    }
}

fn line(event: &Event) -> String {
    let hex: String = event.bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{} {} {hex}\n", event.tick, event.port)
}

/// The events of a recording.
fn parse(text: &str) -> Result<VecDeque<Event>, String> {
    if text.lines().next() != Some(HEAD) {
        return Err(format!("its first line is not `{HEAD}`"));
    }
    let mut events = VecDeque::<Event>::new();
    for (number, line) in text.lines().enumerate().skip(1) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let number = number + 1;
        let event = event(line).ok_or_else(|| format!("line {number} is not `TICK PORT HEX`"))?;
        if events.back().is_some_and(|before| before.tick > event.tick) {
            return Err(format!("line {number} goes back in time"));
        }
        events.push_back(event);
    }
    Ok(events)
}

fn event(line: &str) -> Option<Event> {
    let mut words = line.split(' ');
    let (tick, port, hex) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?, words.next()?);
    let pairs = !hex.is_empty() && hex.len() % 2 == 0 && hex.bytes().all(|byte| byte.is_ascii_hexdigit());
    if words.next().is_some() || !pairs {
        return None;
    }
    let bytes = (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).ok());
    Some(Event { tick, port, bytes: bytes.collect::<Option<_>>()? })
}

#[cfg(test)]
mod tests {
    use vmm_plugin::api::{CoreDescription, CpuState, Images, ResetKind};

    use super::*;

    /// A machine that takes some bytes at a time and notes what it got.
    #[derive(Default)]
    struct Sink {
        room: usize,
        got: Vec<(u32, Vec<u8>)>,
    }

    impl Machine for Sink {
        fn char_input(&mut self, port: u32, bytes: &[u8]) -> usize {
            let taken = bytes.len().min(self.room);
            self.got.push((port, bytes[..taken].to_vec()));
            taken
        }
        fn core(&self) -> CoreDescription {
            CoreDescription { pvr: 0, cpu_hz: 0, tb_hz: 0, serial_ports: 2 }
        }
        fn load(&mut self, _: &Images) -> Result<CpuState, Refusal> {
            Err("no images here".into())
        }
        fn read(&mut self, _: u64, _: u8) -> u64 {
            0
        }
        fn write(&mut self, _: u64, _: u8, _: u64) {}
        fn dcr_read(&mut self, _: u16) -> u32 {
            0
        }
        fn dcr_write(&mut self, _: u16, _: u32) {}
        fn service(&mut self, _: u64) -> u64 {
            NEVER
        }
        fn armed(&mut self) -> u32 {
            0
        }
        fn reset(&mut self, _: ResetKind) {}
        fn save(&mut self) -> Vec<u8> {
            Vec::new()
        }
        fn restore(&mut self, _: &[u8]) -> Result<(), Refusal> {
            Ok(())
        }
        fn describe(&mut self) -> String {
            String::new()
        }
    }

    fn file() -> tempfile::NamedTempFile {
        tempfile::NamedTempFile::new().expect("A temporary file")
    }

    #[test]
    fn what_is_recorded_comes_again_at_the_same_tick_in_the_same_pieces() {
        let file = file();
        let options = InputOptions { record: Some(file.path().to_owned()), replay: None };
        let mut input = Input::open(&options, Clock::Icount).expect("a file");
        let (control, mut machine) = (Control::new(2), Sink { room: 2, ..Sink::default() });
        control.queue_input(1, b"abc");
        // It is found at 100, handed on when it is due, and what was not taken comes 50 ticks later.
        assert_eq!(input.deliver(100, 50, 2, &control, &mut machine), Ok(100 + LEAD));
        assert!(machine.got.is_empty());
        assert_eq!(input.deliver(100 + LEAD + 3, 50, 2, &control, &mut machine), Ok(100 + LEAD + 53));
        assert_eq!(input.deliver(100 + LEAD + 53, 50, 2, &control, &mut machine), Ok(NEVER));
        assert_eq!(machine.got, [(1, b"ab".to_vec()), (1, b"c".to_vec())]);

        let options = InputOptions { record: None, replay: Some(file.path().to_owned()) };
        let mut input = Input::open(&options, Clock::Icount).expect("a recording");
        let mut again = Sink { room: 2, ..Sink::default() };
        control.queue_input(0, b"typed meanwhile");
        assert_eq!(input.deliver(0, 50, 2, &control, &mut again), Ok(100 + LEAD + 3));
        assert_eq!(input.deliver(100 + LEAD + 3, 50, 2, &control, &mut again), Ok(100 + LEAD + 53));
        assert_eq!(input.deliver(100 + LEAD + 53, 50, 2, &control, &mut again), Ok(NEVER));
        assert_eq!(again.got, machine.got);
        assert_eq!(control.queued(0), 0);
    }

    #[test]
    fn a_guest_that_does_something_else_is_told() {
        let file = file();
        std::fs::write(file.path(), "vmm-input 1\n5 0 6162\n").expect("a written file");
        let options = InputOptions { record: None, replay: Some(file.path().to_owned()) };
        let control = Control::new(1);
        let mut full = Input::open(&options, Clock::Icount).expect("a recording");
        let error = full.deliver(5, 1, 1, &control, &mut Sink { room: 1, ..Sink::default() }).unwrap_err();
        assert!(error.contains("serial0 took 2 bytes, now at tick 5 it takes 1"), "{error}");
        let mut late = Input::open(&options, Clock::Icount).expect("a recording");
        let error = late.deliver(6, 1, 1, &control, &mut Sink { room: 9, ..Sink::default() }).unwrap_err();
        assert!(error.contains("now at tick 6"), "{error}");
    }

    #[test]
    fn other_files_are_refused_with_the_line() {
        for (text, why) in [
            ("", "first line"),
            ("vmm-input 2\n", "first line"),
            ("vmm-input 1\n1 0\n", "line 2"),
            ("vmm-input 1\n# x\n1 0 6\n", "line 3"),
            ("vmm-input 1\n1 0 zz\n", "line 2"),
            ("vmm-input 1\n-1 0 61\n", "line 2"),
            ("vmm-input 1\n1 0 61 62\n", "line 2"),
            ("vmm-input 1\n1 0 é1\n", "line 2"),
            ("vmm-input 1\n2 0 61\n1 0 61\n", "line 3 goes back"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(why), "{text:?}: {error}");
        }
        let event = Event { tick: u64::MAX, port: 3, bytes: vec![0, 255, 10] };
        assert_eq!(parse(&format!("{HEAD}\n\n{}", line(&event))), Ok(VecDeque::from([event])));
    }
}
