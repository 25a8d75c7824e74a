use std::cell::{Cell, RefCell};
use std::rc::Rc;

use super::*;

type TestUart = Uart<Rc<Cell<bool>>, Rc<RefCell<Vec<u8>>>, Rc<Cell<u64>>>;

struct Bench {
    uart: TestUart,
    line: Rc<Cell<bool>>,
    sent: Rc<RefCell<Vec<u8>>>,
    now: Rc<Cell<u64>>,
}

impl Bench {
    fn new(pace: Pace, input: Input) -> Self {
        let (line, sent, now) =
            (Rc::<Cell<bool>>::default(), Rc::<RefCell<Vec<u8>>>::default(), Rc::new(Cell::new(0)));
        let config = Config { port: 0, clock_hz: 11_059_200, pace, input };
        Self { uart: Uart::new(config, line.clone(), sent.clone(), now.clone()), line, sent, now }
    }
    fn get(&mut self, offset: u64) -> u8 {
        self.uart.read(Access::at(offset, 1)) as u8
    }
    fn put(&mut self, offset: u64, value: u8) {
        self.uart.write(Access::at(offset, 1), u64::from(value));
    }
    /// 115,200 baud, 8N1, FIFOs on with the given trigger bits, everything else off.
    fn configure(&mut self, trigger: u8) {
        self.put(reg::LCR, 0x83);
        self.put(reg::RBR_THR, 6);
        self.put(reg::IER, 0);
        self.put(reg::LCR, 0x03);
        self.put(reg::IIR_FCR, 0x07 | trigger);
    }
    fn pass(&mut self, ticks: u64) {
        self.now.set(self.now.get() + ticks);
        if self.uart.deadline() <= self.now.get() {
            self.uart.service(self.now.get());
        }
    }
}

/// A character of ten bits at 115,200 baud in whole microseconds.
const CHARACTER: u64 = 86;

/// The sequence by which Linux's 8250 driver tells what it found, as its source orders the accesses.
#[test]
fn linux_finds_a_16550a() {
    let mut b = Bench::new(Pace::Immediate, Input::Listening);
    // Is there anything at all: IER keeps its four bits and no others.
    b.put(reg::IER, 0x00);
    assert_eq!(b.get(reg::IER) & 0x0F, 0);
    b.put(reg::IER, 0x0F);
    assert_eq!(b.get(reg::IER) & 0x0F, 0x0F);
    b.put(reg::IER, 0);
    // Loopback carries RTS and OUT2 to CTS and DCD.
    let mcr = b.get(reg::MCR);
    b.put(reg::MCR, MCR_LOOP | 0x0A);
    assert_eq!(b.get(reg::MSR) & 0xF0, 0x90);
    b.put(reg::MCR, mcr);
    // No EFR of a 16650 or later behind the LCR key; both FIFO bits in IIR.
    b.put(reg::LCR, 0xBF);
    b.put(reg::IIR_FCR, 0);
    b.put(reg::LCR, 0);
    b.put(reg::IIR_FCR, FCR_ENABLE);
    assert_eq!(b.get(reg::IIR_FCR) >> 6, 3);
    b.put(reg::LCR, 0x80);
    assert_ne!(b.get(reg::IIR_FCR), 0, "an EFR of zero would be taken for a 16650");
    b.put(reg::LCR, 0xBF);
    assert_ne!(b.get(reg::IIR_FCR), 0);
    // No National SuperIO: bit 4 of bank register 2 does not follow MCR[LOOP].
    b.put(reg::LCR, 0);
    let before = b.get(reg::MCR);
    b.put(reg::LCR, 0xE0);
    let exist = b.get(2);
    assert_eq!((exist ^ before) & MCR_LOOP, 0);
    b.put(reg::LCR, 0);
    b.put(reg::MCR, before ^ MCR_LOOP);
    b.put(reg::LCR, 0xE0);
    let looped = b.get(2);
    b.put(reg::LCR, 0);
    b.put(reg::MCR, before);
    assert_eq!((looped ^ before) & MCR_LOOP, 0);
    // No 16750: bit 5 of FCR opens no 64-byte FIFO, with or without DLAB.
    b.put(reg::IIR_FCR, FCR_ENABLE | 0x20);
    let plain = b.get(reg::IIR_FCR) >> 5;
    b.put(reg::IIR_FCR, FCR_ENABLE);
    b.put(reg::LCR, 0x80);
    b.put(reg::IIR_FCR, FCR_ENABLE | 0x20);
    let latched = b.get(reg::IIR_FCR) >> 5;
    b.put(reg::LCR, 0);
    assert_eq!((plain, latched), (6, 6));
    // No XScale: IER bit 6 does not exist.
    b.put(reg::IER, 0x40);
    assert_eq!(b.get(reg::IER), 0);
}

/// How a driver measures the FIFO: loopback, a burst, and a count of what comes back.
#[test]
fn the_fifo_measures_sixteen() {
    let mut b = Bench::new(Pace::Immediate, Input::Listening);
    b.configure(0);
    b.put(reg::MCR, MCR_LOOP);
    for n in 0..=255 {
        b.put(reg::RBR_THR, n);
    }
    assert_ne!(b.get(reg::LSR) & LSR_OE, 0);
    let mut count = 0;
    while b.get(reg::LSR) & LSR_DR != 0 {
        assert_eq!(b.get(reg::RBR_THR), count);
        count += 1;
    }
    assert_eq!(usize::from(count), FIFO_SIZE);
    assert!(b.sent.borrow().is_empty(), "nothing leaves in loopback");
}

/// The start-up tests for broken THRE interrupts that Linux makes.
#[test]
fn enabling_the_thre_interrupt_with_an_empty_thr_raises_it_every_time() {
    let mut b = Bench::new(Pace::Immediate, Input::Listening);
    for _ in 0..2 {
        b.put(reg::IER, IER_ETBEI);
        assert!(b.line.get());
        assert_eq!(b.get(reg::LSR) & (LSR_TEMT | LSR_THRE), LSR_TEMT | LSR_THRE);
        assert_eq!(b.get(reg::IIR_FCR) & 0x0F, IIR_THR_EMPTY);
        assert!(!b.line.get(), "reading IIR takes the THRE interrupt back");
        assert_eq!(b.get(reg::IIR_FCR) & 0x0F, IIR_NONE);
        b.put(reg::IER, 0);
    }
}

#[test]
fn a_written_character_leaves_at_once_and_thre_comes_back() {
    let mut b = Bench::new(Pace::Immediate, Input::Listening);
    b.configure(0);
    b.put(reg::IER, IER_ETBEI);
    let _ = b.get(reg::IIR_FCR);
    b.put(reg::RBR_THR, b'x');
    assert_eq!(*b.sent.borrow(), b"x");
    assert!(b.line.get());
}

#[test]
fn at_line_pace_a_character_takes_its_time() {
    let mut b = Bench::new(Pace::Line, Input::Listening);
    b.configure(0);
    b.put(reg::IER, IER_ETBEI);
    let _ = b.get(reg::IIR_FCR);
    b.put(reg::RBR_THR, b'a');
    assert!(b.line.get(), "THR is empty again, the character is in the shift register");
    let _ = b.get(reg::IIR_FCR);
    b.put(reg::RBR_THR, b'b');
    assert_eq!(b.get(reg::LSR) & (LSR_THRE | LSR_TEMT), 0);
    b.pass(CHARACTER);
    assert_eq!(*b.sent.borrow(), b"a");
    assert_eq!(b.get(reg::LSR) & (LSR_THRE | LSR_TEMT), LSR_THRE);
    assert!(b.line.get());
    b.pass(CHARACTER);
    assert_eq!(*b.sent.borrow(), b"ab");
    assert_eq!(b.get(reg::LSR) & (LSR_THRE | LSR_TEMT), LSR_THRE | LSR_TEMT);
}

#[test]
fn at_line_pace_a_full_fifo_drops_what_is_written_too_much() {
    let mut b = Bench::new(Pace::Line, Input::Listening);
    b.configure(0);
    (0..30).for_each(|n| b.put(reg::RBR_THR, n));
    b.pass(100 * CHARACTER);
    assert_eq!(b.sent.borrow().len(), FIFO_SIZE + 1, "one in the shift register, sixteen behind it");
}

#[test]
fn the_trigger_level_decides_between_data_and_timeout() {
    let mut b = Bench::new(Pace::Immediate, Input::Always);
    b.configure(0x80);
    b.put(reg::IER, IER_ERBFI);
    assert_eq!(b.uart.receive(b"seven.."), 7);
    assert!(!b.line.get());
    b.pass(4 * CHARACTER - 10);
    assert!(!b.line.get());
    b.pass(20);
    assert_eq!(b.get(reg::IIR_FCR) & 0x0F, IIR_TIMEOUT);
    assert_eq!(b.uart.receive(b"8"), 1);
    assert_eq!(
        b.get(reg::IIR_FCR) & 0x0F,
        IIR_RECEIVED_DATA,
        "the eighth character reaches the trigger level"
    );
    let _ = b.get(reg::RBR_THR);
    assert!(!b.line.get(), "below the trigger again, and a read restarts the timeout");
    b.pass(5 * CHARACTER);
    assert!(b.line.get());
    while b.get(reg::LSR) & LSR_DR != 0 {
        let _ = b.get(reg::RBR_THR);
    }
    assert!(!b.line.get());
    b.pass(100 * CHARACTER);
    assert!(!b.line.get(), "an empty FIFO times nothing out");
}

#[test]
fn interrupts_are_told_in_order_of_priority() {
    let mut b = Bench::new(Pace::Immediate, Input::Always);
    b.configure(0);
    b.put(reg::MCR, MCR_LOOP);
    b.put(reg::MCR, 0);
    b.uart.receive_break();
    b.put(reg::IER, 0x0F);
    assert_eq!(b.get(reg::IIR_FCR) & 0x0F, IIR_LINE_STATUS);
    assert_eq!(b.get(reg::LSR) & (LSR_BI | LSR_FE | LSR_FIFO_ERROR), LSR_BI | LSR_FE | LSR_FIFO_ERROR);
    assert_eq!(
        b.get(reg::IIR_FCR) & 0x0F,
        IIR_RECEIVED_DATA,
        "reading LSR takes the line status interrupt back"
    );
    assert_eq!(b.get(reg::RBR_THR), 0);
    assert_eq!(b.get(reg::IIR_FCR) & 0x0F, IIR_THR_EMPTY);
    assert_eq!(b.get(reg::IIR_FCR) & 0x0F, IIR_MODEM_STATUS);
    assert_eq!(b.get(reg::MSR), MSR_CONNECTED | MSR_DCTS | MSR_DDSR | MSR_DDCD);
    assert_eq!(b.get(reg::IIR_FCR) & 0x0F, IIR_NONE);
    assert!(!b.line.get());
}

#[test]
fn ring_reports_its_trailing_edge_only() {
    let mut b = Bench::new(Pace::Immediate, Input::Always);
    b.put(reg::MCR, MCR_LOOP);
    let _ = b.get(reg::MSR);
    b.put(reg::MCR, MCR_LOOP | MCR_OUT1);
    assert_eq!(b.get(reg::MSR), MSR_RI);
    b.put(reg::MCR, MCR_LOOP);
    assert_eq!(b.get(reg::MSR), MSR_TERI);
}

#[test]
fn without_fifos_a_second_character_overruns_the_first() {
    let mut b = Bench::new(Pace::Immediate, Input::Always);
    b.put(reg::LCR, 0x03);
    b.put(reg::MCR, MCR_LOOP);
    b.put(reg::RBR_THR, b'1');
    b.put(reg::RBR_THR, b'2');
    assert_eq!(b.get(reg::LSR) & (LSR_OE | LSR_DR), LSR_OE | LSR_DR);
    assert_eq!(b.get(reg::LSR) & LSR_OE, 0, "reading LSR clears the overrun");
    assert_eq!(b.get(reg::RBR_THR), b'2');
    assert_eq!(b.get(reg::LSR) & LSR_DR, 0);
}

#[test]
fn a_break_in_loopback_comes_back_as_one() {
    let mut b = Bench::new(Pace::Immediate, Input::Listening);
    b.configure(0);
    b.put(reg::MCR, MCR_LOOP);
    b.put(reg::LCR, 0x03 | LCR_BREAK);
    assert_ne!(b.get(reg::LSR) & LSR_BI, 0);
}

#[test]
fn short_words_lose_their_high_bits_in_loopback() {
    let mut b = Bench::new(Pace::Immediate, Input::Listening);
    b.put(reg::MCR, MCR_LOOP);
    b.put(reg::LCR, 0);
    b.put(reg::RBR_THR, 0xFF);
    assert_eq!(b.get(reg::RBR_THR), 0x1F);
}

#[test]
fn input_waits_until_a_driver_listens_and_is_asked_for_again_when_there_is_room() {
    let mut b = Bench::new(Pace::Immediate, Input::Listening);
    b.configure(0);
    b.put(reg::MCR, MCR_RTS | MCR_DTR);
    assert_eq!(b.uart.receive(&[b'.'; 40]), 0, "an early console has raised RTS and does not read");
    assert_eq!(b.uart.deadline(), NEVER);
    b.put(reg::IER, IER_ERBFI);
    assert_eq!(b.uart.receive(&[b'.'; 40]), 0, "this may still be a probe");
    assert_eq!(b.uart.deadline(), 1000, "the host is told to offer again");
    b.pass(1000);
    assert_eq!(b.uart.receive(&[b'.'; 40]), FIFO_SIZE);
    b.pass(1000);
    assert!(b.uart.deadline() > b.now.get());
    (0..FIFO_SIZE).for_each(|_| assert_eq!(b.get(reg::RBR_THR), b'.'));
    assert!(b.uart.deadline() <= b.now.get());
    b.put(reg::MCR, MCR_DTR);
    assert_eq!(b.uart.receive(b"."), 0, "a driver that drops RTS wants no more");
}

#[test]
fn a_driver_that_never_uses_rts_is_served_too() {
    let mut b = Bench::new(Pace::Immediate, Input::Listening);
    b.put(reg::IER, IER_ERBFI);
    b.pass(1000);
    assert_eq!(b.uart.receive(b"ab"), 1, "one character without FIFOs");
}

#[test]
fn a_guest_that_polls_for_input_gets_it_and_one_that_polls_the_transmitter_does_not() {
    let mut b = Bench::new(Pace::Immediate, Input::Listening);
    for _ in 0..2 * POLLS_FOR_INPUT {
        assert_ne!(b.get(reg::LSR) & LSR_THRE, 0);
        b.put(reg::RBR_THR, b'x');
    }
    assert_eq!(b.uart.receive(b"ab"), 0);
    for _ in 0..5000 {
        assert_eq!(b.get(reg::LSR) & LSR_DR, 0);
    }
    assert_eq!(b.uart.receive(b"ab"), 0, "without RTS this may be a boot wrapper's prompt");
    assert_eq!(b.uart.deadline(), NEVER);
    b.put(reg::MCR, MCR_RTS);
    assert_eq!(b.uart.deadline(), 0);
    b.put(reg::MCR, 0);
    for _ in 5000..POLLS_WITHOUT_RTS {
        assert_eq!(b.get(reg::LSR) & LSR_DR, 0);
    }
    assert_eq!(b.uart.deadline(), 0);
    assert_eq!(b.uart.receive(b"ab"), 1);
    assert_eq!(b.get(reg::RBR_THR), b'a');
    assert_eq!(b.uart.receive(b"b"), 1);
}

#[test]
fn changing_the_fifo_enable_clears_both_fifos() {
    let mut b = Bench::new(Pace::Immediate, Input::Always);
    b.configure(0);
    assert_eq!(b.uart.receive(b"abc"), 3);
    b.put(reg::IIR_FCR, 0);
    assert_eq!(b.get(reg::LSR) & LSR_DR, 0);
    assert_eq!(b.get(reg::IIR_FCR) & IIR_FIFOS_ENABLED, 0);
}

#[test]
fn state_survives_a_round_trip_and_a_foreign_one_is_cut_to_size() {
    let mut b = Bench::new(Pace::Immediate, Input::Always);
    b.configure(0);
    b.put(reg::IER, IER_ERBFI);
    assert_eq!(b.uart.receive(b"hello"), 5);
    let mut saved = b.uart.save();
    b.uart.reset(ResetKind::System);
    assert!(!b.line.get());
    b.uart.restore(&saved).unwrap();
    assert!(b.line.get());
    assert_eq!(b.get(reg::RBR_THR), b'h');
    saved["rx"] = serde_json::json!(vec![serde_json::json!({"byte": 1, "errors": 0}); 1000]);
    b.uart.restore(&saved).unwrap();
    assert_eq!(b.uart.state.rx.len(), FIFO_SIZE);
}

#[test]
fn thr_may_be_posted_and_lsr_kept_only_while_nothing_can_be_noticed() {
    let treated = |b: &Bench, offset| b.uart.treatment(Access::at(offset, 1));
    let mut b = Bench::new(Pace::Immediate, Input::Always);
    b.configure(0);
    assert_eq!(treated(&b, reg::RBR_THR), treatment::POSTED_WRITE);
    assert_eq!(treated(&b, reg::LSR), treatment::STABLE_READ);
    for other in [reg::IER, reg::IIR_FCR, reg::LCR, reg::MCR, reg::MSR, reg::SCR] {
        assert_eq!(treated(&b, other), 0, "register {other}");
    }
    assert_eq!(b.uart.treatment(Access::at(0, 4)), 0, "a wide access is several registers");
    let before = b.get(reg::LSR);
    b.put(reg::RBR_THR, b'x');
    assert_eq!(b.get(reg::LSR), before, "what is posted does not show in LSR");
    // DLAB makes THR the divisor, loopback makes sending receiving, and what is received shows in LSR.
    b.put(reg::LCR, 0x83);
    assert_eq!(treated(&b, reg::RBR_THR), 0);
    b.put(reg::LCR, 0x03);
    assert_eq!(b.uart.receive(b"y"), 1);
    assert_eq!(treated(&b, reg::LSR), 0);
    b.put(reg::MCR, MCR_LOOP);
    assert_eq!(treated(&b, reg::RBR_THR), 0);
    let mut paced = Bench::new(Pace::Line, Input::Always);
    paced.configure(0);
    assert_eq!(
        (treated(&paced, reg::RBR_THR), treated(&paced, reg::LSR)),
        (0, 0),
        "at line pace sending shows"
    );
}
