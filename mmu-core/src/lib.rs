#![doc = include_str!("../README.md")]
#![no_std]
#![forbid(unsafe_code)]

mod address;
mod context;
mod direct;
mod entry;
pub mod layout;
pub mod policy;
mod shadow;
mod sink;
mod slot;
mod stats;
mod tlb;
pub mod trace;

pub use address::{EffectiveAddress, PhysicalAddress};
pub use direct::DirectShadow;
pub use entry::{Attributes, PageSize, TlbEntry};
pub use policy::{Pool, ReplacementPolicy};
pub use shadow::{Shadow, ShadowInfo};
pub use sink::{ContextId, ShadowPage, ShadowSink};
pub use slot::{ShadowStorage, Slot, SlotSlice, SlotStorage};
pub use stats::{ShapeError, Stats};
pub use tlb::{Access, Fault, Mode, Tlb, Translation};
