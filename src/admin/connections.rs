//! Who is connected to the admin listener, and who goes when one more comes.
//!
//! A health check must be answered whatever holds the other places: connections that ask for nothing give way, the one first that has been quiet for
//! longest. One that is being answered never does, nor one that has only just come and may be about to ask.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep};

/// A connection that has been quiet for so long gives way. Less would cut those whose request is on its way.
const QUIET_MIN: Duration = Duration::from_millis(100);

/// Time until connections are looked at again while one more waits.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// The open connections.
pub(super) struct Connections {
    places: Arc<Semaphore>,
    seats: Arc<Mutex<Vec<Arc<Seat>>>>,
}

/// What is known of one connection.
struct Seat {
    /// Requests that are being answered: one or none.
    asking: AtomicUsize,
    asked: AtomicBool,
    /// When it came, or was last answered.
    last: Mutex<Instant>,
    leaving: AtomicBool,
    leave: Notify,
}

/// The place of one connection, given back on drop.
pub(super) struct Place {
    _permit: OwnedSemaphorePermit,
    seats: Arc<Mutex<Vec<Arc<Seat>>>>,
    seat: Arc<Seat>,
}

impl Connections {
    /// None yet, and at most `max`.
    pub(super) fn new(max: usize) -> Self {
        Self {
            places: Arc::new(Semaphore::new(max)),
            seats: Arc::default(),
        }
    }

    /// A place for one more connection, as soon as there is one.
    pub(super) async fn enter(&self) -> io::Result<Place> {
        let permit = loop {
            let place = Arc::clone(&self.places).acquire_owned();
            tokio::select! {
                biased;
                // Nobody closes the semaphore.
                permit = place => break permit.map_err(io::Error::other)?,
                () = self.make_room() => {}
            }
        };
        let seat = Arc::new(Seat {
            asking: AtomicUsize::new(0),
            asked: AtomicBool::new(false),
            last: Mutex::new(Instant::now()),
            leaving: AtomicBool::new(false),
            leave: Notify::new(),
        });
        self.seats.lock().push(Arc::clone(&seat));
        Ok(Place {
            _permit: permit,
            seats: Arc::clone(&self.seats),
            seat,
        })
    }

    /// Asks one to leave, unless one is about to, and gives it time.
    async fn make_room(&self) {
        self.evict(Instant::now());
        sleep(LOOK_AGAIN).await;
    }

    /// Asks the connection to leave that has been quiet for longest, if any has been for long.
    fn evict(&self, now: Instant) {
        let seats = self.seats.lock();
        if seats
            .iter()
            .any(|seat| seat.leaving.load(Ordering::Relaxed))
        {
            return;
        }
        let quiet = seats.iter().filter_map(|seat| {
            let last = *seat.last.lock();
            let quiet = seat.asking.load(Ordering::Relaxed) == 0 && now >= last + QUIET_MIN;
            quiet.then_some((last, seat))
        });
        if let Some((_, seat)) = quiet.min_by_key(|(last, _)| *last) {
            seat.leaving.store(true, Ordering::Relaxed);
            seat.leave.notify_one();
        }
    }
}

impl Place {
    /// Notes that a request is answered as long as what is returned lives.
    pub(super) fn ask(&self) -> Asking<'_> {
        self.seat.asking.fetch_add(1, Ordering::Relaxed);
        self.seat.asked.store(true, Ordering::Relaxed);
        Asking(self)
    }

    /// Whether it ever asked for anything.
    pub(super) fn has_asked(&self) -> bool {
        self.seat.asked.load(Ordering::Relaxed)
    }

    /// Waits until the place is needed for another.
    pub(super) async fn evicted(&self) {
        self.seat.leave.notified().await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut seats = self.seats.lock();
        if let Some(index) = seats.iter().position(|seat| Arc::ptr_eq(seat, &self.seat)) {
            seats.swap_remove(index);
        }
    }
}

/// A request that is being answered.
pub(super) struct Asking<'p>(&'p Place);

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        let seat = &self.0.seat;
        *seat.last.lock() = Instant::now();
        seat.asking.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_one_that_is_quiet_for_longest_gives_way_and_none_that_is_answered_does() {
        let connections = Connections::new(3);
        let place = async || connections.enter().await.expect("open");
        let (first, second, third) = (place().await, place().await, place().await);
        drop(first.ask());
        let asking = second.ask();
        let now = Instant::now();
        let left = |place: &Place| place.seat.leaving.load(Ordering::Relaxed);
        let all = || [&first, &second, &third].map(left);
        connections.evict(now);
        assert_eq!(all(), [false; 3], "they have only just come");
        connections.evict(now + QUIET_MIN * 2);
        assert_eq!(all(), [false, false, true]);
        connections.evict(now + QUIET_MIN * 2);
        assert_eq!(all(), [false, false, true], "one is enough for one more");
        third.evicted().await;
        drop(third);
        let third = place().await;
        connections.evict(Instant::now() + QUIET_MIN * 2);
        assert_eq!([&first, &second, &third].map(left), [true, false, false]);
        first.evicted().await;
        assert!(first.has_asked() && !third.has_asked());
        drop((first, asking));
        connections.evict(Instant::now() + QUIET_MIN * 2);
        assert_eq!([&second, &third].map(left), [false, true]);
        drop((second, third));
        assert!(connections.seats.lock().is_empty());
    }
}
