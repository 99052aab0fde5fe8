//! Live delivery to streams that are told the topics of their events.

use bytes::Bytes;

use crate::core::history::{Numbers, SelectorId};

use super::named_run::Choice;
use super::run::Run;
use super::run_event::RunEvent;
use super::subscriber::{Flags, Key};
use super::{Core, Io, Sent};

impl<I: Io> Core<I> {
    /// `Core::write_run` for a stream that is told topics.
    pub(super) fn write_named(&mut self, slot: u32, run: &mut Run, io: &mut I) {
        let Some(subscriber) = self.subscribers.get(slot) else {
            return;
        };
        let key = Key {
            slot,
            serial: subscriber.serial,
        };
        let first = run.first_after(subscriber.cursor);
        if first == run.events.len() {
            return;
        }
        let choice = self.choose_topics(slot, &run.events[first..]);
        let number = run.name(first, choice, subscriber.encoding.of_frames());
        let named = &run.named[number];
        let total = named.parts.iter().map(Bytes::len).sum();
        let accepted = match io.send(key, &subscriber.wire, &named.parts) {
            Sent::All => total,
            Sent::Part(accepted) => {
                self.count_write(slot, accepted);
                self.split_named(slot, run, number, accepted);
                return;
            }
            Sent::Gone(reason) => return self.close(key, reason, io),
        };
        self.count_write(slot, accepted);
        let events = run.events.len() - first;
        self.counters.deliveries.add(events as u64);
        self.advance(slot, run.last_id);
    }

    /// `Core::split_run` for a stream that is told topics. Once a byte of an event's line is
    /// accepted, the event itself must follow.
    fn split_named(&mut self, slot: u32, run: &Run, number: usize, accepted: usize) {
        let named = &run.named[number];
        let (whole, rest) = named.cut(&run.events, accepted);
        let seen = whole + usize::from(rest.is_some());
        let (remainder, frame_bytes) = rest.unwrap_or_default();
        self.counters.deliveries.add(seen as u64);
        if seen > 0 {
            self.advance(slot, run.events[named.first + seen - 1].id);
        }
        self.block(slot, remainder, frame_bytes);
    }

    /// Chooses the topics of these events that a stream is told.
    fn choose_topics(&self, slot: u32, events: &[RunEvent]) -> Choice {
        let grant = self.tickets.grant(slot).map(|grant| &**grant);
        let choose = |event: &RunEvent| {
            let topics = event.topics.as_ref();
            debug_assert!(topics.is_some(), "posted with the names of its topics");
            topics.map_or_else(Numbers::new, |it| it.choose(self.selectors_of(slot), grant))
        };
        events.iter().map(choose).collect()
    }

    /// The selectors of a stream that may match an event of this turn, in their order.
    fn selectors_of(&self, slot: u32) -> impl Iterator<Item = SelectorId> + Clone {
        let subscriber = self.subscribers.get(slot);
        let of = |flag: bool| subscriber.filter(move |it| it.flags.has(Flags::MULTI) == flag);
        let set = of(true).map_or(&[][..], |it| self.topics.set(it.topic));
        let single = of(false).map(|it| it.topic);
        let all = set.iter().map(|at| at.topic).chain(single);
        let topics = all.filter_map(|index| self.topics.get(index));
        // The patterns of a set are not marked.
        let may_match = topics.filter(|topic| topic.is_dirty() || topic.id.is_pattern());
        may_match.map(|topic| topic.id)
    }
}
