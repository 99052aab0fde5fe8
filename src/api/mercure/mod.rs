//! The Mercure protocol (draft-dunglas-mercure-07) at its well-known path: the same streams, events
//! and tokens under its own words.
//!
//! `docs/MERCURE.md` goes through what the draft demands of a hub. What differs from the native API
//! is here, and nothing else is: how topics are written, forms instead of JSON, URNs for ids, and
//! the list of who is subscribed.

pub(super) mod publish;
pub(super) mod subscriptions;

use super::subscribe::{Dialect, SubscribeError};
use crate::core::event::IdForm;
use crate::core::selector::Syntax;

/// Where the hub is.
pub(super) const PATH: &str = crate::core::topic::HUB_PATH;

/// How streams are asked for here.
pub(super) const DIALECT: Dialect = Dialect {
    syntax: Syntax::Mercure,
    // The last is what drafts before the seventh said.
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
    // The draft names no others and forbids none: hubs pass over what they do not know.
    check_other: |name| match later_version(name) {
        Some(name) => Err(SubscribeError::OtherVersion(name)),
        None => Ok(()),
    },
};

/// What a parameter is called that only Mercure 1.0 has. Passed over, it would leave the client
/// with less than it asked for.
pub(super) fn later_version(name: &str) -> Option<&'static str> {
    // In any case of letters, and followed by the kind of matcher: `match`, `matchURLPattern`.
    let is_match = name
        .get(..5)
        .is_some_and(|start| start.eq_ignore_ascii_case("match"));
    if is_match {
        return Some("match");
    }
    (name == DETAILS).then_some(DETAILS)
}

/// Where Mercure 1.0 has what a token grants (RFC 9396).
const DETAILS: &str = "authorization_details";
