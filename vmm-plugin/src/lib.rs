//! The plugin ABI of ppc440-vmm: C tables, safe wrappers for both sides, and the export macro.
