//! Streams that end and come back: what is seen of them over time.

use std::time::{Duration, Instant};

use super::{Session, Timeline};
use crate::message::Progress;
use crate::outcome::Unit;
use crate::progress::Stage;
use crate::recorder::Recorder;
use crate::scenario::ScenarioError;

/// Shortest time between two points of a plot, in seconds.
const STEP: f64 = 0.2;
/// Pause between two checks of the streams that come back.
const LOOK: Duration = Duration::from_millis(20);

/// Observations over time.
pub(crate) struct Seen {
    /// Streams before.
    streams: usize,
    start: Instant,
    open: Vec<(f64, f64)>,
    deliveries: Timeline,
}

impl Seen {
    /// Of a session whose streams are open.
    pub(crate) fn of(session: &Session) -> Self {
        Self {
            streams: session.streams(),
            start: Instant::now(),
            open: Vec::new(),
            deliveries: Timeline::new(STEP),
        }
    }

    /// The time begins now.
    pub(crate) fn begin(&mut self) {
        self.start = Instant::now();
    }

    /// The time since then.
    pub(crate) fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }

    /// Notes what is reported now.
    pub(crate) fn look(&mut self, progress: Progress) {
        let at = self.elapsed().as_secs_f64();
        self.deliveries.note(at, progress.received);
        if self.open.last().is_none_or(|(last, _)| at >= last + STEP) {
            self.open.push((at, progress.open as f64));
        }
    }

    /// Adds the plots, and a warning if not all streams are open at the end.
    pub(crate) fn note(&self, record: &mut Recorder, open: usize) {
        if open < self.streams {
            record.warn("not all streams were open again at the end".to_owned());
        }
        let x = ("time", Unit::Seconds);
        let y = ("deliveries", Unit::PerSecond);
        record.series("deliveries", "deliveries", x, y, self.deliveries.rates());
        let y = ("streams", Unit::Count);
        record.series("open_streams", "open streams", x, y, self.open.clone());
    }
}

impl Session {
    /// Waits until all streams are open, or have ended for good, or for as long as `--timeout`.
    pub(crate) fn wait_for_streams(&mut self, seen: &mut Seen) -> Result<(), ScenarioError> {
        let stage = Stage::counted("streams coming back", seen.streams as u64);
        let start = Instant::now();
        loop {
            let progress = self.crew.look()?;
            seen.look(progress);
            stage.at(progress.open as u64);
            let is_over = progress.open + progress.failed >= seen.streams;
            if is_over || start.elapsed() > self.timeout {
                return Ok(());
            }
            std::thread::sleep(LOOK);
        }
    }
}
