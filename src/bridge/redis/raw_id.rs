//! An id of an entry, as Redis has it.

use std::fmt;

use crate::core::event::EventId;

/// Number of an entry that does not fit an [`EventId`], and of all above it.
const COUNTER_END: u64 = 1 << 20;

/// Milliseconds that do not fit an [`EventId`].
const MS_END: u64 = 1 << 44;

/// An id as Redis has it: two numbers of 64 bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct RawId {
    ms: u64,
    number: u64,
}

impl RawId {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (ms, number) = text.split_once('-')?;
        Some(Self {
            ms: ms.parse().ok()?,
            number: number.parse().ok()?,
        })
    }

    pub(super) fn of(id: EventId) -> Self {
        Self {
            ms: id.unix_ms(),
            number: id.counter(),
        }
    }

    /// Whether its time does not fit.
    pub(super) fn is_beyond_time(self) -> bool {
        self.ms >= MS_END
    }

    /// The id that a node has for it: the highest one of its millisecond, if its number is too high.
    pub(super) fn at_most(self) -> EventId {
        let ms = self.ms.min(MS_END - 1);
        let highest = EventId::from_parts(ms, COUNTER_END - 1).unwrap_or_default();
        EventId::from_parts(ms, self.number).unwrap_or(highest)
    }

    pub(super) fn after(self) -> Self {
        match self.number.checked_add(1) {
            Some(number) => Self { number, ..self },
            None => Self {
                ms: self.ms.saturating_add(1),
                number: 0,
            },
        }
    }
}

impl fmt::Display for RawId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.ms, self.number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_beyond_the_nodes_numbers_has_the_last_id_of_its_millisecond() {
        let id = |text| RawId::parse(text).expect("an id");
        assert_eq!(id("5-1048575").at_most().to_string(), "5-1048575");
        assert_eq!(id("5-1048576").at_most().to_string(), "5-1048575");
        assert_eq!(
            id("5-18446744073709551615").at_most().to_string(),
            "5-1048575"
        );
        assert_eq!(id("5-18446744073709551615").after(), id("6-0"));
        assert!(id("17592186044416-0").is_beyond_time());
        assert!(!id("17592186044415-9").is_beyond_time());
    }
}
