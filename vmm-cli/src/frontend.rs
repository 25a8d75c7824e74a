//! The main thread while a guest runs: keyboard, sockets, pseudo terminals, signals and the time limit. It queues bytes
//! and sets attention bits; all device code runs on the vCPU's thread.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::cli::{Run, Serial};
use crate::console::Sink;
use crate::control::Control;
use crate::terminal::RawMode;
use crate::vcpu::{Outcome, Stats};
use crate::verdict::Verdict;
use vmm_plugin::api::Refusal;

/// Input that waits for a guest is bounded: no more is read from a pipe until the guest takes some.
const QUEUE: usize = 4096;
/// How long an engine may take to stop before the program ends without it.
const GRACE: Duration = Duration::from_secs(5);

/// Everything that is polled.
#[derive(Debug)]
pub(crate) struct Frontend {
    control: Arc<Control>,
    stdin_port: Option<usize>,
    raw: Option<RawMode>,
}

impl Frontend {
    /// Opens the places of all ports; returns their output sides too.
    pub(crate) fn open(options: &Run, control: Arc<Control>) -> Result<(Self, Vec<Sink>), Refusal> {
        let mut sinks = Vec::new();
        let mut stdin_port = None;
        for (port, serial) in options.serials().into_iter().enumerate() {
            sinks.push(match serial {
                Serial::Null => Sink::Null,
                Serial::Stdio => {
                    stdin_port = Some(port);
                    Sink::Stdout
                }
                Serial::File(path) => {
                    let file = std::fs::File::create(path)
                        .map_err(|error| Refusal(format!("Cannot create {}: {error}", path.display())))?;
                    Sink::File(OwnedFd::from(file), path.clone())
                }
                other => return Err(Refusal(format!("{other:?} is not there yet"))),
            });
        }
        Ok((Self { control, stdin_port, raw: None }, sinks))
    }

    /// Runs `vcpu` on its own thread and serves it until it ends.
    pub(crate) fn run(
        mut self,
        timeout: Option<Duration>,
        vcpu: impl FnOnce() -> Outcome + Send + 'static,
    ) -> Outcome {
        let deadline = timeout.map(|timeout| Instant::now() + timeout);
        let (done_reader, done_writer) = std::os::unix::net::UnixStream::pair().expect("pair");
        if self.stdin_port.is_some() {
            self.raw = RawMode::enter();
        }
        let thread = std::thread::Builder::new()
            .name("vcpu".into())
            .spawn(move || {
                let _done = done_writer;
                vcpu()
            })
            .expect("spawn");
        let mut buffer = [0; 1024];
        let mut stdin_open = self.stdin_port.is_some();
        loop {
            let stdin = rustix::stdio::stdin();
            let mut polled = vec![PollFd::new(&done_reader, PollFlags::IN)];
            let full = self.stdin_port.is_some_and(|port| self.control.queued(port) >= QUEUE);
            if stdin_open && !full {
                polled.push(PollFd::from_borrowed_fd(stdin, PollFlags::IN));
            }
            let mut wait = deadline.map(|at| at.saturating_duration_since(Instant::now()));
            if full {
                wait = Some(wait.unwrap_or(Duration::MAX).min(Duration::from_millis(10)));
            }
            let wait = wait.map(|wait| Timespec {
                tv_sec: wait.as_secs().min(1 << 31) as i64,
                tv_nsec: i64::from(wait.subsec_nanos()),
            });
            let _ = poll(&mut polled, wait.as_ref());
            let done = !polled[0].revents().is_empty();
            let input = polled.get(1).is_some_and(|fd| !fd.revents().is_empty());
            if done {
                break;
            }
            if deadline.is_some_and(|at| Instant::now() >= at) {
                self.control.stop(Verdict::Timeout(timeout.unwrap_or_default()));
                break;
            }
            if input {
                match rustix::io::read(stdin.as_fd(), &mut buffer) {
                    Ok(0) => stdin_open = false,
                    Ok(count) => {
                        self.control.queue_input(self.stdin_port.unwrap_or(0), &buffer[..count]);
                    }
                    Err(_) => stdin_open = false,
                }
            }
        }
        let asked = Instant::now();
        while !thread.is_finished() && asked.elapsed() < GRACE {
            std::thread::sleep(Duration::from_millis(1));
        }
        thread.join().unwrap_or_else(|_| Outcome {
            verdict: Verdict::Error("The vCPU's thread panicked".into()),
            stats: Stats::default(),
        })
    }
}
