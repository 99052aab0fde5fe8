//! Orders to a listener: serve, freeze, stop.
//!
//! The node has the [`Control`] of a listener, and the listener has its [`Follower`]; the
//! listener's connections have [`Orders`]. A frozen listener puts its socket and its connections
//! into a slot. From there they go back to it (thaw), or to another listener (release). They must
//! never be in two places, and dropping the control must stop the listener.
//!
//! Publishers wait while a listener is frozen. So before the freeze the node waits for the requests
//! in hand while everything is served ([`Control::settle`]), and the freeze itself is short.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use thiserror::Error;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

/// Longest time for requests in hand to be answered before a freeze, while others are served.
pub const SETTLE_MAX: Duration = Duration::from_secs(2);

/// Longest time for a listener to come to rest once it is told to freeze. Publishers wait meanwhile.
pub const FREEZE_MAX: Duration = Duration::from_millis(300);

/// Interval at which the requests in hand are counted.
const COUNT_EVERY: Duration = Duration::from_millis(2);

/// An order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Accept and serve.
    Serve,
    /// Accept nothing. Finish what is begun, and put every connection aside that can be moved.
    Freeze,
    /// Accept nothing, finish what is begun, and end.
    Stop,
}

/// The listener has ended, or ended while it froze.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the listener has ended")]
pub struct Ended;

/// Requests in hand, in two counts: those that have begun before a moment can be waited for while
/// new ones enter the other count.
#[derive(Debug, Default)]
struct Hands {
    counts: [AtomicUsize; 2],
    /// Number of moments so far. Its last bit is the count that new requests enter.
    moment: AtomicUsize,
}

impl Hands {
    /// A new moment; returns the count of the requests that have begun before.
    fn mark(&self) -> &AtomicUsize {
        &self.counts[self.moment.fetch_add(1, Ordering::Relaxed) & 1]
    }
}

/// A request in hand. Dropping it ends it.
#[derive(Debug)]
pub struct Hand {
    hands: Arc<Hands>,
    count: usize,
}

impl Drop for Hand {
    fn drop(&mut self) {
        self.hands.counts[self.count].fetch_sub(1, Ordering::Relaxed);
    }
}

/// The current order, as a connection sees it.
#[derive(Clone, Debug)]
pub struct Orders {
    orders: watch::Receiver<Order>,
    hands: Arc<Hands>,
}

impl Orders {
    /// The current order.
    #[must_use]
    pub fn current(&self) -> Order {
        *self.orders.borrow()
    }

    /// Begins a request.
    #[must_use]
    pub fn begin(&self) -> Hand {
        let count = self.hands.moment.load(Ordering::Relaxed) & 1;
        self.hands.counts[count].fetch_add(1, Ordering::Relaxed);
        Hand {
            hands: Arc::clone(&self.hands),
            count,
        }
    }

    /// Waits for an order other than [`Order::Serve`].
    pub async fn interrupted(&mut self) -> Order {
        self.unlike(Order::Serve).await
    }

    /// Waits, in a freeze, for its end.
    pub async fn thawed(&mut self) -> Order {
        self.unlike(Order::Freeze).await
    }

    /// Waits for [`Order::Stop`].
    pub async fn stopped(&mut self) {
        let _stop_or_gone = self.orders.wait_for(|order| *order == Order::Stop).await;
    }

    async fn unlike(&mut self, unlike: Order) -> Order {
        let order = self.orders.wait_for(|order| *order != unlike).await;
        order.map_or(Order::Stop, |order| *order)
    }
}

/// Makes a listener's two ends. `L` is what a frozen listener consists of.
#[must_use]
pub fn control<L>() -> (Control<L>, Follower<L>) {
    let (orders, followed) = watch::channel(Order::Serve);
    let (report, frozen) = watch::channel(false);
    let slot = Arc::new(Mutex::new(None));
    let hands = Arc::new(Hands::default());
    let control = Control {
        orders,
        frozen,
        slot: Arc::clone(&slot),
        hands: Arc::clone(&hands),
    };
    let follower = Follower {
        orders: Orders {
            orders: followed,
            hands,
        },
        frozen: report,
        slot,
    };
    (control, follower)
}

/// The node's end. Dropping it stops the listener.
#[derive(Debug)]
pub struct Control<L> {
    orders: watch::Sender<Order>,
    frozen: watch::Receiver<bool>,
    slot: Arc<Mutex<Option<L>>>,
    hands: Arc<Hands>,
}

impl<L> Control<L> {
    /// Waits until every request that has begun before now has been answered, [`SETTLE_MAX`] at
    /// most. The listener serves as always. Call it for all listeners before the first is frozen:
    /// a slow request must not make the publishers of another listener wait.
    pub async fn settle(&self) {
        let begun_before = self.hands.mark();
        let deadline = Instant::now() + SETTLE_MAX;
        while begun_before.load(Ordering::Relaxed) > 0 && Instant::now() < deadline {
            sleep(COUNT_EVERY).await;
        }
    }

    /// Freezes the listener, and waits until it is frozen, some [`FREEZE_MAX`] at most. If the future is dropped before, the
    /// listener may be frozen or not: [`Control::thaw`] is right for both.
    ///
    /// # Errors
    /// [`Ended`]: the listener has stopped or failed.
    pub async fn freeze(&mut self) -> Result<(), Ended> {
        {
            // A listener that is about to thaw has thawed before this order, or sees it.
            let _slot = self.slot.lock();
            self.order(Order::Freeze);
        }
        if *self.orders.borrow() == Order::Stop {
            return Err(Ended);
        }
        let frozen = self.frozen.wait_for(|frozen| *frozen).await;
        frozen.map(drop).map_err(|_| Ended)
    }

    /// Reads the frozen listener; `None` if it is not frozen.
    pub fn frozen<T>(&self, read: impl FnOnce(&L) -> T) -> Option<T> {
        self.slot.lock().as_ref().map(read)
    }

    /// Makes the listener go on, with all that it was frozen with.
    pub fn thaw(&self) {
        self.order(Order::Serve);
    }

    /// Takes the frozen listener apart: the caller gets its socket and connections, and the
    /// listener ends. `None` if it is not frozen.
    pub fn release(&self) -> Option<L> {
        let listening = self.slot.lock().take();
        if listening.is_some() {
            self.stop();
        }
        listening
    }

    /// Stops the listener. This is final.
    pub fn stop(&self) {
        self.order(Order::Stop);
    }

    fn order(&self, next: Order) {
        self.orders.send_if_modified(|order| {
            let changes = *order != Order::Stop && *order != next;
            if changes {
                *order = next;
            }
            changes
        });
    }
}

impl<L> Drop for Control<L> {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The listener's end.
#[derive(Debug)]
pub struct Follower<L> {
    orders: Orders,
    frozen: watch::Sender<bool>,
    slot: Arc<Mutex<Option<L>>>,
}

impl<L> Follower<L> {
    /// The orders, for the listener and its connections.
    #[must_use]
    pub fn orders(&self) -> Orders {
        self.orders.clone()
    }

    /// Reports that the listener is frozen, with `listening` as all that it consists of. Waits for
    /// the end of the freeze and returns it; `None` if it was released.
    pub async fn rest(&mut self, listening: L) -> Option<L> {
        *self.slot.lock() = Some(listening);
        self.frozen.send_replace(true);
        loop {
            self.orders.thawed().await;
            let mut slot = self.slot.lock();
            if self.orders.current() != Order::Freeze {
                self.frozen.send_replace(false);
                return slot.take();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A listener that consists of a number, and adds one with each freeze.
    async fn follow(mut follower: Follower<u32>) -> Option<u32> {
        let mut number = 0;
        let mut orders = follower.orders();
        while orders.interrupted().await == Order::Freeze {
            number = follower.rest(number + 1).await?;
        }
        Some(number)
    }

    #[tokio::test]
    async fn a_listener_that_thaws_has_all_that_it_was_frozen_with() {
        let (mut control, follower) = control();
        let listener = tokio::spawn(follow(follower));
        for freeze in 1..=3 {
            control.freeze().await.expect("it follows");
            assert_eq!(control.frozen(|number| *number), Some(freeze));
            control.thaw();
            while control.frozen(|_| ()).is_some() {
                tokio::task::yield_now().await;
            }
        }
        control.stop();
        assert_eq!(listener.await.expect("no panic"), Some(3));
        assert_eq!(control.freeze().await, Err(Ended));
    }

    /// A freeze took the report of the one before for its own, and the listener was not there.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_freeze_right_behind_a_thaw_finds_the_listener_frozen() {
        let (mut control, follower) = control();
        let listener = tokio::spawn(follow(follower));
        for _ in 0..2_000 {
            control.freeze().await.expect("it follows");
            assert!(control.frozen(|_| ()).is_some());
            control.thaw();
        }
        control.stop();
        listener.await.expect("no panic").expect("not released");
    }

    #[tokio::test]
    async fn a_listener_is_released_once_and_ends() {
        let (mut control, follower) = control();
        let listener = tokio::spawn(follow(follower));
        assert_eq!(control.release(), None, "it is not frozen");
        control.freeze().await.expect("it follows");
        assert_eq!(control.release(), Some(1));
        assert_eq!(control.release(), None);
        assert_eq!(listener.await.expect("no panic"), None);
    }

    #[tokio::test]
    async fn requests_that_begin_later_are_not_waited_for_and_slow_ones_not_for_long() {
        let (control, follower) = control::<u32>();
        let orders = follower.orders();
        let started = Instant::now();
        control.settle().await;
        assert!(started.elapsed() < SETTLE_MAX, "nothing is in hand");
        let before = orders.begin();
        let mut settle = std::pin::pin!(control.settle());
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(settle.as_mut().poll(&mut cx).is_pending());
        let later = orders.begin();
        drop(before);
        settle.await;
        assert!(started.elapsed() < SETTLE_MAX);
        control.settle().await;
        assert!(
            started.elapsed() >= SETTLE_MAX,
            "{later:?} is never answered"
        );
        drop(later);
        let counts = &control.hands.counts;
        assert!(
            counts
                .iter()
                .all(|count| count.load(Ordering::Relaxed) == 0)
        );
    }

    #[tokio::test]
    async fn a_freeze_that_is_given_up_can_be_thawed() {
        let (mut control, follower) = control();
        let listener = tokio::spawn(follow(follower));
        {
            let freeze = std::pin::pin!(control.freeze());
            let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
            assert!(freeze.poll(&mut cx).is_pending());
        }
        control.thaw();
        control.freeze().await.expect("it follows");
        control.thaw();
        control.stop();
        let frozen = listener.await.expect("no panic");
        assert!(frozen.is_some_and(|freezes| freezes <= 2), "{frozen:?}");
    }

    #[tokio::test]
    async fn a_dropped_control_stops_its_listener_frozen_or_not() {
        let (control, follower) = control::<u32>();
        let listener = tokio::spawn(follow(follower));
        drop(control);
        assert_eq!(listener.await.expect("no panic"), Some(0));
        let (mut control, follower) = self::control();
        let listener = tokio::spawn(follow(follower));
        control.freeze().await.expect("it follows");
        drop(control);
        assert_eq!(listener.await.expect("no panic"), Some(1));
    }

    #[tokio::test]
    async fn a_freeze_fails_when_the_listener_has_ended_by_itself() {
        let (mut control, follower) = control::<u32>();
        drop(follower);
        assert_eq!(control.freeze().await, Err(Ended));
    }
}
