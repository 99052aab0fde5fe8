//! `restart`: the server is restarted or replaced while events flow; clients reconnect as
//! `EventSource` does, publishers as a plain client or as one that tries again.

mod act;
mod course;
mod note;
mod summary;

use std::time::Duration;

use super::ScenarioError;
use super::session::{Plan, Seen, Session};
use crate::cli::shared::{Common, TargetArgs};
use crate::cli::{RestartArgs, RestartKind};
use crate::console;
use crate::message::Order;
use crate::outcome::Outcome;
use crate::progress::Stage;
use crate::publisher::Endurance;
use crate::target::Preset;
use act::Restarter;
use course::Course;

/// Events flow for so much longer while a restart is under way or due.
const LONGER: Duration = Duration::from_secs(1);
/// Fantail's answer to this tells an event's id, by which the ranges of gaps are checked.
const COMMAND_WITH_ID: &str = "XADD {topic} * data {data}";

/// Runs it.
pub(crate) fn run(args: &RestartArgs, arguments: Vec<String>) -> Result<Outcome, ScenarioError> {
    let common = prepared(args)?;
    let plan = Plan {
        streams: args.streams,
        reconnect: true,
        event_source: !common.load.reconnect,
        obeys_retry: true,
        ..Plan::default()
    };
    let mut session = Session::start("restart", &common, plan, arguments)?;
    let stages = stages(&mut session, args);
    let outcome = session.conclude(stages)?;
    console::out(summary::line(&outcome, args));
    Ok(outcome)
}

/// The common options, with topics so that the events of each are published over one connection:
/// only so are they in order.
fn prepared(args: &RestartArgs) -> Result<Common, ScenarioError> {
    let mut common = args.common.clone();
    let target = &mut common.target;
    check_server(args.kind, target, args.upgrade_command.is_some())?;
    let ways = Session::ways_of(target);
    match target.pool {
        None if target.topics > 1 => {
            return Err(ScenarioError::Options(
                "restart has a topic for each way in; leave --topics and --pool out, or give --pool, too",
            ));
        }
        None => {
            target.topics = ways;
            target.pool = Some(ways);
        }
        Some(pool) if !pool.is_multiple_of(ways) => {
            return Err(ScenarioError::Options(
                "--pool: restart publishes every second topic over each of two ways in; give an even number",
            ));
        }
        Some(_) => {}
    }
    if target.preset == Preset::Fantail && !target.private {
        target
            .publish_command
            .get_or_insert_with(|| COMMAND_WITH_ID.to_owned());
    }
    Ok(common)
}

fn check_server(
    kind: RestartKind,
    target: &TargetArgs,
    has_command: bool,
) -> Result<(), ScenarioError> {
    if target.url.len() > 1 || target.nodes > 1 {
        return Err(ScenarioError::Options(
            "restart is for one node; `cluster` kills those of several",
        ));
    }
    let is_upgrade = kind == RestartKind::Upgrade;
    if has_command && !is_upgrade {
        return Err(ScenarioError::Options(
            "--upgrade-command is for --kind upgrade",
        ));
    }
    let may_signal = has_command || target.pid.len() == 1;
    match (&target.spawn, is_upgrade) {
        (None, false) => Err(ScenarioError::Options(
            "restart has to start the server itself: give --spawn",
        )),
        (None, true) if !may_signal => Err(ScenarioError::Options(
            "restart does not know which server to upgrade: give --spawn, one --pid, or --upgrade-command",
        )),
        _ => Ok(()),
    }
}

fn stages(session: &mut Session, args: &RestartArgs) -> Result<(), ScenarioError> {
    session.connect_each_way(Endurance {
        timeout: args.publish_timeout,
        retries: args.publish_retries,
    })?;
    session.open(&[args.streams])?;
    if session.streams() == 0 {
        return Ok(());
    }
    session.sample()?;
    let usage = note::Usage::of(session);
    let restarter = Restarter::new(session, args);
    let mut seen = Seen::of(session);
    let mut course = Course::new(args, restarter);
    flow(session, args, &mut course, &mut seen)?;
    session.wait_for_streams(&mut seen)?;
    session.settle()?;
    course.ends(session.crew.look()?);
    note::all(session, &seen, &course, &usage)?;
    course.failure().map_or(Ok(()), |error| Err(error.into()))
}

/// Publishes at the rate, with the restarts amid.
fn flow(
    session: &mut Session,
    args: &RestartArgs,
    course: &mut Course,
    seen: &mut Seen,
) -> Result<(), ScenarioError> {
    let mut time = course.time();
    let stage = Stage::timed("events, and restarts", time.as_secs());
    session.crew.do_now(&Order::Watch)?;
    seen.begin();
    let (publisher, crew) = session.publishing()?;
    let mut failed = None;
    let published = loop {
        let published = publisher.at_rate(args.rate, time, |_| {
            let elapsed = seen.elapsed();
            stage.at(elapsed.as_secs());
            let looked = course.turn(elapsed, crew).and_then(|()| crew.look());
            match looked {
                Ok(progress) => seen.look(progress),
                Err(error) => failed = Some(error),
            }
            failed.is_none()
        });
        if published.is_err() || failed.is_some() || course.is_over() {
            break published;
        }
        time = LONGER;
    };
    // Whatever happened to the publisher, the server has to be ended in the end.
    if let Some(server) = course.server(crew) {
        session.use_servers(vec![server]);
    }
    published?;
    if let Some(error) = failed {
        return Err(error.into());
    }
    stage.done(&format!(
        "{} in {:.2} s at most, at {} events/s",
        course.title(),
        course.took().as_secs_f64(),
        args.rate
    ));
    Ok(())
}
