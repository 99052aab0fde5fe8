//! The Mercure protocol (draft-dunglas-mercure-07) at its well-known path: the same streams, events
//! and tokens in Mercure's terms.
//!
//! `docs/MERCURE.md` compares the node with the draft's demands on a hub. This module holds only
//! the differences from the native API: how topics are written, forms instead of JSON, URNs for
//! ids, and the list of subscriptions.

pub(super) mod publish;
pub(super) mod subscriptions;

use super::subscribe::{Dialect, SubscribeError};
use crate::core::event::IdForm;
use crate::core::selector::Syntax;

/// Path of the hub.
pub(super) const PATH: &str = crate::core::topic::HUB_PATH;

/// How streams are requested here.
pub(super) const DIALECT: Dialect = Dialect {
    syntax: Syntax::Mercure,
    // The last one is from drafts before the seventh.
    cursor_parameters: &[
        "lastEventID",
        "last_event_id",
        "lastEventId",
        "Last-Event-ID",
    ],
    ids: IdForm::Urn,
    topics_of_token: false,
    announces: true,
    usage: "`/.well-known/mercure?topic=…`",
    // The draft names no others and forbids none; hubs ignore unknown parameters.
    check_other: |name| match later_version(name) {
        Some(name) => Err(SubscribeError::OtherVersion(name)),
        None => Ok(()),
    },
};

/// The name of a parameter that exists only in Mercure 1.0. If it were ignored, the client would
/// get less than it asked for.
pub(super) fn later_version(name: &str) -> Option<&'static str> {
    // In upper or lower case, and followed by the kind of matcher: `match`, `matchURLPattern`.
    let is_match = name
        .get(..5)
        .is_some_and(|start| start.eq_ignore_ascii_case("match"));
    if is_match {
        return Some("match");
    }
    (name == DETAILS).then_some(DETAILS)
}

/// The claim in which Mercure 1.0 has a token's grants (RFC 9396).
const DETAILS: &str = "authorization_details";
