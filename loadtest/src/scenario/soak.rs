//! `soak`: everything at once, for hours.

use std::time::{Duration, Instant};

use super::ScenarioError;
use super::session::{Plan, Session, Timeline};
use crate::cli::SoakArgs;
use crate::gauge::Gauge;
use crate::latency;
use crate::layout::Layout;
use crate::message::{Order, Pace, Progress};
use crate::outcome::{Group, Outcome, Unit};
use crate::progress::Stage;
use crate::units;

/// Receive buffer of slow streams, in bytes.
const SLOW_BUFFER: usize = 4096;

/// Runs it.
pub(crate) fn run(args: &SoakArgs, arguments: Vec<String>) -> Result<Outcome, ScenarioError> {
    let target = &args.target;
    let layout = Layout::new(&target.topic, target.topics, target.pool, args.streams)?;
    let plan = Plan {
        streams: args.streams,
        reconnect: true,
        slow_share: args.slow,
        slow_buffer: SLOW_BUFFER,
    };
    let mut session = Session::start("soak", target, &args.load, layout, plan, arguments)?;
    session.open(&[args.streams])?;
    if session.streams() == 0 {
        return session.finish();
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
    let lines = flow(&mut session, args)?;
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
    note_lines(&mut session, &lines);
    session.note_memory_after();
    session.finish()
}

/// What one line says.
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
    let gauge = session.gauge.clone();
    let start = Instant::now();
    let mut lines = vec![look(&gauge, start, session.crew.progress())];
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
            let line = look(&gauge, start, progress);
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

fn look(gauge: &Gauge, start: Instant, progress: Progress) -> Line {
    let memory = gauge.memory();
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
    let mut timeline = Timeline::new();
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
        if let [first, .., last] = lines {
            let hours = (last.at - first.at).as_secs_f64() / 3600.0;
            let growth = (last.process as f64 - first.process as f64) / hours.max(1e-9);
            record.figure(
                Group::Memory,
                "growth_per_hour",
                "growth of process memory an hour",
                growth,
                Unit::Bytes,
            );
        }
    }
}
