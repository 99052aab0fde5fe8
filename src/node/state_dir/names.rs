//! The files of a state directory.

/// Held locked by the node that has the directory.
pub(super) const LOCK: &str = "lock";

/// The history of a node that was stopped. Nothing is missing in it.
pub(super) const COMPLETE: &str = "history-complete";

/// The history of a running node, or of one that crashed. What was published since is missing.
pub(super) const RUNNING: &str = "history-running";

/// A history that is being written.
pub(super) const NEW: &str = "history-new";

/// The newest id that a running node gave, not long ago.
pub(super) const NEWEST_ID: &str = "newest-id";
