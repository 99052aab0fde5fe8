//! The bounds of what one event, one topic and one subscription may be, as checked values that every border shares.
//!
//! The numbers themselves are settings; this module only carries them to where they are applied.

use crate::core::event::OrderMark;

/// Longest pattern of topics that a user of the ingest port may have, in bytes: a topic name with wildcards, and classes need a few bytes more. With
/// the bound on topics it also bounds the steps of a match.
pub const GLOB_BYTES_MAX: usize = 4_096;

/// Highest value that `topic_bytes_max` may have: no topic and no pattern is ever longer.
pub const TOPIC_BYTES_CEILING: usize = 1_024;

/// Bounds on an event and on a subscription. All sizes are in bytes of UTF-8.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventLimits {
    /// Longest topic name.
    pub topic_bytes_max: usize,
    /// Most topics that one event may carry.
    pub topics_per_event_max: usize,
    /// Most topics that one stream may subscribe to.
    pub topics_per_stream_max: usize,
    /// Longest `data` of one event. The default is a quarter of what a topic keeps, so that a reader of large events may fall behind by a few.
    pub data_bytes_max: usize,
    /// Longest event name (the SSE `event` field).
    pub event_name_bytes_max: usize,
    /// Longest id that a publisher may give its event.
    pub event_id_bytes_max: usize,
    /// There are keys for subscribers' tokens, so that somebody may be granted a private event. No setting of its own: the hub knows it from those of the keys.
    pub has_subscriber_keys: bool,
    /// Ids with this mark are the node's own. No setting: the hub knows it from its store.
    pub mark: OrderMark,
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
            mark: OrderMark::default(),
        }
    }
}
