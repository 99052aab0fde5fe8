//! Rules that derive topics from claims: `user/{sub}`, `role/{roles}`, `tenant/{tenant}/**`.
//!
//! The text in braces is a claim's name, or the path to it (`{realm_access.roles}`). A rule is the
//! administrator's and may be a pattern. A claim's value is foreign text and must never become one.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde_json::{Map, Value};
use thiserror::Error;

use super::TokenError;
use crate::core::limits::TOPIC_BYTES_CEILING;
use crate::core::selector::{Selector, SelectorError, Syntax};
use crate::core::topic::TopicError;

/// Stands in for a value when a rule is checked at start.
const SAMPLE: &str = "x";
/// The fault of a value that is too long.
const TOO_LONG: &str = "makes a topic longer than `topic_bytes_max`";
/// Most names on the path to a claim.
const STEPS_MAX: usize = 8;

/// Why a text is not a rule.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RuleError {
    /// An unbalanced or nested brace.
    #[error("a `{{` without its `}}`, or the other way round")]
    Braces,
    /// Braces around nothing.
    #[error("braces without the name of a claim between them")]
    NoName,
    /// Too many names on the path.
    #[error("a claim more than {STEPS_MAX} names deep")]
    TooDeep,
    /// A pattern in the same segment as a claim's value.
    #[error(
        "a `*` beside a claim in one segment: a segment is one or the other, as in `tenant/{{tenant}}/**`"
    )]
    Wildcard,
    /// The derived text is not a selector.
    #[error("it makes no topic and no pattern: {0}")]
    Selector(#[from] SelectorError),
}

/// One rule of the setting `topics_from`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicRule {
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    /// Name of a claim, or the path to it.
    Claim(Arc<str>),
}

/// Bounds on the topics of a token.
pub(super) struct Bounds {
    pub(super) topic_bytes_max: usize,
    pub(super) selectors_max: usize,
}

impl FromStr for TopicRule {
    type Err = RuleError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text, TOPIC_BYTES_CEILING)
    }
}

impl fmt::Display for TopicRule {
    /// The rule as it was written.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.parts.iter().try_for_each(|part| match part {
            Part::Text(text) => f.write_str(text),
            Part::Claim(name) => write!(f, "{{{name}}}"),
        })
    }
}

impl TopicRule {
    /// Parses a rule, and tries it with a value of one letter.
    ///
    /// # Errors
    /// [`RuleError`].
    pub fn parse(text: &str, topic_bytes_max: usize) -> Result<Self, RuleError> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, behind)) = rest.split_once('{') {
            let (name, after) = behind.split_once('}').ok_or(RuleError::Braces)?;
            if before.contains('}') || name.contains('{') {
                return Err(RuleError::Braces);
            }
            if name.split('.').any(str::is_empty) {
                return Err(RuleError::NoName);
            }
            if name.split('.').count() > STEPS_MAX {
                return Err(RuleError::TooDeep);
            }
            parts.push(Part::Text(before.to_owned()));
            parts.push(Part::Claim(name.into()));
            rest = after;
        }
        if rest.contains('}') {
            return Err(RuleError::Braces);
        }
        parts.push(Part::Text(rest.to_owned()));
        let rule = Self { parts };
        // A value may hold slashes, and would put the text beside it into a segment of its own. No
        // text of a rule has a brace.
        let marked = rule.with_every_claim("{");
        if marked
            .split('/')
            .any(|segment| segment.contains('*') && segment.contains('{'))
        {
            return Err(RuleError::Wildcard);
        }
        rule.check_length(topic_bytes_max)?;
        Ok(rule)
    }

    /// Checks that its result for a short claim is a selector of at most `topic_bytes_max` bytes.
    ///
    /// # Errors
    /// [`RuleError::Selector`].
    pub fn check_length(&self, topic_bytes_max: usize) -> Result<(), RuleError> {
        let sample = self.with_every_claim(SAMPLE);
        Selector::parse(&sample, Syntax::Native, topic_bytes_max)?;
        Ok(())
    }

    fn with_every_claim(&self, value: &str) -> String {
        let parts = self.parts.iter().map(|part| match part {
            Part::Text(text) => text,
            Part::Claim(_) => value,
        });
        parts.collect()
    }

    /// Adds the topics that it derives from `claims` to `topics`. An absent claim derives none.
    pub(super) fn apply(
        &self,
        claims: &Map<String, Value>,
        bounds: &Bounds,
        topics: &mut BTreeSet<Selector>,
    ) -> Result<(), TokenError> {
        // All texts so far; each placeholder multiplies them by the values of its claim.
        let mut texts = vec![String::new()];
        for part in &self.parts {
            match part {
                Part::Text(text) => texts.iter_mut().for_each(|topic| topic.push_str(text)),
                Part::Claim(name) => {
                    let values = values(claims, name)?;
                    if values.len().saturating_mul(texts.len()) > bounds.selectors_max {
                        return Err(too_many(bounds));
                    }
                    texts = product(&texts, &values);
                    if texts.iter().any(|text| text.len() > bounds.topic_bytes_max) {
                        return Err(fault(name, TOO_LONG));
                    }
                }
            }
        }
        for text in texts {
            topics.insert(self.selector(&text, bounds)?);
            if topics.len() > bounds.selectors_max {
                return Err(too_many(bounds));
            }
        }
        Ok(())
    }

    fn selector(&self, text: &str, bounds: &Bounds) -> Result<Selector, TokenError> {
        // The rule itself was checked at start, so a value is at fault; the last one completed the
        // text.
        let last = self.parts.iter().rev().find_map(|part| match part {
            Part::Claim(name) => Some(&**name),
            Part::Text(_) => None,
        });
        let name = last.unwrap_or("topics_from");
        Selector::parse(text, Syntax::Native, bounds.topic_bytes_max).map_err(|error| match error {
            SelectorError::Topic(TopicError::TooLong { .. }) => fault(name, TOO_LONG),
            SelectorError::Topic(TopicError::Empty) => fault(name, "makes an empty topic"),
            SelectorError::TooManyExpressions { .. } | SelectorError::TooManyVariables { .. } => {
                fault(name, "makes a pattern with too many parts")
            }
        })
    }
}

fn product(texts: &[String], values: &[String]) -> Vec<String> {
    let with = |text: &String| {
        values
            .iter()
            .map(move |value| format!("{text}{value}"))
            .collect()
    };
    let extended = texts.iter().map(with);
    extended.collect::<Vec<Vec<String>>>().concat()
}

/// The values of a claim: one, or those of a list, or none if it is absent.
fn values(claims: &Map<String, Value>, name: &Arc<str>) -> Result<Vec<String>, TokenError> {
    let Some(value) = find(claims, name) else {
        return Ok(Vec::new());
    };
    match value {
        Value::Null => Ok(Vec::new()),
        Value::Array(list) => list.iter().map(|value| literal(value, name)).collect(),
        value => Ok(vec![literal(value, name)?]),
    }
}

/// A claim of exactly this name, dots included (`https://example.com/roles` is a name), or else the
/// one at the end of the path.
fn find<'a>(claims: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    if let Some(value) = claims.get(name) {
        return Some(value);
    }
    let mut steps = name.split('.');
    let first = claims.get(steps.next()?)?;
    steps.try_fold(first, |value, step| value.get(step))
}

fn literal(value: &Value, name: &Arc<str>) -> Result<String, TokenError> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        Value::Bool(flag) => flag.to_string(),
        Value::Null | Value::Array(_) | Value::Object(_) => {
            return Err(fault(
                name,
                "must be a string, number or boolean, or a list of these",
            ));
        }
    };
    if text.is_empty() {
        return Err(fault(name, "is empty"));
    }
    if text.contains(['*', '{', '}']) {
        return Err(fault(
            name,
            "holds a character of patterns (`*`, `{` or `}`)",
        ));
    }
    Ok(text)
}

fn fault(claim: &str, fault: &'static str) -> TokenError {
    TokenError::Claim {
        claim: claim.into(),
        fault,
    }
}

fn too_many(bounds: &Bounds) -> TokenError {
    TokenError::TooManySelectors {
        max: bounds.selectors_max,
    }
}
