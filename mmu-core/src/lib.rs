//! The PowerPC 440 TLB: exact guest translation, shadow bookkeeping and replacement policies.
