//! The restarts of a run, one after the other: when each begins, and how it went.

use std::sync::mpsc::{self, Receiver, Sender};
use std::time::{Duration, Instant};

use super::act::Restarter;
use crate::cli::{RestartArgs, RestartKind};
use crate::crew::{Crew, CrewError};
use crate::message::Progress;
use crate::server::{Server, ServerError};
use crate::stamp;

/// So long before a restart the cursors are taken with which streams are opened after it.
const LEAD: Duration = Duration::from_secs(1);

/// The restarts of a run.
pub(super) struct Course {
    kind: RestartKind,
    times: u32,
    every: Duration,
    /// Publishing lasts so long when there is one restart.
    time: Duration,
    history_streams: usize,
    /// `None` while a restart is under way.
    restarter: Option<Restarter>,
    say: Sender<Ended>,
    told: Receiver<Ended>,
    /// Restarts that have begun, and those that were done.
    begun: u32,
    done: u32,
    /// Cursors were taken for the next one.
    remembered: bool,
    /// The next one begins no earlier, from the start of publishing.
    not_before: Duration,
    /// The last one.
    mark: Option<Mark>,
    /// The longest time of one, and until all streams had come back from one.
    took: Duration,
    back: Option<Duration>,
    failure: Option<ServerError>,
}

/// The start of a restart.
#[derive(Clone, Copy, Debug)]
struct Mark {
    /// On the monotonic clock.
    at: u64,
    /// Times that a stream had opened by then.
    opened: u64,
}

/// The end of a restart.
struct Ended {
    restarter: Restarter,
    result: Result<(), ServerError>,
    took: Duration,
}

impl Course {
    /// No restart has begun.
    pub(super) fn new(args: &RestartArgs, restarter: Restarter) -> Self {
        let (say, told) = mpsc::channel();
        Self {
            kind: args.kind,
            times: args.times,
            every: args.every,
            time: args.time,
            history_streams: args.history_streams,
            restarter: Some(restarter),
            say,
            told,
            begun: 0,
            done: 0,
            remembered: false,
            not_before: Duration::ZERO,
            mark: None,
            took: Duration::ZERO,
            back: None,
            failure: None,
        }
    }

    /// How long to publish, if every restart is over in time.
    pub(super) fn time(&self) -> Duration {
        match self.times {
            1 => self.time,
            times => self.every * (times + 1),
        }
    }

    /// When the next restart begins, from the start of publishing.
    fn due(&self) -> Duration {
        let due = match self.times {
            1 => self.time / 2,
            _ => self.every * (self.begun + 1),
        };
        due.max(self.not_before)
    }

    /// Does what is due.
    pub(super) fn turn(&mut self, elapsed: Duration, crew: &mut Crew) -> Result<(), CrewError> {
        if let Ok(ended) = self.told.try_recv() {
            self.has_ended(ended);
            self.not_before = elapsed + LEAD;
            crew.open_late()?;
        }
        if self.restarter.is_none() || self.is_over() {
            return Ok(());
        }
        let due = self.due();
        if !self.remembered && elapsed + LEAD >= due {
            self.remembered = true;
            crew.remember(self.history_streams)?;
        }
        if elapsed >= due
            && let Some(restarter) = self.restarter.take()
        {
            self.begin(restarter, crew.progress());
        }
        Ok(())
    }

    fn begin(&mut self, mut restarter: Restarter, progress: Progress) {
        self.ends(progress);
        self.begun += 1;
        self.remembered = false;
        self.mark = Some(Mark {
            at: stamp::now(),
            opened: progress.opened,
        });
        let say = self.say.clone();
        // In a thread of its own: publishers and streams notice for themselves.
        std::thread::spawn(move || {
            let start = Instant::now();
            let result = restarter.restart();
            // The main thread waits for this.
            let _ = say.send(Ended {
                restarter,
                result,
                took: start.elapsed(),
            });
        });
    }

    fn has_ended(&mut self, ended: Ended) {
        self.restarter = Some(ended.restarter);
        match ended.result {
            Ok(()) => {
                self.done += 1;
                self.took = self.took.max(ended.took);
            }
            Err(error) => self.failure = Some(error),
        }
    }

    /// The effects of the last restart are over.
    pub(super) fn ends(&mut self, progress: Progress) {
        if let Some(mark) = self.mark.take()
            && progress.opened > mark.opened
        {
            let back = stamp::since(mark.at, progress.opened_at);
            self.back = self.back.max(Some(back));
        }
    }

    /// Whether no restart is under way, and none is left.
    pub(super) fn is_over(&self) -> bool {
        self.restarter.is_some() && (self.begun == self.times || self.failure.is_some())
    }

    /// Waits for a restart that is under way, and returns the server that this program started.
    pub(super) fn server(&mut self, crew: &mut Crew) -> Option<Server> {
        if self.restarter.is_none()
            && let Ok(ended) = self.told.recv()
        {
            self.has_ended(ended);
            // A process that is gone is found out later.
            let _ = crew.open_late();
        }
        self.restarter.take()?.into_server()
    }

    /// Restarts that were done.
    pub(super) fn done(&self) -> u32 {
        self.done
    }

    /// The longest of them.
    pub(super) fn took(&self) -> Duration {
        self.took
    }

    /// The longest time until all streams had come back; `None` if none had to.
    pub(super) fn back(&self) -> Option<Duration> {
        self.back
    }

    /// Whether the server is away for the time of a restart.
    pub(super) fn is_away(&self) -> bool {
        matches!(self.kind, RestartKind::StopStart | RestartKind::Kill)
    }

    /// Why the last one failed.
    pub(super) fn failure(self) -> Option<ServerError> {
        self.failure
    }

    /// What was done, for people.
    pub(super) fn title(&self) -> String {
        match self.done {
            1 => "restarted once".to_owned(),
            times => format!("restarted {times} times"),
        }
    }
}
