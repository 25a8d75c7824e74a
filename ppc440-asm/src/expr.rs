//! Expressions and operands. Precedence is GNU as's, not C's: `* / % << >>` bind tightest, then `| & ^`, then
//! `+ -` and comparisons, then `&&`, then `||`. A comparison that holds is -1.

use alloc::boxed::Box;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use alloc::{format, vec};

use crate::ErrorKind;
use crate::token::{Half, Token};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Expr {
    Int(i64),
    Symbol(String),
    /// A local label reference: number, forwards.
    Local(u32, bool),
    Unary(Unary, Box<Expr>),
    Binary(&'static str, Box<Expr>, Box<Expr>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unary {
    Negate,
    Complement,
    Not,
}

/// An expression with the half of its value that is meant, if not all of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Value {
    pub(crate) expr: Expr,
    pub(crate) half: Option<Half>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Operand {
    Gpr(u8),
    Fpr(u8),
    Cr(u8),
    Value(Value),
    /// `displacement(base)`; the base is a [`Operand::Gpr`] or a number.
    Memory(Value, Box<Operand>),
    Str(Vec<u8>),
}

/// What a name stands for when an expression is evaluated.
pub(crate) trait Scope {
    fn symbol(&self, name: &str) -> Result<i64, ErrorKind>;
    fn local(&self, number: u32, forward: bool) -> Result<i64, ErrorKind>;
}

impl Expr {
    pub(crate) fn evaluate(&self, scope: &dyn Scope) -> Result<i64, ErrorKind> {
        Ok(match self {
            Expr::Int(value) => *value,
            Expr::Symbol(name) => scope.symbol(name)?,
            Expr::Local(number, forward) => scope.local(*number, *forward)?,
            Expr::Unary(operator, inner) => {
                let value = inner.evaluate(scope)?;
                match operator {
                    Unary::Negate => value.wrapping_neg(),
                    Unary::Complement => !value,
                    Unary::Not => i64::from(value == 0),
                }
            }
            Expr::Binary(operator, left, right) => {
                binary(operator, left.evaluate(scope)?, right.evaluate(scope)?)?
            }
        })
    }

    /// Replaces what `lookup` knows by its value now, so that a `.set` symbol that changes later counts as it
    /// stood here.
    pub(crate) fn fold(self, lookup: &dyn Fn(&Expr) -> Option<i64>) -> Self {
        match self {
            Expr::Unary(operator, inner) => Expr::Unary(operator, Box::new(inner.fold(lookup))),
            Expr::Binary(operator, left, right) => {
                Expr::Binary(operator, Box::new(left.fold(lookup)), Box::new(right.fold(lookup)))
            }
            leaf => lookup(&leaf).map_or(leaf, Expr::Int),
        }
    }
}

fn binary(operator: &str, a: i64, b: i64) -> Result<i64, ErrorKind> {
    let shift = |shifted: Option<i64>| shifted.unwrap_or(0);
    let truth = |holds: bool| -i64::from(holds);
    Ok(match operator {
        "+" => a.wrapping_add(b),
        "-" => a.wrapping_sub(b),
        "*" => a.wrapping_mul(b),
        "/" | "%" if b == 0 => return Err(ErrorKind::DivisionByZero),
        "/" => a.wrapping_div(b),
        "%" => a.wrapping_rem(b),
        "<<" => shift(u32::try_from(b).ok().and_then(|b| a.checked_shl(b))),
        ">>" => shift(u32::try_from(b).ok().and_then(|b| (a as u64).checked_shr(b)).map(|v| v as i64)),
        "&" => a & b,
        "|" => a | b,
        "^" => a ^ b,
        "==" => truth(a == b),
        "!=" | "<>" => truth(a != b),
        "<" => truth(a < b),
        ">" => truth(a > b),
        "<=" => truth(a <= b),
        ">=" => truth(a >= b),
        "&&" => i64::from(a != 0 && b != 0),
        "||" => i64::from(a != 0 || b != 0),
        other => return Err(ErrorKind::Syntax(format!("unknown operator {other}"))),
    })
}

impl Value {
    pub(crate) fn evaluate(&self, scope: &dyn Scope) -> Result<i64, ErrorKind> {
        let value = self.expr.evaluate(scope)?;
        Ok(match self.half {
            None => value,
            Some(Half::Low) => value & 0xFFFF,
            Some(Half::High) => (value >> 16) & 0xFFFF,
            Some(Half::HighAdjusted) => (value.wrapping_add(0x8000) >> 16) & 0xFFFF,
        })
    }

    pub(crate) fn fold(self, lookup: &dyn Fn(&Expr) -> Option<i64>) -> Self {
        Self { expr: self.expr.fold(lookup), half: self.half }
    }
}

impl Operand {
    pub(crate) fn fold(self, lookup: &dyn Fn(&Expr) -> Option<i64>) -> Self {
        match self {
            Operand::Value(value) => Operand::Value(value.fold(lookup)),
            Operand::Memory(value, base) => Operand::Memory(value.fold(lookup), Box::new(base.fold(lookup))),
            other => other,
        }
    }
}

/// A register name as an operand of its own.
pub(crate) fn register(name: &str) -> Option<Operand> {
    let numbered = |prefix: &str, limit: u8| {
        let digits = name.strip_prefix(prefix)?;
        if digits.is_empty() || digits.len() > 1 && digits.starts_with('0') {
            return None;
        }
        digits.parse::<u8>().ok().filter(|n| *n < limit)
    };
    if name == "sp" {
        return Some(Operand::Gpr(1));
    }
    numbered("cr", 8)
        .map(Operand::Cr)
        .or_else(|| numbered("r", 32).map(Operand::Gpr))
        .or_else(|| numbered("f", 32).map(Operand::Fpr))
}

/// The names that stand for numbers inside an expression such as `4*cr1+eq`.
fn condition_name(name: &str) -> Option<i64> {
    match name {
        "lt" => Some(0),
        "gt" => Some(1),
        "eq" => Some(2),
        "so" | "un" => Some(3),
        _ => match register(name) {
            Some(Operand::Cr(n)) => Some(i64::from(n)),
            _ => None,
        },
    }
}

/// Reads a comma-separated list of operands; an empty text is an empty list.
pub(crate) fn parse_operands(tokens: &[Token]) -> Result<Vec<Operand>, ErrorKind> {
    let mut parser = Parser { tokens, at: 0, half: None };
    let mut operands = vec![];
    if tokens.is_empty() {
        return Ok(operands);
    }
    loop {
        operands.push(parser.operand()?);
        match parser.next() {
            None => return Ok(operands),
            Some(Token::Punct(",")) => {}
            Some(other) => return Err(ErrorKind::Syntax(format!("expected a comma before {}", show(other)))),
        }
    }
}

fn show(token: &Token) -> String {
    match token {
        Token::Int(value) => format!("{value:#x}"),
        Token::Ident(name) => format!("\"{name}\""),
        Token::Local(n, forward) => format!("\"{n}{}\"", if *forward { 'f' } else { 'b' }),
        Token::Str(_) => "a string".to_string(),
        Token::Half(_) => "@".to_string(),
        Token::Punct(p) => format!("\"{p}\""),
    }
}

/// Deeper nesting, or a longer chain of terms on one level, is refused so that no source can exhaust the stack.
const MAX_DEPTH: usize = 64;

struct Parser<'a> {
    tokens: &'a [Token],
    at: usize,
    half: Option<Half>,
}

impl<'a> Parser<'a> {
    fn peek(&self) -> Option<&'a Token> {
        self.tokens.get(self.at)
    }

    fn next(&mut self) -> Option<&'a Token> {
        let token = self.tokens.get(self.at);
        self.at += 1;
        token
    }

    fn at_end_of_operand(&self, at: usize) -> bool {
        matches!(self.tokens.get(at), None | Some(Token::Punct(",")))
    }

    fn operand(&mut self) -> Result<Operand, ErrorKind> {
        match self.peek() {
            Some(Token::Str(bytes)) => {
                self.at += 1;
                return Ok(Operand::Str(bytes.clone()));
            }
            Some(Token::Ident(name)) if self.at_end_of_operand(self.at + 1) => {
                if let Some(register) = register(name) {
                    self.at += 1;
                    return Ok(register);
                }
            }
            // `(r3)` without a displacement; `(3)` is a number in parentheses.
            Some(Token::Punct("(")) => {
                let start = self.at;
                match self.base_register() {
                    Some(base @ Operand::Gpr(_)) => {
                        let zero = Value { expr: Expr::Int(0), half: None };
                        return Ok(Operand::Memory(zero, Box::new(base)));
                    }
                    _ => self.at = start,
                }
            }
            _ => {}
        }
        self.half = None;
        let expr = self.expression(0, 0)?;
        if let Some(Token::Half(half)) = self.peek() {
            self.at += 1;
            self.half = Some(*half);
        }
        let value = Value { expr, half: self.half };
        if self.peek() == Some(&Token::Punct("(")) {
            let base = self
                .base_register()
                .ok_or_else(|| ErrorKind::Syntax("expected a base register in parentheses".to_string()))?;
            return Ok(Operand::Memory(value, Box::new(base)));
        }
        Ok(Operand::Value(value))
    }

    /// `(r3)`, `(3)` or `(name)` at the end of an operand; nothing is consumed if it is something else.
    fn base_register(&mut self) -> Option<Operand> {
        let [Token::Punct("("), inner, Token::Punct(")"), ..] = self.tokens.get(self.at..)? else {
            return None;
        };
        if !self.at_end_of_operand(self.at + 3) {
            return None;
        }
        let base = match inner {
            Token::Ident(name) => register(name)
                .unwrap_or_else(|| Operand::Value(Value { expr: Expr::Symbol(name.clone()), half: None })),
            Token::Int(value) => Operand::Value(Value { expr: Expr::Int(*value), half: None }),
            _ => return None,
        };
        self.at += 3;
        Some(base)
    }

    fn expression(&mut self, min_level: u8, depth: usize) -> Result<Expr, ErrorKind> {
        if depth > MAX_DEPTH {
            return Err(ErrorKind::TooLarge("Expression nesting"));
        }
        let mut left = self.primary(depth)?;
        for _ in 0..=MAX_DEPTH {
            if let Some(Token::Half(half)) = self.peek() {
                self.at += 1;
                self.half = Some(*half);
                continue;
            }
            let Some(Token::Punct(operator)) = self.peek() else { return Ok(left) };
            let Some(level) = level(operator).filter(|level| *level >= min_level) else { return Ok(left) };
            self.at += 1;
            let right = self.expression(level + 1, depth + 1)?;
            left = Expr::Binary(operator, Box::new(left), Box::new(right));
        }
        Err(ErrorKind::TooLarge("Number of terms in an expression"))
    }

    fn primary(&mut self, depth: usize) -> Result<Expr, ErrorKind> {
        if depth > MAX_DEPTH {
            return Err(ErrorKind::TooLarge("Expression nesting"));
        }
        Ok(match self.next() {
            Some(Token::Int(value)) => Expr::Int(*value),
            Some(Token::Ident(name)) => match condition_name(name) {
                Some(value) => Expr::Int(value),
                None => Expr::Symbol(name.clone()),
            },
            Some(Token::Local(number, forward)) => Expr::Local(*number, *forward),
            Some(Token::Punct("-")) => Expr::Unary(Unary::Negate, Box::new(self.primary(depth + 1)?)),
            Some(Token::Punct("~")) => Expr::Unary(Unary::Complement, Box::new(self.primary(depth + 1)?)),
            Some(Token::Punct("!")) => Expr::Unary(Unary::Not, Box::new(self.primary(depth + 1)?)),
            Some(Token::Punct("+")) => self.primary(depth + 1)?,
            Some(Token::Punct("(")) => {
                let inner = self.expression(0, depth + 1)?;
                if self.next() != Some(&Token::Punct(")")) {
                    return Err(ErrorKind::Syntax("missing closing parenthesis".to_string()));
                }
                inner
            }
            Some(other) => return Err(ErrorKind::Syntax(format!("expected a value, found {}", show(other)))),
            None => return Err(ErrorKind::Syntax("expected a value at the end of the line".to_string())),
        })
    }
}

/// How tightly an operator binds; higher is tighter.
fn level(operator: &str) -> Option<u8> {
    Some(match operator {
        "||" => 0,
        "&&" => 1,
        "==" | "!=" | "<>" | "<" | ">" | "<=" | ">=" | "+" | "-" => 2,
        "|" | "&" | "^" => 3,
        "*" | "/" | "%" | "<<" | ">>" => 4,
        _ => return None,
    })
}
