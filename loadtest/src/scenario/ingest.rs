//! `ingest`: how fast a server accepts events.

use super::ScenarioError;
use super::session::{FullSpeed, Plan, Session};
use crate::cli::IngestArgs;
use crate::outcome::{Group, Outcome, Unit};
use crate::progress::Stage;
use crate::publisher::recipe::Recipe;

/// Runs it.
pub(crate) fn run(args: &IngestArgs, arguments: Vec<String>) -> Result<Outcome, ScenarioError> {
    let connections = usize::from(args.connections);
    let mut common = args.common.clone();
    if common.target.topics > 1 || common.target.pool.is_some() {
        return Err(ScenarioError::Options(
            "ingest has a topic for each of --connections; leave --topics and --pool out",
        ));
    }
    // Only so are the events of a topic in order.
    common.target.topics = connections;
    common.target.pool = Some(connections);
    let plan = Plan {
        streams: args.streams,
        reconnect: true,
        ..Plan::default()
    };
    let mut session = Session::start("ingest", &common, plan, arguments)?;
    let stages = stages(&mut session, args, connections);
    session.conclude(stages)
}

fn stages(
    session: &mut Session,
    args: &IngestArgs,
    connections: usize,
) -> Result<(), ScenarioError> {
    session.connect_publisher()?;
    if args.streams > 0 {
        session.open(&[args.streams])?;
    }
    for recipes in session.ways().to_vec() {
        one_way(session, args, &recipes, connections)?;
    }
    Ok(())
}

fn one_way(
    session: &mut Session,
    args: &IngestArgs,
    recipes: &[Recipe],
    connections: usize,
) -> Result<(), ScenarioError> {
    let (name, words) = if recipes.iter().any(Recipe::is_resp) {
        ("resp", "over the Redis protocol")
    } else {
        ("http", "over HTTP")
    };
    let stage = Stage::timed(&format!("publishing {words}"), args.time.as_secs());
    let publisher = session.publisher(recipes, connections)?;
    session.use_publisher(publisher);
    let FullSpeed {
        rate,
        published,
        stretch,
    } = session.full_speed(args.time, &stage, words)?;
    let record = &mut session.recorder;
    let mut figure = |suffix: &str, label: &str, value: f64, unit| {
        record.figure(
            Group::Publishing,
            &format!("{name}_{suffix}"),
            &format!("{label} {words}"),
            value,
            unit,
        );
    };
    figure("events_per_s", "events a second", rate, Unit::PerSecond);
    figure(
        "refused",
        "events that the server refused",
        published.refused as f64,
        Unit::Count,
    );
    record.latency(
        &format!("{name}_publish"),
        &format!("publishing {words}"),
        &published.latency,
    );
    if session.gauge.watching() && published.taken > 0 {
        let cpu = stretch.server.div_f64(published.taken as f64);
        let label = format!("CPU an event {words}");
        session
            .recorder
            .time(Group::Server, &format!("{name}_event_cpu"), &label, cpu);
    }
    stage.done(&format!("published {words}: {rate:.0} events/s"));
    Ok(())
}
