//! Line plots as SVG: axes, lines with markers, and the legend beside them.

use std::io;

use plotters::backend::SVGBackend;
use plotters::chart::ChartBuilder;
use plotters::drawing::DrawingAreaErrorKind;
use plotters::prelude::IntoDrawingArea;
use plotters::series::LineSeries;

use super::ink::{self, RULE, SOFT};
use super::scale::{MEDIAN, Scale, nines};
use crate::outcome::Axis;
use crate::report::ReportError;

/// The drawing library's error.
pub(super) type DrawError = DrawingAreaErrorKind<io::Error>;

/// Width and height, in units of the drawing.
const SIZE_UNITS: (u32, u32) = (840, 500);
/// Room above for the label of the y axis, and beside and below for labels that stand over an end
/// of the x axis.
const TOP_UNITS: u32 = 52;
const RIGHT_UNITS: u32 = 52;
const BOTTOM_UNITS: u32 = 84;
const TICK_UNITS: u32 = 6;

/// Points drawn of one line: two for every unit of width. More would only make the page heavy.
const POINTS_MAX: usize = 2 * SIZE_UNITS.0 as usize;
/// Markers on one line; on a line with so few points, each of them has one.
const MARKERS_MAX: usize = 10;

/// A plot.
pub(super) struct Plot {
    pub(super) title: String,
    pub(super) caption: String,
    pub(super) axes: Axes,
    pub(super) lines: Vec<Line>,
}

/// The kind of its axes.
pub(super) enum Axes {
    /// Latency by percentile, both logarithmic. The points' x are [`nines`].
    Percentiles(Axis),
    /// Any two linear ones.
    Linear(Axis, Axis),
}

/// A line with its name.
pub(super) struct Line {
    pub(super) label: String,
    pub(super) points: Vec<(f64, f64)>,
}

/// A plot as the page shows it.
pub(super) struct Drawn {
    pub(super) title: String,
    pub(super) caption: String,
    /// A description for readers who cannot see it.
    pub(super) description: String,
    /// `None` without points.
    pub(super) svg: Option<String>,
    pub(super) legend: Vec<Entry>,
}

/// A line of the legend.
pub(super) struct Entry {
    pub(super) swatch: String,
    pub(super) label: String,
    /// No point of it can be drawn.
    pub(super) is_empty: bool,
}

impl Plot {
    pub(super) fn draw(mut self) -> Result<Drawn, ReportError> {
        for line in &mut self.lines {
            line.points.retain(|(x, y)| self.axes.can_show(*x, *y));
            line.points = thinned(&line.points);
        }
        let fault = |source: DrawError| ReportError::Plot {
            plot: self.title.clone(),
            source: source.into(),
        };
        Ok(Drawn {
            svg: self.svg().map_err(fault)?,
            legend: self.legend().map_err(fault)?,
            description: self.description(),
            title: self.title,
            caption: self.caption,
        })
    }

    fn svg(&self) -> Result<Option<String>, DrawError> {
        if self.lines.iter().all(|line| line.points.is_empty()) {
            return Ok(None);
        }
        let (x, y) = self.scales();
        let left = y.labels().map(ink::text_units).max().unwrap_or_default() + 3 * TICK_UNITS;
        let x = x.without_overlaps(SIZE_UNITS.0.saturating_sub(left + RIGHT_UNITS));
        let mut svg = String::new();
        {
            let root = SVGBackend::with_string(&mut svg, SIZE_UNITS).into_drawing_area();
            root.draw_text(&self.axes.y().label, &ink::text(&SOFT), (0, 0))?;
            let mut chart = ChartBuilder::on(&root)
                .margin_top(TOP_UNITS)
                .margin_right(RIGHT_UNITS)
                .x_label_area_size(BOTTOM_UNITS)
                .y_label_area_size(left)
                .build_cartesian_2d(x, y)?;
            chart
                .configure_mesh()
                .bold_line_style(RULE)
                .axis_style(SOFT)
                .label_style(ink::text(&SOFT))
                .set_all_tick_mark_size(TICK_UNITS)
                .x_desc(self.axes.x_label())
                .draw()?;
            for (number, line) in self.lines.iter().enumerate() {
                let points = line.points.iter().copied();
                chart.draw_series(LineSeries::new(points, ink::line(number)))?;
                let marked = marked(&line.points).map(|point| ink::marker(number, point));
                chart.draw_series(marked)?;
            }
            root.present()?;
        }
        Ok(Some(svg))
    }

    fn scales(&self) -> (Scale, Scale) {
        let points = || self.lines.iter().flat_map(|line| &line.points);
        let (x, y) = (points().map(|(x, _)| *x), points().map(|(_, y)| *y));
        match &self.axes {
            Axes::Percentiles(axis) => (Scale::percentiles(x), Scale::log(y, axis.unit)),
            Axes::Linear(x_axis, y_axis) => (
                Scale::linear(x, x_axis.unit, false),
                Scale::linear(y, y_axis.unit, true),
            ),
        }
    }

    fn legend(&self) -> Result<Vec<Entry>, DrawError> {
        let entry = |(number, line): (usize, &Line)| {
            Ok(Entry {
                swatch: ink::swatch(number)?,
                label: line.label.clone(),
                is_empty: line.points.is_empty(),
            })
        };
        self.lines.iter().enumerate().map(entry).collect()
    }

    /// The end of each line: the first thing that a glance at the plot shows.
    fn description(&self) -> String {
        let ends = self.lines.iter().map(|line| match line.points.last() {
            Some((_, y)) => {
                let unit = self.axes.y().unit;
                format!("{} ends at {}", line.label, crate::units::show(*y, unit))
            }
            None => format!("{} has no points", line.label),
        });
        let ends: Vec<String> = ends.collect();
        format!("Line plot: {}. {}.", self.title, ends.join("; "))
    }
}

impl Axes {
    fn y(&self) -> &Axis {
        match self {
            Self::Percentiles(axis) | Self::Linear(_, axis) => axis,
        }
    }

    fn x_label(&self) -> &str {
        match self {
            Self::Percentiles(_) => "percentile",
            Self::Linear(axis, _) => &axis.label,
        }
    }

    fn can_show(&self, x: f64, y: f64) -> bool {
        let is_on_axis = match self {
            // A logarithmic axis has no zero.
            Self::Percentiles(_) => y > 0.0,
            Self::Linear(..) => true,
        };
        x.is_finite() && y.is_finite() && is_on_axis
    }
}

/// The points of quantiles from the median on. The last one, of all values, would be infinitely far
/// to the right: it is placed at the largest of a distribution of `count` values, but no further
/// than ten times rarer than the one before.
pub(super) fn percentile_points(quantiles: &[(f64, f64)], count: u64) -> Vec<(f64, f64)> {
    let mut points: Vec<(f64, f64)> = Vec::with_capacity(quantiles.len());
    for (quantile, seconds) in quantiles.iter().filter(|(quantile, _)| *quantile >= MEDIAN) {
        let before = points.last().map_or(nines(MEDIAN), |(place, _)| *place);
        let largest = (2.0 * count as f64).max(1.0).log10();
        let place = if *quantile < 1.0 {
            nines(*quantile)
        } else {
            largest.clamp(before, before + 1.0)
        };
        points.push((place, *seconds));
    }
    points
}

/// The same line with fewer points: of each stretch its lowest and its highest, so that no peak is
/// lost.
fn thinned(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    if points.len() <= POINTS_MAX {
        return points.to_vec();
    }
    let stretch = (2 * points.len()).div_ceil(POINTS_MAX);
    let mut kept = Vec::with_capacity(POINTS_MAX);
    for stretch in points.chunks(stretch) {
        let by_height = |a: &&(f64, f64), b: &&(f64, f64)| a.1.total_cmp(&b.1);
        let low = stretch.iter().min_by(by_height);
        let high = stretch.iter().max_by(by_height);
        let mut ends: Vec<(f64, f64)> = low.into_iter().chain(high).copied().collect();
        ends.sort_by(|a, b| a.0.total_cmp(&b.0));
        ends.dedup();
        kept.extend(ends);
    }
    kept
}

/// Every point of a short line, evenly chosen ones of a long line, its end always.
fn marked(points: &[(f64, f64)]) -> impl Iterator<Item = (f64, f64)> {
    let apart = points.len().div_ceil(MARKERS_MAX).max(1);
    points.iter().rev().step_by(apart).copied()
}

/// The text as a title begins.
pub(super) fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| {
        first.to_uppercase().chain(chars).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::Unit;

    fn plot(points: Vec<(f64, f64)>) -> Plot {
        let axis = |label: &str, unit| Axis {
            label: label.to_owned(),
            unit,
        };
        Plot {
            title: "memory <&> streams".to_owned(),
            caption: String::new(),
            axes: Axes::Linear(axis("<x>", Unit::Count), axis("<y>", Unit::Bytes)),
            lines: vec![Line {
                label: "process".to_owned(),
                points,
            }],
        }
    }

    #[test]
    fn texts_in_a_plot_are_escaped() {
        let svg = plot(vec![(0.0, 1.0), (5.0, 2.0), (9.0, 3.0)])
            .draw()
            .expect("a drawing")
            .svg
            .expect("points");
        assert!(
            svg.contains("&lt;x&gt;") && svg.contains("&lt;y&gt;"),
            "{svg}"
        );
        assert!(!svg.contains("<x>") && !svg.contains("<y>"), "{svg}");
    }

    #[test]
    fn one_point_and_points_at_one_place_are_drawn() {
        for points in [vec![(3.0, 4.0)], vec![(0.0, 0.0); 3]] {
            assert!(
                plot(points)
                    .draw()
                    .expect("a drawing")
                    .svg
                    .expect("points")
                    .contains("<circle")
            );
        }
    }

    #[test]
    fn without_a_point_there_is_no_drawing() {
        let drawn = plot(vec![(f64::NAN, 1.0), (1.0, f64::INFINITY)])
            .draw()
            .expect("a drawing");
        assert!(drawn.svg.is_none());
        assert!(drawn.legend[0].is_empty);
        assert!(drawn.description.contains("process has no points"));
    }

    #[test]
    fn a_long_line_keeps_its_peaks() {
        let mut points: Vec<(f64, f64)> = (0..100_000).map(|x| (f64::from(x), 1.0)).collect();
        points[43_210].1 = 7.0;
        let thin = thinned(&points);
        assert!(thin.len() <= POINTS_MAX);
        assert!(thin.contains(&(43_210.0, 7.0)));
        assert!(thin.is_sorted_by(|a, b| a.0 <= b.0));
        assert!(marked(&thin).count() <= MARKERS_MAX);
    }

    #[test]
    fn the_maximum_stands_at_most_ten_times_rarer() {
        let points = percentile_points(&[(0.5, 1.0), (0.99, 2.0), (1.0, 3.0)], 1_000_000);
        assert!((points[2].0 - 3.0).abs() < 1e-9);
        let points = percentile_points(&[(0.5, 1.0), (0.99, 2.0), (1.0, 3.0)], 200);
        assert!((points[2].0 - 400f64.log10()).abs() < 1e-9);
        let points = percentile_points(&[(1.0, 3.0)], 0);
        assert!(points[0].0.is_finite());
    }
}
