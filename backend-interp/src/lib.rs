//! The interp execution backend as a plugin.
