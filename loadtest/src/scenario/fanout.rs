//! `fanout`: the cost of a delivery, and its time.

use std::time::Duration;

use super::session::{Plan, Session, Timeline};
use super::{ScenarioError, steps};
use crate::cli::FanoutArgs;
use crate::gauge::Stretch;
use crate::latency;
use crate::outcome::{Group, Outcome, Unit};
use crate::progress::Stage;

/// Shortest time between two points of the plot of deliveries, in seconds: client processes report
/// ten times a second, so a shorter one would show their rhythm instead of the server's.
const DELIVERIES_STEP: f64 = 0.5;

/// Runs it.
pub(crate) fn run(args: &FanoutArgs, arguments: Vec<String>) -> Result<Outcome, ScenarioError> {
    let steps = steps(&args.at, args.streams);
    let streams = steps.last().copied().unwrap_or(0);
    let plan = Plan {
        streams,
        ..Plan::default()
    };
    let mut session = Session::start("fanout", &args.common, plan, arguments)?;
    let stages = stages(&mut session, args, &steps);
    session.conclude(stages)
}

fn stages(session: &mut Session, args: &FanoutArgs, steps: &[usize]) -> Result<(), ScenarioError> {
    session.connect_publisher()?;
    session.open(steps)?;
    if session.streams() == 0 {
        return Ok(());
    }
    if args.one_at_a_time > 0 {
        one_at_a_time(session, args.one_at_a_time, 1)?;
    }
    if args.rate > 0.0 && !args.time.is_zero() {
        at_rate(session, args.rate, args.time)?;
    }
    if args.burst > 0 && args.bursts > 0 {
        bursts(session, args.burst, args.bursts)?;
    }
    session.note_memory_after();
    Ok(())
}

/// Rounds of `events` events, each of which waits until every stream has the one before.
pub(crate) fn one_at_a_time(
    session: &mut Session,
    rounds: u64,
    events: u64,
) -> Result<(), ScenarioError> {
    let stage = Stage::counted("one event at a time", rounds);
    session.connect_publisher()?;
    session.sample()?;
    let (mut reach, mut deliveries, mut in_vain) = (latency::histogram(), 0, 0);
    let watch = session.watch();
    for number in 0..rounds {
        let round = session.round(events)?;
        deliveries += round.deliveries;
        match round.took {
            Some(took) if round.behind == 0 => reach.saturating_record(took.as_nanos() as u64),
            // A topic without streams has no delivery.
            None if round.behind == 0 => {}
            _ => in_vain += 1,
        }
        stage.at(number + 1);
    }
    let stretch = session.stop(watch, "one event at a time");
    if in_vain > 0 {
        let text = "of the events that were published one at a time did not reach all streams that were due them";
        session.recorder.warn(format!("{in_vain} {text}"));
    }
    let label = "events, one at a time, that did not reach all";
    session
        .recorder
        .count(Group::Delivery, "not_reached_all", label, in_vain);
    let sample = session.sample()?;
    let record = &mut session.recorder;
    record.latency(
        "delivery",
        "delivery, one event at a time",
        &latency::of_pairs(&sample.delivery),
    );
    record.latency("reach_all", "one event to reach all streams", &reach);
    session.note_delivery_cpu(
        "delivery_cpu",
        "CPU a delivery, one event at a time",
        &stretch,
        deliveries,
    );
    session.published()?;
    stage.done(&format!(
        "published one at a time: {rounds}; {:.1} ms in the median to reach all",
        reach.value_at_quantile(0.5) as f64 / 1e6
    ));
    Ok(())
}

/// Events at a steady rate.
fn at_rate(session: &mut Session, rate: f64, time: Duration) -> Result<(), ScenarioError> {
    session.sample()?;
    let before = session.deliveries();
    let watch = session.watch();
    let timeline = steady(session, "events at a steady rate", rate, time)?;
    session.settle()?;
    let stretch = session.stop(watch, "at a steady rate");
    let deliveries = session.deliveries() - before;
    let sample = session.sample()?;
    let record = &mut session.recorder;
    record.latency(
        "delivery_rate",
        "delivery, at a steady rate",
        &latency::of_pairs(&sample.delivery),
    );
    let (x, y) = (("time", Unit::Seconds), ("deliveries", Unit::PerSecond));
    record.series(
        "deliveries",
        "deliveries, at a steady rate",
        x,
        y,
        timeline.rates(),
    );
    session.note_delivery_cpu(
        "rate_delivery_cpu",
        "CPU a delivery, at a steady rate",
        &stretch,
        deliveries,
    );
    let published = session.published()?;
    session.recorder.latency(
        "publish_rate",
        "from due to answered by the server, at a steady rate",
        &published.latency,
    );
    Ok(())
}

/// Publishes at a rate, and counts the deliveries meanwhile.
pub(crate) fn steady(
    session: &mut Session,
    text: &str,
    rate: f64,
    time: Duration,
) -> Result<Timeline, ScenarioError> {
    let stage = Stage::timed(text, time.as_secs());
    let mut timeline = Timeline::new(DELIVERIES_STEP);
    let start = std::time::Instant::now();
    let (publisher, crew) = session.publishing()?;
    let mut failed = None;
    publisher.at_rate(rate, time, |_| {
        stage.at(start.elapsed().as_secs());
        match crew.look() {
            Ok(progress) => timeline.note(start.elapsed().as_secs_f64(), progress.received),
            Err(error) => failed = Some(error),
        }
        failed.is_none()
    })?;
    if let Some(error) = failed {
        return Err(error.into());
    }
    stage.done(&format!("{text}: {rate}/s for {:.0} s", time.as_secs_f64()));
    Ok(timeline)
}

/// Events back to back.
fn bursts(session: &mut Session, events: u64, bursts: u32) -> Result<(), ScenarioError> {
    let stage = Stage::counted("bursts", u64::from(bursts));
    session.sample()?;
    let (mut time, mut deliveries, mut stretch) = (Duration::ZERO, 0, Stretch::default());
    for burst in 0..bursts {
        let watch = session.watch();
        let round = session.round(events)?;
        stretch.add(&session.stop(watch, "bursts"));
        time += round.took.unwrap_or_default();
        deliveries += round.deliveries;
        stage.at(u64::from(burst) + 1);
    }
    let rate = deliveries as f64 / time.as_secs_f64().max(1e-9);
    let sample = session.sample()?;
    let record = &mut session.recorder;
    record.latency(
        "delivery_burst",
        "delivery, in bursts",
        &latency::of_pairs(&sample.delivery),
    );
    record.figure(
        Group::Delivery,
        "burst_deliveries_per_s",
        "deliveries a second, in bursts",
        rate,
        Unit::PerSecond,
    );
    session.note_delivery_cpu(
        "burst_delivery_cpu",
        "CPU a delivery, in bursts",
        &stretch,
        deliveries,
    );
    session.published()?;
    stage.done(&format!(
        "bursts of {events}: {bursts}; {rate:.0} deliveries/s"
    ));
    Ok(())
}
