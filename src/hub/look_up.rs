//! Streams of many selectors, looked up in portions before they are attached.
//!
//! A stream may have a thousand selectors and its token a hundred thousand. Each hold of the lock
//! looks up as many as one `Work` allows; the last one only counts ids. Streams of few selectors,
//! which are nearly all, need none of this.

use crate::core::desk::Pinned;
use crate::core::history::{Grant, RecordNeeded, Released, Rights, SelectorId, Start, Store};
use crate::core::selector::Selector;

use super::Hub;

/// Selectors of a stream and its grant that are looked up under one hold: some 100 µs.
const SELECTORS_AT_ONCE: usize = 256;

/// Whether a stream and its grant have so many selectors that they are looked up in portions.
pub(super) fn is_wide(selectors: &[Selector], grant: &[Selector]) -> bool {
    selectors.len() + grant.len() > SELECTORS_AT_ONCE
}

/// The ids of a stream's selectors and the record of its grant. Released in portions when it is
/// dropped.
pub(super) struct LookedUp<'h> {
    hub: &'h Hub,
    /// Pinned, in the order of the selectors.
    ids: Vec<SelectorId>,
    grant: Option<Grant>,
    released: Released,
}

impl<'h> LookedUp<'h> {
    pub(super) fn selectors(hub: &'h Hub, selectors: &[Selector]) -> Self {
        Self {
            ids: pin(hub, selectors),
            hub,
            grant: None,
            released: Released::default(),
        }
    }

    pub(super) fn with_grant(mut self, grant: &[Selector]) -> Self {
        let mut pinned = pin(self.hub, grant);
        // Outside the lock.
        pinned.sort_unstable();
        let released = &mut self.released;
        self.grant = self
            .hub
            .hold(|store| store.share_pinned(&mut pinned, released));
        self
    }

    /// The ids of the selectors, in their order.
    pub(super) fn ids(&self) -> &[SelectorId] {
        &self.ids
    }

    /// The record of the grant; `None` without a grant.
    pub(super) fn record(&self) -> Option<&[SelectorId]> {
        self.grant.as_deref()
    }

    /// Moves the ids to the stream. The grant belongs to the stream from now on.
    pub(super) fn take(&mut self) -> Pinned<'_> {
        Pinned {
            ids: &self.ids,
            grant: self.grant.take(),
        }
    }

    /// As [`Hub::resolve`].
    pub(super) fn resolve(self, grant: &[Selector], cursor: &str) -> Start {
        let rights = if grant.is_empty() {
            Rights::Anonymous
        } else {
            Rights::Unknown
        };
        let ids = &self.ids;
        let start = self
            .hub
            .hold(|store| store.resolve_pinned(ids, rights, cursor));
        start.unwrap_or_else(|RecordNeeded| {
            let this = self.with_grant(grant);
            let record = this.grant.as_deref();
            let rights = record.map_or(Rights::Anonymous, Rights::Record);
            let start = this
                .hub
                .hold(|store| store.resolve_pinned(&this.ids, rights, cursor));
            start.unwrap_or_default()
        })
    }
}

impl Drop for LookedUp<'_> {
    fn drop(&mut self) {
        self.released.add_pins(self.ids.drain(..));
        if let Some(grant) = self.grant.take() {
            self.released.add_grant(grant);
        }
        self.hub.take_back(&mut self.released);
    }
}

fn pin(hub: &Hub, selectors: &[Selector]) -> Vec<SelectorId> {
    let mut pinned = Vec::with_capacity(selectors.len());
    while !hub.hold(|store| {
        let work = &mut store.work();
        store.pin_some(selectors, &mut pinned, work)
    }) {}
    pinned
}

impl Hub {
    /// Releases everything to the store, a portion for each hold of the lock.
    pub(super) fn take_back(&self, released: &mut Released) {
        let mut portion = |store: &mut Store| {
            let work = &mut store.work();
            store.release(&mut *released, work)
        };
        while !self.hold(&mut portion) {}
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};
    use std::time::{Duration, Instant};

    use super::*;
    use crate::core::event::Event;
    use crate::core::limits::EventLimits;
    use crate::core::selector::Syntax;
    use crate::core::sse::{Draft, Encoding};
    use crate::hub::{HubConfig, Interest, StreamQuery, Subscribe};
    use crate::metrics::Source;
    use crate::shard::wire::{BodyQueue, Incoming};

    /// `count` topics and as many patterns.
    fn selectors(name: &str, count: usize) -> Vec<Selector> {
        let parse = |text: String| Selector::parse(&text, Syntax::Native, 100).expect("a selector");
        (0..count)
            .flat_map(|n| [parse(format!("{name}/{n}")), parse(format!("{name}/{n}/*"))])
            .collect()
    }

    /// Everything that a stream of many selectors gets is released, and nothing was counted twice.
    #[tokio::test]
    async fn a_stream_of_many_selectors_leaves_nothing_behind() {
        let hub = Hub::start(HubConfig::default(), 1).expect("a hub");
        let own = selectors("own", 500);
        let mut grant = selectors("granted", 3_000);
        grant.sort_unstable();
        let event = Event {
            private: true,
            ..Event::new("own/1", "x")
        };
        let limits = EventLimits::default();
        let mut drafts = [Draft::new(event, &limits).expect("an event")];
        hub.publish(Source::Http, &mut drafts).await.expect("open");
        let cursors = [None, Some("earliest"), Some("unknown")];
        for cursor in cursors {
            let start = hub.resolve(&own, &grant, cursor);
            assert_eq!(start.is_live(), cursor.is_none());
            let queue = BodyQueue::new();
            let subscribe = Subscribe {
                wire: Incoming::Body(queue, None),
                encoding: Encoding::BARE,
                head: bytes::Bytes::new(),
                interest: Interest {
                    selectors: own.clone(),
                    grant: grant.clone().into(),
                    ..Interest::default()
                },
                start,
            };
            let permit = hub.reserve(IpAddr::V4(Ipv4Addr::LOCALHOST));
            let opened = hub.subscribe(permit.expect("a place"), subscribe).await;
            opened.expect("open");
            let size = hub.history_size();
            assert_eq!((size.topics, size.patterns), (3_500, 3_500));
            assert_eq!(hub.subscribers("own/1"), 1);
            assert_eq!(hub.end_streams(StreamQuery::default()).await, 1);
            let deadline = Instant::now() + Duration::from_secs(20);
            while hub.history_size().topics > 1 || hub.history_size().patterns > 0 {
                assert!(Instant::now() < deadline, "{:?}", hub.history_size());
                tokio::task::yield_now().await;
            }
        }
        hub.stop();
    }
}
