//! An event from a publisher, and the id under which the node orders it. `check` has the rules for
//! events; `mark` tells the orders of ids apart.

mod check;
mod mark;

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use smallvec::SmallVec;
use thiserror::Error;

pub use check::{EventError, RETRY_MS_MAX};
pub use mark::{MarkedId, OrderMark};

/// Bits of an [`EventId`] that count events within one millisecond.
const COUNTER_BITS: u32 = 20;

/// Prefix of an id that is a UUID (RFC 9562 §4).
const URN_PREFIX: &str = "urn:uuid:";

/// The place of an event in the node's one order: unix milliseconds and a counter within the
/// millisecond, in one word.
///
/// Written `<ms>-<n>`, the form of a Redis stream entry id. Ids of one order strictly increase,
/// even if the clock steps back. An id is also a *cursor*: "everything up to and including this has
/// been seen". Clients receive it with the mark of its order ([`MarkedId`]).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventId(u64);

impl EventId {
    /// Before every event.
    pub const ZERO: Self = Self(0);

    /// Longest text form in bytes: 14 digits of milliseconds (2^44), a dash, 7 digits of counter.
    pub const TEXT_BYTES_MAX: usize = 22;

    /// Builds an id from its parts; `None` when either does not fit (44 bits of milliseconds, 20
    /// bits of counter).
    #[must_use]
    pub const fn from_parts(unix_ms: u64, counter: u64) -> Option<Self> {
        if unix_ms >= 1 << (64 - COUNTER_BITS) || counter >= 1 << COUNTER_BITS {
            return None;
        }
        Some(Self(unix_ms << COUNTER_BITS | counter))
    }

    /// The id as one ordered word.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The id of this word.
    #[must_use]
    pub const fn new(word: u64) -> Self {
        Self(word)
    }

    /// Milliseconds since the unix epoch at which the event was stamped (or later, if the clock had
    /// stepped back).
    #[must_use]
    pub const fn unix_ms(self) -> u64 {
        self.0 >> COUNTER_BITS
    }

    /// Number of the event within its millisecond, from 0.
    #[must_use]
    pub const fn counter(self) -> u64 {
        self.0 & ((1 << COUNTER_BITS) - 1)
    }

    /// The cursor just before this id.
    #[must_use]
    pub const fn before(self) -> Self {
        Self(self.0.saturating_sub(1))
    }

    /// The lowest id above this one.
    #[must_use]
    pub const fn after(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// The id that follows `self` when the clock reads `now_unix_ms`: that millisecond's first, or
    /// the successor of `self` if the clock has not moved past it.
    #[must_use]
    pub const fn next(self, now_unix_ms: u64) -> Self {
        let first = now_unix_ms << COUNTER_BITS;
        if first > self.0 {
            Self(first)
        } else {
            Self(self.0 + 1)
        }
    }

    /// The id with the mark of its order.
    #[must_use]
    pub const fn marked(self, mark: OrderMark) -> MarkedId {
        MarkedId { id: self, mark }
    }

    /// Reads a text that [`MarkedId::urn`] wrote for the same order; any other text is `None`.
    fn from_urn(urn: &str, mark: OrderMark) -> Option<Self> {
        let hex: String = urn.strip_prefix(URN_PREFIX)?.split('-').collect();
        let bits = u128::from_str_radix(&hex, 16).ok()?;
        let ms = (bits >> 80) as u64;
        let counter = (bits >> 64 & 0xfff) << 8 | bits >> 54 & 0xff;
        let id = Self::from_parts(ms, counter as u64)?;
        // Only one spelling is valid, and only this order's.
        (id.marked(mark).urn() == urn).then_some(id)
    }

    /// Appends the text form to `out`.
    pub fn write_to(self, out: &mut Vec<u8>) {
        let mut digits = itoa::Buffer::new();
        out.extend_from_slice(digits.format(self.unix_ms()).as_bytes());
        out.push(b'-');
        out.extend_from_slice(digits.format(self.counter()).as_bytes());
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.unix_ms(), self.counter())
    }
}

/// A string that is not an event id of the form `<ms>-<n>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("not an event id of the form <milliseconds>-<number>")]
pub struct ParseEventIdError;

impl FromStr for EventId {
    type Err = ParseEventIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (ms, n) = text.split_once('-').ok_or(ParseEventIdError)?;
        let number = |part: &str| {
            // `u64::from_str` would also accept "+1"; leading zeros would give one id two
            // spellings.
            let plain = !part.is_empty()
                && part.bytes().all(|b| b.is_ascii_digit())
                && (part.len() == 1 || !part.starts_with('0'));
            plain
                .then(|| part.parse::<u64>().ok())
                .flatten()
                .ok_or(ParseEventIdError)
        };
        Self::from_parts(number(ms)?, number(n)?).ok_or(ParseEventIdError)
    }
}

/// The topics of one event or subscription; most have one.
pub type Topics<'a> = SmallVec<[Cow<'a, str>; 1]>;

/// How the node writes the id of an event that it numbers itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IdForm {
    /// `<ms>-<n>.<mark>`.
    #[default]
    Native,
    /// As [`MarkedId::urn`]: an IRI, which the Mercure protocol requires.
    Urn,
}

/// An event from a publisher, before it has an id.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Event<'a> {
    /// Topics it is published to, at least one; the first is the canonical one.
    pub topics: Topics<'a>,
    /// The payload: UTF-8, any line endings.
    pub data: Cow<'a, str>,
    /// The SSE event name; `None` or empty means the default, `message`.
    pub event: Option<Cow<'a, str>>,
    /// The publisher's own id, written on the wire in place of the node's.
    pub id: Option<Cow<'a, str>>,
    /// Reconnection delay for the client, in milliseconds.
    pub retry: Option<u64>,
    /// Only for streams that were granted one of the topics.
    pub private: bool,
    /// The form of the node's own id, if the publisher gives none.
    pub id_form: IdForm,
    /// The publisher's idempotency key: a repeat with the same one publishes nothing.
    pub key: Option<Cow<'a, str>>,
}

impl<'a> Event<'a> {
    /// A plain event with one topic.
    #[must_use]
    pub fn new(topic: impl Into<Cow<'a, str>>, data: impl Into<Cow<'a, str>>) -> Self {
        let mut topics = Topics::new();
        topics.push(topic.into());
        Self {
            topics,
            data: data.into(),
            ..Self::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ids_rise_when_the_clock_does_not() {
        let first = EventId::ZERO.next(1_000);
        assert_eq!(first.to_string(), "1000-0");
        assert_eq!(first.next(1_000).to_string(), "1000-1");
        assert_eq!(first.next(5).to_string(), "1000-1");
        assert_eq!(first.next(1_001).to_string(), "1001-0");
    }

    #[test]
    fn the_counter_runs_over_into_the_next_millisecond() {
        let last = EventId::from_parts(7, (1 << 20) - 1).expect("fits");
        assert_eq!(last.next(7).to_string(), "8-0");
    }

    #[test]
    fn only_the_one_spelling_is_an_id() {
        for bad in [
            "",
            "-",
            "1-",
            "-1",
            "1",
            "01-1",
            "1-01",
            "+1-1",
            "1-+1",
            "1-1 ",
            "1-1048576",
            "17592186044416-0",
            "99999999999999999999-0",
            "1-1-1",
            "١-1",
        ] {
            assert_eq!(bad.parse::<EventId>(), Err(ParseEventIdError), "{bad:?}");
        }
        assert_eq!("0-0".parse(), Ok(EventId::ZERO));
    }

    proptest! {
        #[test]
        fn text_form_round_trips(word: u64) {
            let id = EventId::new(word);
            prop_assert_eq!(id.to_string().parse(), Ok(id));
            let mut text = Vec::new();
            id.write_to(&mut text);
            prop_assert_eq!(text, id.to_string().into_bytes());
            prop_assert!(id.to_string().len() <= EventId::TEXT_BYTES_MAX);
        }
    }
}
