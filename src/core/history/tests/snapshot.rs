//! A store restored from a snapshot answers as the original does.

use proptest::prelude::*;

use super::*;
use crate::core::event::OrderMark;
use crate::core::selector::Syntax;

const TOPICS: [&str; 5] = ["a/1", "a/2", "b/1", "b/2", "c"];

const SELECTORS: [&str; 7] = ["a/1", "a/2", "b/1", "c", "a/*", "b/{x}", "{+all}"];

fn selector(text: &str) -> Selector {
    Selector::parse(text, Syntax::Native, 100).expect("a selector")
}

/// A stream as the store knows it.
struct Stream {
    ids: Vec<SelectorId>,
    grant: Option<Grant>,
}

/// A store under random use.
struct Use {
    dice: fastrand::Rng,
    store: Store,
    streams: Vec<Stream>,
    now: u64,
}

fn random_draft(dice: &mut fastrand::Rng) -> Draft<'static> {
    let count = dice.usize(1..4);
    let topics = dice.choose_multiple(TOPICS, count);
    let own_id = (dice.u8(..3) == 0).then(|| format!("own-{}", dice.u8(..6)));
    let event = Event {
        topics: topics.into_iter().map(Into::into).collect(),
        id: own_id.map(Into::into),
        private: dice.bool(),
        ..Event::new("", "x".repeat(dice.usize(0..80)))
    };
    Draft::new(event, &EventLimits::default()).expect("valid")
}

fn some_of(dice: &mut fastrand::Rng, least: usize) -> Vec<Selector> {
    let count = dice.usize(least..4);
    let mut texts = dice.choose_multiple(SELECTORS, count);
    texts.sort_unstable();
    texts.into_iter().map(selector).collect()
}

impl Use {
    fn new(seed: u64) -> Self {
        let mut dice = fastrand::Rng::with_seed(seed);
        let limits = HistoryLimits {
            events: dice.usize(1..8),
            bytes: dice.usize(100..2_000),
            age_ms: dice.u64(10..2_000),
            budget_bytes: dice.usize(1_000..12_000),
        };
        Self {
            store: Store::new(limits, NOW)
                .with_mark(OrderMark::new(seed))
                .with_hold(HoldLimits::SMALL),
            dice,
            streams: Vec::new(),
            now: NOW,
        }
    }

    fn step(&mut self) {
        self.now += self.dice.u64(..50);
        match self.dice.u8(..10) {
            0..5 => {
                let mut draft = random_draft(&mut self.dice);
                append(&mut self.store, &mut draft, self.now);
            }
            5..8 => {
                let selectors = some_of(&mut self.dice, 1);
                let granted = some_of(&mut self.dice, 0);
                let shard = self.dice.usize(..3);
                let subscribe = |selector: &Selector| {
                    self.store.subscribe(selector, shard, !granted.is_empty())
                };
                let ids = selectors.iter().map(subscribe).collect();
                let grant = self.store.share(&granted);
                self.streams.push(Stream { ids, grant });
            }
            8 if !self.streams.is_empty() => {
                let gone = self.dice.usize(..self.streams.len());
                let stream = self.streams.swap_remove(gone);
                end(&mut self.store, &stream);
            }
            _ => _ = expire(&mut self.store, self.now, 10),
        }
    }

    /// A store restored from a snapshot that was taken in portions of random size.
    fn restored(&mut self) -> Store {
        let mut records = Vec::new();
        let mut cursor = SnapshotCursor::default();
        while cursor != SnapshotCursor::End {
            let (before, count) = (records.len(), self.dice.usize(1..5));
            cursor = self.store.snapshot(cursor, count, &mut records);
            assert!(records.len() - before <= count, "more than was asked for");
        }
        let store = Store::restore(self.store.limits, HoldLimits::SMALL, records).expect("whole");
        store.with_hold(self.store.hold)
    }
}

fn end(store: &mut Store, stream: &Stream) {
    for id in &stream.ids {
        store.unsubscribe(*id, stream.grant.is_some());
    }
    if let Some(grant) = &stream.grant {
        store.unshare(grant);
    }
}

/// The answers of a store to all its queries, as text.
fn answers(store: &mut Store, streams: &[Stream], cursors: &[String]) -> Vec<String> {
    let mut answers = vec![
        format!("{:?} {:?}", store.head(), store.size()),
        store.bare_topic_bytes().to_string(),
        store.head().marked(store.mark()).urn(),
        store.patterns().to_string(),
    ];
    let all = (EventId::ZERO, EventId::new(u64::MAX));
    for topic in TOPICS {
        let kept = store.range(topic, all, usize::MAX, false).into_iter();
        let kept: Vec<_> = kept
            .map(|(id, frame)| (id, frame.chunked().clone()))
            .collect();
        answers.push(format!("{topic} {kept:?} {}", store.subscribers(topic)));
        answers.push(
            store
                .may_have_changed(topic, store.head().before())
                .to_string(),
        );
    }
    for stream in streams {
        let selectors: Vec<_> = stream.ids.iter().map(|id| store.selector(*id)).collect();
        let granted = stream.grant.iter().flat_map(|grant| grant.iter());
        let granted: Vec<_> = granted.map(|id| store.selector(*id)).collect();
        for cursor in cursors {
            let mut start = store.resolve(&selectors, &granted, cursor);
            // How far the search for this id goes depends on notes of evicted events, which a
            // snapshot leaves out.
            start.last_event_id = None;
            answers.push(format!("{start:?}"));
        }
        let wanted = stream.ids.iter();
        let wanted: Vec<_> = wanted
            .map(|id| Wanted {
                selector: *id,
                policy: SlowConsumerPolicy::Skip,
            })
            .collect();
        let budget = ReadBudget {
            events: 100,
            bytes: 100_000,
        };
        let grant = stream.grant.as_deref();
        let mut position = Position {
            cursor: EventId::ZERO,
            told_through: EventId::ZERO,
            until: store.head(),
            conflate: false,
        };
        let (mut out, mut outcomes) = (Vec::new(), Vec::new());
        // Reads in as many portions as it takes.
        loop {
            let newest = |_| EventId::ZERO;
            let outcome = store.read(&wanted, grant, position, budget, newest, &mut out);
            outcomes.extend(outcome.lost_through.map(|lost| (lost, outcome.disconnect)));
            let Some(through) = outcome.examined_through else {
                break;
            };
            let taken = out.last().map_or(EventId::ZERO, |(id, _)| *id);
            position.cursor = through.max(taken);
        }
        let lost = outcomes.first();
        let ids: Vec<_> = out.into_iter().map(|(id, _)| id).collect();
        answers.push(format!("{lost:?} {ids:?}"));
    }
    answers
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn a_restored_store_answers_as_the_original(seed: u64) {
        let mut original = Use::new(seed);
        for _ in 0..original.dice.usize(..80) {
            original.step();
        }
        let mut restored = original.restored();
        let own = (0..6).map(|n| format!("own-{n}"));
        let all = (EventId::ZERO, EventId::new(u64::MAX));
        let ids = TOPICS.map(|topic| original.store.range(topic, all, 1, false));
        let ids = ids.iter().flatten().map(|(id, _)| id.marked(original.store.mark()).to_string());
        let birth = original.store.birth;
        let births = [birth.before(), birth].map(|id| id.marked(original.store.mark()).to_string());
        let words = ["earliest", "none"].map(str::to_owned);
        let cursors: Vec<_> = own.chain(ids).chain(births).chain(words).collect();
        let mut expected = answers(&mut original.store, &original.streams, &cursors);
        let answered = answers(&mut restored, &original.streams, &cursors);
        for (number, (left, right)) in expected.iter().zip(&answered).enumerate() {
            prop_assert_eq!(left, right, "answer {}", number);
        }
        // Further events have the same effect on both.
        for _ in 0..10 {
            let mut dice = original.dice.fork();
            let stamp = Stamp::Local(original.now);
            let appended = [&mut original.store, &mut restored].map(|store| {
                let mut draft = random_draft(&mut dice.clone());
                format!("{:?}", store.append(&mut draft, stamp))
            });
            dice.u8(..);
            prop_assert_eq!(&appended[0], &appended[1]);
        }
        expected = answers(&mut original.store, &original.streams, &cursors);
        let answered = answers(&mut restored, &original.streams, &cursors);
        for (left, right) in expected.iter().zip(&answered) {
            prop_assert_eq!(left, right, "after what happened next");
        }
        // Nothing stays referenced for ever: the grants of the streams are found again by their
        // ids.
        for stream in &original.streams {
            end(&mut original.store, stream);
            let grant = stream.grant.as_ref();
            let grant = grant.map(|grant| restored.grant_of(grant).expect("it is held"));
            end(&mut restored, &Stream { ids: stream.ids.clone(), grant });
        }
        let later = original.now + 1_000_000;
        for store in [&mut original.store, &mut restored] {
            while !expire(store, later, 100) {}
            prop_assert!(store.is_bare());
            prop_assert_eq!(store.size(), HistorySize::default());
        }
    }
}

#[test]
fn records_that_are_no_snapshot_are_refused() {
    let mut store = Use::new(1);
    for _ in 0..40 {
        store.step();
    }
    let mut records = Vec::new();
    let end = store
        .store
        .snapshot(SnapshotCursor::Head, usize::MAX, &mut records);
    assert_eq!(end, SnapshotCursor::End);
    let limits = store.store.limits;
    assert!(Store::restore(limits, HoldLimits::SMALL, records.clone()).is_ok());
    let none = Store::restore(limits, HoldLimits::SMALL, []).map(drop);
    assert_eq!(none, Err(RestoreError::Order));
    let headless = Store::restore(limits, HoldLimits::SMALL, records[1..].to_vec()).map(drop);
    assert_eq!(headless, Err(RestoreError::Order));
    let twice = Store::restore(
        limits,
        HoldLimits::SMALL,
        [records.clone(), records.clone()].concat(),
    )
    .map(drop);
    assert_eq!(twice, Err(RestoreError::Order));
    let lonely = Record::Grant {
        ids: SelectorIds::from_elem(SelectorId(7), 1),
        streams: 1,
    };
    let unknown = Store::restore(limits, HoldLimits::SMALL, [records[0].clone(), lonely]).map(drop);
    assert_eq!(unknown, Err(RestoreError::Unknown));
}
