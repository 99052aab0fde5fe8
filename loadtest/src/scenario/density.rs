//! `density`: the cost of a stream.

use super::session::{Plan, Session};
use super::{ScenarioError, steps};
use crate::cli::DensityArgs;
use crate::outcome::{Group, Outcome, Unit};
use crate::progress::Stage;

/// Runs it.
pub(crate) fn run(args: &DensityArgs, arguments: Vec<String>) -> Result<Outcome, ScenarioError> {
    let steps = steps(&args.at, args.streams);
    let streams = steps.last().copied().unwrap_or(0);
    let plan = Plan {
        streams,
        ..Plan::default()
    };
    let mut session = Session::start("density", &args.common, plan, arguments)?;
    let stages = stages(&mut session, args, &steps);
    session.conclude(stages)
}

fn stages(session: &mut Session, args: &DensityArgs, steps: &[usize]) -> Result<(), ScenarioError> {
    if args.events > 0 {
        // A fault in publishing must show before thousands of streams are opened.
        session.connect_publisher()?;
    }
    session.open(steps)?;
    if !args.hold.is_zero() {
        hold(session, args)?;
    }
    if args.events > 0 && session.streams() > 0 {
        let topics = session.layout.pool() as u64;
        super::fanout::one_at_a_time(session, args.events, topics)?;
        session.note_memory_after();
    }
    Ok(())
}

fn hold(session: &mut Session, args: &DensityArgs) -> Result<(), ScenarioError> {
    let stage = Stage::timed("holding", args.hold.as_secs());
    let watch = session.watch();
    let start = std::time::Instant::now();
    while start.elapsed() < args.hold {
        std::thread::sleep(
            args.hold
                .saturating_sub(start.elapsed())
                .min(std::time::Duration::from_millis(200)),
        );
        session.crew.look()?;
        stage.at(start.elapsed().as_secs());
    }
    let stretch = session.stop(watch, "holding");
    let open = session.crew.progress().open;
    let cores = stretch.cores(stretch.server);
    if session.gauge.watching() {
        session.recorder.figure(
            Group::Server,
            "idle_cpu",
            "CPU of the server while streams are idle",
            cores,
            Unit::Cores,
        );
    }
    stage.done(&format!(
        "held {open} streams for {:.0} s",
        args.hold.as_secs_f64()
    ));
    Ok(())
}
