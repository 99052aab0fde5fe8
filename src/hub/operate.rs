//! The hub's operations for operators and other protocols: history, channels, streams, counters,
//! shutdown.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use parking_lot::MutexGuard;
use tokio::sync::oneshot;

use crate::clock::unix_ms;
use crate::core::delivery::query::{Found, Task};
use crate::core::delivery::{StreamInfo, StreamKey};
use crate::core::event::{EventId, MarkedId};
use crate::core::history::{HistorySize, PatternCount, Store};
pub use crate::core::history::{TopicInfo, TopicWalk};
use crate::core::sse::Frame;
use crate::metrics::{NodeMetrics, ShardMetrics};
use crate::shard::mailbox::Message;

use super::{Hub, StreamQuery};

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

    /// Open streams, reserved places included.
    #[must_use]
    pub fn streams(&self) -> usize {
        self.0.shared.places.open()
    }

    /// Streams that a drain ended without all of their farewell.
    #[must_use]
    pub fn streams_cut(&self) -> usize {
        self.0
            .counters
            .iter()
            .map(|shard| shard.cut.get() as usize)
            .sum()
    }

    /// HTTP/2 streams that have ended and whose last bytes wait to be sent.
    #[must_use]
    pub fn streams_unsent(&self) -> usize {
        let shards = self.0.counters.iter();
        shards.map(|shard| shard.unsent.get() as usize).sum()
    }

    /// Most streams that may be open.
    #[must_use]
    pub fn streams_max(&self) -> usize {
        self.0.shared.places.streams_max()
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
        found
            .into_iter()
            .map(|(id, frame)| Stored {
                id,
                text: frame.text(),
            })
            .collect()
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
                let done = desk.expire(now_unix_ms, EXPIRE_STEPS);
                self.note_topics(&desk);
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

    /// The streams that are furthest behind, at most `count`; if fewer are behind, others fill up.
    pub async fn slowest(&self, count: usize) -> Vec<StreamInfo> {
        let mut streams = Vec::new();
        for shard in 0..self.0.mailboxes.len() {
            let (answer, answered) = oneshot::channel();
            // A caller that has gone away needs no answer.
            let answer = Box::new(move |found| _ = answer.send(found));
            if self
                .post(shard, Message::Slowest(count, answer))
                .await
                .is_ok()
                && let Ok(found) = answered.await
            {
                streams.extend::<Vec<_>>(found);
            }
        }
        streams
            .sort_by_key(|stream| (std::cmp::Reverse(stream.lag), std::cmp::Reverse(stream.age)));
        streams.truncate(count);
        streams
    }

    /// Open streams that match the query, at most `count`, in no order.
    pub async fn find(&self, query: StreamQuery, count: usize) -> Vec<StreamInfo> {
        let query = Arc::new(query);
        let mut streams = Vec::new();
        for shard in 0..self.0.mailboxes.len() {
            let mut next = Some(0);
            while let Some(from) = next
                && streams.len() < count
            {
                let task = Task::Show(count - streams.len());
                let found = self.find_portion(shard, &query, from, task).await;
                streams.extend(found.streams);
                next = found.next;
            }
        }
        streams
    }

    /// Ends the streams that match the query; returns how many. Streams that open meanwhile may or
    /// may not be included.
    pub async fn end_streams(&self, query: StreamQuery) -> usize {
        let query = Arc::new(query);
        let mut ended = 0;
        for shard in 0..self.0.mailboxes.len() {
            let mut next = Some(0);
            while let Some(from) = next {
                let found = self.find_portion(shard, &query, from, Task::End).await;
                ended += found.ended;
                next = found.next;
            }
        }
        ended
    }

    /// The result of one turn of a shard; empty if the shard has ended.
    async fn find_portion(
        &self,
        shard: usize,
        query: &Arc<StreamQuery>,
        from: u32,
        task: Task,
    ) -> Found {
        let (answer, answered) = oneshot::channel();
        let answer = Box::new(move |found| _ = answer.send(found));
        let message = Message::Find(Arc::clone(query), from, task, answer);
        if self.post(shard, message).await.is_err() {
            return Found::default();
        }
        answered.await.unwrap_or_default()
    }

    /// Erases a topic's history; returns the number of events. A client that resumes gets a gap.
    pub async fn erase_topic(&self, name: &str) -> usize {
        let through = self.head();
        let mut erased = 0;
        loop {
            let (some, done) = self.0.shared.store().erase(name, through, EXPIRE_STEPS);
            erased += some;
            if done {
                return erased;
            }
            // Publishers have their turn at the lock, and this thread at its other work.
            tokio::task::yield_now().await;
        }
    }

    /// Ends the stream with this id, as in [`StreamInfo::id`]; false if there is none.
    pub async fn close_stream(&self, id: &str) -> bool {
        let Ok(stream) = id.parse::<StreamKey>() else {
            return false;
        };
        let (answer, answered) = oneshot::channel();
        let answer = Box::new(move |found| _ = answer.send(found));
        let posted = self
            .post(stream.shard as usize, Message::Close(stream, answer))
            .await;
        posted.is_ok() && answered.await.unwrap_or(false)
    }

    /// Whether the node is shutting down.
    #[must_use]
    pub fn draining(&self) -> bool {
        self.0.shared.places.is_draining()
    }

    /// Refuses new streams and ends the open ones in even steps over `drain_period`.
    pub async fn drain(&self) {
        self.0.shared.places.drain();
        let period_ms = self.0.config.drain_period.as_millis() as u64;
        for shard in 0..self.0.mailboxes.len() {
            // A shard that has ended has no streams left.
            let _ = self.post(shard, Message::Drain(period_ms)).await;
        }
    }

    /// Ends the shards and waits for their threads; messages posted before are still written.
    /// Blocks, so not for a runtime's worker.
    pub fn stop(&self) {
        self.close();
        self.0.shards.stop();
    }

    /// The same without waiting. Open streams are cut.
    pub fn end(&self) {
        self.close();
        self.0.shards.end();
    }

    /// Accepts nothing more.
    fn close(&self) {
        self.0.stopped.store(true, Ordering::SeqCst);
        self.0.waiting.close();
        self.0.presence.close();
    }

    /// Counters of the node outside its shards.
    #[must_use]
    pub fn node_metrics(&self) -> &NodeMetrics {
        &self.0.node_metrics
    }

    /// Counters of each shard.
    #[must_use]
    pub fn shard_metrics(&self) -> &[Arc<ShardMetrics>] {
        &self.0.counters
    }

    /// Messages that wait in each shard's mailbox.
    #[must_use]
    pub fn mailbox_depths(&self) -> Vec<usize> {
        self.0
            .mailboxes
            .iter()
            .map(|mailbox| mailbox.depth())
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::event::Event;
    use crate::core::history::HoldLimits;
    use crate::core::limits::EventLimits;
    use crate::core::selector::{Selector, Syntax};
    use crate::core::sse::Draft;
    use crate::hub::HubConfig;
    use crate::hub::turns::run;
    use crate::metrics::Source;

    const ALL: (EventId, EventId) = (EventId::ZERO, EventId::new(u64::MAX));

    async fn publish(hub: &Hub, count: usize) -> Vec<EventId> {
        let events = (0..count).map(|_| Event::new("t", "x"));
        let mut drafts: Vec<_> = events
            .map(|event| Draft::new(event, &EventLimits::default()).expect("an event"))
            .collect();
        let receipts = hub.publish(Source::Http, &mut drafts).await.expect("open");
        receipts.iter().map(|receipt| receipt.id).collect()
    }

    fn ids(portion: &[Stored]) -> Vec<EventId> {
        portion.iter().map(|stored| stored.id).collect()
    }

    /// The lock was taken again and again in one turn of a thread, up to a thousand times.
    #[test]
    fn others_have_their_turn_while_a_topic_of_many_patterns_is_looked_at() {
        const PATTERNS: usize = 20_000;
        let config = HubConfig {
            hold: HoldLimits::SMALL,
            ..HubConfig::default()
        };
        let hub = Hub::start(config, 1).expect("a hub");
        hub.hold(|store| store.subscribe(&Selector::exact("t"), 0, false));
        for number in 0..PATTERNS {
            let pattern = Selector::parse(&format!("{{v{number}}}"), Syntax::Native, 100);
            let pattern = pattern.expect("a pattern");
            hub.hold(|store| store.subscribe(&pattern, 0, false));
            if number == 500 {
                let (info, turns) = run(hub.topic("t"));
                assert_eq!((info.streams, info.streams_by_pattern), (1, 501));
                assert!(turns > 10, "{turns} turns");
            }
        }
        // So many that not all are matched; the known ones count.
        let (info, turns) = run(hub.topic("t"));
        let by_pattern = info.streams_by_pattern as usize;
        assert!(by_pattern > 1_000 && by_pattern < PATTERNS, "{by_pattern}");
        let counting = by_pattern / 2_048;
        assert!(turns >= MATCH_PORTIONS_MAX + counting, "{turns} turns");
        hub.stop();
    }

    /// An array of many events, or of events of many topics, was appended under one hold of the
    /// lock.
    #[test]
    fn others_have_their_turn_while_a_batch_of_many_topics_is_published() {
        let hub = Hub::start(HubConfig::default(), 1).expect("a hub");
        let limits = EventLimits {
            topics_per_event_max: 2_000,
            ..EventLimits::default()
        };
        for (events, topics, portions) in
            [(2_000, 1, 2), (100, 60, 6), (3, 2_000, 3), (1_024, 1, 1)]
        {
            let event = |number| {
                let names = (0..topics).map(|topic| format!("{number}/{topic}").into());
                Event {
                    topics: names.collect(),
                    ..Event::new("", "x")
                }
            };
            let drafts = || -> Vec<Draft<'_>> {
                let draft = |number| Draft::new(event(number), &limits).expect("an event");
                (0..events).map(draft).collect()
            };
            let (receipts, turns) = run(hub.publish(Source::Http, &mut drafts()));
            let receipts = receipts.expect("open");
            assert_eq!((receipts.len(), turns + 1), (events, portions));
            assert!(receipts.is_sorted_by_key(|receipt| receipt.id));
            let (receipts, turns) = run(hub.publish_together(Source::Http, &mut drafts()));
            assert_eq!((receipts.expect("open").len(), turns), (events, 0));
        }
        hub.stop();
    }

    /// A range was as much work under the lock as the history has events.
    #[test]
    fn a_range_is_read_in_portions_while_events_come_and_go() {
        let mut config = HubConfig::default();
        config.history.events = 1_000;
        let hub = Hub::start(config, 1).expect("a hub");
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        runtime.expect("a runtime").block_on(async {
            let old = publish(&hub, 1_000).await;
            let mut up = hub.history_range("t", ALL, usize::MAX, false);
            let mut down = hub.history_range("t", ALL, usize::MAX, true);
            assert_eq!(ids(&hub.history_portion(&mut up)), old[..RANGE_EVENTS]);
            let newest: Vec<EventId> = old.iter().rev().copied().take(RANGE_EVENTS).collect();
            assert_eq!(ids(&hub.history_portion(&mut down)), newest);
            // As many events are evicted as published: the oldest 600.
            publish(&hub, 600).await;
            let rest = |range: &mut HistoryRange<'_>| {
                let mut rest = Vec::new();
                loop {
                    let portion = hub.history_portion(range);
                    assert!(portion.len() <= RANGE_EVENTS);
                    if portion.is_empty() {
                        return ids(&rest);
                    }
                    rest.extend(portion);
                }
            };
            assert_eq!(rest(&mut up), old[600..], "nothing new, nothing twice");
            let mut older = rest(&mut down);
            older.reverse();
            assert_eq!(older, old[600..1_000 - RANGE_EVENTS]);
            assert!(rest(&mut hub.history_range("none", ALL, 5, false)).is_empty());
        });
        hub.stop();
    }
}
