//! The program vmm: boots PowerPC 440 guests on a backend and a board chosen at run time.
