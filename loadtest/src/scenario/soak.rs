//! `soak`: everything at once, for hours.

use std::time::{Duration, Instant};

use super::ScenarioError;
use super::session::{Plan, Session, Timeline};
use crate::cli::SoakArgs;
use crate::gauge::Sampler;
use crate::latency;
use crate::message::{Order, Pace, Progress};
use crate::outcome::{Group, Outcome, Unit};
use crate::progress::Stage;
use crate::units;

/// Receive buffer of slow streams, in bytes.
const SLOW_BUFFER: usize = 4096;
/// Growth over a shorter time is warned of.
const GROWTH_TIME_MIN: Duration = Duration::from_secs(30 * 60);

/// Runs it.
pub(crate) fn run(args: &SoakArgs, arguments: Vec<String>) -> Result<Outcome, ScenarioError> {
    let plan = Plan {
        streams: args.streams,
        reconnect: true,
        slow_share: args.slow,
        slow_buffer: SLOW_BUFFER,
        ..Plan::default()
    };
    let mut session = Session::start("soak", &args.common, plan, arguments)?;
    let stages = stages(&mut session, args);
    session.conclude(stages)
}

fn stages(session: &mut Session, args: &SoakArgs) -> Result<(), ScenarioError> {
    session.connect_publisher()?;
    session.open(&[args.streams])?;
    if session.streams() == 0 {
        return Ok(());
    }
    let away_ms = args.away.as_millis() as u64;
    let pace = match args.crawl {
        0 => Pace::Stalled,
        bytes => Pace::Crawling(bytes),
    };
    session.sample()?;
    session.crew.do_now(&Order::Slow(pace))?;
    session.crew.do_now(&Order::Churn {
        share: args.churn,
        away_ms,
    })?;
    let lines = flow(session, args)?;
    session.crew.do_now(&Order::Churn {
        share: 0.0,
        away_ms,
    })?;
    session.crew.do_now(&Order::Slow(Pace::Brisk))?;
    session.settle()?;
    let sample = session.sample()?;
    let record = &mut session.recorder;
    record.latency(
        "delivery",
        "delivery, replay after an absence included",
        &latency::of_pairs(&sample.delivery),
    );
    record.latency(
        "delivery_slow",
        "delivery to slow streams",
        &latency::of_pairs(&sample.slow),
    );
    note_lines(session, &lines);
    session.note_memory_after();
    Ok(())
}

/// The values of one line.
#[derive(Clone, Copy, Debug)]
struct Line {
    at: Duration,
    progress: Progress,
    process: u64,
    kernel: u64,
}

/// Publishes for the whole time, with a line now and then.
fn flow(session: &mut Session, args: &SoakArgs) -> Result<Vec<Line>, ScenarioError> {
    let stage = Stage::timed("soaking", args.time.as_secs());
    let start = Instant::now();
    // In a thread of its own: reading a large process's memory takes long enough to delay events.
    let sampler = Sampler::start(session.gauge.clone(), args.every);
    let mut lines = vec![look(&sampler, start, session.crew.progress())];
    let (publisher, crew) = session.publishing()?;
    let mut failed = None;
    publisher.at_rate(args.rate, args.time, |publisher| {
        stage.at(start.elapsed().as_secs());
        let progress = match crew.look() {
            Ok(progress) => progress,
            Err(error) => {
                failed = Some(error);
                return false;
            }
        };
        let due = args.every * u32::try_from(lines.len()).unwrap_or(u32::MAX);
        if start.elapsed() >= due {
            let line = look(&sampler, start, progress);
            let before = lines[lines.len() - 1];
            stage.line(&text(&line, &before, publisher.events()));
            lines.push(line);
        }
        true
    })?;
    match failed {
        Some(error) => Err(error.into()),
        None => Ok(lines),
    }
}

fn look(sampler: &Sampler, start: Instant, progress: Progress) -> Line {
    let memory = sampler.last();
    Line {
        at: start.elapsed(),
        progress,
        process: memory.process,
        kernel: memory.kernel,
    }
}

fn text(line: &Line, before: &Line, events: u64) -> String {
    let seconds = (line.at - before.at).as_secs_f64().max(1e-9);
    let delivered = line
        .progress
        .received
        .saturating_sub(before.progress.received);
    format!(
        "{:>8}  {} streams, {} refused or closed, {} came back, {} events, {} deliveries, process {}, kernel {}",
        humantime::format_duration(Duration::from_secs(line.at.as_secs())).to_string(),
        units::count(line.progress.open as u64),
        units::count(line.progress.failed as u64),
        units::count(line.progress.opened.saturating_sub(before.progress.opened)),
        units::count(events),
        units::show(delivered as f64 / seconds, Unit::PerSecond),
        units::show(line.process as f64, Unit::Bytes),
        units::show(line.kernel as f64, Unit::Bytes),
    )
}

fn note_lines(session: &mut Session, lines: &[Line]) {
    let x = ("time", Unit::Seconds);
    let at = |value: fn(&Line) -> f64| {
        lines
            .iter()
            .map(|line| (line.at.as_secs_f64(), value(line)))
            .collect()
    };
    let mut timeline = Timeline::new(0.0);
    for line in lines {
        timeline.note(line.at.as_secs_f64(), line.progress.received);
    }
    let watching = session.gauge.watching();
    let record = &mut session.recorder;
    record.series(
        "deliveries",
        "deliveries",
        x,
        ("deliveries", Unit::PerSecond),
        timeline.rates(),
    );
    record.series(
        "open_streams",
        "open streams",
        x,
        ("streams", Unit::Count),
        at(|line| line.progress.open as f64),
    );
    record.series(
        "kernel_memory_over_time",
        "kernel, whole machine",
        x,
        ("memory", Unit::Bytes),
        at(|line| line.kernel as f64),
    );
    if watching {
        record.series(
            "process_memory_over_time",
            "process",
            x,
            ("memory", Unit::Bytes),
            at(|line| line.process as f64),
        );
        if let Some(bytes_per_s) = growth(lines) {
            let label = "growth of process memory an hour";
            let growth = bytes_per_s * 3600.0;
            record.slope(Group::Memory, "growth_per_hour", label, growth, Unit::Bytes);
            if lines.last().is_some_and(|line| line.at < GROWTH_TIME_MIN) {
                record.warn(
                    "the growth of memory an hour is that of less than half an hour".to_owned(),
                );
            }
        }
    }
}

/// Bytes a second by which process memory grows: least squares over all lines but the first tenth,
/// in which it warms up.
fn growth(lines: &[Line]) -> Option<f64> {
    let lines = &lines[lines.len().div_ceil(10)..];
    if lines.len() < 2 {
        return None;
    }
    let count = lines.len() as f64;
    let mean = |value: fn(&Line) -> f64| lines.iter().map(value).sum::<f64>() / count;
    let (x, y) = (mean(seconds), mean(bytes));
    let both = lines
        .iter()
        .map(|line| (seconds(line) - x) * (bytes(line) - y));
    let square = lines.iter().map(|line| (seconds(line) - x).powi(2));
    Some(both.sum::<f64>() / square.sum::<f64>())
}

fn seconds(line: &Line) -> f64 {
    line.at.as_secs_f64()
}

fn bytes(line: &Line) -> f64 {
    line.process as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growth_is_the_slope_without_the_warm_up() {
        let line = |minute: u64, process: u64| Line {
            at: Duration::from_secs(60 * minute),
            progress: Progress::default(),
            process,
            kernel: 0,
        };
        let mut lines: Vec<Line> = (0..20).map(|n| line(n, 1_000_000 + 60 * 7 * n)).collect();
        lines[0].process = 0;
        assert!((growth(&lines).expect("enough lines") - 7.0).abs() < 1e-6);
        assert_eq!(growth(&lines[..1]), None);
    }
}
