//! A history file: written from a store, and made a store again.

use std::fs::File;
use std::io::{self, BufWriter, Seek, SeekFrom};

use fantail::core::event::Event;
use fantail::core::history::{Ending, HistoryLimits, HoldLimits, Revival, Stamp, Store};
use fantail::core::limits::EventLimits;
use fantail::core::sse::Draft;
use fantail::state::{HistoryReader, Writer};

/// When all events were published.
const NOW_UNIX_MS: u64 = 1_700_000_000_000;

const LIMITS: HistoryLimits = HistoryLimits {
    events: 1_000_000,
    bytes: 1 << 30,
    age_ms: 1 << 40,
    budget_bytes: 8 << 30,
};

/// Records of one hold of the lock, as the hub takes them.
const STEPS: usize = 256;

/// A store, and a file for its history.
pub(crate) struct HistoryFile {
    store: Store,
    file: File,
    bytes: u64,
}

impl HistoryFile {
    /// Publishes `events` events of `data_bytes` of data, dealt to `topics` topics in turn, and
    /// writes the file.
    pub(crate) fn new(topics: usize, events: usize, data_bytes: usize) -> io::Result<Self> {
        let mut store = Store::new(LIMITS, NOW_UNIX_MS);
        let topics: Vec<String> = (0..topics)
            .map(|number| format!("topic/{number}"))
            .collect();
        let data = "x".repeat(data_bytes);
        for number in 0..events {
            let event = Event::new(&*topics[number % topics.len()], &*data);
            let draft = Draft::new(event, &EventLimits::default());
            let mut draft = draft.map_err(io::Error::other)?;
            let appended = store.append(&mut draft, Stamp::Local(NOW_UNIX_MS));
            appended.map_err(io::Error::other)?;
        }
        let mut history = Self {
            store,
            file: tempfile::tempfile()?,
            bytes: 0,
        };
        history.write()?;
        Ok(history)
    }

    /// Events in it.
    pub(crate) fn events(&self) -> usize {
        self.store.size().events
    }

    /// Size of the file.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Writes the file anew, and syncs it.
    pub(crate) fn write(&mut self) -> io::Result<()> {
        self.file.set_len(0)?;
        self.file.seek(SeekFrom::Start(0))?;
        let mut writer = Writer::new(BufWriter::with_capacity(256 << 10, &self.file))?;
        let (mut walk, mut records) = (self.store.begin_walk(), Vec::new());
        while !walk.is_done() {
            self.store.walk(&mut walk, STEPS, &mut records);
            for record in records.drain(..) {
                writer.history(&record)?;
            }
        }
        writer
            .finish()?
            .into_inner()
            .map_err(io::IntoInnerError::into_error)?;
        self.file.sync_all()?;
        self.bytes = self.file.metadata()?.len();
        Ok(())
    }

    /// Makes a store of the file; returns it.
    pub(crate) fn load(&mut self) -> io::Result<Store> {
        self.file.seek(SeekFrom::Start(0))?;
        let mut revival = Revival::new(LIMITS, HoldLimits::default());
        let records = HistoryReader::new(&self.file, self.bytes).map_err(io::Error::other)?;
        for record in records {
            revival
                .take(record.map_err(io::Error::other)?)
                .map_err(io::Error::other)?;
        }
        let revived = revival.finish(Ending::Whole, NOW_UNIX_MS);
        let (store, revived) = revived.map_err(io::Error::other)?;
        if revived.events != self.events() {
            return Err(io::Error::other(format!("{revived:?}")));
        }
        Ok(store)
    }
}
