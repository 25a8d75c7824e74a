//! The Bamboo's clocks, and the CPR0 and SDR0 values that make a boot wrapper compute the same ones.
//!
//! The 440EP multiplies a 33.33 MHz system clock in a PLL and divides it for CPU, PLB, OPB and EBC; firmware and
//! Linux's boot wrappers read the dividers back from CPR0 and compute all clocks from them (PPC440EP user's manual,
//! chapter "Clocking"). A machine pins its clocks first; the dividers follow.

use crate::Refusal;

/// The oscillator on the board, in Hz, as boot wrappers assume it.
pub(crate) const SYSTEM_CLOCK: u64 = 33_333_333;
/// CPU and timebase clock in Hz where nothing else is said.
pub(crate) const DEFAULT_CPU: u32 = 400_000_000;
/// External serial clock in Hz.
pub(crate) const SERIAL_CLOCK: u32 = 11_059_200;

/// CPR0 register numbers.
const PLLC: u32 = 0x40;
const PLLD: u32 = 0x60;
const PRIMAD: u32 = 0x80;
const PRIMBD: u32 = 0xA0;
const OPBD: u32 = 0xC0;
const PERD: u32 = 0xE0;
const MALD: u32 = 0x100;
const SPCID: u32 = 0x120;
/// PLLC: the PLL is engaged.
const PLLC_ENGAGED: u32 = 0x4000_0000;
/// PLLC: feedback goes through forward divider B instead of A.
const PLLC_FEEDBACK_B: u32 = 0x2000_0000;

/// All clocks of a machine in Hz.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Clocks {
    pub(crate) cpu: u32,
    pub(crate) timebase: u32,
    pub(crate) plb: u32,
    pub(crate) opb: u32,
    pub(crate) ebc: u32,
    dividers: Dividers,
}

/// What the PLL and its dividers are set to; all numbers are factors, not register fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Dividers {
    feedback: u64,
    local: u64,
    /// Feedback through forward divider B.
    feedback_b: bool,
    forward_a: u64,
    forward_b: u64,
    primary_a: u64,
    primary_b: u64,
    opb: u64,
    ebc: u64,
}

/// The board as shipped by default: 400, 133, 66 and 66 MHz.
const STANDARD: Dividers = Dividers {
    feedback: 12,
    local: 1,
    feedback_b: false,
    forward_a: 2,
    forward_b: 6,
    primary_a: 1,
    primary_b: 1,
    opb: 2,
    ebc: 2,
};

impl Dividers {
    const fn vco(&self) -> u64 {
        let forward = if self.feedback_b { self.forward_b } else { self.forward_a };
        SYSTEM_CLOCK * self.feedback * self.local * forward
    }
    const fn cpu(&self) -> u64 {
        self.vco() / self.forward_a / self.primary_a
    }
    const fn plb(&self) -> u64 {
        self.vco() / self.forward_b / self.primary_b
    }

    /// The dividers whose CPU clock comes closest to `cpu` Hz, with a PLB clock of at most 133 MHz.
    fn closest(cpu: u32) -> Self {
        let wanted = u64::from(cpu);
        if STANDARD.cpu().abs_diff(wanted) < 100 {
            return STANDARD;
        }
        let mut best = STANDARD;
        let mut miss = best.cpu().abs_diff(wanted);
        for forward_a in 1..=16 {
            for forward_b in 1..=8 {
                for primary_a in 1..=8 {
                    // CPU = system * product * forward_b / forward_a / primary_a.
                    let unit = SYSTEM_CLOCK * forward_b;
                    let product = (wanted * forward_a * primary_a + unit / 2) / unit;
                    // PLB = system * product / primary_b, so a larger product would be too fast for the PLB.
                    if !(1..=32).contains(&product) {
                        continue;
                    }
                    let trial = Self {
                        feedback: product,
                        feedback_b: true,
                        forward_a,
                        forward_b,
                        primary_a,
                        ..STANDARD
                    };
                    let off = trial.cpu().abs_diff(wanted);
                    if off < miss {
                        (best, miss) = (trial, off);
                    }
                }
            }
        }
        let fits = (1..=8).find(|primary_b| Self { primary_b: *primary_b, ..best }.plb() <= 134_000_000);
        Self { primary_b: fits.unwrap_or(8), ..best }
    }
}

impl Clocks {
    /// The clocks of a machine whose CPU runs at `cpu` and whose timebase counts at `timebase` Hz.
    ///
    /// # Errors
    /// A clock of zero, or beyond what a timebase can have.
    pub(crate) fn new(cpu: u32, timebase: u32) -> Result<Self, Refusal> {
        if !(1_000_000..=4_000_000_000).contains(&cpu) || !(10_000..=4_000_000_000).contains(&timebase) {
            return Err(Refusal(format!(
                "CPU clock {cpu} Hz and timebase {timebase} Hz are out of range: 1 MHz to 4 GHz and 10 kHz to 4 GHz"
            )));
        }
        // A wrapper takes the timebase for the CPU clock, so it is the timebase that its dividers have to give.
        let dividers = Dividers::closest(timebase);
        let plb = dividers.plb();
        let hz = |clock: u64| u32::try_from(clock).unwrap_or(u32::MAX);
        Ok(Self {
            cpu,
            timebase,
            plb: hz(plb),
            opb: hz(plb / dividers.opb),
            ebc: hz(plb / dividers.ebc),
            dividers,
        })
    }

    /// CPR0 (index, value) pairs after firmware has set the PLL up.
    pub(crate) fn cpr0(&self) -> Vec<u32> {
        let d = &self.dividers;
        // A field holds its factor modulo its width: the largest factor is written as zero.
        let field = |factor: u64, width: u32, shift: u32| (factor as u32 & ((1 << width) - 1)) << shift;
        let pllc = PLLC_ENGAGED | if d.feedback_b { PLLC_FEEDBACK_B } else { 0 };
        let plld = field(d.feedback, 5, 24)
            | field(d.forward_a, 4, 16)
            | field(d.forward_b, 3, 8)
            | field(d.local, 6, 0);
        let registers = [
            (PLLC, pllc),
            (PLLD, plld),
            (PRIMAD, field(d.primary_a, 3, 24)),
            (PRIMBD, field(d.primary_b, 3, 24)),
            (OPBD, field(d.opb, 2, 24)),
            (PERD, field(d.ebc, 2, 24)),
            (MALD, 0x0100_0000),
            (SPCID, 0x0100_0000),
        ];
        registers.iter().flat_map(|&(index, value)| [index, value]).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The computation that a boot wrapper makes from the registers.
    fn wrapper(cpr0: &[u32]) -> (u64, u64) {
        let get = |index| cpr0.chunks(2).find(|pair| pair[0] == index).unwrap()[1];
        let field = |value: u32, shift: u32, width: u32| match value >> shift & ((1 << width) - 1) {
            0 => 1 << width,
            n => u64::from(n),
        };
        let plld = get(PLLD);
        let (feedback, local) = (field(plld, 24, 5), field(plld, 0, 6));
        let (a, b) = (field(plld, 16, 4), field(plld, 8, 3));
        assert_ne!(get(PLLC) & PLLC_ENGAGED, 0);
        assert_eq!(get(PLLC) >> 24 & 7, 0, "feedback is taken from the PLL's output");
        let forward = if get(PLLC) & PLLC_FEEDBACK_B != 0 { b } else { a };
        let vco = SYSTEM_CLOCK * feedback * local * forward;
        (vco / a / field(get(PRIMAD), 24, 3), vco / b / field(get(PRIMBD), 24, 3))
    }

    #[test]
    fn the_standard_clocks_are_those_of_the_board() {
        let clocks = Clocks::new(400_000_000, 400_000_000).unwrap();
        assert_eq!((clocks.plb, clocks.opb, clocks.ebc), (133_333_332, 66_666_666, 66_666_666));
        assert_eq!(clocks.cpr0()[..4], [PLLC, 0x4000_0000, PLLD, 0x0C02_0601]);
        assert_eq!(wrapper(&clocks.cpr0()), (399_999_996, 133_333_332));
    }

    #[test]
    fn a_forced_timebase_is_what_a_wrapper_computes() {
        for hz in [25_000_000, 100_000_000, 333_333_333, 533_333_333, 667_000_000, 512_000_000, 1_000_000_000]
        {
            let (cpu, plb) = wrapper(&Clocks::new(hz, hz).unwrap().cpr0());
            let ppm = cpu.abs_diff(u64::from(hz)) * 1_000_000 / u64::from(hz);
            assert!(ppm < 2000, "{hz} Hz wanted, {cpu} Hz computed");
            assert!(plb <= 134_000_000, "PLB {plb} Hz for {hz} Hz");
        }
    }

    #[test]
    fn impossible_clocks_are_refused() {
        assert!(Clocks::new(0, 1).is_err());
        assert!(Clocks::new(400_000_000, u32::MAX).is_err());
    }
}
