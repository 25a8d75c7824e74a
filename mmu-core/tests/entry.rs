//! Entries, words and their fields.

mod common;

use common::{ALL, ea, entry, kernel, pa, user};
use mmu_core::{Access, Attributes, EffectiveAddress, Fault, PageSize, PhysicalAddress, Tlb, TlbEntry};

#[test]
fn reserved_and_parity_bits_read_zero() {
    let mut tlb = Tlb::new();
    for ws in 0..3 {
        tlb.write_word(11, ws, u32::MAX, 0xab);
    }
    let words = [0, 1, 2, 3].map(|ws| tlb.read_word(11, ws));
    assert_eq!(words, [0xffff_fff0, 0xffff_fc0f, 0x0000_ffbf, 0]);
    assert_eq!(tlb.tid(11), 0xab);
    // Another word number writes nothing.
    tlb.write_word(11, 3, 0, 0);
    assert_eq!(tlb.read_word(11, 0), 0xffff_fff0);
    assert_eq!(tlb.tid(11), 0xab);
    // Only word 0 moves the TID.
    tlb.write_word(11, 1, 0, 0x11);
    assert_eq!(tlb.tid(11), 0xab);
}

#[test]
fn a_size_is_in_use_while_a_valid_entry_has_it() {
    let mut tlb = Tlb::new();
    let in_use = |tlb: &Tlb| PageSize::ALL.into_iter().filter(|&size| tlb.uses(size)).collect::<Vec<_>>();
    tlb.set_entry(3, entry(0, PageSize::K1, 0, 0, ALL));
    tlb.set_entry(4, entry(0, PageSize::M256, 0, 0, ALL));
    tlb.set_entry(5, entry(0x400, PageSize::K1, 0, 0, ALL));
    assert_eq!(in_use(&tlb), [PageSize::K1, PageSize::M256]);
    tlb.write_word(3, 0, 0x210, 0);
    assert_eq!(in_use(&tlb), [PageSize::K1, PageSize::K4, PageSize::M256]);
    tlb.write_word(5, 0, 0, 0);
    assert_eq!(in_use(&tlb), [PageSize::K4, PageSize::M256]);
}

#[test]
fn a_new_tlb_matches_nothing() {
    let tlb = Tlb::new();
    assert_eq!(tlb, Tlb::default());
    assert!((0..64).all(|index| !tlb.entry(index).valid()));
    assert_eq!(tlb.translate(ea(0), Access::Fetch, kernel(0)), Err(Fault::Miss));
    assert_eq!(Tlb::<64>::ENTRIES, 64);
}

#[test]
fn fields_are_where_the_manual_has_them() {
    let entry = TlbEntry { word0: 0x1234_5f9f, word1: 0x89ab_cc07, word2: 0x0000_a5bf, tid: 0x42 };
    assert_eq!((entry.epn(), entry.rpn(), entry.erpn()), (ea(0x1234_5c00), 0x89ab_cc00, 7));
    assert_eq!((entry.valid(), entry.ts(), entry.size()), (true, true, Some(PageSize::M256)));
    assert_eq!(entry.page_start(), Some(ea(0x1000_0000)));
    assert_eq!(entry.frame_start(), Some(pa(0x7_8000_0000)));
    let attributes = entry.attributes();
    assert_eq!(attributes, Attributes(0xa580));
    assert_eq!(attributes.user_defined(), 0b1010);
    assert!(!attributes.write_through() && attributes.caching_inhibited() && !attributes.memory_coherent());
    assert!(attributes.guarded() && attributes.little_endian());
    assert!(Attributes(0x800).write_through() && Attributes(0x200).memory_coherent());
    assert!(!Attributes(0).caching_inhibited() && !Attributes(0).guarded() && !Attributes(0).little_endian());
    for (bit, user, rwx) in [
        (TlbEntry::SR, false, [true, false, false]),
        (TlbEntry::SW, false, [false, true, false]),
        (TlbEntry::SX, false, [false, false, true]),
        (TlbEntry::UR, true, [true, false, false]),
        (TlbEntry::UW, true, [false, true, false]),
        (TlbEntry::UX, true, [false, false, true]),
    ] {
        let entry = TlbEntry { word2: bit, ..TlbEntry::EMPTY };
        assert_eq!([entry.readable(user), entry.writable(user), entry.executable(user)], rwx);
        assert!(!entry.readable(!user) && !entry.writable(!user) && !entry.executable(!user));
    }
}

#[test]
fn each_access_needs_its_own_bit_in_its_own_state() {
    let mut tlb = Tlb::new();
    for bits in 0..64u32 {
        tlb.set_entry(0, entry(0x4000, PageSize::K4, 0x8000, 0, bits));
        for (shift, mode) in [(0, kernel(1)), (3, user(1))] {
            for (bit, access) in [(1, Access::Load), (2, Access::Store), (4, Access::Fetch)] {
                let allowed = bits >> shift & bit != 0;
                let found = tlb.translate(ea(0x4123), access, mode);
                assert_eq!(
                    found.map(|t| t.pa),
                    if allowed { Ok(pa(0x8123)) } else { Err(Fault::Protection) }
                );
                if let Ok(t) = found {
                    let rwx = [t.readable, t.writable, t.executable];
                    assert_eq!(rwx, [1, 2, 4].map(|bit| bits >> shift & bit != 0));
                    assert_eq!((t.index, t.size), (0, PageSize::K4));
                }
            }
        }
    }
}

#[test]
fn every_size_translates_its_first_and_last_byte_and_no_more() {
    for size in PageSize::ALL {
        let mut tlb = Tlb::new();
        tlb.set_entry(33, entry(0xe000_0000, size, 0x9_3000_0000, 0, ALL));
        let last = 0xe000_0000 + (size.bytes() - 1);
        let found = |at| tlb.translate(ea(at), Access::Load, kernel(9)).map(|t| t.pa.0);
        assert_eq!(found(0xe000_0000), Ok(0x9_3000_0000));
        assert_eq!(found(last), Ok(0x9_3000_0000 + u64::from(size.bytes() - 1)));
        assert_eq!(found(0xdfff_ffff), Err(Fault::Miss));
        assert_eq!(found(last + 1), Err(Fault::Miss));
        assert_eq!(size.bytes(), 1024 << (2 * size.code()));
        assert_eq!(PageSize::from_code(size.code()), Some(size));
        assert_eq!(size.mask(), !(size.bytes() - 1));
    }
    // The last page of the address space ends at its end.
    let mut tlb = Tlb::new();
    tlb.set_entry(0, entry(0xf000_0000, PageSize::M256, 0, 0, ALL));
    assert_eq!(tlb.search(ea(0xffff_ffff), false, 0), Some(0));
    assert_eq!(tlb.search(ea(0), false, 0), None);
}

#[test]
fn overlaps_are_found_between_all_sizes_and_only_there() {
    for (a, large) in PageSize::ALL.into_iter().enumerate() {
        for small in PageSize::ALL.into_iter().take(a + 1) {
            let mut tlb = Tlb::new();
            let at = 0x4000_0000 + (large.bytes() - small.bytes());
            tlb.set_entry(50, entry(0x4000_0000, large, 0, 7, ALL));
            for (tid, overlapping) in [(7, true), (0, true), (8, false)] {
                tlb.set_entry(2, entry(at, small, 0, tid, ALL));
                assert_eq!(
                    tlb.overlaps(2),
                    if overlapping { 1 << 50 } else { 0 },
                    "{large:?} {small:?} {tid}"
                );
                assert_eq!(tlb.overlaps(50), if overlapping { 1 << 2 } else { 0 });
            }
            tlb.set_entry(2, entry(at + small.bytes(), small, 0, 7, ALL));
            assert_eq!((tlb.overlaps(2), tlb.overlaps(50)), (0, 0));
            let mut other_space = entry(at, small, 0, 7, ALL);
            other_space.word0 |= TlbEntry::TS;
            tlb.set_entry(2, other_space);
            assert_eq!((tlb.overlaps(2), tlb.overlaps(50)), (0, 0));
        }
    }
}

#[test]
fn entries_and_addresses_print_for_people() {
    let mut e =
        entry(0xc000_0000, PageSize::M256, 0x1_0000_0000, 0, TlbEntry::SR | TlbEntry::SW | TlbEntry::I);
    assert_eq!(e.to_string(), "V AS0 TID   0 c0000000 -> 100000000 256M -----I--- Srw- U---");
    e = TlbEntry { word0: 0x4110, word1: 0x8000, word2: 0xf9bf, tid: 12 };
    assert_eq!(e.to_string(), "- AS1 TID  12 00004000 -> 000008000   4K 0123W--GE Srwx Urwx");
    e = TlbEntry { word0: 0x0010_0250, word1: 0x0020_0000, word2: 0, tid: 0 };
    assert_eq!(e.to_string(), "V AS0 TID   0 00100000 -> 000200000   1M --------- S--- U---");
    e.word0 = 0x60;
    assert_eq!(e.to_string(), "invalid SIZE 6");
    assert_eq!(format!("{:x} {:x}", ea(0xab), pa(0xcd)), "ab cd");
    assert_eq!(u32::from(EffectiveAddress::from(7)), 7);
    assert_eq!(u64::from(PhysicalAddress(8)), 8);
    assert_eq!(Fault::Miss.to_string(), "No TLB entry matches");
    assert_eq!(Fault::Protection.to_string(), "The TLB entry forbids the access");
    assert!(format!("{:?}", Tlb::<2>::with_entries()).starts_with("[TlbEntry"));
}

#[test]
fn equality_is_that_of_the_entries() {
    let mut a = Tlb::new();
    let b = a.clone();
    a.set_entry(3, entry(0x4000, PageSize::K4, 0, 0, ALL));
    assert_ne!(a, b);
    a.set_entry(3, TlbEntry::EMPTY);
    assert_eq!(a, b);
}
