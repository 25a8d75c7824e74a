//! The user's terminal in raw mode, and back again whatever happens.
//!
//! Raw here means: every key goes to the guest, Ctrl-C too. Output processing stays on, so that our own messages keep
//! their line ends. The saved settings stand in one place for the whole process, so that exit, panic and signals can
//! all put them back.

use std::sync::{Mutex, Once, PoisonError};

use rustix::termios::{
    InputModes, LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr,
};

/// What to put back; `None` while the terminal is as it was found.
static SAVED: Mutex<Option<Termios>> = Mutex::new(None);

/// Raw mode as long as it lives.
#[derive(Debug)]
pub(crate) struct RawMode(());

impl RawMode {
    /// Puts standard input into raw mode if it is a terminal.
    pub(crate) fn enter() -> Option<Self> {
        static HOOK: Once = Once::new();
        let stdin = rustix::stdio::stdin();
        let found = tcgetattr(stdin).ok()?;
        let mut raw = found.clone();
        raw.input_modes -= InputModes::ICRNL
            | InputModes::INLCR
            | InputModes::IGNCR
            | InputModes::ISTRIP
            | InputModes::IXON
            | InputModes::BRKINT;
        raw.local_modes -= LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG | LocalModes::IEXTEN;
        raw.special_codes[SpecialCodeIndex::VMIN] = 1;
        raw.special_codes[SpecialCodeIndex::VTIME] = 0;
        *SAVED.lock().unwrap_or_else(PoisonError::into_inner) = Some(found);
        HOOK.call_once(|| {
            let before = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |info| {
                restore();
                before(info);
            }));
        });
        tcsetattr(stdin, OptionalActions::Now, &raw).ok()?;
        Some(Self(()))
    }
}

impl Drop for RawMode {
    fn drop(&mut self) {
        restore();
    }
}

/// Puts the terminal back as it was found.
pub(crate) fn restore() {
    if let Some(found) = SAVED.lock().unwrap_or_else(PoisonError::into_inner).take() {
        let _ = tcsetattr(rustix::stdio::stdin(), OptionalActions::Now, &found);
    }
}
