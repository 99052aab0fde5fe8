//! Whether a figure is as it should be: shown by a sign and a word, and only then by a colour.

use crate::outcome::{Figure, Group, Outcome, Unit};
use crate::quantile;
use crate::report::matrix::Row;
use crate::units;

/// Figures that must be zero, by how their names begin.
const MUST_BE_ZERO: [&str; 5] = ["lost", "doubled", "duplicate", "out_of_order", "reordered"];
/// Figures that are honest when they are not zero, and still no reason for joy.
const TOLD: &str = "gap";

/// A figure's verdict on the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    /// No verdict: it is just a figure.
    None,
    Good,
    Note,
    Bad,
}

/// A key figure at the top of the page.
pub(super) struct KeyFigure {
    pub(super) label: String,
    pub(super) value: String,
    pub(super) mark: Mark,
}

impl Mark {
    /// The mark of the figure of that name.
    pub(super) fn of(name: &str, value: f64) -> Self {
        let must_be_zero = MUST_BE_ZERO.iter().any(|start| name.starts_with(start));
        let is_told = name.starts_with(TOLD);
        match (must_be_zero, is_told) {
            _ if !value.is_finite() => Self::None,
            (true, _) if value == 0.0 => Self::Good,
            (true, _) => Self::Bad,
            (_, true) if value > 0.0 => Self::Note,
            _ => Self::None,
        }
    }

    /// The mark of each target's median.
    pub(super) fn of_row(row: &Row) -> impl Iterator<Item = Self> {
        row.cells
            .iter()
            .map(|cell| Self::of(&row.name, cell.value.unwrap_or(f64::NAN)))
    }

    pub(super) fn is_some(self) -> bool {
        self != Self::None
    }

    /// The class in the style sheet.
    pub(super) fn class(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Good => "good",
            Self::Note => "note",
            Self::Bad => "bad",
        }
    }

    pub(super) fn sign(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Good => "✓",
            Self::Note => "!",
            Self::Bad => "✗",
        }
    }

    /// The sign in a word, for readers who hear the page.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Good => "good",
            Self::Note => "note",
            Self::Bad => "bad",
        }
    }
}

/// The few figures by which a run is judged: streams, truth, latency, memory per stream, as far as
/// it has them.
pub(super) fn key_figures(outcome: &Outcome) -> Vec<KeyFigure> {
    let of = |group| outcome.figures.iter().filter(move |f| f.group == group);
    let preferred = |group, part: &str| {
        of(group)
            .find(|figure| figure.name.contains(part))
            .or_else(|| of(group).next())
    };
    let mut keys = Vec::new();
    keys.extend(preferred(Group::Streams, "streams").map(figure));
    keys.extend(of(Group::Truth).map(figure));
    if let Some(latency) = outcome.latencies.first() {
        keys.extend(["p50", "p99"].into_iter().filter_map(|percentile| {
            let seconds = latency.at(quantile::named(percentile)?)?;
            Some(KeyFigure {
                label: format!("{}, {percentile}", latency.label),
                value: units::show(seconds, Unit::Seconds),
                mark: Mark::None,
            })
        }));
    }
    keys.extend(preferred(Group::Memory, "stream").map(figure));
    keys
}

fn figure(figure: &Figure) -> KeyFigure {
    KeyFigure {
        label: figure.label.clone(),
        value: units::show_figure(figure),
        mark: Mark::of(&figure.name, figure.value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    #[test]
    fn what_must_be_zero_is_bad_when_it_is_not() {
        assert_eq!(Mark::of("lost", 0.0), Mark::Good);
        assert_eq!(Mark::of("lost", 1.0), Mark::Bad);
        assert_eq!(Mark::of("out_of_order", 2.0), Mark::Bad);
        assert_eq!(Mark::of("gap_told", 40.0), Mark::Note);
        assert_eq!(Mark::of("gap_told", 0.0), Mark::None);
        assert_eq!(Mark::of("lost", f64::NAN), Mark::None);
        assert_eq!(Mark::of("streams", 0.0), Mark::None);
    }

    #[test]
    fn key_figures_are_those_a_run_is_judged_by() {
        let keys = key_figures(&sample::outcome());
        let labels: Vec<&str> = keys.iter().map(|key| key.label.as_str()).collect();
        let expected = [
            "streams open",
            "lost",
            "doubled",
            "out of order",
            "told as a gap",
            "delivery, at a steady rate, p50",
            "delivery, at a steady rate, p99",
            "process memory a stream",
        ];
        assert_eq!(labels, expected);
        assert!(key_figures(&sample::bare_outcome()).is_empty());
    }
}
