//! Several nodes of one process on one log in memory, over real sockets: what a node promises with a
//! log, without a server that keeps one.

/// Clients that read strictly, and the conditions that tests wait for.
#[path = "../support/mod.rs"]
mod support;

/// Nodes and their log.
mod node;

/// Answers of a node whose log is away or does not answer.
mod answers;
/// Losses of the log.
mod breaks;
/// Entries that applications write.
mod foreign;
/// Idempotency keys on several nodes.
mod keys;
/// One order, and clients that change the node.
mod order;
/// Starts and ends of subscriptions.
mod presence;
