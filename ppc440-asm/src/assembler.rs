//! Two passes. The first executes the source line by line: it expands macros, gives every label its address and
//! collects what has to be written where. The second evaluates operands, with every symbol known, and writes.

mod directive;

use alloc::borrow::ToOwned;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use alloc::{format, vec};

use crate::expr::{Expr, Operand, Scope, Value, parse_operands};
use crate::insn::{self, Pattern};
use crate::source::{Line, Location, Macro, split, substitute, take_label, take_word};
use crate::token::{is_symbol_start, tokenize};
use crate::{Error, ErrorKind, MAX_IMAGE, Program};

/// Macros may nest this deep; one that uses itself without end is stopped here.
const MAX_NESTING: usize = 48;
/// Statements that a source may expand to.
const MAX_STATEMENTS: usize = 4 << 20;

/// An assembler with its settings: base address, predefined symbols and the sources that `.include` may name.
///
/// ```
/// let program = ppc440_asm::Assembler::new()
///     .base(0x1000)
///     .define("COUNT", 7)
///     .include("ret.s", "blr")
///     .assemble("main.s", "li r3, COUNT\n .include \"ret.s\"")?;
/// assert_eq!(program.words().collect::<Vec<_>>(), [0x3860_0007, 0x4E80_0020]);
/// # Ok::<(), ppc440_asm::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Assembler {
    base: u32,
    defines: Vec<(String, u32)>,
    includes: BTreeMap<String, String>,
}

impl Assembler {
    /// An assembler for base address 0.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the address of the first byte.
    #[must_use]
    pub fn base(mut self, base: u32) -> Self {
        self.base = base;
        self
    }

    /// Defines a symbol as `.set` would.
    #[must_use]
    pub fn define(mut self, name: &str, value: u32) -> Self {
        self.defines.push((name.to_owned(), value));
        self
    }

    /// Makes `text` available to `.include "name"`.
    #[must_use]
    pub fn include(mut self, name: &str, text: &str) -> Self {
        self.includes.insert(name.to_owned(), text.to_owned());
        self
    }

    /// Assembles `text`; `file` names it in messages and may be empty.
    ///
    /// # Errors
    /// The first error found, with its line and reason.
    pub fn assemble(&self, file: &str, text: &str) -> Result<Program, Error> {
        let mut pass = Pass {
            includes: &self.includes,
            base: self.base,
            here: self.base,
            items: vec![],
            symbols: self
                .defines
                .iter()
                .map(|(name, value)| (name.clone(), Symbol { value: i64::from(*value), label: false }))
                .collect(),
            locals: BTreeMap::new(),
            macros: BTreeMap::new(),
            expansions: 0,
            statements: 0,
        };
        pass.run(&split(file, text), 0)?;
        pass.finish()
    }
}

#[derive(Clone, Copy, Debug)]
struct Symbol {
    value: i64,
    /// A label has one value for ever; a `.set` symbol may be set again.
    label: bool,
}

/// Something to be written at an address in the second pass.
struct Item {
    at: u32,
    location: Location,
    content: Content,
}

enum Content {
    Instruction(Pattern, Vec<Operand>),
    /// Big-endian integers of the given size in bytes.
    Integers(u8, Vec<Value>),
    Bytes(Vec<u8>),
    /// A byte or longer pattern, repeated.
    Fill {
        count: u32,
        size: u8,
        value: Value,
    },
}

struct Pass<'a> {
    includes: &'a BTreeMap<String, String>,
    base: u32,
    here: u32,
    items: Vec<Item>,
    symbols: BTreeMap<String, Symbol>,
    /// Definitions of each local label: (index of the next item, address), in order.
    locals: BTreeMap<u32, Vec<(usize, u32)>>,
    macros: BTreeMap<String, Macro>,
    expansions: u32,
    statements: usize,
}

/// What the second pass knows when it evaluates the operands of item `item`.
struct Final<'a, 'b> {
    pass: &'a Pass<'b>,
    item: usize,
}

impl Scope for Final<'_, '_> {
    fn symbol(&self, name: &str) -> Result<i64, ErrorKind> {
        let symbol = self.pass.symbols.get(name);
        symbol.map(|s| s.value).ok_or_else(|| ErrorKind::UndefinedSymbol(name.to_owned()))
    }

    fn local(&self, number: u32, forward: bool) -> Result<i64, ErrorKind> {
        let definitions = self.pass.locals.get(&number).map_or(&[][..], Vec::as_slice);
        // A label defined just before item n carries n; seen from item n it lies backwards.
        let split = definitions.partition_point(|(item, _)| *item <= self.item);
        let found =
            if forward { definitions.get(split) } else { split.checked_sub(1).map(|i| &definitions[i]) };
        let direction = if forward { 'f' } else { 'b' };
        found
            .map(|(_, address)| i64::from(*address))
            .ok_or_else(|| ErrorKind::UndefinedLocal(format!("{number}{direction}")))
    }
}

/// What the first pass knows: everything defined so far.
struct SoFar<'a, 'b> {
    pass: &'a Pass<'b>,
    directive: &'static str,
}

impl Scope for SoFar<'_, '_> {
    fn symbol(&self, name: &str) -> Result<i64, ErrorKind> {
        if name == "." {
            return Ok(i64::from(self.pass.here));
        }
        self.pass.symbols.get(name).map(|s| s.value).ok_or(ErrorKind::ForwardReference(self.directive))
    }

    fn local(&self, number: u32, forward: bool) -> Result<i64, ErrorKind> {
        if forward {
            return Err(ErrorKind::ForwardReference(self.directive));
        }
        Final { pass: self.pass, item: self.pass.items.len() }.local(number, false)
    }
}

impl Pass<'_> {
    fn run(&mut self, lines: &[Line], nesting: usize) -> Result<(), Error> {
        let Some(first) = lines.first() else { return Ok(()) };
        if nesting > MAX_NESTING {
            return Err(first.at.error(ErrorKind::TooLarge("Nesting of macros")));
        }
        let mut conditions = directive::Conditions::default();
        let mut index = 0;
        while let Some(line) = lines.get(index) {
            self.statements += 1;
            if self.statements > MAX_STATEMENTS {
                return Err(line.at.error(ErrorKind::TooLarge("Number of statements")));
            }
            let step = self.statement(line, &lines[index + 1..], &mut conditions, nesting);
            index += 1 + step.map_err(|error| match error {
                Failure::Here(kind) => line.at.error(kind),
                Failure::Inside(error) => error,
            })?;
        }
        conditions.check_closed().map_err(|kind| lines[lines.len() - 1].at.error(kind))
    }

    /// Carries one statement out and says how many of the following lines it took.
    fn statement(
        &mut self,
        line: &Line,
        following: &[Line],
        conditions: &mut directive::Conditions,
        nesting: usize,
    ) -> Result<usize, Failure> {
        let mut text = line.text.as_str();
        if conditions.active() {
            while let Some((label, rest)) = take_label(text) {
                self.define_label(label)?;
                text = rest;
            }
        }
        let (word, rest) = take_word(text);
        if conditions.directive(word, rest, &|expression| self.absolute(expression, ".if"), &|name| {
            self.symbols.contains_key(name)
        })? {
            return Ok(0);
        }
        if !conditions.active() || text.is_empty() {
            return Ok(0);
        }
        if let Some(found) = self.macros.get(word) {
            let expanded = found.expand(rest, self.expansions, &line.at)?;
            self.expansions += 1;
            self.run(&expanded, nesting + 1).map_err(Failure::Inside)?;
            return Ok(0);
        }
        if let Some((name, value)) = assignment(text) {
            self.set(name, value)?;
            return Ok(0);
        }
        match word {
            ".macro" => {
                let taken = block(following, ".macro", ".endm")?;
                let (name, definition) = Macro::parse(rest, following[..taken].to_vec())?;
                self.macros.insert(name, definition);
                Ok(taken + 1)
            }
            ".rept" | ".irp" => {
                let taken = block_of(following, &[".rept", ".irp"], ".endr")?;
                let body = &following[..taken];
                self.repeat(word, rest, body, &line.at, nesting)?;
                Ok(taken + 1)
            }
            ".include" => {
                let name = rest.trim_matches('"');
                let includes = self.includes;
                let text = includes
                    .get(name)
                    .ok_or_else(|| ErrorKind::User(format!("No source named \"{name}\" to include")))?;
                self.run(&split(name, text), nesting + 1).map_err(Failure::Inside)?;
                Ok(0)
            }
            _ if word.starts_with('.') => {
                self.directive(word, rest, &line.at)?;
                Ok(0)
            }
            _ => {
                self.instruction(word, rest, &line.at)?;
                Ok(0)
            }
        }
    }

    fn repeat(
        &mut self,
        word: &str,
        rest: &str,
        body: &[Line],
        at: &Location,
        nesting: usize,
    ) -> Result<(), Failure> {
        if word == ".rept" {
            let count = self.absolute(rest, ".rept")?;
            let count = usize::try_from(count).map_err(|_| ErrorKind::TooLarge("Count of .rept"))?;
            for _ in 0..count {
                // An empty body counts too, so that no count can hang.
                self.statements += 1;
                if self.statements > MAX_STATEMENTS {
                    return Err(ErrorKind::TooLarge("Number of statements").into());
                }
                self.run(body, nesting + 1).map_err(Failure::Inside)?;
            }
            return Ok(());
        }
        let arguments = crate::source::split_arguments(rest);
        let Some((name, values)) = arguments.split_first() else {
            return Err(ErrorKind::Syntax(".irp needs a symbol and values".to_owned()).into());
        };
        for value in values {
            let lines = substitute(body, &[(name.as_str(), value.clone())], None, at);
            self.run(&lines, nesting + 1).map_err(Failure::Inside)?;
        }
        Ok(())
    }

    fn define_label(&mut self, name: &str) -> Result<(), ErrorKind> {
        if let Ok(number) = name.parse() {
            self.locals.entry(number).or_default().push((self.items.len(), self.here));
            return Ok(());
        }
        if !name.starts_with(is_symbol_start) {
            return Err(ErrorKind::Syntax(format!("\"{name}\" cannot be a label")));
        }
        let symbol = Symbol { value: i64::from(self.here), label: true };
        match self.symbols.insert(name.to_owned(), symbol) {
            None => Ok(()),
            Some(_) => Err(ErrorKind::Redefined(name.to_owned())),
        }
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), ErrorKind> {
        if self.symbols.get(name).is_some_and(|s| s.label) {
            return Err(ErrorKind::Redefined(name.to_owned()));
        }
        let value = self.absolute(value, ".set")?;
        self.symbols.insert(name.to_owned(), Symbol { value, label: false });
        Ok(())
    }

    /// Operands with everything that is known now put in.
    fn operands(&self, text: &str) -> Result<Vec<Operand>, ErrorKind> {
        let operands = parse_operands(&tokenize(text)?)?;
        let scope = SoFar { pass: self, directive: "" };
        let lookup = |leaf: &Expr| match leaf {
            Expr::Symbol(name) => scope.symbol(name).ok(),
            Expr::Local(number, false) => scope.local(*number, false).ok(),
            _ => None,
        };
        Ok(operands.into_iter().map(|operand| operand.fold(&lookup)).collect())
    }

    /// The value of an expression that has to be known now.
    fn absolute(&self, text: &str, directive: &'static str) -> Result<i64, ErrorKind> {
        match parse_operands(&tokenize(text)?)?.as_slice() {
            [Operand::Value(value)] => value.evaluate(&SoFar { pass: self, directive }),
            _ => Err(ErrorKind::Syntax(format!("{directive} needs one value"))),
        }
    }

    fn instruction(&mut self, mnemonic: &str, rest: &str, at: &Location) -> Result<(), ErrorKind> {
        let operands = self.operands(rest)?;
        let pattern = insn::lookup(mnemonic, operands.len())
            .ok_or_else(|| ErrorKind::UnknownMnemonic(mnemonic.to_owned()))??;
        if self.here & 3 != 0 {
            return Err(ErrorKind::Misaligned(self.here));
        }
        self.place(4, Content::Instruction(pattern, operands), at)
    }

    fn place(&mut self, length: u32, content: Content, at: &Location) -> Result<(), ErrorKind> {
        self.items.push(Item { at: self.here, location: at.clone(), content });
        self.advance(length)
    }

    fn advance(&mut self, length: u32) -> Result<(), ErrorKind> {
        let used = self.here.wrapping_sub(self.base);
        // The image may end at the last byte of the address space, so its end may wrap to 0 but not beyond.
        let room = 0x1_0000_0000 - u64::from(self.base);
        let total = u64::from(used) + u64::from(length);
        if total > room.min(u64::from(MAX_IMAGE)) || (used == 0 && self.here != self.base) {
            return Err(ErrorKind::TooLarge("Image"));
        }
        self.here = self.here.wrapping_add(length);
        Ok(())
    }

    fn finish(self) -> Result<Program, Error> {
        let mut bytes = vec![0; self.here.wrapping_sub(self.base) as usize];
        for (index, item) in self.items.iter().enumerate() {
            let scope = Final { pass: &self, item: index };
            let mut write = |offset: u32, data: &[u8]| {
                let start = (item.at.wrapping_sub(self.base) + offset) as usize;
                bytes[start..start + data.len()].copy_from_slice(data);
            };
            let result = match &item.content {
                Content::Instruction(pattern, operands) => {
                    insn::encode(pattern, operands, item.at, &scope).map(|word| write(0, &word.to_be_bytes()))
                }
                Content::Integers(size, values) => {
                    integers(*size, values, &scope).map(|data| write(0, &data))
                }
                Content::Bytes(data) => {
                    write(0, data);
                    Ok(())
                }
                Content::Fill { count, size, value } => integers(*size, core::slice::from_ref(value), &scope)
                    .map(|unit| {
                        for n in 0..*count {
                            write(n * u32::from(*size), &unit);
                        }
                    }),
            };
            result.map_err(|kind| item.location.error(kind))?;
        }
        let symbols = self.symbols.into_iter().map(|(name, symbol)| (name, symbol.value as u32)).collect();
        Ok(Program { base: self.base, bytes, symbols })
    }
}

/// Where a statement failed: in itself, or in something it expanded to, which knows its own place.
enum Failure {
    Here(ErrorKind),
    Inside(Error),
}

impl From<ErrorKind> for Failure {
    fn from(kind: ErrorKind) -> Self {
        Failure::Here(kind)
    }
}

/// `name = value`, but not a comparison.
fn assignment(text: &str) -> Option<(&str, &str)> {
    let (name, value) = text.split_once('=')?;
    let name = name.trim();
    let plain = name.starts_with(is_symbol_start) && name.chars().all(crate::token::is_symbol_char);
    (plain && !value.starts_with('=')).then_some((name, value))
}

fn block(following: &[Line], open: &'static str, close: &'static str) -> Result<usize, ErrorKind> {
    block_of(following, &[open], close)
}

/// How many lines lie before the `close` that ends a block, blocks inside it included.
fn block_of(following: &[Line], open: &[&'static str], close: &'static str) -> Result<usize, ErrorKind> {
    let mut depth = 0;
    for (index, line) in following.iter().enumerate() {
        let (word, _) = take_word(&line.text);
        if open.contains(&word) {
            depth += 1;
        } else if word == close {
            if depth == 0 {
                return Ok(index);
            }
            depth -= 1;
        }
    }
    Err(ErrorKind::Syntax(format!("{} without {close}", open[0])))
}

/// Big-endian bytes of each value, signed or unsigned.
fn integers(size: u8, values: &[Value], scope: &dyn Scope) -> Result<Vec<u8>, ErrorKind> {
    let mut data = Vec::with_capacity(values.len() * usize::from(size));
    for value in values {
        let value = value.evaluate(scope)?;
        let bits = u32::from(size) * 8;
        let fits = size == 8 || (-(1i64 << (bits - 1))..1i64 << bits).contains(&value);
        if !fits {
            return Err(ErrorKind::DataRange { value, bytes: size });
        }
        data.extend(&value.to_be_bytes()[8 - usize::from(size)..]);
    }
    Ok(data)
}
