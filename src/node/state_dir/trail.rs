//! The newest id that the node gave, on disk.
//!
//! After a crash, the ids that the dead process gave after its last history file are unknown. If the
//! clock was set back meanwhile, the next process could give one of them again, to another event.
//! So a running node notes its newest id twice a second, and the next one starts above it.
//!
//! A note is not synced: that would be two disk writes a second. A machine that loses its power may
//! lose notes, and only the clock keeps ids rising then.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Duration;

use crate::core::event::EventId;

use super::disk;
use super::names::NEWEST_ID;

/// Time between two notes.
pub(super) const NOTE_EVERY: Duration = Duration::from_millis(500);

/// The dead process gave no id that is further above its note, in milliseconds: the time between
/// two notes, and as much again for a thread that was late.
const MARGIN_MS: u64 = 1_000;

/// The same above its last history file, if there is no note.
const MARGIN_WITHOUT_NOTE_MS: u64 = 60_000;

/// Bytes of a note: an id and spaces. All notes have one length, so that one write replaces one.
const NOTE_BYTES: usize = EventId::TEXT_BYTES_MAX + 2;

/// The file with the note.
#[derive(Debug)]
pub(super) struct Trail {
    file: File,
    noted: EventId,
}

impl Trail {
    /// Opens the file, and writes the first note.
    pub(super) fn begin(directory: &Path, newest: EventId) -> io::Result<Self> {
        let file = disk::open_or_create(&directory.join(NEWEST_ID))?;
        // The first note is written at once, and has the length of all notes.
        file.set_len(0)?;
        let mut trail = Self {
            file,
            noted: EventId::ZERO,
        };
        trail.note(newest)?;
        Ok(trail)
    }

    /// Notes the newest id, if it is another one.
    pub(super) fn note(&mut self, newest: EventId) -> io::Result<()> {
        if newest == self.noted {
            return Ok(());
        }
        let note = format!(
            "{newest:<width$}\n",
            width = NOTE_BYTES - 1,
            newest = newest.to_string()
        );
        self.file.write_all_at(note.as_bytes(), 0)?;
        self.noted = newest;
        Ok(())
    }
}

/// The last note of the process before; `None` if there is none that can be read.
pub(super) fn last_note(directory: &Path) -> Option<EventId> {
    let path = directory.join(NEWEST_ID);
    let is_note = fs::metadata(&path).is_ok_and(|found| found.len() == NOTE_BYTES as u64);
    let note = is_note.then(|| fs::read_to_string(path).ok()).flatten()?;
    note.trim_end().parse().ok()
}

/// An id that no id of a process that crashed is above: of one whose history ends at `head`, when
/// the clock reads `now_unix_ms`.
pub(super) fn above_all(head: EventId, note: Option<EventId>, now_unix_ms: u64) -> EventId {
    let newest_ms = match note {
        Some(note) => note.max(head).unix_ms().saturating_add(MARGIN_MS),
        None => head.unix_ms().saturating_add(MARGIN_WITHOUT_NOTE_MS),
    };
    let above = EventId::from_parts(newest_ms.max(now_unix_ms), 0);
    above.unwrap_or_default().max(head.after())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_note_is_read_and_nothing_else() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path();
        assert_eq!(last_note(path), None);
        let ids = [EventId::new(u64::MAX), EventId::ZERO, EventId::new(7)];
        let mut trail = Trail::begin(path, EventId::new(1)).expect("a file");
        for id in ids {
            trail.note(id).expect("written");
            assert_eq!(last_note(path), Some(id));
        }
        for wrong in ["", "x", "1-1", &"1".repeat(NOTE_BYTES), &"1".repeat(99)] {
            fs::write(path.join(NEWEST_ID), wrong).expect("written");
            assert_eq!(last_note(path), None, "{wrong:?}");
            // The next note replaces all of it.
            Trail::begin(path, EventId::new(1)).expect("a file");
            assert_eq!(last_note(path), Some(EventId::new(1)), "{wrong:?}");
        }
    }

    #[test]
    fn ids_begin_above_those_of_a_process_that_crashed() {
        let id = |ms| EventId::from_parts(ms, 3).expect("an id");
        let first = |ms| EventId::from_parts(ms, 0).expect("an id");
        assert_eq!(above_all(id(10), Some(id(20)), 9_000), first(9_000));
        assert_eq!(above_all(id(10), Some(id(20_000)), 9_000), first(21_000));
        assert_eq!(above_all(id(30_000), Some(id(20)), 9_000), first(31_000));
        assert_eq!(above_all(id(10), None, 9_000), first(60_010));
        let last = EventId::new(u64::MAX - 1);
        assert_eq!(above_all(last, None, 9_000), EventId::new(u64::MAX));
    }
}
