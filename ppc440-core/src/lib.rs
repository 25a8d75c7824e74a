//! The PowerPC 440EP core: state, decoder, reference interpreter, exceptions and timers.
