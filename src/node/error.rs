//! Why a node could not run.

use std::io;

use thiserror::Error;

use super::keys;
use super::state_dir::StateDirError;
use crate::bridge::driver::ContactError;
use crate::{hub, server, shard};

/// Why the node could not run.
#[derive(Debug, Error)]
pub enum ServerError {
    /// A listener cannot be opened.
    #[error(transparent)]
    Bind(#[from] server::BindError),
    /// A delivery shard cannot be started.
    #[error(transparent)]
    Shard(#[from] shard::StartError),
    /// The state of the former program does not fit.
    #[error(transparent)]
    Restore(#[from] hub::RestoreError),
    /// The keys of tokens cannot be read.
    #[error(transparent)]
    Keys(#[from] keys::LoadError),
    /// The history cannot be kept on disk.
    #[error(transparent)]
    StateDir(#[from] StateDirError),
    /// The log cannot be used.
    #[error(transparent)]
    Log(#[from] ContactError),
    /// The system gives no signals.
    #[error("cannot listen for signals: {0}")]
    Signals(io::Error),
    /// A part of the node stopped by itself.
    #[error("a part of the node ended by itself, {name}: {reason}")]
    Ended {
        /// Its name.
        name: &'static str,
        /// The reason.
        reason: String,
    },
}
