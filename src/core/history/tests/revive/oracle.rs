//! What a stream is sent that returns, and the questions about it.

use super::world::{Published, Rights, leave, matches, selector};
use super::*;

/// What a reader was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Sent {
    Event(EventId),
    Gap { from: EventId, to: EventId },
}

impl Life {
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
    pub(super) fn follow(
        &mut self,
        rights: &Rights,
        cursor: &str,
    ) -> (EventId, EventId, Vec<Sent>) {
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

    pub(super) fn check_some(&mut self) {
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
