//! The figures of the scenario.

use std::time::{Duration, Instant};

use super::course::Course;
use crate::latency;
use crate::message::Order;
use crate::outcome::{Group, Unit};
use crate::recorder::Recorder;
use crate::scenario::ScenarioError;
use crate::scenario::session::{Seen, Session, note_published};

/// What the server uses at one moment, with all its processes.
pub(super) struct Usage {
    files: u64,
    processes: usize,
    bytes: u64,
}

impl Usage {
    /// Now.
    pub(super) fn of(session: &Session) -> Option<Self> {
        let gauge = &session.gauge;
        gauge.watching().then(|| Self {
            files: gauge.files(),
            processes: gauge.pids().len(),
            bytes: gauge.memory().process,
        })
    }
}

/// Longest time for the server to notice that connections were ended.
const NOTICE_PATIENCE: Duration = Duration::from_secs(5);
/// Pause between two looks at its open files.
const LOOK: Duration = Duration::from_millis(50);

/// Adds all figures. `before` is from before the first restart.
pub(super) fn all(
    session: &mut Session,
    seen: &Seen,
    course: &Course,
    before: &Option<Usage>,
) -> Result<(), ScenarioError> {
    let sample = session.sample()?;
    let published = session.published()?;
    let open = session.crew.progress().open;
    if let Some(before) = before {
        session.crew.do_now(&Order::EndLate)?;
        note_usage(session, before);
    }
    let record = &mut session.recorder;
    record.latency(
        "delivery",
        "delivery, replay after the restart included",
        &latency::of_pairs(&sample.delivery),
    );
    record.latency(
        "away",
        "from the end of a stream by the server until it was open again",
        &latency::of_pairs(&sample.away),
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
    note_course(record, course);
    note_published(record, &published);
    seen.note(record, open);
    Ok(())
}

fn note_course(record: &mut Recorder, course: &Course) {
    let done = u64::from(course.done());
    record.count(Group::Server, "restarts", "restarts done", done);
    let label = "longest restart, from the signal to its end";
    record.time(Group::Server, "restart_took", label, course.took());
    if course.is_away() {
        let label = "from the signal until the server listened again";
        record.time(Group::Server, "down", label, course.took());
    }
    if let Some(back) = course.back() {
        let label = "from the signal until all streams had come back";
        record.time(Group::Streams, "back", label, back);
    }
}

fn note_usage(session: &mut Session, before: &Usage) {
    let start = Instant::now();
    while session.gauge.files() > before.files && start.elapsed() < NOTICE_PATIENCE {
        std::thread::sleep(LOOK);
    }
    let Some(after) = Usage::of(session) else {
        return;
    };
    let grown = |before: u64, after: u64| after as f64 - before as f64;
    let record = &mut session.recorder;
    let files = grown(before.files, after.files);
    let label = "growth of the server's open files";
    record.figure(Group::Server, "files_grown", label, files, Unit::Count);
    let processes = grown(before.processes as u64, after.processes as u64);
    let label = "growth of the server's processes";
    record.figure(
        Group::Server,
        "processes_grown",
        label,
        processes,
        Unit::Count,
    );
    let label = "growth of the server's memory";
    let bytes = grown(before.bytes, after.bytes);
    record.figure(
        Group::Memory,
        "process_bytes_grown",
        label,
        bytes,
        Unit::Bytes,
    );
}
