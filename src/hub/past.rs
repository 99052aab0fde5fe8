//! Reading what is kept, in portions and for clients: a client is sent what a stream of its rights
//! would be sent.

use crate::core::event::EventId;
use crate::core::history::{
    EARLIEST, LastSearch, Position, ReadBudget, ReadOutcome, Rights, SlowConsumerPolicy, Start,
    Store, Wanted,
};
use crate::core::selector::Selector;
use crate::core::sse::{Frame, Gap};
use crate::metrics::GapReason;

use super::look_up::LookedUp;
use super::{Hub, Shed, Stored};

/// Most events and bytes read while the lock is held once.
const PORTION: ReadBudget = ReadBudget {
    events: 256,
    bytes: 256 * 1024,
};

/// One portion of a topic's events.
#[derive(Debug)]
pub enum Portion {
    /// Events are missing before the next portion.
    Gap(Gap),
    /// The next events.
    Events(Vec<Stored>),
    /// None of the events that were examined is for this reader. More may follow.
    Passed,
    /// Nothing is left up to this id, the newest of all topics.
    End(EventId),
}

/// A reader of one topic.
pub struct TopicReader<'h> {
    hub: &'h Hub,
    looked_up: LookedUp<'h>,
    position: Position,
    /// The cursor, if this node does not know it and has not said so.
    unknown: Option<Box<str>>,
}

impl Hub {
    /// The start of a stream at the `count` newest events that are kept and that it may hear.
    /// Others have their turn in between.
    pub async fn resolve_last(
        &self,
        selectors: &[Selector],
        grant: &[Selector],
        count: usize,
    ) -> Start {
        let looked_up = LookedUp::selectors(self, selectors).with_grant(grant);
        let (ids, record) = (looked_up.ids(), looked_up.record());
        let mut search: Option<LastSearch> = None;
        loop {
            let start = self.hold_passable(|store| {
                let search = search.get_or_insert_with(|| store.begin_last(count));
                let is_over = store.search_last(ids, record, search);
                is_over.then(|| store.start_at_last(ids, record.is_some(), search))
            });
            if let Some(start) = start.await {
                return start;
            }
            tokio::task::yield_now().await;
        }
    }

    /// The start of a stream at a time, in milliseconds since the Unix epoch.
    #[must_use]
    pub fn resolve_since(&self, unix_ms: u64) -> Start {
        self.hold(|store| store.start_since(unix_ms))
    }

    /// A reader of the events of a topic after `cursor`, or of all that are kept, for a client that
    /// may hear private events of `grant`. An unknown or evicted cursor becomes a gap.
    ///
    /// # Errors
    /// [`Shed::Patterns`] if the grant has new patterns and they would exceed `max_patterns`;
    /// [`Shed::Behind`] if the cursor is ahead of this node, and the log is away or the node is behind it.
    pub async fn read_topic(
        &self,
        topic: &str,
        grant: &[Selector],
        cursor: Option<&str>,
    ) -> Result<TopicReader<'_>, Shed> {
        self.check_patterns(grant.iter())?;
        if let Some(cursor) = cursor
            && self.log().is_some()
        {
            self.catch_up(cursor).await?;
        }
        let looked_up = LookedUp::selectors(self, &[Selector::exact(topic)]).with_grant(grant);
        let rights = looked_up.record().map_or(Rights::Anonymous, Rights::Record);
        let cursor = cursor.unwrap_or(EARLIEST);
        let resolve = |store: &mut Store| store.resolve_pinned(looked_up.ids(), rights, cursor);
        // With the record, there is no error.
        let start = self.hold_passable(resolve).await.unwrap_or_default();
        Ok(TopicReader {
            hub: self,
            looked_up,
            position: Position {
                cursor: start.cursor.unwrap_or_default(),
                told_through: start.told_through,
                until: EventId::ZERO,
                conflate: false,
            },
            unknown: start.unknown,
        })
    }

    /// One portion of an operation under the lock, when the hub is not frozen.
    pub(super) async fn hold_passable<T>(&self, mut portion: impl FnMut(&mut Store) -> T) -> T {
        loop {
            self.0.gate.passable().await;
            let result = self.hold(|store| (!self.is_frozen()).then(|| portion(store)));
            if let Some(result) = result {
                return result;
            }
        }
    }
}

impl TopicReader<'_> {
    /// Reads the next events, `events_max` at most, and at least one if there is any. Events that
    /// were published meanwhile are read, too. Let others have their turn between two portions.
    pub async fn next(&mut self, events_max: usize) -> Portion {
        let budget = ReadBudget {
            events: events_max.min(PORTION.events),
            ..PORTION
        };
        let wanted = self.looked_up.ids().iter().map(|id| Wanted {
            selector: *id,
            // It matters to streams only.
            policy: SlowConsumerPolicy::Skip,
        });
        let wanted: Vec<Wanted> = wanted.collect();
        let record = self.looked_up.record();
        let mut position = self.position;
        let mut events = Vec::new();
        let read = |store: &mut Store| {
            let until = store.head();
            position.until = until;
            store.read(&wanted, record, position, budget, |_| until, &mut events)
        };
        let outcome = self.hub.hold_passable(read).await;
        self.position.until = position.until;
        self.settle(&outcome, events)
    }

    /// Moves on past what was read. What is missing is told first, and the events are read again.
    fn settle(&mut self, outcome: &ReadOutcome, events: Vec<(EventId, Frame)>) -> Portion {
        let Position {
            cursor,
            told_through,
            until,
            ..
        } = self.position;
        let unknown = self.unknown.take();
        let lost_through = match (outcome.lost_through, &unknown) {
            (None, Some(_)) => Some(told_through),
            (lost, _) => lost,
        };
        if let Some(lost) = lost_through {
            self.position.told_through = told_through.max(lost);
            let reason = match unknown {
                Some(_) => GapReason::Unknown,
                None => GapReason::Evicted,
            };
            let marked = |id| self.hub.marked(id);
            return Portion::Gap(Gap {
                from: unknown.map_or_else(|| marked(cursor).to_string(), String::from),
                to: marked(lost),
                reason,
            });
        }
        if let Some((last, _)) = events.last() {
            self.position.cursor = *last;
            return Portion::Events(events.into_iter().map(Stored::from).collect());
        }
        match outcome.examined_through {
            Some(through) => {
                self.position.cursor = cursor.max(through);
                Portion::Passed
            }
            None => {
                self.position.cursor = cursor.max(until);
                Portion::End(self.position.cursor)
            }
        }
    }
}

#[cfg(test)]
mod tests;
