//! `POST /publish`: events in over HTTP, in three forms that end in one call of the hub.
//!
//! [`json`] reads one event or an array (all or nothing), [`ndjson`] a stream of them, [`raw`] takes the body as data. Everything is checked before
//! anything is published, a publisher that outruns the node waits here (its body is read no further), and no event that was accepted may be dropped.

pub(super) mod json;
mod ndjson;
mod permission;
mod raw;

use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::{Response, StatusCode};
use serde::ser::{Serialize, SerializeStruct, Serializer};
use thiserror::Error;

use self::json::JsonError;
pub(super) use self::permission::{Denied, Permission};
use self::raw::RawError;
use super::body::{BodyError, RequestBody, ResponseBody};
use super::parameters::{self, ParametersError};
use super::problem::Problem;
use super::reach::Reach;
use super::subscribe::retry_after_s;
use crate::event::{Event, EventError};
use crate::hub::{Closed, Hub, Receipt};
use crate::metrics::Source;
use crate::sse::Draft;

/// What `Accept-Post` and the refusal of other types say.
const ACCEPTED_TYPES: &str = "application/json, application/x-ndjson";

/// Why a call published nothing (or, as a stream, went no further).
#[derive(Debug, Error)]
pub(super) enum PublishError {
    /// Neither JSON nor NDJSON on `/publish`.
    #[error(
        "`/publish` takes {ACCEPTED_TYPES} (UTF-8), not {found:?}; any other body goes to `/publish/{{topic}}`, which takes it as data"
    )]
    MediaType {
        /// What the request says, or nothing.
        found: String,
    },
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
    #[error("line {line}: {source} ({accepted} events before it were published)")]
    Line {
        /// Number of the line, from 1.
        line: u64,
        /// Events published.
        accepted: u64,
        /// Why.
        source: Box<PublishError>,
    },
}

impl PublishError {
    fn status(&self) -> StatusCode {
        match self {
            Self::MediaType { .. } | Self::Encoded(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Body(BodyError::TooLarge { .. }) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Body(BodyError::Paused(_)) => StatusCode::REQUEST_TIMEOUT,
            Self::Json(JsonError::TooMany { .. }) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Event { source, .. } if is_too_large(source) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Event {
                source: EventError::ReservedTopic(_),
                ..
            } => StatusCode::FORBIDDEN,
            Self::Body(BodyError::Broken(_))
            | Self::Json(_)
            | Self::Raw(_)
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

    /// Name of the member or parameter at fault, and the array element it is in.
    fn place(&self) -> (Option<&str>, Option<usize>) {
        match self {
            Self::Event { index, source } => (Some(source.field()), *index),
            Self::Denied { index, source } => (source.field(), *index),
            Self::Json(error) => (error.field(), error.index()),
            Self::Raw(error) => (error.field(), None),
            Self::Parameters(error) => (error.field(), None),
            Self::Line { source, .. } => source.place(),
            Self::MediaType { .. } => (Some("content-type"), None),
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
        if let Some(field) = field {
            problem = problem.field(field);
        }
        if let Some(index) = index {
            problem = problem.pointer(match field {
                Some(field) => format!("/{index}/{field}"),
                None => format!("/{index}"),
            });
        }
        if let Some(challenge) = error.challenge() {
            problem = problem.header(header::WWW_AUTHENTICATE, challenge);
        }
        match error {
            PublishError::Line { line, accepted, .. } => problem = problem.at_line(line, accepted),
            PublishError::MediaType { .. } => {
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
pub(super) async fn publish(
    hub: &Hub,
    permission: &Permission,
    topic_in_path: Option<&str>,
    query: Option<&str>,
    headers: &HeaderMap,
    mut body: RequestBody,
) -> Result<Response<ResponseBody>, PublishError> {
    check_encoding(headers)?;
    let body_bytes_max = hub.settings().publish_body_bytes_max;
    if let Some(topic) = topic_in_path {
        // The parameters come first: they are there already, and the body may be large.
        let bytes;
        let mut event = raw::event(topic, query)?;
        bytes = body.whole(body_bytes_max).await?;
        event.data = raw::data(&bytes)?.into();
        let receipts = commit(hub, permission, vec![event], |_| None).await?;
        return Ok(answer(&receipts.first().map(Answer)));
    }
    if let Some(Err(error)) = parameters::known(query, &[]).next() {
        return Err(error.into());
    }
    match media_type(headers)? {
        MediaType::Json => {
            let bytes = body.whole(body_bytes_max).await?;
            match json::parse(&bytes, hub.settings().publish_batch_max)? {
                json::Events::One(event) => {
                    let receipts = commit(hub, permission, vec![event], |_| None).await?;
                    Ok(answer(&receipts.first().map(Answer)))
                }
                json::Events::Many(events) => {
                    let receipts = commit(hub, permission, events, Some).await?;
                    Ok(answer(&receipts.iter().map(Answer).collect::<Vec<_>>()))
                }
            }
        }
        MediaType::NdJson => {
            let accepted = ndjson::publish(hub, permission, &mut body).await?;
            Ok(answer(&serde_json::json!({ "accepted": accepted })))
        }
    }
}

/// Refuses a body that is compressed.
pub(super) fn check_encoding(headers: &HeaderMap) -> Result<(), PublishError> {
    match headers.get(header::CONTENT_ENCODING) {
        Some(coding) if !coding.as_bytes().eq_ignore_ascii_case(b"identity") => {
            Err(PublishError::Encoded(lossy(coding)))
        }
        _ => Ok(()),
    }
}

/// Checks and publishes all events as one batch; `place` says where in the body the n-th stands.
pub(super) async fn commit(
    hub: &Hub,
    permission: &Permission,
    events: Vec<Event<'_>>,
    place: impl Fn(usize) -> Option<usize>,
) -> Result<Vec<Receipt>, PublishError> {
    let mut reach = Reach::default();
    let mut drafts = Vec::with_capacity(events.len());
    for (number, event) in events.into_iter().enumerate() {
        drafts.push(draft(event, permission, place(number), hub, &mut reach).await?);
    }
    submit(hub, &mut drafts).await
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

/// A receipt as the answer tells it: `{"id":"<ms>-<n>","subscribers":N}`.
struct Answer<'a>(&'a Receipt);

impl Serialize for Answer<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        struct Id(crate::event::EventId);
        impl Serialize for Id {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(&self.0)
            }
        }
        let mut members = serializer.serialize_struct("Receipt", 2)?;
        members.serialize_field("id", &Id(self.0.id))?;
        members.serialize_field("subscribers", &self.0.subscribers)?;
        members.end()
    }
}

fn answer(value: &impl Serialize) -> Response<ResponseBody> {
    // Ids and numbers only: there is nothing in it that could fail to serialize.
    let text = serde_json::to_vec(value).unwrap_or_default();
    let mut response = Response::new(ResponseBody::full(text));
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}

enum MediaType {
    Json,
    NdJson,
}

/// What kind of body `/publish` was sent.
fn media_type(headers: &HeaderMap) -> Result<MediaType, PublishError> {
    let found = headers
        .get(header::CONTENT_TYPE)
        .map(lossy)
        .unwrap_or_default();
    let mut parts = found.split(';').map(str::trim);
    let kind = match parts
        .next()
        .unwrap_or_default()
        .to_ascii_lowercase()
        .as_str()
    {
        "application/json" => Some(MediaType::Json),
        "application/x-ndjson" => Some(MediaType::NdJson),
        _ => None,
    };
    // RFC 8259 §8.1: JSON is UTF-8; a parameter that says otherwise contradicts the body.
    let utf8 = parts
        .filter_map(|parameter| parameter.split_once('='))
        .filter(|(name, _)| name.eq_ignore_ascii_case("charset"))
        .all(|(_, charset)| charset.trim_matches('"').eq_ignore_ascii_case("utf-8"));
    kind.filter(|_| utf8)
        .ok_or(PublishError::MediaType { found })
}

fn lossy(value: &HeaderValue) -> String {
    String::from_utf8_lossy(value.as_bytes()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::EventId;

    #[test]
    fn a_receipt_reads_as_promised() {
        let receipt = Receipt {
            id: EventId::from_parts(7, 1).expect("fits"),
            subscribers: 3,
        };
        let text = serde_json::to_string(&Answer(&receipt)).expect("JSON");
        assert_eq!(text, r#"{"id":"7-1","subscribers":3}"#);
    }

    #[test]
    fn only_json_in_utf8_is_json() {
        let of = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(value));
            media_type(&headers)
        };
        assert!(matches!(of("application/json"), Ok(MediaType::Json)));
        assert!(matches!(
            of("Application/JSON; charset=\"UTF-8\""),
            Ok(MediaType::Json)
        ));
        assert!(matches!(of("application/x-ndjson"), Ok(MediaType::NdJson)));
        for bad in ["", "text/plain", "application/json; charset=latin1"] {
            let error = of(bad).err().expect("refused");
            assert_eq!(error.status(), 415, "{bad}");
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
