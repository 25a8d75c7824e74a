//! Console output: what the guest sends goes to each port's place, and every line is watched for the end of the run.
//!
//! Characters are collected for a moment and written in pieces, because a write is dear beside a store to a UART. The
//! vCPU's thread writes; input comes in on the main thread, see [`crate::frontend`].

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use crate::cli::ExitWhen;
use crate::verdict::Verdict;

/// A piece is written when this many bytes are waiting, if nothing else writes it earlier.
const PIECE: usize = 512;
/// A line is cut here, so that a guest that never ends its line costs no memory.
const LONGEST_LINE: usize = 4096;
/// How long a client that does not read may hold up the guest before characters are dropped.
const PATIENCE: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };
/// What [`Sink::Memory`] keeps at most.
const KEPT: usize = 1 << 20;

/// The client of a listening socket, shared with the thread that accepts it.
pub(crate) type Client = Arc<Mutex<Option<OwnedFd>>>;

/// Where a port's output goes.
#[derive(Debug)]
pub(crate) enum Sink {
    /// Nowhere.
    Null,
    /// Standard output.
    Stdout,
    /// A file.
    File(OwnedFd, PathBuf),
    /// A pseudo terminal; when nobody reads, characters are dropped.
    Pty(OwnedFd),
    /// A socket's client; without one, characters are dropped.
    Client(Client),
    /// Kept for whoever holds the other handle; beyond [`KEPT`] bytes, characters are dropped.
    Memory(Arc<Mutex<Vec<u8>>>),
}

#[derive(Debug)]
struct Port {
    sink: Sink,
    waiting: Vec<u8>,
    line: Vec<u8>,
}

/// The output side of all serial ports.
#[derive(Debug)]
pub(crate) struct Output {
    ports: Vec<Port>,
    patterns: Vec<ExitWhen>,
    watch_panic: bool,
    panicked: bool,
}

impl Output {
    pub(crate) fn new(sinks: Vec<Sink>, patterns: Vec<ExitWhen>, watch_panic: bool) -> Self {
        let ports =
            sinks.into_iter().map(|sink| Port { sink, waiting: Vec::new(), line: Vec::new() }).collect();
        Self { ports, patterns, watch_panic, panicked: false }
    }

    /// Takes characters of a port; those of a port that nobody connected are dropped.
    pub(crate) fn send(&mut self, port: usize, bytes: &[u8]) -> Option<Verdict> {
        let port = self.ports.get_mut(port)?;
        port.waiting.extend_from_slice(bytes);
        if port.waiting.len() >= PIECE { self.flush() } else { None }
    }

    /// Whether something waits to be written.
    pub(crate) fn is_waiting(&self) -> bool {
        self.ports.iter().any(|port| !port.waiting.is_empty())
    }

    /// Writes what waits and says whether that ends the run.
    pub(crate) fn flush(&mut self) -> Option<Verdict> {
        let mut verdict = None;
        for port in &mut self.ports {
            if port.waiting.is_empty() {
                continue;
            }
            let bytes = std::mem::take(&mut port.waiting);
            if let Err(message) = port.sink.write(&bytes) {
                port.sink = Sink::Null;
                verdict.get_or_insert(Verdict::Error(message));
            }
            let mut watch =
                Watch { patterns: &self.patterns, panic: self.watch_panic, panicked: &mut self.panicked };
            if let Some(end) = watch.feed(&mut port.line, &bytes) {
                verdict.get_or_insert(end);
            }
            // Keep the allocation for the next piece.
            port.waiting = bytes;
            port.waiting.clear();
        }
        verdict
    }

    /// Whether a kernel panic was seen; the run ends with its last line, or soon.
    pub(crate) fn panicked(&self) -> bool {
        self.panicked
    }
}

impl Sink {
    fn write(&mut self, bytes: &[u8]) -> Result<(), String> {
        match self {
            Self::Null => Ok(()),
            Self::Stdout => write_all(rustix::stdio::stdout(), bytes)
                .map_err(|error| format!("Standard output cannot be written: {}", told(error))),
            Self::File(file, path) => write_all(file.as_fd(), bytes)
                .map_err(|error| format!("{} cannot be written: {}", path.display(), told(error))),
            Self::Pty(master) => {
                let _ = write_patiently(master.as_fd(), bytes);
                Ok(())
            }
            Self::Memory(kept) => {
                let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
                let room = KEPT.saturating_sub(kept.len());
                kept.extend(&bytes[..bytes.len().min(room)]);
                Ok(())
            }
            Self::Client(client) => {
                let mut client = client.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(socket) = &*client
                    && write_patiently(socket.as_fd(), bytes).is_err()
                {
                    // The main thread sees the same and accepts the next one.
                    *client = None;
                }
                Ok(())
            }
        }
    }
}

/// An operating system error in words.
pub(crate) fn told(error: Errno) -> String {
    std::io::Error::from(error).to_string()
}

/// Writes everything, waiting as long as it takes.
fn write_all(to: BorrowedFd<'_>, mut bytes: &[u8]) -> Result<(), Errno> {
    while !bytes.is_empty() {
        match rustix::io::write(to, bytes) {
            Ok(count) => bytes = &bytes[count..],
            Err(Errno::INTR) => {}
            // Whoever shares the descriptor made it non-blocking.
            Err(Errno::AGAIN) => {
                let _ = poll(&mut [PollFd::new(&to, PollFlags::OUT)], None);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Writes to a non-blocking descriptor; drops what its reader does not take in time.
fn write_patiently(to: BorrowedFd<'_>, mut bytes: &[u8]) -> Result<(), Errno> {
    while !bytes.is_empty() {
        match rustix::io::write(to, bytes) {
            Ok(count) => bytes = &bytes[count..],
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => {
                if poll(&mut [PollFd::new(&to, PollFlags::OUT)], Some(&PATIENCE)).unwrap_or(0) == 0 {
                    return Ok(());
                }
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Looks for the end of the run in a port's lines.
struct Watch<'a> {
    patterns: &'a [ExitWhen],
    panic: bool,
    panicked: &'a mut bool,
}

impl Watch<'_> {
    fn feed(&mut self, line: &mut Vec<u8>, bytes: &[u8]) -> Option<Verdict> {
        if self.patterns.is_empty() && !self.panic {
            return None;
        }
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            let (text, ended) = part.strip_suffix(b"\n").map_or((part, false), |text| (text, true));
            line.extend(text.iter().filter(|byte| **byte != b'\r'));
            let verdict = self.look(line, ended);
            if ended || line.len() > LONGEST_LINE {
                line.clear();
            }
            if verdict.is_some() {
                return verdict;
            }
        }
        None
    }

    fn look(&mut self, line: &[u8], ended: bool) -> Option<Verdict> {
        let text = String::from_utf8_lossy(line);
        if let Some(when) = self.patterns.iter().find(|when| when.pattern.is_match(&text)) {
            return Some(Verdict::Matched { pattern: when.pattern.to_string(), code: when.code });
        }
        if self.panic && text.contains("Kernel panic") {
            *self.panicked = true;
            // The kernel's own last line, complete.
            if ended && text.contains("end Kernel panic") {
                return Some(Verdict::Panic);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output(patterns: &[(&str, u8)], panic: bool) -> Output {
        let patterns = patterns
            .iter()
            .map(|(pattern, code)| ExitWhen { pattern: regex::Regex::new(pattern).unwrap(), code: *code })
            .collect();
        Output::new(vec![Sink::Null, Sink::Null], patterns, panic)
    }

    #[test]
    fn a_pattern_matches_across_pieces_and_in_a_partial_line() {
        let mut output = output(&[("^login: ", 7)], false);
        assert_eq!(output.send(0, b"boot\r\nlog"), None);
        assert_eq!(output.flush(), None);
        assert_eq!(output.send(0, b"in: "), None);
        assert_eq!(output.flush().unwrap().code(), 7);
    }

    #[test]
    fn ports_do_not_mix_their_lines() {
        let mut output = output(&[("ab", 9)], false);
        let _ = output.send(0, b"a");
        let _ = output.send(1, b"b");
        assert_eq!(output.flush(), None);
    }

    #[test]
    fn a_panic_may_finish_its_words() {
        let mut output = output(&[], true);
        let _ = output.send(0, b"Kernel panic - not syncing: test\r\n");
        assert_eq!(output.flush(), None);
        assert!(output.panicked());
        let _ = output.send(0, b"---[ end Kernel panic - not syncing: test ]---\r\n");
        assert_eq!(output.flush(), Some(Verdict::Panic));
    }

    #[test]
    fn a_panic_is_not_watched_when_told_so() {
        let mut output = output(&[], false);
        let _ = output.send(0, b"---[ end Kernel panic ]---\n");
        assert_eq!(output.flush(), None);
    }

    #[test]
    fn an_endless_line_is_cut() {
        let mut output = output(&[("never", 1)], false);
        for _ in 0..100 {
            let _ = output.send(0, &[b'x'; 1000]);
        }
        assert!(output.ports[0].line.len() <= LONGEST_LINE + 1000);
    }
}
