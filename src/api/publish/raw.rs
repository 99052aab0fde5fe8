//! `POST /publish/{topic}`: the body is the data, the rest is in the query.

use std::borrow::Cow;

use thiserror::Error;

use crate::api::parameters::{self, UnknownParameter};
use crate::core::event::Event;
use crate::server::media_type::OtherCharset;
use crate::server::query::{self, QueryError};

/// The parameters of a raw publish.
const PARAMETERS: [&str; 4] = ["event", "id", "retry", "private"];

/// Why a raw publish is malformed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum RawError {
    /// Path or query are not UTF-8.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// An unknown parameter.
    #[error(transparent)]
    Unknown(#[from] UnknownParameter),
    /// The same parameter twice.
    #[error("`{0}` is given twice")]
    Twice(&'static str),
    /// A value that the parameter does not allow.
    #[error("`{name}` must be {expected}, not {found:?}")]
    Value {
        /// The parameter.
        name: &'static str,
        /// Values that it allows.
        expected: &'static str,
        /// The value that was sent.
        found: String,
    },
    /// The body is in another character set.
    #[error(transparent)]
    Charset(OtherCharset),
    /// The body is not text.
    #[error("the body is not UTF-8 from byte {at} on; Server-Sent Events carry text only")]
    NotUtf8 {
        /// Offset of the first byte that is not, from 0.
        at: usize,
    },
}

impl RawError {
    /// The parameter at fault.
    pub(super) fn field(&self) -> Option<&str> {
        match self {
            Self::Unknown(unknown) => unknown.name(),
            Self::Twice(name) | Self::Value { name, .. } => Some(name),
            Self::Charset(_) => Some("content-type"),
            Self::Query(_) | Self::NotUtf8 { .. } => None,
        }
    }
}

/// The event that path and query describe, without data yet.
pub(super) fn event<'a>(topic: &'a str, query: Option<&'a str>) -> Result<Event<'a>, RawError> {
    let mut event = Event::new(query::decode_path(topic)?, "");
    let mut private = None;
    for pair in query.into_iter().flat_map(query::pairs) {
        let (name, value) = pair?;
        match name.as_ref() {
            "event" => set("event", &mut event.event, value)?,
            "id" => set("id", &mut event.id, value)?,
            "retry" => set("retry", &mut event.retry, milliseconds(value)?)?,
            "private" => set("private", &mut private, truth(value)?)?,
            name => parameters::check(name, &PARAMETERS)?,
        }
    }
    event.private = private.unwrap_or(false);
    Ok(event)
}

/// The body as data.
pub(super) fn data(body: &[u8]) -> Result<&str, RawError> {
    std::str::from_utf8(body).map_err(|error| RawError::NotUtf8 {
        at: error.valid_up_to(),
    })
}

fn set<T>(name: &'static str, slot: &mut Option<T>, value: T) -> Result<(), RawError> {
    match slot.replace(value) {
        Some(_) => Err(RawError::Twice(name)),
        None => Ok(()),
    }
}

fn milliseconds(value: Cow<'_, str>) -> Result<u64, RawError> {
    query::number(&value).ok_or_else(|| RawError::Value {
        name: "retry",
        expected: "a number of milliseconds",
        found: value.into_owned(),
    })
}

fn truth(value: Cow<'_, str>) -> Result<bool, RawError> {
    match value.as_ref() {
        "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        _ => Err(RawError::Value {
            name: "private",
            expected: "true, 1, false or 0",
            found: value.into_owned(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn path_and_query_make_an_event() {
        let event = event("a%20b/c", Some("event=e&id=%C3%A4&retry=10&private=1")).expect("valid");
        assert_eq!(event.topics.as_slice(), ["a b/c"]);
        assert_eq!(event.event.as_deref(), Some("e"));
        assert_eq!(event.id.as_deref(), Some("ä"));
        assert_eq!((event.retry, event.private), (Some(10), true));
    }

    #[test]
    fn each_mistake_names_its_parameter() {
        let field = |query| {
            let error = event("t", Some(query)).expect_err(query);
            error.field().map(str::to_owned)
        };
        assert_eq!(field("evnt=x").as_deref(), Some("evnt"));
        assert_eq!(field("id=1&id=2").as_deref(), Some("id"));
        assert_eq!(field("retry=").as_deref(), Some("retry"));
        assert_eq!(field("retry=+1").as_deref(), Some("retry"));
        assert_eq!(
            field("retry=99999999999999999999").as_deref(),
            Some("retry")
        );
        assert_eq!(field("private=yes").as_deref(), Some("private"));
        assert_eq!(field("id=%ff"), None);
        assert_eq!(data(b"ab\xff"), Err(RawError::NotUtf8 { at: 2 }));
    }
}
