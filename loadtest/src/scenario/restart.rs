//! `restart`: the server ends and is started again while events flow; clients reconnect as
//! `EventSource` does, publishers as a client library.

use std::sync::mpsc;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use super::ScenarioError;
use super::session::{Plan, Session, Timeline};
use crate::cli::{RestartArgs, RestartKind};
use crate::latency;
use crate::message::Progress;
use crate::outcome::{Group, Outcome, Unit};
use crate::progress::Stage;
use crate::server::{Server, ServerError};

/// Shortest time between two points of a plot, in seconds.
const STEP: f64 = 0.2;
/// Pause between two checks of the reconnecting streams.
const LOOK: Duration = Duration::from_millis(20);

/// Runs it.
pub(crate) fn run(args: &RestartArgs, arguments: Vec<String>) -> Result<Outcome, ScenarioError> {
    let mut common = args.common.clone();
    if common.target.spawn.is_none() {
        return Err(ScenarioError::Options(
            "restart has to start the server itself: give --spawn",
        ));
    }
    if common.target.topics > 1 || common.target.pool.is_some() {
        return Err(ScenarioError::Options(
            "restart has a topic for each way in; leave --topics and --pool out",
        ));
    }
    // Only so are the events of a topic in order.
    let ways = Session::ways(&common.target);
    common.target.topics = ways;
    common.target.pool = Some(ways);
    let plan = Plan {
        streams: args.streams,
        reconnect: true,
        event_source: true,
        ..Plan::default()
    };
    let mut session = Session::start("restart", &common, plan, arguments)?;
    let stages = stages(&mut session, args);
    session.conclude(stages)
}

fn stages(session: &mut Session, args: &RestartArgs) -> Result<(), ScenarioError> {
    session.connect_each_way()?;
    session.open(&[args.streams])?;
    if session.streams() == 0 {
        return Ok(());
    }
    session.sample()?;
    let mut seen = Seen::new(session.streams());
    let down = flow(session, args, &mut seen)?;
    wait_for_all(session, &mut seen)?;
    session.settle()?;
    note(session, &seen, down)
}

/// Observations of the streams since the restart began.
struct Seen {
    /// Streams before it.
    streams: usize,
    start: Instant,
    /// When the server was signalled.
    signalled: Option<Instant>,
    /// Times that a stream had opened by then.
    opened: u64,
    /// From the signal until all had reconnected.
    back: Option<Duration>,
    open: Vec<(f64, f64)>,
    deliveries: Timeline,
}

impl Seen {
    fn new(streams: usize) -> Self {
        Self {
            streams,
            start: Instant::now(),
            signalled: None,
            opened: 0,
            back: None,
            open: Vec::new(),
            deliveries: Timeline::new(STEP),
        }
    }

    fn look(&mut self, progress: Progress) {
        let at = self.start.elapsed().as_secs_f64();
        self.deliveries.note(at, progress.received);
        if self.open.last().is_none_or(|(last, _)| at >= last + STEP) {
            self.open.push((at, progress.open as f64));
        }
        let Some(signalled) = self.signalled else {
            self.opened = progress.opened;
            return;
        };
        // A short absence is over before it is reported.
        let all = self.opened + self.streams as u64;
        if self.back.is_none() && progress.opened >= all && progress.open >= self.streams {
            self.back = Some(signalled.elapsed());
        }
    }
}

/// Publishes at the rate, with the restart in the middle; how long the server was away.
fn flow(
    session: &mut Session,
    args: &RestartArgs,
    seen: &mut Seen,
) -> Result<Duration, ScenarioError> {
    let stage = Stage::timed("events, and a restart", args.time.as_secs());
    let mut server = session.take_server();
    let (say, told) = mpsc::channel();
    let signal = match args.kind {
        RestartKind::Stop => Signal::SIGTERM,
        RestartKind::Kill => Signal::SIGKILL,
    };
    seen.start = Instant::now();
    let (publisher, crew) = session.publishing()?;
    let mut failed = None;
    let published = publisher.at_rate(args.rate, args.time, |_| {
        stage.at(seen.start.elapsed().as_secs());
        if seen.start.elapsed() >= args.time / 2
            && let Some(server) = server.take()
        {
            seen.signalled = Some(Instant::now());
            // In a thread of its own: publishers and streams notice for themselves.
            restart(server, signal, say.clone());
        }
        match crew.look() {
            Ok(progress) => seen.look(progress),
            Err(error) => failed = Some(error),
        }
        failed.is_none()
    });
    drop(say);
    // Whatever happened to the publisher, the server has to be ended in the end.
    let restarted = told.recv().ok();
    if let Some(server) = server {
        session.use_server(server);
    }
    let down = match restarted {
        Some((Ok(server), down)) => {
            session.use_server(server);
            down
        }
        Some((Err(error), _)) => return Err(error.into()),
        None => Duration::ZERO,
    };
    published?;
    if let Some(error) = failed {
        return Err(error.into());
    }
    stage.done(&format!(
        "restarted in {:.2} s, at {} events/s",
        down.as_secs_f64(),
        args.rate
    ));
    Ok(down)
}

fn restart(
    server: Server,
    signal: Signal,
    say: mpsc::Sender<(Result<Server, ServerError>, Duration)>,
) {
    std::thread::spawn(move || {
        let start = Instant::now();
        let restarted = server.restart(signal);
        // The main thread waits for this.
        let _ = say.send((restarted, start.elapsed()));
    });
}

/// Waits until all streams have reconnected, or have ended for good, or for as long as `--timeout`.
fn wait_for_all(session: &mut Session, seen: &mut Seen) -> Result<(), ScenarioError> {
    let stage = Stage::counted("streams coming back", seen.streams as u64);
    let start = Instant::now();
    loop {
        let progress = session.crew.look()?;
        seen.look(progress);
        stage.at(progress.open as u64);
        let some_ended = progress.failed > 0 && progress.open + progress.failed >= seen.streams;
        let is_over = seen.back.is_some() || some_ended;
        if is_over || start.elapsed() > session.timeout() {
            return Ok(());
        }
        std::thread::sleep(LOOK);
    }
}

fn note(session: &mut Session, seen: &Seen, down: Duration) -> Result<(), ScenarioError> {
    let sample = session.sample()?;
    let published = session.published()?;
    let record = &mut session.recorder;
    record.latency(
        "delivery",
        "delivery, replay after the restart included",
        &latency::of_pairs(&sample.delivery),
    );
    record.latency(
        "reopen",
        "from connect to an open stream, after the restart",
        &latency::of_pairs(&sample.open),
    );
    record.latency(
        "publish",
        "from due to answered by the server, the restart included",
        &published.latency,
    );
    let label = "from the signal until the server listened again";
    record.time(Group::Server, "down", label, down);
    match seen.back {
        Some(back) => {
            let label = "from the signal until all streams had come back";
            record.time(Group::Streams, "back", label, back);
        }
        None => record.warn("not all streams came back".to_owned()),
    }
    let label = "events whose publishing broke off unanswered";
    record.count(
        Group::Publishing,
        "publishes_failed",
        label,
        published.failed,
    );
    let longest = Duration::from_nanos(published.latency.max());
    let label = "longest wait of a publisher, from due to answered";
    record.time(Group::Publishing, "longest_publish_wait", label, longest);
    let x = ("time", Unit::Seconds);
    let y = ("deliveries", Unit::PerSecond);
    record.series("deliveries", "deliveries", x, y, seen.deliveries.rates());
    let y = ("streams", Unit::Count);
    record.series("open_streams", "open streams", x, y, seen.open.clone());
    Ok(())
}
