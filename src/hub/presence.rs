//! Who is there: the subscriptions of streams that ask to be announced, and the events that tell of their start and end.
//!
//! A stream is entered and its start queued under the store's lock, just before its shard learns of it; its end is queued by whoever drops its
//! `Guard`, on whatever thread. One task ([`Presence::announce`]) publishes the queue in its order, so a start comes before its end and each
//! comes once. A stream that ends before its start was told, and that no list had, is never told of: nobody knew it. Nothing here may wait,
//! publish or take the store's lock while the registry's own lock is held.
//!
//! What is held is bounded by the open streams, and by 65,536 starts and ends that wait to be told: beyond, no stream that would be
//! announced is opened. How much is told is bounded by `allowance`.

mod allowance;
mod announce;
mod document;

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use thiserror::Error;
use tokio::sync::Notify;
use uuid::Uuid;

use crate::selector::Selector;

pub use document::{CONTEXT, Document, SUBSCRIPTIONS_PATH, subscription_path, topic_path};

use document::URN_PREFIX;

/// Most subscriptions of a stream that is announced: each is an event when it starts and one when it ends.
pub const SUBSCRIPTIONS_PER_STREAM_MAX: usize = 100;

/// Starts and ends that may wait to be told.
const BACKLOG_MAX: usize = 65_536;

/// Subscriptions looked at while the registry is locked once, and one stream's more or less: some 50 µs. Whoever opens a stream waits for it under the
/// store's lock.
const LIST_SUBSCRIPTIONS: usize = 2_048;

/// The registry. Cheap to clone.
#[derive(Clone, Default)]
pub struct Presence(Arc<Shared>);

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    /// Told when there is something to announce, or nothing ever will be.
    work: Notify,
}

#[derive(Default)]
struct State {
    /// In the order in which they came.
    streams: BTreeMap<u64, Arc<Subscriber>>,
    numbers: HashMap<Uuid, u64>,
    next_number: u64,
    /// In the order in which they are told. A start has its stream's number.
    queue: BTreeMap<u64, Change>,
    closed: bool,
}

struct Change {
    subscriber: Arc<Subscriber>,
    active: bool,
}

/// A stream as others see it.
struct Subscriber {
    id: Uuid,
    selectors: Box<[Selector]>,
    payload: Option<Arc<str>>,
    /// Somebody was shown it, and has to be told of its end.
    shown: AtomicBool,
}

/// Too many starts and ends are waiting to be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("{BACKLOG_MAX} starts and ends of subscriptions are waiting to be announced")]
pub struct Backlog;

/// A stream whose start and end are to be announced.
pub struct Pending {
    shared: Arc<Shared>,
    subscriber: Subscriber,
}

/// Dropped with its stream, however that ends.
pub(crate) struct Guard {
    shared: Arc<Shared>,
    number: u64,
}

/// One subscription: a stream and one of the selectors that it subscribes to.
#[derive(Clone, Debug)]
pub struct Subscription {
    subscriber: Arc<Subscriber>,
    selector: usize,
}

/// Some of the subscriptions.
#[derive(Debug, Default)]
pub struct Page {
    /// In the order in which their streams came.
    pub subscriptions: Vec<Subscription>,
    /// Where to go on; `None` at the end.
    pub next: Option<u64>,
}

impl Presence {
    /// Prepares a stream that will be announced when it begins.
    ///
    /// # Errors
    /// [`Backlog`] when too much is waiting to be told.
    pub fn pending(
        &self,
        selectors: &[Selector],
        payload: Option<Arc<str>>,
    ) -> Result<Pending, Backlog> {
        if self.0.state.lock().queue.len() >= BACKLOG_MAX {
            return Err(Backlog);
        }
        Ok(Pending {
            shared: Arc::clone(&self.0),
            subscriber: Subscriber {
                id: Uuid::new_v4(),
                selectors: selectors.into(),
                payload,
                shown: AtomicBool::new(false),
            },
        })
    }

    /// The subscription with this selector of this subscriber (`urn:uuid:…`).
    #[must_use]
    pub fn get(&self, topic: &str, subscriber: &str) -> Option<Subscription> {
        let id: Uuid = subscriber.strip_prefix(URN_PREFIX)?.parse().ok()?;
        let state = self.0.state.lock();
        let subscriber = state.streams.get(state.numbers.get(&id)?)?;
        let selector = subscriber
            .selectors
            .iter()
            .position(|selector| selector.text() == topic)?;
        Some(Subscription::shown(subscriber, selector))
    }

    /// Subscriptions of streams that came after number `after`: all, or those with one selector; at least `count` of them unless there are
    /// fewer, and no more than one stream's beyond. Looks at a bounded number of subscriptions, so a page may have fewer although there is a next one.
    #[must_use]
    pub fn list(&self, topic: Option<&str>, after: Option<u64>, count: usize) -> Page {
        let mut page = Page::default();
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let state = self.0.state.lock();
        let streams = state.streams.range((from, Bound::Unbounded));
        let mut looked_at = 0;
        for (number, subscriber) in streams {
            looked_at += subscriber.selectors.len();
            let wanted = |selector: &Selector| topic.is_none_or(|topic| selector.text() == topic);
            let found = subscriber.selectors.iter().enumerate();
            page.subscriptions.extend(
                found
                    .filter(|(_, selector)| wanted(selector))
                    .map(|(selector, _)| Subscription::shown(subscriber, selector)),
            );
            if page.subscriptions.len() >= count || looked_at >= LIST_SUBSCRIPTIONS {
                page.next = Some(*number);
                break;
            }
        }
        let last = state.streams.last_key_value().map(|(number, _)| *number);
        page.next = page.next.filter(|next| Some(*next) != last);
        page
    }

    /// The hub takes no more events: whoever announces may end.
    pub(super) fn close(&self) {
        self.0.state.lock().closed = true;
        self.0.work.notify_one();
    }
}

impl Subscription {
    /// One that somebody asked for; under the registry's lock.
    fn shown(subscriber: &Arc<Subscriber>, selector: usize) -> Self {
        subscriber.shown.store(true, Ordering::Relaxed);
        Self {
            subscriber: Arc::clone(subscriber),
            selector,
        }
    }
}

impl State {
    /// The next place in the order, for a stream or for a change.
    fn number(&mut self) -> u64 {
        let number = self.next_number;
        self.next_number += 1;
        number
    }
}

impl Shared {
    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock());
        self.work.notify_one();
    }
}

impl Pending {
    /// The stream has begun; called under the store's lock, just before its shard learns of it.
    pub(crate) fn begin(self) -> Guard {
        let subscriber = Arc::new(self.subscriber);
        let mut number = 0;
        self.shared.change(|state| {
            number = state.number();
            state.numbers.insert(subscriber.id, number);
            state.streams.insert(number, Arc::clone(&subscriber));
            let active = true;
            state.queue.insert(number, Change { subscriber, active });
        });
        Guard {
            shared: self.shared,
            number,
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.shared.change(|state| {
            let Some(subscriber) = state.streams.remove(&self.number) else {
                return;
            };
            state.numbers.remove(&subscriber.id);
            // Nobody who missed its start can miss its end.
            let was_shown = subscriber.shown.load(Ordering::Relaxed);
            if !was_shown && state.queue.remove(&self.number).is_some() {
                return;
            }
            let (number, active) = (state.number(), false);
            state.queue.insert(number, Change { subscriber, active });
        });
    }
}

impl fmt::Debug for Presence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Presence").finish_non_exhaustive()
    }
}

// What it subscribes to and its payload may be a token's, and are shown to whom they are granted only.
impl fmt::Debug for Subscriber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscriber")
            .field("id", &self.id)
            .field("selectors", &self.selectors.len())
            .field(
                "payload_bytes",
                &self.payload.as_ref().map(|text| text.len()),
            )
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Pending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.subscriber.fmt(f)
    }
}

impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.number.fmt(f)
    }
}

#[cfg(test)]
mod tests;
