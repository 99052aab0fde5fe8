//! The roster of a node: its announced streams, one line each, where other nodes can read them.
//!
//! With a log of several nodes, a line is written together with the event that tells its stream's
//! start, and removed together with that which tells its end. So a roster has exactly the streams
//! whose start was told and whose end was not. If the node dies, another one reads the ends from it.
//!
//! A line is the stream's UUID, a space, and JSON: `{"topics":["a"],"payload":{"user":1}}`.

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr};
use std::ops::Bound;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::core::selector::Selector;

use super::{
    Change, LIST_SUBSCRIPTIONS, Presence, State, Subscriber, Subscription, URN_PREFIX, allowance,
};

/// Bytes of a stream that was read from a roster, beside its line.
const LISTED_BYTES: usize = 128;

/// The client of a stream that was read from a roster. It is not known, and not needed.
const NO_CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

/// A change of a roster, which belongs to an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RosterChange {
    /// A stream is added.
    Enters {
        /// Its UUID.
        id: Uuid,
        /// Its line.
        line: String,
    },
    /// A stream is removed.
    Leaves {
        /// Its UUID.
        id: Uuid,
    },
}

/// A stream that was read from a roster.
#[derive(Clone, Debug)]
pub struct Listed {
    subscriber: Arc<Subscriber>,
    id: Uuid,
    bytes: usize,
}

#[derive(Serialize, Deserialize)]
struct Line<'l> {
    #[serde(borrow)]
    topics: Vec<std::borrow::Cow<'l, str>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    payload: Option<&'l RawValue>,
}

impl Listed {
    /// Reads a line; `None` if it is not one.
    #[must_use]
    pub fn parse(line: &str) -> Option<Self> {
        let (id, json) = line.split_once(' ')?;
        let id = Uuid::try_parse(id).ok()?;
        let parsed: Line<'_> = serde_json::from_str(json).ok()?;
        let payload: Option<Arc<str>> = parsed.payload.map(|payload| payload.get().into());
        // Their text is all that is asked for.
        let topics = parsed.topics.iter();
        let selectors: Box<[Selector]> = topics.map(|topic| Selector::exact(topic)).collect();
        let subscriber = Subscriber {
            id: Mutex::new(id),
            client: NO_CLIENT,
            cost: allowance::estimate(&selectors, payload.as_deref()),
            selectors,
            payload,
            known: AtomicBool::new(true),
            memory: OnceLock::new(),
        };
        Some(Self {
            subscriber: Arc::new(subscriber),
            id,
            bytes: LISTED_BYTES + line.len(),
        })
    }

    /// Its UUID.
    #[must_use]
    pub fn id(&self) -> Uuid {
        self.id
    }

    /// Estimated bytes in memory.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Its subscriptions: all, or those to one selector.
    pub fn subscriptions<'l>(
        &'l self,
        topic: Option<&'l str>,
    ) -> impl Iterator<Item = Subscription> + 'l {
        let selectors = self.subscriber.selectors.iter().enumerate();
        let wanted = selectors
            .filter(move |(_, selector)| topic.is_none_or(|topic| selector.text() == topic));
        wanted.map(|(selector, _)| Subscription::of(&self.subscriber, selector))
    }

    /// Its end.
    pub(crate) fn end(&self) -> Change {
        Change {
            subscriber: Arc::clone(&self.subscriber),
            active: false,
        }
    }
}

/// The UUID of a subscriber (`urn:uuid:…`).
#[must_use]
pub fn subscriber_id(urn: &str) -> Option<Uuid> {
    urn.strip_prefix(URN_PREFIX)?.parse().ok()
}

impl Subscriber {
    fn line(&self, id: Uuid) -> String {
        let payload = self.payload.as_deref();
        let line = Line {
            topics: self.selectors.iter().map(|one| one.text().into()).collect(),
            payload: payload.and_then(|text| serde_json::from_str(text).ok()),
        };
        // Strings, and JSON that was parsed before: neither can fail to serialize.
        let json = serde_json::to_string(&line).unwrap_or_default();
        format!("{} {json}", id.hyphenated())
    }
}

impl Change {
    /// The change of the roster that belongs to it.
    pub(crate) fn roster_change(&self) -> RosterChange {
        let id = self.subscriber.id();
        if self.active {
            let line = self.subscriber.line(id);
            RosterChange::Enters { id, line }
        } else {
            RosterChange::Leaves { id }
        }
    }
}

/// What is done with streams whose start was told. Only while nothing is announced.
impl Presence {
    /// The node was taken for dead, and the ends of its streams are told by others. Each stream that
    /// is still open gets another UUID, and its start is told again; so no UUID comes back after
    /// its end. Ends that wait are dropped.
    pub(crate) fn begin_again(&self) {
        let mut place = None;
        loop {
            let next = self.retell_some(place, |state, number, subscriber| {
                let id = Uuid::new_v4();
                let old = std::mem::replace(&mut *subscriber.id.lock(), id);
                state.numbers.remove(&old);
                state.numbers.insert(id, number);
                true
            });
            match next {
                Some(next) => place = Some(next),
                None => break,
            }
        }
        // A stream that has ended since then was withdrawn, if it had its new UUID.
        self.0.change(|state| state.queue.drop_ends());
    }

    /// Tells the starts of open streams again that are not in the roster, because the log has lost
    /// its newest entries.
    pub(crate) fn retell_without(&self, roster: &HashSet<Uuid>) {
        let mut place = None;
        loop {
            let is_missing =
                |_: &mut State, _, subscriber: &Arc<Subscriber>| !roster.contains(&subscriber.id());
            match self.retell_some(place, is_missing) {
                Some(next) => place = Some(next),
                None => return,
            }
        }
    }

    /// Tells the ends of streams of the roster that are not open, because the log has lost these
    /// ends.
    pub(crate) fn end_unknown(&self, listed: &[Listed]) {
        self.0.change(|state| {
            let ending: HashSet<Uuid> = {
                let changes = state.queue.changes();
                let ends = changes.filter(|change| !change.active);
                ends.map(|change| change.subscriber.id()).collect()
            };
            for listed in listed {
                if !state.numbers.contains_key(&listed.id) && !ending.contains(&listed.id) {
                    let number = state.number();
                    state.queue.restore_change(number, listed.end());
                }
            }
        });
    }

    /// Queues the starts of streams after `place`, whose start was told, and for which `wanted` holds.
    /// Returns where to continue.
    fn retell_some(
        &self,
        place: Option<u64>,
        mut wanted: impl FnMut(&mut State, u64, &Arc<Subscriber>) -> bool,
    ) -> Option<u64> {
        let from = place.map_or(Bound::Unbounded, Bound::Excluded);
        let mut next = None;
        self.0.change(|state| {
            let mut told = Vec::new();
            let mut looked_at = 0;
            for (number, subscriber) in state.streams.range((from, Bound::Unbounded)) {
                if !state.queue.has(*number, subscriber.client) {
                    told.push((*number, Arc::clone(subscriber)));
                }
                looked_at += subscriber.selectors.len();
                if looked_at >= LIST_SUBSCRIPTIONS {
                    next = Some(*number);
                    break;
                }
            }
            for (number, subscriber) in told {
                if wanted(state, number, &subscriber) {
                    // If the stream ends first, nobody needs to hear of it.
                    subscriber.known.store(false, Ordering::Relaxed);
                    let active = true;
                    let change = Change { subscriber, active };
                    state.queue.restore_change(number, change);
                }
            }
            self.0.version.fetch_add(1, Ordering::Release);
        });
        next
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::history::HistoryLimits;
    use crate::core::places::Share;
    use crate::core::presence::Announced;

    fn registry() -> Presence {
        Presence::new(&HistoryLimits::default(), Share::default(), || {})
    }

    fn begin(presence: &Presence, topics: &[&str], payload: Option<&str>) -> Announced {
        let selectors: Vec<_> = topics.iter().map(|topic| Selector::exact(topic)).collect();
        let here = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let payload = payload.map(Into::into);
        presence.pending(here, &selectors, payload).begin()
    }

    /// The changes that are told: a start with its line, an end with none.
    fn told(presence: &Presence) -> Vec<(Uuid, Option<String>)> {
        let (changes, _) = presence.take(usize::MAX);
        let changes = changes.iter().map(Change::roster_change);
        let told = changes.map(|change| match change {
            RosterChange::Enters { id, line } => (id, Some(line)),
            RosterChange::Leaves { id } => (id, None),
        });
        told.collect()
    }

    #[test]
    fn a_line_says_all_that_a_document_says() {
        let presence = registry();
        let topics = ["https://example.com/{id}", "a \"b\"\n"];
        let _open = begin(&presence, &topics, Some(r#"{"user": "ä" }"#));
        let before = presence.list(None, None, 9).subscriptions;
        let (id, line) = told(&presence).remove(0);
        let listed = Listed::parse(&line.expect("a start")).expect("a line");
        assert_eq!(listed.id(), id);
        let after: Vec<_> = listed.subscriptions(None).collect();
        let json = |all: &[Subscription]| -> Vec<String> {
            all.iter().map(|one| one.to_json(true)).collect()
        };
        assert_eq!(json(&before), json(&after));
        assert_eq!(listed.subscriptions(Some(topics[1])).count(), 1);
        assert_eq!(listed.subscriptions(Some("b")).count(), 0);
        for bad in ["", "x", "x {}", &format!("{id}"), &format!("{id} []")] {
            assert!(Listed::parse(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn who_is_told_again_after_a_false_end_has_another_id() {
        let presence = registry();
        let (first, gone) = (
            begin(&presence, &["a"], None),
            begin(&presence, &["b"], None),
        );
        let before = told(&presence);
        let waits = begin(&presence, &["c"], None);
        drop(gone);
        presence.begin_again();
        let after = told(&presence);
        let is_start =
            |told: &[(Uuid, Option<String>)]| told.iter().all(|(_, line)| line.is_some());
        assert_eq!((after.len(), is_start(&after)), (2, true), "{after:?}");
        assert!(
            after
                .iter()
                .all(|(id, _)| before.iter().all(|(old, _)| id != old))
        );
        drop((first, waits));
        let ends = told(&presence);
        let ids = |told: &[(Uuid, _)]| told.iter().map(|(id, _)| *id).collect::<HashSet<_>>();
        assert_eq!((ends.len(), ids(&ends)), (2, ids(&after)));
        assert!(presence.0.state.lock().queue.is_bare());
        assert!(presence.0.state.lock().numbers.is_empty());
    }

    #[test]
    fn who_ends_before_it_is_told_again_is_not_told_of() {
        let presence = registry();
        let gone = begin(&presence, &["a"], None);
        assert_eq!(told(&presence).len(), 1);
        presence.begin_again();
        drop(gone);
        assert_eq!(told(&presence), []);
        assert!(presence.0.state.lock().queue.is_bare());
    }

    #[test]
    fn what_the_log_has_lost_is_told_again_and_nothing_else() {
        let presence = registry();
        let kept = begin(&presence, &["a"], None);
        let lost = begin(&presence, &["b"], None);
        let ended = begin(&presence, &["c"], None);
        let ending = begin(&presence, &["d"], None);
        let all = told(&presence);
        drop(ended);
        assert_eq!(told(&presence).len(), 1, "an end that the log loses");
        drop(ending);
        let line = |at: usize| all[at].1.clone().expect("a start");
        let roster = [0, 2, 3].map(|at| Listed::parse(&line(at)).expect("a line"));
        presence.end_unknown(&roster);
        presence.retell_without(&roster.iter().map(Listed::id).collect());
        let mut again = told(&presence);
        again.sort();
        let mut expected = vec![
            (all[1].0, Some(line(1))),
            (all[2].0, None),
            (all[3].0, None),
        ];
        expected.sort();
        assert_eq!(again, expected);
        drop((kept, lost));
        assert_eq!(told(&presence).len(), 2);
    }
}
