//! Many different selectors, and a publisher to topics that few or all of them match.

use fantail::core::selector::{Selector, Syntax};

use super::publish::{Audience, TOPICS};

/// Streams that share the selectors: each may have a thousand.
const STREAMS: usize = 10;

/// Longest selector, in bytes.
const BYTES_MAX: usize = 1_024;

/// What the selectors are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Case {
    /// There are none, and no streams.
    None,
    /// Names of other topics.
    Names,
    /// Templates that start otherwise.
    Elsewhere,
    /// Templates that start as the topics do and do not match them.
    Near,
    /// Templates that start and end as the topics may, and differ in the middle.
    Within,
    /// One template that matches, which all streams have.
    Heard,
    /// Templates that all match, and differ only in the name of the variable.
    Matching,
    /// Templates that all match, and are all different patterns.
    Different,
}

pub(crate) const CASES: [Case; 8] = [
    Case::None,
    Case::Names,
    Case::Elsewhere,
    Case::Near,
    Case::Within,
    Case::Heard,
    Case::Matching,
    Case::Different,
];

/// A text of which each pattern leaves other letters out.
const LETTERS: &str = "abcdefghijklmnop";

/// What the topics start with that all different templates match.
const LETTERED_TOPICS: &str = "publish/abcdefghijklmnop/";

impl Case {
    fn selector(self, number: usize) -> String {
        match self {
            Self::None => String::new(),
            Self::Names => format!("other/{number}"),
            Self::Elsewhere => format!("room-{number}/{{id}}"),
            Self::Near => format!("publish/{{id}}/comments/{number}"),
            Self::Within => format!("publish/{{id}}/x{number}y/{{rest}}"),
            Self::Heard => "publish/{id}".to_owned(),
            Self::Matching => format!("publish/{{id{number}}}"),
            Self::Different => {
                let kept = |at: usize| number >> at & 1 == 1;
                let letters = LETTERS.chars().enumerate();
                let letters = letters.map(|(at, letter)| match at.checked_sub(1) {
                    _ if kept(at) => letter.to_string(),
                    Some(before) if !kept(before) => String::new(),
                    _ => format!("{{v{at}}}"),
                });
                format!("publish/{}/{{id}}", letters.collect::<String>())
            }
        }
    }

    /// Whether the publisher's topics match.
    pub(crate) fn is_heard(self) -> bool {
        matches!(self, Self::Heard | Self::Matching | Self::Different)
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
    let count = if case == Case::Heard { STREAMS } else { count };
    for number in 0..count {
        let text = case.selector(number);
        if let (Some(stream), Ok(selector)) = (
            selectors.get_mut(number % STREAMS),
            Selector::parse(&text, Syntax::Native, BYTES_MAX),
        ) {
            stream.push(selector);
        }
    }
    Audience {
        selectors,
        streams: if case.is_heard() { STREAMS } else { 0 },
        subscriptions: match case {
            // Templates that match the same topics are one subscription of a stream.
            Case::Heard | Case::Matching => STREAMS as u64,
            Case::Different => count as u64,
            _ => 0,
        },
        new_topics,
        topics: if case == Case::Different {
            LETTERED_TOPICS
        } else {
            TOPICS
        },
    }
}
