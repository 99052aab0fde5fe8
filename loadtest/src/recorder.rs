//! Collects the results of a run, for an [`Outcome`].

use std::time::{Duration, Instant, SystemTime};

use hdrhistogram::Histogram;

use crate::arguments::without_secrets;
use crate::gauge;
use crate::outcome::{Axis, Figure, Group, Latency, Outcome, Reason, SCHEMA, Series, Unit};

/// Quantiles of every distribution; of those above 99 %, the ones that enough values stand behind.
const QUANTILES: [f64; 15] = [
    0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.975, 0.99, 0.995, 0.999, 0.9995, 0.9999, 0.99999, 1.0,
];

/// Stands in for a cost that is too small to be measured.
const BELOW_RESOLUTION: &str = "below resolution";

/// An outcome in the making.
#[derive(Debug)]
pub(crate) struct Recorder {
    start: Instant,
    outcome: Outcome,
}

impl Recorder {
    /// Begins now.
    pub(crate) fn new(scenario: &str, target: &str, arguments: Vec<String>) -> Self {
        let started = jiff::Timestamp::try_from(SystemTime::now()).unwrap_or_default();
        Self {
            start: Instant::now(),
            outcome: Outcome {
                schema: SCHEMA,
                tool: concat!("fantail-loadtest ", env!("CARGO_PKG_VERSION")).to_owned(),
                scenario: scenario.to_owned(),
                target: target.to_owned(),
                started: format!("{started:.0}"),
                seconds: 0.0,
                machine: gauge::machine(),
                arguments: without_secrets(arguments),
                figures: Vec::new(),
                latencies: Vec::new(),
                series: Vec::new(),
                reasons: Vec::new(),
                warnings: Vec::new(),
                failure: None,
            },
        }
    }

    /// Seconds since the beginning.
    pub(crate) fn elapsed(&self) -> f64 {
        self.start.elapsed().as_secs_f64()
    }

    /// Adds a figure; a later one of the same name replaces it.
    pub(crate) fn figure(&mut self, group: Group, name: &str, label: &str, value: f64, unit: Unit) {
        self.put(Figure {
            name: name.to_owned(),
            label: label.to_owned(),
            group,
            value,
            unit,
            note: None,
        });
    }

    /// Adds a cost that is a difference of measurements. A negative one is not a cost, but below
    /// their resolution.
    pub(crate) fn slope(&mut self, group: Group, name: &str, label: &str, value: f64, unit: Unit) {
        self.put(Figure {
            name: name.to_owned(),
            label: label.to_owned(),
            group,
            value: value.max(0.0),
            unit,
            note: (value < 0.0).then(|| BELOW_RESOLUTION.to_owned()),
        });
    }

    fn put(&mut self, figure: Figure) {
        match self
            .outcome
            .figures
            .iter_mut()
            .find(|other| other.name == figure.name)
        {
            Some(other) => *other = figure,
            None => self.outcome.figures.push(figure),
        }
    }

    /// Adds a time.
    pub(crate) fn time(&mut self, group: Group, name: &str, label: &str, value: Duration) {
        self.figure(group, name, label, value.as_secs_f64(), Unit::Seconds);
    }

    /// Adds a count.
    pub(crate) fn count(&mut self, group: Group, name: &str, label: &str, value: u64) {
        self.figure(group, name, label, value as f64, Unit::Count);
    }

    /// Adds a distribution of nanoseconds; none that is empty.
    pub(crate) fn latency(&mut self, name: &str, label: &str, values: &Histogram<u64>) {
        let count = values.len();
        if count == 0 {
            return;
        }
        let enough = |quantile: f64| {
            quantile <= 0.99 || quantile >= 1.0 || count as f64 * (1.0 - quantile) >= 1.0
        };
        let quantiles = QUANTILES.into_iter().filter(|quantile| enough(*quantile));
        self.outcome.latencies.push(Latency {
            name: name.to_owned(),
            label: label.to_owned(),
            count,
            quantiles: quantiles
                .map(|quantile| (quantile, values.value_at_quantile(quantile) as f64 / 1e9))
                .collect(),
        });
    }

    /// Adds points of a plot; none without any.
    pub(crate) fn series(
        &mut self,
        name: &str,
        label: &str,
        x: (&str, Unit),
        y: (&str, Unit),
        points: Vec<(f64, f64)>,
    ) {
        let axis = |(label, unit): (&str, Unit)| Axis {
            label: label.to_owned(),
            unit,
        };
        if !points.is_empty() {
            self.outcome.series.push(Series {
                name: name.to_owned(),
                label: label.to_owned(),
                x: axis(x),
                y: axis(y),
                points,
            });
        }
    }

    /// Adds something that happened to streams or events.
    pub(crate) fn reason(&mut self, text: String, count: u64) {
        match self
            .outcome
            .reasons
            .iter_mut()
            .find(|reason| reason.text == text)
        {
            Some(reason) => reason.count += count,
            None => self.outcome.reasons.push(Reason { text, count }),
        }
    }

    /// Adds a doubt.
    pub(crate) fn warn(&mut self, text: String) {
        if !self.outcome.warnings.contains(&text) {
            self.outcome.warnings.push(text);
        }
    }

    /// The run reached its end, and measured nothing.
    pub(crate) fn fail_at_end(&mut self, why: String) {
        self.warn(why.clone());
        self.outcome.failure.get_or_insert(why);
    }

    /// The run ended early.
    pub(crate) fn fail(&mut self, why: String) {
        self.warn(format!("the run ended early: {why}"));
        self.outcome.failure = Some(why);
    }

    /// The outcome.
    pub(crate) fn finish(mut self) -> Outcome {
        self.outcome.seconds = self.elapsed();
        self.outcome.figures.sort_by_key(|figure| figure.group);
        self.outcome
    }
}
