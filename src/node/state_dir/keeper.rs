//! The thread that keeps the files of a state directory. It writes one file at a time, and holds no
//! more than a part of it in memory. It may end at any point, with its process: the next start finds
//! whole files.

use std::fs::File;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tracing::{debug, info, warn};

use crate::backoff;
use crate::clock::unix_ms;
use crate::core::event::EventId;
use crate::core::history::HistorySize;
use crate::hub::Hub;
use crate::metrics::HistoryFileMetrics;
use crate::once_a_minute::OnceAMinute;

use super::disk::Directory;
use super::trail::{NOTE_EVERY, Trail};
use super::write::{Written, write};

/// Bounds the log lines of files that could not be written.
static FAILED: OnceAMinute = OnceAMinute::new();

/// The node has stopped: the thread writes the complete file, and ends.
struct Finish;

/// Keeps the history of a node in its state directory. Dropping it ends it without a last file.
pub(in crate::node) struct Keeper {
    orders: Sender<Finish>,
    thread: JoinHandle<()>,
    lock: Arc<File>,
}

impl Keeper {
    /// Starts the thread. The directory stays locked until the thread and the keeper have ended.
    pub(super) fn start(
        directory: Directory,
        lock: File,
        every: Option<Duration>,
        hub: Hub,
    ) -> io::Result<Self> {
        let lock = Arc::new(lock);
        let trail = Trail::begin(&directory.0, hub.head())?;
        let (orders, taken) = channel();
        let mut files = Files {
            directory,
            trail,
            every,
            due: every.map(|every| Instant::now() + every),
            last: None,
            hub,
            _lock: Arc::clone(&lock),
        };
        let metrics = files.metrics();
        metrics.written_unix_ms.store(unix_ms(), Ordering::Relaxed);
        metrics.is_on.store(true, Ordering::Relaxed);
        let thread = backoff::spawn("history", move || files.run(&taken))?;
        Ok(Self {
            orders,
            thread,
            lock,
        })
    }

    /// The file that has the lock of the directory.
    pub(in crate::node) fn lock(&self) -> &File {
        &self.lock
    }

    /// Writes the last file of a node that has stopped. Blocks until it is on disk.
    pub(in crate::node) fn finish(self) {
        let _ = self.orders.send(Finish);
        // A panic there has been reported.
        let _ = self.thread.join();
    }
}

/// The state of the thread.
struct Files {
    directory: Directory,
    trail: Trail,
    every: Option<Duration>,
    /// When the next file of a running node is due.
    due: Option<Instant>,
    /// The history at the last file.
    last: Option<(EventId, HistorySize)>,
    hub: Hub,
    _lock: Arc<File>,
}

impl Files {
    fn run(&mut self, orders: &Receiver<Finish>) {
        loop {
            match orders.recv_timeout(NOTE_EVERY) {
                Ok(Finish) => return self.finish(),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            self.note();
            if self.due.is_some_and(|due| due <= Instant::now()) {
                self.write_running();
            }
        }
    }

    fn metrics(&self) -> &HistoryFileMetrics {
        &self.hub.node_metrics().history_file
    }

    fn note(&mut self) {
        if let Err(error) = self.trail.note(self.hub.head()) {
            self.fail(&error, false);
        }
    }

    fn write_running(&mut self) {
        let now = (self.hub.head(), self.hub.history_size());
        // A history that has not changed is on disk already.
        if self.last != Some(now)
            && let Some((written, took)) = self.write(false)
        {
            self.last = Some(now);
            let Written { events, bytes, .. } = written;
            debug!(events, bytes, ?took, "history written");
        }
        self.due = self.every.map(|every| Instant::now() + every);
    }

    fn finish(&mut self) {
        self.note();
        if let Some((written, took)) = self.write(true) {
            let Written {
                events,
                bytes,
                is_complete,
            } = written;
            let directory = self.directory.0.display();
            info!(events, bytes, ?took, is_complete, %directory, "history written");
        }
    }

    fn write(&self, has_stopped: bool) -> Option<(Written, Duration)> {
        let started = Instant::now();
        match write(&self.directory, &self.hub, has_stopped) {
            Ok(written) => {
                let took = started.elapsed();
                let metrics = self.metrics();
                let took_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
                metrics.took_us.store(took_us, Ordering::Relaxed);
                metrics.bytes.store(written.bytes, Ordering::Relaxed);
                metrics.written_unix_ms.store(unix_ms(), Ordering::Relaxed);
                Some((written, took))
            }
            Err(error) => {
                self.fail(&error, has_stopped);
                None
            }
        }
    }

    /// Counts a failure, and logs it: the last one always, others once a minute.
    fn fail(&self, error: &io::Error, is_last: bool) {
        self.metrics().failures.add(1);
        if let Some(left_out) = FAILED.due().or(is_last.then_some(0)) {
            let directory = self.directory.0.display();
            warn!(
                %directory,
                left_out,
                "the history could not be written to the state directory: {error}; the file before stays, and events since then are lost with the process"
            );
        }
    }
}
