//! Bounds on commands.

/// Longest inline command, in bytes: Redis's limit. Programs send arrays, and 64 KiB is plenty for
/// a person.
pub const INLINE_BYTES_MAX: usize = 64 * 1024;

/// Most elements of a command before authentication: `HELLO 3 AUTH user password SETNAME name` has
/// seven; Redis allows ten.
pub const UNAUTHENTICATED_ARRAY_MAX: usize = 10;

/// Bounds on one command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most elements of an array.
    pub array_max: usize,
    /// Longest bulk string, in bytes.
    pub bulk_bytes_max: usize,
    /// Largest command, in bytes including its framing.
    pub command_bytes_max: usize,
    /// Whether the client has authenticated. It chooses the words of a refusal only.
    pub authenticated: bool,
}

impl Limits {
    /// Bounds for a client that has not authenticated: small, so that a stranger cannot fill the
    /// node's memory.
    #[must_use]
    pub fn unauthenticated(command_bytes_max: usize) -> Self {
        Self {
            array_max: UNAUTHENTICATED_ARRAY_MAX,
            bulk_bytes_max: command_bytes_max,
            command_bytes_max,
            authenticated: false,
        }
    }
}
