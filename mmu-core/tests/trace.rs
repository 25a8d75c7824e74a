//! The trace format: what is written is read back, and no bytes make the reader panic.

use mmu_core::trace::{Decoder, Encoder, Event, MAGIC, MAX_RECORD, Outcome, TraceError};
use mmu_core::{Access, EffectiveAddress};
use proptest::prelude::*;

fn page() -> impl Strategy<Value = EffectiveAddress> {
    any::<u32>().prop_map(|ea| EffectiveAddress(ea & !0x3ff))
}

fn event() -> impl Strategy<Value = Event> {
    let access = prop_oneof![Just(Access::Fetch), Just(Access::Load), Just(Access::Store)];
    let outcome = prop_oneof![
        Just(Outcome::Hit),
        Just(Outcome::Installed),
        Just(Outcome::GuestMiss),
        Just(Outcome::Protection)
    ];
    prop_oneof![
        any::<(u8, bool, bool, bool)>().prop_map(|(pid, instruction_space, data_space, user)| Event::Mode {
            pid,
            instruction_space,
            data_space,
            user
        }),
        (0u8..64, 0u8..3, any::<u32>(), any::<u8>()).prop_map(|(index, ws, value, stid)| Event::Write {
            index,
            ws,
            value,
            stid: if ws == 0 { stid } else { 0 }
        }),
        (page(), access, outcome).prop_map(|(ea, access, outcome)| Event::Access { ea, access, outcome }),
        page().prop_map(|sp| Event::Stack { sp }),
        (page(), any::<u8>(), any::<bool>()).prop_map(|(ea, shift, writable)| Event::Drop {
            ea,
            shift,
            writable
        }),
        Just(Event::InvalidateAll),
        any::<u32>().prop_map(|events| Event::Lost { events }),
    ]
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(events in prop::collection::vec(event(), 0..200)) {
        let mut encoder = Encoder::new();
        let mut bytes = MAGIC.to_vec();
        for event in &events {
            let record = encoder.encode(event);
            prop_assert!(record.as_bytes().len() <= MAX_RECORD);
            bytes.extend_from_slice(record.as_bytes());
        }
        let read: Result<Vec<Event>, TraceError> = Decoder::new(&bytes).unwrap().collect();
        prop_assert_eq!(read, Ok(events));
    }

    #[test]
    fn any_bytes_are_read_to_an_end(tail in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut bytes = MAGIC.to_vec();
        bytes.extend(tail);
        let read: Vec<_> = Decoder::new(&bytes).unwrap().collect();
        prop_assert!(read.iter().rev().skip(1).all(Result::is_ok));
    }
}

#[test]
fn the_format_is_what_its_page_says() {
    let mut encoder = Encoder::new();
    let mut bytes = MAGIC.to_vec();
    let ea = EffectiveAddress;
    for event in [
        Event::Mode { pid: 9, instruction_space: false, data_space: true, user: true },
        Event::Access { ea: ea(0x400), access: Access::Fetch, outcome: Outcome::Hit },
        Event::Access { ea: ea(0), access: Access::Fetch, outcome: Outcome::Installed },
        Event::Access { ea: ea(0x2_0000), access: Access::Store, outcome: Outcome::Protection },
        Event::Write { index: 63, ws: 0, value: 0x1234_5678, stid: 7 },
        Event::Write { index: 1, ws: 2, value: 1, stid: 0 },
        Event::Drop { ea: ea(0xc00), shift: 12, writable: true },
    ] {
        bytes.extend_from_slice(encoder.encode(&event).as_bytes());
    }
    let expected = [
        &b"440TLB\x00\x01"[..],
        &[0x01, 0x06, 9],
        &[0x10, 2],
        &[0x14, 1],
        &[0x1e, 0x80, 0x02],
        &[0x02, 63, 0x78, 0x56, 0x34, 0x12, 7],
        &[0x04, 1, 1, 0, 0, 0],
        &[0x21, 6, 12],
    ]
    .concat();
    assert_eq!(bytes, expected);
}

#[test]
fn bad_traces_are_refused_with_the_place() {
    assert_eq!(Decoder::new(b"440").err(), Some(TraceError::NotATrace));
    assert_eq!(Decoder::new(b"440TLX\x00\x01").err(), Some(TraceError::NotATrace));
    assert_eq!(Decoder::new(b"440TLB\x00\x02").err(), Some(TraceError::Version(2)));
    let read = |tail: &[u8]| {
        let bytes = [&MAGIC[..], tail].concat();
        Decoder::new(&bytes).unwrap().last().unwrap()
    };
    assert_eq!(read(&[6, 0]), Err(TraceError::Opcode(0, 9)));
    assert_eq!(read(&[0x13]), Err(TraceError::Opcode(0x13, 8)));
    assert_eq!(read(&[0x10]), Err(TraceError::Truncated(8)));
    assert_eq!(read(&[0x10, 1]), Err(TraceError::Operand(8)), "a page below zero");
    assert_eq!(read(&[7, 0xff, 0xff, 0xff, 0xff, 0x1f]), Err(TraceError::Operand(8)));
    assert_eq!(read(&[7, 0xff, 0xff, 0xff, 0xff, 0xff]), Err(TraceError::Operand(8)));
    assert_eq!(read(&[7, 0xff, 0xff, 0xff, 0xff, 0x0f]), Ok(Event::Lost { events: u32::MAX }));
    for error in [TraceError::NotATrace, TraceError::Version(2), TraceError::Opcode(0, 9)] {
        assert!(error.to_string().starts_with(char::is_uppercase));
    }
    assert_eq!(TraceError::Operand(8).to_string(), "Trace record with a bad operand at offset 8");
    assert_eq!(TraceError::Truncated(9).to_string(), "The trace ends within the record at offset 9");
}
