//! Writing a history file: all of it, or nothing.
//!
//! The history is written as a stream to a file of its own, which is synced and then renamed. So
//! there is always a whole file under each name: the old one or the new one.

use std::io::{self, BufWriter, Write};

use crate::clock::unix_ms;
use crate::core::history::{HistoryRecord, HistoryWalk};
use crate::hub::Hub;
use crate::state::{NodeRecord, Writer};

use super::disk::Disk;
use super::names::{COMPLETE, NEW, RUNNING};

/// Bytes of one write to the file.
const BUFFER_BYTES: usize = 256 << 10;

/// A file that was written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Written {
    pub(super) events: u64,
    pub(super) bytes: u64,
    /// It is a complete history.
    pub(super) is_complete: bool,
}

/// Where a history comes from. The hub in production.
pub(super) trait Source {
    fn begin(&self) -> HistoryWalk;
    fn walk(&self, walk: &mut HistoryWalk, out: &mut Vec<HistoryRecord>);
    fn is_whole(&self, walk: &HistoryWalk) -> bool;
}

impl Source for Hub {
    fn begin(&self) -> HistoryWalk {
        self.begin_walk()
    }

    fn walk(&self, walk: &mut HistoryWalk, out: &mut Vec<HistoryRecord>) {
        Hub::walk(self, walk, out);
    }

    fn is_whole(&self, walk: &HistoryWalk) -> bool {
        Hub::is_whole(self, walk)
    }
}

/// Writes a history file of a running node, or of one that has stopped. If it fails, the file
/// before is untouched.
///
/// A node that has stopped gets a complete file. If something was published meanwhile, it is one of
/// a running node.
pub(super) fn write(
    disk: &impl Disk,
    source: &impl Source,
    has_stopped: bool,
) -> io::Result<Written> {
    disk.remove(NEW)?;
    let written = write_new(disk, source, has_stopped).and_then(|written| {
        if written.is_complete {
            disk.rename(NEW, COMPLETE)?;
            disk.sync_names()?;
            disk.remove(RUNNING)?;
        } else {
            disk.rename(NEW, RUNNING)?;
        }
        disk.sync_names()?;
        Ok(written)
    });
    if written.is_err() {
        // It is removed before the next attempt, too.
        let _ = disk.remove(NEW);
    }
    written
}

fn write_new<D: Disk>(disk: &D, source: &impl Source, has_stopped: bool) -> io::Result<Written> {
    let file = disk.create(NEW)?;
    let file = Counted { file, bytes: 0 };
    let mut writer = Writer::new(BufWriter::with_capacity(BUFFER_BYTES, file))?;
    writer.node(&NodeRecord {
        program: env!("CARGO_PKG_VERSION").into(),
        written_unix_ms: unix_ms(),
        ..NodeRecord::default()
    })?;
    let mut walk = source.begin();
    let mut records = Vec::new();
    let mut events = 0;
    while !walk.is_done() {
        source.walk(&mut walk, &mut records);
        for record in records.drain(..) {
            events += u64::from(matches!(record, HistoryRecord::Event(_)));
            writer.history(&record)?;
        }
    }
    let file = writer.finish()?;
    let file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
    disk.sync(&file.file)?;
    Ok(Written {
        events,
        bytes: file.bytes,
        is_complete: has_stopped && source.is_whole(&walk),
    })
}

/// Counts the bytes of a file.
struct Counted<F> {
    file: F,
    bytes: u64,
}

impl<F: Write> Write for Counted<F> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
