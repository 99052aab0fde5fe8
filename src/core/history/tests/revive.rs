//! What outlives a process: the history of a store that changes while it is walked, and of several
//! processes that follow each other. Readers are compared with the list of everything published.

use proptest::prelude::*;

use super::*;
use crate::core::history::{HistoryRecord, Revival, Revived};
use crate::core::selector::Syntax;

const TOPICS: [&str; 6] = ["a/1", "a/2", "b/1", "b/2", "c", "d"];

const SELECTORS: [&str; 8] = ["a/1", "a/2", "b/1", "c", "d", "a/*", "b/{x}", "{+all}"];

fn selector(text: &str) -> Selector {
    Selector::parse(text, Syntax::Native, 100).expect("a selector")
}

fn matches(selectors: &[&str], topic: &str) -> bool {
    let mut selectors = selectors.iter();
    selectors.any(|text| selector(text).matches(topic))
}

/// An event as it was published.
#[derive(Clone, Debug)]
struct Published {
    id: EventId,
    topics: Vec<&'static str>,
    private: bool,
    own_id: Option<String>,
}

/// A stream's selectors and rights.
#[derive(Clone, Debug)]
struct Rights {
    selectors: Vec<&'static str>,
    grant: Vec<&'static str>,
}

impl Rights {
    fn cover(&self, event: &Published) -> bool {
        let meets = |list: &[&str]| event.topics.iter().any(|topic| matches(list, topic));
        meets(&self.selectors) && (!event.private || meets(&self.grant))
    }

    /// The grant of these rights, and the ids of their selectors.
    fn enter(&self, store: &mut Store) -> (Option<Grant>, Vec<SelectorId>) {
        let parse = |list: &[&str]| list.iter().map(|text| selector(text)).collect::<Vec<_>>();
        let subscribe = |one: &Selector| store.subscribe(one, 0, !self.grant.is_empty());
        let ids = parse(&self.selectors).iter().map(subscribe).collect();
        (store.share(&parse(&self.grant)), ids)
    }
}

/// What a reader was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Sent {
    Event(EventId),
    Gap { from: EventId, to: EventId },
}

/// A process under use, and all that was published to it and to those before it.
struct Life {
    dice: fastrand::Rng,
    store: Store,
    all: Vec<Published>,
    streams: Vec<(Option<Grant>, Vec<SelectorId>)>,
    now: u64,
    processes: usize,
}

impl Life {
    fn new(seed: u64) -> Self {
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
            processes: 1,
        }
    }

    fn publish(&mut self) {
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

    fn step(&mut self) {
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

    fn rights(&mut self) -> Rights {
        Rights {
            selectors: self.some(1),
            grant: self.some(0),
        }
    }

    /// Walks the history in portions; the store is used in between.
    fn walk(&mut self, used: bool) -> Vec<HistoryRecord> {
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
    fn restart(&mut self, records: Vec<HistoryRecord>, ending: Ending) -> Revived {
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
        self.processes += 1;
        revived
    }

    fn keeps(&self, event: &Published, selectors: &[&str]) -> bool {
        let mut topics = event
            .topics
            .iter()
            .filter(|topic| matches(selectors, topic));
        let range = |topic: &str| self.store.range(topic, (event.id, event.id), 1, false);
        topics.any(|topic| !range(topic).is_empty())
    }

    /// Everything that a stream is sent which returns with this cursor, as the shards do it; the
    /// place from which it is owed events, and the one up to which it expects losses.
    fn follow(&mut self, rights: &Rights, cursor: &str) -> (EventId, EventId, Vec<Sent>) {
        let parse =
            |list: &[&'static str]| list.iter().map(|text| selector(text)).collect::<Vec<_>>();
        let selectors = parse(&rights.selectors);
        let start = self
            .store
            .resolve(&selectors, &parse(&rights.grant), cursor);
        let (grant, ids) = rights.enter(&mut self.store);
        let start = self.store.settle_start(start, &ids, grant.is_some());
        let mut sent = Vec::new();
        let Some(from) = start.cursor else {
            leave(&mut self.store, (grant, ids));
            let from = self.store.mark.place_of(cursor).unwrap_or(self.store.head);
            return (from, from, sent);
        };
        let wish = |id: &SelectorId| Wanted {
            selector: *id,
            policy: SlowConsumerPolicy::Disconnect,
        };
        let wanted: Vec<_> = ids.iter().map(wish).collect();
        let until = self.store.head();
        let mut unknown = start.unknown.is_some();
        let mut position = Position {
            cursor: from,
            told_through: start.told_through,
            until,
            conflate: false,
        };
        for turn in 0.. {
            assert!(turn < 10_000, "it gets on");
            let budget = ReadBudget {
                events: self.dice.usize(1..5),
                bytes: 100_000,
            };
            let mut out = Vec::new();
            let newest = |_| until;
            let outcome = self.store.read(
                &wanted,
                grant.as_deref(),
                position,
                budget,
                newest,
                &mut out,
            );
            let lost = outcome
                .lost_through
                .or(unknown.then_some(position.told_through));
            if let Some(lost) = lost {
                let examined = outcome.examined_through.unwrap_or(lost);
                let first = out.first().map_or(examined, |(id, _)| id.before());
                let from = if unknown {
                    EventId::ZERO
                } else {
                    position.cursor
                };
                sent.push(Sent::Gap { from, to: lost });
                position.cursor = first.min(lost).max(position.cursor);
                position.told_through = position.told_through.max(lost);
                unknown = false;
            }
            if let Some((last, _)) = out.last() {
                position.cursor = *last;
                sent.extend(out.iter().map(|(id, _)| Sent::Event(*id)));
            } else if lost.is_none() {
                let Some(through) = outcome.examined_through else {
                    break;
                };
                assert!(through >= position.cursor, "it never goes back");
                position.cursor = through;
            }
        }
        leave(&mut self.store, (grant, ids));
        let expected = if start.unknown.is_some() {
            from
        } else {
            start.told_through.max(from)
        };
        (from, expected, sent)
    }

    /// Questions everything that a stream is sent.
    fn check(&mut self, rights: &Rights, cursor: &str) {
        let (start, excused, sent) = self.follow(rights, cursor);
        let what = format!(
            "{rights:?} {cursor} from {start}: {sent:?} {:?}",
            self.store.holes
        );
        let events: Vec<_> = sent.iter().filter_map(Sent::event).collect();
        assert!(
            events.is_sorted_by(|id, next| id < next),
            "in order: {what}"
        );
        assert!(
            events.iter().all(|id| *id > start),
            "after its cursor: {what}"
        );
        let gaps: Vec<_> = sent.iter().filter_map(Sent::gap).collect();
        assert!(
            gaps.is_sorted_by(|gap, next| gap.1 < next.1),
            "each once: {what}"
        );
        let told = |id: EventId| gaps.iter().any(|(from, to)| *from < id && id <= *to);
        for event in &self.all {
            let is_sent = events.contains(&event.id);
            let is_due = rights.cover(event) && event.id > start;
            let is_kept = self.keeps(event, &rights.selectors);
            assert_eq!(is_sent, is_due && is_kept, "{event:?}: {what}");
            assert!(
                !is_due || is_sent || event.id <= excused || told(event.id),
                "silence about {event:?}: {what}"
            );
        }
        for event in &events {
            assert!(
                self.all.iter().any(|other| other.id == *event),
                "invented: {what}"
            );
        }
        // Each hole that is ahead is told once, and nothing of it twice.
        let holes = self.store.holes.as_slice().to_vec();
        for hole in holes.into_iter().filter(|hole| hole.through > excused) {
            let meets = |gap: &&(EventId, EventId)| gap.0 < hole.through && hole.after < gap.1;
            let telling: Vec<_> = gaps.iter().filter(meets).collect();
            assert_eq!(telling.len(), 1, "{hole:?} {telling:?}: {what}");
            for (from, to) in telling {
                assert!(
                    *from <= hole.after.max(start) && *to >= hole.through,
                    "{what}"
                );
            }
        }
        if let [topic] = rights.selectors[..] {
            self.check_exact(topic, start, &sent, &what);
        }
    }

    /// A stream of one topic: a gap has no event that it was sent, and it has no gap without an
    /// eviction or a hole.
    fn check_exact(&self, name: &str, start: EventId, sent: &[Sent], what: &str) {
        let Some(topic) = self.store.topics.find(name) else {
            return;
        };
        let evicted = self.store.topics.get(topic).evicted.for_reader(true);
        for (from, to) in sent.iter().filter_map(Sent::gap) {
            let mut inside = sent.iter().filter_map(Sent::event);
            let is_unknown = from == EventId::ZERO;
            assert!(
                is_unknown || !inside.any(|id| from < id && id <= to),
                "{what}"
            );
            let mut holes = self.store.holes.as_slice().iter();
            let hole = holes.find(|hole| hole.through == to);
            if let Some(hole) = hole.filter(|_| evicted <= start) {
                assert_eq!(from, hole.after.max(start), "exactly the hole: {what}");
            }
            assert!(
                hole.is_some() || evicted >= to || is_unknown,
                "no reason: {what}"
            );
        }
    }

    fn cursors(&self) -> Vec<String> {
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

    fn check_some(&mut self) {
        let cursors = self.cursors();
        for _ in 0..12 {
            let rights = self.rights();
            let cursor = cursors[self.dice.usize(..cursors.len())].clone();
            self.check(&rights, &cursor);
        }
    }
}

impl Sent {
    fn event(&self) -> Option<EventId> {
        match self {
            Self::Event(id) => Some(*id),
            Self::Gap { .. } => None,
        }
    }

    fn gap(&self) -> Option<(EventId, EventId)> {
        match self {
            Self::Event(_) => None,
            Self::Gap { from, to } => Some((*from, *to)),
        }
    }
}

fn leave(store: &mut Store, (grant, ids): (Option<Grant>, Vec<SelectorId>)) {
    for id in ids {
        store.unsubscribe(id, grant.is_some());
    }
    if let Some(grant) = &grant {
        store.unshare(grant);
    }
}

fn revival(limits: HistoryLimits, records: Vec<HistoryRecord>) -> Result<Revival, RestoreError> {
    revival_within(limits, HoldLimits::SMALL, records)
}

fn revival_within(
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

/// Events are published, evicted and lost, and topics deleted and created again, while the history
/// is walked; then the process dies. Several times.
fn crashes(seed: u64) {
    let mut life = Life::new(seed);
    for _ in 0..life.dice.usize(1..6) {
        (0..life.dice.usize(..50)).for_each(|_| life.step());
        let end = life.store.head();
        let records = life.walk(true);
        let kept: Vec<_> = TOPICS.map(|topic| kept(&life.store, topic)).into();
        let limits = life.store.limits;
        (0..life.dice.usize(..10)).for_each(|_| life.step());
        let newest = life.store.head();
        life.restart(records, Ending::Lost(newest));
        if life.store.limits == limits && life.now <= end.unix_ms() + limits.age_ms {
            for (topic, kept) in std::iter::zip(TOPICS, kept) {
                let revived = super::kept(&life.store, topic);
                let mut kept = kept.iter().filter(|id| **id <= end);
                let budget = life.store.size().bytes * 2 < limits.budget_bytes;
                let too_old = |id: &EventId| *id < limits.cut_off(life.now);
                assert!(!budget || kept.all(|id| too_old(id) || revived.contains(id)));
            }
        }
        life.check_some();
        (0..life.dice.usize(..20)).for_each(|_| life.step());
        life.check_some();
    }
}

/// A hole began at the end of another one, and a topic had evicted events in between: streams were
/// told of both.
#[test]
fn a_bound_within_a_hole_told_it_twice() {
    crashes(8_312_432_924_169_426_063);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(120))]

    #[test]
    fn readers_miss_nothing_in_silence_over_crashes(seed: u64) {
        crashes(seed);
    }

    /// After a clean stop, cursors are answered as if nothing had happened.
    #[test]
    fn after_a_clean_stop_readers_are_sent_the_same(seed: u64) {
        let mut life = Life::new(seed);
        // A reader by pattern is told a wider gap where an exact one is too much work. How much it
        // is depends on slots, which a history does not keep.
        life.store = Store::new(life.store.limits, NOW).with_mark(life.store.mark);
        (0..life.dice.usize(..100)).for_each(|_| life.step());
        for stream in std::mem::take(&mut life.streams) {
            leave(&mut life.store, stream);
        }
        let cursors = life.cursors();
        let questions: Vec<_> = (0..30).map(|_| {
            let rights = life.rights();
            (rights, cursors[life.dice.usize(..cursors.len())].clone())
        }).collect();
        let expected: Vec<_> = questions.iter().map(|(rights, cursor)| life.follow(rights, cursor)).collect();
        let (head, birth, mark) = (life.store.head, life.store.birth, life.store.mark);
        let (size, limits, now) = (life.store.size(), life.store.limits, life.now);
        let records = life.walk(false);
        // Nothing is expired: the walk took it all.
        let age_ms = u64::MAX;
        let limits = HistoryLimits { age_ms, ..limits };
        let revival = revival_within(limits, HoldLimits::default(), records);
        let revival = revival.expect("a history");
        let (store, revived) = revival.finish(Ending::Whole, now).expect("it fits");
        prop_assert_eq!((store.head, store.birth, store.mark), (head, birth, mark));
        prop_assert_eq!(store.size().events, size.events);
        prop_assert_eq!(revived.evicted, 0);
        life.store = store;
        for ((rights, cursor), expected) in std::iter::zip(&questions, expected) {
            prop_assert_eq!(life.follow(rights, cursor), expected, "{:?} {}", rights, cursor);
        }
        // The order continues, and nothing stays referenced.
        life.now -= 10_000;
        life.publish();
        prop_assert!(life.store.head > head);
        life.store.limits.age_ms = 1;
        while !expire(&mut life.store, u64::MAX >> 20, 100) {}
        prop_assert!(life.store.is_bare());
        prop_assert_eq!(life.store.size(), HistorySize::default());
    }
}

#[test]
fn more_holes_than_a_store_may_have_evict_what_is_before_the_oldest() {
    let mut life = Life::new(7);
    life.store.limits = HistoryLimits::default();
    for _ in 0..40 {
        life.now += 10;
        life.publish();
        let records = life.walk(false);
        life.now += 10;
        life.publish();
        let newest = life.store.head();
        let limits = HistoryLimits::default();
        let revival = revival(limits, records).expect("a history");
        let (store, _) = revival
            .finish(Ending::Lost(newest), life.now)
            .expect("it fits");
        life.store = store;
        life.check_some();
    }
    let holes = life.store.holes.as_slice().len();
    assert_eq!(holes, super::super::hole::HOLES_MAX);
}

#[test]
fn a_process_that_published_nothing_leaves_one_hole_with_the_one_before() {
    let mut life = Life::new(1);
    life.store.limits = HistoryLimits::default();
    life.publish();
    let first = life.store.head();
    for _ in 0..5 {
        let records = life.walk(false);
        life.now += 1_000;
        let newest = EventId::ZERO.next(life.now);
        life.restart(records, Ending::Lost(newest));
    }
    let hole = Hole {
        after: first,
        through: life.store.head(),
    };
    assert_eq!(life.store.holes.as_slice(), [hole]);
}

/// The clock was set back after a crash: ids that the dead process gave are not given again.
#[test]
fn ids_rise_over_a_crash_though_the_clock_steps_back() {
    let mut life = Life::new(1);
    life.publish();
    let records = life.walk(false);
    life.now += 60_000;
    life.publish();
    let newest = life.store.head();
    life.now -= 90_000;
    life.restart(records, Ending::Lost(newest));
    life.publish();
    assert!(life.store.head > newest);
}

#[test]
fn records_that_are_no_history_are_refused() {
    let mut life = Life::new(3);
    life.store.limits = HistoryLimits::default();
    (0..40).for_each(|_| life.publish());
    let records = life.walk(false);
    let limits = HistoryLimits::default();
    let finish = |records: Vec<HistoryRecord>| {
        let revival = revival(limits, records)?;
        revival.finish(Ending::Whole, NOW).map(drop)
    };
    assert_eq!(finish(records.clone()), Ok(()));
    assert_eq!(finish(Vec::new()), Err(RestoreError::Order));
    let headless = records[..records.len() - 1].to_vec();
    assert_eq!(finish(headless), Err(RestoreError::Order));
    let twice = [records.clone(), records.clone()].concat();
    assert_eq!(finish(twice), Err(RestoreError::Order));
    let topics_twice = [&records[..records.len() - 1], &records].concat();
    assert_eq!(finish(topics_twice), Err(RestoreError::Ids));
    assert_eq!(finish(records[1..].to_vec()), Err(RestoreError::Order));
    let mut swapped = records.clone();
    let second = swapped
        .iter()
        .position(|record| matches!(record, HistoryRecord::Event(_)));
    let second = second.expect("an event") + 1;
    assert!(matches!(swapped[second], HistoryRecord::Event(_)));
    swapped.swap(second - 1, second);
    assert_eq!(finish(swapped), Err(RestoreError::Ids));
    let mut beyond = records.clone();
    if let Some(HistoryRecord::Head(head)) = beyond.last_mut() {
        head.head = head.birth;
    }
    assert_eq!(finish(beyond), Err(RestoreError::Ids));
    let mut nameless = records;
    nameless[0] = HistoryRecord::Topic { name: "".into() };
    assert_eq!(finish(nameless), Err(RestoreError::Name));
}
