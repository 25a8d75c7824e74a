//! The keys of a raw terminal: what goes to the guest, and what Ctrl-A takes out of it. While the monitor is open, keys
//! edit its line instead.

/// Ctrl-A, the escape.
const ESCAPE: u8 = 1;
/// The longest line for the monitor.
const LONGEST_LINE: usize = 200;

/// Ctrl-A h.
pub(crate) const HELP: &str = "\
Ctrl-A x       leave
Ctrl-A c       open or close the monitor
Ctrl-A h       this help
Ctrl-A Ctrl-A  send Ctrl-A to the guest
";

/// What keys mean.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Key {
    /// For the guest.
    Guest(Vec<u8>),
    /// Ctrl-A x.
    Leave,
    /// Ctrl-A h.
    Help,
    /// The monitor opens (true) or closes.
    Monitor(bool),
    /// The monitor's line changed: show this.
    Echo(String),
    /// A whole line for the monitor.
    Line(String),
}

/// What is remembered between keys.
#[derive(Debug, Default)]
pub(crate) struct Keys {
    escaped: bool,
    monitor: bool,
    line: String,
}

impl Keys {
    /// Takes what was typed.
    pub(crate) fn press(&mut self, bytes: &[u8]) -> Vec<Key> {
        let mut keys = Vec::new();
        for &byte in bytes {
            if std::mem::take(&mut self.escaped) {
                match byte {
                    b'x' => keys.push(Key::Leave),
                    b'h' | b'?' => keys.push(Key::Help),
                    b'c' => {
                        self.monitor = !self.monitor;
                        self.line.clear();
                        keys.push(Key::Monitor(self.monitor));
                    }
                    ESCAPE => self.plain(byte, &mut keys),
                    // Not ours: as in other monitors the key is lost, not the escape's meaning.
                    _ => {}
                }
            } else if byte == ESCAPE {
                self.escaped = true;
            } else {
                self.plain(byte, &mut keys);
            }
        }
        keys
    }

    fn plain(&mut self, byte: u8, keys: &mut Vec<Key>) {
        if self.monitor {
            match byte {
                b'\r' | b'\n' => {
                    keys.push(Key::Echo("\n".into()));
                    keys.push(Key::Line(std::mem::take(&mut self.line)));
                }
                8 | 0x7f if self.line.pop().is_some() => keys.push(Key::Echo("\x08 \x08".into())),
                // Ctrl-U
                0x15 => {
                    keys.push(Key::Echo("\x08 \x08".repeat(self.line.len())));
                    self.line.clear();
                }
                b' '..=b'~' if self.line.len() < LONGEST_LINE => {
                    self.line.push(char::from(byte));
                    keys.push(Key::Echo(char::from(byte).to_string()));
                }
                _ => {}
            }
        } else if let Some(Key::Guest(bytes)) = keys.last_mut() {
            bytes.push(byte);
        } else {
            keys.push(Key::Guest(vec![byte]));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_goes_to_the_guest_ctrl_c_too() {
        assert_eq!(Keys::default().press(b"ls\r\x03"), [Key::Guest(b"ls\r\x03".to_vec())]);
    }

    #[test]
    fn the_escape_works_across_reads_and_can_be_sent() {
        let mut keys = Keys::default();
        assert_eq!(keys.press(b"a\x01"), [Key::Guest(b"a".to_vec())]);
        assert_eq!(keys.press(b"x"), [Key::Leave]);
        assert_eq!(keys.press(b"\x01\x01b"), [Key::Guest(b"\x01b".to_vec())]);
        assert_eq!(keys.press(b"\x01h"), [Key::Help]);
        assert_eq!(keys.press(b"\x01zq"), [Key::Guest(b"q".to_vec())]);
    }

    #[test]
    fn the_monitor_edits_a_line() {
        let mut keys = Keys::default();
        assert_eq!(keys.press(b"\x01c"), [Key::Monitor(true)]);
        let lines: Vec<Key> =
            keys.press(b"quix\x7ft\r").into_iter().filter(|key| matches!(key, Key::Line(_))).collect();
        assert_eq!(lines, [Key::Line("quit".into())]);
        assert_eq!(keys.press(b"\x01ca"), [Key::Monitor(false), Key::Guest(b"a".to_vec())]);
    }
}
