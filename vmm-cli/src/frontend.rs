//! The main thread while a guest runs: keyboard, sockets, pseudo terminals, signals and the time limit. It queues bytes
//! and sets attention bits; all device code runs on the vCPU's thread.

mod keys;
mod monitor;
mod places;
mod signals;

use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use vmm_plugin::api::Refusal;

use crate::cli::Run;
use crate::console::Sink;
use crate::control::Control;
use crate::terminal::RawMode;
use crate::vcpu::{Outcome, Stats};
use crate::verdict::Verdict;
use keys::{Key, Keys};
use monitor::Monitor;
use places::Place;
use signals::{Signal, Signals};

/// Input that waits for a guest is bounded: no more is read until the guest takes some.
const QUEUE: usize = 4096;
/// How often to look whether the guest took some.
const LOOK_AGAIN: Duration = Duration::from_millis(10);
/// How long an engine may take to stop before the program ends without it.
const GRACE: Duration = Duration::from_secs(3);

/// Everything that is polled.
#[derive(Debug)]
pub(crate) struct Frontend {
    control: Arc<Control>,
    places: Vec<Place>,
    keyboard: Keyboard,
    signals: Signals,
    raw: Option<RawMode>,
    monitor: Monitor,
}

/// Standard input and the port that it feeds.
#[derive(Debug)]
struct Keyboard {
    port: Option<usize>,
    keys: Keys,
}

/// What a poll can find.
#[derive(Debug, Clone, Copy)]
enum Source {
    Done,
    Signals,
    Keyboard,
    Place(usize),
}

impl Frontend {
    /// Opens the places of all ports; returns their output sides too.
    pub(crate) fn open(options: &Run, control: Arc<Control>) -> Result<(Self, Vec<Sink>), Refusal> {
        let mut places = Vec::new();
        let mut sinks = Vec::new();
        let mut keyboard_port = None;
        for (port, serial) in options.serials().into_iter().enumerate() {
            let (place, sink) = places::open(port, serial)?;
            if matches!(sink, Sink::Stdout) && keyboard_port.replace(port).is_some() {
                return Err("Only one serial port can have stdio".into());
            }
            places.push(place);
            sinks.push(sink);
        }
        let signals = Signals::catch().map_err(|error| Refusal(format!("Cannot catch signals: {error}")))?;
        let keyboard = Keyboard { port: keyboard_port, keys: Keys::default() };
        let monitor = Monitor::new(Arc::clone(&control));
        Ok((Self { control, places, keyboard, signals, raw: None, monitor }, sinks))
    }

    /// Runs `vcpu` on its own thread and serves it until it ends.
    pub(crate) fn run(
        mut self,
        timeout: Option<Duration>,
        vcpu: impl FnOnce() -> Outcome + Send + 'static,
    ) -> Outcome {
        let failed = |message: String| Outcome { verdict: Verdict::Error(message), stats: Stats::default() };
        let (done, end) = match UnixStream::pair() {
            Ok(pair) => pair,
            Err(error) => return failed(format!("Cannot make a socket pair: {error}")),
        };
        if self.keyboard.port.is_some() {
            self.raw = RawMode::enter();
        }
        // The thread's end closes, and so reports, however the thread ends.
        let spawned = std::thread::Builder::new().name("vcpu".into()).spawn(move || {
            let _end = end;
            vcpu()
        });
        let thread = match spawned {
            Ok(thread) => thread,
            Err(error) => return failed(format!("Cannot start a thread: {error}")),
        };
        self.serve(&done, timeout);
        let asked = Instant::now();
        while !thread.is_finished() {
            if asked.elapsed() > GRACE {
                let verdict = self.control.verdict().unwrap_or(Verdict::Quit);
                tracing::warn!("The backend did not stop within {} s; it is left behind", GRACE.as_secs());
                return Outcome { verdict, stats: Stats::default() };
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        self.places.iter().for_each(Place::drain);
        thread.join().unwrap_or_else(|_| failed("The vCPU's thread panicked; this is a defect of vmm".into()))
    }

    /// Serves until the vCPU's thread ends or something stops the run.
    fn serve(&mut self, done: &UnixStream, timeout: Option<Duration>) {
        let deadline = timeout.map(|timeout| (Instant::now() + timeout, timeout));
        while self.control.verdict().is_none() {
            let mut wait = deadline.map(|(at, _)| at.saturating_duration_since(Instant::now()));
            let mut sources = vec![Source::Done, Source::Signals];
            if let Some(port) = self.keyboard.port {
                self.listen(port, Source::Keyboard, &mut sources, &mut wait);
            }
            for port in 0..self.places.len() {
                if self.places[port].fd().is_some() {
                    self.listen(port, Source::Place(port), &mut sources, &mut wait);
                }
            }
            let mut polled: Vec<PollFd<'_>> = sources
                .iter()
                .filter_map(|source| self.fd(*source, done))
                .map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN))
                .collect();
            match poll(&mut polled, wait.map(timespec).as_ref()) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => {
                    let told = crate::console::told(error);
                    self.control.stop(Verdict::Error(format!("Cannot wait for events: {told}")));
                }
            }
            let ready: Vec<Source> = sources
                .iter()
                .zip(&polled)
                .filter(|(_, fd)| !fd.revents().is_empty())
                .map(|(source, _)| *source)
                .collect();
            for source in ready {
                match source {
                    Source::Done => return,
                    Source::Signals => self.take_signals(),
                    Source::Keyboard => self.take_keys(),
                    Source::Place(port) => self.take_place(port),
                }
            }
            if let Some((at, timeout)) = deadline
                && Instant::now() >= at
            {
                self.control.stop(Verdict::Timeout(timeout));
            }
        }
    }

    /// Adds a source of input for a port, unless the guest has enough to read already.
    fn listen(&self, port: usize, source: Source, sources: &mut Vec<Source>, wait: &mut Option<Duration>) {
        if self.control.queued(port) < QUEUE {
            sources.push(source);
        } else {
            *wait = Some(wait.map_or(LOOK_AGAIN, |wait| wait.min(LOOK_AGAIN)));
        }
    }

    fn fd<'a>(&'a self, source: Source, done: &'a UnixStream) -> Option<BorrowedFd<'a>> {
        match source {
            Source::Done => Some(done.as_fd()),
            Source::Signals => Some(self.signals.as_fd()),
            Source::Keyboard => Some(rustix::stdio::stdin()),
            Source::Place(port) => self.places[port].fd(),
        }
    }

    fn take_signals(&mut self) {
        for signal in self.signals.take() {
            match signal {
                Signal::End(number) => self.control.stop(Verdict::Signal(number)),
                // Whoever stopped us may have used the terminal since.
                Signal::Continued => {
                    if let Some(raw) = &self.raw {
                        raw.again();
                    }
                }
            }
        }
    }

    fn take_keys(&mut self) {
        let Some(port) = self.keyboard.port else { return };
        let mut buffer = [0; 1024];
        let bytes = match rustix::io::read(rustix::stdio::stdin(), &mut buffer) {
            Ok(count) if count > 0 => &buffer[..count],
            Err(Errno::INTR | Errno::AGAIN) => return,
            // The end of input is not the end of the guest.
            _ => {
                self.keyboard.port = None;
                return;
            }
        };
        if self.raw.is_none() {
            // A pipe or file: every byte is the guest's.
            self.control.queue_input(port, bytes);
            return;
        }
        for key in self.keyboard.keys.press(bytes) {
            match key {
                Key::Guest(bytes) => self.control.queue_input(port, &bytes),
                Key::Leave => self.control.stop(Verdict::Quit),
                Key::Help => self.monitor.say(keys::HELP),
                Key::Monitor(open) => self.monitor.toggle(open),
                Key::Echo(text) => self.monitor.echo(&text),
                Key::Line(line) => self.monitor.execute(&line),
            }
        }
    }

    fn take_place(&mut self, port: usize) {
        let mut buffer = [0; 1024];
        let count = self.places[port].take(port, &mut buffer);
        self.control.queue_input(port, &buffer[..count]);
    }
}

fn timespec(wait: Duration) -> Timespec {
    // Longer than a day may as well be a day: the loop comes round again.
    let wait = wait.min(Duration::from_secs(86_400));
    Timespec { tv_sec: wait.as_secs() as i64, tv_nsec: i64::from(wait.subsec_nanos()) }
}
