//! Operators' queries for streams.

use std::net::IpAddr;
use std::sync::Arc;

use hashbrown::HashMap;
use ipnet::IpNet;

use crate::core::selector::Selector;

use super::StreamInfo;
use super::budget::FindLimits;

/// Conditions on streams; an absent one is always true.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StreamQuery {
    /// They subscribe to exactly this selector; to a pattern that matches this topic; or to a topic
    /// that this pattern matches.
    pub topic: Option<Selector>,
    /// Their token's claim `sub`.
    pub subject: Option<Arc<str>>,
    /// Their client's address is in this network.
    pub address: Option<IpNet>,
}

impl StreamQuery {
    /// Whether every stream matches.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether the client's address matches.
    pub(crate) fn is_from(&self, client: impl FnOnce() -> Option<IpAddr>) -> bool {
        self.address
            .is_none_or(|network| client().is_some_and(|client| network.contains(&client)))
    }
}

/// The task for matching streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    /// Describe at most this many.
    Show(usize),
    /// End them.
    End,
}

/// The result of one turn.
#[derive(Debug, Default)]
pub struct Found {
    /// The streams, if they were to be described.
    pub streams: Vec<StreamInfo>,
    /// How many were ended.
    pub ended: usize,
    /// The slot at which to continue; `None` at the end.
    pub next: Option<u32>,
}

/// Matches of one turn's topics: each topic is matched once, and the cost is counted.
pub(crate) struct Meant<'q> {
    asked: Option<&'q Selector>,
    known: HashMap<u32, bool>,
    limits: FindLimits,
    steps: usize,
    topics: usize,
}

impl<'q> Meant<'q> {
    pub(crate) fn new(query: &'q StreamQuery, limits: FindLimits) -> Self {
        Self {
            asked: query.topic.as_ref(),
            known: HashMap::new(),
            limits,
            steps: 0,
            topics: 0,
        }
    }

    /// Whether the turn's bounds are reached.
    pub(crate) fn is_spent(&self) -> bool {
        self.steps >= self.limits.steps || self.topics >= self.limits.topics
    }

    /// Whether one of these topics matches; `selector` returns the selector of a topic of this
    /// shard.
    pub(crate) fn is_any(
        &mut self,
        mut topics: impl Iterator<Item = u32>,
        selector: impl Fn(u32) -> Option<Selector>,
    ) -> bool {
        let Some(asked) = self.asked else { return true };
        topics.any(|topic| {
            self.topics += 1;
            *self.known.entry(topic).or_insert_with(|| {
                let own = selector(topic);
                let (meets, steps) = own.map_or((false, 0), |own| meets(asked, &own));
                self.steps += steps + 1;
                meets
            })
        })
    }
}

/// Whether a stream that subscribes to `own` matches `asked`, and the number of steps of the
/// comparison.
fn meets(asked: &Selector, own: &Selector) -> (bool, usize) {
    if asked.text() == own.text() {
        return (true, asked.text().len());
    }
    match (asked.is_exact(), own.is_exact()) {
        (true, false) => own.matches_in_steps(asked.text()),
        (false, true) => asked.matches_in_steps(own.text()),
        _ => (false, 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::selector::Syntax;

    #[test]
    fn a_topic_means_those_who_hear_it_and_a_pattern_those_who_subscribe_within_it() {
        let selector = |text| Selector::parse(text, Syntax::Native, 100).expect(text);
        let meets = |asked, own| meets(&selector(asked), &selector(own)).0;
        for (asked, own) in [
            ("a/b", "a/b"),
            ("a/b", "a/*"),
            ("a/b", "*"),
            ("a/*", "a/b"),
            ("a/*", "a/*"),
            ("/{x}", "/b"),
        ] {
            assert!(meets(asked, own), "{asked} {own}");
        }
        for (asked, own) in [
            ("a/b", "a/c"),
            ("a/b", "b/*"),
            ("a/*", "a/**"),
            ("a/*", "b"),
        ] {
            assert!(!meets(asked, own), "{asked} {own}");
        }
    }

    #[test]
    fn a_turn_ends_when_enough_was_matched() {
        let query = StreamQuery {
            topic: Some(Selector::exact("a")),
            ..StreamQuery::default()
        };
        let topics = FindLimits {
            topics: 8_000,
            ..FindLimits::default()
        };
        let steps = FindLimits {
            steps: 2_000,
            ..FindLimits::default()
        };
        // Two steps per topic, the first time.
        for (limits, expected) in [(topics, 8), (steps, 1)] {
            let mut meant = Meant::new(&query, limits);
            let mut calls = 0;
            while !meant.is_spent() {
                calls += 1;
                assert!(!meant.is_any(0..1_000, |_| Some(Selector::exact("b"))));
            }
            assert_eq!(calls, expected, "{limits:?}");
            // Each was matched once.
            assert_eq!(meant.known.len(), 1_000);
        }
    }
}
