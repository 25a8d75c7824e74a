//! The kvm execution backend as a plugin.
