//! Totals by name: all that was counted since the start. A process that takes over goes on counting
//! from them. Gauges are not among them: they follow from the rest of the state.
//!
//! Each function takes its struct apart without `..`, so that no new counter can be forgotten.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{
    Cell, CloseReason, Counter, Foreign, GapReason, Histogram, HistoryFileMetrics, HttpMetrics,
    IngestEnd, LogMetrics, NodeMetrics, PubSubLoss, PubSubMetrics, PubSubOutcome, ShardMetrics,
    Source,
};

/// A number that only rises.
pub trait Total {
    /// The value now.
    fn get(&self) -> u64;

    /// Adds what was counted before.
    fn add(&self, n: u64);
}

impl Total for Cell {
    fn get(&self) -> u64 {
        Self::get(self)
    }

    fn add(&self, n: u64) {
        Self::add(self, n);
    }
}

impl Total for Counter {
    fn get(&self) -> u64 {
        Self::get(self)
    }

    fn add(&self, n: u64) {
        Self::add(self, n);
    }
}

/// Called with the name of each total, which stays the same in all versions, and the total.
pub type Visit<'v> = &'v mut dyn FnMut(&str, &dyn Total);

fn each_of<T: Total, L>(
    name: &str,
    totals: &[T],
    labels: &[L],
    label: impl Fn(&L) -> &'static str,
    visit: Visit<'_>,
) {
    for (total, of) in std::iter::zip(totals, labels) {
        visit(&format!("{name}.{}", label(of)), total);
    }
}

impl Histogram {
    fn totals(&self, name: &str, visit: Visit<'_>) {
        let Self { buckets, sum_us } = self;
        for (number, bucket) in buckets.iter().enumerate() {
            visit(&format!("{name}.bucket.{number}"), bucket);
        }
        visit(&format!("{name}.sum_us"), sum_us);
    }
}

impl ShardMetrics {
    /// Calls `visit` with each total. They may be added to only before the shard's thread starts,
    /// or on it: a cell has one writer.
    pub fn totals(&self, visit: Visit<'_>) {
        let Self {
            streams_socket: _,
            streams_body: _,
            opened,
            closed,
            cut,
            unsent: _,
            unsent_given_up,
            turned_away,
            deliveries,
            bytes,
            writes,
            batches,
            replayed,
            gaps,
            heartbeats,
            behind: _,
            lag_ms_max: _,
            turn,
            publish_to_write,
        } = self;
        each_of("closed", closed, &CloseReason::ALL, |of| of.as_str(), visit);
        each_of("gaps", gaps, &GapReason::ALL, |of| of.as_str(), visit);
        visit("opened", opened);
        visit("cut", cut);
        visit("unsent_given_up", unsent_given_up);
        visit("turned_away", turned_away);
        visit("deliveries", deliveries);
        visit("bytes", bytes);
        visit("writes", writes);
        visit("batches", batches);
        visit("replayed", replayed);
        visit("heartbeats", heartbeats);
        turn.totals("turn", visit);
        publish_to_write.totals("publish_to_write", visit);
    }
}

impl HttpMetrics {
    fn totals(&self, name: &str, visit: Visit<'_>) {
        let Self {
            connections: _,
            accepted,
            refused,
            accept_errors,
            answer_bytes: _,
            answers_shed,
            body_bytes: _,
            bodies_shed,
            http2_floods,
            carried,
            left,
        } = self;
        visit(&format!("{name}.accepted"), accepted);
        visit(&format!("{name}.refused"), refused);
        visit(&format!("{name}.accept_errors"), accept_errors);
        visit(&format!("{name}.answers_shed"), answers_shed);
        visit(&format!("{name}.bodies_shed"), bodies_shed);
        visit(&format!("{name}.http2_floods"), http2_floods);
        visit(&format!("{name}.carried"), carried);
        visit(&format!("{name}.left"), left);
    }
}

impl HistoryFileMetrics {
    fn totals(&self, visit: Visit<'_>) {
        let Self {
            is_on: _,
            written_unix_ms: _,
            took_us: _,
            bytes: _,
            failures,
            loaded: _,
        } = self;
        visit("history_file.failures", failures);
    }
}

impl LogMetrics {
    fn totals(&self, visit: Visit<'_>) {
        let Self {
            published,
            not_published,
            unknown,
            reconnects,
            passed_over,
            forks,
            trimmed,
            reaped,
        } = self;
        visit("log.published", published);
        visit("log.not_published", not_published);
        visit("log.unknown", unknown);
        visit("log.reconnects", reconnects);
        visit("log.passed_over", passed_over);
        visit("log.forks", forks);
        visit("log.trimmed", trimmed);
        visit("log.reaped", reaped);
    }
}

impl PubSubMetrics {
    fn totals(&self, visit: Visit<'_>) {
        let Self {
            state: _,
            messages,
            lost,
            failures,
            subscriptions,
            probe_us: _,
        } = self;
        let outcomes = &PubSubOutcome::ALL;
        each_of(
            "pubsub.messages",
            messages,
            outcomes,
            |of| of.as_str(),
            visit,
        );
        let losses = &PubSubLoss::ALL;
        each_of("pubsub.lost", lost, losses, |of| of.as_str(), visit);
        visit("pubsub.failures", failures);
        visit("pubsub.subscriptions", subscriptions);
    }
}

impl NodeMetrics {
    /// Calls `visit` with each total.
    pub fn totals(&self, visit: Visit<'_>) {
        let Self {
            events_in,
            http,
            admin,
            ingest_refused,
            ingest_accept_errors,
            streams_shed,
            drain_answers,
            tokens_refused,
            ingest_connections: _,
            ingest_foreign,
            ingest_ended,
            ingest_carried,
            ingest_left,
            ingest_commands,
            publish_waits,
            key_repeats,
            keys_reused,
            keys_dropped,
            log_events,
            log_unreadable,
            log_too_large,
            log,
            history_file,
            pubsub,
        } = self;
        each_of(
            "events_in",
            events_in,
            &Source::ALL,
            |of| of.as_str(),
            visit,
        );
        http.totals("http", visit);
        admin.totals("admin", visit);
        visit("ingest_refused", ingest_refused);
        visit("ingest_accept_errors", ingest_accept_errors);
        visit("streams_shed", streams_shed);
        visit("drain_answers", drain_answers);
        visit("tokens_refused", tokens_refused);
        let (foreign, ended) = (&Foreign::ALL, &IngestEnd::ALL);
        each_of(
            "ingest_foreign",
            ingest_foreign,
            foreign,
            |of| of.as_str(),
            visit,
        );
        each_of("ingest_ended", ingest_ended, ended, |of| of.as_str(), visit);
        visit("ingest_carried", ingest_carried);
        visit("ingest_left", ingest_left);
        visit("ingest_commands", ingest_commands);
        visit("publish_waits", publish_waits);
        visit("key_repeats", key_repeats);
        visit("keys_reused", keys_reused);
        visit("keys_dropped", keys_dropped);
        visit("log_events", log_events);
        visit("log_unreadable", log_unreadable);
        visit("log_too_large", log_too_large);
        log.totals(visit);
        history_file.totals(visit);
        pubsub.totals(visit);
    }
}

/// The totals of a node by name. Those of shards have the shard's number before their name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Totals(BTreeMap<String, u64>);

impl Totals {
    /// The totals of these shards and of the node beside them.
    #[must_use]
    pub fn of(shards: &[Arc<ShardMetrics>], node: &NodeMetrics) -> Self {
        let mut totals = Self::default();
        totals.read(|visit| node.totals(visit));
        for (number, shard) in shards.iter().enumerate() {
            shard.totals(&mut |name, total| {
                totals.insert(&format!("shard.{number}.{name}"), total.get());
            });
        }
        totals
    }

    /// Sets a total.
    pub fn insert(&mut self, name: &str, value: u64) {
        self.0.insert(name.to_owned(), value);
    }

    /// Counts the connections that end with this process: those of the public listener, of the
    /// ingest port and of the admin listener. The process that takes over reports them.
    pub fn add_left(&mut self, public: usize, ingest: usize, admin: usize) {
        for (name, left) in [
            ("http.left", public),
            ("ingest_left", ingest),
            ("admin.left", admin),
        ] {
            self.insert(name, self.get(name) + left as u64);
        }
    }

    /// All totals with their names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, u64)> {
        self.0.iter().map(|(name, value)| (name.as_str(), *value))
    }

    /// Adds totals of another part of the node.
    pub fn read(&mut self, part: impl FnOnce(Visit<'_>)) {
        part(&mut |name, total| self.insert(name, total.get()));
    }

    /// Adds the values of these totals to those of a part of the node.
    pub fn restore(&self, part: impl FnOnce(Visit<'_>)) {
        part(&mut |name, total| total.add(self.get(name)));
    }

    /// The counters with which shard `number` of `shards` starts. If there were more shards before,
    /// the others' totals are spread over these.
    #[must_use]
    pub fn for_shard(&self, number: usize, shards: usize) -> ShardMetrics {
        let metrics = ShardMetrics::default();
        let before = self.0.keys().filter_map(|name| shard_of(name)).max();
        let numbers = 0..before.map_or(0, |last| last + 1);
        for from in numbers.filter(|from| from % shards.max(1) == number) {
            metrics.totals(&mut |name, total| {
                total.add(self.get(&format!("shard.{from}.{name}")));
            });
        }
        metrics
    }

    /// A total that is not there is 0: it is new in this version.
    fn get(&self, name: &str) -> u64 {
        self.0.get(name).copied().unwrap_or_default()
    }
}

/// The shard whose total has this name. A foreign number is none.
fn shard_of(name: &str) -> Option<usize> {
    let (number, _) = name.strip_prefix("shard.")?.split_once('.')?;
    let number = number.parse().ok()?;
    (number < SHARDS_MAX).then_some(number)
}

/// More shards than a node has.
const SHARDS_MAX: usize = 1_024;

#[cfg(test)]
mod tests {
    use super::*;
    fn shard_totals(metrics: &ShardMetrics) -> BTreeMap<String, u64> {
        let mut totals = BTreeMap::new();
        metrics.totals(&mut |name, total| {
            assert_eq!(totals.insert(name.to_owned(), total.get()), None, "{name}");
        });
        totals
    }

    #[test]
    fn every_total_has_a_name_of_its_own_and_goes_on_from_its_value() {
        let (before, after) = (ShardMetrics::default(), ShardMetrics::default());
        let mut next = 0;
        before.totals(&mut |_, total| {
            next += 1;
            total.add(next);
        });
        before.turn.record(5, 3);
        after.deliveries.add(10);
        let expected = shard_totals(&before);
        after.totals(&mut |name, total| total.add(expected[name]));
        let mut restored = shard_totals(&after);
        *restored.get_mut("deliveries").expect("a total") -= 10;
        assert_eq!(restored, expected);

        let node = NodeMetrics::default();
        let mut names = BTreeMap::new();
        node.totals(&mut |name, _| {
            assert_eq!(names.insert(name.to_owned(), ()), None, "{name}");
            assert!(!expected.contains_key(name), "{name}");
        });
        assert!(names.contains_key("ingest_ended.idle") && names.contains_key("admin.refused"));
    }
    #[test]
    fn fewer_shards_go_on_with_the_totals_of_all() {
        let shards = [1, 10, 100].map(|n| {
            let shard = ShardMetrics::default();
            shard.deliveries.add(n);
            shard.streams_socket.add(n);
            Arc::new(shard)
        });
        let node = NodeMetrics::default();
        node.http.accepted.add(7);
        let totals = Totals::of(&shards, &node);
        let deliveries = |shards: usize| {
            let of = |number| totals.for_shard(number, shards);
            let shards = (0..shards).map(of);
            let shards = shards.inspect(|shard| assert_eq!(shard.streams_socket.get(), 0));
            shards
                .map(|shard| shard.deliveries.get())
                .collect::<Vec<_>>()
        };
        assert_eq!(deliveries(1), [111]);
        assert_eq!(deliveries(2), [101, 10]);
        assert_eq!(deliveries(4), [1, 10, 100, 0]);
        let next = NodeMetrics::default();
        totals.restore(|visit| next.totals(visit));
        assert_eq!(
            (next.http.accepted.get(), next.admin.accepted.get()),
            (7, 0)
        );
    }
}
