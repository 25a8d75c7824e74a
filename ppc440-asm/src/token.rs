//! Splits the operands of one statement into tokens. Follows GNU as: numbers in four bases, characters after an
//! apostrophe, symbols of letters, digits, `_`, `.` and `$`, local label references such as `1b`.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use alloc::{format, vec};

use crate::ErrorKind;

/// Which half of a 32-bit value `@l`, `@h` and `@ha` take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Half {
    /// `@l`: bits 16:31.
    Low,
    /// `@h`: bits 0:15.
    High,
    /// `@ha`: bits 0:15, adjusted for a sign-extended low half.
    HighAdjusted,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Token {
    Int(i64),
    Ident(String),
    /// `1b` (false) or `1f` (true).
    Local(u32, bool),
    Str(Vec<u8>),
    Half(Half),
    Punct(&'static str),
}

/// Longest first, so that `<<` is not read as two `<`.
const PUNCTUATION: [&str; 25] = [
    "<<", ">>", "==", "!=", "<>", "<=", ">=", "&&", "||", "<", ">", "+", "-", "*", "/", "%", "&", "|", "^",
    "~", "!", "(", ")", ",", "=",
];

pub(crate) fn is_symbol_start(c: char) -> bool {
    c.is_ascii_alphabetic() || matches!(c, '_' | '.' | '$')
}

pub(crate) fn is_symbol_char(c: char) -> bool {
    is_symbol_start(c) || c.is_ascii_digit()
}

fn syntax(text: String) -> ErrorKind {
    ErrorKind::Syntax(text)
}

/// Reads the tokens of `text`, in which comments are already gone.
pub(crate) fn tokenize(text: &str) -> Result<Vec<Token>, ErrorKind> {
    let mut tokens = vec![];
    let mut rest = text.trim_start();
    while let Some(c) = rest.chars().next() {
        let used;
        let token;
        if c.is_ascii_digit() {
            (token, used) = number(rest)?;
        } else if is_symbol_start(c) {
            used = rest.find(|c| !is_symbol_char(c)).unwrap_or(rest.len());
            token = Token::Ident(rest[..used].to_string());
        } else if c == '"' {
            let (bytes, length) = string(rest)?;
            (token, used) = (Token::Str(bytes), length);
        } else if c == '\'' {
            (token, used) = character(rest)?;
        } else if c == '@' {
            let end = rest[1..].find(|c| !is_symbol_char(c)).map_or(rest.len(), |at| at + 1);
            let half = match &rest[1..end] {
                "l" => Half::Low,
                "h" => Half::High,
                "ha" => Half::HighAdjusted,
                other => return Err(syntax(format!("\"@{other}\" is not @l, @h or @ha"))),
            };
            (token, used) = (Token::Half(half), end);
        } else if let Some(punct) = PUNCTUATION.iter().find(|p| rest.starts_with(**p)) {
            (token, used) = (Token::Punct(punct), punct.len());
        } else {
            return Err(syntax(format!("unexpected character {c:?}")));
        }
        tokens.push(token);
        rest = rest[used..].trim_start();
    }
    Ok(tokens)
}

fn number(text: &str) -> Result<(Token, usize), ErrorKind> {
    let end = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len());
    let word = &text[..end];
    let lower = word.to_ascii_lowercase();
    let bad = || syntax(format!("\"{word}\" is not a number"));
    let parse = |digits: &str, radix| {
        u64::from_str_radix(digits, radix).ok().and_then(|v| i64::try_from(v).ok()).ok_or_else(bad)
    };
    let value = if let Some(digits) = lower.strip_prefix("0x") {
        parse(digits, 16)?
    } else if let Some(digits) = lower.strip_prefix("0b").filter(|d| !d.is_empty()) {
        parse(digits, 2)?
    } else if lower.ends_with(['b', 'f']) && lower[..lower.len() - 1].bytes().all(|b| b.is_ascii_digit()) {
        let label = lower[..lower.len() - 1].parse().map_err(|_| bad())?;
        return Ok((Token::Local(label, lower.ends_with('f')), end));
    } else if lower.len() > 1 && lower.starts_with('0') {
        parse(&lower[1..], 8)?
    } else {
        parse(&lower, 10)?
    };
    Ok((Token::Int(value), end))
}

/// One possibly escaped character at the start of `text`: its byte and how many bytes of text it took.
fn escaped(text: &str) -> Result<(u8, usize), ErrorKind> {
    let bytes = text.as_bytes();
    let unterminated = || syntax("unterminated string or character".to_string());
    let first = *bytes.first().ok_or_else(unterminated)?;
    if first != b'\\' {
        return Ok((first, 1));
    }
    let simple = match bytes.get(1).ok_or_else(unterminated)? {
        b'n' => b'\n',
        b't' => b'\t',
        b'r' => b'\r',
        b'b' => 8,
        b'f' => 12,
        b'\\' => b'\\',
        b'"' => b'"',
        b'\'' => b'\'',
        b'x' => {
            let digits = bytes[2..].iter().take(2).take_while(|b| b.is_ascii_hexdigit()).count();
            let value = u8::from_str_radix(&text[2..2 + digits], 16);
            return value.map(|v| (v, 2 + digits)).map_err(|_| syntax("\\x without digits".to_string()));
        }
        b'0'..=b'7' => {
            let digits = bytes[1..].iter().take(3).take_while(|b| (b'0'..=b'7').contains(b)).count();
            let value = u16::from_str_radix(&text[1..=digits], 8).unwrap_or(0);
            return Ok((value as u8, 1 + digits));
        }
        other => return Err(syntax(format!("unknown escape \\{}", char::from(*other)))),
    };
    Ok((simple, 2))
}

fn string(text: &str) -> Result<(Vec<u8>, usize), ErrorKind> {
    let mut bytes = vec![];
    let mut at = 1;
    loop {
        if text.as_bytes().get(at) == Some(&b'"') {
            return Ok((bytes, at + 1));
        }
        // Bytes of a non-ASCII character are copied one by one; the slice may start inside one, so go by bytes.
        if let Some(&byte) = text.as_bytes().get(at).filter(|b| !b.is_ascii()) {
            bytes.push(byte);
            at += 1;
            continue;
        }
        let (byte, used) = escaped(text.get(at..).unwrap_or(""))?;
        bytes.push(byte);
        at += used;
    }
}

fn character(text: &str) -> Result<(Token, usize), ErrorKind> {
    if text[1..].starts_with(|c: char| !c.is_ascii()) {
        return Err(syntax("character constants are ASCII".to_string()));
    }
    let (byte, used) = escaped(&text[1..])?;
    // GNU as needs no closing apostrophe; most people write one.
    let closing = usize::from(text.as_bytes().get(1 + used) == Some(&b'\''));
    Ok((Token::Int(i64::from(byte)), 1 + used + closing))
}
