//! Messages between the coordinator and its client processes: one JSON object per line, over
//! standard input and output.

use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

use crate::layout::Layout;
use crate::reader::faults::Faults;
use crate::reader::gaps::Claim;
use crate::reader::ledger::Tally;
use crate::token;

/// The task of a client process, sent once at its start.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Job {
    /// Number of this process, from zero: it owns the streams `process`, `process + processes`, …
    pub(crate) process: usize,
    /// Client processes in all.
    pub(crate) processes: usize,
    /// Number that separates the events of this run from those of others.
    pub(crate) run: u32,
    /// Where streams are opened: one place for each node of the server, at least one.
    pub(crate) nodes: Vec<NodeTarget>,
    /// Header fields beside the usual ones, templates.
    pub(crate) headers: Vec<String>,
    /// Tokens that stand for `{token}`.
    pub(crate) tokens: Option<token::Order>,
    /// Topics.
    pub(crate) layout: Layout,
    /// Source addresses in turn; none leaves it to the kernel, or for a loopback target spreads
    /// them over 127.0.0.0/8.
    pub(crate) sources: Vec<IpAddr>,
    /// Most connections being opened at the same time.
    pub(crate) connecting: usize,
    /// Milliseconds without any progress after which an order is abandoned.
    pub(crate) timeout_ms: u64,
    /// A stream is open at its response head, not at its first block.
    pub(crate) no_prime: bool,
    /// Streams that end reconnect, with their cursor.
    pub(crate) reconnect: bool,
    /// A stream whose answer is not an event stream does not reconnect, as an `EventSource` does
    /// not.
    pub(crate) event_source: bool,
    /// A stream that ends stays away for exactly as long as `retry:` says.
    pub(crate) obeys_retry: bool,
    /// Nodes are compared: ids are kept, faults have names, and replays are measured apart.
    pub(crate) compares_nodes: bool,
    /// Name of the event with which the server reports a gap.
    pub(crate) gap_event: String,
    /// Share of the streams that are slow on request, of one.
    pub(crate) slow_share: f64,
    /// Receive buffer of those, in bytes.
    pub(crate) slow_buffer_bytes: usize,
}

/// Where a node is asked for streams.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct NodeTarget {
    /// Its address.
    pub(crate) endpoint: Endpoint,
    /// Request target, a template.
    pub(crate) path: String,
}

/// A server's address and how to speak to it.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Endpoint {
    /// Its socket addresses, at least one, in the order in which they are tried.
    pub(crate) addresses: Vec<SocketAddr>,
    /// The `Host` field.
    pub(crate) host: String,
    /// The name in its certificate, for `https`.
    pub(crate) tls: Option<Tls>,
}

/// How a TLS server is recognised.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Tls {
    /// The name in its certificate.
    pub(crate) name: String,
    /// File with the certificates of authorities to trust, in PEM; without it those of Mozilla.
    pub(crate) ca: Option<std::path::PathBuf>,
}

/// To a client process.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) enum Order {
    /// Make the tokens of this many streams (all of this process together), before they are opened;
    /// answered by [`Answer::Done`].
    MakeTokens {
        /// Streams.
        streams: usize,
    },
    /// Have this many streams (all of this process together), opened at this rate per second at
    /// most; answered by [`Answer::Opened`].
    Open {
        /// Streams.
        streams: usize,
        /// Connections a second; unbounded without.
        rate: Option<f64>,
    },
    /// Wait until every stream has its due part of the first `events` events; answered by
    /// [`Answer::Reached`].
    Reach {
        /// Events published in the whole run.
        events: u64,
    },
    /// The server has refused these events (numbers from zero): no stream is due them. Not
    /// answered.
    Refused {
        /// Their numbers.
        events: Vec<u64>,
    },
    /// Measure the times between events from now on; answered by [`Answer::Done`].
    Watch,
    /// Note the positions of some streams (all of this process together), instead of those that are
    /// noted. Not answered.
    Remember {
        /// Streams.
        streams: usize,
    },
    /// Open a stream at each of the noted positions. Not answered.
    OpenLate,
    /// End the streams that were opened so; answered by [`Answer::Done`].
    EndLate,
    /// Report and clear the latencies since the last time; answered by [`Answer::Sampled`].
    Sample,
    /// From now on, a share of the streams leaves every second and reconnects; none with 0.
    /// Answered by [`Answer::Done`].
    Churn {
        /// Share of the streams a second, of one.
        share: f64,
        /// Longest time that a stream is away, in milliseconds.
        away_ms: u64,
    },
    /// From now on, each stream leaves its node again and again, and goes on from its cursor on
    /// another; answered by [`Answer::Done`].
    Hop(Hops),
    /// Tell the ids with which events came; answered by [`Answer::Ids`].
    Ids,
    /// How the slow streams read from now on; answered by [`Answer::Done`].
    Slow(Pace),
    /// Check every stream, after this number of events was published; answered by
    /// [`Answer::Checked`].
    Check {
        /// Events published in the whole run.
        events: u64,
    },
}

/// How streams hop from node to node.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct Hops {
    /// The node that a stream goes to: when it hops, and when it was ended or not let in.
    pub(crate) to: HopTo,
    /// A stream stays for at least so long, in milliseconds, and at most as long as `most_ms`; none
    /// hops while both are zero.
    pub(crate) least_ms: u64,
    pub(crate) most_ms: u64,
}

/// The node to which a stream hops.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize, clap::ValueEnum)]
pub(crate) enum HopTo {
    /// Any node, also its own, at random: as a load balancer sends clients.
    Random,
    /// The next node, in turn.
    Next,
    /// Its own node.
    Same,
}

/// How a slow stream reads.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) enum Pace {
    /// As fast as it can, like all others.
    Brisk,
    /// Not at all.
    Stalled,
    /// Bytes per second.
    Crawling(u64),
}

/// From a client process.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) enum Answer {
    /// Progress, sent unasked while it changes.
    Progress(Progress),
    /// As many streams are open as can be.
    Opened {
        /// When the last one opened, on the monotonic clock.
        at: u64,
    },
    /// Every stream has its events, or waits in vain.
    Reached {
        /// When the last event came for the first time, on the monotonic clock; zero if none did.
        at: u64,
        /// Streams that have not seen the newest event of each of their topics, or miss one before.
        behind: usize,
    },
    /// Latencies since the last time.
    Sampled(Sample),
    /// The order is carried out.
    Done,
    /// The truth of this process's streams.
    Checked(Checked),
    /// Ids of the events that came, topic by topic.
    Ids(Vec<String>),
}

/// Counts of a client process.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Serialize)]
pub(crate) struct Progress {
    /// The monotonic clock, in nanoseconds.
    pub(crate) at: u64,
    /// Streams open now.
    pub(crate) open: usize,
    /// Streams that opened, each time that they did.
    pub(crate) opened: u64,
    /// When the last one did, on the monotonic clock.
    pub(crate) opened_at: u64,
    /// Times that the server ended an open stream.
    pub(crate) cut: u64,
    /// Streams that were refused or closed, and do not reconnect.
    pub(crate) failed: usize,
    /// Events received.
    pub(crate) received: u64,
    /// Streams on which the waiting order is fulfilled.
    pub(crate) reached: usize,
}

/// Latencies, as pairs of nanoseconds and how often.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub(crate) struct Sample {
    /// From an event's due time to its arrival, on ordinary streams.
    pub(crate) delivery: Vec<(u64, u64)>,
    /// The same of events that were due before the stream was let in, where nodes are compared.
    pub(crate) replay: Vec<(u64, u64)>,
    /// The same on slow streams.
    pub(crate) slow: Vec<(u64, u64)>,
    /// From the start of a connection to an open stream.
    pub(crate) open: Vec<(u64, u64)>,
    /// From the end of a stream by the server until it is open again.
    pub(crate) away: Vec<(u64, u64)>,
}

/// The result of the check of all streams of a process.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub(crate) struct Checked {
    /// Counts of the received events.
    pub(crate) tally: Tally,
    /// Events due on open streams that never arrived, without a gap for them.
    pub(crate) lost: u64,
    /// Events missing on open streams that the server reported as a gap.
    pub(crate) gap_told: u64,
    /// Events due on streams that are not open: the server closed them, or did not accept them
    /// again.
    pub(crate) missed_closed: u64,
    /// Streams open now.
    pub(crate) open: usize,
    /// Streams that are between two connections.
    pub(crate) away: usize,
    /// Streams that never opened, those included that were not tried any more.
    pub(crate) refused: usize,
    /// Streams that opened, were closed by the server and did not reconnect.
    pub(crate) closed: usize,
    /// Times that a stream came back, of its own will or not.
    pub(crate) returned: u64,
    /// Those of them without a cursor, since the server had sent no id.
    pub(crate) returned_without_cursor: u64,
    /// Times that the server ended an open stream.
    pub(crate) cut: u64,
    /// Times that it answered with a stream that ended after a `retry:`, or sooner.
    pub(crate) sent_away: u64,
    /// Longest time without an event on any stream, in nanoseconds.
    pub(crate) pause: u64,
    /// The longest time without an event of each open stream, as pairs of nanoseconds and how
    /// often.
    pub(crate) silence: Vec<(u64, u64)>,
    /// What gaps told, and how often.
    pub(crate) claims: Vec<(Claim, u64)>,
    /// Gaps that were not kept to be checked.
    pub(crate) gaps_beyond: u64,
    /// Streams that were opened late, at the position of another. They count nowhere else, except
    /// in the tally and the claims.
    pub(crate) late: usize,
    /// Events that those miss without a gap for them.
    pub(crate) late_lost: u64,
    /// Events that those miss and the server reported as a gap.
    pub(crate) late_told: u64,
    /// Times that a stream left its node to hop.
    pub(crate) hops: u64,
    /// Examples of what is wrong, where nodes are compared.
    pub(crate) faults: Faults,
    /// Why streams did not open, or ended.
    pub(crate) reasons: Vec<(String, u64)>,
}
