//! The registry of streams that ask to be announced: their subscriptions, and the events that
//! announce their start and end.
//!
//! A stream is entered and its start queued under the desk's lock, just before the stream is posted
//! to its shard. Its end is queued when its [`Announced`] is dropped, on any thread. The hub
//! publishes the queue, clients in turn and each client's changes in their order. So a start comes
//! before its end, and each comes once. A stream that ends before its start is announced, and that
//! was in no list, is never announced. While the registry's own lock is held, no code may wait,
//! publish or take the desk's lock.
//!
//! The queue refuses no stream; only the node's account does (`Pending::charge`). `allowance`
//! bounds how much is announced, and `queue` how much waits: when too many ends of a client, or of
//! all clients, wait, further streams are in no list before their start is announced.

mod allowance;
mod document;
mod queue;
mod roster;
mod snapshot;

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::ops::Bound;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;
use uuid::Uuid;

use crate::core::budget::{Budget, Charge, Exhausted, Part};
use crate::core::history::HistoryLimits;
use crate::core::places::Share;
use crate::core::selector::Selector;
use crate::metrics::Counter;

pub(crate) use allowance::{Allowance, cost};
pub use document::{CONTEXT, Document, SUBSCRIPTIONS_PATH, subscription_path, topic_path};

pub use roster::{Listed, RosterChange, subscriber_id};
pub use snapshot::{PresenceCursor, PresenceRecord, SubscriberRecord};

use document::URN_PREFIX;
use queue::{Bounds, Queue};

/// Most subscriptions of an announced stream: each is one event at the start and one at the end.
pub const SUBSCRIPTIONS_PER_STREAM_MAX: usize = 100;

/// Bytes of a stream in the registry beside its selectors and its payload: the record, an entry in
/// each table, and a waiting change.
const SUBSCRIBER_BYTES: usize = 384;

/// Subscriptions examined while the registry is locked once (one stream's more or less): some 50
/// µs. A thread that opens a stream waits for this under the store's lock.
const LIST_SUBSCRIPTIONS: usize = 2_048;

/// Subscriptions announced in one batch (one stream's more or less).
const BATCH_SUBSCRIPTIONS: usize = 64;

/// The registry. Cheap to clone.
#[derive(Clone)]
pub struct Presence(Arc<Shared>);

struct Shared {
    /// See [`Presence::version`].
    version: AtomicU64,
    state: Mutex<State>,
    /// The definition of a client.
    clients: Share,
    /// Called after each change of the registry, and after it is closed.
    on_change: Box<dyn Fn() + Send + Sync>,
    untold: Counter,
    unlisted: Counter,
}

struct State {
    /// In the order in which they came.
    streams: BTreeMap<u64, Arc<Subscriber>>,
    /// Ordered maps, because a hash table would double its capacity under the lock.
    numbers: BTreeMap<Uuid, u64>,
    next_number: u64,
    /// A start is queued under its stream's number.
    queue: Queue,
    closed: bool,
}

/// A start or an end that is to be announced.
pub(crate) struct Change {
    subscriber: Arc<Subscriber>,
    active: bool,
}

/// A stream as other clients see it.
struct Subscriber {
    /// Another one after its end was told by another node: see [`Presence::begin_again`].
    id: Mutex<Uuid>,
    selectors: Box<[Selector]>,
    payload: Option<Arc<str>>,
    /// Its client.
    client: IpAddr,
    /// Estimated bytes of the allowance to announce it once.
    cost: usize,
    /// It was announced or listed, so its end must be announced.
    known: AtomicBool,
    /// Its charge to the node's account. A waiting end keeps it.
    memory: OnceLock<Charge>,
}

/// A stream whose start and end are to be announced.
pub struct Pending {
    shared: Arc<Shared>,
    subscriber: Subscriber,
}

/// An open stream of the registry. Dropping this value, with the stream, queues the end.
pub struct Announced {
    shared: Arc<Shared>,
    number: u64,
}

/// One subscription: a stream and one of the selectors that it subscribes to.
#[derive(Clone, Debug)]
pub struct Subscription {
    subscriber: Arc<Subscriber>,
    selector: usize,
}

/// Counts of waiting changes, and of streams that were left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Starts and ends that wait to be announced.
    pub waiting: usize,
    /// Streams that ended before their start was announced, and so were never announced.
    pub untold: u64,
    /// How often a list left a stream out because too many ends wait to be announced.
    pub unlisted: u64,
}

/// One page of a list of subscriptions.
#[derive(Debug, Default)]
pub struct Page {
    /// In the order in which their streams came.
    pub subscriptions: Vec<Subscription>,
    /// Where the next page starts; `None` at the end.
    pub next: Option<u64>,
}

impl Presence {
    /// An empty registry of a node with these bounds on its history. `on_change` is called after
    /// each change, and after the registry is closed, without the registry's lock.
    #[must_use]
    pub fn new(
        history: &HistoryLimits,
        clients: Share,
        on_change: impl Fn() + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(Shared {
            state: Mutex::new(State {
                streams: BTreeMap::new(),
                numbers: BTreeMap::new(),
                next_number: 0,
                queue: Queue::new(Bounds::new(history)),
                closed: false,
            }),
            clients,
            on_change: Box::new(on_change),
            // A random start, because a list of another node, or from before a restart, is another
            // list.
            version: AtomicU64::new(fastrand::u64(..)),
            untold: Counter::default(),
            unlisted: Counter::default(),
        }))
    }

    /// Prepares a stream of the client at `address` that will be announced when it begins.
    #[must_use]
    pub fn pending(
        &self,
        address: IpAddr,
        selectors: &[Selector],
        payload: Option<Arc<str>>,
    ) -> Pending {
        Pending {
            shared: Arc::clone(&self.0),
            subscriber: Subscriber {
                id: Mutex::new(Uuid::new_v4()),
                selectors: selectors.into(),
                client: self.0.clients.client(address),
                cost: allowance::estimate(selectors, payload.as_deref()),
                payload,
                known: AtomicBool::new(false),
                memory: OnceLock::new(),
            },
        }
    }

    /// A number that changes whenever a list may change: at each start and each end, and when a
    /// list leaves a stream out. If it is read before a list is made, it is never newer than the
    /// list.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.0.version.load(Ordering::Acquire)
    }

    /// The current counts.
    #[must_use]
    pub fn figures(&self) -> Figures {
        Figures {
            waiting: self.0.state.lock().queue.len(),
            untold: self.0.untold.get(),
            unlisted: self.0.unlisted.get(),
        }
    }

    /// The subscription of a subscriber (`urn:uuid:…`) to the selector with this text.
    #[must_use]
    pub fn get(&self, topic: &str, subscriber: &str) -> Option<Subscription> {
        let id: Uuid = subscriber.strip_prefix(URN_PREFIX)?.parse().ok()?;
        let state = self.0.state.lock();
        let subscriber = state.streams.get(state.numbers.get(&id)?)?;
        let selector = subscriber
            .selectors
            .iter()
            .position(|selector| selector.text() == topic)?;
        state
            .shows(subscriber)
            .then(|| Subscription::of(subscriber, selector))
    }

    /// Subscriptions of streams that came after number `after`: all, or those to one selector; at
    /// least `count` of them unless fewer exist, and at most one stream's more. A bounded number of
    /// subscriptions is examined, so a page may have fewer although a next one exists.
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
            let mut found = found.filter(|(_, selector)| wanted(selector)).peekable();
            if found.peek().is_some() {
                if state.shows(subscriber) {
                    let each = found.map(|(selector, _)| Subscription::of(subscriber, selector));
                    page.subscriptions.extend(each);
                } else {
                    self.0.unlisted.add(1);
                    self.0.version.fetch_add(1, Ordering::Release);
                }
            }
            if page.subscriptions.len() >= count || looked_at >= LIST_SUBSCRIPTIONS {
                page.next = Some(*number);
                break;
            }
        }
        let last = state.streams.last_key_value().map(|(number, _)| *number);
        page.next = page.next.filter(|next| Some(*next) != last);
        page
    }

    /// Removes the next changes to announce; also returns whether the registry is closed. Exceeds
    /// `bytes` by at most one change, so that the debt, for which the next batch waits, is never
    /// larger than that.
    pub(crate) fn take(&self, bytes: usize) -> (Vec<Change>, bool) {
        let mut state = self.0.state.lock();
        let (mut subscriptions, mut taken) = (0, 0);
        let mut changes = Vec::new();
        while subscriptions < BATCH_SUBSCRIPTIONS
            && taken <= bytes
            && let Some(change) = state.queue.pop()
        {
            subscriptions += change.subscriber.selectors.len();
            taken += change.subscriber.cost;
            // Under the registry's lock: from here on its end is announced as well.
            change.subscriber.known.store(true, Ordering::Relaxed);
            changes.push(change);
        }
        (changes, state.closed)
    }

    /// Closes the registry: the hub accepts no more events, and nothing more will be announced.
    pub(crate) fn close(&self) {
        self.0.change(|state| state.closed = true);
    }

    /// Whether nothing more will be announced.
    pub(crate) fn is_closed(&self) -> bool {
        self.0.state.lock().closed
    }
}

impl Subscription {
    fn of(subscriber: &Arc<Subscriber>, selector: usize) -> Self {
        Self {
            subscriber: Arc::clone(subscriber),
            selector,
        }
    }
}

impl Change {
    /// Whether it is a start.
    pub(crate) fn is_start(&self) -> bool {
        self.active
    }

    /// The subscriptions that it is about.
    pub(crate) fn subscriptions(&self) -> impl Iterator<Item = Subscription> + '_ {
        let selectors = 0..self.subscriber.selectors.len();
        selectors.map(|selector| Subscription::of(&self.subscriber, selector))
    }
}

impl State {
    /// Whether a requested stream may be listed; if so, its end will be announced.
    fn shows(&self, subscriber: &Subscriber) -> bool {
        if subscriber.known.load(Ordering::Relaxed) {
            return true;
        }
        let may_show = self.queue.may_show(subscriber.client);
        subscriber.known.store(may_show, Ordering::Relaxed);
        may_show
    }

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
        (self.on_change)();
    }
}

impl Subscriber {
    fn id(&self) -> Uuid {
        *self.id.lock()
    }

    /// Bytes in the registry.
    fn memory_bytes(&self) -> usize {
        let selectors = self.selectors.iter();
        let names: usize = selectors
            .map(|selector| size_of_val(selector) + selector.text().len())
            .sum();
        let payload = self.payload.as_ref().map_or(0, |text| text.len());
        SUBSCRIBER_BYTES + names + payload
    }
}

impl Pending {
    /// Charges the stream's bytes in the registry to an account, until its end is announced.
    ///
    /// # Errors
    /// [`Exhausted`] if the account has no room for them.
    pub(crate) fn charge(&mut self, budget: &Arc<Budget>) -> Result<(), Exhausted> {
        let mut charge = Charge::new(budget, Part::Presence);
        charge.set(self.subscriber.memory_bytes())?;
        self.subscriber.memory = OnceLock::from(charge);
        Ok(())
    }

    /// Enters the stream and queues its start. Called under the store's lock, just before the
    /// stream is posted to its shard.
    pub(crate) fn begin(self) -> Announced {
        let subscriber = Arc::new(self.subscriber);
        let mut number = 0;
        self.shared.change(|state| {
            number = state.number();
            state.numbers.insert(subscriber.id(), number);
            state.streams.insert(number, Arc::clone(&subscriber));
            self.shared.version.fetch_add(1, Ordering::Release);
            let active = true;
            state.queue.push(number, Change { subscriber, active });
        });
        Announced {
            shared: self.shared,
            number,
        }
    }
}

impl Drop for Announced {
    fn drop(&mut self) {
        self.shared.change(|state| {
            let Some(subscriber) = state.streams.remove(&self.number) else {
                return;
            };
            state.numbers.remove(&subscriber.id());
            self.shared.version.fetch_add(1, Ordering::Release);
            // It was neither announced nor listed, so its end is not announced either.
            if !subscriber.known.load(Ordering::Relaxed) {
                state.queue.withdraw(self.number, subscriber.client);
                self.shared.untold.add(1);
                return;
            }
            let (number, active) = (state.number(), false);
            state.queue.push(number, Change { subscriber, active });
        });
    }
}

impl fmt::Debug for Presence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Presence").finish_non_exhaustive()
    }
}

// Its selectors and its payload may come from a token, and are shown only to clients that are
// granted them.
impl fmt::Debug for Subscriber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscriber")
            .field("id", &self.id())
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

impl fmt::Debug for Announced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.number.fmt(f)
    }
}

#[cfg(test)]
mod tests;
