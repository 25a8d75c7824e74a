//! A small PowerPC 440 assembler for tests and microkernels.
