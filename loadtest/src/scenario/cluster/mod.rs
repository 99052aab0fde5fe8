//! `cluster`: streams hop from node to node with their cursor while events flow over all nodes, and
//! nodes are killed and come back. All of it has to look like one server.

mod kills;
mod note;

use std::time::Duration;

use super::ScenarioError;
use super::session::{Plan, Seen, Session};
use crate::assertion::Assertion;
use crate::cli::ClusterArgs;
use crate::cli::shared::{Common, TargetArgs};
use crate::message::{HopTo, Hops, Order};
use crate::outcome::Outcome;
use crate::progress::Stage;
use crate::publisher::Endurance;
use kills::Kills;

/// What has to be zero for the nodes to be one server.
const ZERO: [&str; 11] = [
    "lost",
    "doubled",
    "untold",
    "gaps_unchecked",
    "ids_fell",
    "ids_differ",
    "ids_unlike_receipts",
    "foreign",
    "refused",
    "dead",
    "away",
];

/// Runs it.
pub(crate) fn run(args: &ClusterArgs, arguments: Vec<String>) -> Result<Outcome, ScenarioError> {
    kills::check(args)?;
    let common = prepared(args)?;
    let plan = Plan {
        streams: args.streams,
        reconnect: true,
        compares_nodes: true,
        ..Plan::default()
    };
    let mut session = Session::start("cluster", &common, plan, arguments)?;
    let stages = stages(&mut session, args);
    session.conclude(stages)
}

/// The assertions that the scenario has of itself.
pub(crate) fn assertions(args: &ClusterArgs) -> Vec<Assertion> {
    let zero = ZERO.iter().map(|name| format!("{name} == 0"));
    let gaps = format!("gap_events <= {}", args.gaps_allowed);
    let all = zero.chain([gaps, "streams > 0".to_owned()]);
    all.filter_map(|text| text.parse().ok()).collect()
}

/// The common options, with topics so that the events of each are published over one connection.
fn prepared(args: &ClusterArgs) -> Result<Common, ScenarioError> {
    let mut common = args.common.clone();
    let target = &mut common.target;
    let links = publishers(target) * usize::from(args.connections);
    match target.pool {
        None if target.topics > 1 => {
            return Err(ScenarioError::Options(
                "cluster has a topic for each publisher; leave --topics and --pool out, or give --pool, too",
            ));
        }
        None => {
            target.topics = links;
            target.pool = Some(links);
        }
        Some(pool) if !pool.is_multiple_of(links) => return Err(ScenarioError::Pool(links)),
        Some(_) => {}
    }
    target.keyed = true;
    Ok(common)
}

/// Publishers over one connection each.
fn publishers(target: &TargetArgs) -> usize {
    let started = usize::from(target.nodes);
    match (&target.spawn, target.publish.len()) {
        (Some(_), ways) => ways.max(1) * started,
        (None, 0) => target.url.len(),
        (None, ways) => ways,
    }
}

fn stages(session: &mut Session, args: &ClusterArgs) -> Result<(), ScenarioError> {
    let endurance = Endurance {
        timeout: args.publish_timeout,
        retries: true,
    };
    session.connect_all_nodes(usize::from(args.connections), endurance)?;
    session.open(&[args.streams])?;
    if session.streams() == 0 {
        return Ok(());
    }
    session.sample()?;
    let mut seen = Seen::of(session);
    let mut kills = Kills::new(session, args);
    let took = flow(session, args, &mut kills, &mut seen);
    // Whatever happened to the publisher, the nodes have to be ended in the end.
    kills.end(session);
    let took = took?;
    stop_hopping(session, args.hop)?;
    session.wait_for_streams(&mut seen)?;
    session.settle()?;
    note::all(session, &seen, &kills, took)?;
    kills.failure().map_or(Ok(()), |error| Err(error.into()))
}

/// Publishes at the rate while streams hop and nodes are killed; the time until all was answered.
fn flow(
    session: &mut Session,
    args: &ClusterArgs,
    kills: &mut Kills,
    seen: &mut Seen,
) -> Result<Duration, ScenarioError> {
    let stage = Stage::timed("events, and hops", args.time.as_secs());
    session.crew.do_now(&Order::Watch)?;
    let (least, most) = args.hop_every;
    session.crew.do_now(&Order::Hop(Hops {
        to: args.hop,
        least_ms: least.as_millis() as u64,
        most_ms: match args.hop {
            HopTo::Same => 0,
            _ => most.as_millis() as u64,
        },
    }))?;
    let watch = session.watch();
    seen.begin();
    let (publisher, crew) = session.publishing()?;
    let mut failed = None;
    let published = publisher.at_rate(args.rate, args.time, |_| {
        let elapsed = seen.elapsed();
        stage.at(elapsed.as_secs());
        kills.turn(elapsed);
        match crew.look() {
            Ok(progress) => seen.look(progress),
            Err(error) => failed = Some(error),
        }
        failed.is_none()
    });
    published?;
    if let Some(error) = failed {
        return Err(error.into());
    }
    let took = seen.elapsed();
    session.stop(watch, "events, and hops");
    stage.done(&format!(
        "published for {:.2} s at {} events/s",
        took.as_secs_f64(),
        args.rate
    ));
    Ok(took)
}

/// Streams stay where they are; one that is ended still goes elsewhere.
fn stop_hopping(session: &mut Session, to: HopTo) -> Result<(), ScenarioError> {
    session.crew.do_now(&Order::Hop(Hops {
        to,
        least_ms: 0,
        most_ms: 0,
    }))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, Command};

    fn args(words: &[&str]) -> ClusterArgs {
        let words = ["fantail-loadtest", "cluster"].iter().chain(words);
        let cli = Cli::try_parse_from(words).expect("a command line");
        let Command::Cluster(args) = cli.command else {
            panic!("not the scenario");
        };
        args
    }

    fn refused(words: &[&str]) -> String {
        let args = args(words);
        let result = kills::check(&args).and_then(|()| prepared(&args).map(drop));
        result.expect_err("refused").to_string()
    }

    #[test]
    fn no_gap_is_allowed_unless_the_user_says_so() {
        let texts = |words: &[&str]| {
            let all = assertions(&args(words));
            all.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        let usual = texts(&[]);
        assert_eq!(usual.len(), ZERO.len() + 2, "{usual:?}");
        assert!(usual.contains(&"gap_events <= 0".to_owned()), "{usual:?}");
        assert!(texts(&["--gaps-allowed=7"]).contains(&"gap_events <= 7".to_owned()));
    }

    #[test]
    fn each_publisher_has_topics_of_its_own() {
        let two = ["--url=http://a", "--url=http://b"];
        let topics = |more: &[&str]| {
            let words: Vec<&str> = two.iter().chain(more).copied().collect();
            let target = prepared(&args(&words)).expect("options").target;
            (target.topics, target.pool)
        };
        assert_eq!(topics(&[]), (2, Some(2)));
        assert_eq!(topics(&["--connections=3"]), (6, Some(6)));
        assert_eq!(topics(&["--pool=4"]), (1, Some(4)));
        let error = refused(&[two[0], two[1], "--pool=3"]);
        assert!(error.contains("a multiple of 2"), "{error}");
    }

    #[test]
    fn only_what_can_be_started_again_is_killed() {
        let every = "--kill-every=5s";
        for (words, said) in [
            (vec![every], "kills no node that this program did not start"),
            (vec![every, "--kill-command=k"], "and --start-command"),
            (vec!["--start-command=s"], "are for --kill-every"),
            (
                vec![every, "--spawn=x", "--kill-command=k", "--start-command=s"],
                "leave --kill-command and --start-command out",
            ),
        ] {
            let error = refused(&words);
            assert!(error.contains(said), "{words:?}: {error}");
        }
    }
}
