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
//! A start loads the complete file, and gives it the other name just before anything can be
//! published: it is complete for one process only.

mod disk;
mod keeper;
mod load;
mod names;
mod trail;
mod write;

#[cfg(test)]
mod tests;

use std::fs::{DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
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

use disk::{Directory, Disk};
use load::Loaded;
use names::{COMPLETE, LOCK, RUNNING};

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
        let lock = disk::open_or_create(&path.join(LOCK));
        Ok(Self {
            lock: lock.map_err(write)?,
            directory: Directory(path),
            config,
        })
    }

    /// Takes the directory. Blocks while another node has it.
    ///
    /// # Errors
    /// [`StateDirError`] if the other node keeps it.
    pub(super) fn lock(self) -> Result<Locked, StateDirError> {
        self.wait_for_lock(self.config.wait)?;
        Ok(Locked(self))
    }

    /// Loads the history in a directory that was taken.
    fn load(self) -> Result<Past, StateDirError> {
        load::remove_leftover(&self.directory);
        let loaded = load::load(&self.directory, self.config.limits, HoldLimits::default());
        let is_complete = loaded.as_ref().is_some_and(|loaded| loaded.is_complete);
        let (store, events) = loaded.map_or((None, 0), |Loaded { store, revived, .. }| {
            (Some(store), revived.events)
        });
        Ok(Past {
            store,
            directory: Taken {
                state_dir: self,
                events,
                claims: is_complete,
                is_needed: true,
            },
        })
    }

    /// Takes the directory for a program that has taken over from the former one of its process,
    /// history included. `former` has the lock of the former program, which goes on if it is that
    /// of this directory, and else ends here. `None` if another node has the directory: then the
    /// node goes on without it.
    pub(super) fn retake(mut self, former: Option<File>) -> Option<Taken> {
        if let Some(former) = former.filter(|former| is_same(former, &self.lock)) {
            self.lock = former;
        }
        // Streams do not wait for the lock of another node.
        match self.wait_for_lock(Duration::ZERO) {
            Ok(()) => {
                load::remove_leftover(&self.directory);
                Some(Taken {
                    state_dir: self,
                    events: 0,
                    // A complete file is that of another process: the former program of this one
                    // had no directory, or another one. From now on events are missing in it.
                    claims: true,
                    is_needed: false,
                })
            }
            Err(error) => {
                tell_of_loss(&error);
                None
            }
        }
    }

    fn wait_for_lock(&self, wait: Duration) -> Result<(), StateDirError> {
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
            if waited >= wait {
                return Err(StateDirError::Taken {
                    path: self.config.path.clone(),
                    waited: wait,
                });
            }
            if waited < LOCK_EVERY {
                let path = self.config.path.display();
                info!(directory = %path, ?wait, "waiting for the node that has the state directory");
            }
            thread::sleep(LOCK_EVERY);
        }
    }
}

/// A directory that this process has, before its history is loaded.
pub(super) struct Locked(StateDir);

impl Locked {
    /// Loads the history. Blocks.
    ///
    /// # Errors
    /// [`StateDirError`] if the system refuses to claim a complete file.
    pub(super) fn open(self) -> Result<Past, StateDirError> {
        self.0.load()
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
    /// A complete file is this process's from now on.
    claims: bool,
    /// The node must not run without it.
    is_needed: bool,
}

impl Taken {
    /// Keeps the history of a node in the directory from now on. `None` if the system refuses and
    /// the node has taken over: it has streams, and goes on without the directory.
    ///
    /// # Errors
    /// [`StateDirError`] if the system refuses and the node begins.
    pub(super) fn keep(self, hub: Hub) -> Result<Option<Keeper>, StateDirError> {
        let is_needed = self.is_needed;
        match self.start_keeper(hub) {
            Err(error) if !is_needed => {
                tell_of_loss(&error);
                Ok(None)
            }
            keeper => keeper.map(Some),
        }
    }

    fn start_keeper(self, hub: Hub) -> Result<Keeper, StateDirError> {
        self.claim()?;
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

    /// Takes a complete file for this process. The next start would take it for complete again.
    fn claim(&self) -> Result<(), StateDirError> {
        if !self.claims {
            return Ok(());
        }
        claim(&self.state_dir.directory).map_err(|source| StateDirError::Keep {
            path: self.state_dir.config.path.clone(),
            source,
        })
    }
}

/// Whether two descriptors are of one file.
fn is_same(one: &File, other: &File) -> bool {
    let identity = |file: &File| file.metadata().map(|file| (file.dev(), file.ino()));
    matches!((identity(one), identity(other)), (Ok(one), Ok(other)) if one == other)
}

/// Gives a complete file, if there is one, the name of one that events are missing in.
fn claim(disk: &impl Disk) -> io::Result<()> {
    match disk.rename(COMPLETE, RUNNING) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
        Ok(()) => disk.sync_names(),
    }
}

/// Logs that a node that has taken over goes on without its directory.
pub(super) fn tell_of_loss(error: &StateDirError) {
    let reason = std::error::Error::source(error).map(ToString::to_string);
    tracing::error!(
        reason,
        "the history is not kept in the state directory any more: {error}"
    );
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
