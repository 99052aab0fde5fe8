//! Why an upgrade failed.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use crate::hub::{Closed, NotFrozen};
use crate::orders::Ended;

use super::child::ChildError;
use super::counts::Counts;
use super::step::Injected;

/// Why the old program goes on.
#[derive(Debug, Error)]
pub(in crate::node) enum UpgradeError {
    /// The program file cannot be read.
    #[error("the program file {} cannot be read: {source}", path.display())]
    File {
        /// Its path.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The next program refuses to start.
    #[error("the program {} would not start: {source}", path.display())]
    Check {
        /// Its path.
        path: PathBuf,
        /// What it failed by.
        source: ChildError,
    },
    /// The next program cannot take over.
    #[error("the program {} cannot take over: {source}", path.display())]
    Rehearsal {
        /// Its path.
        path: PathBuf,
        /// What it failed by.
        source: ChildError,
    },
    /// The next program has taken over something else.
    #[error("the next program counts {found}, where there are {expected}")]
    Counts {
        /// What there is.
        expected: Counts,
        /// What the next program says.
        found: String,
    },
    /// The next program has read something else.
    #[error("the next program has read another state than the one that was written")]
    Digest,
    /// The file is not the one that was checked.
    #[error("the program file {} was changed meanwhile", .0.display())]
    Changed(PathBuf),
    /// A listener has ended.
    #[error(transparent)]
    Listener(#[from] Ended),
    /// The hub has ended.
    #[error(transparent)]
    Hub(#[from] Closed),
    /// The hub cannot be stopped for the moment.
    #[error(transparent)]
    NotFrozen(#[from] NotFrozen),
    /// The system refuses a file in memory, or descriptors.
    #[error("the state cannot be handed over: {0}")]
    State(io::Error),
    /// The system refuses to replace the program.
    #[error("the program {} cannot be executed: {source}", path.display())]
    Execute {
        /// Its path.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// A test wants it.
    #[error(transparent)]
    Injected(#[from] Injected),
}
