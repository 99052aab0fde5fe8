//! Why a publish call failed, and the answer to its client.

use std::fmt;

use hyper::StatusCode;
use hyper::header::{self, HeaderMap, HeaderValue};
use thiserror::Error;

use super::json::JsonError;
use super::key_header::{self, HeaderError};
use super::permission::Denied;
use super::raw::RawError;
use crate::api::parameters::ParametersError;
use crate::core::event::EventError;
use crate::hub::{Closed, NotPublished, Reused, Unlogged};
use crate::server::media_type::{NotAscii, OtherCharset};
use crate::server::problem::Problem;
use crate::server::request_body::BodyError;
use crate::server::retry::{retry_after_at_least_s, retry_after_s};

/// The types in `Accept-Post` and in the refusal of other types.
const ACCEPTED_TYPES: &str = "application/json, application/x-ndjson";

/// Why a call published nothing (or, as a stream, stopped).
#[derive(Debug, Error)]
pub(crate) enum PublishError {
    /// Neither JSON nor NDJSON on `/publish`.
    #[error(
        "`/publish` takes {ACCEPTED_TYPES} (UTF-8), not {found:?}; any other body goes to `/publish/{{topic}}`, which takes it as data"
    )]
    MediaType {
        /// The declared type, or nothing.
        found: String,
    },
    /// The body is in another character set.
    #[error(transparent)]
    Charset(#[from] OtherCharset),
    /// The body is not in its declared character set.
    #[error(transparent)]
    NotAscii(#[from] NotAscii),
    /// The body is compressed.
    #[error("bodies are taken as they are, not with `Content-Encoding: {0}`")]
    Encoded(String),
    /// The body could not be read.
    #[error(transparent)]
    Body(#[from] BodyError),
    /// The body's JSON is not one event or an array of events.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// The parameters or the data of a raw publish are wrong.
    #[error(transparent)]
    Raw(#[from] RawError),
    /// A parameter beside a body that holds the whole event.
    #[error("{0}: the members of a JSON event say what parameters say of `/publish/{{topic}}`")]
    Parameters(#[from] ParametersError),
    /// An event cannot be published.
    #[error("{source}")]
    Event {
        /// Its place in the array, if it was in one.
        index: Option<usize>,
        /// Why.
        source: EventError,
    },
    /// This publisher may not publish the event.
    #[error("{source}")]
    Denied {
        /// Its place in the array, if it was in one.
        index: Option<usize>,
        /// Why.
        source: Denied,
    },
    /// The header has no idempotency key.
    #[error(transparent)]
    HeaderKey(#[from] HeaderError),
    /// An event has a key of its own beside that in the header.
    #[error("give a key in the header `Idempotency-Key` or in the member `key`, not both")]
    TwoKeys {
        /// Its place in the array, if it was in one.
        index: Option<usize>,
    },
    /// An event has the idempotency key of another event.
    #[error("{source}{others}", others = source.others())]
    Reused {
        /// Its place in the array, if it was in one.
        index: Option<usize>,
        /// The header or member that has the key.
        field: &'static str,
        /// Which one, and what was published.
        source: Reused,
    },
    /// The log that orders the events cannot be written.
    #[error("the event was not published: {0}{before}", before = Earlier(.0.receipts.len()))]
    Away(Unlogged),
    /// The log did not say whether it has the events.
    #[error(
        "the outcome is unknown, the event may have been published: {0}{before}; repeat the call with the same `Idempotency-Key` or `key` to learn it and \
         to publish once (without a key, a repeat may be a second event)",
        before = Earlier(.0.receipts.len())
    )]
    Unknown(Unlogged),
    /// The node no longer accepts events.
    #[error(transparent)]
    Closed(#[from] Closed),
    /// A line of a stream failed; those before it were published.
    #[error("line {line}: {source} ({before})", before = Before(*accepted))]
    Line {
        /// Number of the line, from 1.
        line: u64,
        /// Events published.
        accepted: u64,
        /// Why.
        source: Box<PublishError>,
    },
}

/// The number of other events of an array that were published although it was refused.
struct Earlier(usize);

impl fmt::Display for Earlier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => Ok(()),
            count => write!(f, " ({})", Before(count as u64)),
        }
    }
}

/// Number of published events before a line.
struct Before(u64);

impl fmt::Display for Before {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            1 => f.write_str("1 event before it was published"),
            count => write!(f, "{count} events before it were published"),
        }
    }
}

impl PublishError {
    /// The error of a call whose events were not published. `place` gives an event's place in the
    /// array, if it was in one.
    pub(super) fn of(
        error: NotPublished,
        has_header_key: bool,
        place: impl Fn(usize) -> Option<usize>,
    ) -> Self {
        match error {
            NotPublished::Closed(closed) => closed.into(),
            NotPublished::Reused(source) => Self::Reused {
                index: place(source.number),
                field: if has_header_key {
                    key_header::HEADER
                } else {
                    "key"
                },
                source,
            },
            NotPublished::Away(unlogged) => Self::Away(unlogged),
            NotPublished::Unknown(unlogged) => Self::Unknown(unlogged),
        }
    }

    /// What the log said, and whether the outcome is unknown.
    fn unlogged(&self) -> Option<(&Unlogged, bool)> {
        match self {
            Self::Away(unlogged) => Some((unlogged, false)),
            Self::Unknown(unlogged) => Some((unlogged, true)),
            Self::Line { source, .. } => source.unlogged(),
            _ => None,
        }
    }

    fn status(&self) -> StatusCode {
        match self {
            Self::MediaType { .. }
            | Self::Charset(_)
            | Self::Raw(RawError::Charset(_))
            | Self::Encoded(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Body(BodyError::TooLarge { .. }) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Body(BodyError::Paused(_) | BodyError::Slow(_)) => StatusCode::REQUEST_TIMEOUT,
            Self::Body(BodyError::NoRoom(_)) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Json(JsonError::TooMany { .. }) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Event { source, .. } if is_too_large(source) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Event {
                source: EventError::ReservedTopic(_),
                ..
            } => StatusCode::FORBIDDEN,
            Self::Body(BodyError::Broken(_))
            | Self::Json(_)
            | Self::Raw(_)
            | Self::NotAscii(_)
            | Self::Parameters(_)
            | Self::HeaderKey(_)
            | Self::TwoKeys { .. }
            | Self::Event { .. } => StatusCode::BAD_REQUEST,
            Self::Reused { .. } => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Denied { source, .. } => source.status(),
            Self::Closed(_) | Self::Away(_) | Self::Unknown(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Line { source, .. } => source.status(),
        }
    }

    /// The value of `WWW-Authenticate`, if another token would help.
    fn challenge(&self) -> Option<&'static str> {
        match self {
            Self::Denied { source, .. } => Some(source.challenge()),
            Self::Line { source, .. } => source.challenge(),
            _ => None,
        }
    }

    /// Whether the answer may point to the member at fault; else only to its element.
    fn has_member(&self) -> bool {
        match self {
            Self::Json(error) => error.has_member(),
            Self::Reused { field, .. } => *field != key_header::HEADER,
            _ => true,
        }
    }

    /// Name of the member or parameter at fault, and its array element.
    fn place(&self) -> (Option<&str>, Option<usize>) {
        match self {
            Self::Event { index, source } => (Some(source.field()), *index),
            Self::Denied { index, source } => (source.field(), *index),
            Self::Json(error) => (error.field(), error.index()),
            Self::HeaderKey(_) => (Some(key_header::HEADER), None),
            Self::TwoKeys { index } => (Some("key"), *index),
            Self::Reused { index, field, .. } => (Some(field), *index),
            Self::Raw(error) => (error.field(), None),
            Self::Parameters(error) => (error.field(), None),
            Self::Line { source, .. } => source.place(),
            Self::MediaType { .. } | Self::Charset(_) | Self::NotAscii(_) => {
                (Some("content-type"), None)
            }
            Self::Encoded(_) => (Some("content-encoding"), None),
            Self::Body(_) | Self::Closed(_) | Self::Away(_) | Self::Unknown(_) => (None, None),
        }
    }
}

/// Whether the data is larger than allowed. That is no mistake in the request's form.
fn is_too_large(error: &EventError) -> bool {
    matches!(
        error,
        EventError::TooLong { field: "data", .. }
            | EventError::FrameTooLong { .. }
            | EventError::BeyondBudget { .. }
    )
}

impl From<PublishError> for Problem {
    fn from(error: PublishError) -> Self {
        let status = error.status();
        let mut problem = Self::new(status, error.to_string());
        let (field, index) = error.place();
        let member = field.filter(|_| error.has_member());
        if let Some(field) = field {
            problem = problem.field(field);
        }
        if let Some(index) = index {
            problem = problem.pointer(match member {
                Some(field) => format!("/{index}/{field}"),
                None => format!("/{index}"),
            });
        }
        let unlogged = error.unlogged();
        let retry_after = unlogged.map(|(unlogged, _)| unlogged.retry_after);
        if unlogged.is_some_and(|(_, is_unknown)| is_unknown) {
            problem = problem.of_unknown_outcome();
        }
        if let Some(challenge) = error.challenge() {
            problem = problem.header(header::WWW_AUTHENTICATE, challenge);
        }
        match error {
            PublishError::Line { line, accepted, .. } => problem = problem.at_line(line, accepted),
            PublishError::MediaType { .. } | PublishError::Charset(_) => {
                problem = problem.header(
                    header::HeaderName::from_static("accept-post"),
                    ACCEPTED_TYPES,
                );
            }
            PublishError::Encoded(_) => {
                problem = problem.header(header::ACCEPT_ENCODING, "identity");
            }
            _ => {}
        }
        if status == StatusCode::SERVICE_UNAVAILABLE {
            let seconds = retry_after.map_or_else(retry_after_s, retry_after_at_least_s);
            problem = problem.retry_after(seconds);
        }
        problem
    }
}

/// Refuses a body that is compressed.
pub(crate) fn check_encoding(headers: &HeaderMap) -> Result<(), PublishError> {
    match headers.get(header::CONTENT_ENCODING) {
        Some(coding) if !coding.as_bytes().eq_ignore_ascii_case(b"identity") => {
            Err(PublishError::Encoded(lossy(coding)))
        }
        _ => Ok(()),
    }
}

fn lossy(value: &HeaderValue) -> String {
    String::from_utf8_lossy(value.as_bytes()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_points_to_the_field() {
        let error = PublishError::Line {
            line: 4,
            accepted: 3,
            source: Box::new(PublishError::Event {
                index: None,
                source: EventError::EmptyId,
            }),
        };
        assert_eq!(error.status(), 400);
        let text = String::from_utf8(Problem::from(error).to_json()).expect("text");
        assert!(
            text.contains(r#""field":"id","line":4,"accepted":3"#),
            "{text}"
        );
        let large = PublishError::Event {
            index: Some(2),
            source: EventError::TooLong {
                field: "data",
                length: 2,
                setting: "data_bytes_max",
                max: 1,
            },
        };
        assert_eq!(large.status(), 413);
        let text = String::from_utf8(Problem::from(large).to_json()).expect("text");
        assert!(text.contains(r#""pointer":"/2/data""#), "{text}");
    }
}
