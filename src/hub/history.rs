//! The hub's operations on topics and their history, each in portions.

use bytes::Bytes;
use parking_lot::MutexGuard;

use crate::clock::unix_ms;
use crate::core::event::{EventId, MarkedId};
use crate::core::history::{HistoryRecord, HistorySize, HistoryWalk, PatternCount, Store};
pub use crate::core::history::{TopicInfo, TopicWalk};
use crate::core::sse::Frame;

use super::Hub;

/// Events expired while the lock is held once: some 100 µs.
const EXPIRE_STEPS: usize = 1_024;

/// Most portions in which the patterns of one topic are matched. A topic with more has so many
/// streams that a few more or less do not matter.
const MATCH_PORTIONS_MAX: usize = 1_000;

/// Table slots examined while the lock is held once.
const CHANNEL_SLOTS: u32 = 1_024;

/// Events of one topic read while the lock is held once: some 50 µs.
const RANGE_EVENTS: usize = 256;

/// One event of a topic's history.
#[derive(Clone, Debug)]
pub struct Stored {
    /// The node's id.
    pub id: EventId,
    /// Its SSE text, without chunk wrapping; [`crate::core::sse::parse`] reads it.
    pub text: Bytes,
}

impl From<(EventId, Frame)> for Stored {
    fn from((id, frame): (EventId, Frame)) -> Self {
        let text = frame.text();
        Self { id, text }
    }
}

/// A range of one topic's history that is read in portions.
#[derive(Clone, Debug)]
pub struct HistoryRange<'t> {
    topic: &'t str,
    first: EventId,
    last: EventId,
    /// Events that may still be read.
    left: usize,
    newest_first: bool,
}

impl HistoryRange<'_> {
    /// Removes events that were just read from the range; `asked` is the number of events asked
    /// for.
    fn pass(&mut self, read: &[(EventId, Frame)], asked: usize) {
        self.left -= read.len();
        let end = read.last().filter(|_| read.len() == asked);
        let Some((id, _)) = end else {
            self.left = 0;
            return;
        };
        if self.newest_first {
            self.last = id.before();
        } else {
            self.first = id.after();
        }
    }
}

impl Hub {
    /// A topic; of one that does not exist, only its name. Others have their turn in between; if
    /// many patterns match it, the numbers are of different moments.
    pub async fn topic(&self, name: &str) -> TopicInfo {
        let mut count = PatternCount::default();
        let mut portions = 0;
        loop {
            let known_only = portions >= MATCH_PORTIONS_MAX;
            let info = self.hold(|store| {
                let work = &mut store.work();
                store.info(name, &mut count, known_only, work)
            });
            if let Some(info) = info {
                return info;
            }
            portions += 1;
            tokio::task::yield_now().await;
        }
    }

    /// The next topics of a walk through the table, of some thousand slots at most. Let others have
    /// their turn between two portions.
    #[must_use]
    pub fn topics(&self, walk: &mut TopicWalk) -> Vec<TopicInfo> {
        self.hold(|store| {
            let work = &mut store.work();
            store.infos(walk, CHANNEL_SLOTS, work)
        })
    }

    /// Holds the lock for one of several portions. A waiter for the lock gets it next.
    pub(super) fn hold<T>(&self, portion: impl FnOnce(&mut Store) -> T) -> T {
        let mut desk = self.0.shared.desk.lock();
        let result = portion(&mut desk.store);
        MutexGuard::unlock_fair(desk);
        result
    }

    /// Id of the newest event, or of the node's start.
    #[must_use]
    pub fn head(&self) -> EventId {
        self.0.shared.store().head()
    }

    /// An id in the form for clients.
    #[must_use]
    pub fn marked(&self, id: EventId) -> MarkedId {
        id.marked(self.mark())
    }

    /// Number of events kept of a topic.
    #[must_use]
    pub fn history_len(&self, topic: &str) -> usize {
        self.0.shared.store().len_of(topic)
    }

    /// The events kept of a topic with `first <= id <= last`, oldest first, or newest first when
    /// `newest_first`; at most `count`. Later events are not included.
    #[must_use]
    pub fn history_range<'t>(
        &self,
        topic: &'t str,
        (first, last): (EventId, EventId),
        count: usize,
        newest_first: bool,
    ) -> HistoryRange<'t> {
        HistoryRange {
            topic,
            first,
            last: last.min(self.head()),
            left: count,
            newest_first,
        }
    }

    /// About the bytes of all events of a range. Reads none of them.
    #[must_use]
    pub fn history_range_bytes(&self, range: &HistoryRange<'_>) -> usize {
        let ids = (range.first, range.last);
        let store = self.0.shared.store();
        store.range_bytes(range.topic, ids, range.left)
    }

    /// Reads the next events of a range, in the range's order, and removes them from it; no event
    /// at the end. Let others have their turn between two portions.
    ///
    /// Every portion reads the events kept at that moment. Events that are evicted before the range
    /// reaches them are not read.
    #[must_use]
    pub fn history_portion(&self, range: &mut HistoryRange<'_>) -> Vec<Stored> {
        let count = range.left.min(RANGE_EVENTS);
        if count == 0 {
            return Vec::new();
        }
        let ids = (range.first, range.last);
        let store = self.0.shared.store();
        let found = store.range(range.topic, ids, count, range.newest_first);
        drop(store);
        range.pass(&found, count);
        found.into_iter().map(Stored::from).collect()
    }

    /// Begins a walk through everything that is kept, up to the newest event.
    #[must_use]
    pub fn begin_walk(&self) -> HistoryWalk {
        self.0.shared.store().begin_walk()
    }

    /// Appends the next records of a walk to `out`: those of one short hold of the lock.
    pub fn walk(&self, walk: &mut HistoryWalk, out: &mut Vec<HistoryRecord>) {
        self.hold(|store| store.walk(walk, RANGE_EVENTS, out));
    }

    /// Whether nothing was published since a walk began.
    #[must_use]
    pub fn is_whole(&self, walk: &HistoryWalk) -> bool {
        self.0.shared.store().is_whole(walk)
    }

    /// The newest id kept of a topic; `None` if nothing is kept.
    #[must_use]
    pub fn history_last(&self, topic: &str) -> Option<EventId> {
        self.0.shared.store().last_of(topic)
    }

    /// Size of the history.
    #[must_use]
    pub fn history_size(&self) -> HistorySize {
        self.0.shared.store().size()
    }

    /// Removes expired events. To be called now and then, for topics without publishers.
    pub async fn expire(&self) {
        let now_unix_ms = unix_ms();
        loop {
            let done = {
                let mut desk = self.0.shared.desk.lock();
                let done = match self.log() {
                    Some(_) => desk.expire_with_log(now_unix_ms, EXPIRE_STEPS),
                    None => desk.expire(now_unix_ms, EXPIRE_STEPS),
                };
                self.note_topics(&desk);
                self.note_keys(&mut desk);
                done
            };
            if done {
                return;
            }
            // Publishers have their turn at the lock, and this thread at its other work.
            tokio::task::yield_now().await;
        }
    }

    /// Streams subscribed to a topic.
    #[must_use]
    pub fn subscribers(&self, topic: &str) -> u64 {
        self.0.shared.store().subscribers(topic)
    }

    /// Different patterns that streams subscribe to.
    #[must_use]
    pub fn patterns(&self) -> usize {
        self.0.shared.store().patterns()
    }

    /// Topics with subscribers, and their number, among some thousand slots of the table from
    /// `from` on; and the next slot (`None` at the end).
    #[must_use]
    pub fn channels(&self, from: u32) -> (Vec<(Box<str>, u64)>, Option<u32>) {
        self.0.shared.store().channels(from, CHANNEL_SLOTS)
    }

    /// Erases a topic's history up to `through`; returns the number of events.
    pub(super) async fn erase_through(&self, name: &str, through: EventId) -> usize {
        let mut erased = 0;
        loop {
            self.0.gate.passable().await;
            let portion = self.hold(|store| {
                let is_passable = !self.is_frozen();
                is_passable.then(|| store.erase(name, through, EXPIRE_STEPS))
            });
            let Some((some, done)) = portion else {
                continue;
            };
            erased += some;
            if done {
                return erased;
            }
            // Publishers have their turn at the lock, and this thread at its other work.
            tokio::task::yield_now().await;
        }
    }
}

#[cfg(test)]
mod tests;
