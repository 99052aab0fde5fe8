//! Faults of events in JSON, in our words: the parser's messages name what it expected, not what
//! the publisher should send.

use std::fmt;

use thiserror::Error;

/// The members of an event.
pub(super) const MEMBERS: [&str; 8] = [
    "topic", "topics", "data", "event", "id", "retry", "private", "key",
];

/// Longest name of a member that is repeated in an answer, in characters.
const NAME_CHARS_MAX: usize = 64;

/// Why a body is not one event or an array of events.
#[derive(Debug, Error)]
pub enum JsonError {
    /// Not UTF-8.
    #[error("the JSON is not UTF-8 from byte {at} on")]
    NotUtf8 {
        /// Offset of the first byte that is not, from 0.
        at: usize,
    },
    /// Neither an object nor an array.
    #[error("the body must be a JSON object (one event) or an array of them")]
    NotEvents,
    /// Not JSON.
    #[error("{what}, {place}")]
    Syntax {
        /// Element of the array that has the fault.
        index: Option<usize>,
        /// The fault.
        what: &'static str,
        /// Its place.
        place: Place,
    },
    /// JSON, but no event.
    #[error("{fault} ({place})")]
    Event {
        /// Element of the array.
        index: Option<usize>,
        /// The fault.
        fault: Fault,
        /// Its place, or a later one.
        place: Place,
    },
    /// More events than the setting `publish_batch_max`.
    #[error("the array has more than the {max} events that `publish_batch_max` allows")]
    TooMany {
        /// Events allowed.
        max: usize,
    },
}

/// Faults of an event in JSON.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Fault {
    /// Not an object.
    #[error("an event must be a JSON object")]
    NotAnObject,
    /// An unknown member: if it were ignored, a misspelt name would go unseen.
    #[error("unknown member `{name}`; an event has {known}", known = Known)]
    Unknown {
        /// Its name, shortened.
        name: String,
    },
    /// The same member twice.
    #[error("`{0}` is given twice")]
    Twice(&'static str),
    /// A required member is missing.
    #[error("`{0}` is missing")]
    Missing(&'static str),
    /// A member of the wrong type.
    #[error("`{member}` must be {expected}")]
    Type {
        /// Its name.
        member: &'static str,
        /// The expected type.
        expected: &'static str,
    },
    /// A bad escape, most likely half of a surrogate pair.
    #[error("`{0}` has an escape that is no character")]
    Escape(&'static str),
    /// Both `topic` and `topics`; the node cannot choose.
    #[error("give `topic` (one name) or `topics` (an array), not both")]
    TwoTopics,
}

impl Fault {
    pub(super) fn unknown(name: &str) -> Self {
        let name = name.chars().take(NAME_CHARS_MAX).collect();
        Self::Unknown { name }
    }

    fn member(&self) -> Option<&str> {
        match self {
            Self::NotAnObject => None,
            Self::Unknown { name } => Some(name),
            Self::Twice(name) | Self::Missing(name) | Self::Escape(name) => Some(name),
            Self::Type { member, .. } => Some(member),
            Self::TwoTopics => Some("topics"),
        }
    }
}

/// The names of the members.
struct Known;

impl fmt::Display for Known {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let quoted: Vec<String> = MEMBERS.iter().map(|name| format!("`{name}`")).collect();
        f.write_str(&quoted.join(", "))
    }
}

/// The place of a fault. Within a line of a stream only the column counts, because the answer
/// already has the line's number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    line: Option<usize>,
    column: usize,
}

impl Place {
    pub(super) fn in_body(error: &serde_json::Error) -> Self {
        Self {
            line: Some(error.line()),
            column: column(error),
        }
    }

    pub(super) fn in_line(error: &serde_json::Error) -> Self {
        Self {
            line: None,
            column: column(error),
        }
    }
}

/// The column, from 1. The parser reports 0 for a fault at the first byte.
fn column(error: &serde_json::Error) -> usize {
    error.column().max(1)
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(line) = self.line {
            write!(f, "line {line}, ")?;
        }
        write!(f, "column {}", self.column)
    }
}

impl JsonError {
    /// Combines the parser's error with the fault noted before it, if any.
    pub(super) fn new(
        index: Option<usize>,
        fault: Option<Fault>,
        error: &serde_json::Error,
        place: Place,
    ) -> Self {
        let fault = fault.or(error.is_data().then_some(Fault::NotAnObject));
        match fault {
            Some(fault) => Self::Event {
                index,
                fault,
                place,
            },
            None => Self::Syntax {
                index,
                what: in_words(error),
                place,
            },
        }
    }

    /// Element of the array at fault, from 0.
    pub(in crate::api::publish) fn index(&self) -> Option<usize> {
        match self {
            Self::Syntax { index, .. } | Self::Event { index, .. } => *index,
            Self::NotUtf8 { .. } | Self::NotEvents | Self::TooMany { .. } => None,
        }
    }

    /// Member at fault.
    pub(in crate::api::publish) fn field(&self) -> Option<&str> {
        match self {
            Self::Event { fault, .. } => fault.member(),
            _ => None,
        }
    }

    /// Whether the member at fault exists and may be pointed to.
    pub(in crate::api::publish) fn has_member(&self) -> bool {
        let Self::Event { fault, .. } = self else {
            return false;
        };
        !matches!(fault, Fault::Unknown { .. } | Fault::Missing(_))
    }
}

/// The parser's messages for text that is not JSON, by their first words.
const WORDS: [(&str, &str); 17] = [
    ("EOF while parsing a list", "the JSON ends within an array"),
    (
        "EOF while parsing an object",
        "the JSON ends within an object",
    ),
    (
        "EOF while parsing a string",
        "the JSON ends within a string",
    ),
    (
        "EOF while parsing a value",
        "the JSON ends where a value is due",
    ),
    ("expected `:`", "a colon is missing after a member's name"),
    (
        "expected `,` or `]`",
        "a comma or the end of the array is missing",
    ),
    (
        "expected `,` or `}`",
        "a comma or the end of the object is missing",
    ),
    (
        "expected ident",
        "a word is none of `true`, `false` and `null`",
    ),
    ("expected value", "a value is missing or no JSON"),
    (
        "key must be a string",
        "a member's name must be a string in quotes",
    ),
    (
        "trailing comma",
        "there is a comma before the end of an array or object",
    ),
    (
        "trailing characters",
        "something follows the end of the JSON",
    ),
    (
        "invalid number",
        "a number is not written as JSON has numbers",
    ),
    ("number out of range", "a number is too large"),
    (
        "control character",
        "a string has a control character that is not escaped",
    ),
    ("recursion limit", "the JSON is nested too deeply"),
    (
        "invalid escape",
        "a string has an escape that JSON does not have",
    ),
];

fn in_words(error: &serde_json::Error) -> &'static str {
    let said = error.to_string();
    let row = WORDS.iter().find(|(theirs, _)| said.starts_with(theirs));
    row.map_or("the body is not JSON", |(_, ours)| ours)
}
