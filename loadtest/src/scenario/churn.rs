//! `churn`: streams disconnect and reconnect with their cursor while events flow.

use super::ScenarioError;
use super::session::{Plan, Session};
use crate::cli::ChurnArgs;
use crate::latency;
use crate::message::Order;
use crate::outcome::{Group, Outcome, Unit};

/// Runs it.
pub(crate) fn run(args: &ChurnArgs, arguments: Vec<String>) -> Result<Outcome, ScenarioError> {
    let plan = Plan {
        streams: args.streams,
        reconnect: true,
        ..Plan::default()
    };
    let mut session = Session::start("churn", &args.common, plan, arguments)?;
    let stages = stages(&mut session, args);
    session.conclude(stages)
}

fn stages(session: &mut Session, args: &ChurnArgs) -> Result<(), ScenarioError> {
    session.connect_publisher()?;
    session.open(&[args.streams])?;
    if session.streams() == 0 {
        return Ok(());
    }
    let before = session.gauge.settled();
    let (share, away_ms) = (args.share, args.away.as_millis() as u64);
    let watch = session.watch();
    session.crew.do_now(&Order::Churn { share, away_ms })?;
    let timeline =
        super::fanout::steady(session, "streams leave and come back", args.rate, args.time)?;
    session.crew.do_now(&Order::Churn {
        share: 0.0,
        away_ms,
    })?;
    session.settle()?;
    session.stop(watch, "streams leave and come back");
    let after = session.gauge.settled();
    let sample = session.sample()?;
    let record = &mut session.recorder;
    record.latency(
        "delivery",
        "delivery, replay after an absence included",
        &latency::of_pairs(&sample.delivery),
    );
    record.latency(
        "reopen",
        "from connect to an open stream, meanwhile",
        &latency::of_pairs(&sample.open),
    );
    let (x, y) = (("time", Unit::Seconds), ("deliveries", Unit::PerSecond));
    record.series("deliveries", "deliveries", x, y, timeline.rates());
    if session.gauge.watching() && before.process > 0 {
        let share = after.process as f64 / before.process as f64;
        let label = "process memory after, against before";
        session
            .recorder
            .figure(Group::Memory, "memory_after", label, share, Unit::Share);
    }
    Ok(())
}
