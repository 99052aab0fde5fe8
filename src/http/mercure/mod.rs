//! The Mercure protocol (draft-dunglas-mercure-07) at its well-known path: the same streams, events and tokens under its own words.
//!
//! `docs/MERCURE.md` goes through what the draft demands of a hub. What differs from the native API is here, and nothing else is: how topics are
//! written, forms instead of JSON, URNs for ids, and the list of who is subscribed.

pub(super) mod publish;
pub(super) mod reserved;
pub(super) mod subscriptions;

use super::subscribe::Dialect;
use crate::event::IdForm;
use crate::selector::Syntax;

/// Where the hub is.
pub(super) const PATH: &str = "/.well-known/mercure";

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
};
