//! `last` and `since`: a new stream begins with events of the past.
//!
//! They are for clients without a cursor. An `EventSource` repeats its address when it comes back,
//! so they are ignored beside a cursor, but checked all the same.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use thiserror::Error;

use crate::server::query;

/// Name of the parameter that asks for a number of events.
pub(super) const LAST: &str = "last";

/// Name of the parameter that asks for the events since a time.
pub(super) const SINCE: &str = "since";

/// Most events that a stream may begin with.
const LAST_MAX: usize = 1_000;

/// Characters of an offset from UTC, as in `+02:00`.
const OFFSET_BYTES: usize = 6;

/// The events that a new stream begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Past {
    /// This many of the newest.
    Last(usize),
    /// Those since a time, in milliseconds since the Unix epoch.
    Since(u64),
}

/// Why the parameters are malformed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(crate) enum PastError {
    /// A parameter is given twice.
    #[error("`{0}` is given twice")]
    Twice(&'static str),
    /// Both parameters are given.
    #[error("`last` and `since` cannot be combined: leave one of them out")]
    Both,
    /// Not a number of events.
    #[error("`last` must be a number of events from 1 to {LAST_MAX}")]
    Last,
    /// Not a time.
    #[error(
        "`since` must be a span of time, such as `10m` or `1h 30m`, or a time in the form of RFC 3339, such as `2026-01-31T09:30:00Z`"
    )]
    Since,
}

impl PastError {
    /// The parameter at fault.
    pub(super) fn field(self) -> &'static str {
        match self {
            Self::Twice(name) => name,
            Self::Last => LAST,
            Self::Both | Self::Since => SINCE,
        }
    }
}

/// The events that the parameters ask for.
///
/// # Errors
/// [`PastError`].
pub(super) fn of(query: Option<&str>, now: Duration) -> Result<Option<Past>, PastError> {
    let (mut last, mut since) = (None, None);
    for (name, value) in query.into_iter().flat_map(query::pairs).flatten() {
        let (name, slot) = match &*name {
            LAST => (LAST, &mut last),
            SINCE => (SINCE, &mut since),
            _ => continue,
        };
        if slot.replace(value).is_some() {
            return Err(PastError::Twice(name));
        }
    }
    match (last, since) {
        (None, None) => Ok(None),
        (Some(_), Some(_)) => Err(PastError::Both),
        (Some(last), None) => {
            let count = query::number(&last).filter(|count| (1..=LAST_MAX).contains(count));
            Ok(Some(Past::Last(count.ok_or(PastError::Last)?)))
        }
        (None, Some(since)) => {
            let time = span(&since).map(|span| now.saturating_sub(span));
            let time = time.or_else(|| moment(&since)).ok_or(PastError::Since)?;
            // An id has no finer time.
            Ok(Some(Past::Since(time.as_millis() as u64)))
        }
    }
}

/// A span of time, in the form of the settings.
fn span(text: &str) -> Option<Duration> {
    humantime::parse_duration(text).ok()
}

/// A time in the form of RFC 3339, since the Unix epoch.
fn moment(text: &str) -> Option<Duration> {
    let text = text.to_ascii_uppercase();
    let (local, offset_s) = match text.strip_suffix('Z') {
        Some(local) => (local, 0),
        None => {
            let (local, offset) = text.split_at_checked(text.len().checked_sub(OFFSET_BYTES)?)?;
            (local, offset_s(offset)?)
        }
    };
    // The reader of humantime is lax in what it accepts for the `T`.
    if local.as_bytes().get(10) != Some(&b'T') || local.ends_with('.') {
        return None;
    }
    let is_plain = |byte: u8| byte.is_ascii_digit() || b"-:.T".contains(&byte);
    let local = Some(local).filter(|local| local.bytes().all(is_plain))?;
    let local: SystemTime = humantime::parse_rfc3339_weak(local).ok()?;
    let local = local.duration_since(UNIX_EPOCH).ok()?;
    let offset = Duration::from_secs(offset_s.unsigned_abs());
    Some(match offset_s {
        ..0 => local.saturating_add(offset),
        _ => local.saturating_sub(offset),
    })
}

/// Seconds of an offset from UTC. In a query, `+` may stand for a space: nothing else is meant here.
fn offset_s(text: &str) -> Option<i64> {
    let (hours, minutes) = text.get(1..)?.split_once(':')?;
    let two_digits = |text: &str, max| {
        let number = query::number(text).filter(|number: &i64| *number <= max);
        number.filter(|_| text.len() == 2)
    };
    let seconds = two_digits(hours, 23)? * 3_600 + two_digits(minutes, 59)? * 60;
    match text.as_bytes().first()? {
        b'+' | b' ' => Some(seconds),
        b'-' => Some(-seconds),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_millis(1_760_422_800_123);

    fn read(query: &str) -> Result<Option<Past>, PastError> {
        of(Some(query), NOW)
    }

    #[track_caller]
    fn since(text: &str) -> Option<u64> {
        match read(&format!("since={text}")) {
            Ok(Some(Past::Since(ms))) => Some(ms),
            Err(PastError::Since) => None,
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn a_number_of_events_is_read_within_its_bounds() {
        assert_eq!(read("topic=a"), Ok(None));
        for (text, count) in [("1", 1), ("010", 10), ("1000", 1_000)] {
            assert_eq!(read(&format!("last={text}")), Ok(Some(Past::Last(count))));
        }
        for wrong in [
            "",
            "0",
            "-1",
            "+1",
            "1001",
            "1.0",
            "ten",
            "99999999999999999999",
        ] {
            assert_eq!(
                read(&format!("last={wrong}")),
                Err(PastError::Last),
                "{wrong}"
            );
        }
    }

    #[test]
    fn a_span_is_read_as_the_settings_read_it() {
        let now = NOW.as_millis() as u64;
        for (text, ms) in [
            ("10m", 600_000),
            ("1h%2030m", 5_400_000),
            ("1h+30m", 5_400_000),
            ("1500ms", 1_500),
            ("2days", 172_800_000),
            ("0", 0),
            ("0s", 0),
        ] {
            assert_eq!(since(text), Some(now - ms), "{text}");
        }
        assert_eq!(since("1000years"), Some(0), "before all");
        for wrong in ["", "10", "m", "-10m", "10x", "10m!", "yesterday"] {
            assert_eq!(since(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_time_is_read_with_any_offset() {
        let at = 1_760_422_800_000;
        for text in [
            "2025-10-14T06:20:00Z",
            "2025-10-14t06:20:00z",
            "2025-10-14T06:20:00.000Z",
            "2025-10-14T08:20:00%2B02:00",
            // Not escaped: the plus is read as a space.
            "2025-10-14T08:20:00+02:00",
            "2025-10-14T00:50:00-05:30",
            "2025-10-14T06:20:00-00:00",
        ] {
            assert_eq!(since(text), Some(at), "{text}");
        }
        assert_eq!(since("2025-10-14T06:20:00.123456789Z"), Some(at + 123));
        assert_eq!(since("1970-01-01T00:30:00%2B01:00"), Some(0), "before all");
        for wrong in [
            "2025-10-14",
            "2025-10-14T06:20:00",
            "2025-10-14 06:20:00Z",
            "2025-10-14T06:20Z",
            "2025-10-14T06:20:00.Z",
            "2025-10-14T06:20:00ZZ",
            "2025-10-14T06:20:00%2B2:00",
            "2025-10-14T06:20:00%2B0200",
            "2025-10-14T06:20:00%2B24:00",
            "2025-10-14T06:20:00*02:00",
            "2025-13-14T06:20:00Z",
            "2025-02-29T06:20:00Z",
            "2025-10-14T24:00:00Z",
            "1969-12-31T23:59:59Z",
            "99999-01-01T00:00:00Z",
            "1760422800000",
            "%C3%A4%C3%A4%C3%A4%C3%A4",
        ] {
            assert_eq!(since(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn one_start_is_named_once() {
        assert_eq!(read("last=1&since=1m"), Err(PastError::Both));
        assert_eq!(read("last=1&last=1"), Err(PastError::Twice("last")));
        assert_eq!(read("since=1m&since=1m"), Err(PastError::Twice("since")));
    }
}
