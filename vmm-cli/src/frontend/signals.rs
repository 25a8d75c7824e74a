//! Signals as bytes in a pipe, so that the main thread handles them between two polls.

use std::io::{self, Read as _};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::{SIGCONT, SIGHUP, SIGINT, SIGTERM};

/// What a signal asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Signal {
    /// End, with this signal's number.
    End(i32),
    /// The program was stopped and goes on.
    Continued,
}

/// The caught signals.
#[derive(Debug)]
pub(crate) struct Signals {
    pipe: UnixStream,
    flags: Vec<(i32, Arc<AtomicBool>)>,
}

impl Signals {
    /// Catches SIGINT, SIGTERM, SIGHUP and SIGCONT from now on.
    pub(crate) fn catch() -> io::Result<Self> {
        let (pipe, writer) = UnixStream::pair()?;
        pipe.set_nonblocking(true)?;
        let mut flags = Vec::new();
        for number in [SIGINT, SIGTERM, SIGHUP, SIGCONT] {
            let flag = Arc::new(AtomicBool::new(false));
            // In this order: the flag stands when the byte arrives.
            signal_hook::flag::register(number, Arc::clone(&flag))?;
            signal_hook::low_level::pipe::register(number, writer.try_clone()?)?;
            flags.push((number, flag));
        }
        Ok(Self { pipe, flags })
    }

    /// What came since the last call.
    pub(crate) fn take(&mut self) -> Vec<Signal> {
        let mut bytes = [0; 64];
        while self.pipe.read(&mut bytes).is_ok_and(|count| count == bytes.len()) {}
        self.flags
            .iter()
            .filter(|(_, flag)| flag.swap(false, Ordering::AcqRel))
            .map(|(number, _)| if *number == SIGCONT { Signal::Continued } else { Signal::End(*number) })
            .collect()
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pipe.as_fd()
    }
}
