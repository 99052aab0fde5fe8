//! What happens to a stream that is too slow for the history.

/// What happens to a stream that fell so far behind that an event it has not seen left the history.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SlowConsumerPolicy {
    /// End the stream; the client comes back with its cursor and is told the gap then.
    #[default]
    Disconnect,
    /// Jump to the oldest kept event and tell the gap.
    Skip,
    /// Conflate: whenever the stream is behind, jump to the newest event of the topic and tell the gap.
    Latest,
}
