//! Axes: the place of a value on one, and the marked values.

use std::ops::Range;

use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, Ranged, ValueFormatter};

use super::ink;
use crate::outcome::Unit;
use crate::units;

/// Start of the axis of percentiles: the faster half of a distribution is of little interest, and
/// would take half the height.
pub(super) const MEDIAN: f64 = 0.5;

/// Percentiles that are marked, as the drawing places them: the number of nines, so that each step
/// is ten times rarer.
const PERCENTILES: [(f64, &str); 8] = [
    (MEDIAN, "50 %"),
    (0.9, "90 %"),
    (0.99, "99 %"),
    (0.999, "99.9 %"),
    (0.9999, "99.99 %"),
    (0.999_99, "99.999 %"),
    (0.999_999, "99.9999 %"),
    (0.999_999_9, "99.99999 %"),
];

/// Up to here a logarithmic axis is marked at 1, 2 and 5 and not only at every power of ten.
const FINE_DECADES_MAX: f64 = 2.5;
/// Most steps between the marks of a linear axis.
const STEPS_MAX: f64 = 6.0;

/// An axis.
#[derive(Clone)]
pub(super) struct Scale {
    from: f64,
    to: f64,
    is_log: bool,
    ticks: Vec<(f64, String)>,
}

impl Scale {
    /// From zero, if no value is below, to the largest value; `whole_steps` extends it to the next
    /// mark.
    pub(super) fn linear(values: impl Iterator<Item = f64>, unit: Unit, whole_steps: bool) -> Self {
        let (least, most) = bounds(values);
        let from = least.min(0.0);
        let reach = if most > from { most - from } else { 1.0 };
        let step = step(reach, unit);
        let up = |value: f64| (value / step).ceil() * step;
        let down = |value: f64| (value / step).floor() * step;
        let (from, to) = if whole_steps {
            (down(from), up(from + reach))
        } else {
            (from, from + reach)
        };
        // A bound of floating point: the last mark may be a hair beyond the end.
        let count = ((to - up(from)) / step + 1e-6).floor();
        let ticks = (0..=count as u32).map(|n| up(from) + f64::from(n) * step);
        Self {
            from,
            to,
            is_log: false,
            ticks: labelled(ticks, unit),
        }
    }

    /// Over the values, which must be above zero, and on to the marks beyond.
    pub(super) fn log(values: impl Iterator<Item = f64>, unit: Unit) -> Self {
        let (least, most) = bounds(values);
        let decades = (most / least).log10();
        let fine: &[f64] = if decades <= FINE_DECADES_MAX {
            &[1.0, 2.0, 5.0]
        } else {
            &[1.0]
        };
        let powers = (least.log10().floor() as i32)..=(most.log10().ceil() as i32 + 1);
        let marks: Vec<f64> = powers
            .flat_map(|power| fine.iter().map(move |n| n * 10f64.powi(power)))
            .collect();
        let from = marks.iter().rev().find(|mark| **mark <= least).copied();
        let to = marks.iter().find(|mark| **mark > most).copied();
        let (from, to) = (from.unwrap_or(least), to.unwrap_or(most * 10.0));
        let ticks = marks.into_iter().filter(|mark| (from..=to).contains(mark));
        Self {
            from,
            to,
            is_log: true,
            ticks: labelled(ticks, unit),
        }
    }

    /// Percentiles from the median up to the largest of `places`, each a [`nines`].
    pub(super) fn percentiles(places: impl Iterator<Item = f64>) -> Self {
        let to = bounds(places).1.max(1.0);
        let ticks = PERCENTILES
            .iter()
            .map(|(quantile, label)| (nines(*quantile), (*label).to_owned()))
            .filter(|(place, _)| *place <= to);
        Self {
            from: nines(MEDIAN),
            to,
            is_log: false,
            ticks: ticks.collect(),
        }
    }

    /// The same axis, `length` units of the drawing long, without labels that would stand in the
    /// one before; the marks stay.
    pub(super) fn without_overlaps(mut self, length: u32) -> Self {
        let units = f64::from(length) / (self.to - self.from);
        let mut taken = f64::NEG_INFINITY;
        for (value, label) in &mut self.ticks {
            let (middle, half) = (*value * units, f64::from(ink::text_units(label)) / 2.0);
            if middle - half < taken {
                label.clear();
            } else {
                taken = middle + half;
            }
        }
        self
    }

    /// The labels of its marks.
    pub(super) fn labels(&self) -> impl Iterator<Item = &str> {
        self.ticks.iter().map(|(_, label)| label.as_str())
    }
}

/// The place of a quantile below 1 on the axis of percentiles: 1 for 90 %, 2 for 99 %, 3 for 99.9
/// %.
pub(super) fn nines(quantile: f64) -> f64 {
    -(1.0 - quantile).log10()
}

fn bounds(values: impl Iterator<Item = f64>) -> (f64, f64) {
    values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
        (low.min(value), high.max(value))
    })
}

fn labelled(ticks: impl Iterator<Item = f64>, unit: Unit) -> Vec<(f64, String)> {
    ticks.map(|tick| (tick, units::tick(tick, unit))).collect()
}

/// The round step that marks `reach` often enough: 1, 2 or 5 times a power of ten, or of 1024 for
/// bytes.
fn step(reach: f64, unit: Unit) -> f64 {
    let wanted = reach / STEPS_MAX;
    let base = match unit {
        Unit::Bytes => 1024f64.powf(wanted.log(1024.0).floor().max(0.0)),
        Unit::Count => 10f64.powf(wanted.log10().floor().max(0.0)),
        _ => 10f64.powf(wanted.log10().floor()),
    };
    [1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0]
        .into_iter()
        .find(|factor| factor * base >= wanted)
        .unwrap_or(1024.0)
        * base
}

impl Ranged for Scale {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, (start, end): (i32, i32)) -> i32 {
        let place = |value: f64| if self.is_log { value.ln() } else { value };
        let (from, to) = (place(self.from), place(self.to));
        let share = (place(*value) - from) / (to - from);
        start + (share * f64::from(end - start)).round() as i32
    }

    /// The marks, once: the library asks again for a finer grid, which would only be grey.
    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        if hint.weight().allow_light_points() {
            return Vec::new();
        }
        self.ticks.iter().map(|(value, _)| *value).collect()
    }

    fn range(&self) -> Range<f64> {
        self.from..self.to
    }
}

impl ValueFormatter<f64> for Scale {
    fn format_ext(&self, value: &f64) -> String {
        self.ticks
            .iter()
            .find(|(tick, _)| tick == value)
            .map_or_else(String::new, |(_, label)| label.clone())
    }
}

#[cfg(test)]
mod tests {
    use plotters::coord::ranged1d::BoldPoints;

    use super::*;

    fn labels(scale: &Scale) -> Vec<&str> {
        scale.labels().collect()
    }

    #[test]
    fn linear_axes_are_marked_at_round_values() {
        let streams = Scale::linear([0.0, 15_000.0].into_iter(), Unit::Count, false);
        assert_eq!(labels(&streams), ["0", "5,000", "10,000", "15,000"]);
        let memory = Scale::linear([4e6, 157e6].into_iter(), Unit::Bytes, true);
        assert_eq!(labels(&memory), ["0 B", "50 MiB", "100 MiB", "150 MiB"]);
        assert_eq!(memory.to, 150.0 * 1024.0 * 1024.0);
        let rate = Scale::linear([0.0, 2.41e6].into_iter(), Unit::PerSecond, true);
        assert_eq!(rate.to, 2.5e6);
        let few = Scale::linear([0.0, 2.0].into_iter(), Unit::Count, true);
        assert_eq!(labels(&few), ["0", "1", "2"]);
    }

    #[test]
    fn an_axis_without_extent_still_has_one() {
        let zero = Scale::linear([0.0].into_iter(), Unit::Count, true);
        assert!(zero.to > zero.from);
        let one = Scale::log([0.01].into_iter(), Unit::Seconds);
        assert!(one.to > one.from);
        assert_eq!(labels(&one), ["10 ms", "20 ms"]);
    }

    #[test]
    fn logarithmic_axes_reach_the_marks_beyond_their_values() {
        let narrow = Scale::log([0.012, 0.181].into_iter(), Unit::Seconds);
        let marks = ["10 ms", "20 ms", "50 ms", "100 ms", "200 ms"];
        assert_eq!(labels(&narrow), marks);
        let wide = Scale::log([2e-5, 0.4].into_iter(), Unit::Seconds);
        let marks = ["10 µs", "100 µs", "1 ms", "10 ms", "100 ms", "1 s"];
        assert_eq!(labels(&wide), marks);
        assert_eq!(wide.map(&1e-5, (500, 0)), 500);
        assert_eq!(wide.map(&1.0, (500, 0)), 0);
    }

    #[test]
    fn labels_that_would_overlap_are_left_out_and_their_marks_stay() {
        let scale = Scale::linear([0.0, 12e6].into_iter(), Unit::Count, false);
        assert_eq!(labels(&scale).len(), 7);
        let thin = scale.without_overlaps(700);
        let kept = ["0", "2,000,000", "", "6,000,000", "", "10,000,000", ""];
        assert_eq!(labels(&thin), kept);
        assert_eq!(thin.key_points(BoldPoints(11)).len(), 7);
    }

    #[test]
    fn percentiles_are_marked_by_their_nines() {
        let scale = Scale::percentiles([0.0, nines(0.9999)].into_iter());
        let marks = ["50 %", "90 %", "99 %", "99.9 %", "99.99 %"];
        assert_eq!(labels(&scale), marks);
    }
}
