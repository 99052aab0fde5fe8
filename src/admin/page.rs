//! Metric families in text form.

use std::borrow::Cow;
use std::fmt;

use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Unit;

use crate::metrics::{HISTOGRAM_BUCKETS, HistogramSnapshot};

/// Label names and values of one sample.
pub(super) type Labels = Vec<(&'static str, Cow<'static, str>)>;

/// A label with a constant value.
pub(super) fn label(name: &'static str, value: &'static str) -> (&'static str, Cow<'static, str>) {
    (name, Cow::Borrowed(value))
}

/// Writes metric families, each with its samples.
pub(super) struct Page<'a, 'e>(pub(super) &'a mut DescriptorEncoder<'e>);

impl Page<'_, '_> {
    /// A family of counters (`_total` is added to the name, after the unit).
    pub(super) fn counters(
        &mut self,
        name: &str,
        help: &str,
        unit: Option<&Unit>,
        samples: impl IntoIterator<Item = (Labels, u64)>,
    ) -> fmt::Result {
        let counter = MetricType::Counter;
        let mut family = self.0.encode_descriptor(name, help, unit, counter)?;
        for (labels, value) in samples {
            sample(&mut family, &labels, |encoder| {
                encoder.encode_counter::<NoLabelSet, _, u64>(&value, None)
            })?;
        }
        Ok(())
    }

    /// A family of gauges.
    pub(super) fn gauges(
        &mut self,
        name: &str,
        help: &str,
        unit: Option<&Unit>,
        samples: impl IntoIterator<Item = (Labels, f64)>,
    ) -> fmt::Result {
        let gauge = MetricType::Gauge;
        let mut family = self.0.encode_descriptor(name, help, unit, gauge)?;
        for (labels, value) in samples {
            sample(&mut family, &labels, |encoder| encoder.encode_gauge(&value))?;
        }
        Ok(())
    }

    /// A family of histograms of seconds.
    pub(super) fn histograms(
        &mut self,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = (Labels, HistogramSnapshot)>,
    ) -> fmt::Result {
        let (unit, histogram) = (Some(&Unit::Seconds), MetricType::Histogram);
        let mut family = self.0.encode_descriptor(name, help, unit, histogram)?;
        for (labels, snapshot) in samples {
            sample(&mut family, &labels, |encoder| {
                let buckets = seconds(&snapshot);
                let count = snapshot.buckets.iter().sum();
                let sum = snapshot.sum_us as f64 / 1e6;
                encoder.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)
            })?;
        }
        Ok(())
    }
}

fn sample(
    family: &mut MetricEncoder<'_>,
    labels: &Labels,
    write: impl FnOnce(&mut MetricEncoder<'_>) -> fmt::Result,
) -> fmt::Result {
    // The encoder would write an empty pair of braces for a family without labels.
    if labels.is_empty() {
        write(family)
    } else {
        write(&mut family.encode_family(labels)?)
    }
}

/// Upper bounds in seconds, with counts: bucket `i` holds values below `2^i` µs, and the last one
/// all others.
fn seconds(snapshot: &HistogramSnapshot) -> Vec<(f64, u64)> {
    let bound = |i: usize| match i {
        i if i + 1 == HISTOGRAM_BUCKETS => f64::INFINITY,
        i => (1_u64 << i) as f64 / 1e6,
    };
    let counts = snapshot.buckets.iter().enumerate();
    counts.map(|(i, count)| (bound(i), *count)).collect()
}
