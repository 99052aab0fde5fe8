//! Event ids of the form `<milliseconds>-<number>`, with or without `.<mark>`: compared to check
//! that a gap names what is missing.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Longest answer to a published event that an id is searched in, in bytes.
pub(crate) const ANSWER_BYTES_MAX: usize = 1024;

/// An event's place in the order of its server. The mark is left out: ids rise over a restart.
#[derive(
    Clone, Copy, Debug, Default, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize,
)]
pub(crate) struct EventId {
    milliseconds: u64,
    number: u64,
}

/// The range of a gap: everything after `from`, up to and including `to`.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub(crate) struct Span {
    pub(crate) from: EventId,
    pub(crate) to: EventId,
}

/// The data of a gap event.
#[derive(Deserialize)]
struct Told<'a> {
    from: &'a str,
    to: &'a str,
}

/// The answer to a published event.
#[derive(Deserialize)]
struct Receipt<'a> {
    id: &'a str,
}

impl EventId {
    /// Reads an id; a number alone stands for the first id of its millisecond.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (place, _mark) = text.split_once('.').unwrap_or((text, ""));
        let (milliseconds, number) = place.split_once('-').unwrap_or((place, "0"));
        let digits = |text: &str| {
            let all = text.bytes().all(|byte| byte.is_ascii_digit());
            text.parse().ok().filter(|_| all)
        };
        Some(Self {
            milliseconds: digits(milliseconds)?,
            number: digits(number)?,
        })
    }

    /// Milliseconds and number.
    pub(crate) fn parts(self) -> (u64, u64) {
        (self.milliseconds, self.number)
    }

    /// The id of milliseconds and a number.
    pub(crate) fn of_parts(milliseconds: u64, number: u64) -> Self {
        Self {
            milliseconds,
            number,
        }
    }

    /// The id in an answer to a published event: the member `id` of a JSON object, or all of it.
    pub(crate) fn in_answer(answer: &[u8]) -> Option<Self> {
        if let Ok(receipt) = serde_json::from_slice::<Receipt<'_>>(answer) {
            return Self::parse(receipt.id);
        }
        Self::parse(std::str::from_utf8(answer).ok()?.trim())
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.milliseconds, self.number)
    }
}

impl Span {
    /// Reads the data of a gap event.
    pub(crate) fn parse(data: &[u8]) -> Option<Self> {
        let told: Told<'_> = serde_json::from_slice(data).ok()?;
        Some(Self {
            from: EventId::parse(told.from)?,
            to: EventId::parse(told.to)?,
        })
    }

    /// Whether the event of this id is within.
    pub(crate) fn contains(&self, id: EventId) -> bool {
        self.from < id && id <= self.to
    }

    /// The smallest range that has both.
    pub(crate) fn join(self, other: Self) -> Self {
        Self {
            from: self.from.min(other.from),
            to: self.to.max(other.to),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(milliseconds: u64, number: u64) -> EventId {
        EventId {
            milliseconds,
            number,
        }
    }

    #[test]
    fn ids_are_read_with_and_without_their_mark() {
        assert_eq!(
            EventId::parse("1760422800123-7.k3mq7z"),
            Some(id(1_760_422_800_123, 7))
        );
        assert_eq!(EventId::parse("12-0"), Some(id(12, 0)));
        assert_eq!(EventId::parse("12"), Some(id(12, 0)));
        for text in [
            "",
            "-",
            "1-",
            "-1",
            "+1-2",
            "urn:uuid:1",
            "order-7",
            "1-2-3",
        ] {
            assert_eq!(EventId::parse(text), None, "{text}");
        }
    }

    #[test]
    fn the_id_of_an_answer_is_found() {
        let json = br#"{"id":"5-1.k3mq7z","subscribers":3}"#;
        assert_eq!(EventId::in_answer(json), Some(id(5, 1)));
        assert_eq!(EventId::in_answer(b"5-1\n"), Some(id(5, 1)));
        assert_eq!(EventId::in_answer(b"ok"), None);
        assert_eq!(EventId::in_answer(br#"{"id":7}"#), None);
    }

    #[test]
    fn the_first_end_of_a_range_is_outside_and_the_second_within() {
        let data = br#"{"from":"5-1.aaaaaa","reason":"unknown","to":"7-0.bbbbbb"}"#;
        let span = Span::parse(data).expect("a range");
        let within = [id(5, 0), id(5, 1), id(5, 2), id(7, 0), id(7, 1)];
        assert_eq!(
            within.map(|id| span.contains(id)),
            [false, false, true, true, false]
        );
        assert_eq!(Span::parse(b"{}"), None);
        assert_eq!(Span::parse(br#"{"from":"","to":"1-1"}"#), None);
    }
}
