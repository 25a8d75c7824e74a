use std::cell::Cell;
use std::rc::Rc;

use super::*;
use crate::i2c::Eeprom;

type Bench = (Iic<Rc<Cell<bool>>>, Rc<Cell<bool>>);

fn bench() -> Bench {
    let contents = (0..=255).map(|n: u8| n ^ 0x5A).collect();
    let line = Rc::new(Cell::new(false));
    let bus = I2cBus::new(vec![Eeprom { address: 0x50, contents }]);
    (Iic::new(0, bus, line.clone()), line)
}

fn get(iic: &mut Iic<Rc<Cell<bool>>>, at: u64) -> u8 {
    iic.read(Access::at(at, 1)) as u8
}
fn put(iic: &mut Iic<Rc<Cell<bool>>>, at: u64, value: u8) {
    iic.write(Access::at(at, 1), value.into());
}

/// How Linux's driver sets the controller up.
fn linux_init(iic: &mut Iic<Rc<Cell<bool>>>) {
    for (at, value) in [
        (reg::LMADR, 0),
        (reg::HMADR, 0),
        (0x0A, 0),
        (0x0B, 0),
        (reg::STS, STS_SCMP | STS_IRQA),
        (reg::EXTSTS, EXTSTS_CLEARABLE),
        (0x0C, 6),
        (reg::XFRCNT, 0),
        (reg::XTCNTLSS, 0xF0),
        (reg::INTRMSK, INTRMSK_EIMTC),
        (reg::MDCNTL, 0x02 | MDCNTL_EINT),
        (reg::CNTL, 0),
    ] {
        put(iic, at, value);
    }
}

/// One message as Linux's driver moves it: chunks of up to four bytes, chained, a repeated start if more follows.
fn message(
    iic: &mut Iic<Rc<Cell<bool>>>,
    line: &Cell<bool>,
    data: &mut [u8],
    read: bool,
    combined: bool,
) -> bool {
    let chunks = data.len().div_ceil(4);
    for (index, chunk) in data.chunks_mut(4).enumerate() {
        let mut command = CNTL_PT | ((chunk.len() - 1) as u8) << 4;
        if read {
            command |= CNTL_RW;
        } else {
            chunk.iter().for_each(|&byte| put(iic, reg::MDBUF, byte));
        }
        if index + 1 < chunks {
            command |= CNTL_CHT;
        } else if combined {
            command |= CNTL_RPST;
        }
        put(iic, reg::CNTL, command);
        assert!(line.get(), "the end of a transfer interrupts");
        put(iic, reg::STS, STS_IRQA | STS_SCMP);
        assert!(!line.get());
        if get(iic, reg::STS) & STS_ERR != 0 {
            put(iic, reg::EXTSTS, EXTSTS_CLEARABLE);
            let mode = get(iic, reg::MDCNTL);
            put(iic, reg::MDCNTL, mode | MDCNTL_FMDB);
            return false;
        }
        assert_eq!(usize::from(get(iic, reg::XFRCNT) & 7), chunk.len());
        if read {
            chunk.iter_mut().for_each(|byte| *byte = get(iic, reg::MDBUF));
        }
    }
    true
}

#[test]
fn linux_reads_an_eeprom() {
    let (mut iic, line) = bench();
    linux_init(&mut iic);
    assert_eq!(get(&mut iic, reg::EXTSTS) & 0x70, EXTSTS_BCS_FREE);
    put(&mut iic, reg::LMADR, 0x50 << 1);
    assert!(message(&mut iic, &line, &mut [0x10], false, true));
    assert_eq!(get(&mut iic, reg::EXTSTS) & 0x70, EXTSTS_BCS_MASTER, "held for the repeated start");
    let mut data = [0; 10];
    assert!(message(&mut iic, &line, &mut data, true, false));
    assert_eq!(data.to_vec(), (0x10..0x1A).map(|n: u8| n ^ 0x5A).collect::<Vec<_>>());
    assert_eq!(get(&mut iic, reg::EXTSTS) & 0x70, EXTSTS_BCS_FREE);
}

#[test]
fn an_absent_device_is_an_error_that_can_be_cleared() {
    let (mut iic, line) = bench();
    linux_init(&mut iic);
    put(&mut iic, reg::LMADR, 0x21 << 1);
    assert!(!message(&mut iic, &line, &mut [0], true, false));
    assert_eq!(get(&mut iic, reg::STS) & STS_ERR, 0);
    assert_eq!(get(&mut iic, reg::EXTSTS), EXTSTS_BCS_FREE);
    put(&mut iic, reg::LMADR, 0x50 << 1);
    assert!(message(&mut iic, &line, &mut [0], true, false));
}

#[test]
fn a_write_of_more_than_the_buffer_holds_is_incomplete() {
    let (mut iic, _) = bench();
    linux_init(&mut iic);
    put(&mut iic, reg::LMADR, 0x50 << 1);
    put(&mut iic, reg::MDBUF, 1);
    put(&mut iic, reg::CNTL, CNTL_PT | 3 << 4);
    assert_ne!(get(&mut iic, reg::EXTSTS) & EXTSTS_ICT, 0);
    assert_eq!(get(&mut iic, reg::XFRCNT), 1);
}

/// Linux asks for a device's presence by driving the wires itself while the controller is in reset.
#[test]
fn a_quick_command_is_done_on_the_wires() {
    for (address, present) in [(0x50_u8, true), (0x51, false)] {
        let (mut iic, _) = bench();
        put(&mut iic, reg::XTCNTLSS, XTCNTLSS_SRST);
        assert_eq!(get(&mut iic, reg::DIRECTCNTL) & 0x0F, 0x0F, "both wires are free");
        put(&mut iic, reg::DIRECTCNTL, DIRCNTL_SCC);
        for n in (0..8).rev() {
            let data = if (address << 1) >> n & 1 != 0 { DIRCNTL_SDAC } else { 0 };
            put(&mut iic, reg::DIRECTCNTL, data);
            put(&mut iic, reg::DIRECTCNTL, data | DIRCNTL_SCC);
        }
        put(&mut iic, reg::DIRECTCNTL, DIRCNTL_SDAC);
        put(&mut iic, reg::DIRECTCNTL, DIRCNTL_SDAC | DIRCNTL_SCC);
        assert_eq!(get(&mut iic, reg::DIRECTCNTL) & DIRCNTL_MSDA == 0, present);
    }
}

#[test]
fn state_survives_a_round_trip_and_a_foreign_one_is_cut_to_size() {
    let (mut iic, _) = bench();
    linux_init(&mut iic);
    put(&mut iic, reg::MDBUF, 7);
    let mut saved = iic.save();
    iic.reset(ResetKind::System);
    iic.restore(&saved).unwrap();
    assert_eq!(get(&mut iic, reg::MDBUF), 7);
    saved[0]["buffer"] = serde_json::json!(vec![0; 99]);
    saved[1]["selected"] = serde_json::json!(99);
    iic.restore(&saved).unwrap();
    assert_eq!(iic.state.buffer.len(), BUFFER);
    assert_eq!(iic.bus.read(), 0xFF);
}
