//! `slow`: some readers stall or crawl, and the others must not feel it.

use hdrhistogram::Histogram;

use super::ScenarioError;
use super::session::{Plan, Session};
use crate::cli::SlowArgs;
use crate::gauge::Memory;
use crate::latency;
use crate::message::{Order, Pace};
use crate::outcome::{Group, Outcome, Unit};

/// Runs it.
pub(crate) fn run(args: &SlowArgs, arguments: Vec<String>) -> Result<Outcome, ScenarioError> {
    let plan = Plan {
        streams: args.streams,
        reconnect: true,
        slow_share: args.share,
        slow_buffer: args.slow_buffer as usize,
        ..Plan::default()
    };
    let mut session = Session::start("slow", &args.common, plan, arguments)?;
    let stages = stages(&mut session, args);
    session.conclude(stages)
}

fn stages(session: &mut Session, args: &SlowArgs) -> Result<(), ScenarioError> {
    session.connect_publisher()?;
    session.open(&[args.streams])?;
    if session.streams() == 0 {
        return Ok(());
    }
    let without = phase(session, args, "without", "all streams read")?;
    let before = session.gauge.settled();
    session.crew.do_now(&Order::Slow(match args.crawl {
        0 => Pace::Stalled,
        bytes => Pace::Crawling(bytes),
    }))?;
    let with = phase(session, args, "with", "some streams are slow")?;
    let during = session.gauge.memory();
    session.crew.do_now(&Order::Slow(Pace::Brisk))?;
    session.settle()?;
    let after = session.gauge.settled();
    let sample = session.sample()?;
    let slow = latency::of_pairs(&sample.slow);
    session.recorder.latency(
        "delivery_slow",
        "delivery to slow streams, their catching up included",
        &slow,
    );
    note_ratio(session, &without, &with);
    note_memory(session, args.share, before, during, after);
    Ok(())
}

/// Publishes for a while, until every stream that is not slow has everything; returns the latencies
/// of those.
fn phase(
    session: &mut Session,
    args: &SlowArgs,
    name: &str,
    text: &str,
) -> Result<Histogram<u64>, ScenarioError> {
    session.sample()?;
    let watch = session.watch();
    let timeline = super::fanout::steady(session, text, args.rate, args.time)?;
    session.settle()?;
    session.stop(watch, text);
    let sample = session.sample()?;
    let others = latency::of_pairs(&sample.delivery);
    let record = &mut session.recorder;
    let label = format!("delivery to streams that read, while {text}");
    record.latency(&format!("delivery_{name}"), &label, &others);
    let (x, y) = (("time", Unit::Seconds), ("deliveries", Unit::PerSecond));
    let label = format!("deliveries, {text}");
    record.series(
        &format!("deliveries_{name}"),
        &label,
        x,
        y,
        timeline.rates(),
    );
    Ok(others)
}

fn note_ratio(session: &mut Session, without: &Histogram<u64>, with: &Histogram<u64>) {
    let record = &mut session.recorder;
    if without.is_empty() || with.is_empty() {
        // Without deliveries there is no latency.
        record.warn("the streams that read got nothing, so there is no p99 to compare".to_owned());
        return;
    }
    let ratio = with.value_at_quantile(0.99) as f64 / without.value_at_quantile(0.99) as f64;
    let label = "p99 of the streams that read, against the time without slow ones";
    record.figure(Group::Delivery, "p99_ratio", label, ratio, Unit::Share);
}

fn note_memory(session: &mut Session, share: f64, before: Memory, during: Memory, after: Memory) {
    if !session.gauge.watching() || before.process == 0 {
        return;
    }
    let open = session.crew.progress().open as f64;
    let record = &mut session.recorder;
    for (name, label, memory) in [
        (
            "memory_during",
            "process memory while some are slow, against before",
            during,
        ),
        (
            "memory_after",
            "process memory once they have caught up, against before",
            after,
        ),
    ] {
        let share = memory.process as f64 / before.process as f64;
        record.figure(Group::Memory, name, label, share, Unit::Share);
    }
    let kernel = (during.kernel as f64 - before.kernel as f64) / (open * share).max(1.0);
    let label = "kernel memory of a slow stream beyond that of others, both ends";
    record.slope(
        Group::Memory,
        "kernel_bytes_per_slow_stream",
        label,
        kernel,
        Unit::Bytes,
    );
}
