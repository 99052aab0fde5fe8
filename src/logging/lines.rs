//! Writes log lines to standard error; no caller ever waits for it.
//!
//! Lines are queued, and one thread writes them. A line is dropped and counted if the queue is
//! full, or if the system refuses it (a closed pipe, a full disk). Must never panic, never write
//! anywhere else, and never return an error to the code that logs: `tracing-subscriber` would
//! report it with `eprintln!`, which panics if standard error is broken.

use std::collections::VecDeque;
use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use crate::backoff;
use crate::once_a_minute::OnceAMinute;

/// Name of the thread that writes the lines.
pub(super) const WRITER_THREAD: &str = "fantail-log";

/// Longest wait until a full pipe is tried again; the poll normally ends earlier.
const RETRY_S: i64 = 1;
/// Pause before a failed write is repeated although the poll reported room: the thread must not
/// spin.
const RETRY_PAUSE: Duration = Duration::from_millis(5);

/// The queue of lines in front of one output.
#[derive(Debug)]
pub(super) struct Lines {
    state: Mutex<State>,
    /// Signalled when a line is queued.
    queued: Condvar,
    /// Signalled when nothing is queued and nothing is being written.
    settled: Condvar,
    bytes_max: usize,
    dropped: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    queue: VecDeque<Box<[u8]>>,
    /// Bytes in `queue`.
    bytes: usize,
    /// A line has been removed from the queue and is being written.
    writing: bool,
}

impl Lines {
    /// Starts the thread that writes to `out`. At most `bytes_max` bytes wait in the queue.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub(super) fn start(
        out: impl AsFd + Send + 'static,
        bytes_max: usize,
    ) -> io::Result<Arc<Self>> {
        let lines = Arc::new(Self {
            state: Mutex::default(),
            queued: Condvar::new(),
            settled: Condvar::new(),
            bytes_max,
            dropped: AtomicU64::new(0),
        });
        let writer = Writer {
            lines: Arc::clone(&lines),
            out,
            torn: false,
        };
        backoff::spawn(WRITER_THREAD, move || writer.run())?;
        Ok(lines)
    }

    /// Lines that were dropped so far.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    fn push(&self, line: &[u8]) {
        let mut state = self.state.lock();
        if state.bytes.saturating_add(line.len()) > self.bytes_max {
            self.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        state.bytes += line.len();
        state.queue.push_back(line.into());
        self.queued.notify_one();
    }

    fn pop(&self) -> Box<[u8]> {
        let mut state = self.state.lock();
        state.writing = false;
        loop {
            if let Some(line) = state.queue.pop_front() {
                state.bytes -= line.len();
                state.writing = true;
                return line;
            }
            self.settled.notify_all();
            self.queued.wait(&mut state);
        }
    }

    /// Waits until every queued line has been written or dropped, but no longer than `bound`.
    pub(super) fn flush(&self, bound: Duration) {
        let mut state = self.state.lock();
        let busy = |state: &mut State| state.writing || !state.queue.is_empty();
        let _late = self.settled.wait_while_for(&mut state, busy, bound);
    }
}

/// The destination of formatted lines; `tracing-subscriber` writes each line with one call.
#[derive(Clone, Debug)]
pub(super) struct LineSink(pub(super) Arc<Lines>);

impl io::Write for LineSink {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.push(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The thread's side.
struct Writer<O> {
    lines: Arc<Lines>,
    out: O,
    /// The last line was cut by an error. The next one must not continue it.
    torn: bool,
}

impl<O: AsFd> Writer<O> {
    fn run(mut self) {
        static RECOVERED: OnceAMinute = OnceAMinute::new();
        let mut reported = 0;
        loop {
            let line = self.lines.pop();
            if self.write(&line).is_err() {
                self.lines.dropped.fetch_add(1, Ordering::Relaxed);
                continue;
            }
            let dropped = self.lines.dropped();
            if dropped > reported && RECOVERED.due().is_some() {
                tracing::warn!(
                    lines = dropped - reported,
                    "log lines were dropped: standard error did not take them (`fantail_log_lines_dropped_total`)"
                );
                reported = dropped;
            }
        }
    }

    fn write(&mut self, line: &[u8]) -> Result<(), Errno> {
        if self.torn {
            self.write_all(b"\n")?;
            self.torn = false;
        }
        self.write_all(line)
    }

    fn write_all(&mut self, mut rest: &[u8]) -> Result<(), Errno> {
        let whole = rest.len();
        let mut polled = false;
        while !rest.is_empty() {
            match rustix::io::write(&self.out, rest) {
                Ok(0) => return Err(Errno::IO),
                Ok(written) => {
                    rest = &rest[written..];
                    polled = false;
                }
                Err(Errno::INTR) => {}
                // Another process with the same standard error has made it non-blocking.
                Err(Errno::AGAIN) => {
                    if polled {
                        thread::sleep(RETRY_PAUSE);
                    }
                    self.wait_for_room()?;
                    polled = true;
                }
                Err(error) => {
                    self.torn |= rest.len() < whole;
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    fn wait_for_room(&self) -> Result<(), Errno> {
        let mut fds = [PollFd::new(&self.out, PollFlags::OUT)];
        let retry = Timespec {
            tv_sec: RETRY_S,
            tv_nsec: 0,
        };
        match poll(&mut fds, Some(&retry)) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::{Read, Write};
    use std::time::Instant;

    use super::*;

    const BOUND: Duration = Duration::from_secs(30);

    fn sink(lines: &Arc<Lines>) -> LineSink {
        LineSink(Arc::clone(lines))
    }

    #[test]
    fn lines_come_out_whole_and_in_order() {
        let (mut reader, writer) = io::pipe().expect("a pipe");
        let lines = Lines::start(writer, 1 << 20).expect("a thread");
        for number in 0..100 {
            writeln!(sink(&lines), "{number}").expect("never an error");
        }
        lines.flush(BOUND);
        let mut read = [0; 290];
        reader.read_exact(&mut read).expect("100 lines");
        let expected: String = (0..100).map(|number| format!("{number}\n")).collect();
        assert_eq!(String::from_utf8_lossy(&read), expected);
        assert_eq!(lines.dropped(), 0);
    }

    #[test]
    fn a_line_that_is_written_makes_room_for_another() {
        let null = File::options().write(true).open("/dev/null").expect("it");
        let lines = Lines::start(null, 1_024).expect("a thread");
        for _ in 0..100 {
            sink(&lines).write_all(&[b'x'; 1_000]).expect("it");
            lines.flush(BOUND);
        }
        assert_eq!(lines.dropped(), 0);
    }

    #[test]
    fn what_a_closed_pipe_or_a_full_disk_refuses_is_dropped_and_counted() {
        let (reader, writer) = io::pipe().expect("a pipe");
        drop(reader);
        let full = File::options().write(true).open("/dev/full").expect("it");
        for lines in [
            Lines::start(writer, 1 << 20).expect("a thread"),
            Lines::start(full, 1 << 20).expect("a thread"),
        ] {
            for _ in 0..10 {
                sink(&lines).write_all(b"x\n").expect("never an error");
            }
            lines.flush(BOUND);
            assert_eq!(lines.dropped(), 10);
        }
    }

    #[test]
    fn a_reader_that_never_reads_stops_nobody() {
        let (mut reader, writer) = io::pipe().expect("a pipe");
        let lines = Lines::start(writer, 4_096).expect("a thread");
        // More than the pipe and the queue hold together.
        let line = [b'x'; 1_024];
        for _ in 0..2_000 {
            sink(&lines).write_all(&line).expect("never an error");
        }
        wait_until(|| lines.dropped() > 1_000);
        let began = Instant::now();
        lines.flush(Duration::from_millis(10));
        assert!(began.elapsed() < BOUND, "a flush is bounded");
        // Every line that was not dropped arrives once the pipe is read.
        let left = (2_000 - lines.dropped()) as usize * line.len();
        let mut read = vec![0; left];
        reader.read_exact(&mut read).expect("the rest");
    }

    #[test]
    fn a_standard_error_that_another_made_non_blocking_loses_nothing() {
        let (mut reader, writer) = io::pipe().expect("a pipe");
        rustix::io::ioctl_fionbio(&writer, true).expect("a pipe");
        let lines = Lines::start(writer, 16 << 20).expect("a thread");
        for _ in 0..1_000 {
            sink(&lines).write_all(&[b'x'; 1_000]).expect("it");
        }
        let mut read = vec![0; 1_000_000];
        reader.read_exact(&mut read).expect("all of it");
        assert_eq!(lines.dropped(), 0);
    }

    #[test]
    fn the_line_behind_a_torn_one_begins_anew() {
        let (mut reader, writer) = io::pipe().expect("a pipe");
        let mut writer = Writer {
            lines: Lines::start(File::open("/dev/null").expect("it"), 0).expect("a thread"),
            out: writer,
            torn: true,
        };
        writer.write(b"whole\n").expect("room");
        drop(writer);
        let mut read = String::new();
        reader.read_to_string(&mut read).expect("text");
        assert_eq!(read, "\nwhole\n");
    }

    #[test]
    fn a_line_that_was_cut_is_noticed() {
        let (mut reader, writer) = io::pipe().expect("a pipe");
        let mut writer = Writer {
            lines: Lines::start(File::open("/dev/null").expect("it"), 0).expect("a thread"),
            out: writer,
            torn: false,
        };
        let cut = thread::spawn(move || {
            // More than a pipe holds.
            let error = writer.write(&vec![b'x'; 4 << 20]).expect_err("closed");
            (error, writer.torn)
        });
        reader.read_exact(&mut [0]).expect("its start");
        drop(reader);
        assert_eq!(cut.join().expect("no panic"), (Errno::PIPE, true));
    }

    fn wait_until(mut condition: impl FnMut() -> bool) {
        let end = Instant::now() + BOUND;
        while !condition() {
            assert!(Instant::now() < end, "waited in vain");
            thread::yield_now();
        }
    }
}
