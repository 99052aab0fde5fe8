//! Histograms of times, the same everywhere (the crate `hdrhistogram`).

use hdrhistogram::Histogram;

/// Shortest time that is distinguished from shorter ones, in nanoseconds.
const NS_MIN: u64 = 1_000;
/// Longest time that is distinguished from longer ones, in nanoseconds: an hour.
const NS_MAX: u64 = 3_600_000_000_000;
/// Significant digits of recorded times.
const DIGITS: u8 = 3;

/// An empty histogram of nanoseconds.
pub(crate) fn histogram() -> Histogram<u64> {
    match Histogram::new_with_bounds(NS_MIN, NS_MAX, DIGITS) {
        Ok(histogram) => histogram,
        Err(error) => unreachable!("the bounds are constants: {error}"),
    }
}

/// A histogram of pairs of nanoseconds and how often.
pub(crate) fn of_pairs(pairs: &[(u64, u64)]) -> Histogram<u64> {
    let mut histogram = histogram();
    for (value, count) in pairs {
        histogram.saturating_record_n(*value, *count);
    }
    histogram
}

/// The pairs for [`of_pairs`].
pub(crate) fn pairs(histogram: &Histogram<u64>) -> Vec<(u64, u64)> {
    histogram
        .iter_recorded()
        .map(|value| {
            (
                value.value_iterated_to(),
                value.count_since_last_iteration(),
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_survive_the_way_between_processes() {
        let mut histogram = histogram();
        for value in [1_500, 20_000, 20_000, 3_000_000_000] {
            histogram.saturating_record(value);
        }
        let again = of_pairs(&pairs(&histogram));
        assert_eq!(again.len(), 4);
        for quantile in [0.25, 0.5, 0.75, 1.0] {
            let values = [&histogram, &again].map(|each| each.value_at_quantile(quantile));
            assert_eq!(values[0], values[1]);
        }
        assert!(again.value_at_quantile(1.0).abs_diff(3_000_000_000) < 3_000_000);
    }

    #[test]
    fn a_time_beyond_an_hour_counts_as_one() {
        let histogram = of_pairs(&[(u64::MAX, 2)]);
        assert_eq!(histogram.len(), 2);
    }
}
