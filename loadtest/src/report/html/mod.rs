//! The report as one page of HTML: complete in itself, without scripts, for the screen in light and
//! dark and for paper.
//!
//! Texts reach the page through the template's escaping or through the drawing library's, never as
//! they are.

mod bars;
mod ink;
mod mark;
mod plot;
mod plots;
mod scale;

use askama::Template;
use jiff::Timestamp;

use self::mark::{KeyFigure, Mark, key_figures};
use self::plot::Drawn;
use super::comparison::{skipped, title, value_first, warnings};
use super::heading::grouped;
use super::matrix::Matrix;
use super::{ReportError, heading};
use crate::outcome::{Comparison, Latency, Outcome, Reason, Unit};
use crate::quantile::USUAL;
use crate::units;

/// Most bar charts on a page; for further rows, the table is better.
const BARS_MAX: usize = 18;

#[derive(Template)]
#[template(path = "outcome.html")]
struct OutcomePage<'a> {
    outcome: &'a Outcome,
    facts: Facts,
    keys: Vec<KeyFigure>,
    figures: Vec<Drawn>,
    sections: Vec<Section>,
    latencies: &'a [Latency],
}

#[derive(Template)]
#[template(path = "comparison.html")]
struct ComparisonPage<'a> {
    comparison: &'a Comparison,
    subject: String,
    tool: &'a str,
    facts: Option<Facts>,
    warnings: Vec<String>,
    skipped: Vec<String>,
    bars: Vec<Drawn>,
    figures: Vec<Drawn>,
    sections: Vec<Section>,
}

/// Place and time of the measurement.
struct Facts {
    started: String,
    duration: String,
    machine: String,
    command: String,
}

/// Rows of a table under one heading.
struct Section {
    title: &'static str,
    rows: Vec<TableRow>,
}

struct TableRow {
    label: String,
    cells: Vec<TableCell>,
}

struct TableCell {
    text: String,
    mark: Mark,
}

/// The page of one run.
///
/// # Errors
/// [`ReportError::Plot`] and [`ReportError::Page`]. An outcome of a run causes neither.
pub fn outcome(outcome: &Outcome) -> Result<String, ReportError> {
    let plots = plots::of_outcome(outcome).into_iter();
    let page = OutcomePage {
        outcome,
        facts: Facts::of(outcome),
        keys: key_figures(outcome),
        figures: plots.map(plot::Plot::draw).collect::<Result<_, _>>()?,
        sections: outcome_sections(outcome),
        latencies: &outcome.latencies,
    };
    Ok(page.render()?)
}

/// The page of several targets side by side.
///
/// # Errors
/// As [`outcome`].
pub fn comparison(comparison: &Comparison) -> Result<String, ReportError> {
    let matrix = Matrix::new(comparison);
    let mut rounds = comparison.targets.iter().flat_map(|target| &target.rounds);
    let first = rounds.next();
    let plots = plots::of_comparison(comparison).into_iter();
    let page = ComparisonPage {
        comparison,
        subject: title(comparison),
        tool: first.map_or("", |round| &round.tool),
        facts: first.map(|first| Facts {
            duration: units::show(
                first.seconds + rounds.map(|round| round.seconds).sum::<f64>(),
                Unit::Seconds,
            ),
            ..Facts::of(first)
        }),
        warnings: warnings(comparison),
        skipped: skipped(comparison),
        bars: bar_charts(&matrix)?,
        figures: plots.map(plot::Plot::draw).collect::<Result<_, _>>()?,
        sections: comparison_sections(&matrix),
    };
    Ok(page.render()?)
}

/// The highest latencies first, because targets are chosen by them; none of the generator's.
fn bar_charts(matrix: &Matrix<'_>) -> Result<Vec<Drawn>, ReportError> {
    let (latency, others): (Vec<_>, Vec<_>) = matrix
        .sections
        .iter()
        .filter(|section| section.title != crate::outcome::Group::Generator.title())
        .partition(|section| section.title == heading::LATENCY);
    let worst = latency.into_iter().flat_map(|section| &section.rows);
    worst
        .filter(|row| row.name.ends_with("_p99"))
        .chain(others.into_iter().flat_map(|section| &section.rows))
        .filter(|row| bars::is_fit(row))
        .take(BARS_MAX)
        .map(|row| bars::draw(&matrix.targets, row))
        .collect()
}

fn outcome_sections(outcome: &Outcome) -> Vec<Section> {
    let sections = grouped(&outcome.figures).into_iter();
    sections
        .map(|(group, figures)| Section {
            title: group.title(),
            rows: figures
                .into_iter()
                .map(|figure| TableRow {
                    label: figure.label.clone(),
                    cells: vec![TableCell {
                        text: units::show_figure(figure),
                        mark: Mark::of(&figure.name, figure.value),
                    }],
                })
                .collect(),
        })
        .collect()
}

fn comparison_sections(matrix: &Matrix<'_>) -> Vec<Section> {
    let sections = matrix.sections.iter();
    sections
        .map(|section| Section {
            title: section.title,
            rows: section
                .rows
                .iter()
                .map(|row| TableRow {
                    label: row.label.clone(),
                    cells: row
                        .cells
                        .iter()
                        .zip(Mark::of_row(row))
                        .map(|(cell, mark)| TableCell {
                            text: value_first(*cell, row.unit),
                            mark,
                        })
                        .collect(),
                })
                .collect(),
        })
        .collect()
}

impl Facts {
    fn of(outcome: &Outcome) -> Self {
        let machine = &outcome.machine;
        let cores = match machine.cores {
            1 => "1 core".to_owned(),
            cores => format!("{cores} cores"),
        };
        Self {
            started: date(&outcome.started),
            duration: units::show(outcome.seconds, Unit::Seconds),
            machine: format!(
                "{}, {cores}, {}, {}",
                machine.processor,
                units::show(machine.memory_bytes as f64, Unit::Bytes),
                machine.kernel,
            ),
            command: command(&outcome.arguments),
        }
    }
}

/// `20 November 2026, 09:15 UTC`; a text that is not a time is shown as it is.
fn date(started: &str) -> String {
    started.parse().map_or_else(
        |_| started.to_owned(),
        |time: Timestamp| time.strftime("%-d %B %Y, %H:%M UTC").to_string(),
    )
}

fn command(arguments: &[String]) -> String {
    let words = ["fantail-loadtest"]
        .into_iter()
        .chain(arguments.iter().map(String::as_str));
    shell_words::join(words)
}

impl OutcomePage<'_> {
    /// One cell of the table of latencies.
    fn latency(&self, latency: &Latency, quantile: &f64) -> String {
        units::show(latency.at(*quantile).unwrap_or(f64::NAN), Unit::Seconds)
    }

    fn percentiles(&self) -> [(&'static str, f64); 5] {
        USUAL
    }

    fn count(&self, reason: &Reason) -> String {
        units::count(reason.count)
    }
}

#[cfg(test)]
mod tests;
