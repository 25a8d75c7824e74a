//! Directives: placement, data, symbols and conditionals. Meanings are GNU as's for PowerPC: `.align n` is a
//! power of two, `.word` is two bytes (`.long` is four), `.org` is an address (this crate has no sections).

use alloc::borrow::ToOwned;
use alloc::vec::Vec;
use alloc::{format, vec};

use super::{Content, ErrorKind, Location, Pass};
use crate::expr::{Expr, Operand, Value};

const NOP: u32 = 0x6000_0000;

impl Pass<'_> {
    pub(super) fn directive(&mut self, word: &str, rest: &str, at: &Location) -> Result<(), ErrorKind> {
        match word {
            ".byte" => self.integers(1, rest, at),
            ".word" | ".hword" | ".short" | ".2byte" => self.integers(2, rest, at),
            ".long" | ".int" | ".4byte" => self.integers(4, rest, at),
            ".quad" | ".8byte" => self.integers(8, rest, at),
            ".ascii" => self.strings(rest, false, at),
            ".asciz" | ".string" => self.strings(rest, true, at),
            ".float" | ".single" => self.floats(rest, at, |v| (v as f32).to_be_bytes().to_vec()),
            ".double" => self.floats(rest, at, |v| v.to_be_bytes().to_vec()),
            ".org" => {
                let to = self.absolute(rest, ".org")?;
                let length = u32::try_from(to - i64::from(self.here))
                    .map_err(|_| ErrorKind::OrgBackwards { from: self.here, to })?;
                self.advance(length)
            }
            ".align" | ".p2align" => {
                let (power, fill) = self.one_or_two(rest, ".align")?;
                let power = u32::try_from(power).ok().filter(|p| *p < 32).ok_or_else(too_large)?;
                self.align(1 << power, fill, at)
            }
            ".balign" => {
                let (multiple, fill) = self.one_or_two(rest, ".balign")?;
                let multiple = u32::try_from(multiple).ok().filter(|m| m.is_power_of_two());
                self.align(multiple.ok_or_else(too_large)?, fill, at)
            }
            ".space" | ".skip" | ".zero" => {
                let (count, fill) = self.one_or_two(rest, ".space")?;
                let count = u32::try_from(count).map_err(|_| too_large())?;
                self.fill(count, 1, fill.unwrap_or(0), at)
            }
            ".fill" => {
                let values = self.absolutes(rest, ".fill")?;
                let (count, size, value) = match *values.as_slice() {
                    [count] => (count, 1, 0),
                    [count, size] => (count, size, 0),
                    [count, size, value] => (count, size, value),
                    _ => return Err(ErrorKind::Syntax(".fill takes count, size and value".to_owned())),
                };
                if !matches!(size, 1 | 2 | 4 | 8) {
                    return Err(ErrorKind::Syntax(format!(".fill size {size} is not 1, 2, 4 or 8")));
                }
                self.fill(u32::try_from(count).map_err(|_| too_large())?, size as u8, value, at)
            }
            ".set" | ".equ" => {
                let (name, value) = rest
                    .split_once(',')
                    .ok_or_else(|| ErrorKind::Syntax(format!("{word} takes a symbol and a value")))?;
                self.set(name.trim(), value)
            }
            ".error" => Err(ErrorKind::User(rest.trim_matches('"').to_owned())),
            // Of no meaning without sections and a linker.
            ".globl" | ".global" | ".text" | ".type" | ".size" | ".machine" | ".file" => Ok(()),
            _ => Err(ErrorKind::UnknownMnemonic(word.to_owned())),
        }
    }

    fn integers(&mut self, size: u8, rest: &str, at: &Location) -> Result<(), ErrorKind> {
        let mut values = vec![];
        for (index, operand) in self.operands(rest)?.into_iter().enumerate() {
            match operand {
                Operand::Value(value) => values.push(value),
                _ => return Err(ErrorKind::OperandKind { index: index + 1, expected: "a number" }),
            }
        }
        self.place(values.len() as u32 * u32::from(size), Content::Integers(size, values), at)
    }

    fn strings(&mut self, rest: &str, terminated: bool, at: &Location) -> Result<(), ErrorKind> {
        let mut bytes = vec![];
        for (index, operand) in self.operands(rest)?.into_iter().enumerate() {
            match operand {
                Operand::Str(text) => bytes.extend(text),
                _ => return Err(ErrorKind::OperandKind { index: index + 1, expected: "a string" }),
            }
            bytes.extend(terminated.then_some(0));
        }
        self.place(bytes.len() as u32, Content::Bytes(bytes), at)
    }

    fn floats(
        &mut self,
        rest: &str,
        at: &Location,
        encode: impl Fn(f64) -> Vec<u8>,
    ) -> Result<(), ErrorKind> {
        let mut bytes = vec![];
        for text in rest.split(',').map(str::trim) {
            let value = text
                .parse()
                .map_err(|_| ErrorKind::Syntax(format!("\"{text}\" is not a floating-point number")))?;
            bytes.extend(encode(value));
        }
        self.place(bytes.len() as u32, Content::Bytes(bytes), at)
    }

    fn align(&mut self, multiple: u32, fill: Option<i64>, at: &Location) -> Result<(), ErrorKind> {
        let gap = self.here.wrapping_neg() & (multiple - 1);
        match fill {
            // Code may fall through an alignment gap.
            None if gap & 3 == 0 => self.fill(gap / 4, 4, i64::from(NOP), at),
            fill => self.fill(gap, 1, fill.unwrap_or(0), at),
        }
    }

    fn fill(&mut self, count: u32, size: u8, value: i64, at: &Location) -> Result<(), ErrorKind> {
        let length = count.checked_mul(u32::from(size)).ok_or_else(too_large)?;
        if value == 0 {
            return self.advance(length);
        }
        let value = Value { expr: Expr::Int(value), half: None };
        self.place(length, Content::Fill { count, size, value }, at)
    }

    fn absolutes(&self, rest: &str, directive: &'static str) -> Result<Vec<i64>, ErrorKind> {
        rest.split(',').map(|text| self.absolute(text, directive)).collect()
    }

    fn one_or_two(&self, rest: &str, directive: &'static str) -> Result<(i64, Option<i64>), ErrorKind> {
        match *self.absolutes(rest, directive)?.as_slice() {
            [one] => Ok((one, None)),
            [one, two] => Ok((one, Some(two))),
            _ => Err(ErrorKind::Syntax(format!("{directive} takes one or two values"))),
        }
    }
}

fn too_large() -> ErrorKind {
    ErrorKind::TooLarge("Image")
}

/// One `.if` with its branches.
#[derive(Clone, Copy, Debug)]
struct Condition {
    /// The branch that is being read counts.
    active: bool,
    /// Some branch has counted, or none may because the surrounding one does not.
    done: bool,
    seen_else: bool,
}

/// The open `.if`s of one run of lines.
#[derive(Debug, Default)]
pub(super) struct Conditions(Vec<Condition>);

impl Conditions {
    pub(super) fn active(&self) -> bool {
        self.0.last().is_none_or(|c| c.active)
    }

    pub(super) fn check_closed(&self) -> Result<(), ErrorKind> {
        if self.0.is_empty() { Ok(()) } else { Err(ErrorKind::Syntax(".if without .endif".to_owned())) }
    }

    /// Carries out a conditional directive; false if `word` is none. `evaluate` gives a value, `defined` says
    /// whether a symbol is known.
    pub(super) fn directive(
        &mut self,
        word: &str,
        rest: &str,
        evaluate: &dyn Fn(&str) -> Result<i64, ErrorKind>,
        defined: &dyn Fn(&str) -> bool,
    ) -> Result<bool, ErrorKind> {
        let unmatched = || ErrorKind::Syntax(format!("{word} without .if"));
        match word {
            ".if" | ".ifdef" | ".ifndef" | ".ifb" | ".ifnb" | ".ifc" | ".ifnc" => {
                let outer = self.active();
                let active = outer && Self::holds(word, rest, evaluate, defined)?;
                self.0.push(Condition { active, done: active || !outer, seen_else: false });
            }
            ".elseif" => {
                let top = *self.0.last().filter(|c| !c.seen_else).ok_or_else(unmatched)?;
                let active = !top.done && Self::holds(".if", rest, evaluate, defined)?;
                let top = self.0.last_mut().ok_or_else(unmatched)?;
                top.active = active;
                top.done |= active;
            }
            ".else" => {
                let top = self.0.last_mut().filter(|c| !c.seen_else).ok_or_else(unmatched)?;
                *top = Condition { active: !top.done, done: true, seen_else: true };
            }
            ".endif" => {
                self.0.pop().ok_or_else(unmatched)?;
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn holds(
        word: &str,
        rest: &str,
        evaluate: &dyn Fn(&str) -> Result<i64, ErrorKind>,
        defined: &dyn Fn(&str) -> bool,
    ) -> Result<bool, ErrorKind> {
        let same = || {
            let (a, b) = rest
                .split_once(',')
                .ok_or_else(|| ErrorKind::Syntax(format!("{word} compares two texts")))?;
            Ok(a.trim() == b.trim())
        };
        Ok(match word {
            ".ifdef" => defined(rest.trim()),
            ".ifndef" => !defined(rest.trim()),
            ".ifb" => rest.trim().is_empty(),
            ".ifnb" => !rest.trim().is_empty(),
            ".ifc" => same()?,
            ".ifnc" => !same()?,
            _ => evaluate(rest)? != 0,
        })
    }
}
