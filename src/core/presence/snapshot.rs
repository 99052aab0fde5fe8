//! The state of the registry as plain values, and a registry restored from them.
//!
//! Turns of clients are left out: in a restored registry, all clients start at the same turn.

use std::collections::HashMap;
use std::net::IpAddr;
use std::ops::Bound;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;
use uuid::Uuid;

use crate::core::budget::{Budget, Charge, Part};
use crate::core::delivery::{GuardRecord, StreamGuard};
use crate::core::history::HistoryLimits;
use crate::core::places::Share;
use crate::core::selector::Selector;
use crate::metrics::Visit;

use super::{Announced, Change, Presence, Subscriber, allowance};

/// A stream as a value of a snapshot.
#[derive(Clone, PartialEq, Eq)]
pub struct SubscriberRecord {
    /// Its UUID.
    pub id: u128,
    /// Its topics and patterns.
    pub selectors: Box<[Selector]>,
    /// The payload of its token.
    pub payload: Option<Arc<str>>,
    /// Its client.
    pub client: IpAddr,
    /// Whether it was announced or listed.
    pub is_known: bool,
}

/// One value of a snapshot. Values come in the order of the variants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PresenceRecord {
    /// The registry itself. Comes first, once.
    Head {
        /// See [`Presence::version`].
        version: u64,
        /// The number of the next stream or change.
        next_number: u64,
    },
    /// An open stream, with its number.
    Stream(u64, SubscriberRecord),
    /// A start (`true`) or an end that waits to be announced, with its number.
    Change(u64, bool, SubscriberRecord),
}

/// Where a snapshot continues.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PresenceCursor {
    /// At the head.
    #[default]
    Head,
    /// At the stream after this number, or at the first.
    Streams(Option<u64>),
    /// At the change after this place (a turn, a client, a number), or at the first.
    Changes(Option<(u64, IpAddr, u64)>),
    /// The snapshot is complete.
    End,
}

impl std::fmt::Debug for SubscriberRecord {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // As for a subscriber: its selectors and its payload may come from a token.
        f.debug_struct("SubscriberRecord")
            .field("selectors", &self.selectors.len())
            .finish_non_exhaustive()
    }
}

impl Subscriber {
    fn record(&self) -> SubscriberRecord {
        SubscriberRecord {
            id: self.id().as_u128(),
            selectors: self.selectors.clone(),
            payload: self.payload.clone(),
            client: self.client,
            is_known: self.known.load(Ordering::Relaxed),
        }
    }

    fn restored(record: SubscriberRecord) -> Self {
        Self {
            id: Mutex::new(Uuid::from_u128(record.id)),
            cost: allowance::estimate(&record.selectors, record.payload.as_deref()),
            selectors: record.selectors,
            payload: record.payload,
            client: record.client,
            known: AtomicBool::new(record.is_known),
            memory: OnceLock::new(),
        }
    }
}

impl Presence {
    /// Appends at most `count` records to `out`, from `cursor` on. Returns where to continue. The
    /// registry must not change between two portions.
    pub fn snapshot(
        &self,
        cursor: PresenceCursor,
        count: usize,
        out: &mut Vec<PresenceRecord>,
    ) -> PresenceCursor {
        let mut cursor = cursor;
        for _ in 0..count {
            let (record, next) = self.record(cursor);
            cursor = next;
            out.extend(record);
            if cursor == PresenceCursor::End {
                break;
            }
        }
        cursor
    }

    /// The record at a cursor, if any, and the cursor of the next one.
    fn record(&self, cursor: PresenceCursor) -> (Option<PresenceRecord>, PresenceCursor) {
        let state = self.0.state.lock();
        match cursor {
            PresenceCursor::Head => {
                let head = PresenceRecord::Head {
                    version: self.version(),
                    next_number: state.next_number,
                };
                (Some(head), PresenceCursor::Streams(None))
            }
            PresenceCursor::Streams(after) => {
                let from = after.map_or(Bound::Unbounded, Bound::Excluded);
                match state.streams.range((from, Bound::Unbounded)).next() {
                    Some((number, subscriber)) => {
                        let record = PresenceRecord::Stream(*number, subscriber.record());
                        (Some(record), PresenceCursor::Streams(Some(*number)))
                    }
                    None => (None, PresenceCursor::Changes(None)),
                }
            }
            PresenceCursor::Changes(after) => match state.queue.next_after(after) {
                Some((place, change)) => {
                    let subscriber = change.subscriber.record();
                    let record = PresenceRecord::Change(place.2, change.active, subscriber);
                    (Some(record), PresenceCursor::Changes(Some(place)))
                }
                None => (None, PresenceCursor::End),
            },
            PresenceCursor::End => (None, PresenceCursor::End),
        }
    }

    /// A registry made of these records. It lists and announces the same as the registry of the
    /// snapshot. Open streams get their [`Announced`] from [`Presence::announced`].
    #[must_use]
    pub fn restore(
        history: &HistoryLimits,
        clients: Share,
        on_change: impl Fn() + Send + Sync + 'static,
        records: impl IntoIterator<Item = PresenceRecord>,
    ) -> Self {
        let presence = Self::new(history, clients, on_change);
        let mut subscribers: HashMap<u128, Arc<Subscriber>> = HashMap::new();
        let mut subscriber = |record: SubscriberRecord| {
            let known = subscribers.entry(record.id);
            Arc::clone(known.or_insert_with(|| Arc::new(Subscriber::restored(record))))
        };
        let mut state = presence.0.state.lock();
        for record in records {
            match record {
                PresenceRecord::Head {
                    version,
                    next_number,
                } => {
                    presence.0.version.store(version, Ordering::Release);
                    state.next_number = next_number;
                }
                PresenceRecord::Stream(number, record) => {
                    let subscriber = subscriber(record);
                    state.queue.restore_stream(subscriber.client);
                    state.numbers.insert(subscriber.id(), number);
                    state.streams.insert(number, subscriber);
                }
                PresenceRecord::Change(number, active, record) => {
                    let subscriber = subscriber(record);
                    state
                        .queue
                        .restore_change(number, Change { subscriber, active });
                }
            }
        }
        drop(state);
        (presence.0.on_change)();
        presence
    }

    /// Charges the streams of a restored registry to an account, also above its bounds.
    pub fn charge_all(&self, budget: &Arc<Budget>) {
        let state = self.0.state.lock();
        let changes = state.queue.changes().map(|change| &change.subscriber);
        for subscriber in state.streams.values().chain(changes) {
            subscriber.memory.get_or_init(|| {
                let mut charge = Charge::new(budget, Part::Presence);
                charge.set_anyway(subscriber.memory_bytes());
                charge
            });
        }
    }

    /// The value that queues the end of an open stream of a snapshot when it is dropped; `None` if
    /// no stream with this number is open. To be called once for each stream.
    #[must_use]
    pub fn announced(&self, number: u64) -> Option<Announced> {
        let is_open = self.0.state.lock().streams.contains_key(&number);
        is_open.then(|| Announced {
            shared: Arc::clone(&self.0),
            number,
        })
    }
}

impl Presence {
    /// Calls `visit` with each total.
    pub fn totals(&self, visit: Visit<'_>) {
        visit("subscriptions_untold", &self.0.untold);
        visit("subscriptions_unlisted", &self.0.unlisted);
    }
}

impl Announced {
    /// The stream's number, for a snapshot.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.number
    }
}

impl StreamGuard for Announced {
    fn record(&self) -> GuardRecord {
        GuardRecord {
            announced: Some(self.number),
            ..GuardRecord::default()
        }
    }
}
