//! `--assert 'p99 < 50ms'`: a condition on the outcome; if it fails, so does the program.
//!
//! An assertion is parsed before the run and judged after it. Errors that can be detected before
//! (the operator, a value with an unknown unit) are refused before, so that a typing error does not
//! cost a minute.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use crate::outcome::{Outcome, Unit};
use crate::quantile;
use crate::units::{self, UnitError};

const UNITS: [Unit; 6] = [
    Unit::Count,
    Unit::Seconds,
    Unit::Bytes,
    Unit::PerSecond,
    Unit::Share,
    Unit::Cores,
];

/// A condition: a metric, a comparison, a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assertion {
    metric: String,
    comparison: Operator,
    /// The value as written: only the outcome knows the metric's unit.
    value: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    Equal,
    Unequal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// Whether an assertion held, with the actual value. Displayed as one line.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    assertion: Assertion,
    actual: f64,
    limit: f64,
    unit: Unit,
}

/// Why an assertion cannot be read, or not be judged.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum AssertionError {
    /// No comparison in it.
    #[error(
        "assertion `{0}`: no comparison in it; write it as 'p99 < 50ms', with one of == != < <= > >="
    )]
    NoOperator(String),
    /// An unknown comparison.
    #[error("assertion `{text}`: `{operator}` is not a comparison; use one of == != < <= > >=")]
    Operator {
        /// The assertion.
        text: String,
        /// The text in its place.
        operator: String,
    },
    /// Nothing before or after the comparison.
    #[error(
        "assertion `{0}`: a metric must stand before the comparison and a value after it, as in 'lost == 0'"
    )]
    Incomplete(String),
    /// A value that would be none for any metric.
    #[error(
        "assertion `{text}`: `{value}` is not a value; write a number (15000, 15k), a time (50ms), bytes (10KiB) or a share (20%)"
    )]
    Value {
        /// The assertion.
        text: String,
        /// The text of the value.
        value: String,
    },
    /// A value that is not valid for this metric.
    #[error("assertion `{text}`: {source}")]
    Unit {
        /// The assertion.
        text: String,
        /// The fault of the value.
        source: UnitError,
    },
    /// A metric that the outcome does not have.
    #[error("assertion `{text}`: there is no `{metric}` here; there is {}", list(.names))]
    UnknownMetric {
        /// The assertion.
        text: String,
        /// The metric that it asks for.
        metric: String,
        /// The known metrics, the most similar first.
        names: Vec<String>,
    },
}

impl FromStr for Assertion {
    type Err = AssertionError;

    fn from_str(text: &str) -> Result<Self, AssertionError> {
        let text = text.trim();
        let is_sign = |c: char| "=!<>".contains(c);
        let start = text
            .find(is_sign)
            .ok_or_else(|| AssertionError::NoOperator(text.to_owned()))?;
        let (metric, rest) = text.split_at(start);
        let (operator, value) = rest.split_at(rest.find(|c| !is_sign(c)).unwrap_or(rest.len()));
        let (metric, value) = (metric.trim(), value.trim());

        let comparison = Operator::read(operator).ok_or_else(|| AssertionError::Operator {
            text: text.to_owned(),
            operator: operator.to_owned(),
        })?;
        if metric.is_empty() || value.is_empty() {
            return Err(AssertionError::Incomplete(text.to_owned()));
        }
        if UNITS.iter().all(|unit| units::parse(value, *unit).is_err()) {
            return Err(AssertionError::Value {
                text: text.to_owned(),
                value: value.to_owned(),
            });
        }
        Ok(Self {
            metric: metric.to_owned(),
            comparison,
            value: value.to_owned(),
        })
    }
}

impl fmt::Display for Assertion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (metric, value) = (&self.metric, &self.value);
        write!(f, "{metric} {} {value}", self.comparison.sign())
    }
}

impl Assertion {
    /// Compares the metric of `outcome` with the value.
    ///
    /// # Errors
    /// [`AssertionError::UnknownMetric`] when the outcome does not have the metric,
    /// [`AssertionError::Unit`] when it has and the value is not one in its unit.
    pub fn evaluate(&self, outcome: &Outcome) -> Result<Verdict, AssertionError> {
        let (actual, unit) =
            find(outcome, &self.metric).ok_or_else(|| AssertionError::UnknownMetric {
                text: self.to_string(),
                metric: self.metric.clone(),
                names: names_like(outcome, &self.metric),
            })?;
        let limit = units::parse(&self.value, unit).map_err(|source| AssertionError::Unit {
            text: self.to_string(),
            source,
        })?;
        Ok(Verdict {
            assertion: self.clone(),
            actual,
            limit,
            unit,
        })
    }
}

impl Verdict {
    /// Whether the assertion held. A value that is not a number was not measured, so no assertion
    /// holds of it, not even `!=`.
    #[must_use]
    pub fn held(&self) -> bool {
        !self.actual.is_nan() && self.assertion.comparison.holds(self.actual, self.limit)
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let held = if self.held() { "held" } else { "failed" };
        let actual = units::show(self.actual, self.unit);
        write!(f, "assertion {held}: {}: it was {actual}", self.assertion)?;
        // Rounded, 50.02 ms is 50.0 ms, and the reader could not see why it is not below 50 ms.
        if self.actual != self.limit && actual == units::show(self.limit, self.unit) {
            write!(f, " ({} {})", self.actual, self.unit)?;
        }
        Ok(())
    }
}

impl Operator {
    const ALL: [(&str, Self); 6] = [
        ("==", Self::Equal),
        ("!=", Self::Unequal),
        ("<", Self::Less),
        ("<=", Self::LessOrEqual),
        (">", Self::Greater),
        (">=", Self::GreaterOrEqual),
    ];

    fn read(sign: &str) -> Option<Self> {
        Self::ALL
            .iter()
            .find(|(other, _)| *other == sign)
            .map(|(_, operator)| *operator)
    }

    fn sign(self) -> &'static str {
        Self::ALL
            .iter()
            .find(|(_, other)| *other == self)
            .map_or("", |(sign, _)| sign)
    }

    /// Equality is exact: it is for counts, and those are whole.
    fn holds(self, actual: f64, limit: f64) -> bool {
        match self {
            Self::Equal => actual == limit,
            Self::Unequal => actual != limit,
            Self::Less => actual < limit,
            Self::LessOrEqual => actual <= limit,
            Self::Greater => actual > limit,
            Self::GreaterOrEqual => actual >= limit,
        }
    }
}

/// A figure by its name, a latency as `<latency>_<percentile>`, or a bare percentile of the first
/// latency.
fn find(outcome: &Outcome, metric: &str) -> Option<(f64, Unit)> {
    if let Some(figure) = outcome.figures.iter().find(|figure| figure.name == metric) {
        return Some((figure.value, figure.unit));
    }
    let (latency, percentile) = match metric.rsplit_once('_') {
        Some((name, percentile)) => {
            let latency = outcome.latencies.iter().find(|l| l.name == name)?;
            (latency, percentile)
        }
        None => (outcome.latencies.first()?, metric),
    };
    let seconds = latency.at(quantile::named(percentile)?)?;
    Some((seconds, Unit::Seconds))
}

/// All metrics of the outcome, the names most similar to `metric` first.
fn names_like(outcome: &Outcome, metric: &str) -> Vec<String> {
    let bare = outcome
        .latencies
        .iter()
        .take(1)
        .map(|latency| (latency, String::new()));
    let full = outcome
        .latencies
        .iter()
        .map(|latency| (latency, format!("{}_", latency.name)));
    let percentiles = bare.chain(full).flat_map(|(latency, prefix)| {
        quantile::USUAL
            .iter()
            .filter(|(_, quantile)| latency.at(*quantile).is_some())
            .map(move |(name, _)| format!("{prefix}{name}"))
    });
    let mut names: Vec<String> = outcome
        .figures
        .iter()
        .map(|figure| figure.name.clone())
        .chain(percentiles)
        .collect();
    names.sort_by_cached_key(|name| strsim::damerau_levenshtein(name, metric));
    names
}

fn list(names: &[String]) -> String {
    if names.is_empty() {
        return "nothing to assert in this outcome".to_owned();
    }
    names.join(", ")
}

#[cfg(test)]
mod tests;
