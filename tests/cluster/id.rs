//! Places in a log: the id of an entry, as the node writes it on the wire and Redis in its stream.

use std::fmt;

/// Bits of the number within a millisecond.
const NUMBER_BITS: u32 = 20;

/// The place of an entry in the log: milliseconds and a number within them, in one word.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Id(u64);

impl Id {
    /// Reads `<ms>-<number>`, with or without the mark of an order behind a dot. `None` for any
    /// other text, and for numbers that no event has.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (place, _) = text.split_once('.').unwrap_or((text, ""));
        let (ms, number) = place.split_once('-')?;
        let (ms, number): (u64, u64) = (ms.parse().ok()?, number.parse().ok()?);
        let fits = ms < 1 << (u64::BITS - NUMBER_BITS) && number < 1 << NUMBER_BITS;
        fits.then_some(Self(ms << NUMBER_BITS | number))
    }

    /// The milliseconds.
    pub(crate) fn ms(self) -> u64 {
        self.0 >> NUMBER_BITS
    }

    /// The place behind this one.
    pub(crate) fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.ms(), self.0 & ((1 << NUMBER_BITS) - 1))
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[test]
fn ids_are_read_with_and_without_their_mark() {
    let plain = Id::parse("1760422800123-7").expect("an id");
    assert_eq!(Id::parse("1760422800123-7.k3mq7z"), Some(plain));
    assert_eq!(plain.to_string(), "1760422800123-7");
    assert!(plain < plain.next());
    assert!(plain.next() < Id::parse("1760422800124-0").expect("an id"));
    assert_eq!(Id::parse("earliest"), None);
    assert_eq!(Id::parse("1760422800123-1048576"), None);
}
