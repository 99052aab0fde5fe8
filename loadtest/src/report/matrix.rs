//! A comparison as rows and columns: each metric's median over the rounds of each target, and its
//! ratio to the baseline.
//!
//! Losses are the exception: a median would hide the one round with a loss, so the worst round
//! counts.

use super::heading;
use crate::outcome::{Compared, Comparison, Group, Latency, Outcome, Unit};

/// The percentiles of a latency that stand among the figures.
const COMPARED: [(&str, f64); 2] = [("p50", 0.5), ("p99", 0.99)];

/// Everything that a comparison shows as numbers.
pub(super) struct Matrix<'a> {
    /// Column headings.
    pub(super) targets: Vec<&'a str>,
    /// Rows under their headings, none empty.
    pub(super) sections: Vec<Section>,
}

/// Rows under one heading.
pub(super) struct Section {
    pub(super) title: &'static str,
    pub(super) rows: Vec<Row>,
}

/// One metric of all targets.
#[derive(Clone)]
pub(super) struct Row {
    /// Name for programs.
    pub(super) name: String,
    pub(super) label: String,
    pub(super) unit: Unit,
    /// One for each target.
    pub(super) cells: Vec<Cell>,
}

/// One metric of one target.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Cell {
    /// Median over the rounds that have the metric, or the worst of them.
    pub(super) value: Option<f64>,
    /// Value by the baseline's; `None` for the baseline itself, and for meaningless divisions.
    pub(super) ratio: Option<f64>,
}

/// How to find a metric in an outcome.
enum Metric<'a> {
    Figure(&'a str, Group),
    Quantile(&'a str, f64),
}

impl<'a> Matrix<'a> {
    pub(super) fn new(comparison: &'a Comparison) -> Self {
        let mut sections: Vec<Section> = Vec::new();
        for (title, row) in figures(comparison).chain(latencies(comparison)) {
            match sections.last_mut() {
                Some(section) if section.title == title => section.rows.push(row),
                _ => sections.push(Section {
                    title,
                    rows: vec![row],
                }),
            }
        }
        let targets = comparison.targets.iter().map(|target| &*target.name);
        Self {
            targets: targets.collect(),
            sections,
        }
    }
}

fn figures(comparison: &Comparison) -> impl Iterator<Item = (&'static str, Row)> {
    let mut seen: Vec<(Group, &str, &str, Unit)> = Vec::new();
    for figure in outcomes(comparison).flat_map(|outcome| &outcome.figures) {
        if !seen.iter().any(|(_, name, ..)| *name == figure.name) {
            seen.push((figure.group, &figure.name, &figure.label, figure.unit));
        }
    }
    seen.sort_by_key(|(group, ..)| *group);
    seen.into_iter().map(|(group, name, label, unit)| {
        let row = Row {
            name: name.to_owned(),
            label: label.to_owned(),
            unit,
            cells: cells(comparison, &Metric::Figure(name, group)),
        };
        (heading::compared(group), row)
    })
}

fn latencies(comparison: &Comparison) -> impl Iterator<Item = (&'static str, Row)> {
    names(comparison).into_iter().flat_map(|latency| {
        COMPARED.map(|(percentile, quantile)| {
            let metric = Metric::Quantile(&latency.name, quantile);
            let row = Row {
                name: format!("{}_{percentile}", latency.name),
                label: format!("{}, {percentile}", latency.label),
                unit: Unit::Seconds,
                cells: cells(comparison, &metric),
            };
            (heading::LATENCY, row)
        })
    })
}

/// One latency of each name that any target has, in the order in which they appear.
pub(super) fn names(comparison: &Comparison) -> Vec<&Latency> {
    let mut seen: Vec<&Latency> = Vec::new();
    for latency in outcomes(comparison).flat_map(|outcome| &outcome.latencies) {
        if !seen.iter().any(|other| other.name == latency.name) {
            seen.push(latency);
        }
    }
    seen
}

fn outcomes(comparison: &Comparison) -> impl Iterator<Item = &Outcome> {
    comparison.targets.iter().flat_map(|target| &target.rounds)
}

fn cells(comparison: &Comparison, metric: &Metric<'_>) -> Vec<Cell> {
    let baseline = comparison
        .targets
        .iter()
        .find(|target| target.name == comparison.baseline)
        .and_then(|target| metric.of(target));
    let cell = |target: &Compared| {
        let value = metric.of(target);
        let ratio = value.zip(baseline).map(|(value, base)| value / base);
        Cell {
            value,
            // Divisions by zero or by a negative value have no meaningful ratio.
            ratio: ratio.filter(|ratio| {
                ratio.is_finite() && *ratio >= 0.0 && target.name != comparison.baseline
            }),
        }
    };
    comparison.targets.iter().map(cell).collect()
}

impl Metric<'_> {
    fn of(&self, target: &Compared) -> Option<f64> {
        let values = target.rounds.iter().filter_map(|round| match self {
            Self::Figure(name, _) => round
                .figures
                .iter()
                .find(|figure| figure.name == *name && figure.note.is_none())
                .map(|figure| figure.value),
            Self::Quantile(name, quantile) => round
                .latencies
                .iter()
                .find(|latency| latency.name == *name)
                .and_then(|latency| latency.at(*quantile)),
        });
        match self {
            Self::Figure(_, Group::Truth) => values.filter(|v| v.is_finite()).reduce(f64::max),
            _ => median(values),
        }
    }
}

/// The middle one of the values that are numbers, or the mean of the middle two.
pub(super) fn median(values: impl IntoIterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.into_iter().filter(|v| v.is_finite()).collect();
    values.sort_by(f64::total_cmp);
    let upper = *values.get(values.len() / 2)?;
    if values.len() % 2 == 1 {
        return Some(upper);
    }
    Some(f64::midpoint(values[values.len() / 2 - 1], upper))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    #[test]
    fn the_median_is_of_the_numbers_only() {
        assert_eq!(median([3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median([4.0, 1.0]), Some(2.5));
        assert_eq!(median([f64::NAN, 5.0]), Some(5.0));
        assert_eq!(median([]), None);
    }

    #[test]
    fn ratios_are_given_to_the_baseline_and_only_where_they_say_something() {
        let comparison = sample::comparison();
        let matrix = Matrix::new(&comparison);
        let row = |label: &str| {
            let mut rows = matrix.sections.iter().flat_map(|section| &section.rows);
            rows.find(|row| row.label == label).expect("a row")
        };
        let memory = &row("process memory a stream").cells;
        assert_eq!(memory[0].ratio, None);
        assert!((memory[0].value.expect("a number") - 212.0 * 1.1).abs() < 1e-9);
        assert!((memory[1].ratio.expect("a number") - 1.9 / 1.1).abs() < 1e-9);
        // No losses, on both sides.
        assert_eq!(row("lost").cells[1].value, Some(0.0));
        assert_eq!(row("lost").cells[1].ratio, None);
        let cpu = &row("CPU a delivery, one event at a time").cells;
        assert_eq!(cpu[1], Cell::default());
    }

    #[test]
    fn one_round_that_lost_something_is_not_hidden_by_the_others() {
        let mut comparison = sample::comparison();
        let rounds = &mut comparison.targets[0].rounds;
        rounds.push(rounds[0].clone());
        let lost = rounds[1].figures.iter_mut().find(|f| f.name == "lost");
        lost.expect("a figure").value = 12.0;
        let matrix = Matrix::new(&comparison);
        let truth = &matrix.sections[1];
        assert_eq!(truth.title, "Truth, worst round");
        assert_eq!(truth.rows[0].cells[0].value, Some(12.0));
    }

    #[test]
    fn a_baseline_that_is_not_there_and_targets_without_rounds_are_no_fault() {
        let mut comparison = sample::comparison();
        comparison.baseline = "nobody".to_owned();
        comparison.targets[1].rounds.clear();
        let matrix = Matrix::new(&comparison);
        let mut cells = matrix
            .sections
            .iter()
            .flat_map(|section| &section.rows)
            .flat_map(|row| &row.cells);
        assert!(cells.all(|cell| cell.ratio.is_none()));
    }
}
