//! Running a program with a time limit and reading what it prints.

use std::io::Read;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// What a program did.
#[derive(Debug)]
pub struct Finished {
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
    /// How it ended; None if it was stopped because its time was up.
    pub status: Option<ExitStatus>,
}

/// Runs `command` with standard input closed, for at most `limit`.
///
/// # Errors
/// If it cannot be started or waited for.
pub fn run(command: &mut Command, limit: Duration) -> std::io::Result<Finished> {
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let (sender, receiver) = mpsc::channel();
    let readers = [
        child.stdout.take().map(|p| Box::new(p) as Box<dyn Read + Send>),
        child.stderr.take().map(|p| Box::new(p) as Box<dyn Read + Send>),
    ];
    for (index, reader) in readers.into_iter().enumerate() {
        let sender = sender.clone();
        std::thread::spawn(move || {
            let mut bytes = vec![];
            if let Some(mut reader) = reader {
                // What was read before an error is still worth reporting.
                let _ = reader.read_to_end(&mut bytes);
            }
            let _ = sender.send((index, bytes));
        });
    }
    let start = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break Some(status);
        }
        if start.elapsed() > limit {
            child.kill()?;
            child.wait()?;
            break None;
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    let mut texts = [String::new(), String::new()];
    for (index, bytes) in receiver.iter().take(2) {
        texts[index] = String::from_utf8_lossy(&bytes).into_owned();
    }
    let [stdout, stderr] = texts;
    Ok(Finished { stdout, stderr, status })
}
