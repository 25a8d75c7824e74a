//! The user's terminal in raw mode, and back again whatever happens.
//!
//! Raw here means: every key goes to the guest, Ctrl-C too. Output processing stays on, so that our own messages keep
//! their line ends. The settings are put back when [`RawMode`] is dropped, in a panic (of any thread), and in the
//! signals of a crash; the signals that ask the program to end make it end in order.

mod crash;

use std::sync::Once;

use rustix::termios::{
    InputModes, LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr,
};

/// Raw mode as long as it lives.
#[derive(Debug)]
pub(crate) struct RawMode {
    raw: Termios,
}

impl RawMode {
    /// Puts standard input into raw mode if it is a terminal.
    pub(crate) fn enter() -> Option<Self> {
        static HOOK: Once = Once::new();
        let mut raw = tcgetattr(rustix::stdio::stdin()).ok()?;
        raw.input_modes -= InputModes::ICRNL
            | InputModes::INLCR
            | InputModes::IGNCR
            | InputModes::ISTRIP
            | InputModes::IXON
            | InputModes::BRKINT;
        raw.local_modes -= LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG | LocalModes::IEXTEN;
        raw.special_codes[SpecialCodeIndex::VMIN] = 1;
        raw.special_codes[SpecialCodeIndex::VTIME] = 0;
        crash::remember();
        HOOK.call_once(|| {
            let before = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |info| {
                // A panic of the vCPU's thread ends the run, and its message should be readable.
                crash::put_back();
                before(info);
            }));
        });
        let mode = Self { raw };
        mode.again();
        Some(mode)
    }

    /// Sets raw mode again after somebody else used the terminal.
    pub(crate) fn again(&self) {
        let _ = tcsetattr(rustix::stdio::stdin(), OptionalActions::Now, &self.raw);
    }
}

impl Drop for RawMode {
    fn drop(&mut self) {
        crash::put_back();
    }
}
