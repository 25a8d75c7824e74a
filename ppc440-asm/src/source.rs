//! Text to statements: comments, statement separators, labels, and the substitution of macro arguments. Which
//! lines a macro, a repetition or a conditional takes is decided by the assembler, which alone knows the values
//! of symbols.

use alloc::borrow::ToOwned;
use alloc::rc::Rc;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use alloc::{format, vec};

use crate::token::{is_symbol_char, is_symbol_start};
use crate::{Error, ErrorKind};

/// One statement's text and where it comes from.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) text: String,
    pub(crate) at: Location,
}

#[derive(Clone, Debug)]
pub(crate) struct Location {
    pub(crate) file: Rc<str>,
    pub(crate) line: u32,
    pub(crate) in_macro: Rc<str>,
}

impl Location {
    pub(crate) fn error(&self, kind: ErrorKind) -> Error {
        Error { file: self.file.to_string(), line: self.line, in_macro: self.in_macro.to_string(), kind }
    }
}

/// Splits a source into statements without comments. `#` starts a comment to the end of the line, as `//` does;
/// `/* */` may span lines; `;` separates statements.
pub(crate) fn split(file: &str, text: &str) -> Vec<Line> {
    let at = Location { file: file.into(), line: 1, in_macro: "".into() };
    let mut lines = vec![];
    let mut current = String::new();
    let mut line = 1;
    let mut chars = text.chars().peekable();
    let mut flush = |current: &mut String, line: u32| {
        let text = current.trim();
        if !text.is_empty() {
            lines.push(Line { text: text.to_owned(), at: Location { line, ..at.clone() } });
        }
        current.clear();
    };
    while let Some(c) = chars.next() {
        match c {
            '\n' => {
                flush(&mut current, line);
                line += 1;
            }
            ';' => flush(&mut current, line),
            '#' => while chars.next_if(|c| *c != '\n').is_some() {},
            '/' if chars.peek() == Some(&'/') => while chars.next_if(|c| *c != '\n').is_some() {},
            '/' if chars.peek() == Some(&'*') => {
                chars.next();
                let start = line;
                let mut previous = ' ';
                let mut newlines = 0;
                for c in chars.by_ref() {
                    newlines += u32::from(c == '\n');
                    if previous == '*' && c == '/' {
                        break;
                    }
                    previous = c;
                }
                if newlines > 0 {
                    flush(&mut current, start);
                    line += newlines;
                } else {
                    current.push(' ');
                }
            }
            '"' => {
                current.push(c);
                while let Some(c) = chars.next_if(|c| *c != '\n') {
                    current.push(c);
                    if c == '"' {
                        break;
                    }
                    if c == '\\' {
                        current.extend(chars.next_if(|c| *c != '\n'));
                    }
                }
            }
            // A character constant may hold a comment sign or a quote.
            '\'' => {
                current.push(c);
                if let Some(c) = chars.next_if(|c| *c != '\n') {
                    current.push(c);
                    if c == '\\' {
                        current.extend(chars.next_if(|c| *c != '\n'));
                    }
                }
            }
            _ => current.push(c),
        }
    }
    flush(&mut current, line);
    lines
}

/// Takes a leading `label:` off a statement.
pub(crate) fn take_label(text: &str) -> Option<(&str, &str)> {
    let end = text.find(|c| !is_symbol_char(c)).unwrap_or(text.len());
    let rest = text[end..].trim_start().strip_prefix(':')?;
    (end > 0).then(|| (&text[..end], rest.trim_start()))
}

/// Splits a statement into its first word and the rest. Mnemonics end in `.`, `+` or `-` at times.
pub(crate) fn take_word(text: &str) -> (&str, &str) {
    let end = text.find(char::is_whitespace).unwrap_or(text.len());
    (&text[..end], text[end..].trim_start())
}

/// Splits macro arguments at commas outside strings and parentheses. Quotes around an argument are taken off.
pub(crate) fn split_arguments(text: &str) -> Vec<String> {
    let mut arguments = vec![];
    let mut current = String::new();
    let mut depth = 0usize;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            ',' if depth == 0 => arguments.push(core::mem::take(&mut current)),
            '"' => {
                current.push(c);
                while let Some(c) = chars.next() {
                    current.push(c);
                    match c {
                        '"' => break,
                        '\\' => current.extend(chars.next()),
                        _ => {}
                    }
                }
            }
            _ => {
                match c {
                    '(' => depth += 1,
                    ')' => depth = depth.saturating_sub(1),
                    _ => {}
                }
                current.push(c);
            }
        }
    }
    if !arguments.is_empty() || !current.trim().is_empty() {
        arguments.push(current);
    }
    for argument in &mut arguments {
        let trimmed = argument.trim();
        let bare = trimmed.strip_prefix('"').and_then(|a| a.strip_suffix('"'));
        *argument = bare.unwrap_or(trimmed).to_owned();
    }
    arguments
}

/// One parameter of a macro.
#[derive(Clone, Debug)]
struct Parameter {
    name: String,
    default: String,
    required: bool,
    /// Takes all remaining arguments, commas included.
    variadic: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct Macro {
    name: String,
    parameters: Vec<Parameter>,
    body: Rc<[Line]>,
}

impl Macro {
    /// `header` is what follows `.macro`: the name and its parameters.
    pub(crate) fn parse(header: &str, body: Vec<Line>) -> Result<(String, Self), ErrorKind> {
        let end = header.find(|c: char| c == ',' || c.is_whitespace()).unwrap_or(header.len());
        let name = header[..end].to_owned();
        if !name.starts_with(is_symbol_start) || !name.chars().all(is_symbol_char) {
            return Err(ErrorKind::Syntax(format!("\"{name}\" cannot name a macro")));
        }
        let mut parameters = vec![];
        let list = header[end..].trim_start().trim_start_matches(',');
        for written in list.split(',').flat_map(str::split_whitespace) {
            let (declared, default) = written.split_once('=').unwrap_or((written, ""));
            let (name, qualifier) = declared.split_once(':').unwrap_or((declared, ""));
            if !matches!(qualifier, "" | "req" | "vararg") || !name.chars().all(is_parameter_char) {
                return Err(ErrorKind::Syntax(format!("\"{written}\" is not a macro parameter")));
            }
            parameters.push(Parameter {
                name: name.to_owned(),
                default: default.trim_matches('"').to_owned(),
                required: qualifier == "req",
                variadic: qualifier == "vararg",
            });
        }
        Ok((name.clone(), Self { name, parameters, body: body.into() }))
    }

    /// The body with the arguments in place. `count` is unique to this use and replaces `\@`.
    pub(crate) fn expand(&self, text: &str, count: u32, at: &Location) -> Result<Vec<Line>, ErrorKind> {
        let mut values: Vec<Option<String>> = vec![None; self.parameters.len()];
        let arguments = split_arguments(text);
        let mut position = 0;
        for (index, argument) in arguments.iter().enumerate() {
            let named = argument.split_once('=').and_then(|(name, value)| {
                let slot = self.parameters.iter().position(|p| p.name == name.trim())?;
                Some((slot, value.trim().to_owned()))
            });
            if let Some((slot, value)) = named {
                values[slot] = Some(value);
                continue;
            }
            let Some(parameter) = self.parameters.get(position) else {
                return Err(ErrorKind::OperandCount {
                    mnemonic: self.name.clone(),
                    expected: format!("at most {}", self.parameters.len()),
                    found: arguments.len(),
                });
            };
            if parameter.variadic {
                values[position] = Some(arguments[index..].join(","));
                break;
            }
            if !argument.is_empty() {
                values[position] = Some(argument.clone());
            }
            position += 1;
        }
        let mut bindings = vec![];
        for (parameter, value) in self.parameters.iter().zip(values) {
            if value.is_none() && parameter.required {
                let text = format!("Macro \"{}\" needs its argument \"{}\"", self.name, parameter.name);
                return Err(ErrorKind::User(text));
            }
            bindings.push((parameter.name.as_str(), value.unwrap_or_else(|| parameter.default.clone())));
        }
        let chain = if at.in_macro.is_empty() {
            self.name.clone()
        } else {
            format!("{} > {}", at.in_macro, self.name)
        };
        let at = Location { in_macro: chain.into(), ..at.clone() };
        Ok(substitute(&self.body, &bindings, Some(count), &at))
    }
}

fn is_parameter_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// The body with every `\name` replaced by its value, `\()` by nothing and, in a macro, `\@` by its count. The
/// statements are located at `at`, where the expansion was asked for.
pub(crate) fn substitute(
    body: &[Line],
    bindings: &[(&str, String)],
    count: Option<u32>,
    at: &Location,
) -> Vec<Line> {
    let replace = |text: &str| {
        let mut result = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(backslash) = rest.find('\\') {
            result.push_str(&rest[..backslash]);
            let after = &rest[backslash + 1..];
            let end = after.find(|c| !is_parameter_char(c)).unwrap_or(after.len());
            if let Some((_, value)) = bindings.iter().find(|(name, _)| *name == &after[..end]) {
                result.push_str(value);
                rest = &after[end..];
            } else if let (Some(count), Some(after)) = (count, after.strip_prefix('@')) {
                result.push_str(&count.to_string());
                rest = after;
            } else if let Some(after) = after.strip_prefix("()") {
                rest = after;
            } else {
                // An escape inside a string, or an inner macro's parameter.
                let kept = after.chars().next().map_or(0, char::len_utf8);
                result.push('\\');
                result.push_str(&after[..kept]);
                rest = &after[kept..];
            }
        }
        result.push_str(rest);
        result
    };
    // An argument may carry separators of its own; split again so that each statement stands alone.
    body.iter()
        .flat_map(|line| split("", &replace(&line.text)))
        .map(|line| Line { text: line.text, at: at.clone() })
        .collect()
}
