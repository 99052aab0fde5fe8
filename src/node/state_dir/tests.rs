//! Fault injection: each system call of a writer fails, and each byte of a file is missing or
//! wrong. A start then finds the old history or the new one.

mod power;

use std::cell::Cell;
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::disk::Disk;
use super::names::{COMPLETE, NEW, RUNNING};
use super::write::{Source, Written, write};
use super::*;
use crate::core::event::{Event, EventId};
use crate::core::history::{Ending, HistoryRecord, HistoryWalk, Revival, Stamp};
use crate::core::limits::EventLimits;
use crate::core::selector::Selector;
use crate::core::sse::Draft;
use crate::state::HistoryReader;

const NOW: u64 = 1_700_000_000_000;

const LIMITS: HistoryLimits = HistoryLimits {
    events: 1_000,
    bytes: 1 << 20,
    age_ms: u64::MAX,
    budget_bytes: 64 << 20,
};

/// A store that stands in for a node.
struct Still(Store);

impl Source for Still {
    fn begin(&self) -> HistoryWalk {
        self.0.begin_walk()
    }

    fn walk(&self, walk: &mut HistoryWalk, out: &mut Vec<HistoryRecord>) {
        self.0.walk(walk, 3, out);
    }

    fn is_whole(&self, walk: &HistoryWalk) -> bool {
        self.0.is_whole(walk)
    }
}

/// A store with so many events, of two topics, in their order.
fn store(events: usize) -> Still {
    let mut store = Store::new(LIMITS, NOW);
    for number in 0..events {
        let topic = ["a", "b"][number % 2];
        let event = Event {
            private: number % 3 == 0,
            id: (number % 5 == 0).then(|| format!("own-{number}").into()),
            ..Event::new(topic, number.to_string())
        };
        let mut draft = Draft::new(event, &EventLimits::default()).expect("valid");
        store.append(&mut draft, Stamp::Local(NOW)).expect("an id");
    }
    Still(store)
}

fn open(directory: StateDir) -> Result<Past, StateDirError> {
    directory.lock()?.open()
}

fn state_dir(path: &Path) -> StateDir {
    StateDir::prepare(StateDirConfig {
        path: path.to_owned(),
        wait: Duration::ZERO,
        every: None,
        limits: LIMITS,
    })
    .expect("a directory")
}

/// The number of events that a start finds, and whether nothing was lost with the process before.
fn found(path: &Path) -> Option<(usize, bool)> {
    let past = open(state_dir(path)).expect("it can be taken");
    past.directory.claim().expect("it is claimed");
    let store = past.store?;
    let events = store.size().events;
    let newest = ["a", "b"].map(|topic| store.last_of(topic));
    let is_whole = newest.into_iter().flatten().max() == Some(store.head());
    Some((events, is_whole))
}

fn names(path: &Path) -> Vec<String> {
    let files = fs::read_dir(path).expect("a directory");
    let names = files.map(|file| file.expect("a file").file_name());
    let mut names: Vec<_> = names
        .map(|name| name.into_string().expect("text"))
        .filter(|name| name != LOCK)
        .collect();
    names.sort();
    names
}

/// A directory of which one call fails.
struct Faulty {
    disk: Directory,
    /// Calls until the one that fails.
    left: Cell<usize>,
    /// Bytes that a write takes before it fails.
    short: bool,
}

impl Faulty {
    fn call(&self) -> io::Result<()> {
        match self.left.get().checked_sub(1) {
            Some(left) => {
                self.left.set(left);
                Ok(())
            }
            // The calls after it work again.
            None => {
                self.left.set(usize::MAX);
                Err(io::Error::from_raw_os_error(28))
            }
        }
    }
}

struct FaultyFile<'d>(File, &'d Faulty);

impl Write for FaultyFile<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = if self.1.short {
            bytes.len().div_ceil(2)
        } else {
            bytes.len()
        };
        self.1.call()?;
        self.0.write(&bytes[..taken])
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'d> Disk for &'d Faulty {
    type File = FaultyFile<'d>;

    fn create(&self, name: &str) -> io::Result<FaultyFile<'d>> {
        self.call()?;
        Ok(FaultyFile(self.disk.create(name)?, self))
    }

    fn sync(&self, file: &FaultyFile<'d>) -> io::Result<()> {
        self.call()?;
        self.disk.sync(&file.0)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.call()?;
        self.disk.rename(from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.call()?;
        self.disk.remove(name)
    }

    fn sync_names(&self) -> io::Result<()> {
        self.call()?;
        self.disk.sync_names()
    }
}

#[test]
fn each_call_of_a_writer_fails_once_and_the_old_or_the_new_history_is_found() {
    for (has_stopped, short) in [(false, false), (true, false), (false, true), (true, true)] {
        let mut failed = 0;
        for calls in 0.. {
            let directory = tempfile::tempdir().expect("a directory");
            let path = directory.path();
            let disk = Directory(path.to_owned());
            write(&disk, &store(10), false).expect("the old one");
            let faulty = Faulty {
                disk,
                left: Cell::new(calls),
                short,
            };
            let written = write(&&faulty, &store(25), has_stopped);
            if faulty.left.get() < usize::MAX / 2 {
                assert_eq!(found(path), Some((25, has_stopped)));
                break;
            }
            failed += usize::from(written.is_err());
            let what = format!("call {calls}: {written:?} {:?}", names(path));
            assert!(!names(path).contains(&NEW.to_owned()), "{what}");
            let seen = found(path);
            let is_old = seen == Some((10, false));
            assert!(is_old || seen == Some((25, has_stopped)), "{seen:?} {what}");
            assert!(is_old || written.is_ok() || calls > 3, "{what}");
            // The next attempt works.
            let written = write(&Directory(path.to_owned()), &store(30), true);
            assert!(written.expect("written").is_complete);
            assert_eq!(found(path), Some((30, true)), "{what}");
        }
        assert!(failed >= 6, "{failed}");
    }
}

#[test]
fn a_complete_history_is_complete_for_one_process() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path();
    let written = write(&Directory(path.to_owned()), &store(10), true).expect("written");
    assert!(written.is_complete && written.events == 10);
    let size = fs::metadata(path.join(COMPLETE)).expect("a file");
    assert_eq!(size.len(), written.bytes);
    assert_eq!(size.permissions().mode() & 0o777, 0o600);
    assert_eq!(names(path), [COMPLETE]);
    // A start that fails, or is ended before it serves.
    drop(open(state_dir(path)).expect("free"));
    assert_eq!(names(path), [COMPLETE]);
    assert_eq!(found(path), Some((10, true)));
    assert_eq!(names(path), [RUNNING]);
    assert_eq!(found(path), Some((10, false)), "its process has crashed");
}

/// The writer could not remove the older file, or was ended before.
#[test]
fn a_complete_history_is_preferred_to_an_older_one() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path();
    let disk = Directory(path.to_owned());
    write(&disk, &store(10), false).expect("written");
    let older = fs::read(path.join(RUNNING)).expect("a file");
    write(&disk, &store(25), true).expect("written");
    assert_eq!(names(path), [COMPLETE], "the older one is removed");
    fs::write(path.join(RUNNING), older).expect("written");
    assert_eq!(found(path), Some((25, true)));
}

/// An event that comes while the last history is written is in no history.
#[test]
fn a_history_that_misses_an_event_is_not_complete() {
    struct Busy(std::cell::RefCell<Store>);
    impl Source for Busy {
        fn begin(&self) -> HistoryWalk {
            self.0.borrow().begin_walk()
        }
        fn walk(&self, walk: &mut HistoryWalk, out: &mut Vec<HistoryRecord>) {
            let mut store = self.0.borrow_mut();
            store.walk(walk, 3, out);
            let draft = Draft::new(Event::new("a", "late"), &EventLimits::default());
            let mut draft = draft.expect("valid");
            store.append(&mut draft, Stamp::Local(NOW)).expect("an id");
        }
        fn is_whole(&self, walk: &HistoryWalk) -> bool {
            self.0.borrow().is_whole(walk)
        }
    }
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path();
    let busy = Busy(store(10).0.into());
    let written = write(&Directory(path.to_owned()), &busy, true).expect("written");
    assert!(!written.is_complete);
    assert_eq!(names(path), [RUNNING]);
    assert_eq!(found(path), Some((10, false)));
}

/// The bytes of a history file.
fn bytes_of(store: &Still) -> Vec<u8> {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path();
    write(&Directory(path.to_owned()), store, true).expect("written");
    fs::read(path.join(COMPLETE)).expect("a file")
}

/// What a start makes of a complete file with these bytes: it must set it aside, and warn once.
fn refused(bytes: &[u8], what: &str) {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path();
    fs::write(path.join(COMPLETE), bytes).expect("written");
    assert_eq!(found(path), None, "{what}");
    let aside = format!("{COMPLETE}.unreadable");
    assert_eq!(names(path), [&*aside], "{what}");
    assert_eq!(fs::read(path.join(aside)).expect("a file"), bytes, "{what}");
}

#[test]
fn a_file_that_is_cut_or_changed_at_any_byte_is_set_aside() {
    let bytes = bytes_of(&store(6));
    for end in 0..bytes.len() {
        refused(&bytes[..end], &format!("cut at {end}"));
    }
    for at in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 1 << (at % 8);
        refused(&changed, &format!("changed at {at}"));
    }
    refused(&[&bytes[..], b"x"].concat(), "a byte too many");
    refused(&[bytes.clone(), bytes].concat(), "twice");
    refused(&[0; 4_096], "zeros");
    refused(b"PK\x03\x04 something else", "foreign");
}

#[test]
fn what_is_no_file_is_set_aside() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path();
    for round in 0..3 {
        fs::create_dir(path.join(COMPLETE)).expect("a directory");
        fs::write(path.join(COMPLETE).join("x"), "x").expect("written");
        std::os::unix::fs::symlink("/etc/passwd", path.join(RUNNING)).expect("a link");
        assert_eq!(found(path), None);
        assert_eq!(names(path).len(), 2 * (round + 1), "{:?}", names(path));
    }
    // A start does not wait for someone who writes to a pipe.
    rustix::fs::mknodat(
        rustix::fs::CWD,
        path.join(COMPLETE),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o600),
        0,
    )
    .expect("a pipe");
    assert_eq!(found(path), None);
    fs::create_dir_all(path.join(NEW).join("x")).expect("a directory");
    assert_eq!(found(path), None);
    assert!(!names(path).contains(&NEW.to_owned()));
    // An older history is better than none.
    write(&Directory(path.to_owned()), &store(4), false).expect("written");
    fs::write(path.join(COMPLETE), "x").expect("written");
    assert_eq!(found(path), Some((4, false)));
}

#[test]
fn a_directory_is_made_for_its_user_only_and_checked() {
    let parent = tempfile::tempdir().expect("a directory");
    let path = parent.path().join("new/state");
    let first = open(state_dir(&path)).map(drop);
    assert!(first.is_ok());
    let mode = fs::metadata(&path).expect("made").permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
    let config = |path: &Path| StateDirConfig {
        path: path.to_owned(),
        wait: Duration::from_millis(50),
        every: None,
        limits: LIMITS,
    };
    let error = |path: &Path| {
        let opened = StateDir::prepare(config(path)).and_then(open);
        opened.map(drop).expect_err("refused").to_string()
    };
    let file = parent.path().join("file");
    fs::write(&file, "x").expect("written");
    assert!(error(&file).contains("is no directory (`state_dir`)"));
    assert!(error(&file.join("below")).contains("cannot create the directory"));
    assert!(error(Path::new("/proc/self")).contains("cannot write to the directory"));
    let holder = open(state_dir(&path)).expect("free");
    let taken = error(&path);
    assert!(taken.contains("another node has the directory"), "{taken}");
    drop(holder);
    assert!(StateDir::prepare(config(&path)).and_then(open).is_ok());
}

#[test]
fn a_history_of_any_size_is_written_in_pieces() {
    let mut still = store(0);
    for number in 0..3_000 {
        let data = "x".repeat(1_000);
        let event = Event::new(format!("t/{}", number % 70), data);
        let mut draft = Draft::new(event, &EventLimits::default()).expect("valid");
        still
            .0
            .append(&mut draft, Stamp::Local(NOW))
            .expect("an id");
    }
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path();
    let written = write(&Directory(path.to_owned()), &still, true).expect("written");
    let Written { events, bytes, .. } = written;
    assert!(events == 3_000 && bytes > 3_000_000, "{written:?}");
    let past = open(state_dir(path)).expect("free");
    let store = past.store.expect("a history");
    assert_eq!(store.size(), still.0.size());
}

/// The pieces of a state: where each begins, and where its payload ends.
fn pieces(bytes: &[u8]) -> Vec<(usize, usize)> {
    let (mut at, mut pieces) = (20, Vec::new());
    while at < bytes.len() {
        let length = u64::from_le_bytes(bytes[at + 4..at + 12].try_into().expect("eight"));
        let end = at + 16 + length as usize;
        pieces.push((at, end));
        at = end;
    }
    pieces
}

/// Gives a piece the checksum of its bytes.
fn seal(bytes: &mut [u8], (at, end): (usize, usize)) {
    let mut checksum = crc32fast::Hasher::new();
    checksum.update(&bytes[at..at + 12]);
    checksum.update(&bytes[at + 16..end]);
    bytes[at + 12..at + 16].copy_from_slice(&checksum.finalize().to_le_bytes());
}

/// Bytes that a hostile program wrote, with right checksums: a start never panics, and a store that
/// is made of them works.
#[test]
fn a_changed_history_with_right_checksums_breaks_no_store() {
    let whole = bytes_of(&store(40));
    let mut random = fastrand::Rng::with_seed(5);
    let mut made = 0;
    for _ in 0..3_000 {
        let mut bytes = whole.clone();
        let pieces = pieces(&bytes);
        let piece = pieces[random.usize(..pieces.len())];
        for _ in 0..random.usize(1..4) {
            bytes[random.usize(piece.0 + 16..piece.1)] = random.u8(..);
        }
        seal(&mut bytes, piece);
        let Ok(records) = HistoryReader::new(&bytes[..], bytes.len() as u64) else {
            continue;
        };
        let mut revival = Revival::new(LIMITS, HoldLimits::SMALL);
        let taken = records.into_iter().all(|record| {
            let taken = record.ok().map(|record| revival.take(record).is_ok());
            taken == Some(true)
        });
        let ending = if random.bool() {
            Ending::Whole
        } else {
            Ending::Lost(EventId::new(random.u64(..)))
        };
        let Some((mut store, _)) = taken.then(|| revival.finish(ending, NOW).ok()).flatten() else {
            continue;
        };
        made += 1;
        let draft = Draft::new(Event::new("a", "next"), &EventLimits::default());
        let mut draft = draft.expect("valid");
        let head = store.head();
        store.append(&mut draft, Stamp::Local(NOW)).expect("an id");
        assert!(store.head() > head);
        for cursor in ["earliest", "own-5", "none"] {
            let start = store.resolve(&[Selector::exact("a")], &[], cursor);
            assert!(!start.is_live(), "{cursor}");
        }
        while !store.expire(EventId::new(u64::MAX), 1_000) {}
        assert!(store.is_bare());
    }
    assert!(made > 100, "{made}");
}
