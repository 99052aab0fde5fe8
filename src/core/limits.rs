//! The bounds on one event, one topic and one subscription, as checked values that every entry
//! point shares.
//!
//! The numbers are settings; this module only carries them.

use crate::core::event::OrderMark;

/// Longest topic pattern of a user of the ingest port, in bytes: a topic name with wildcards, and a
/// few bytes more for classes. Together with the bound on topics it also bounds the steps of a
/// match.
pub const GLOB_BYTES_MAX: usize = 4_096;

/// Highest value that `topic_bytes_max` may have: no topic and no pattern is ever longer.
pub const TOPIC_BYTES_CEILING: usize = 1_024;

/// Bytes that a kept event costs beside its frame: its entry, its note in the node's order, the
/// shared header of its `Bytes`, and the allocator's rounding.
pub(crate) const EVENT_OVERHEAD_BYTES: usize = 144;

/// Bytes that a topic with history costs beside its events, its name and its matches: table slot,
/// ring and expiry entry.
pub(crate) const TOPIC_OVERHEAD_BYTES: usize = 256;

/// Bytes charged to an event with an own id, or to a private event with several topics.
pub(crate) const MORE_OVERHEAD_BYTES: usize = 64;

/// Bytes charged to a private event with several topics for each of them, which it pins: an
/// estimate of their slots and names.
pub(crate) const HELD_TOPIC_BYTES: usize = 256;

/// Bytes charged for an own id: it is in the entry, and the key of an index.
pub(crate) const fn own_id_bytes(length: usize) -> usize {
    2 * length + 64
}

/// Bounds on an event and on a subscription. All sizes are in bytes of UTF-8.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventLimits {
    /// Longest topic name.
    pub topic_bytes_max: usize,
    /// Most topics that one event may carry.
    pub topics_per_event_max: usize,
    /// Most topics that one stream may subscribe to.
    pub topics_per_stream_max: usize,
    /// Longest `data` of one event. The default is a quarter of a topic's history, so that a reader
    /// of large events may fall behind by a few.
    pub data_bytes_max: usize,
    /// Longest event name (the SSE `event` field).
    pub event_name_bytes_max: usize,
    /// Longest id that a publisher may give its event.
    pub event_id_bytes_max: usize,
    /// Keys for subscribers' tokens exist, so that a stream may be granted a private event. Not a
    /// setting: the hub derives it from the keys.
    pub has_subscriber_keys: bool,
    /// Idempotency keys are remembered. Not a setting: the hub derives it from the bounds on them.
    pub remembers_keys: bool,
    /// Ids with this mark are the node's own. Not a setting: the hub has it from its store.
    pub mark: OrderMark,
    /// Bounds of the history on one event. Not a setting: the hub derives them from the bounds on
    /// the history.
    pub kept: KeptMax,
}

/// Bounds of the history on one event. A larger event would evict all others, and then be evicted
/// itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeptMax {
    /// Longest frame, in bytes: `history_bytes`.
    pub frame_bytes: usize,
    /// Most bytes in the histories of all topics of the event, overhead included:
    /// `history_budget_bytes`.
    pub bytes: usize,
}

impl Default for KeptMax {
    /// No bounds: nothing is kept, so nothing can be evicted.
    fn default() -> Self {
        Self {
            frame_bytes: usize::MAX,
            bytes: usize::MAX,
        }
    }
}

impl Default for EventLimits {
    fn default() -> Self {
        Self {
            topic_bytes_max: 1_024,
            topics_per_event_max: 100,
            topics_per_stream_max: 1_000,
            data_bytes_max: 256 << 10,
            event_name_bytes_max: 256,
            event_id_bytes_max: 256,
            has_subscriber_keys: true,
            remembers_keys: true,
            mark: OrderMark::default(),
            kept: KeptMax::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::event::Event;
    use crate::core::history::HistoryLimits;
    use crate::core::sse::Draft;

    #[test]
    fn the_largest_payload_in_one_line_fits_into_the_history_by_default() {
        let limits = EventLimits {
            kept: HistoryLimits::default().kept_max(),
            ..EventLimits::default()
        };
        let topics = (0..limits.topics_per_event_max).map(|number| format!("t{number}").into());
        let event = Event {
            topics: topics.collect(),
            ..Event::new("", "x".repeat(limits.data_bytes_max))
        };
        assert!(Draft::new(event, &limits).is_ok());
    }
}
