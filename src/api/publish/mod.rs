//! `POST /publish`: publishing over HTTP, in three forms that all end in one call of the hub.
//!
//! [`json`] reads one event or an array (all or nothing), [`ndjson`] a stream of them, [`raw`] uses
//! the body as data. Everything is checked before anything is published. A publisher that outruns
//! the node waits here (its body is read no further), and no accepted event may be dropped.

mod commit;
mod error;
pub(crate) mod json;
mod ndjson;
mod permission;
mod raw;

use hyper::Response;
use hyper::header::HeaderMap;

pub(crate) use self::commit::commit;
pub(crate) use self::error::{PublishError, check_encoding};
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
        let answers = commit(node, permission, vec![event], |_| None).await?;
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
            match json::parse(&bytes, node.publish.batch_max)? {
                json::Events::One(event) => {
                    let answers = commit(node, permission, vec![event], |_| None).await?;
                    Ok(answer(&answers.first()))
                }
                json::Events::Many(events) => {
                    Ok(answer(&commit(node, permission, events, Some).await?))
                }
            }
        }
        Form::NdJson => {
            let accepted = ndjson::publish(node, permission, charset, &mut body).await?;
            Ok(answer(&accepted))
        }
    }
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
