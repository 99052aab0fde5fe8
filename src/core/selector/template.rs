//! The grammar of URI templates (RFC 6570 §2): a text in literals, expressions and variables.
//!
//! It parses templates without an allocation, and must never decide a match: that is the job of
//! `matcher`.

use super::characters::{is_literal, is_variable_name};
use super::{EXPRESSIONS_MAX, SelectorError, VARIABLES_MAX};

/// A piece of a template.
pub(super) enum Part<'a> {
    /// Stands for itself.
    Literal(&'a str),
    /// The text between braces.
    Expression(Expression<'a>),
}

/// An operator and the list of variables that it applies to.
pub(super) struct Expression<'a> {
    pub(super) operator: Operator,
    /// The operator as it is written; empty for the simple one.
    pub(super) sign: &'a str,
    list: &'a str,
}

/// How an operator writes values (RFC 6570, appendix A).
pub(super) struct Operator {
    /// Written before the first value, if any.
    pub(super) first: Option<u8>,
    /// Written between values.
    pub(super) separator: u8,
    /// How a value is identified.
    pub(super) style: Style,
    /// Whether reserved characters stay as they are.
    pub(super) reserved: bool,
}

/// How values are identified.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    /// By their position.
    Unnamed,
    /// By a name, with `=` after it only if the value is not empty.
    Parameter,
    /// By a name and `=`.
    Query,
}

/// One variable of an expression.
pub(super) struct Variable<'a> {
    pub(super) name: &'a str,
    pub(super) modifier: Modifier,
}

/// The suffix of a variable's name.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Modifier {
    /// Nothing.
    None,
    /// `:n`: at most `n` characters of a string.
    Prefix(u16),
    /// `*`: each member of a list or of an associative array by itself.
    Explode,
}

/// The size of a template.
pub(super) struct Size {
    expressions: usize,
    variables: usize,
}

impl Size {
    /// Compares the size with the bounds.
    pub(super) fn check(&self) -> Result<(), SelectorError> {
        if self.expressions > EXPRESSIONS_MAX {
            let found = self.expressions;
            return Err(SelectorError::TooManyExpressions { found });
        }
        if self.variables > VARIABLES_MAX {
            let found = self.variables;
            return Err(SelectorError::TooManyVariables { found });
        }
        Ok(())
    }
}

/// The size of a text if it is a template: well-formed as a whole, with an expression.
pub(super) fn size(text: &str) -> Option<Size> {
    memchr::memchr(b'{', text.as_bytes())?;
    let mut size = Size {
        expressions: 0,
        variables: 0,
    };
    for part in parts(text) {
        match part {
            Part::Literal(literal) if is_literal(literal) => {}
            Part::Literal(_) => return None,
            Part::Expression(expression) => {
                size.expressions += 1;
                for variable in expression.variables() {
                    variable.filter(|variable| is_variable_name(variable.name))?;
                    size.variables += 1;
                }
            }
        }
    }
    Some(size)
}

/// The common prefix of all topics that match a template: its text up to the first expression, or
/// up to the first character that an expansion may percent-encode.
pub(super) fn prefix(text: &str) -> &str {
    let ends = |byte: u8| byte == b'{' || !byte.is_ascii();
    let end = text.bytes().position(ends).unwrap_or(text.len());
    &text[..end]
}

/// The common suffix of all topics that match a template, other than its own text.
pub(super) fn suffix(text: &str) -> &str {
    let starts = |byte: u8| byte == b'}' || !byte.is_ascii();
    // A byte above ASCII before the suffix is the last of its character.
    let start = text.bytes().rposition(starts).map_or(0, |at| at + 1);
    &text[start..]
}

/// Texts that occur in every topic that matches a template: the parts of its literals in which
/// nothing may be percent-encoded.
pub(super) fn pieces(text: &str) -> impl Iterator<Item = &str> {
    let literals = parts(text).filter_map(|part| match part {
        Part::Literal(literal) => Some(literal),
        Part::Expression(_) => None,
    });
    literals.flat_map(|literal| literal.split(|character: char| !character.is_ascii()))
}

/// The pieces of a template, in order. An unclosed brace is part of a literal, which is then
/// invalid.
pub(super) fn parts(text: &str) -> impl Iterator<Item = Part<'_>> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let part = match rest.strip_prefix('{').and_then(|text| text.split_once('}')) {
            Some((expression, behind)) => {
                rest = behind;
                Part::Expression(Expression::new(expression))
            }
            None if rest.is_empty() => return None,
            None => {
                let brace = memchr::memchr(b'{', rest.as_bytes());
                let end = brace.filter(|at| *at > 0).unwrap_or(rest.len());
                let (literal, behind) = rest.split_at(end);
                rest = behind;
                Part::Literal(literal)
            }
        };
        Some(part)
    })
}

impl<'a> Expression<'a> {
    fn new(text: &'a str) -> Self {
        let first = text.bytes().next().unwrap_or_default();
        let (operator, sign, list) = match Operator::new(first) {
            Some(operator) => (operator, &text[..1], &text[1..]),
            None => (Operator::SIMPLE, "", text),
        };
        Self {
            operator,
            sign,
            list,
        }
    }

    /// Its variables; `None` for one with an invalid modifier.
    pub(super) fn variables(&self) -> impl Iterator<Item = Option<Variable<'a>>> + use<'a> {
        self.list.split(',').map(Variable::new)
    }
}

impl Operator {
    const SIMPLE: Self = Self {
        first: None,
        separator: b',',
        style: Style::Unnamed,
        reserved: false,
    };

    fn new(character: u8) -> Option<Self> {
        let (first, separator, style, reserved) = match character {
            b'+' => (None, b',', Style::Unnamed, true),
            b'#' => (Some(b'#'), b',', Style::Unnamed, true),
            b'.' => (Some(b'.'), b'.', Style::Unnamed, false),
            b'/' => (Some(b'/'), b'/', Style::Unnamed, false),
            b';' => (Some(b';'), b';', Style::Parameter, false),
            b'?' => (Some(b'?'), b'&', Style::Query, false),
            b'&' => (Some(b'&'), b'&', Style::Query, false),
            _ => return None,
        };
        Some(Self {
            first,
            separator,
            style,
            reserved,
        })
    }
}

impl<'a> Variable<'a> {
    fn new(text: &'a str) -> Option<Self> {
        let (name, modifier) = if let Some(name) = text.strip_suffix('*') {
            (name, Modifier::Explode)
        } else if let Some((name, length)) = text.split_once(':') {
            (name, Modifier::Prefix(prefix_length(length)?))
        } else {
            (text, Modifier::None)
        };
        Some(Self { name, modifier })
    }
}

/// A number from 1 to 9,999 without leading zeros.
fn prefix_length(text: &str) -> Option<u16> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let well_formed = digits && (1..=4).contains(&text.len()) && !text.starts_with('0');
    well_formed.then(|| text.parse().ok()).flatten()
}
