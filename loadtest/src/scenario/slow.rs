//! `slow`: some readers stall or crawl, and the others must not feel it.

use super::ScenarioError;
use super::session::{Plan, Session};
use crate::cli::SlowArgs;
use crate::latency;
use crate::layout::Layout;
use crate::message::{Order, Pace};
use crate::outcome::{Group, Outcome, Unit};

/// Runs it.
pub(crate) fn run(args: &SlowArgs, arguments: Vec<String>) -> Result<Outcome, ScenarioError> {
    let target = &args.target;
    let layout = Layout::new(&target.topic, target.topics, target.pool, args.streams)?;
    let plan = Plan {
        streams: args.streams,
        reconnect: true,
        slow_share: args.share,
        slow_buffer: args.slow_buffer as usize,
    };
    let mut session = Session::start("slow", target, &args.load, layout, plan, arguments)?;
    session.open(&[args.streams])?;
    if session.streams() == 0 {
        return session.finish();
    }
    let without = phase(&mut session, args, None)?;
    let before = session.gauge.settled();
    let pace = match args.crawl {
        0 => Pace::Stalled,
        bytes => Pace::Crawling(bytes),
    };
    let with = phase(&mut session, args, Some(pace))?;
    let during = session.gauge.memory();
    session.crew.do_now(&Order::Slow(Pace::Brisk))?;
    session.settle()?;
    let after = session.gauge.settled();

    let record = &mut session.recorder;
    if without > 0 {
        let ratio = with as f64 / without as f64;
        let label = "p99 of the other streams, against the time without slow ones";
        record.figure(Group::Delivery, "p99_ratio", label, ratio, Unit::Share);
    }
    if session.gauge.watching() && before.process > 0 {
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
        let kernel = during.kernel as f64 - before.kernel as f64;
        let slow = (session.streams() as f64 * args.share).max(1.0);
        let label = "kernel memory of a slow stream beyond that of others, both ends";
        session.recorder.figure(
            Group::Memory,
            "kernel_bytes_per_slow_stream",
            label,
            kernel / slow,
            Unit::Bytes,
        );
    }
    session.finish()
}

/// Publishes for a while; gives the p99 of the streams that are not slow, in nanoseconds.
fn phase(session: &mut Session, args: &SlowArgs, pace: Option<Pace>) -> Result<u64, ScenarioError> {
    session.sample()?;
    if let Some(pace) = pace {
        session.crew.do_now(&Order::Slow(pace))?;
    }
    let (name, text) = match pace {
        None => ("without", "all streams read"),
        Some(_) => ("with", "some streams are slow"),
    };
    let watch = session.watch();
    let timeline = super::fanout::steady(session, text, args.rate, args.time)?;
    session.stop(watch);
    if pace.is_none() {
        session.settle()?;
    }
    let sample = session.sample()?;
    let others = latency::of_pairs(&sample.delivery);
    let record = &mut session.recorder;
    record.latency(
        &format!("delivery_{name}"),
        &format!("delivery to streams that read, while {text}"),
        &others,
    );
    if pace.is_some() {
        record.latency(
            "delivery_slow",
            "delivery to slow streams",
            &latency::of_pairs(&sample.slow),
        );
    }
    let (x, y) = (("time", Unit::Seconds), ("deliveries", Unit::PerSecond));
    record.series(
        &format!("deliveries_{name}"),
        &format!("deliveries, {text}"),
        x,
        y,
        timeline.rates(),
    );
    Ok(others.value_at_quantile(0.99))
}
