//! `POST /publish`: events in over HTTP, in three forms that end in one call of the hub.
//!
//! [`json`] reads one event or an array (all or nothing), [`ndjson`] a stream of them, [`raw`] takes the body as data. Everything is checked before
//! anything is published, a publisher that outruns the node waits here (its body is read no further), and no event that was accepted may be dropped.

pub(crate) mod json;
mod ndjson;
mod permission;
mod raw;

use std::borrow::Cow;
use std::fmt;

use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::{Response, StatusCode};
use serde::{Serialize, Serializer};
use thiserror::Error;

use self::json::JsonError;
pub(crate) use self::permission::{Denied, Permission};
use self::raw::RawError;
use super::parameters::{self, ParametersError};
use super::reach::Reach;
use crate::core::event::{Event, EventError, EventId};
use crate::core::selector;
use crate::core::sse::Draft;
use crate::hub::{Closed, Hub, Receipt};
use crate::metrics::Source;
use crate::server::json::response as answer;
use crate::server::media_type::{MediaType, NotAscii, OtherCharset};
use crate::server::problem::Problem;
use crate::server::request_body::{BodyError, RequestBody};
use crate::server::response_body::ResponseBody;
use crate::server::retry::retry_after_s;

/// What `Accept-Post` and the refusal of other types say.
const ACCEPTED_TYPES: &str = "application/json, application/x-ndjson";

/// Why a call published nothing (or, as a stream, went no further).
#[derive(Debug, Error)]
pub(crate) enum PublishError {
    /// Neither JSON nor NDJSON on `/publish`.
    #[error(
        "`/publish` takes {ACCEPTED_TYPES} (UTF-8), not {found:?}; any other body goes to `/publish/{{topic}}`, which takes it as data"
    )]
    MediaType {
        /// What the request says, or nothing.
        found: String,
    },
    /// The body is in another character set.
    #[error(transparent)]
    Charset(#[from] OtherCharset),
    /// The body is not in the character set that it is said to be in.
    #[error(transparent)]
    NotAscii(#[from] NotAscii),
    /// The body is compressed.
    #[error("bodies are taken as they are, not with `Content-Encoding: {0}`")]
    Encoded(String),
    /// The body could not be read.
    #[error(transparent)]
    Body(#[from] BodyError),
    /// The body is not what JSON publishing expects.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// The parameters or the data of a raw publish are wrong.
    #[error(transparent)]
    Raw(#[from] RawError),
    /// A parameter beside a body that says everything.
    #[error("{0}: the members of a JSON event say what parameters say of `/publish/{{topic}}`")]
    Parameters(#[from] ParametersError),
    /// An event cannot be published.
    #[error("{source}")]
    Event {
        /// Its place in the array, if it came in one.
        index: Option<usize>,
        /// Why.
        source: EventError,
    },
    /// An event may not be published by this publisher.
    #[error("{source}")]
    Denied {
        /// Its place in the array, if it came in one.
        index: Option<usize>,
        /// Why.
        source: Denied,
    },
    /// The node no longer takes events.
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

/// How many events before a line were published.
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
            | Self::Event { .. } => StatusCode::BAD_REQUEST,
            Self::Denied { source, .. } => source.status(),
            Self::Closed(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Line { source, .. } => source.status(),
        }
    }

    /// What `WWW-Authenticate` says, where another token would help.
    fn challenge(&self) -> Option<&'static str> {
        match self {
            Self::Denied { source, .. } => Some(source.challenge()),
            Self::Line { source, .. } => source.challenge(),
            _ => None,
        }
    }

    /// Whether the member at fault may be pointed to; else only the element that it is in.
    fn has_member(&self) -> bool {
        !matches!(self, Self::Json(error) if !error.has_member())
    }

    /// Name of the member or parameter at fault, and the array element it is in.
    fn place(&self) -> (Option<&str>, Option<usize>) {
        match self {
            Self::Event { index, source } => (Some(source.field()), *index),
            Self::Denied { index, source } => (source.field(), *index),
            Self::Json(error) => (error.field(), error.index()),
            Self::Raw(error) => (error.field(), None),
            Self::Parameters(error) => (error.field(), None),
            Self::Line { source, .. } => source.place(),
            Self::MediaType { .. } | Self::Charset(_) | Self::NotAscii(_) => {
                (Some("content-type"), None)
            }
            Self::Encoded(_) => (Some("content-encoding"), None),
            Self::Body(_) | Self::Closed(_) => (None, None),
        }
    }
}

/// Data that is larger than allowed is no mistake in the form of the request.
fn is_too_large(error: &EventError) -> bool {
    matches!(error, EventError::TooLong { field: "data", .. })
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
            problem = problem.retry_after(retry_after_s());
        }
        problem
    }
}

/// Serves one publish call.
///
/// # Errors
/// [`PublishError`]; unless it is a [`PublishError::Line`], nothing was published.
pub(crate) async fn publish(
    hub: &Hub,
    permission: &Permission,
    topic_in_path: Option<&str>,
    query: Option<&str>,
    headers: &HeaderMap,
    mut body: RequestBody,
) -> Result<Response<ResponseBody>, PublishError> {
    check_encoding(headers)?;
    let kind = MediaType::of(headers);
    let body_bytes_max = hub.settings().publish_body_bytes_max;
    if let Some(topic) = topic_in_path {
        // The parameters come first: they are there already, and the body may be large.
        let bytes;
        let mut event = raw::event(topic, query)?;
        let charset = kind.charset.map_err(RawError::Charset)?;
        bytes = body.whole(body_bytes_max).await?;
        charset.check(&bytes)?;
        event.data = raw::data(&bytes)?.into();
        let answers = commit(hub, permission, vec![event], |_| None).await?;
        return Ok(answer(&answers.first()));
    }
    if let Some(Err(error)) = parameters::known(query, &[]).next() {
        return Err(error.into());
    }
    let form = form(&kind)?;
    let charset = kind.charset?;
    match form {
        Form::Json => {
            let bytes = body.whole(body_bytes_max).await?;
            charset.check(&bytes)?;
            match json::parse(&bytes, hub.settings().publish_batch_max)? {
                json::Events::One(event) => {
                    let answers = commit(hub, permission, vec![event], |_| None).await?;
                    Ok(answer(&answers.first()))
                }
                json::Events::Many(events) => {
                    Ok(answer(&commit(hub, permission, events, Some).await?))
                }
            }
        }
        Form::NdJson => {
            let accepted = ndjson::publish(hub, permission, charset, &mut body).await?;
            Ok(answer(&accepted))
        }
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

/// Checks and publishes all events as one batch; `place` says where in the body the n-th stands.
pub(crate) async fn commit(
    hub: &Hub,
    permission: &Permission,
    events: Vec<Event<'_>>,
    place: impl Fn(usize) -> Option<usize>,
) -> Result<Vec<Answer>, PublishError> {
    let mut reach = Reach::default();
    let mut drafts = Vec::with_capacity(events.len());
    for (number, event) in events.into_iter().enumerate() {
        drafts.push(draft(event, permission, place(number), hub, &mut reach).await?);
    }
    let receipts = submit(hub, &mut drafts).await?;
    let answers = receipts.iter().zip(&drafts);
    Ok(answers
        .map(|(receipt, draft)| Answer::new(receipt, draft.topics()))
        .collect())
}

/// Checks an event that stands at `index` in the body.
async fn draft<'a>(
    event: Event<'a>,
    permission: &Permission,
    index: Option<usize>,
    hub: &Hub,
    reach: &mut Reach,
) -> Result<Draft<'a>, PublishError> {
    let draft = Draft::new(event, hub.event_limits())
        .map_err(|source| PublishError::Event { index, source })?;
    permission
        .check(
            draft.topics(),
            hub.settings().publish_check_steps_max,
            reach,
        )
        .await
        .map_err(|source| PublishError::Denied { index, source })?;
    Ok(draft)
}

/// Publishes checked events as one batch.
async fn submit(hub: &Hub, drafts: &mut [Draft<'_>]) -> Result<Vec<Receipt>, PublishError> {
    if drafts.is_empty() {
        return Ok(Vec::new());
    }
    Ok(hub.publish(Source::Http, drafts).await?)
}

/// What is answered to one event: `{"id":"<ms>-<n>","subscribers":N}`.
#[derive(Debug, Serialize)]
pub(crate) struct Answer {
    #[serde(serialize_with = "as_text")]
    pub(crate) id: EventId,
    subscribers: u64,
    /// What the publisher may have meant otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    warning: Option<String>,
}

impl Answer {
    fn new(receipt: &Receipt, topics: &[Cow<'_, str>]) -> Self {
        Self {
            id: receipt.id,
            subscribers: receipt.subscribers,
            warning: warning(topics),
        }
    }
}

/// A topic that is written like a pattern is a topic all the same, and legal: only its publisher knows whether that was meant.
fn warning(topics: &[Cow<'_, str>]) -> Option<String> {
    let pattern = topics.iter().find(|topic| selector::is_pattern(topic))?;
    Some(format!(
        "the event went to the topic {pattern:?} as it is written; patterns choose topics for subscribers, publish to the topics themselves"
    ))
}

fn as_text<S: Serializer>(id: &EventId, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(id)
}

/// The forms of a body that `/publish` takes.
enum Form {
    Json,
    NdJson,
}

/// What kind of body `/publish` was sent.
fn form(kind: &MediaType) -> Result<Form, PublishError> {
    match &*kind.essence {
        "application/json" => Ok(Form::Json),
        "application/x-ndjson" => Ok(Form::NdJson),
        _ => Err(PublishError::MediaType {
            found: kind.text.clone(),
        }),
    }
}

fn lossy(value: &HeaderValue) -> String {
    String::from_utf8_lossy(value.as_bytes()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receipt_reads_as_promised() {
        let receipt = Receipt {
            id: EventId::from_parts(7, 1).expect("fits"),
            subscribers: 3,
        };
        let text = |topic: &'static str| {
            serde_json::to_string(&Answer::new(&receipt, &[topic.into()])).expect("JSON")
        };
        assert_eq!(text("news"), r#"{"id":"7-1","subscribers":3}"#);
        let warned = text("news/**");
        assert!(
            warned.starts_with(r#"{"id":"7-1","subscribers":3,"warning":""#),
            "{warned}"
        );
    }

    #[test]
    fn a_topic_that_is_written_like_a_pattern_is_warned_of() {
        for topic in [
            "*",
            "**",
            "news/**",
            "news/*/x",
            "books/{id}",
            "{+a}",
            "a{?b,c*}",
        ] {
            assert!(warning(&["a".into(), topic.into()]).is_some(), "{topic}");
        }
        for topic in ["news", "a*", "a/b*c", "{", "a{}", "{a b}", "100%"] {
            assert_eq!(warning(&[topic.into()]), None, "{topic}");
        }
    }

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
