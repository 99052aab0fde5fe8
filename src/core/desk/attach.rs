//! Attaching streams.

use crate::core::event::EventId;
use crate::core::history::{Grant, NameUser, SelectorId, SelectorIds, Start, Wanted};
use crate::core::places::{ClientKey, StreamPermit};
use crate::core::presence::{Announced, Pending};
use crate::core::selector::Selector;

use super::Desk;

/// A stream that asks to be attached.
pub struct Arrival<'a> {
    /// The shard that will serve it.
    pub shard: usize,
    /// Its place among the open streams.
    pub permit: StreamPermit,
    /// Its subscription: at least one selector, without duplicates.
    pub selectors: &'a [Selector],
    /// Topics whose private events it may hear, without duplicates; empty for an anonymous stream.
    pub grant: &'a [Selector],
    /// The ids of both, if they were looked up before; `None` = they are looked up now.
    pub pinned: Option<Pinned<'a>>,
    /// From [`Desk::resolve`].
    pub start: Start,
    /// Announces its start and end.
    pub announce: Option<Pending>,
}

/// The ids of a stream of many selectors, which were looked up in portions before it is attached.
#[derive(Debug)]
pub struct Pinned<'a> {
    /// The ids of its selectors, in their order. They stay pinned.
    pub ids: &'a [SelectorId],
    /// The record of its grant, which is the stream's from now on.
    pub grant: Option<Grant>,
}

/// The desk's state of one stream. It must return through [`Desk::release`], and its client's place
/// through the places.
#[derive(Debug)]
pub struct Seat {
    /// Its place among the open streams.
    pub client: ClientKey,
    /// Its topics and patterns, which count the stream.
    pub wanted: Box<[Wanted]>,
    /// Its right to private events; `None` = none.
    pub grant: Option<Grant>,
    /// The newest event when it was attached: from here on it is live.
    pub live_from: EventId,
    /// Its start; live if no event follows its cursor.
    pub start: Start,
    /// Announces its end when dropped.
    pub announced: Option<Announced>,
    /// For a stream that is told topics.
    pub name_user: NameUser,
}

impl Desk {
    /// Resolves a cursor into the start of a stream that may hear private events of `grant`: live
    /// from now without a cursor, else after it. Never fails: an unknown or evicted cursor becomes
    /// a gap that the stream is sent.
    #[must_use]
    pub fn resolve(
        &mut self,
        selectors: &[Selector],
        grant: &[Selector],
        cursor: Option<&str>,
    ) -> Start {
        cursor.map_or_else(Start::default, |cursor| {
            self.store.resolve(selectors, grant, cursor)
        })
    }

    /// Counts a stream in its topics and announces it. It must be posted to its shard before
    /// anything else is published.
    pub fn attach(&mut self, arrival: Arrival<'_>) -> Seat {
        let granted = !arrival.grant.is_empty();
        let (ids, grant) = match arrival.pinned {
            Some(pinned) => (Some(pinned.ids), pinned.grant),
            None => (None, self.store.share(arrival.grant)),
        };
        let selectors = arrival.selectors.iter().enumerate();
        let wanted = selectors.map(|(number, selector)| {
            let id = ids.and_then(|ids| ids.get(number).copied());
            let id = id.unwrap_or_else(|| self.store.intern(selector));
            self.store.subscribe_id(id, arrival.shard, granted);
            Wanted {
                selector: id,
                policy: self.slow_consumer.of(selector.prefix()),
            }
        });
        let wanted: Box<[Wanted]> = wanted.collect();
        let ids: SelectorIds = wanted.iter().map(|wanted| wanted.selector).collect();
        let start = self.store.settle_start(arrival.start, &ids, granted);
        Seat {
            client: arrival.permit.into_client(),
            wanted,
            grant,
            live_from: self.store.head(),
            start,
            announced: arrival.announce.map(Pending::begin),
            name_user: self.store.name_user(),
        }
    }
}
