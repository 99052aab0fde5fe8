//! Several targets side by side: as a table for the terminal, and as one in Markdown.

use super::matrix::{Cell, Matrix, Row};
use super::plain::{INDENT, clean, columns};
use crate::outcome::{Comparison, Unit};
use crate::units;

/// The comparison as text for a terminal: figures as rows, targets as columns, each cell the median
/// over the rounds (for losses, the worst) with its ratio to the baseline. Ends with a line end.
#[must_use]
pub fn table(comparison: &Comparison) -> String {
    let matrix = Matrix::new(comparison);
    let mut rows = Vec::new();
    rows.push(line("", matrix.targets.iter().map(|name| clean(name))));
    for section in &matrix.sections {
        let nothing = || matrix.targets.iter().map(|_| String::new());
        rows.push(line("", nothing()));
        rows.push(line(section.title, nothing()));
        rows.extend(section.rows.iter().map(|row| {
            let label = format!("{INDENT}{}", clean(&row.label));
            line(&label, cells(row, value_first))
        }));
    }
    let mut text = format!("{}\n\n{}", clean(&title(comparison)), columns(rows));
    let skipped = skipped(comparison);
    let warnings = warnings(comparison);
    if !skipped.is_empty() || !warnings.is_empty() {
        text.push('\n');
    }
    for target in skipped {
        text.push_str(&format!("not run: {}\n", clean(&target)));
    }
    for warning in warnings {
        text.push_str(&format!("warning: {}\n", clean(&warning)));
    }
    text
}

/// The comparison as a table in Markdown, the ratio first in each cell, for documents.
#[must_use]
pub fn markdown(comparison: &Comparison) -> String {
    let matrix = Matrix::new(comparison);
    let row = |first: &str, cells: &mut dyn Iterator<Item = String>| {
        let cells: Vec<String> = cells.collect();
        format!("| {first} | {} |\n", cells.join(" | "))
    };
    let names = &mut matrix.targets.iter().map(|name| escape(name));
    let rules = &mut matrix.targets.iter().map(|_| "---:".to_owned());
    let mut text = row("", names);
    text.push_str(&row("---", rules));
    for section in &matrix.sections {
        let nothing = &mut matrix.targets.iter().map(|_| String::new());
        text.push_str(&row(&format!("**{}**", section.title), nothing));
        for figures in &section.rows {
            let label = escape(&figures.label);
            text.push_str(&row(&label, &mut cells(figures, ratio_first)));
        }
    }
    text.push_str(&format!("\n{}\n", escape(&title(comparison))));
    for target in skipped(comparison) {
        text.push_str(&format!("\nNot run: {}\n", escape(&target)));
    }
    for warning in warnings(comparison) {
        text.push_str(&format!("\nWarning: {}\n", escape(&warning)));
    }
    text
}

/// The meaning of the numbers, in one sentence.
pub(super) fn title(comparison: &Comparison) -> String {
    let scenario = comparison
        .targets
        .iter()
        .find_map(|target| target.rounds.first())
        .map_or("comparison", |round| &round.scenario);
    let rounds = comparison.targets.iter().map(|target| target.rounds.len());
    let rounds = match (rounds.clone().min(), rounds.max()) {
        (Some(1), Some(1)) => "one round each".to_owned(),
        (Some(least), Some(most)) if least == most => format!("medians of {most} rounds"),
        (Some(least), Some(most)) => format!("medians of {least} to {most} rounds"),
        _ => "no targets".to_owned(),
    };
    format!("{scenario}, {rounds}, ratios to {}", comparison.baseline)
}

/// Targets that were not run, each with its reason.
pub(super) fn skipped(comparison: &Comparison) -> Vec<String> {
    let texts = comparison.skipped.iter();
    texts.map(|reason| reason.text.clone()).collect()
}

/// Each target's warnings, each once however many rounds had it.
pub(super) fn warnings(comparison: &Comparison) -> Vec<String> {
    let mut warnings = Vec::new();
    for target in &comparison.targets {
        for warning in target.rounds.iter().flat_map(|round| &round.warnings) {
            let warning = format!("{}: {warning}", target.name);
            if !warnings.contains(&warning) {
                warnings.push(warning);
            }
        }
    }
    warnings
}

/// `9.70 µs (0.97)`
pub(super) fn value_first(cell: Cell, unit: Unit) -> String {
    let value = units::show(cell.value.unwrap_or(f64::NAN), unit);
    match cell.ratio {
        Some(ratio) => format!("{value} ({})", units::bare_ratio(ratio)),
        None => value,
    }
}

/// `0.97 × (9.70 µs)`
fn ratio_first(cell: Cell, unit: Unit) -> String {
    let value = units::show(cell.value.unwrap_or(f64::NAN), unit);
    match cell.ratio {
        Some(ratio) => format!("{} ({value})", units::ratio(ratio)),
        None => value,
    }
}

fn cells(row: &Row, show: fn(Cell, Unit) -> String) -> impl Iterator<Item = String> {
    row.cells.iter().map(move |cell| show(*cell, row.unit))
}

fn line(first: &str, rest: impl Iterator<Item = String>) -> Vec<String> {
    [first.to_owned()].into_iter().chain(rest).collect()
}

/// The text as Markdown shows it literally, in a cell of a table as well.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in clean(text).chars() {
        match c {
            '<' => escaped.push_str("&lt;"),
            '&' => escaped.push_str("&amp;"),
            '|' | '\\' | '*' | '_' | '`' | '[' | ']' | '~' => escaped.extend(['\\', c]),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    fn two_targets() -> Comparison {
        let mut comparison = sample::comparison();
        comparison.targets.pop();
        for round in comparison.targets.iter_mut().flat_map(|t| &mut t.rounds) {
            let kept = ["streams", "lost", "memory_per_stream", "cpu_per_delivery"];
            round.figures.retain(|figure| kept.contains(&&*figure.name));
            round.latencies.truncate(1);
        }
        comparison
    }

    #[test]
    fn targets_are_columns() {
        let expected = "\
fanout, medians of 1 to 2 rounds, ratios to fantail

                                       fantail           nchan

Streams
  streams open                          15,000   15,000 (1.00)

Truth, worst round
  lost                                       0               0

Memory
  process memory a stream                233 B    403 B (1.73)

Server
  CPU a delivery, one event at a time  10.7 µs               –

Latency
  delivery, at a steady rate, p50      13.6 ms  23.6 ms (1.73)
  delivery, at a steady rate, p99      67.3 ms   116 ms (1.73)

not run: mercure: the program is not installed
warning: fantail: the generator used 1.92 of 2 cores: it may have been the limit
";
        assert_eq!(table(&two_targets()), expected);
    }

    #[test]
    fn markdown_gives_the_ratio_first() {
        let expected = "\
|  | fantail | nchan |
| --- | ---: | ---: |
| **Streams** |  |  |
| streams open | 15,000 | 1.00 × (15,000) |
| **Truth, worst round** |  |  |
| lost | 0 | 0 |
| **Memory** |  |  |
| process memory a stream | 233 B | 1.73 × (403 B) |
| **Server** |  |  |
| CPU a delivery, one event at a time | 10.7 µs | – |
| **Latency** |  |  |
| delivery, at a steady rate, p50 | 13.6 ms | 1.73 × (23.6 ms) |
| delivery, at a steady rate, p99 | 67.3 ms | 1.73 × (116 ms) |

fanout, medians of 1 to 2 rounds, ratios to fantail

Not run: mercure: the program is not installed

Warning: fantail: the generator used 1.92 of 2 cores: it may have been the limit
";
        assert_eq!(markdown(&two_targets()), expected);
    }

    #[test]
    fn a_name_cannot_break_out_of_its_cell() {
        let mut comparison = two_targets();
        comparison.targets[1].name = "a|b\n<script>*x*".to_owned();
        let text = markdown(&comparison);
        assert!(
            text.contains("| a\\|b\u{fffd}&lt;script>\\*x\\* |"),
            "{text}"
        );
        assert!(table(&comparison).contains("a|b\u{fffd}<script>"));
    }

    #[test]
    fn a_comparison_of_nothing_is_shown() {
        let nothing = Comparison {
            schema: crate::outcome::SCHEMA,
            baseline: "fantail".to_owned(),
            targets: Vec::new(),
            skipped: Vec::new(),
        };
        assert!(table(&nothing).starts_with("comparison, no targets"));
        assert!(markdown(&nothing).starts_with("|"));
    }
}
