//! A process under use, and the one after it.

use crate::core::selector::Syntax;

use super::*;

pub(super) const TOPICS: [&str; 6] = ["a/1", "a/2", "b/1", "b/2", "c", "d"];

const SELECTORS: [&str; 8] = ["a/1", "a/2", "b/1", "c", "d", "a/*", "b/{x}", "{+all}"];

pub(super) fn selector(text: &str) -> Selector {
    Selector::parse(text, Syntax::Native, 100).expect("a selector")
}

pub(super) fn matches(selectors: &[&str], topic: &str) -> bool {
    let mut selectors = selectors.iter();
    selectors.any(|text| selector(text).matches(topic))
}

/// An event as it was published.
#[derive(Clone, Debug)]
pub(super) struct Published {
    pub(super) id: EventId,
    pub(super) topics: Vec<&'static str>,
    pub(super) private: bool,
    pub(super) own_id: Option<String>,
}

/// A stream's selectors and rights.
#[derive(Clone, Debug)]
pub(super) struct Rights {
    pub(super) selectors: Vec<&'static str>,
    pub(super) grant: Vec<&'static str>,
}

impl Rights {
    pub(super) fn cover(&self, event: &Published) -> bool {
        let meets = |list: &[&str]| event.topics.iter().any(|topic| matches(list, topic));
        meets(&self.selectors) && (!event.private || meets(&self.grant))
    }

    /// The grant of these rights, and the ids of their selectors.
    pub(super) fn enter(&self, store: &mut Store) -> (Option<Grant>, Vec<SelectorId>) {
        let parse = |list: &[&str]| list.iter().map(|text| selector(text)).collect::<Vec<_>>();
        let subscribe = |one: &Selector| store.subscribe(one, 0, !self.grant.is_empty());
        let ids = parse(&self.selectors).iter().map(subscribe).collect();
        (store.share(&parse(&self.grant)), ids)
    }
}

/// A process under use, and all that was published to it and to those before it.
pub(super) struct Life {
    pub(super) dice: fastrand::Rng,
    pub(super) store: Store,
    pub(super) all: Vec<Published>,
    pub(super) streams: Vec<(Option<Grant>, Vec<SelectorId>)>,
    pub(super) now: u64,
}

impl Life {
    pub(super) fn new(seed: u64) -> Self {
        let mut dice = fastrand::Rng::with_seed(seed);
        let limits = HistoryLimits {
            events: dice.usize(1..8),
            bytes: dice.usize(100..2_000),
            age_ms: dice.u64(50..4_000),
            budget_bytes: dice.usize(2_000..16_000),
        };
        Self {
            store: store(limits).with_mark(OrderMark::new(seed)),
            dice,
            all: Vec::new(),
            streams: Vec::new(),
            now: NOW,
        }
    }

    pub(super) fn publish(&mut self) {
        let count = self.dice.usize(1..4);
        let topics = self.dice.choose_multiple(TOPICS, count);
        let own_id = (self.dice.u8(..4) == 0).then(|| format!("own-{}", self.dice.u8(..6)));
        let private = self.dice.bool();
        let event = Event {
            topics: topics.iter().map(|topic| (*topic).into()).collect(),
            id: own_id.clone().map(Into::into),
            private,
            ..Event::new("", self.all.len().to_string())
        };
        let mut draft = Draft::new(event, &EventLimits::default()).expect("valid");
        let (id, _) = append(&mut self.store, &mut draft, self.now);
        self.all.push(Published {
            id,
            topics,
            private,
            own_id,
        });
    }

    pub(super) fn step(&mut self) {
        self.now += self.dice.u64(..50);
        match self.dice.u8(..12) {
            0..7 => self.publish(),
            7 => {
                let rights = self.rights();
                self.streams.push(rights.enter(&mut self.store));
            }
            8 if !self.streams.is_empty() => {
                let gone = self.dice.usize(..self.streams.len());
                let stream = self.streams.swap_remove(gone);
                leave(&mut self.store, stream);
            }
            9 => {
                let topic = TOPICS[self.dice.usize(..TOPICS.len())];
                let through = self.store.head();
                let most = self.dice.usize(1..6);
                self.store.erase(topic, through, most);
            }
            10 => _ = expire(&mut self.store, self.now, 10),
            _ => self.now += self.dice.u64(..500),
        }
    }

    fn some(&mut self, least: usize) -> Vec<&'static str> {
        let count = self.dice.usize(least..4);
        self.dice.choose_multiple(SELECTORS, count)
    }

    pub(super) fn rights(&mut self) -> Rights {
        Rights {
            selectors: self.some(1),
            grant: self.some(0),
        }
    }

    /// Walks the history in portions; the store is used in between.
    pub(super) fn walk(&mut self, used: bool) -> Vec<HistoryRecord> {
        let mut walk = self.store.begin_walk();
        let mut records = Vec::new();
        while !walk.is_done() {
            let before = records.len();
            let steps = self.dice.usize(1..6);
            self.store.walk(&mut walk, steps, &mut records);
            assert!(records.len() - before <= steps + 1, "a short hold");
            let steps = if used { self.dice.usize(..4) } else { 0 };
            (0..steps).for_each(|_| self.step());
        }
        records
    }

    /// The next process, with other limits at times, and the clock set back at times.
    pub(super) fn restart(&mut self, records: Vec<HistoryRecord>, ending: Ending) -> Revived {
        let mut limits = self.store.limits;
        if self.dice.u8(..4) == 0 {
            limits.events = self.dice.usize(..6);
            limits.budget_bytes = self.dice.usize(1_000..16_000);
        }
        if self.dice.u8(..4) == 0 {
            self.now -= self.dice.u64(..2_000);
        }
        let revival = revival(limits, records).expect("a history");
        let (store, revived) = revival.finish(ending, self.now).expect("it fits");
        assert_eq!(store.size().events, revived.events);
        assert!(store.size().bytes <= limits.budget_bytes);
        self.store = store;
        self.streams = Vec::new();
        revived
    }

    pub(super) fn cursors(&self) -> Vec<String> {
        let text = |id: EventId| id.marked(self.store.mark).to_string();
        let ids = self.all.iter().map(|event| text(event.id));
        let own = self.all.iter().filter_map(|event| event.own_id.clone());
        let holes = self.store.holes.as_slice().iter();
        let edges = holes.flat_map(|hole| {
            [
                hole.after,
                hole.after.after(),
                hole.through.before(),
                hole.through,
            ]
        });
        let births = [self.store.birth.before(), self.store.birth].map(text);
        let words = ["earliest", "none"].map(str::to_owned);
        ids.chain(own)
            .chain(edges.map(text))
            .chain(births)
            .chain(words)
            .collect()
    }
}

pub(super) fn leave(store: &mut Store, (grant, ids): (Option<Grant>, Vec<SelectorId>)) {
    for id in ids {
        store.unsubscribe(id, grant.is_some());
    }
    if let Some(grant) = &grant {
        store.unshare(grant);
    }
}

pub(super) fn revival(
    limits: HistoryLimits,
    records: Vec<HistoryRecord>,
) -> Result<Revival, RestoreError> {
    revival_within(limits, HoldLimits::SMALL, records)
}

pub(super) fn revival_within(
    limits: HistoryLimits,
    hold: HoldLimits,
    records: Vec<HistoryRecord>,
) -> Result<Revival, RestoreError> {
    let mut revival = Revival::new(limits, hold);
    for record in records {
        revival.take(record)?;
    }
    Ok(revival)
}
