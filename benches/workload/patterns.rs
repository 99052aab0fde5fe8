//! Many different selectors, and a publisher to topics that few or all of them match.

use fantail::core::selector::{Selector, Syntax};

use super::publish::Audience;

/// Streams that share the selectors: each may have a thousand.
const STREAMS: usize = 10;

/// Longest selector, in bytes.
const BYTES_MAX: usize = 1_024;

/// What the selectors are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Case {
    /// There are none.
    None,
    /// Names of other topics.
    Names,
    /// Templates that start otherwise.
    Elsewhere,
    /// Templates that start as the topics do and do not match them.
    Near,
    /// Templates that start and end as the topics may, and differ in the middle.
    Within,
    /// Templates that all match.
    Matching,
}

pub(crate) const CASES: [Case; 6] = [
    Case::None,
    Case::Names,
    Case::Elsewhere,
    Case::Near,
    Case::Within,
    Case::Matching,
];

impl Case {
    fn selector(self, number: usize) -> String {
        match self {
            Self::None => String::new(),
            Self::Names => format!("other/{number}"),
            Self::Elsewhere => format!("room-{number}/{{id}}"),
            Self::Near => format!("publish/{{id}}/comments/{number}"),
            Self::Within => format!("publish/{{id}}/x{number}y/{{rest}}"),
            Self::Matching => format!("publish/{{id{number}}}"),
        }
    }
}

/// Streams that have `count` different selectors together, and a publisher to one topic or always
/// to new ones.
pub(crate) fn audience(case: Case, count: usize, new_topics: bool) -> Audience {
    if case == Case::None {
        return Audience {
            new_topics,
            ..Audience::on_topic(0)
        };
    }
    let mut selectors = vec![Vec::new(); STREAMS];
    for number in 0..count {
        let text = case.selector(number);
        if let (Some(stream), Ok(selector)) = (
            selectors.get_mut(number % STREAMS),
            Selector::parse(&text, Syntax::Native, BYTES_MAX),
        ) {
            stream.push(selector);
        }
    }
    let heard = case == Case::Matching;
    Audience {
        selectors,
        streams: if heard { STREAMS } else { 0 },
        // Templates that match the same topics are one subscription of a stream.
        subscriptions: if heard { STREAMS as u64 } else { 0 },
        new_topics,
    }
}
