//! The table at the end of a run.

use super::heading::{self, grouped};
use super::plain::{INDENT, clean, columns};
use crate::outcome::{Latency, Outcome, Unit};
use crate::quantile::USUAL;
use crate::units;

/// The outcome as text for a terminal: figures under their headings, latencies, reasons, warnings.
/// Ends with a line end.
#[must_use]
pub fn outcome(outcome: &Outcome) -> String {
    let title = format!(
        "{}, {}, {}\n",
        clean(&outcome.scenario),
        clean(&outcome.target),
        units::show(outcome.seconds, Unit::Seconds),
    );
    let parts = [
        title,
        figures(outcome),
        latencies(&outcome.latencies),
        reasons(outcome),
        warnings(&outcome.warnings),
    ];
    parts
        .iter()
        .filter(|part| !part.is_empty())
        .map(String::as_str)
        .collect::<Vec<_>>()
        .join("\n")
}

/// One table for all groups, so that their values stand under each other.
fn figures(outcome: &Outcome) -> String {
    let mut rows = Vec::new();
    for (group, figures) in grouped(&outcome.figures) {
        if !rows.is_empty() {
            rows.push(vec![String::new(); 2]);
        }
        rows.push(vec![group.title().to_owned(), String::new()]);
        rows.extend(figures.iter().map(|figure| {
            vec![
                format!("{INDENT}{}", clean(&figure.label)),
                units::show_figure(figure),
            ]
        }));
    }
    if rows.is_empty() {
        return String::new();
    }
    columns(rows)
}

fn latencies(latencies: &[Latency]) -> String {
    if latencies.is_empty() {
        return String::new();
    }
    let head = [heading::LATENCY]
        .into_iter()
        .chain(USUAL.map(|(name, _)| name))
        .map(str::to_owned)
        .collect();
    let rows = latencies.iter().map(|latency| {
        let label = format!("{INDENT}{}", clean(&latency.label));
        let cells = USUAL.map(|(_, quantile)| {
            units::show(latency.at(quantile).unwrap_or(f64::NAN), Unit::Seconds)
        });
        [label].into_iter().chain(cells).collect()
    });
    columns([head].into_iter().chain(rows))
}

/// The count first: texts are of any length.
fn reasons(outcome: &Outcome) -> String {
    if outcome.reasons.is_empty() {
        return String::new();
    }
    let counts: Vec<String> = outcome
        .reasons
        .iter()
        .map(|reason| units::count(reason.count))
        .collect();
    let width = counts.iter().map(String::len).max().unwrap_or_default();
    let lines = counts.iter().zip(&outcome.reasons).map(|(count, reason)| {
        let text = clean(&reason.text);
        format!("{INDENT}{count:>width$} × {text}\n")
    });
    [String::from("Refused, or ended before their time\n")]
        .into_iter()
        .chain(lines)
        .collect()
}

fn warnings(warnings: &[String]) -> String {
    warnings
        .iter()
        .map(|warning| format!("warning: {}\n", clean(warning)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    #[test]
    fn an_outcome_is_a_table() {
        let expected = "\
fanout, fantail, 62.4 s

Streams
  streams open                             15,000
  connects                               17.6 k/s
  refused                                   1,207

Truth
  lost                                          0
  doubled                                       0
  out of order                                  2
  told as a gap                                40

Delivery
  deliveries                             2.41 M/s

Publishing
  publish, p99                            1.23 ms

Memory
  process memory a stream                   212 B
  kernel memory a stream                 10.0 KiB

Server
  CPU a delivery, one event at a time     9.70 µs

Load generator
  generator CPU                        1.23 cores

Latency                           p50      p90      p99   p99.9     max
  delivery, at a steady rate  12.4 ms  27.9 ms  61.2 ms  112 ms  181 ms
  until every stream has it   32.2 ms  72.5 ms   159 ms  291 ms  471 ms

Refused, or ended before their time
  1,204 × connect: connection refused
      3 × answered 503 Service Unavailable

warning: the generator used 1.92 of 2 cores: it may have been the limit
";
        assert_eq!(outcome(&sample::outcome()), expected);
    }

    #[test]
    fn an_outcome_with_nothing_in_it_is_one_line() {
        let text = outcome(&sample::bare_outcome());
        assert_eq!(text, "fanout, fantail, 62.4 s\n");
    }

    #[test]
    fn what_was_not_measured_is_a_dash() {
        let mut bare = sample::bare_outcome();
        bare.latencies.push(Latency {
            name: "delivery".to_owned(),
            label: "delivery".to_owned(),
            count: 0,
            quantiles: Vec::new(),
        });
        assert!(outcome(&bare).contains("delivery    –    –    –      –    –\n"));
    }

    #[test]
    fn a_server_cannot_steer_the_terminal() {
        let mut hostile = sample::outcome();
        hostile.reasons[0].text = "answered 200 \u{1b}[2J".to_owned();
        hostile.warnings[0] = "first\nwarning: second".to_owned();
        let text = outcome(&hostile);
        assert!(!text.contains('\u{1b}'));
        assert_eq!(text.matches("\nwarning: ").count(), 1);
    }
}
