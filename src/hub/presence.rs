//! Who is there: the subscriptions of streams that ask to be announced, and the events that tell of their start and end.
//!
//! A stream is entered and its start queued under the store's lock, just before its shard learns of it; its end is queued by whoever drops its
//! `Guard`, on whatever thread. One task ([`Presence::announce`]) publishes the queue in its order, so a start comes before its end and each
//! comes once. Nothing here may wait, publish or take the store's lock while the registry's own lock is held.
//!
//! What is held is bounded by the open streams, and by 65,536 starts and ends that wait to be told: beyond, no stream that would be
//! announced is opened.

mod document;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fmt;
use std::ops::Bound;
use std::sync::Arc;

use parking_lot::Mutex;
use thiserror::Error;
use tokio::sync::Notify;
use uuid::Uuid;

use crate::event::{Event, IdForm};
use crate::limits::EventLimits;
use crate::metrics::Source;
use crate::selector::Selector;
use crate::sse::Draft;

use super::{Closed, Hub};

pub use document::{CONTEXT, Document, SUBSCRIPTIONS_PATH, subscription_path, topic_path};

use document::URN_PREFIX;

/// Starts and ends that may wait to be told.
const BACKLOG_MAX: usize = 65_536;

/// Subscriptions told in one batch (one stream's more or less).
const BATCH_SUBSCRIPTIONS: usize = 64;

/// Streams looked at while the registry is locked once: some 50 µs.
const LIST_STREAMS: usize = 1_024;

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
    queue: VecDeque<Change>,
    closed: bool,
}

struct Change {
    subscriber: Arc<Subscriber>,
    active: bool,
}

/// A stream as others see it.
#[derive(Debug)]
struct Subscriber {
    id: Uuid,
    selectors: Box<[Selector]>,
    payload: Option<Arc<str>>,
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
        Some(Subscription {
            subscriber: Arc::clone(subscriber),
            selector,
        })
    }

    /// Subscriptions of streams that came after number `after`: all, or those with one selector; at least `count` of them unless there are
    /// fewer, and no more than one stream's beyond. Looks at a bounded number of streams, so a page may have fewer although there is a next one.
    #[must_use]
    pub fn list(&self, topic: Option<&str>, after: Option<u64>, count: usize) -> Page {
        let mut page = Page::default();
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let state = self.0.state.lock();
        let streams = state.streams.range((from, Bound::Unbounded));
        for (looked_at, (number, subscriber)) in streams.enumerate() {
            let wanted = |selector: &Selector| topic.is_none_or(|topic| selector.text() == topic);
            let found = subscriber.selectors.iter().enumerate();
            page.subscriptions
                .extend(
                    found
                        .filter(|(_, selector)| wanted(selector))
                        .map(|(selector, _)| Subscription {
                            subscriber: Arc::clone(subscriber),
                            selector,
                        }),
                );
            if page.subscriptions.len() >= count || looked_at + 1 >= LIST_STREAMS {
                page.next = Some(*number);
                break;
            }
        }
        let last = state.streams.last_key_value().map(|(number, _)| *number);
        page.next = page.next.filter(|next| Some(*next) != last);
        page
    }

    /// Publishes starts and ends as they come, until the hub is closed.
    pub async fn announce(&self, hub: &Hub) {
        loop {
            let work = self.0.work.notified();
            let (changes, closed) = self.take();
            if changes.is_empty() {
                if closed {
                    return;
                }
                work.await;
            } else if publish(hub, &changes).await.is_err() {
                return;
            }
        }
    }

    /// The hub takes no more events: whoever announces may end.
    pub(super) fn close(&self) {
        self.0.state.lock().closed = true;
        self.0.work.notify_one();
    }

    /// The next changes to tell, and whether there will be no more.
    fn take(&self) -> (Vec<Change>, bool) {
        let mut state = self.0.state.lock();
        let mut subscriptions = 0;
        let mut changes = Vec::new();
        while subscriptions < BATCH_SUBSCRIPTIONS
            && let Some(change) = state.queue.pop_front()
        {
            subscriptions += change.subscriber.selectors.len();
            changes.push(change);
        }
        (changes, state.closed)
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
            number = state.next_number;
            state.next_number += 1;
            state.numbers.insert(subscriber.id, number);
            state.streams.insert(number, Arc::clone(&subscriber));
            state.queue.push_back(Change {
                subscriber,
                active: true,
            });
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
            state.queue.push_back(Change {
                subscriber,
                active: false,
            });
        });
    }
}

/// Tells of these changes, each subscription in an event of its own.
async fn publish(hub: &Hub, changes: &[Change]) -> Result<(), Closed> {
    // These events are the node's own; what publishers are held to would only suppress them. Their size is bounded by that of a selector
    // and of a token.
    let limits = EventLimits {
        topic_bytes_max: usize::MAX,
        data_bytes_max: usize::MAX,
        ..EventLimits::default()
    };
    let mut drafts = Vec::new();
    for change in changes {
        for selector in 0..change.subscriber.selectors.len() {
            let subscription = Subscription {
                subscriber: Arc::clone(&change.subscriber),
                selector,
            };
            let mut event = Event::new(subscription.path(), subscription.to_json(change.active));
            event.private = true;
            event.id_form = IdForm::Urn;
            match Draft::new(event, &limits) {
                Ok(draft) => drafts.push(draft),
                Err(error) => tracing::error!(%error, "a subscription could not be announced"),
            }
        }
    }
    hub.publish(Source::Http, &mut drafts).await.map(drop)
}

impl fmt::Debug for Presence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Presence").finish_non_exhaustive()
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
mod tests {
    use super::*;

    fn begin(presence: &Presence, topics: &[&str]) -> Guard {
        let selectors: Vec<_> = topics.iter().map(|topic| Selector::exact(topic)).collect();
        presence.pending(&selectors, None).expect("room").begin()
    }

    fn told(presence: &Presence) -> Vec<(u128, bool)> {
        let (changes, _) = presence.take();
        let of = |change: &Change| (change.subscriber.id.as_u128(), change.active);
        changes.iter().map(of).collect()
    }

    fn topics(page: &Page) -> Vec<&str> {
        page.subscriptions.iter().map(Subscription::topic).collect()
    }

    #[test]
    fn a_start_comes_before_its_end_and_each_once() {
        let presence = Presence::default();
        let (first, second) = (begin(&presence, &["a"]), begin(&presence, &["b"]));
        drop(second);
        drop(first);
        let told = told(&presence);
        let active: Vec<bool> = told.iter().map(|(_, active)| *active).collect();
        assert_eq!(active, [true, true, false, false]);
        assert_eq!((told[0].0, told[1].0), (told[3].0, told[2].0));
        assert!(presence.take().0.is_empty());
        assert!(presence.0.state.lock().numbers.is_empty());
    }

    #[test]
    fn a_stream_that_never_begins_is_never_told() {
        let presence = Presence::default();
        drop(presence.pending(&[Selector::exact("a")], None));
        assert!(presence.take().0.is_empty());
    }

    #[test]
    fn lists_go_on_where_they_ended() {
        let presence = Presence::default();
        let guards: Vec<_> = (0..3).map(|_| begin(&presence, &["a", "b"])).collect();
        let page = presence.list(None, None, 3);
        assert_eq!(topics(&page), ["a", "b", "a", "b"]);
        let rest = presence.list(None, page.next, 3);
        assert_eq!((topics(&rest), rest.next), (vec!["a", "b"], None));
        assert_eq!(topics(&presence.list(Some("b"), None, 9)), ["b"; 3]);
        assert!(presence.list(Some("c"), None, 9).subscriptions.is_empty());
        drop(guards);
        assert!(presence.list(None, None, 9).subscriptions.is_empty());
    }

    #[test]
    fn a_long_list_comes_in_pages_of_bounded_work() {
        let presence = Presence::default();
        let guards: Vec<_> = (0..LIST_STREAMS + 1)
            .map(|_| begin(&presence, &["a"]))
            .collect();
        let page = presence.list(Some("none"), None, 9);
        assert!(page.subscriptions.is_empty() && page.next.is_some());
        assert_eq!(presence.list(Some("none"), page.next, 9).next, None);
        drop(guards);
    }

    #[test]
    fn one_subscription_is_found_by_topic_and_subscriber() {
        let presence = Presence::default();
        let _guard = begin(&presence, &["a", "b"]);
        let urn = presence.list(None, None, 1).subscriptions[0].urn();
        assert!(presence.get("b", &urn).is_some());
        assert!(presence.get("c", &urn).is_none());
        assert!(presence.get("b", "urn:uuid:x").is_none());
        assert!(presence.get("b", &Uuid::new_v4().to_string()).is_none());
    }

    #[test]
    fn documents_are_as_the_draft_has_them() {
        let presence = Presence::default();
        let selectors = [Selector::exact("https://a.example/{id}")];
        let payload = Some(Arc::from(r#"{"n": 1.50}"#));
        let _guard = presence.pending(&selectors, payload).expect("room").begin();
        let subscription = presence.list(None, None, 1).subscriptions.remove(0);
        let urn = subscription.urn();
        let id = format!(
            "{SUBSCRIPTIONS_PATH}/https%3A%2F%2Fa.example%2F%7Bid%7D/{}",
            urn.replace(':', "%3A")
        );
        let expected = format!(
            r#"{{"@context":"https://mercure.rocks/","id":"{id}","type":"Subscription","topic":"https://a.example/{{id}}","subscriber":"{urn}","active":false,"payload":{{"n": 1.50}}}}"#
        );
        assert_eq!(subscription.to_json(false), expected);
    }

    #[test]
    fn the_queue_is_bounded() {
        let presence = Presence::default();
        for _ in 0..BACKLOG_MAX / 2 {
            drop(begin(&presence, &["a"]));
        }
        let refused = presence.pending(&[Selector::exact("a")], None);
        assert_eq!(refused.err(), Some(Backlog));
    }
}
