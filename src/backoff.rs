//! The pauses between attempts that fail.
//!
//! A program that takes over cannot go back. So a start waits for a moment if the system is short of
//! something ([`outlast`]): giving up would cost all streams.

use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rustix::io::Errno;

/// Longest wait for something that the system is short of. Publishers and streams wait, too.
const SHORTAGE_MAX: Duration = Duration::from_secs(1);

/// A pause that doubles with each failure in a row.
#[derive(Debug)]
pub(crate) struct Backoff {
    min: Duration,
    max: Duration,
    /// The last pause; `None` if the last attempt succeeded.
    pause: Option<Duration>,
}

impl Backoff {
    /// For `accept`, which fails when the system is out of descriptors or memory: long enough not to
    /// spin, and no client waits longer than a second once there are some again.
    pub(crate) const ACCEPT: Self = Self::new(Duration::from_millis(5), Duration::from_secs(1));

    /// For a start that the system is short of something for.
    const SHORTAGE: Self = Self::new(Duration::from_millis(1), Duration::from_millis(100));

    pub(crate) const fn new(min: Duration, max: Duration) -> Self {
        Self {
            min,
            max,
            pause: None,
        }
    }

    /// Notes a failure; returns the pause before the next attempt.
    pub(crate) fn failed(&mut self) -> Duration {
        let pause = self.pause.map_or(self.min, |last| (last * 2).min(self.max));
        self.pause = Some(pause);
        pause
    }

    /// Notes a success; returns whether it ends a series of failures.
    pub(crate) fn succeeded(&mut self) -> bool {
        self.pause.take().is_some()
    }
}

/// Repeats a call as long as the system is short of descriptors, threads or memory, but no longer
/// than a second. Blocks.
pub(crate) fn outlast<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    let (began, mut backoff) = (Instant::now(), Backoff::SHORTAGE);
    loop {
        match call() {
            Err(error) if may_pass(&error, began) => thread::sleep(backoff.failed()),
            result => return result,
        }
    }
}

/// The same for a task.
pub(crate) async fn outlast_in_task<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    let (began, mut backoff) = (Instant::now(), Backoff::SHORTAGE);
    loop {
        match call() {
            Err(error) if may_pass(&error, began) => tokio::time::sleep(backoff.failed()).await,
            result => return result,
        }
    }
}

/// Starts a thread, and outlasts a shortage of threads.
pub(crate) fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    // A start that fails drops what it was to run.
    let kept = Arc::new(Mutex::new(Some(run)));
    outlast(|| {
        let kept = Arc::clone(&kept);
        thread::Builder::new().name(name.to_owned()).spawn(move || {
            let run = kept.lock().take();
            if let Some(run) = run {
                run();
            }
        })
    })
}

fn may_pass(error: &io::Error, began: Instant) -> bool {
    let is_shortage = matches!(
        Errno::from_io_error(error),
        Some(
            Errno::INTR
                | Errno::AGAIN
                | Errno::MFILE
                | Errno::NFILE
                | Errno::NOMEM
                | Errno::NOBUFS
                | Errno::NOSPC
        )
    );
    is_shortage && began.elapsed() < SHORTAGE_MAX
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failing(times: usize, error: Errno) -> impl FnMut() -> io::Result<usize> {
        let mut calls = 0;
        move || {
            calls += 1;
            if calls > times {
                Ok(calls)
            } else {
                Err(error.into())
            }
        }
    }

    #[tokio::test]
    async fn a_shortage_that_passes_is_outlasted_and_nothing_else() {
        assert_eq!(outlast(failing(3, Errno::MFILE)).expect("it passed"), 4);
        let task = outlast_in_task(failing(3, Errno::NOMEM)).await;
        assert_eq!(task.expect("it passed"), 4);
        let began = Instant::now();
        assert!(outlast(failing(1, Errno::PERM)).is_err());
        assert!(outlast_in_task(failing(1, Errno::INVAL)).await.is_err());
        assert!(began.elapsed() < SHORTAGE_MAX);
        let lasting = outlast(failing(usize::MAX, Errno::AGAIN));
        assert_eq!(
            lasting.expect_err("too long").kind(),
            io::ErrorKind::WouldBlock
        );
        assert!(began.elapsed() >= SHORTAGE_MAX);
    }

    #[test]
    fn pauses_double_up_to_a_bound_and_start_again() {
        let mut backoff = Backoff::ACCEPT;
        let pauses: Vec<_> = (0..20).map(|_| backoff.failed().as_millis()).collect();
        assert_eq!(pauses[..4], [5, 10, 20, 40]);
        assert_eq!(pauses[7..10], [640, 1_000, 1_000]);
        assert_eq!(pauses[19], 1_000);
        assert!(backoff.succeeded());
        assert!(!backoff.succeeded());
        assert_eq!(backoff.failed().as_millis(), 5);
    }
}
