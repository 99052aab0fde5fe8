//! The promises to a stream, over real sockets: every event once and in order, through cuts,
//! stalls, storms and shutdowns, or a gap that reports exactly which are missing.

/// Clients that read strictly, and the conditions that tests wait for.
#[path = "../support/mod.rs"]
mod support;

/// A whole node within the test, on free ports.
mod node;

/// A publisher that keeps its connection, and learns the id of everything that it publishes.
mod publisher;

/// An `EventSource` without a socket: a client's view of bytes that arrive in any pieces.
mod source;

/// A stream as bare bytes, read only on demand.
mod raw;

/// The kernel's figures of sockets and processes.
mod kernel;

/// Listening sockets that a node is started with.
mod activation;
/// A mailbox that is always full: publishers wait, and no accepted event is lost.
mod backpressure;
/// Two thousand streams that open and end in every way, while events flow.
mod churn;
/// A client that is gone without a word.
mod cut_cable;
/// The end of a node.
mod drain;
/// Clients that connect while a node drains.
mod drain_open;
/// Clients that end their side.
mod half_closed;
/// Silence, and the heartbeats of a quiet stream.
mod heartbeat;
/// Kept events, their age, and the gap for the others.
mod history;
/// The limits of a node, and life without file descriptors.
mod limits;
/// Log lines about streams, and about refused clients.
mod logs;
/// Streams on topics of their own, on many topics, and events without listeners.
mod many_topics;
/// Memory of a process at rest, before and after a peak.
mod memory;
/// The operators' calls: list streams, end some, and erase a history.
mod operators;
/// A history that outlives its process.
mod outlives;
mod own_ids;
/// Streams that begin with the last events, or with those since a time.
mod past;
/// Streams cut at every byte.
mod resume;
/// The next process beside one that drains.
mod reuse_port;
/// Readers that stop.
mod slow;
/// Messages to systemd.
mod supervisor;
/// Streams that are told the topics of their events.
mod topics;
/// The log line of a traced event.
mod trace;
