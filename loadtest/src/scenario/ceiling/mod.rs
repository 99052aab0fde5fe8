//! `ceiling`: what several nodes reach of what their log reaches alone.

mod log;

use hdrhistogram::Histogram;

use super::ScenarioError;
use super::session::{FullSpeed, Plan, Session};
use crate::cli::CeilingArgs;
use crate::latency;
use crate::outcome::{Group, Outcome, Unit};
use crate::progress::Stage;
use crate::target::TargetError;
pub(crate) use log::LogError;
use log::{Load, Log};

/// Entries under way on a connection, as on those of publishers.
const PIPELINE: usize = 64;

/// Runs it.
pub(crate) fn run(args: &CeilingArgs, arguments: Vec<String>) -> Result<Outcome, ScenarioError> {
    let mut common = args.common.clone();
    let target = &mut common.target;
    if target.topics > 1 || target.pool.is_some() {
        return Err(ScenarioError::Options(
            "ceiling has a topic for each publishing connection; leave --topics and --pool out",
        ));
    }
    let nodes = usize::from(target.nodes).max(target.url.len());
    let links = nodes * usize::from(args.connections);
    target.topics = links;
    target.pool = Some(links);
    let log = Log::new(&args.log)?;
    let streams = args.streams.unwrap_or(nodes);
    let plan = Plan {
        streams,
        reconnect: true,
        ..Plan::default()
    };
    let load = Load {
        tails: args.tails.map_or(nodes, usize::from),
        publishers: links,
        pipeline: target.publish_pipeline.unwrap_or(PIPELINE),
        data_bytes: target.data_bytes,
        time: args.time,
    };
    let mut session = Session::start("ceiling", &common, plan, arguments)?;
    let stages = stages(&mut session, args, &log, load, streams);
    session.conclude(stages)
}

fn stages(
    session: &mut Session,
    args: &CeilingArgs,
    log: &Log,
    load: Load,
    streams: usize,
) -> Result<(), ScenarioError> {
    let recipes = session.ways().first().cloned().unwrap_or_default();
    if recipes.is_empty() {
        return Err(TargetError::Publish.into());
    }
    let publisher = session.publisher(&recipes, load.publishers)?;
    session.use_publisher(publisher);
    session.open(&[streams])?;
    if session.streams() == 0 {
        return Ok(());
    }
    let alone = log_alone(log, load)?;
    let nodes = nodes_at_full_speed(session, args)?;
    let record = &mut session.recorder;
    let group = Group::Publishing;
    let label = "entries that the log alone took a second, read by all tails";
    record.figure(group, "log_events_per_s", label, alone, Unit::PerSecond);
    let label = "events that the nodes took a second";
    record.figure(
        group,
        "nodes_events_per_s",
        label,
        nodes.rate,
        Unit::PerSecond,
    );
    let label = "the nodes' share of what the log alone took";
    let share = nodes.rate / alone.max(1e-9);
    record.figure(group, "share_of_log", label, share, Unit::Share);
    record.count(group, "tails", "tails of the log alone", load.tails as u64);
    added_latency(session, args, log, load)?;
    let label = "publishing to the nodes at full speed";
    let record = &mut session.recorder;
    record.latency("publish", label, &nodes.published.latency);
    Ok(())
}

fn log_alone(log: &Log, load: Load) -> Result<f64, ScenarioError> {
    let stage = Stage::timed("the log alone, at full speed", load.time.as_secs());
    let rate = log.full_speed(load)?;
    stage.done(&format!(
        "the log alone, {} tails: {rate:.0} entries/s",
        load.tails
    ));
    Ok(rate)
}

/// What the nodes took at full speed.
fn nodes_at_full_speed(
    session: &mut Session,
    args: &CeilingArgs,
) -> Result<FullSpeed, ScenarioError> {
    let name = "the nodes, at full speed";
    let stage = Stage::timed(name, args.time.as_secs());
    let nodes = session.full_speed(args.time, &stage, name)?;
    stage.done(&format!("the nodes: {:.0} events/s", nodes.rate));
    Ok(nodes)
}

/// The latency of deliveries at a rate, and what is more of it than of the log's entries.
fn added_latency(
    session: &mut Session,
    args: &CeilingArgs,
    log: &Log,
    load: Load,
) -> Result<(), ScenarioError> {
    let stage = Stage::timed("latency, at a rate", args.time.as_secs() * 2);
    let alone = log.at_rate(load, args.rate)?;
    session.sample()?;
    super::fanout::steady(
        session,
        "latency of the nodes, at a rate",
        args.rate,
        args.time,
    )?;
    session.settle()?;
    session.published()?;
    let sample = session.sample()?;
    let through = latency::of_pairs(&sample.delivery);
    let record = &mut session.recorder;
    for (name, quantile) in [("added_p50", 0.5), ("added_p99", 0.99)] {
        let at = |histogram: &Histogram<u64>| histogram.value_at_quantile(quantile) as f64 / 1e9;
        let label = format!(
            "latency that the nodes add to the log's, p{:.0}",
            quantile * 100.0
        );
        let added = at(&through) - at(&alone);
        record.slope(Group::Delivery, name, &label, added, Unit::Seconds);
    }
    record.latency(
        "delivery",
        "delivery through the nodes, at a rate",
        &through,
    );
    record.latency("log", "from due to read by a tail of the log alone", &alone);
    stage.done(&format!("latency at {} events/s", args.rate));
    Ok(())
}
