//! The state directory: the history outlives the process in it.
//!
//! ```text
//! lock              held locked by the node that has the directory
//! history-complete  written by a stop: nothing is missing in it
//! history-running   written while the node runs: what was published since is missing
//! history-new       being written; removed at the next start
//! newest-id         the newest id given, not long ago
//! ```
//!
//! A start loads the complete file and gives it the other name at once, before anything is
//! published: it is complete for one process only.

mod disk;
mod keeper;
mod load;
mod names;
mod trail;
mod write;

#[cfg(test)]
mod tests;

use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{Access, FlockOperation, access, flock};
use rustix::io::Errno;
use thiserror::Error;
use tracing::info;

use crate::core::history::{HistoryLimits, HoldLimits, Store};
use crate::hub::Hub;

use disk::{Directory, Disk, FILE_MODE};
use load::Loaded;
use names::{LOCK, NEW};

pub(super) use keeper::Keeper;

/// Permissions of a directory that is created: for the node's user only.
const DIRECTORY_MODE: u32 = 0o700;

/// Time between two attempts to lock a directory.
const LOCK_EVERY: Duration = Duration::from_millis(20);

/// Why a state directory cannot be used.
#[derive(Debug, Error)]
pub enum StateDirError {
    /// It does not exist, and cannot be created.
    #[error("cannot create the directory {path} (`state_dir`)")]
    Create {
        /// The directory.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The path leads to something else.
    #[error("{0} is no directory (`state_dir`)")]
    NoDirectory(PathBuf),
    /// Files in it cannot be written.
    #[error("cannot write to the directory {path} (`state_dir`)")]
    Write {
        /// The directory.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// Another process has it.
    #[error(
        "another node has the directory {path} (`state_dir`), after {waited:?} (`state_dir_wait`): give each node a directory of its own"
    )]
    Taken {
        /// The directory.
        path: PathBuf,
        /// Time that it was waited for.
        waited: Duration,
    },
    /// A file in it cannot be renamed, or the thread for its files cannot be started.
    #[error("cannot keep the history in {path} (`state_dir`)")]
    Keep {
        /// The directory.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
}

/// The settings of a state directory.
#[derive(Clone, Debug)]
pub(super) struct StateDirConfig {
    /// The directory.
    pub(super) path: PathBuf,
    /// Time for which another node is waited for.
    pub(super) wait: Duration,
    /// Time between two files of a running node; `None` = only on a stop.
    pub(super) every: Option<Duration>,
    /// Bounds on the history.
    pub(super) limits: HistoryLimits,
}

/// A directory that can be used.
pub(super) struct StateDir {
    config: StateDirConfig,
    directory: Directory,
    /// The lock ends with the file.
    lock: File,
}

impl StateDir {
    /// Creates the directory if necessary, and checks that it can be used.
    ///
    /// # Errors
    /// [`StateDirError`].
    pub(super) fn prepare(config: StateDirConfig) -> Result<Self, StateDirError> {
        let path = config.path.clone();
        create(&path)?;
        let write = |source| StateDirError::Write {
            path: path.clone(),
            source,
        };
        access(&path, Access::WRITE_OK | Access::EXEC_OK).map_err(|error| write(error.into()))?;
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false);
        let lock = options.mode(FILE_MODE).open(path.join(LOCK));
        Ok(Self {
            lock: lock.map_err(write)?,
            directory: Directory(path),
            config,
        })
    }

    /// Takes the directory, and loads the history in it. Blocks while another node has the
    /// directory.
    ///
    /// # Errors
    /// [`StateDirError`] if the other node keeps it.
    pub(super) fn open(self) -> Result<Past, StateDirError> {
        self.wait_for_lock()?;
        let keep = |source| self.keep_error(source);
        self.directory.remove(NEW).map_err(keep)?;
        let loaded = load::load(&self.directory, self.config.limits, HoldLimits::default());
        let (store, events) = match loaded.map_err(keep)? {
            Some(Loaded { store, revived }) => (Some(store), revived.events),
            None => (None, 0),
        };
        Ok(Past {
            store,
            directory: Taken {
                state_dir: self,
                events,
            },
        })
    }

    /// Takes the directory for a program that has taken over from the former one of its process,
    /// history included. `None` if another node was faster: then the node goes on without it.
    pub(super) fn retake(self) -> Option<Taken> {
        let locked = self.wait_for_lock();
        let emptied = locked.and_then(|()| {
            let removed = self.directory.remove(NEW);
            removed.map_err(|source| self.keep_error(source))
        });
        match emptied {
            Ok(()) => Some(Taken {
                state_dir: self,
                events: 0,
            }),
            Err(error) => {
                tracing::error!("the history is not kept in the state directory any more: {error}");
                None
            }
        }
    }

    fn keep_error(&self, source: io::Error) -> StateDirError {
        StateDirError::Keep {
            path: self.config.path.clone(),
            source,
        }
    }

    fn wait_for_lock(&self) -> Result<(), StateDirError> {
        let started = Instant::now();
        loop {
            match flock(&self.lock, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(()),
                Err(Errno::WOULDBLOCK | Errno::INTR) => {}
                Err(error) => {
                    return Err(StateDirError::Write {
                        path: self.config.path.clone(),
                        source: error.into(),
                    });
                }
            }
            let waited = started.elapsed();
            if waited >= self.config.wait {
                return Err(StateDirError::Taken {
                    path: self.config.path.clone(),
                    waited: self.config.wait,
                });
            }
            if waited < LOCK_EVERY {
                let (path, wait) = (self.config.path.display(), self.config.wait);
                info!(directory = %path, ?wait, "waiting for the node that has the state directory");
            }
            thread::sleep(LOCK_EVERY);
        }
    }
}

/// What a start found in its state directory.
pub(super) struct Past {
    /// The history of the process before.
    pub(super) store: Option<Store>,
    /// The directory.
    pub(super) directory: Taken,
}

/// A directory that this process has taken.
pub(super) struct Taken {
    state_dir: StateDir,
    /// Events that were loaded from it.
    events: usize,
}

impl Taken {
    /// Keeps the history of a node in the directory from now on.
    ///
    /// # Errors
    /// [`StateDirError`] if the system refuses.
    pub(super) fn keep(self, hub: Hub) -> Result<Keeper, StateDirError> {
        let StateDir {
            config,
            directory,
            lock,
        } = self.state_dir;
        let metrics = &hub.node_metrics().history_file;
        metrics.loaded.store(self.events as u64, Ordering::Relaxed);
        let path = config.path;
        Keeper::start(directory, lock, config.every, hub)
            .map_err(|source| StateDirError::Keep { path, source })
    }
}

fn create(path: &Path) -> Result<(), StateDirError> {
    if path.is_dir() {
        return Ok(());
    }
    if path.exists() {
        return Err(StateDirError::NoDirectory(path.to_owned()));
    }
    let mut builder = DirBuilder::new();
    let created = builder.recursive(true).mode(DIRECTORY_MODE).create(path);
    created.map_err(|source| StateDirError::Create {
        path: path.to_owned(),
        source,
    })
}
