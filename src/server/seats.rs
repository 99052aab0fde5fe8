//! Seats of a listener on which connections give way to new ones.
//!
//! A health check must be answered whatever occupies the other places. Connections without an open
//! request give way, the longest quiet one first. A connection whose request is being answered
//! never gives way, nor does a new one that may be about to send a request.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep, sleep_until};

/// Time until the connections are checked again while a new one waits.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// The open connections.
pub(super) struct Seats {
    free: Arc<Semaphore>,
    quiet_min: Duration,
    life_max: Duration,
    taken: Arc<Mutex<Vec<Arc<Seat>>>>,
}

/// The state of one connection.
pub(super) struct Seat {
    /// Requests that are being answered: 0 or 1.
    asking: AtomicUsize,
    /// Time at which it was accepted, or last answered.
    last: Mutex<Instant>,
    leaving: AtomicBool,
    leave: Notify,
    /// Time at which it is asked to end, whatever it does.
    until: Instant,
}

/// One connection's seat. Dropping it frees the seat.
pub(super) struct Sitting {
    /// `None` for a connection that was carried to a listener with fewer seats.
    _permit: Option<OwnedSemaphorePermit>,
    taken: Arc<Mutex<Vec<Arc<Seat>>>>,
    seat: Arc<Seat>,
}

impl Seats {
    /// At most `max` seats, each for `life_max` at most. A connection that has been quiet for
    /// `quiet_min` gives way.
    pub(super) fn new(max: usize, quiet_min: Duration, life_max: Duration) -> Self {
        Self {
            free: Arc::new(Semaphore::new(max)),
            quiet_min,
            life_max,
            taken: Arc::default(),
        }
    }

    /// Waits for a seat for one more connection.
    pub(super) async fn enter(&self) -> Sitting {
        let permit = loop {
            let free = Arc::clone(&self.free).acquire_owned();
            tokio::select! {
                biased;
                // The semaphore is never closed.
                Ok(permit) = free => break permit,
                () = self.make_room() => {}
            }
        };
        self.sit(Some(permit))
    }

    /// A seat for a connection that was accepted elsewhere, also if none is free.
    pub(super) fn adopt(&self) -> Sitting {
        self.sit(Arc::clone(&self.free).try_acquire_owned().ok())
    }

    fn sit(&self, permit: Option<OwnedSemaphorePermit>) -> Sitting {
        let now = Instant::now();
        let seat = Arc::new(Seat {
            asking: AtomicUsize::new(0),
            last: Mutex::new(now),
            leaving: AtomicBool::new(false),
            leave: Notify::new(),
            until: now + self.life_max,
        });
        self.taken.lock().push(Arc::clone(&seat));
        Sitting {
            _permit: permit,
            taken: Arc::clone(&self.taken),
            seat,
        }
    }

    /// Asks one connection to leave, unless one is about to, and waits a while.
    async fn make_room(&self) {
        self.evict(Instant::now());
        sleep(LOOK_AGAIN).await;
    }

    /// Asks the connection to leave that has been quiet for longest, if that is long enough.
    fn evict(&self, now: Instant) {
        let taken = self.taken.lock();
        if taken
            .iter()
            .any(|seat| seat.leaving.load(Ordering::Relaxed))
        {
            return;
        }
        let quiet = taken.iter().filter_map(|seat| {
            let last = *seat.last.lock();
            let quiet = seat.asking.load(Ordering::Relaxed) == 0 && now >= last + self.quiet_min;
            quiet.then_some((last, seat))
        });
        if let Some((_, seat)) = quiet.min_by_key(|(last, _)| *last) {
            seat.leaving.store(true, Ordering::Relaxed);
            seat.leave.notify_one();
        }
    }
}

impl Seat {
    /// Marks a request as being answered as long as the returned value lives.
    pub(super) fn ask(self: &Arc<Self>) -> Asking {
        self.asking.fetch_add(1, Ordering::Relaxed);
        Asking(Arc::clone(self))
    }

    /// Waits until the connection must end: its seat is needed for another, or its time is over.
    pub(super) async fn is_over(&self) {
        tokio::select! {
            () = self.leave.notified() => {}
            () = sleep_until(self.until) => {}
        }
    }
}

impl Sitting {
    pub(super) fn seat(&self) -> &Arc<Seat> {
        &self.seat
    }
}

impl Drop for Sitting {
    fn drop(&mut self) {
        let mut taken = self.taken.lock();
        if let Some(index) = taken.iter().position(|seat| Arc::ptr_eq(seat, &self.seat)) {
            taken.swap_remove(index);
        }
    }
}

/// A request that is being answered.
pub(super) struct Asking(Arc<Seat>);

impl Drop for Asking {
    fn drop(&mut self) {
        let Self(seat) = self;
        *seat.last.lock() = Instant::now();
        seat.asking.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Waker};

    use super::*;

    const QUIET_MIN: Duration = Duration::from_millis(100);
    const LIFE: Duration = Duration::from_secs(300);

    #[tokio::test]
    async fn the_one_that_is_quiet_for_longest_gives_way_and_none_that_is_answered_does() {
        let seats = Seats::new(3, QUIET_MIN, LIFE);
        let (first, second, third) = (
            seats.enter().await,
            seats.enter().await,
            seats.enter().await,
        );
        drop(first.seat.ask());
        let asking = second.seat.ask();
        let now = Instant::now();
        let left = |sitting: &Sitting| sitting.seat.leaving.load(Ordering::Relaxed);
        let leaving = || [&first, &second, &third].map(left);
        seats.evict(now);
        assert_eq!(leaving(), [false; 3], "they have only just come");
        seats.evict(now + QUIET_MIN * 2);
        assert_eq!(leaving(), [false, false, true]);
        seats.evict(now + QUIET_MIN * 2);
        assert_eq!(
            leaving(),
            [false, false, true],
            "one is enough for one more"
        );
        third.seat.is_over().await;
        drop(third);
        let third = seats.enter().await;
        seats.evict(Instant::now() + QUIET_MIN * 2);
        assert_eq!([&first, &second, &third].map(left), [true, false, false]);
        first.seat.is_over().await;
        drop((first, asking));
        seats.evict(Instant::now() + QUIET_MIN * 2);
        assert_eq!([&second, &third].map(left), [false, true]);
        drop((second, third));
        assert!(seats.taken.lock().is_empty());
    }

    #[tokio::test]
    async fn a_seat_is_kept_for_so_long_and_no_longer() {
        let sitting = Seats::new(1, QUIET_MIN, LIFE).enter().await;
        let mut is_over = pin!(sitting.seat.is_over());
        let mut cx = Context::from_waker(Waker::noop());
        assert!(is_over.as_mut().poll(&mut cx).is_pending());
        let sitting = Seats::new(1, QUIET_MIN, Duration::ZERO).enter().await;
        sitting.seat.is_over().await;
    }
}
