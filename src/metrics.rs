//! Counters and histograms that cost the hot path no shared atomic.
//!
//! Every writer thread (a shard) owns one [`ShardMetrics`] on cache lines of its own and is the
//! only one that writes it: a bump is a plain load and store, never a read-modify-write. Readers
//! (the admin listener) add the shards up. What happens once a request or a connection, not once a
//! delivery, is counted in [`NodeMetrics`] with ordinary atomics.

mod pubsub;
mod totals;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

pub use pubsub::{PubSubLoss, PubSubMetrics, PubSubOutcome, PubSubState};
pub use totals::{Total, Totals, Visit};

/// A number that one thread writes and any thread reads.
#[derive(Debug, Default)]
pub struct Cell(AtomicU64);

impl Cell {
    /// Adds `n`. Only the owning thread may call it: two writers would lose counts (never memory
    /// safety).
    pub fn add(&self, n: u64) {
        self.0.store(
            self.0.load(Ordering::Relaxed).wrapping_add(n),
            Ordering::Relaxed,
        );
    }

    /// Takes `n` away. Only the owning thread may call it.
    pub fn sub(&self, n: u64) {
        self.0.store(
            self.0.load(Ordering::Relaxed).wrapping_sub(n),
            Ordering::Relaxed,
        );
    }

    /// Sets the value. Only the owning thread may call it.
    pub fn set(&self, n: u64) {
        self.0.store(n, Ordering::Relaxed);
    }

    /// The value now.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Buckets of a [`Histogram`]: bucket `i` counts durations below `2^i` microseconds, the last one
/// everything above.
pub const HISTOGRAM_BUCKETS: usize = 26;

/// Durations in power-of-two buckets of microseconds: 1 µs to 16.8 s, and beyond.
#[derive(Debug, Default)]
pub struct Histogram {
    buckets: [Cell; HISTOGRAM_BUCKETS],
    sum_us: Cell,
}

impl Histogram {
    /// Counts one duration of `us` microseconds `times` times. Only the owning thread may call it.
    pub fn record(&self, us: u64, times: u64) {
        let bucket = (u64::BITS - us.leading_zeros()) as usize;
        self.buckets[bucket.min(HISTOGRAM_BUCKETS - 1)].add(times);
        self.sum_us.add(us.saturating_mul(times));
    }

    /// Adds this histogram's counts to `into`.
    pub fn add_to(&self, into: &mut HistogramSnapshot) {
        for (from, to) in self.buckets.iter().zip(&mut into.buckets) {
            *to += from.get();
        }
        into.sum_us += self.sum_us.get();
    }
}

/// What a [`Histogram`] held when it was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HistogramSnapshot {
    /// Count of each bucket (not cumulative); bucket `i` holds durations below `2^i` µs and not
    /// below `2^(i-1)` µs.
    pub buckets: [u64; HISTOGRAM_BUCKETS],
    /// Sum of all durations, in microseconds.
    pub sum_us: u64,
}

/// Why a stream ended; the label of `fantail_streams_closed_total`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(usize)]
pub enum CloseReason {
    /// The client closed or reset the connection.
    Client,
    /// The socket failed in another way.
    Error,
    /// It fell out of the history under the policy `disconnect`.
    Lagged,
    /// Its socket accepted nothing for `write_timeout`.
    WriteTimeout,
    /// An operator closed it.
    Admin,
    /// The node shut down.
    Drain,
    /// Its token expired.
    Expired,
    /// It fell behind with an event for which the node has no memory.
    OutOfMemory,
    /// It could not move to the next version of the program.
    Upgrade,
}

impl CloseReason {
    /// All reasons, in the order of their numbers.
    pub const ALL: [Self; 9] = [
        Self::Client,
        Self::Error,
        Self::Lagged,
        Self::WriteTimeout,
        Self::Admin,
        Self::Drain,
        Self::Expired,
        Self::OutOfMemory,
        Self::Upgrade,
    ];

    /// The label value.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Error => "error",
            Self::Lagged => "lagged",
            Self::WriteTimeout => "write_timeout",
            Self::Admin => "admin",
            Self::Drain => "drain",
            Self::Expired => "expired",
            Self::OutOfMemory => "out_of_memory",
            Self::Upgrade => "upgrade",
        }
    }
}

/// Why a gap was told; the word on the wire and the label of `fantail_gaps_total`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(usize)]
pub enum GapReason {
    /// The events had left the history when the client resumed.
    Evicted,
    /// The cursor is none that this node gave.
    Unknown,
    /// The stream was too slow, or this node was: a shared log had dropped the events before it
    /// read them.
    Lagged,
    /// A shared log has lost events.
    Log,
    /// The source of the events cannot prove that it missed none.
    Upstream,
}

impl GapReason {
    /// All reasons, in the order of their numbers.
    pub const ALL: [Self; 5] = [
        Self::Evicted,
        Self::Unknown,
        Self::Lagged,
        Self::Log,
        Self::Upstream,
    ];

    /// The word on the wire and the label value.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Evicted => "evicted",
            Self::Unknown => "unknown",
            Self::Lagged => "lagged",
            Self::Log => "log",
            Self::Upstream => "upstream",
        }
    }
}

/// What one shard counts. 128-byte alignment keeps two shards off each other's cache lines (pairs
/// are prefetched).
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct ShardMetrics {
    /// Streams open over HTTP/1.1 or HTTP/1.0 sockets.
    pub streams_socket: Cell,
    /// Streams open over a body sink (HTTP/2).
    pub streams_body: Cell,
    /// Streams opened since the start.
    pub opened: Cell,
    /// Streams closed since the start, by [`CloseReason`].
    pub closed: [Cell; CloseReason::ALL.len()],
    /// Streams that a drain ended without all of their farewell.
    pub cut: Cell,
    /// HTTP/2 streams that have ended and whose last bytes wait to be sent. Any thread may bump it.
    pub unsent: Counter,
    /// Such streams that were reset because their clients read nothing. Any thread may bump it.
    pub unsent_given_up: Counter,
    /// Streams that were turned away because the system does not watch their connection.
    pub turned_away: Cell,
    /// Events handed to a stream: live and replayed, each stream counted.
    pub deliveries: Cell,
    /// Bytes accepted by sinks.
    pub bytes: Cell,
    /// Writes to sinks (system calls for sockets).
    pub writes: Cell,
    /// Batches of events taken from the mailbox.
    pub batches: Cell,
    /// Events read from history for one stream (a part of `deliveries`).
    pub replayed: Cell,
    /// Gaps told, by [`GapReason`].
    pub gaps: [Cell; GapReason::ALL.len()],
    /// Heartbeats written.
    pub heartbeats: Cell,
    /// Streams that are behind: blocked or replaying.
    pub behind: Cell,
    /// Distance between the node's newest event and the slowest stream, in milliseconds of event
    /// time.
    pub lag_ms_max: Cell,
    /// Time of one turn of the shard's loop, without waiting.
    pub turn: Histogram,
    /// From the stamp of a batch to the end of its writes.
    pub publish_to_write: Histogram,
}

/// Where an event came from; the label of `fantail_events_in_total`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(usize)]
pub enum Source {
    /// The native HTTP API.
    Http,
    /// The ingest port.
    Ingest,
    /// The node itself: starts and ends of subscriptions.
    Presence,
    /// Channels of a Redis server.
    PubSub,
}

impl Source {
    /// All sources, in the order of their numbers.
    pub const ALL: [Self; 4] = [Self::Http, Self::Ingest, Self::Presence, Self::PubSub];

    /// The label value.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Ingest => "ingest",
            Self::Presence => "presence",
            Self::PubSub => "pubsub",
        }
    }
}

/// A protocol that the ingest port does not speak; the label of `fantail_ingest_foreign_total`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(usize)]
pub enum Foreign {
    /// HTTP: a web page, a forged request of a server, or a client with the wrong port.
    Http,
    /// TLS: a client that takes the port for one behind TLS.
    Tls,
}

impl Foreign {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 2] = [Self::Http, Self::Tls];

    /// The label value.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Tls => "tls",
        }
    }
}

/// Why the node ended an ingest connection; the label of `fantail_ingest_ended_total`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(usize)]
pub enum IngestEnd {
    /// It did not authenticate in time.
    Unauthenticated,
    /// It had not authenticated, and its place was needed for another.
    Displaced,
    /// A command did not arrive in time.
    CommandTimeout,
    /// It did not read its answers.
    WriteTimeout,
    /// It was idle for too long.
    Idle,
    /// It sent what is no command.
    ProtocolError,
    /// The node had no memory for what it sent.
    OutOfMemory,
    /// It was carried over from the port before, and its user is gone or has another password.
    UserChanged,
    /// It was carried over, and the system refused to watch it.
    SystemError,
}

impl IngestEnd {
    /// All reasons, in the order of their numbers.
    pub const ALL: [Self; 9] = [
        Self::Unauthenticated,
        Self::Displaced,
        Self::CommandTimeout,
        Self::WriteTimeout,
        Self::Idle,
        Self::ProtocolError,
        Self::OutOfMemory,
        Self::UserChanged,
        Self::SystemError,
    ];

    /// The label value.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unauthenticated => "unauthenticated",
            Self::Displaced => "displaced",
            Self::CommandTimeout => "command_timeout",
            Self::WriteTimeout => "write_timeout",
            Self::Idle => "idle",
            Self::ProtocolError => "protocol_error",
            Self::OutOfMemory => "out_of_memory",
            Self::UserChanged => "user_changed",
            Self::SystemError => "system_error",
        }
    }
}

/// A counter that any thread may bump; for what happens once a connection or request.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds `n`.
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    /// Takes `n` away.
    pub fn sub(&self, n: u64) {
        self.0.fetch_sub(n, Ordering::Relaxed);
    }

    /// The value now.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What one HTTP listener counts.
#[derive(Debug, Default)]
pub struct HttpMetrics {
    /// Open connections that are not streams.
    pub connections: Counter,
    /// Connections accepted since the start.
    pub accepted: Counter,
    /// Connections refused by a limit since the start.
    pub refused: Counter,
    /// Failed `accept` calls (out of file descriptors or memory).
    pub accept_errors: Counter,
    /// Bytes of long answers that wait to be read.
    pub answer_bytes: Counter,
    /// Requests refused since the start because too many of those wait.
    pub answers_shed: Counter,
    /// Bytes of unfinished request bodies that are held.
    pub body_bytes: Counter,
    /// Requests refused since the start because too many of those are held.
    pub bodies_shed: Counter,
    /// HTTP/2 connections ended since the start for a flood of frames.
    pub http2_floods: Counter,
    /// Connections carried over from the listener before.
    pub carried: Counter,
    /// Connections of that listener that could not be carried in time.
    pub left: Counter,
}

/// What the node counts outside the shards.
#[derive(Debug, Default)]
pub struct NodeMetrics {
    /// Events published, by [`Source`]; bumped once a batch.
    pub events_in: [Counter; Source::ALL.len()],
    /// What the public listener counts.
    pub http: Arc<HttpMetrics>,
    /// What the admin listener counts.
    pub admin: Arc<HttpMetrics>,
    /// Ingest connections refused by a limit since the start.
    pub ingest_refused: Counter,
    /// Failed `accept` calls of the ingest listener.
    pub ingest_accept_errors: Counter,
    /// Subscriptions shed since the start (full or draining).
    pub streams_shed: Counter,
    /// Subscriptions answered since the start with a `retry:` and an end because the node drains.
    pub drain_answers: Counter,
    /// Requests refused since the start for their token, or for lack of one.
    pub tokens_refused: Counter,
    /// Ingest connections open.
    pub ingest_connections: Counter,
    /// Ingest connections ended since the start because they spoke another protocol, by
    /// [`Foreign`].
    pub ingest_foreign: [Counter; Foreign::ALL.len()],
    /// Ingest connections ended by the node since the start, by [`IngestEnd`].
    pub ingest_ended: [Counter; IngestEnd::ALL.len()],
    /// Ingest connections carried over from the listener before.
    pub ingest_carried: Counter,
    /// Ingest connections of that listener that could not be carried in time.
    pub ingest_left: Counter,
    /// Ingest commands answered since the start.
    pub ingest_commands: Counter,
    /// Times that a publisher had to wait for a full mailbox.
    pub publish_waits: Counter,
    /// Events that were not published because their idempotency key and content were known.
    pub key_repeats: Counter,
    /// Events that were refused because their idempotency key was that of another event.
    pub keys_reused: Counter,
    /// Idempotency keys that were forgotten before their time, for lack of room.
    pub keys_dropped: Counter,
    /// Events that the log has brought.
    pub log_events: Counter,
    /// Entries of the log that could not be read as events.
    pub log_unreadable: Counter,
    /// Entries of the log that were larger than an event may be.
    pub log_too_large: Counter,
    /// What the node counts of its log.
    pub log: Arc<LogMetrics>,
    /// What is known of the history file.
    pub history_file: HistoryFileMetrics,
    /// What is counted of the channels of a Redis server.
    pub pubsub: PubSubMetrics,
}

/// What the node counts of the log that orders its events, since its start.
#[derive(Debug, Default)]
pub struct LogMetrics {
    /// Batches that were appended and came back.
    pub published: Counter,
    /// Batches that are certainly not in the log.
    pub not_published: Counter,
    /// Batches whose publishers were told that the outcome is unknown.
    pub unknown: Counter,
    /// Connections to the log that were lost, or could not be made.
    pub reconnects: Counter,
    /// Entries whose ids a node cannot tell from others.
    pub passed_over: Counter,
    /// Times that the log had lost its newest entries.
    pub forks: Counter,
    /// Times that the log was trimmed before the node had read it.
    pub trimmed: Counter,
    /// Ends of subscriptions that the node told in place of a node that is gone.
    pub reaped: Counter,
}

/// What the node counts of its history file.
#[derive(Debug, Default)]
pub struct HistoryFileMetrics {
    /// Whether the node has a directory for it.
    pub is_on: AtomicBool,
    /// When the last one was written, or the node started, in milliseconds since the unix epoch.
    pub written_unix_ms: AtomicU64,
    /// Time that it took, in microseconds.
    pub took_us: AtomicU64,
    /// Its size.
    pub bytes: AtomicU64,
    /// Files that could not be written since the start.
    pub failures: Counter,
    /// Events that were loaded at the start.
    pub loaded: AtomicU64,
}

impl NodeMetrics {
    /// Connections that any listener refused by a limit since the start.
    #[must_use]
    pub fn connections_refused(&self) -> u64 {
        self.http.refused.get() + self.admin.refused.get() + self.ingest_refused.get()
    }

    /// Failed `accept` calls of all listeners since the start.
    #[must_use]
    pub fn accept_errors(&self) -> u64 {
        let http = self.http.accept_errors.get() + self.admin.accept_errors.get();
        http + self.ingest_accept_errors.get()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_lands_below_its_bucket_bound() {
        let histogram = Histogram::default();
        for us in [0, 1, 2, 3, 1_000, u64::MAX] {
            histogram.record(us, 1);
        }
        let mut snapshot = HistogramSnapshot::default();
        histogram.add_to(&mut snapshot);
        assert_eq!(snapshot.buckets[..3], [1, 1, 2]);
        assert_eq!(snapshot.buckets[10], 1);
        assert_eq!(snapshot.buckets[HISTOGRAM_BUCKETS - 1], 1);
    }
}
