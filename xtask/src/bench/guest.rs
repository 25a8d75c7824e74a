//! A machine that runs: its console, its processor time, its memory.

use std::fs;
use std::io::Read;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// A started machine; killed when dropped.
pub(super) struct Guest {
    child: Child,
    /// Held open: end of input might end the machine.
    _stdin: Option<ChildStdin>,
    output: Receiver<Vec<u8>>,
    console: String,
    started: Instant,
}

/// Memory of a machine in bytes.
pub(super) struct Memory {
    /// The greatest resident size so far.
    pub(super) peak: u64,
    /// Resident pages of the guest's memory, when one mapping of that size can be found.
    pub(super) guest_pages: Option<u64>,
}

impl Guest {
    pub(super) fn start(mut command: Command) -> Result<Self> {
        let name = command.get_program().to_string_lossy().into_owned();
        let started = Instant::now();
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| format!("Cannot run {name}"))?;
        let stdin = child.stdin.take();
        let mut stdout = child.stdout.take().context("A child without output")?;
        let (sender, output) = mpsc::channel();
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = stdout.read(&mut buffer) {
                if sender.send(buffer[..count].to_vec()).is_err() {
                    break;
                }
            }
        });
        Ok(Self { child, _stdin: stdin, output, console: String::new(), started })
    }

    /// Waits until the console has shown a text; returns everything up to now.
    pub(super) fn wait_for(&mut self, text: &str, limit: Duration) -> Result<String> {
        let deadline = self.started + limit;
        loop {
            // The verdict line of a program is wanted whole.
            if let Some(at) = self.console.find(text)
                && (!text.ends_with("exit ") || self.console[at..].contains('\n'))
            {
                return Ok(self.console.clone());
            }
            match self.output.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(bytes) => self.console += &String::from_utf8_lossy(&bytes),
                Err(error) => {
                    let why = match error {
                        RecvTimeoutError::Timeout => format!("within {} s", limit.as_secs()),
                        RecvTimeoutError::Disconnected => "before the machine ended".to_owned(),
                    };
                    bail!("The console did not show {text:?} {why}; it showed:\n{}", self.console);
                }
            }
        }
    }

    pub(super) fn age(&self) -> Duration {
        self.started.elapsed()
    }

    /// Processor time of all its threads, in nanoseconds (Linux, scheduler/sched-stats).
    pub(super) fn cpu_time(&self) -> Result<Duration> {
        let dir = format!("/proc/{}/task", self.child.id());
        let mut sum = 0;
        for task in fs::read_dir(&dir).with_context(|| format!("Cannot list {dir}"))?.flatten() {
            // A thread that ended meanwhile has no file any more.
            let Ok(text) = fs::read_to_string(task.path().join("schedstat")) else { continue };
            sum += text.split_whitespace().next().and_then(|field| field.parse::<u64>().ok()).unwrap_or(0);
        }
        Ok(Duration::from_nanos(sum))
    }

    /// Its memory; `guest` is the size of the guest's memory in bytes.
    pub(super) fn memory(&self, guest: u64) -> Result<Memory> {
        let read = |file: &str| {
            let path = format!("/proc/{}/{file}", self.child.id());
            fs::read_to_string(&path).with_context(|| format!("Cannot read {path}"))
        };
        let peak = kilobytes(&read("status")?, "VmHWM:").context("No VmHWM in /proc/PID/status")?;
        Ok(Memory { peak, guest_pages: resident_of_size(&read("smaps")?, guest) })
    }

    pub(super) fn kill(mut self) -> Result<()> {
        self.stop()
    }

    fn stop(&mut self) -> Result<()> {
        // It may have ended by itself, which is as good.
        let _ = self.child.kill();
        self.child.wait().context("Cannot wait for a machine")?;
        Ok(())
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        // Nobody is left to tell.
        let _ = self.stop();
    }
}

/// The value of a `Name:   123 kB` line in bytes.
fn kilobytes(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse::<u64>().ok().map(|number| number * 1024)
}

/// Resident bytes of the mappings that together make up the guest's memory: the smallest stretch of at least its size.
/// Adjacent mappings are summed, because protection changes split one, and a larger one is taken, because the kernel
/// joins anonymous neighbours; what the neighbour holds then counts as the guest's.
fn resident_of_size(smaps: &str, size: u64) -> Option<u64> {
    let mut run: Option<(u64, u64, u64)> = None; // start, end, resident
    let mut runs = Vec::new();
    for line in smaps.lines() {
        let range = line.split_once(' ').and_then(|(range, _)| range.split_once('-'));
        let range = range.and_then(|(start, end)| {
            Some((u64::from_str_radix(start, 16).ok()?, u64::from_str_radix(end, 16).ok()?))
        });
        if let Some((start, end)) = range {
            match &mut run {
                Some((_, last, _)) if *last == start => *last = end,
                _ => {
                    runs.extend(run.take());
                    run = Some((start, end, 0));
                }
            }
            // Each mapping is also a candidate of its own: neighbours may have nothing to do with it.
            runs.push((start, end, 0));
        } else if let Some(resident) = kilobytes(line, "Rss:") {
            if let Some(run) = &mut run {
                run.2 += resident;
            }
            if let Some(single) = runs.last_mut() {
                single.2 = resident;
            }
        }
    }
    runs.extend(run);
    let fitting = runs.into_iter().filter(|(start, end, _)| end - start >= size);
    fitting
        .min_by_key(|(start, end, resident)| (end - start, u64::MAX - resident))
        .map(|(_, _, resident)| resident)
}

/// Reads `bench: NAME MINIMUM MEDIAN UNIT (...)`; the minimum is taken, as the least disturbed run.
pub(super) fn figure(line: &str) -> Option<(&str, f64, &str)> {
    let mut words = line.trim().strip_prefix("bench: ")?.split_whitespace();
    let name = words.next()?;
    let value = words.next()?.parse().ok()?;
    let unit = words.nth(1)?;
    Some((name, value, unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_line_gives_its_minimum() {
        let line = "bench: null-syscall 19.96 22.53 us (5 runs of 8192)\r";
        assert_eq!(figure(line), Some(("null-syscall", 19.96, "us")));
        assert_eq!(figure("bench: no figure is called x"), None);
        assert_eq!(figure("vmmtest: bench: start"), None);
    }

    #[test]
    fn guest_memory_is_found_whole_or_split() {
        let smaps = "1000-2000 rw-p 0\nRss:       4 kB\n\
                     10000-18000 rw-p 0\nRss:      12 kB\nPss: 1 kB\n18000-20000 r--p 0\nRss:       8 kB\n";
        assert_eq!(resident_of_size(smaps, 0x10000), Some(20 * 1024));
        assert_eq!(resident_of_size(smaps, 0x8000), Some(12 * 1024));
        assert_eq!(resident_of_size(smaps, 0x40000), None);
    }

    #[test]
    fn a_console_is_searched_and_a_silent_machine_is_told() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo one; echo two"]);
        let mut guest = Guest::start(command).expect("a child");
        assert!(guest.wait_for("two", Duration::from_secs(10)).expect("text").contains("one"));
        let error = guest.wait_for("three", Duration::from_secs(10)).expect_err("no such text");
        assert!(error.to_string().contains("before the machine ended"), "{error}");
    }
}
