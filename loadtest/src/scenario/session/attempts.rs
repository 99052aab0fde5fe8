//! The figures of a publisher that bears failures: how events failed, and how long they waited.

use crate::outcome::Group;
use crate::publisher::fate::{Failure, Published, Way};
use crate::recorder::Recorder;

/// Adds them.
pub(crate) fn note_published(record: &mut Recorder, published: &Published) {
    let group = Group::Publishing;
    let failed = published.failed + published.refused;
    record.count(group, "publishes_failed", "events that failed", failed);
    for (kind, name, label) in Failure::ALL {
        let (name, label) = (format!("publishes_{name}"), format!("… {label}"));
        record.count(group, &name, &label, published.failures(kind));
    }
    let label = "attempts to publish that were made again";
    record.count(group, "publishes_retried", label, published.retried);
    let ways = Way::ALL.map(|(way, name, label)| (published.way(way), name, label));
    let longest = ways.iter().map(|(way, ..)| way.longest).max();
    let label = "longest wait of a publisher, from due to answered or failed";
    let longest = longest.unwrap_or_default();
    record.time(group, "longest_publish_wait", label, longest);
    for (way, name, label) in ways.iter().filter(|(way, ..)| way.events > 0) {
        let figure = format!("{name}_publishes_failed");
        record.count(group, &figure, &format!("… failed {label}"), way.failed);
        let figure = format!("{name}_longest_publish_wait");
        record.time(
            group,
            &figure,
            &format!("… longest wait {label}"),
            way.longest,
        );
    }
}
