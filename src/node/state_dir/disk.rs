//! The system calls on the files of a state directory. Tests let each of them fail.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use crate::backoff;

/// Files that only the node's user may read.
const FILE_MODE: u32 = 0o600;

/// How files of the directory are opened: neither through a link out of it, nor with a wait for the
/// other end of a pipe.
pub(super) fn open_flags() -> i32 {
    (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed()
}

/// Opens a file for writing, and creates it if it does not exist. A shortage of descriptors that
/// passes is outlasted: a node that takes over would go on without its directory.
pub(super) fn open_or_create(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false);
    options.mode(FILE_MODE).custom_flags(open_flags());
    let file = backoff::outlast(|| options.open(path))?;
    if file.metadata()?.is_file() {
        Ok(file)
    } else {
        Err(io::Error::other(format!(
            "{} is no regular file",
            path.display()
        )))
    }
}

/// A directory, as the writer of a history file sees it.
pub(super) trait Disk {
    /// A file that is being written.
    type File: Write;

    /// Creates a file that does not exist.
    fn create(&self, name: &str) -> io::Result<Self::File>;

    /// Makes what was written survive a loss of power.
    fn sync(&self, file: &Self::File) -> io::Result<()>;

    /// Gives a file another name. A file of that name is replaced.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a file, if it exists.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Makes new names survive a loss of power.
    fn sync_names(&self) -> io::Result<()>;
}

/// A directory of the system.
#[derive(Clone, Debug)]
pub(super) struct Directory(pub(super) PathBuf);

impl Disk for Directory {
    type File = File;

    fn create(&self, name: &str) -> io::Result<File> {
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(FILE_MODE);
        options.open(self.0.join(name))
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        file.sync_all()
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.0.join(from), self.0.join(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        match fs::remove_file(self.0.join(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    fn sync_names(&self) -> io::Result<()> {
        File::open(&self.0)?.sync_all()
    }
}
