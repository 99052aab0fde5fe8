//! Percentiles: their names, and their values in a distribution.

use crate::outcome::Latency;

/// The percentiles that tables show and errors name.
pub const USUAL: [(&str, f64); 5] = [
    ("p50", 0.5),
    ("p90", 0.9),
    ("p99", 0.99),
    ("p99.9", 0.999),
    ("max", 1.0),
];

/// `p99.9` divided by a hundred is not exactly the recorded 0.999.
const QUANTILE_TOLERANCE: f64 = 1e-9;

impl Latency {
    /// The latency, in seconds, that the share `quantile` of all values did not exceed.
    ///
    /// If this exact quantile was not recorded, the answer is the next one above: a valid bound,
    /// not a guess. `None` if the distribution ends below.
    #[must_use]
    pub fn at(&self, quantile: f64) -> Option<f64> {
        self.quantiles
            .iter()
            .find(|(recorded, _)| *recorded >= quantile - QUANTILE_TOLERANCE)
            .map(|(_, seconds)| *seconds)
    }
}

/// The quantile that a name such as `p50`, `p99.9`, `min` or `max` stands for.
#[must_use]
pub fn named(name: &str) -> Option<f64> {
    match name {
        "min" => Some(0.0),
        "max" => Some(1.0),
        _ => {
            let digits = name.strip_prefix('p')?;
            // Rust accepts more forms of numbers: `p+5`, `pinf`, `p1e1`.
            let is_plain = digits.bytes().all(|b| b.is_ascii_digit() || b == b'.');
            let percent: f64 = digits.parse().ok()?;
            (is_plain && percent <= 100.0).then_some(percent / 100.0)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stand_for_quantiles() {
        assert_eq!(named("p50"), Some(0.5));
        assert!((named("p99.9").expect("a percentile") - 0.999).abs() < QUANTILE_TOLERANCE);
        assert_eq!(named("max"), Some(1.0));
        assert_eq!(named("p100"), Some(1.0));
        for name in ["p", "p101", "p-1", "pinf", "p1e1", "99", "q50", "P50"] {
            assert_eq!(named(name), None, "{name}");
        }
    }

    #[test]
    fn an_unrecorded_quantile_is_the_next_one_above() {
        let latency = Latency {
            name: "delivery".to_owned(),
            label: "delivery".to_owned(),
            count: 100,
            quantiles: vec![(0.5, 0.001), (0.999, 0.004)],
        };
        assert_eq!(latency.at(0.5), Some(0.001));
        assert_eq!(latency.at(0.9), Some(0.004));
        assert_eq!(latency.at(99.9 / 100.0), Some(0.004));
        assert_eq!(latency.at(1.0), None);
    }
}
