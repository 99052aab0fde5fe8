//! Values with units on the command line.

use std::time::Duration;

use bytesize::ByteSize;
use jsonwebtoken::Algorithm;

use crate::token::ALGORITHMS;

/// Highest rate that can be asked for: more than any one process writes.
const RATE_MAX: f64 = 10_000_000.0;

/// A value that cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ValueError {
    #[error("{0:?} is no time: write 500ms, 10s, 5m or 1h")]
    Time(String),
    #[error("{0:?} is no share: write 20% or 0.2, from 0% to 100%")]
    Share(String),
    #[error("{0:?} is no size: write 4096, 4KiB or 1MB")]
    Size(String),
    #[error("{0:?} is no rate: write a number a second, from 0 to 10000000")]
    Rate(String),
    #[error("{0:?} is no algorithm of tokens: there are {1}")]
    Algorithm(String, String),
    #[error("{0:?} is too short: write 100ms or more")]
    Short(String),
    #[error("{0:?} is no range of times: write 1s..3s or 2s, from 100ms on, the shorter one first")]
    Times(String),
}

/// A time with a unit.
pub(crate) fn duration(text: &str) -> Result<Duration, ValueError> {
    humantime::parse_duration(text).map_err(|_| ValueError::Time(text.to_owned()))
}

/// A time of a tenth of a second or more.
pub(crate) fn pause(text: &str) -> Result<Duration, ValueError> {
    let time = duration(text)?;
    if time < Duration::from_millis(100) {
        return Err(ValueError::Short(text.to_owned()));
    }
    Ok(time)
}

/// Two times of a tenth of a second or more, of which the first is not above the second; a single
/// one is both.
pub(crate) fn times(text: &str) -> Result<(Duration, Duration), ValueError> {
    let (least, most) = text.split_once("..").unwrap_or((text, text));
    match (pause(least.trim()), pause(most.trim())) {
        (Ok(least), Ok(most)) if least <= most => Ok((least, most)),
        _ => Err(ValueError::Times(text.to_owned())),
    }
}

/// A number of things a second.
pub(crate) fn rate(text: &str) -> Result<f64, ValueError> {
    match text.parse() {
        Ok(rate) if (0.0..=RATE_MAX).contains(&rate) => Ok(rate),
        _ => Err(ValueError::Rate(text.to_owned())),
    }
}

/// The same, but not none.
pub(crate) fn positive_rate(text: &str) -> Result<f64, ValueError> {
    match rate(text)? {
        0.0 => Err(ValueError::Rate(text.to_owned())),
        rate => Ok(rate),
    }
}

/// A share of one, as a number or in percent.
pub(crate) fn share(text: &str) -> Result<f64, ValueError> {
    let value = match text.strip_suffix('%') {
        Some(percent) => percent.trim().parse().map(|percent: f64| percent / 100.0),
        None => text.parse(),
    };
    match value {
        Ok(share) if (0.0..=1.0).contains(&share) => Ok(share),
        _ => Err(ValueError::Share(text.to_owned())),
    }
}

/// A size in bytes.
pub(crate) fn size(text: &str) -> Result<u64, ValueError> {
    text.parse()
        .map(|ByteSize(bytes)| bytes)
        .map_err(|_| ValueError::Size(text.to_owned()))
}

/// An algorithm of tokens, by the name that they have for it.
pub(crate) fn algorithm(text: &str) -> Result<Algorithm, ValueError> {
    let found = ALGORITHMS
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(text));
    found.map(|(_, algorithm)| *algorithm).ok_or_else(|| {
        let names = ALGORITHMS.map(|(name, _)| name).join(", ");
        ValueError::Algorithm(text.to_owned(), names)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_understood() {
        assert_eq!(duration("1m 30s").ok(), Some(Duration::from_secs(90)));
        let seconds = Duration::from_secs;
        assert_eq!(times("1s..3s").ok(), Some((seconds(1), seconds(3))));
        assert_eq!(times("2s").ok(), Some((seconds(2), seconds(2))));
        assert_eq!(share("20%").ok(), Some(0.2));
        assert_eq!(share("0.05").ok(), Some(0.05));
        assert_eq!(size("4KiB").ok(), Some(4096));
        assert_eq!(algorithm("es256").ok(), Some(Algorithm::ES256));
    }

    #[test]
    fn what_cannot_be_read_says_how_to_write_it() {
        assert_eq!(
            share("120%").map_err(|error| error.to_string()),
            Err("\"120%\" is no share: write 20% or 0.2, from 0% to 100%".to_owned())
        );
        let said = algorithm("none").map_err(|error| error.to_string());
        assert!(said.is_err_and(|said| said.contains("there are HS256, HS384, ")));
        assert!(times("3s..1s").is_err() && times("1ms..1s").is_err());
        assert!(duration("10").is_err() && size("much").is_err());
        assert!(rate("inf").is_err() && rate("nan").is_err() && rate("-1").is_err());
        assert!(positive_rate("0").is_err() && pause("0s").is_err());
        assert_eq!(positive_rate("2.5").ok(), Some(2.5));
    }
}
