//! The plots of a page: series with the same axes share a plot.

use super::plot::{Axes, Line, Plot, capital, percentile_points};
use crate::outcome::{Axis, Compared, Comparison, Latency, Outcome, Series, Unit};
use crate::report::matrix;

/// The plots of one run: latency, and one for each pair of axes that series have.
pub(super) fn of_outcome(outcome: &Outcome) -> Vec<Plot> {
    let mut plots = Vec::new();
    if !outcome.latencies.is_empty() {
        plots.push(Plot {
            title: "Latency by percentile".to_owned(),
            caption: "Each step to the right is ten times rarer; the last point is the maximum."
                .to_owned(),
            axes: Axes::Percentiles(latency_axis()),
            lines: outcome.latencies.iter().map(latency_line).collect(),
        });
    }
    let mut rest: Vec<&Series> = outcome.series.iter().collect();
    while let Some(first) = rest.first().copied() {
        let (same, others) = rest
            .into_iter()
            .partition(|series| series.x == first.x && series.y == first.y);
        rest = others;
        plots.push(series_plot(&same));
    }
    plots
}

/// The plots of a comparison: one for each latency and each series, with a line for each target.
pub(super) fn of_comparison(comparison: &Comparison) -> Vec<Plot> {
    let latencies = matrix::names(comparison).into_iter().map(|latency| Plot {
        title: format!("Latency by percentile: {}", latency.label),
        caption: "Median of each percentile over the rounds. Each step to the right is ten times \
                  rarer; the last point is the maximum."
            .to_owned(),
        axes: Axes::Percentiles(latency_axis()),
        lines: comparison
            .targets
            .iter()
            .map(|target| Line {
                label: target.name.clone(),
                points: median_points(target, &latency.name),
            })
            .collect(),
    });
    let mut seen: Vec<&Series> = Vec::new();
    for series in comparison.targets.iter().flat_map(last_series) {
        if !seen.iter().any(|other| other.name == series.name) {
            seen.push(series);
        }
    }
    let series = seen.into_iter().map(|series| Plot {
        title: series_title(series, &capital(&series.label)),
        // Counts at moments of different rounds have no median that any round has shown.
        caption: "The last round of each target.".to_owned(),
        axes: Axes::Linear(series.x.clone(), series.y.clone()),
        lines: comparison
            .targets
            .iter()
            .map(|target| Line {
                label: target.name.clone(),
                points: last_points(target, &series.name),
            })
            .collect(),
    });
    latencies.chain(series).collect()
}

fn series_plot(series: &[&Series]) -> Plot {
    let first = series[0];
    Plot {
        title: series_title(first, &capital(&first.y.label)),
        caption: String::new(),
        axes: Axes::Linear(first.x.clone(), first.y.clone()),
        lines: series
            .iter()
            .map(|series| Line {
                label: series.label.clone(),
                points: series.points.clone(),
            })
            .collect(),
    }
}

/// `Deliveries over time`, `Memory against streams`; the kind of y is named if the subject does not
/// name it.
fn series_title(series: &Series, subject: &str) -> String {
    let between = match series.x.unit {
        Unit::Seconds => "over",
        _ => "against",
    };
    let kind = if subject.eq_ignore_ascii_case(&series.y.label) {
        String::new()
    } else {
        format!(": {}", series.y.label)
    };
    format!("{subject}{kind} {between} {}", series.x.label)
}

fn latency_axis() -> Axis {
    Axis {
        label: "latency".to_owned(),
        unit: Unit::Seconds,
    }
}

fn latency_line(latency: &Latency) -> Line {
    Line {
        label: latency.label.clone(),
        points: percentile_points(&latency.quantiles, latency.count),
    }
}

/// The percentiles that the target's first round recorded, each the median over its rounds.
fn median_points(target: &Compared, name: &str) -> Vec<(f64, f64)> {
    let rounds: Vec<&Latency> = target
        .rounds
        .iter()
        .flat_map(|round| &round.latencies)
        .filter(|latency| latency.name == name)
        .collect();
    let Some(first) = rounds.first() else {
        return Vec::new();
    };
    let quantiles: Vec<(f64, f64)> = first
        .quantiles
        .iter()
        .filter_map(|(quantile, _)| {
            let seconds = rounds.iter().filter_map(|latency| latency.at(*quantile));
            Some((*quantile, matrix::median(seconds)?))
        })
        .collect();
    percentile_points(&quantiles, first.count)
}

fn last_series(target: &Compared) -> &[Series] {
    target.rounds.last().map_or(&[], |round| &round.series)
}

fn last_points(target: &Compared, name: &str) -> Vec<(f64, f64)> {
    last_series(target)
        .iter()
        .find(|series| series.name == name)
        .map_or_else(Vec::new, |series| series.points.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    fn titles(plots: &[Plot]) -> Vec<&str> {
        plots.iter().map(|plot| plot.title.as_str()).collect()
    }

    #[test]
    fn series_with_the_same_axes_share_a_plot() {
        let plots = of_outcome(&sample::outcome());
        let expected = [
            "Latency by percentile",
            "Deliveries over time",
            "Memory against streams",
            "Connects over time",
        ];
        assert_eq!(titles(&plots), expected);
        let memory: Vec<&str> = plots[2].lines.iter().map(|line| &*line.label).collect();
        assert_eq!(memory, ["process", "kernel"]);
    }

    #[test]
    fn a_comparison_has_a_line_for_each_target() {
        let comparison = sample::comparison();
        let plots = of_comparison(&comparison);
        let expected = [
            "Latency by percentile: delivery, at a steady rate",
            "Latency by percentile: until every stream has it",
            "Deliveries over time",
            "Process: memory against streams",
            "Kernel: memory against streams",
            "Connects over time",
        ];
        assert_eq!(titles(&plots), expected);
        assert!(plots.iter().all(|plot| plot.lines.len() == 3));
        // Rounds of factors 1.0 and 1.2.
        let median = plots[0].lines[0].points[0].1;
        assert!((median - 0.012_4 * 1.1).abs() < 1e-9, "{median}");
    }
}
