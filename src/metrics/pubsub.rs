//! What a node counts of the channels of a Redis server that it subscribes to.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

use super::Counter;

/// Whether messages arrive; the label of `fantail_pubsub_state`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum PubSubState {
    /// The node has no such channels.
    #[default]
    Off,
    /// It connects and subscribes, and has yet to see a message arrive.
    Connecting,
    /// Messages arrive: the last probe came back.
    Subscribed,
    /// It waits for its next attempt.
    Away,
    /// Another node writes the messages to the log.
    Standby,
}

impl PubSubState {
    /// The states of a node that has channels.
    pub const ALL: [Self; 4] = [
        Self::Connecting,
        Self::Subscribed,
        Self::Away,
        Self::Standby,
    ];

    /// The label value.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Connecting => "connecting",
            Self::Subscribed => "subscribed",
            Self::Away => "away",
            Self::Standby => "standby",
        }
    }
}

/// What became of a message; the label of `fantail_pubsub_messages_total`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum PubSubOutcome {
    /// An event in an envelope.
    Event,
    /// An event whose data is the whole message.
    Raw,
    /// Refused: larger than a message or an event may be.
    TooLarge,
    /// Refused: its topic is the node's own.
    ReservedTopic,
    /// Refused: a field of the event is wrong.
    BadField,
    /// Refused: not UTF-8.
    NotText,
}

impl PubSubOutcome {
    /// All outcomes, in the order of their numbers.
    pub const ALL: [Self; 6] = [
        Self::Event,
        Self::Raw,
        Self::TooLarge,
        Self::ReservedTopic,
        Self::BadField,
        Self::NotText,
    ];

    /// The label value.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Event => "event",
            Self::Raw => "raw",
            Self::TooLarge => "too_large",
            Self::ReservedTopic => "reserved_topic",
            Self::BadField => "bad_field",
            Self::NotText => "not_text",
        }
    }
}

/// Why a subscription was given up; the label of `fantail_pubsub_lost_total`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum PubSubLoss {
    /// The connection ended or broke.
    Closed,
    /// A probe did not come back.
    Silent,
    /// The server is a replica without its master.
    Orphaned,
    /// The server refused a command.
    Refused,
    /// The log did not say whether it has an event.
    Unsure,
    /// Another node may have the lease of the forwarder.
    Lease,
}

impl PubSubLoss {
    /// All reasons, in the order of their numbers.
    pub const ALL: [Self; 6] = [
        Self::Closed,
        Self::Silent,
        Self::Orphaned,
        Self::Refused,
        Self::Unsure,
        Self::Lease,
    ];

    /// The label value.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Silent => "silent",
            Self::Orphaned => "orphaned",
            Self::Refused => "refused",
            Self::Unsure => "unsure",
            Self::Lease => "lease",
        }
    }
}

/// What a node counts of such channels.
#[derive(Debug, Default)]
pub struct PubSubMetrics {
    /// A [`PubSubState`].
    pub(super) state: AtomicU8,
    /// Messages by [`PubSubOutcome`].
    pub messages: [Counter; PubSubOutcome::ALL.len()],
    /// Subscriptions that worked and were given up, by [`PubSubLoss`].
    pub lost: [Counter; PubSubLoss::ALL.len()],
    /// Attempts to subscribe that failed.
    pub failures: Counter,
    /// Subscriptions that worked.
    pub subscriptions: Counter,
    /// Time from the last probe to its return, in microseconds.
    pub(super) probe_us: AtomicU64,
}

impl PubSubMetrics {
    /// Whether messages arrive.
    #[must_use]
    pub fn state(&self) -> PubSubState {
        let state = self.state.load(Ordering::Relaxed);
        let mut states = PubSubState::ALL.into_iter();
        let found = states.find(|other| *other as u8 == state);
        found.unwrap_or(PubSubState::Off)
    }

    /// Time that the last probe took, in microseconds.
    #[must_use]
    pub fn probe_us(&self) -> u64 {
        self.probe_us.load(Ordering::Relaxed)
    }

    /// Notes the time that a probe took.
    pub fn note_probe(&self, took_us: u64) {
        self.probe_us.store(took_us, Ordering::Relaxed);
    }

    /// Notes whether messages arrive.
    pub fn set_state(&self, state: PubSubState) {
        self.state.store(state as u8, Ordering::Relaxed);
    }
}
