//! The log alone: entries that are appended in pipelines and read by tails, as nodes do it, on a key
//! of its own.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use redis::{Client, Connection, ErrorKind, RedisError, RedisResult, Value};

use crate::latency;
use crate::stamp::{self, Stamp};
use crate::target::without_password;

/// Entries that a tail asks for at once.
const PAGE: usize = 1_000;
/// Longest wait of a tail for an entry, in milliseconds.
const BLOCK_MS: usize = 100;
/// Entries that the key keeps, about.
const KEPT: usize = 100_000;
/// Entries that the slowest tail may be behind before publishers wait for it: far fewer than are
/// kept, or it would miss some.
const BEHIND_MAX: u64 = 20_000;
/// The key is gone after so many seconds, should this program end before its time.
const EXPIRES_S: u64 = 3_600;
/// Longest time for the tails to read what was appended.
const PATIENCE: Duration = Duration::from_secs(30);
/// Pause of a publisher that is ahead of its rate, or of a tail.
const TICK: Duration = Duration::from_micros(200);

/// Why the log cannot be measured.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LogError {
    /// It is not there, or refuses a command.
    #[error("--log {0}: {1}")]
    Redis(String, RedisError),
    /// Entries are missing.
    #[error("--log: a tail has read {read} of {appended} entries after {PATIENCE:?}")]
    Behind {
        /// Entries that it has read.
        read: u64,
        /// Entries that were appended.
        appended: u64,
    },
}

/// A log to be measured.
pub(super) struct Log {
    client: Client,
    url: String,
    key: String,
}

/// How the log is used.
#[derive(Clone, Copy, Debug)]
pub(super) struct Load {
    /// Readers of all entries.
    pub(super) tails: usize,
    /// Connections that append.
    pub(super) publishers: usize,
    /// Entries under way on each.
    pub(super) pipeline: usize,
    /// Bytes of data in an entry.
    pub(super) data_bytes: usize,
    /// How long.
    pub(super) time: Duration,
}

/// What the threads of a measurement share.
struct Shared {
    /// Nothing more is appended.
    over: AtomicBool,
    /// A thread has failed.
    failed: AtomicBool,
    appended: AtomicU64,
    /// Entries that each tail has read.
    read: Vec<AtomicU64>,
}

impl Shared {
    fn new(tails: usize) -> Self {
        Self {
            over: AtomicBool::new(false),
            failed: AtomicBool::new(false),
            appended: AtomicU64::new(0),
            read: (0..tails).map(|_| AtomicU64::new(0)).collect(),
        }
    }

    /// Entries that the slowest tail has not read.
    fn behind(&self) -> u64 {
        let read = self.read.iter().map(|read| read.load(Ordering::Relaxed));
        let appended = self.appended.load(Ordering::Relaxed);
        read.min().map_or(0, |read| appended.saturating_sub(read))
    }

    fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Relaxed)
    }

    /// Notes a failure, so that the other threads end, too.
    fn noted<T>(&self, result: RedisResult<T>) -> RedisResult<T> {
        if result.is_err() {
            self.failed.store(true, Ordering::Relaxed);
        }
        result
    }
}

/// What a tail has read.
struct Tail {
    read: u64,
    /// From when an entry was due until it was read.
    latency: Histogram<u64>,
}

impl Log {
    /// The log at this URL, with a key that is this run's own.
    pub(super) fn new(url: &str) -> Result<Self, LogError> {
        let shown = without_password(url);
        let failed = |error| LogError::Redis(shown.clone(), error);
        let client = Client::open(url).map_err(failed)?;
        let key = format!("fantail-loadtest:{:08x}", fastrand::u32(..));
        let mut connection = client.get_connection().map_err(failed)?;
        let mut first = || -> RedisResult<()> {
            let mut add = redis::cmd("XADD");
            add.arg(&key).arg("*").arg("data").arg("first");
            add.exec(&mut connection)?;
            let mut expire = redis::cmd("EXPIRE");
            expire.arg(&key).arg(EXPIRES_S).exec(&mut connection)
        };
        first().map_err(failed)?;
        Ok(Self {
            client,
            url: shown,
            key,
        })
    }

    /// Appends as fast as the log takes it, and reads it; entries a second that all tails have read.
    pub(super) fn full_speed(&self, load: Load) -> Result<f64, LogError> {
        let start = Instant::now();
        let append = |connection: &mut Connection, shared: &Shared| {
            while start.elapsed() < load.time && !shared.has_failed() {
                if shared.behind() > BEHIND_MAX {
                    thread::sleep(TICK);
                    continue;
                }
                self.append(connection, load.pipeline, load.data_bytes, stamp::now())?;
                let appended = load.pipeline as u64;
                shared.appended.fetch_add(appended, Ordering::Relaxed);
            }
            Ok(())
        };
        let tails = self.measure(load, append)?;
        let least = tails.iter().map(|tail| tail.read).min().unwrap_or(0);
        Ok(least as f64 / start.elapsed().as_secs_f64().max(1e-9))
    }

    /// Appends at a rate over one connection; the time from when an entry was due until a tail had
    /// it.
    pub(super) fn at_rate(&self, load: Load, rate: f64) -> Result<Histogram<u64>, LogError> {
        let start = stamp::now();
        let append = |connection: &mut Connection, shared: &Shared| {
            let mut offered = 0;
            while stamp::since(start, stamp::now()) < load.time && !shared.has_failed() {
                let due = start + (offered as f64 / rate * 1e9) as u64;
                if stamp::now() < due {
                    thread::sleep(TICK);
                    continue;
                }
                self.append(connection, 1, load.data_bytes, due)?;
                shared.appended.fetch_add(1, Ordering::Relaxed);
                offered += 1;
            }
            Ok(())
        };
        let one = Load {
            publishers: 1,
            ..load
        };
        let mut all = latency::histogram();
        for tail in self.measure(one, append)? {
            // All have the same bounds.
            let _ = all.add(&tail.latency);
        }
        Ok(all)
    }

    /// Runs publishers and tails until every tail has read everything.
    fn measure(
        &self,
        load: Load,
        append: impl Fn(&mut Connection, &Shared) -> RedisResult<()> + Sync,
    ) -> Result<Vec<Tail>, LogError> {
        let shared = Shared::new(load.tails);
        let failed = |error| LogError::Redis(self.url.clone(), error);
        let last = self.last_id().map_err(failed)?;
        let publish = || {
            let connection = self.client.get_connection();
            shared.noted(connection.and_then(|mut connection| append(&mut connection, &shared)))
        };
        let results = thread::scope(|scope| {
            let (last, shared) = (&last, &shared);
            let tail = |number| scope.spawn(move || shared.noted(self.tail(number, last, shared)));
            let tails: Vec<_> = (0..load.tails).map(tail).collect();
            let publisher = |_| scope.spawn(publish);
            let publishers: Vec<_> = (0..load.publishers).map(publisher).collect();
            let published: Vec<_> = publishers.into_iter().map(joined).collect();
            shared.over.store(true, Ordering::Release);
            let read: Vec<_> = tails.into_iter().map(joined).collect();
            (published, read)
        });
        let (published, read) = results;
        published
            .into_iter()
            .collect::<RedisResult<Vec<()>>>()
            .map_err(failed)?;
        let tails = read.into_iter().collect::<RedisResult<Vec<Tail>>>();
        let tails = tails.map_err(failed)?;
        let appended = shared.appended.load(Ordering::Relaxed);
        match tails.iter().map(|tail| tail.read).min() {
            Some(read) if read < appended => Err(LogError::Behind { read, appended }),
            _ => Ok(tails),
        }
    }

    /// Appends entries with the fields that a node writes, and waits for their ids.
    fn append(
        &self,
        connection: &mut Connection,
        entries: usize,
        data_bytes: usize,
        due: u64,
    ) -> RedisResult<()> {
        let stamp = Stamp {
            run: 0,
            topic: 0,
            number: 1,
            sent: due,
        };
        let data = stamp.data(data_bytes);
        let mut pipe = redis::pipe();
        for number in 0..entries {
            let add = pipe.cmd("XADD").arg(&self.key);
            add.arg("MAXLEN").arg("~").arg(KEPT).arg("*");
            add.arg("topic").arg("t").arg("data").arg(&data);
            add.arg("t").arg(format!("{due:016x}.{number}")).ignore();
        }
        pipe.exec(connection)
    }

    fn last_id(&self) -> RedisResult<String> {
        let mut connection = self.client.get_connection()?;
        let mut newest = redis::cmd("XREVRANGE");
        newest.arg(&self.key).arg("+").arg("-").arg("COUNT").arg(1);
        let entries: Value = newest.query(&mut connection)?;
        let entry = as_array(&entries).and_then(<[Value]>::first);
        entry.and_then(id_of).ok_or_else(unexpected)
    }

    /// Reads from an entry on, until everything is there.
    fn tail(&self, number: usize, from: &str, shared: &Shared) -> RedisResult<Tail> {
        let mut connection = self.client.get_connection()?;
        let mut last = from.to_owned();
        let mut tail = Tail {
            read: 0,
            latency: latency::histogram(),
        };
        let mut over: Option<Instant> = None;
        loop {
            if shared.over.load(Ordering::Acquire) {
                let all =
                    shared.has_failed() || tail.read >= shared.appended.load(Ordering::Relaxed);
                if all || over.get_or_insert_with(Instant::now).elapsed() > PATIENCE {
                    return Ok(tail);
                }
            }
            let mut read = redis::cmd("XREAD");
            read.arg("COUNT").arg(PAGE).arg("BLOCK").arg(BLOCK_MS);
            read.arg("STREAMS").arg(&self.key).arg(&last);
            let answer: Value = read.query(&mut connection)?;
            let Some(entries) = entries_of(&answer) else {
                continue;
            };
            let now = stamp::now();
            for entry in entries {
                let sent = due_of(entry).ok_or_else(unexpected)?;
                tail.latency.saturating_record(now.saturating_sub(sent));
            }
            tail.read += entries.len() as u64;
            shared.read[number].store(tail.read, Ordering::Relaxed);
            if let Some(entry) = entries.last() {
                last = id_of(entry).ok_or_else(unexpected)?;
            }
        }
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        // If the log is gone, so is the key, or it expires.
        let _ = self.client.get_connection().and_then(|mut connection| {
            let mut delete = redis::cmd("DEL");
            delete.arg(&self.key).exec(&mut connection)
        });
    }
}

fn joined<T>(thread: thread::ScopedJoinHandle<'_, RedisResult<T>>) -> RedisResult<T> {
    thread.join().unwrap_or_else(|_| Err(unexpected()))
}

fn unexpected() -> RedisError {
    RedisError::from((
        ErrorKind::UnexpectedReturnType,
        "the answer is not that of a stream",
    ))
}

fn as_array(value: &Value) -> Option<&[Value]> {
    match value {
        Value::Array(values) => Some(values),
        _ => None,
    }
}

fn as_bytes(value: &Value) -> Option<&[u8]> {
    match value {
        Value::BulkString(bytes) => Some(bytes),
        _ => None,
    }
}

/// The entries of an answer to `XREAD` of one key; none if nothing came.
fn entries_of(answer: &Value) -> Option<&[Value]> {
    let key = as_array(answer)?.first()?;
    as_array(as_array(key)?.get(1)?)
}

fn id_of(entry: &Value) -> Option<String> {
    let id = as_bytes(as_array(entry)?.first()?)?;
    String::from_utf8(id.to_vec()).ok()
}

/// When the entry was due: its data has a stamp.
fn due_of(entry: &Value) -> Option<u64> {
    let fields = as_array(as_array(entry)?.get(1)?)?;
    let stamps = fields.iter().filter_map(as_bytes).filter_map(Stamp::find);
    stamps.map(|stamp| stamp.sent).next()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bulk(text: &str) -> Value {
        Value::BulkString(text.as_bytes().to_vec())
    }

    #[test]
    fn entries_are_found_in_an_answer() {
        let stamp = Stamp {
            run: 0,
            topic: 0,
            number: 1,
            sent: 77,
        };
        let fields = ["topic", "t", "data", &stamp.data(64), "t", "0.1"].map(bulk);
        let entry = Value::Array(vec![bulk("5-1"), Value::Array(fields.into())]);
        let key = Value::Array(vec![bulk("key"), Value::Array(vec![entry])]);
        let answer = Value::Array(vec![key]);
        let entries = entries_of(&answer).expect("entries");
        assert_eq!(id_of(&entries[0]).as_deref(), Some("5-1"));
        assert_eq!(due_of(&entries[0]), Some(77));
        assert!(entries_of(&Value::Nil).is_none());
    }
}
