//! A loss of power: what was not synced is on disk or is not, in every combination.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use super::*;

/// A change of names that may not be on disk yet.
#[derive(Clone, Debug)]
struct Change {
    added: Option<(String, usize)>,
    removed: Option<String>,
}

/// The bytes of a file: those that were written, and how many of them are on disk.
#[derive(Clone, Debug, Default)]
struct Bytes {
    written: Vec<u8>,
    synced: usize,
}

/// Names and bytes of files after a loss of power.
type Left = BTreeMap<String, Vec<u8>>;

/// A directory that remembers what was synced.
#[derive(Default)]
struct Power {
    files: RefCell<Vec<Bytes>>,
    synced: RefCell<BTreeMap<String, usize>>,
    changes: RefCell<Vec<Change>>,
    /// What a loss of power may leave, at each call so far.
    left: RefCell<Vec<Left>>,
    is_watched: Cell<bool>,
}

impl Power {
    /// A directory with the history of a process before, under a name.
    fn with(name: &str, history: &[u8]) -> Self {
        let power = Self::default();
        (&power)
            .create(name)
            .and_then(|mut file| file.write_all(history).map(|()| file))
            .and_then(|file| (&power).sync(&file))
            .and_then(|()| (&power).sync_names())
            .expect("memory");
        power.is_watched.set(true);
        power
    }

    fn file(&self, name: &str) -> Option<usize> {
        let names = self.names(usize::MAX);
        names.get(name).copied()
    }

    /// The names if only the changes with these bits are on disk.
    fn names(&self, bits: usize) -> BTreeMap<String, usize> {
        let mut names = self.synced.borrow().clone();
        for (number, change) in self.changes.borrow().iter().enumerate() {
            if bits >> number & 1 == 1 {
                names.retain(|name, _| change.removed.as_ref() != Some(name));
                names.extend(change.added.clone());
            }
        }
        names
    }

    fn change(&self, added: Option<(String, usize)>, removed: Option<&str>) {
        let removed = removed.map(str::to_owned);
        self.changes.borrow_mut().push(Change { added, removed });
    }

    /// What a loss of power may leave now.
    fn losses(&self) -> Vec<Left> {
        let files = self.files.borrow();
        let mut losses = Vec::new();
        for bits in 0..1 << self.changes.borrow().len() {
            for share in [0, 1, 2] {
                let left = self.names(bits).into_iter().map(|(name, file)| {
                    let Bytes { written, synced } = &files[file];
                    let more = (written.len() - synced) * share / 2;
                    (name, written[..synced + more].to_vec())
                });
                losses.push(left.collect());
            }
        }
        losses
    }

    fn note_losses(&self) {
        if self.is_watched.get() {
            let losses = self.losses();
            self.left.borrow_mut().extend(losses);
        }
    }
}

/// A file of such a directory, by its number.
struct PowerFile<'p>(usize, &'p Power);

impl Write for PowerFile<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = bytes.len().div_ceil(2);
        let mut files = self.1.files.borrow_mut();
        files[self.0].written.extend_from_slice(&bytes[..count]);
        drop(files);
        self.1.note_losses();
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'p> Disk for &'p Power {
    type File = PowerFile<'p>;

    fn create(&self, name: &str) -> io::Result<PowerFile<'p>> {
        let mut files = self.files.borrow_mut();
        files.push(Bytes::default());
        let number = files.len() - 1;
        drop(files);
        self.change(Some((name.to_owned(), number)), None);
        self.note_losses();
        Ok(PowerFile(number, self))
    }

    fn sync(&self, file: &PowerFile<'p>) -> io::Result<()> {
        let mut files = self.files.borrow_mut();
        files[file.0].synced = files[file.0].written.len();
        Ok(())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let file = self.file(from).ok_or(io::ErrorKind::NotFound)?;
        self.change(Some((to.to_owned(), file)), Some(from));
        self.note_losses();
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        if self.file(name).is_some() {
            self.change(None, Some(name));
            self.note_losses();
        }
        Ok(())
    }

    fn sync_names(&self) -> io::Result<()> {
        let names = self.names(usize::MAX);
        *self.synced.borrow_mut() = names;
        self.changes.borrow_mut().clear();
        Ok(())
    }
}

/// What a start finds in such a directory.
fn found_in(left: &Left) -> Option<(usize, bool)> {
    let directory = tempfile::tempdir().expect("a directory");
    for (name, bytes) in left {
        fs::write(directory.path().join(name), bytes).expect("written");
    }
    found(directory.path())
}

#[test]
fn a_loss_of_power_at_any_call_leaves_the_old_or_the_new_history() {
    let old = bytes_of(&store(10));
    for has_stopped in [false, true] {
        let power = Power::with(RUNNING, &old);
        write(&&power, &store(25), has_stopped).expect("memory");
        let new = Some((25, has_stopped));
        let left = power.left.borrow();
        assert!(left.len() > 20, "{}", left.len());
        for left in left.iter() {
            let found = found_in(left);
            let names: Vec<_> = left.keys().collect();
            assert!(
                found == Some((10, false)) || found == new,
                "{found:?} {names:?}"
            );
        }
        for left in power.losses() {
            assert_eq!(found_in(&left), new, "it was acknowledged");
        }
    }
}

/// The power fails after the node has published: the next start must not take the file for complete.
#[test]
fn a_claim_of_a_complete_history_survives_a_loss_of_power() {
    let power = Power::with(COMPLETE, &bytes_of(&store(10)));
    claim(&&power).expect("memory");
    for left in power.losses() {
        assert_eq!(found_in(&left), Some((10, false)));
    }
    claim(&&power).expect("the file is claimed already");
}

/// The system is really asked: it refuses to sync a device that it cannot sync.
#[test]
fn a_sync_is_one_of_the_system() {
    let null = Directory("/dev/null".into());
    let file = File::open("/dev/null").expect("a device");
    for answer in [null.sync(&file), null.sync_names()] {
        let error = answer.expect_err("it cannot be synced");
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    }
}
