//! How a value is shown to people, and how one is written in an assertion.
//!
//! Values travel in their base unit (seconds, bytes, things a second) and only become text here, so
//! that the table, the page and a failed assertion name the same value in the same words.

use std::fmt;

use bytesize::ByteSize;
use thiserror::Error;

use crate::outcome::{Figure, Unit};

/// Shown in place of a missing value: not measured, or not a number.
pub const NOTHING: &str = "–";

/// Shares nearer than this to 0 or 1 get more decimals: 99.98 % must not read as all of it.
const SHARE_NEAR: f64 = 0.001;

const SECONDS: [(f64, &str); 4] = [(1e-9, "ns"), (1e-6, "µs"), (1e-3, "ms"), (1.0, "s")];
const RATES: [(f64, &str); 4] = [(1.0, "/s"), (1e3, "k/s"), (1e6, "M/s"), (1e9, "G/s")];
const MULTIPLES: [(char, f64); 3] = [('k', 1e3), ('M', 1e6), ('G', 1e9)];

/// Why a text is not a value.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("`{text}` is not {}", wanted(*.unit))]
pub struct UnitError {
    /// The text as it was written.
    pub text: String,
    /// The unit that it should have.
    pub unit: Unit,
}

/// The value with its unit, rounded for people: `1.23 ms`, `10.2 KiB`, `15,000`, `2.41 M/s`, `25.0
/// %`, `1.23 cores`.
#[must_use]
pub fn show(value: f64, unit: Unit) -> String {
    if !value.is_finite() {
        return NOTHING.to_owned();
    }
    let sign = if value < 0.0 { "-" } else { "" };
    let size = value.abs();
    let text = match unit {
        Unit::Count => number(size),
        Unit::Seconds => scaled(size, &SECONDS, "s"),
        Unit::Bytes => bytes(size),
        Unit::PerSecond => scaled(size, &RATES, "/s"),
        Unit::Share => share(size),
        Unit::Cores if size > 0.0 && size < 0.1 => format!("{size:.3} cores"),
        Unit::Cores => format!("{size:.2} cores"),
    };
    format!("{sign}{text}")
}

/// The value of a figure, or its replacement.
#[must_use]
pub fn show_figure(figure: &Figure) -> String {
    match &figure.note {
        Some(note) => note.clone(),
        None => show(figure.value, figure.unit),
    }
}

/// As [`show`], without superfluous decimals: `50 MiB` and not `50.0 MiB`, for the marks of an
/// axis.
#[must_use]
pub fn tick(value: f64, unit: Unit) -> String {
    let text = show(value, unit);
    let end = text.find(' ').unwrap_or(text.len());
    let (number, rest) = text.split_at(end);
    if !number.contains('.') {
        return text;
    }
    let number = number.trim_end_matches('0').trim_end_matches('.');
    format!("{number}{rest}")
}

/// A ratio: `0.97 ×`.
#[must_use]
pub fn ratio(value: f64) -> String {
    match bare_ratio(value) {
        text if text == NOTHING => text,
        text => format!("{text} ×"),
    }
}

/// A ratio without its sign, under a heading that names it: `0.97`.
#[must_use]
pub fn bare_ratio(value: f64) -> String {
    if value.is_finite() {
        digits(value)
    } else {
        NOTHING.to_owned()
    }
}

/// A number of things: `15,000`.
#[must_use]
pub fn count(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Reads a value as people write it: `50ms`, `10KiB`, `15k`, `20%`, or a plain number in the base
/// unit.
///
/// # Errors
/// [`UnitError`], with the form of a value of that unit.
pub fn parse(text: &str, unit: Unit) -> Result<f64, UnitError> {
    let text = text.trim();
    plain(text)
        .or_else(|| match unit {
            Unit::Count => multiple(text),
            Unit::Seconds => humantime::parse_duration(text)
                .ok()
                .map(|time| time.as_secs_f64()),
            // Beyond 2^53 bytes the last digits are lost, which no assertion needs.
            Unit::Bytes => text
                .parse()
                .ok()
                .map(|bytes: ByteSize| bytes.as_u64() as f64),
            Unit::PerSecond => multiple(text.strip_suffix("/s").unwrap_or(text).trim_end()),
            Unit::Share => plain(text.strip_suffix('%')?.trim_end()).map(|share| share / 100.0),
            Unit::Cores => plain(text.strip_suffix("cores")?.trim_end()),
        })
        .ok_or_else(|| UnitError {
            text: text.to_owned(),
            unit,
        })
}

/// How a value of the unit is written, as the end of "this is not …".
fn wanted(unit: Unit) -> &'static str {
    match unit {
        Unit::Count => "a number (such as 0, 15000 or 15k)",
        Unit::Seconds => "a length of time (such as 50ms, 1.5s, or plain seconds)",
        Unit::Bytes => "a number of bytes (such as 512, 10KiB or 1.5MiB)",
        Unit::PerSecond => "a rate (such as 900, 10k or 2M, with or without /s)",
        Unit::Share => "a share (such as 20% or 0.2)",
        Unit::Cores => "a number of cores (such as 0.5 or 2)",
    }
}

/// A finite number; `nan` and `inf`, which Rust would accept, cannot be compared with.
fn plain(text: &str) -> Option<f64> {
    text.replace('_', "")
        .parse()
        .ok()
        .filter(|number: &f64| number.is_finite())
}

fn multiple(text: &str) -> Option<f64> {
    MULTIPLES
        .iter()
        .find_map(|(letter, factor)| Some((text.strip_suffix(*letter)?, factor)))
        .map_or_else(
            || plain(text),
            |(number, factor)| Some(plain(number.trim_end())? * factor),
        )
}

/// The value in the largest unit in which it is at least one; zero in the base unit.
fn scaled(size: f64, steps: &[(f64, &str)], base: &str) -> String {
    if size == 0.0 {
        return format!("0 {base}");
    }
    // A value that would be rounded up to 1000 belongs to the next unit already.
    let (factor, unit) = steps
        .iter()
        .rev()
        .find(|(factor, _)| size >= factor * 0.9995)
        .unwrap_or(&steps[0]);
    format!("{} {unit}", digits(size / factor))
}

/// Three digits that count, or all of them before the point, with thousands apart.
fn digits(value: f64) -> String {
    let size = value.abs();
    if size >= 999.5 {
        return whole(value);
    }
    let decimals = match size {
        size if size >= 99.95 || size == 0.0 => 0,
        size if size >= 9.995 => 1,
        size if size >= 0.0995 => 2,
        size if size >= 0.00995 => 3,
        _ => 4,
    };
    format!("{value:.decimals$}")
}

fn number(size: f64) -> String {
    if size.fract() == 0.0 {
        whole(size)
    } else {
        digits(size)
    }
}

fn whole(value: f64) -> String {
    let sign = if value < 0.0 { "-" } else { "" };
    // Beyond 64 bits the cast saturates.
    format!("{sign}{}", count(value.abs().round() as u64))
}

fn bytes(size: f64) -> String {
    if size < 10.0 && size.fract() != 0.0 {
        return format!("{size:.1} B");
    }
    ByteSize::b(size.round() as u64).display().iec().to_string()
}

fn share(share: f64) -> String {
    let near = |edge: f64| share != edge && (share - edge).abs() < SHARE_NEAR;
    let decimals = if near(0.0) || near(1.0) { 3 } else { 1 };
    format!("{:.decimals$} %", share * 100.0)
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Count => "count",
            Self::Seconds => "seconds",
            Self::Bytes => "bytes",
            Self::PerSecond => "per second",
            Self::Share => "share",
            Self::Cores => "cores",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_shown_in_the_unit_that_fits() {
        let shown = [
            (0.001_23, Unit::Seconds, "1.23 ms"),
            (0.000_045, Unit::Seconds, "45.0 µs"),
            (2.1, Unit::Seconds, "2.10 s"),
            (0.0, Unit::Seconds, "0 s"),
            (3_600.0, Unit::Seconds, "3,600 s"),
            (0.999_96e-3, Unit::Seconds, "1.00 ms"),
            (4e-10, Unit::Seconds, "0.40 ns"),
            (-0.05, Unit::Seconds, "-50.0 ms"),
            (212.4, Unit::Bytes, "212 B"),
            (9.72, Unit::Bytes, "9.7 B"),
            (10_445.0, Unit::Bytes, "10.2 KiB"),
            (1_468_006.0, Unit::Bytes, "1.4 MiB"),
            (15_000.0, Unit::Count, "15,000"),
            (2.5, Unit::Count, "2.50"),
            (1e6, Unit::Count, "1,000,000"),
            (2_410_000.0, Unit::PerSecond, "2.41 M/s"),
            (17_600.0, Unit::PerSecond, "17.6 k/s"),
            (12.5, Unit::PerSecond, "12.5 /s"),
            (0.25, Unit::Share, "25.0 %"),
            (0.9998, Unit::Share, "99.980 %"),
            (1.0, Unit::Share, "100.0 %"),
            (1.234, Unit::Cores, "1.23 cores"),
            (0.012, Unit::Cores, "0.012 cores"),
            (f64::NAN, Unit::Bytes, "–"),
            (f64::INFINITY, Unit::PerSecond, "–"),
        ];
        for (value, unit, text) in shown {
            assert_eq!(show(value, unit), text, "{value} {unit}");
        }
    }

    #[test]
    fn marks_of_an_axis_have_no_empty_decimals() {
        assert_eq!(tick(52_428_800.0, Unit::Bytes), "50 MiB");
        assert_eq!(tick(0.0015, Unit::Seconds), "1.5 ms");
        assert_eq!(tick(100.0, Unit::Count), "100");
        assert_eq!(tick(0.0, Unit::Cores), "0 cores");
    }

    #[test]
    fn ratios_and_counts() {
        assert_eq!(ratio(0.97), "0.97 ×");
        assert_eq!(ratio(12.34), "12.3 ×");
        assert_eq!(ratio(f64::NAN), "–");
        assert_eq!(count(0), "0");
        assert_eq!(count(999), "999");
        assert_eq!(count(1_234_567), "1,234,567");
    }

    #[test]
    fn values_are_read_as_people_write_them() {
        let read = [
            ("50ms", Unit::Seconds, 0.05),
            ("1.5s", Unit::Seconds, 1.5),
            ("45us", Unit::Seconds, 45e-6),
            ("0.5", Unit::Seconds, 0.5),
            ("10KiB", Unit::Bytes, 10_240.0),
            ("1.5 MiB", Unit::Bytes, 1_572_864.0),
            ("512", Unit::Bytes, 512.0),
            ("15k", Unit::Count, 15_000.0),
            ("15_000", Unit::Count, 15_000.0),
            ("2M", Unit::PerSecond, 2e6),
            ("10k/s", Unit::PerSecond, 10_000.0),
            ("17.6 k/s", Unit::PerSecond, 17_600.0),
            ("20%", Unit::Share, 0.2),
            ("0.2", Unit::Share, 0.2),
            ("1.5 cores", Unit::Cores, 1.5),
            ("-1", Unit::Count, -1.0),
        ];
        for (text, unit, value) in read {
            let found = parse(text, unit).expect(text);
            assert!((found - value).abs() < 1e-12, "{text}: {found}");
        }
    }

    #[test]
    fn a_text_that_is_no_value_is_refused_with_a_way_out() {
        for (text, unit) in [
            ("50 parsecs", Unit::Seconds),
            ("nan", Unit::Count),
            ("inf", Unit::PerSecond),
            ("50ms", Unit::Bytes),
            ("20%", Unit::Cores),
            ("", Unit::Share),
        ] {
            assert!(parse(text, unit).is_err(), "{text}");
        }
        assert_eq!(
            parse("fast", Unit::Seconds)
                .expect_err("no time")
                .to_string(),
            "`fast` is not a length of time (such as 50ms, 1.5s, or plain seconds)"
        );
    }
}
