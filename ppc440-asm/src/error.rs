//! What can be wrong with a source, and where.

use alloc::string::String;

/// An assembly error: where and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}Line {line}: {kind}{}", prefix(.file), suffix(.in_macro))]
pub struct Error {
    /// Name of the source, as given to [`Assembler`](crate::Assembler); empty for [`assemble`](crate::assemble).
    pub file: String,
    /// Line of the source, from 1. For a statement that a macro produced: the line of the macro's use.
    pub line: u32,
    /// The macros through which the statement came, outermost first; empty when it was written as it stands.
    pub in_macro: String,
    /// What is wrong.
    #[source]
    pub kind: ErrorKind,
}

fn prefix(file: &str) -> String {
    if file.is_empty() { String::new() } else { alloc::format!("{file}: ") }
}

fn suffix(in_macro: &str) -> String {
    if in_macro.is_empty() { String::new() } else { alloc::format!(" (in macro {in_macro})") }
}

/// The reason of an [`Error`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The mnemonic is no instruction of the 440EP, no extended mnemonic, no directive and no macro.
    #[error("Unknown instruction or directive \"{0}\"")]
    UnknownMnemonic(String),
    /// The instruction exists but takes another number of operands.
    #[error("\"{mnemonic}\" takes {expected} operands, not {found}")]
    OperandCount {
        /// The mnemonic.
        mnemonic: String,
        /// What it takes, in words.
        expected: String,
        /// How many were written.
        found: usize,
    },
    /// An operand is of the wrong sort.
    #[error("Operand {index} must be {expected}")]
    OperandKind {
        /// Which operand, from 1.
        index: usize,
        /// What is needed.
        expected: &'static str,
    },
    /// An operand's value does not fit its field.
    #[error("Operand {index} is {value:#x}, out of range {min}..={max}")]
    OperandRange {
        /// Which operand, from 1.
        index: usize,
        /// The value.
        value: i64,
        /// Smallest value that fits.
        min: i64,
        /// Largest value that fits.
        max: i64,
    },
    /// The registers name a form that the architecture calls invalid (update with RA=0, `lmw` over its base).
    #[error("Invalid form: {0}")]
    InvalidForm(&'static str),
    /// A branch target is too far or not word aligned.
    #[error("Branch target {target:#010x} is out of reach of {from:#010x} or not a multiple of 4")]
    BranchTarget {
        /// The branch's address.
        from: u32,
        /// Where it should go.
        target: u32,
    },
    /// A symbol has no definition.
    #[error("Undefined symbol \"{0}\"")]
    UndefinedSymbol(String),
    /// A numeric local label such as `1b` has no such label on that side.
    #[error("No local label \"{0}\" in that direction")]
    UndefinedLocal(String),
    /// A label was defined before, or a label was also given to `.set`.
    #[error("Symbol \"{0}\" is already defined")]
    Redefined(String),
    /// A directive needs its value at once, but it uses a symbol that is defined later.
    #[error("\"{0}\" needs a value that is known here, not one defined later")]
    ForwardReference(&'static str),
    /// The text does not follow the syntax.
    #[error("Syntax: {0}")]
    Syntax(String),
    /// A data value does not fit its size.
    #[error("Value {value:#x} does not fit in {bytes} bytes")]
    DataRange {
        /// The value.
        value: i64,
        /// Size of the datum.
        bytes: u8,
    },
    /// An instruction would lie at an address that is not a multiple of 4.
    #[error("Instruction at {0:#010x}, which is not a multiple of 4 (use .align 2)")]
    Misaligned(u32),
    /// `.org` would move backwards.
    #[error(".org {to:#x} lies before the current address {from:#x}")]
    OrgBackwards {
        /// Current address.
        from: u32,
        /// Address asked for.
        to: i64,
    },
    /// The image, a repetition or the nesting of macros passes its limit.
    #[error("{0} exceeds its limit")]
    TooLarge(&'static str),
    /// A division by zero in an expression.
    #[error("Division by zero")]
    DivisionByZero,
    /// `.error`, or a macro argument marked `:req` that is missing.
    #[error("{0}")]
    User(String),
}
