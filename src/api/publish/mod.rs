//! `POST /publish`: publishing over HTTP, in three forms that all end in one call of the hub.
//!
//! [`json`] reads one event or an array (all or nothing), [`ndjson`] a stream of them, [`raw`] uses
//! the body as data. Everything is checked before anything is published. A publisher that outruns
//! the node waits here (its body is read no further), and no accepted event may be dropped.

mod commit;
mod error;
pub(crate) mod json;
mod key_header;
mod keys;
mod ndjson;
mod permission;
mod raw;

use hyper::Response;
use hyper::header::{HeaderMap, HeaderValue};

pub(crate) use self::commit::commit;
pub(crate) use self::error::{PublishError, check_encoding};
use self::key_header::REPLAYED;
pub use self::key_header::key_of as idempotency_key_of;
pub(crate) use self::keys::CallKeys;
pub(crate) use self::permission::Permission;
use self::raw::RawError;
use super::node::Node;
use super::parameters;
use crate::server::json::response as answer;
use crate::server::media_type::MediaType;
use crate::server::request_body::RequestBody;
use crate::server::response_body::ResponseBody;

/// Serves one publish call.
///
/// # Errors
/// [`PublishError`]; unless it is a [`PublishError::Line`], nothing was published.
pub(crate) async fn publish(
    node: &Node,
    permission: &Permission,
    topic_in_path: Option<&str>,
    query: Option<&str>,
    headers: &HeaderMap,
    mut body: RequestBody,
) -> Result<Response<ResponseBody>, PublishError> {
    check_encoding(headers)?;
    let keys = CallKeys::new(permission, headers, node)?;
    let kind = MediaType::of(headers);
    let body_bytes_max = node.publish.body_bytes_max;
    if let Some(topic) = topic_in_path {
        // The parameters are checked first: they are there already, and the body may be large.
        let bytes;
        let mut event = raw::event(topic, query)?;
        let charset = kind.charset.map_err(RawError::Charset)?;
        bytes = body.whole(body_bytes_max).await?;
        charset.check(&bytes)?;
        event.data = raw::data(&bytes)?.into();
        let done = commit(node, permission, &keys, vec![event], |_| None).await?;
        return Ok(told(answer(&done.answers.first()), done.is_repeat));
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
            match json::parse(&bytes, node.publish.batch_max)? {
                json::Events::One(event) => {
                    let done = commit(node, permission, &keys, vec![event], |_| None).await?;
                    Ok(told(answer(&done.answers.first()), done.is_repeat))
                }
                json::Events::Many(events) => {
                    let done = commit(node, permission, &keys, events, Some).await?;
                    Ok(told(answer(&done.answers), done.is_repeat))
                }
            }
        }
        Form::NdJson => {
            let accepted = ndjson::publish(node, permission, &keys, charset, &mut body).await?;
            Ok(told(answer(&accepted), accepted.is_repeat()))
        }
    }
}

/// The answer with a header that tells a repeat.
pub(crate) fn told(mut answer: Response<ResponseBody>, is_repeat: bool) -> Response<ResponseBody> {
    if is_repeat {
        let value = HeaderValue::from_static("true");
        answer.headers_mut().insert(REPLAYED, value);
    }
    answer
}

/// The forms of a body that `/publish` accepts.
enum Form {
    Json,
    NdJson,
}

/// The form of a body sent to `/publish`.
fn form(kind: &MediaType) -> Result<Form, PublishError> {
    match &*kind.essence {
        "application/json" => Ok(Form::Json),
        "application/x-ndjson" => Ok(Form::NdJson),
        _ => Err(PublishError::MediaType {
            found: kind.text.clone(),
        }),
    }
}
