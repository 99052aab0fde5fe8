//! The figures of the scenario.

use std::time::Duration;

use super::kills::Kills;
use crate::latency;
use crate::outcome::{Group, Unit};
use crate::scenario::ScenarioError;
use crate::scenario::session::{Seen, Session, note_published};

/// Adds all figures.
pub(super) fn all(
    session: &mut Session,
    seen: &Seen,
    kills: &Kills,
    took: Duration,
) -> Result<(), ScenarioError> {
    let sample = session.sample()?;
    let published = session.published()?;
    let progress = session.crew.progress();
    let record = &mut session.recorder;
    record.latency(
        "delivery",
        "delivery to streams that were let in before the event was due",
        &latency::of_pairs(&sample.delivery),
    );
    record.latency(
        "replay",
        "delivery to streams that were let in after it was due",
        &latency::of_pairs(&sample.replay),
    );
    record.latency(
        "reopen",
        "from connect to an open stream, at hops",
        &latency::of_pairs(&sample.open),
    );
    record.latency(
        "away",
        "from the end of a stream by the server until it was open again",
        &latency::of_pairs(&sample.away),
    );
    record.latency(
        "publish",
        "from due to answered by the server, sending again included",
        &published.latency,
    );
    let seconds = took.as_secs_f64().max(1e-9);
    let rate = published.taken as f64 / seconds;
    let label = "events that the nodes took a second";
    record.figure(
        Group::Publishing,
        "events_per_s",
        label,
        rate,
        Unit::PerSecond,
    );
    let rate = progress.received as f64 / seconds;
    record.figure(
        Group::Delivery,
        "deliveries_per_s",
        "deliveries a second",
        rate,
        Unit::PerSecond,
    );
    note_published(record, &published);
    if kills.are_asked_for() {
        let done = u64::from(kills.done());
        record.count(Group::Server, "kills", "nodes killed, and back", done);
        let label = "longest time from a kill until its node listened again";
        record.time(Group::Server, "node_back", label, kills.longest());
    }
    seen.note(record, progress.open);
    Ok(())
}
