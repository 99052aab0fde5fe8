//! What a stream is promised, over real sockets: every event once and in order, through cuts,
//! stalls, storms and shutdowns, or a gap that says exactly what is missing.

/// Clients that read strictly, and the conditions that tests wait for.
#[path = "../support/mod.rs"]
mod support;

/// A whole node within the test, on free ports.
mod node;

/// A publisher that keeps its connection, and learns the id of everything that it publishes.
mod publisher;

/// An `EventSource` without a socket: what a client makes of bytes that come in any pieces.
mod source;

/// A stream as bare bytes, read only when it is told to.
mod raw;

/// What the kernel knows of sockets and processes.
mod kernel;

/// A mailbox that is always full: publishers wait, and nothing that was accepted is lost.
mod backpressure;
/// Two thousand streams that come and go in every way there is, while events flow.
mod churn;
/// A client that is gone without a word.
mod cut_cable;
/// The end of a node.
mod drain;
/// Clients that end their side.
mod half_closed;
/// Silence, and what a quiet stream is told.
mod heartbeat;
/// What is kept, for how long, and what a returning client hears of the rest.
mod history;
/// The edges of what a node takes, and life without file descriptors.
mod limits;
/// What the log says of streams, and of clients that are turned away.
mod logs;
/// Streams on topics of their own, on many topics, and events that are for nobody.
mod many_topics;
/// Memory of a process at rest, before and after a peak.
mod memory;
/// What operators see and do: whose streams there are, which of them end, and a history that is
/// erased.
mod operators;
mod own_ids;
/// Streams cut at every byte.
mod resume;
/// Readers that stop.
mod slow;
/// The log line of a traced event.
mod trace;
