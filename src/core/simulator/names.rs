//! The topics and patterns of the simulator, and the naive truth of their matches.

use crate::core::selector::{Selector, Syntax};

/// Topics; the even ones and the odd ones have starts of their own.
pub(super) const TOPICS: usize = 5;

/// Patterns, and the topics that each matches, written down by hand.
const PATTERNS: [(&str, &[usize]); 6] = [
    ("*", &[0, 1, 2, 3, 4]),
    ("even/{number}", &[0, 2, 4]),
    ("odd/*", &[1, 3]),
    ("{kind}/3", &[3]),
    ("{+all}", &[0, 1, 2, 3, 4]),
    ("even/{number}/{more}", &[]),
];

/// One topic, or one of the patterns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sel {
    Topic(usize),
    Pattern(usize),
}

impl Sel {
    pub(super) fn matches(self, topic: usize) -> bool {
        match self {
            Self::Topic(one) => one == topic,
            Self::Pattern(pattern) => PATTERNS[pattern].1.contains(&topic),
        }
    }

    pub(super) fn selector(self) -> Selector {
        match self {
            Self::Topic(topic) => Selector::exact(&name(topic)),
            Self::Pattern(pattern) => {
                Selector::parse(PATTERNS[pattern].0, Syntax::Native, 100).expect("a pattern")
            }
        }
    }
}

/// The name of a topic.
pub(super) fn name(topic: usize) -> String {
    let kind = if topic.is_multiple_of(2) {
        "even"
    } else {
        "odd"
    };
    format!("{kind}/{topic}")
}

/// The topic of this name.
pub(super) fn topic(text: &str) -> usize {
    let mut topics = 0..TOPICS;
    topics.find(|topic| name(*topic) == text).expect("a topic")
}

/// Between `least` and `most` different ones, patterns at one throw in four.
pub(super) fn choose(dice: &mut fastrand::Rng, least: usize, most: usize) -> Vec<Sel> {
    let mut chosen = Vec::new();
    for _ in 0..dice.usize(least..=most) {
        let one = if dice.u8(..4) == 0 {
            Sel::Pattern(dice.usize(..PATTERNS.len()))
        } else {
            Sel::Topic(dice.usize(..TOPICS))
        };
        if !chosen.contains(&one) {
            chosen.push(one);
        }
    }
    chosen
}
