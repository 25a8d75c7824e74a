//! Conformance microkernels for the PowerPC 440, assembled at build time.
