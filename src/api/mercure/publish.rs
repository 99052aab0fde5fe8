//! `POST /.well-known/mercure`: one event, as a form.
//!
//! Strictly UTF-8, like all input. Fields that the draft does not name are ignored.

use std::borrow::Cow;

use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::{Response, StatusCode};
use thiserror::Error;

use super::later_version;
use crate::api::node::Node;
use crate::api::publish::{CallKeys, Permission, PublishError, commit, told};
use crate::core::event::{Event, EventError, IdForm, Topics};
use crate::server::media_type::{MediaType, OtherCharset};
use crate::server::problem::Problem;
use crate::server::query;
use crate::server::request_body::{BodyError, RequestBody};
use crate::server::response_body::ResponseBody;

const FORM: &str = "application/x-www-form-urlencoded";

/// Why nothing was published.
#[derive(Debug, Error)]
pub(crate) enum FormError {
    /// Not a form.
    #[error("the hub takes `{FORM}` (UTF-8), not {found:?}")]
    MediaType {
        /// The declared type, or nothing.
        found: String,
    },
    /// A form in another character set.
    #[error(transparent)]
    Charset(OtherCharset),
    /// Not UTF-8.
    #[error("the form is not UTF-8, as it stands or percent-decoded")]
    NotUtf8,
    /// One field several times.
    #[error("`{0}` is given more than once")]
    Twice(&'static str),
    /// A field of another version of the protocol.
    #[error(
        "`{0}` is of Mercure 1.0; this hub speaks Mercure 0.x (draft-dunglas-mercure-07): name what you publish to as `topic=…`"
    )]
    OtherVersion(&'static str),
    /// Not a number.
    #[error("`retry` must be a number of milliseconds")]
    Retry,
    /// An error that every way to publish can have.
    #[error(transparent)]
    Publish(#[from] PublishError),
}

impl From<BodyError> for FormError {
    fn from(error: BodyError) -> Self {
        Self::Publish(error.into())
    }
}

impl From<FormError> for Problem {
    fn from(error: FormError) -> Self {
        let status = match &error {
            FormError::MediaType { .. } | FormError::Charset(_) => {
                StatusCode::UNSUPPORTED_MEDIA_TYPE
            }
            _ => StatusCode::BAD_REQUEST,
        };
        let problem = Self::new(status, error.to_string());
        match error {
            FormError::Publish(error) => error.into(),
            FormError::MediaType { .. } | FormError::Charset(_) => problem
                .field("content-type")
                .header(header::HeaderName::from_static("accept-post"), FORM),
            FormError::Twice(field) | FormError::OtherVersion(field) => problem.field(field),
            FormError::Retry => problem.field("retry"),
            FormError::NotUtf8 => problem,
        }
    }
}

/// Serves one publish call.
///
/// # Errors
/// [`FormError`]; nothing was published then.
pub(crate) async fn publish(
    node: &Node,
    permission: &Permission,
    headers: &HeaderMap,
    mut body: RequestBody,
) -> Result<Response<ResponseBody>, FormError> {
    crate::api::publish::check_encoding(headers)?;
    let keys = CallKeys::new(permission, headers, node)?;
    let kind = MediaType::of(headers);
    if kind.essence != FORM {
        return Err(FormError::MediaType { found: kind.text });
    }
    // Any other charset contradicts the draft.
    let charset = kind.charset.map_err(FormError::Charset)?;
    let body = body.whole(node.publish.body_bytes_max).await?;
    charset.check(&body).map_err(PublishError::from)?;
    let form = std::str::from_utf8(&body).map_err(|_| FormError::NotUtf8)?;
    let event = event(form)?;
    let own_id = event.id.as_deref().map(str::to_owned);
    let done = commit(node, permission, &keys, vec![event], |_| None).await?;
    let id = own_id.unwrap_or_else(|| {
        let id = done.answers.first().map(|answer| answer.id.urn());
        id.unwrap_or_default()
    });
    let mut response = Response::new(ResponseBody::full(id));
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    Ok(told(response, done.is_repeat))
}

/// The event that a form describes.
fn event(form: &str) -> Result<Event<'_>, FormError> {
    let mut event = Event {
        id_form: IdForm::Urn,
        ..Event::default()
    };
    let mut topics = Topics::new();
    let (mut data, mut private, mut id, mut kind, mut retry) = (None, None, None, None, None);
    for pair in query::pairs(form) {
        let (name, value) = pair.map_err(|_| FormError::NotUtf8)?;
        match name.as_ref() {
            "topic" => topics.push(value),
            "data" => once("data", &mut data, value)?,
            "private" => once("private", &mut private, value)?,
            "id" => once("id", &mut id, value)?,
            "type" => once("type", &mut kind, value)?,
            "retry" => once("retry", &mut retry, value)?,
            name => {
                if let Some(name) = later_version(name) {
                    return Err(FormError::OtherVersion(name));
                }
            }
        }
    }
    // Publishers send empty fields for values that they leave out. `private` has its meaning even
    // without a value.
    if topics.is_empty() {
        return Err(FormError::Publish(PublishError::Event {
            index: None,
            source: EventError::NoTopic,
        }));
    }
    event.topics = topics;
    event.data = data.unwrap_or_default();
    event.private = private.is_some();
    event.id = given(id);
    event.event = given(kind);
    event.retry = given(retry)
        .map(|text| query::number(&text).ok_or(FormError::Retry))
        .transpose()?;
    Ok(event)
}

fn given(value: Option<Cow<'_, str>>) -> Option<Cow<'_, str>> {
    value.filter(|value| !value.is_empty())
}

fn once<T>(name: &'static str, slot: &mut Option<T>, value: T) -> Result<(), FormError> {
    match slot.replace(value) {
        Some(_) => Err(FormError::Twice(name)),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_makes_an_event() {
        let form = "topic=https%3A%2F%2Fa.example%2F1&topic=b+c&data=x%0Ay&private=&id=urn:x&type=t&retry=5&other=1";
        let event = event(form).expect("valid");
        assert_eq!(event.topics.as_slice(), ["https://a.example/1", "b c"]);
        assert_eq!((event.data.as_ref(), event.private), ("x\ny", true));
        assert_eq!(event.id.as_deref(), Some("urn:x"));
        assert_eq!(event.event.as_deref(), Some("t"));
        assert_eq!(event.retry, Some(5));
        assert_eq!(event.id_form, IdForm::Urn);
    }

    #[test]
    fn what_is_empty_was_left_out() {
        let event = event("topic=a&data=&id=&type=&retry=").expect("valid");
        assert_eq!((event.id, event.event, event.retry), (None, None, None));
        assert!(!event.private);
    }

    #[test]
    fn each_mistake_is_told() {
        let error = |form| event(form).expect_err(form).to_string();
        assert!(error("data=x").contains("topic"));
        assert!(error("topic=a&retry=+1").contains("retry"));
        assert!(error("topic=a&retry=99999999999999999999").contains("retry"));
        assert!(error("topic=a&data=1&data=2").contains("`data`"));
        assert!(error("topic=%ff").contains("UTF-8"));
    }
}
