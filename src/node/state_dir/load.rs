//! Loading the history of the process before. A file that cannot be used is set aside, with one
//! warning, and the node starts without it.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Instant;

use thiserror::Error;
use tracing::{info, warn};

use crate::clock::unix_ms;
use crate::core::history::{
    Ending, HistoryLimits, HoldLimits, RestoreError, Revival, Revived, Store,
};
use crate::state::{HistoryFileError, HistoryReader};

use super::disk::{Directory, Disk, open_flags};
use super::names::{COMPLETE, NEW, RUNNING};
use super::trail;

/// Most files that are set aside under one name.
const ASIDE_MAX: usize = 100;

/// Why a history file cannot be used.
#[derive(Debug, Error)]
enum LoadError {
    #[error("{0}")]
    Read(#[from] io::Error),
    #[error("it is no regular file")]
    NoFile,
    #[error("{0}")]
    File(#[from] HistoryFileError),
    #[error("{0}")]
    Records(#[from] RestoreError),
}

/// The history of the process before.
pub(super) struct Loaded {
    pub(super) store: Store,
    pub(super) revived: Revived,
    /// Nothing is missing in it.
    pub(super) is_complete: bool,
}

/// Removes a file that a process before did not finish.
pub(super) fn remove_leftover(directory: &Directory) {
    if let Err(error) = directory.remove(NEW) {
        set_aside(&directory.0.join(NEW), &error.into());
    }
}

/// Loads the history file of a directory, if it has one that can be used.
pub(super) fn load(
    directory: &Directory,
    limits: HistoryLimits,
    hold: HoldLimits,
) -> Option<Loaded> {
    for name in [COMPLETE, RUNNING] {
        let started = Instant::now();
        let path = directory.0.join(name);
        let is_complete = name == COMPLETE;
        match read(&path, &directory.0, is_complete, (limits, hold)) {
            Ok(Some((loaded, bytes))) => {
                let Revived { events, evicted } = loaded.revived;
                let took = started.elapsed();
                info!(events, evicted, bytes, ?took, is_complete, file = %path.display(), "history loaded");
                return Some(loaded);
            }
            Ok(None) => {}
            Err(error) => set_aside(&path, &error),
        }
    }
    info!(directory = %directory.0.display(), "there is no history to load");
    None
}

/// Reads a history file; `None` if there is none. Returns also its size.
fn read(
    path: &Path,
    directory: &Path,
    is_complete: bool,
    (limits, hold): (HistoryLimits, HoldLimits),
) -> Result<Option<(Loaded, u64)>, LoadError> {
    let Some(file) = open(path)? else {
        return Ok(None);
    };
    let bytes = file.metadata()?.len();
    let mut revival = Revival::new(limits, hold);
    for record in HistoryReader::new(file, bytes)? {
        revival.take(record?)?;
    }
    let now = unix_ms();
    let ending = match revival.head() {
        Some(head) if !is_complete => {
            Ending::Lost(trail::above_all(head, trail::last_note(directory), now))
        }
        _ => Ending::Whole,
    };
    let (store, revived) = revival.finish(ending, now)?;
    let loaded = Loaded {
        store,
        revived,
        is_complete,
    };
    Ok(Some((loaded, bytes)))
}

fn open(path: &Path) -> Result<Option<File>, LoadError> {
    let mut options = OpenOptions::new();
    options.read(true).custom_flags(open_flags());
    let file = match options.open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    if file.metadata()?.is_file() {
        Ok(Some(file))
    } else {
        Err(LoadError::NoFile)
    }
}

/// Gives a file that cannot be used another name.
fn set_aside(path: &Path, error: &LoadError) {
    let moved = aside_names(path).find_map(|aside| match fs::symlink_metadata(&aside) {
        Err(_) => Some(fs::rename(path, &aside).map(|()| aside)),
        Ok(_) => None,
    });
    let file = path.display();
    match moved {
        Some(Ok(aside)) => warn!(
            %file,
            aside = %aside.display(),
            "the history file cannot be used and was set aside, its events are lost: {error}"
        ),
        Some(Err(reason)) => warn!(
            %file,
            "the history file cannot be used, its events are lost: {error}; nor can it be set aside: {reason}"
        ),
        None => warn!(
            %file,
            "the history file cannot be used, its events are lost: {error}; {ASIDE_MAX} others were set aside before"
        ),
    }
}

fn aside_names(path: &Path) -> impl Iterator<Item = std::path::PathBuf> {
    (0..ASIDE_MAX).map(move |number| {
        let mut name = path.as_os_str().to_owned();
        name.push(".unreadable");
        if number > 0 {
            name.push(format!(".{number}"));
        }
        name.into()
    })
}
