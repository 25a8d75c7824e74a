//! The Unicorn execution backend as a plugin.
