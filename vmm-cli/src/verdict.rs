//! How a run ended, as a sentence and as an exit code.

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The guest reset itself, and resets end the run.
    Reset,
    /// Nothing can wake the guest any more.
    Halted,
    /// The user left by key or command.
    Quit,
    /// The program could not go on.
    Error(String),
    /// The guest cannot go on; the message and a register dump.
    GuestFatal {
        /// What the engine saw.
        message: String,
        /// All registers.
        registers: String,
    },
    /// "Kernel panic" on a console.
    Panic,
    /// Time is up.
    Timeout(std::time::Duration),
    /// A pattern of `--exit-when` matched.
    Matched {
        /// The pattern.
        pattern: String,
        /// Its code.
        code: u8,
    },
    /// A signal asked the program to end.
    Signal(i32),
}

impl Verdict {
    /// The exit code, see `vmm run --help`.
    pub(crate) fn code(&self) -> u8 {
        match self {
            Self::Reset | Self::Halted | Self::Quit => 0,
            Self::Error(_) => 1,
            Self::GuestFatal { .. } => 3,
            Self::Panic => 4,
            Self::Timeout(_) => 124,
            Self::Matched { code, .. } => *code,
            Self::Signal(number) => 128u8.wrapping_add(*number as u8),
        }
    }

    /// One word for machines.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Reset => "reset",
            Self::Halted => "halted",
            Self::Quit => "quit",
            Self::Error(_) => "error",
            Self::GuestFatal { .. } => "guest-fatal",
            Self::Panic => "panic",
            Self::Timeout(_) => "timeout",
            Self::Matched { .. } => "matched",
            Self::Signal(_) => "signal",
        }
    }

    /// What is told on standard error.
    pub(crate) fn sentence(&self) -> String {
        match self {
            Self::Reset => "The guest reset".into(),
            Self::Halted => "The guest halted: nothing can wake it any more".into(),
            Self::Quit => "Left by request".into(),
            Self::Error(message) => message.clone(),
            Self::GuestFatal { message, registers } => {
                format!("The guest cannot go on: {message}\n{}", registers.trim_end())
            }
            Self::Panic => "The guest's kernel panicked".into(),
            Self::Timeout(after) => format!("Time is up after {} s", after.as_secs_f64()),
            Self::Matched { pattern, code } => format!("The console matched `{pattern}`: exit code {code}"),
            Self::Signal(number) => format!("Ended by signal {number}"),
        }
    }
}
