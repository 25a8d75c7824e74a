//! What the user sees while something takes long.
//!
//! On a terminal one line at the bottom shows every running step with its count and time; elsewhere each
//! step tells from time to time that it is alive. Everything goes to standard error, because standard
//! output carries results.

use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Pause between two lines of one step when no terminal is there.
const QUIET_INTERVAL: Duration = Duration::from_secs(20);
/// Pause between two drawings of the line at the bottom.
const DRAW_INTERVAL: Duration = Duration::from_millis(100);

struct Step {
    started: Instant,
    told: Instant,
    text: String,
}

struct Board {
    steps: BTreeMap<String, Step>,
    drawn: Option<Instant>,
}

static BOARD: Mutex<Board> = Mutex::new(Board { steps: BTreeMap::new(), drawn: None });

fn board() -> MutexGuard<'static, Board> {
    // The board only feeds the display: after a panic elsewhere it is still good enough.
    BOARD.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A running step. It leaves the display when dropped.
pub(crate) struct Task {
    name: String,
}

impl Task {
    /// Starts showing a step.
    pub(crate) fn new(name: &str) -> Self {
        let now = Instant::now();
        let mut board = board();
        board.steps.insert(name.to_owned(), Step { started: now, told: now, text: String::new() });
        draw(&mut board, true);
        Self { name: name.to_owned() }
    }

    /// Says how far the step is.
    pub(crate) fn set(&self, text: &str) {
        let terminal = std::io::stderr().is_terminal();
        let mut board = board();
        let Some(step) = board.steps.get_mut(&self.name) else { return };
        text.clone_into(&mut step.text);
        if terminal {
            draw(&mut board, false);
        } else if step.told.elapsed() >= QUIET_INTERVAL {
            step.told = Instant::now();
            eprintln!("{}: {text} ({})", self.name, seconds(step.started.elapsed()));
        }
    }

    /// Ends the step with a line that stays.
    pub(crate) fn done(self, text: &str) {
        let started = board().steps.get(&self.name).map(|step| step.started);
        let took = started.map_or_else(String::new, |started| format!(" ({})", seconds(started.elapsed())));
        line(&format!("{}: {text}{took}", self.name));
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        let mut board = board();
        board.steps.remove(&self.name);
        draw(&mut board, true);
    }
}

/// Prints a line that stays, above the running steps.
pub(crate) fn line(text: &str) {
    let mut board = board();
    erase(&mut board);
    eprintln!("{text}");
    draw(&mut board, true);
}

/// Clears the line at the bottom; to be called before anything else writes to the terminal.
pub(crate) fn finish() {
    erase(&mut board());
}

fn erase(board: &mut Board) {
    if board.drawn.take().is_some() {
        eprint!("\r\x1b[K");
    }
}

fn draw(board: &mut Board, at_once: bool) {
    if !std::io::stderr().is_terminal() {
        return;
    }
    if !at_once && board.drawn.is_some_and(|drawn| drawn.elapsed() < DRAW_INTERVAL) {
        return;
    }
    if board.steps.is_empty() {
        erase(board);
        return;
    }
    let parts: Vec<String> = board
        .steps
        .iter()
        .map(|(name, step)| format!("{name} {} {}", seconds(step.started.elapsed()), step.text))
        .collect();
    let width =
        rustix::termios::tcgetwinsize(rustix::stdio::stderr()).map_or(80, |size| usize::from(size.ws_col));
    let text: String = parts.join(" | ").chars().take(width.saturating_sub(1)).collect();
    eprint!("\r\x1b[K{text}");
    let _ = std::io::stderr().flush();
    board.drawn = Some(Instant::now());
}

/// A duration as a person reads it.
pub(crate) fn seconds(duration: Duration) -> String {
    let total = duration.as_secs();
    if total < 60 { format!("{total}s") } else { format!("{}m{:02}s", total / 60, total % 60) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_like_a_clock() {
        assert_eq!(seconds(Duration::from_secs(59)), "59s");
        assert_eq!(seconds(Duration::from_secs(61)), "1m01s");
        assert_eq!(seconds(Duration::from_secs(3600)), "60m00s");
    }
}
