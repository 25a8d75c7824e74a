//! The whole program, driven with plugins that are made for it: a backend and a board in C (`tests/toy`), broken ones,
//! and one in Rust that panics. The toy guest is a string; see `tests/toy/backend.c` for the orders in it.

mod console;
mod plugins;
mod toy;
mod usage;
mod verdicts;
