//! The end of a run: the check of every stream, and whether the load generator was the limit.

use std::time::Duration;

use super::Session;
use super::gaps;
use crate::gauge::Stretch;
use crate::latency;
use crate::message::Checked;
use crate::outcome::{Group, Outcome, Unit};
use crate::progress::Stage;
use crate::publisher::Publisher;
use crate::recorder::Recorder;
use crate::scenario::ScenarioError;

/// A process that is busy for more than this share of the time counts as the limit.
const BUSY_SHARE: f64 = 0.9;
/// Shorter stretches do not show what was the limit.
const STRETCH_MIN: Duration = Duration::from_millis(100);
/// Most points of a plot; beyond, every second one is dropped.
const TIMELINE_POINTS_MAX: usize = 2_000;

impl Session {
    /// CPU time of each delivery of a stretch.
    pub(crate) fn note_delivery_cpu(
        &mut self,
        name: &str,
        label: &str,
        stretch: &Stretch,
        deliveries: u64,
    ) {
        if self.gauge.watching() && deliveries > 0 {
            let cpu = stretch.server.as_secs_f64() / deliveries as f64;
            self.recorder
                .figure(Group::Server, name, label, cpu, Unit::Seconds);
        }
    }

    /// Ends the run with the result of its stages. A publisher that failed is a result: the part
    /// before is checked and shown.
    pub(crate) fn conclude(
        mut self,
        stages: Result<(), ScenarioError>,
    ) -> Result<Outcome, ScenarioError> {
        match stages {
            Ok(()) => {}
            Err(error @ (ScenarioError::Publish(_) | ScenarioError::Server(_))) => {
                self.recorder.fail(error.to_string());
                if let Some(publisher) = &mut self.publisher {
                    publisher.abandon();
                }
                self.settle()?;
            }
            Err(other) => return Err(other),
        }
        self.finish()
    }

    /// Checks every stream, and ends the run.
    fn finish(mut self) -> Result<Outcome, ScenarioError> {
        let events = self.events();
        if self.publisher.is_some() {
            self.published()?;
        }
        let checked = self.crew.check(events)?;
        note_truth(&mut self.recorder, &checked);
        if let Some(publisher) = self.publisher.as_ref().filter(|it| it.endures()) {
            gaps::note(&mut self.recorder, &checked, publisher.ids());
            note_breaks(&mut self.recorder, &checked);
            if !self.compares_nodes {
                note_history(&mut self.recorder, &checked);
            }
        }
        if self.compares_nodes {
            self.note_nodes(&checked)?;
        }
        let (taken, refused) = (self.taken, self.refused);
        let record = &mut self.recorder;
        record.count(
            Group::Publishing,
            "events",
            "events that the server took",
            taken,
        );
        let label = "events that the server refused";
        record.count(Group::Publishing, "events_refused", label, refused);
        if refused > 0 {
            record.warn(format!("the server refused {refused} of {events} events"));
        }
        let opening = latency::of_pairs(&self.opening);
        record.latency("open", "from connect to an open stream", &opening);
        self.judge(&checked, events);
        self.note_generator();
        for doubt in self.gauge.doubts() {
            self.recorder.warn(doubt.to_owned());
        }
        let stage = Stage::open_ended("ending");
        let outcome = self.recorder.finish();
        drop(self.crew);
        drop(stage);
        Ok(outcome)
    }

    /// How the nodes compare, and what is wrong, by name.
    fn note_nodes(&mut self, checked: &Checked) -> Result<(), ScenarioError> {
        let (ids, unlike) = self.crew.ids()?;
        let receipts = self.publisher.as_ref().map_or(&[][..], Publisher::ids);
        let compared = ids.compare(self.nodes.len(), receipts);
        let figures = [
            (
                "ids_fell",
                "events whose id was not above those before on the stream",
                checked.tally.ids_fell,
            ),
            (
                "ids_differ",
                "events that had another id elsewhere",
                checked.tally.ids_differ + unlike,
            ),
            (
                "ids_unlike_receipts",
                "events that had another id than their publisher was told",
                compared.unlike_receipts,
            ),
            (
                "ids_compared",
                "events whose ids were compared",
                compared.events,
            ),
            (
                "ids_from_all_nodes",
                "… of which every node sent one",
                compared.from_all,
            ),
        ];
        let record = &mut self.recorder;
        for (name, label, value) in figures {
            record.count(Group::Truth, name, label, value);
        }
        let label = "times that a stream hopped";
        record.count(Group::Streams, "hops", label, checked.hops);
        let nodes = self.nodes.len() as u64;
        record.count(Group::Streams, "nodes", "nodes", nodes);
        let topic = |topic: usize| self.layout.name(topic);
        let node = |node: usize| {
            let url = self.nodes.get(node).map(|node| node.url.clone());
            url.unwrap_or_default()
        };
        for text in checked.faults.texts(topic, node) {
            record.warn(text);
        }
        Ok(())
    }

    /// A run that opened no stream, or published no event, has measured nothing, whatever its goal
    /// was.
    fn judge(&mut self, checked: &Checked, events: u64) {
        let most = |reasons: &[(String, u64)]| {
            let most = reasons.iter().max_by_key(|(_, count)| *count);
            most.map_or_else(String::new, |(text, _)| format!("; most often: {text}"))
        };
        if checked.refused > 0 && checked.open + checked.closed + checked.away == 0 {
            let (streams, why) = (checked.refused, most(&checked.reasons));
            let text = format!("none of {streams} streams could be opened{why}");
            self.recorder.fail_at_end(text);
        }
        if self.taken == 0 && self.refused + self.failed > 0 {
            let text = format!("the server took none of {events} events");
            self.recorder.fail_at_end(text);
        }
    }

    fn note_generator(&mut self) {
        let total = &self.total;
        let own = total.cores(total.generator);
        let server = total.cores(total.server);
        let busiest = total.busiest.as_secs_f64() / total.time.as_secs_f64().max(1e-9);
        let used = total.generator.as_secs_f64()
            / (total.generator + total.server).as_secs_f64().max(1e-9);
        let watching = self.gauge.watching() && !self.cpu_is_lost;
        let record = &mut self.recorder;
        record.figure(
            Group::Generator,
            "generator_cores",
            "CPU of the load generator while measuring",
            own,
            Unit::Cores,
        );
        record.figure(
            Group::Generator,
            "generator_busiest",
            "busiest process of the load generator",
            busiest,
            Unit::Share,
        );
        if watching {
            record.figure(
                Group::Server,
                "server_cores",
                "CPU of the server while measuring",
                server,
                Unit::Cores,
            );
            record.figure(
                Group::Generator,
                "generator_share",
                "the load generator's share of the CPU used",
                used,
                Unit::Share,
            );
        }
    }

    /// Warns if the load generator, or the machine, was the limit of a phase.
    pub(super) fn doubt_generator(&mut self, stretch: &Stretch, phase: &str) {
        let own = stretch.cores(stretch.generator);
        let server = stretch.cores(stretch.server);
        let busiest = stretch.cores(stretch.busiest);
        let cores = std::thread::available_parallelism().map_or(1, usize::from) as f64;
        if stretch.time < STRETCH_MIN || busiest.max((own + server) / cores) < BUSY_SHARE {
            return;
        }
        // Without numbers, which the figures have: the same doubt in ten bursts is one doubt.
        let percent = BUSY_SHARE * 100.0;
        self.recorder.warn(if self.gauge.watching() && own + server > BUSY_SHARE * cores {
            format!(
                "{phase}: this machine was full: the server and the load generator together used more than {percent:.0} % of its cores; \
                 rates are what both reach together, and the server alone would reach more"
            )
        } else {
            format!(
                "{phase}: a process of the load generator was busy for more than {percent:.0} % of the time, and may have been the limit; \
                 give it more --processes, or a machine of its own"
            )
        });
    }
}

fn note_truth(record: &mut Recorder, checked: &Checked) {
    let truth = [
        ("lost", "events lost", checked.lost),
        ("doubled", "events received again", checked.tally.doubled),
        (
            "out_of_order",
            "events out of order",
            checked.tally.out_of_order,
        ),
        (
            "gap_told",
            "events missing that a gap told of",
            checked.gap_told,
        ),
        ("foreign", "events of somebody else", checked.tally.foreign),
        (
            "missed_closed",
            "events missed by streams that are not open any more",
            checked.missed_closed,
        ),
    ];
    for (name, label, value) in truth {
        record.count(Group::Truth, name, label, value);
    }
    let streams = [
        ("streams", "streams open at the end", checked.open as u64),
        (
            "refused",
            "streams that never opened",
            checked.refused as u64,
        ),
        (
            "closed",
            "streams that the server closed",
            checked.closed as u64,
        ),
        (
            "away",
            "streams between two connections at the end",
            checked.away as u64,
        ),
    ];
    for (name, label, value) in streams {
        record.count(Group::Streams, name, label, value);
    }
    if checked.returned > 0 {
        record.count(
            Group::Streams,
            "returned",
            "times that a stream came back",
            checked.returned,
        );
        let label = "… without a cursor, since the server had sent no id";
        record.count(
            Group::Streams,
            "returned_without_cursor",
            label,
            checked.returned_without_cursor,
        );
    }
    record.count(
        Group::Delivery,
        "deliveries",
        "deliveries",
        checked.tally.received,
    );
    record.count(Group::Truth, "gap_events", "gap events", checked.tally.gaps);
    for (text, count) in &checked.reasons {
        record.reason(text.clone(), *count);
    }
}

/// What streams met over breaks of their connections.
fn note_breaks(record: &mut Recorder, checked: &Checked) {
    let streams = [
        ("cut", "times that the server ended a stream", checked.cut),
        (
            "sent_away",
            "times that a stream was answered with a retry and an end",
            checked.sent_away,
        ),
        (
            "dead",
            "streams that an answer which is no stream has ended for good",
            checked.closed as u64,
        ),
    ];
    for (name, label, value) in streams {
        record.count(Group::Streams, name, label, value);
    }
    let silence = latency::of_pairs(&checked.silence);
    let label = "longest time without an event, of each open stream";
    record.latency("silence", label, &silence);
    let longest = Duration::from_nanos(silence.max());
    let label = "longest time without an event on a stream";
    record.time(Group::Delivery, "longest_silence", label, longest);
    let label = "longest time without an event on any stream";
    let pause = Duration::from_nanos(checked.pause);
    record.time(Group::Delivery, "pause", label, pause);
}

/// What streams with cursors from before a restart miss.
fn note_history(record: &mut Recorder, checked: &Checked) {
    let history = [
        (
            "history_streams",
            "streams opened after a restart with a cursor from before it",
            checked.late as u64,
        ),
        ("history_lost", "… events that they miss", checked.late_lost),
        (
            "history_gap_told",
            "… events that they miss and a gap told of",
            checked.late_told,
        ),
    ];
    for (name, label, value) in history {
        record.count(Group::Truth, name, label, value);
    }
}

/// Counts over time, for a plot; as many as a plot can show, however long the run takes.
#[derive(Debug)]
pub(crate) struct Timeline {
    counts: Vec<(f64, u64)>,
    /// Seconds between two of them.
    step: f64,
}

impl Timeline {
    /// An empty one, whose points are at least `step` seconds apart.
    pub(crate) fn new(step: f64) -> Self {
        Self {
            counts: Vec::new(),
            step,
        }
    }

    /// Notes a count, unless the last one is too young.
    pub(crate) fn note(&mut self, seconds: f64, count: u64) {
        if self
            .counts
            .last()
            .is_some_and(|(last, _)| seconds < last + self.step)
        {
            return;
        }
        self.counts.push((seconds, count));
        if self.counts.len() > TIMELINE_POINTS_MAX {
            let mut number = 0;
            self.counts.retain(|_| {
                number += 1;
                number % 2 == 1
            });
            self.step *= 2.0;
        }
    }

    /// The rates between two counts, at the time of the second.
    pub(crate) fn rates(&self) -> Vec<(f64, f64)> {
        let pairs = self.counts.windows(2);
        pairs
            .map(|pair| {
                let ((since, from), (until, to)) = (pair[0], pair[1]);
                (until, to.saturating_sub(from) as f64 / (until - since))
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_those_between_two_looks_that_are_far_enough_apart() {
        let mut timeline = Timeline::new(0.05);
        for (seconds, count) in [(0.0, 0), (0.01, 5), (0.1, 10), (0.2, 10), (0.3, 40)] {
            timeline.note(seconds, count);
        }
        let points = timeline.rates();
        let rounded: Vec<(f64, f64)> = points.iter().map(|(x, y)| (*x, y.round())).collect();
        assert_eq!(rounded, [(0.1, 100.0), (0.2, 0.0), (0.3, 300.0)]);
    }

    #[test]
    fn a_long_run_keeps_as_many_points_as_a_plot_can_show() {
        let mut timeline = Timeline::new(0.05);
        for tick in 0..1_000_000_u64 {
            timeline.note(tick as f64 * 0.1, tick * 7);
        }
        let points = timeline.rates();
        assert!(points.len() <= TIMELINE_POINTS_MAX && points.len() > TIMELINE_POINTS_MAX / 3);
        assert!(points.iter().all(|(_, rate)| (rate - 70.0).abs() < 0.1));
    }
}
