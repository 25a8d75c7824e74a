//! The floating-point unit against an independent description of it (`oracle`), against the host's own
//! floating point, and against the architecture's tables, one sentence a test.

mod agreement;
mod instructions;
mod oracle;
mod tables;
