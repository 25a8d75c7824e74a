//! Tests that run against every backend: microkernels, lock step, Linux boots.
