//! Streams that disconnect and reconnect, and streams that read slowly.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

use super::fleet::{Fleet, Readiness};
use crate::message::{HopTo, Hops, Job, Pace};

/// Time that a stream stays away after the server has ended it, unless the server sent another:
/// browsers use a similar time.
const RETRY_MS_DEFAULT: u32 = 1_000;
/// Longest `retry:` that is obeyed, in milliseconds, so that a run ends.
const RETRY_MS_MAX: u32 = 10_000;
/// Streams tried to find one that can leave.
const CHOICES: usize = 16;
/// A crawling stream reads so often.
const CRAWL_INTERVAL: Duration = Duration::from_millis(100);

/// The streams that come and go, and those that crawl.
#[derive(Debug)]
pub(crate) struct Restless {
    /// How slow streams read now.
    pub(super) pace: Pace,
    slow_share: f64,
    /// Longest `retry:` that is obeyed to the millisecond, as an `EventSource` does; `None`: a part
    /// of it.
    obeys_ms: Option<u32>,
    returns: BinaryHeap<Reverse<(Instant, usize)>>,
    /// Share of the streams that leaves a second.
    churn_share: f64,
    away_ms: u64,
    /// Streams that should have left since `churned`, fractions included.
    due: f64,
    churned: Instant,
    crawled: Instant,
    hops: Hops,
    /// When each stream is to hop.
    hopping: BinaryHeap<Reverse<(Instant, usize)>>,
}

impl Restless {
    /// No stream moves.
    pub(super) fn new(job: &Job) -> Self {
        Self {
            pace: Pace::Brisk,
            slow_share: job.slow_share,
            obeys_ms: job
                .obeys_retry
                .then(|| u32::try_from(job.timeout_ms).unwrap_or(u32::MAX)),
            returns: BinaryHeap::new(),
            churn_share: 0.0,
            away_ms: 0,
            due: 0.0,
            churned: Instant::now(),
            crawled: Instant::now(),
            hops: Hops {
                to: HopTo::Same,
                least_ms: 0,
                most_ms: 0,
            },
            hopping: BinaryHeap::new(),
        }
    }

    /// Whether something is to be done by the clock.
    pub(super) fn busy(&self) -> bool {
        !self.returns.is_empty()
            || !self.hopping.is_empty()
            || self.churn_share > 0.0
            || matches!(self.pace, Pace::Crawling(_))
    }

    /// Whether this stream is one of those that are slow on request: spread evenly and the same in
    /// every run.
    pub(super) fn is_slow(&self, stream: usize) -> bool {
        // Fibonacci hashing: consecutive numbers spread over the whole range.
        let spread = (stream as u32).wrapping_mul(2_654_435_769);
        f64::from(spread) < self.slow_share * f64::from(u32::MAX)
    }

    /// From now on this share of the streams leaves every second. With none, those that are away
    /// reconnect at once.
    pub(super) fn churn(&mut self, share: f64, away_ms: u64) {
        self.churn_share = share;
        self.away_ms = away_ms;
        self.due = 0.0;
        self.churned = Instant::now();
        if share <= 0.0 {
            // A stream's own absence must not count as a loss.
            let now = Instant::now();
            let away: Vec<usize> = self
                .returns
                .drain()
                .map(|Reverse((_, number))| number)
                .collect();
            self.returns
                .extend(away.into_iter().map(|number| Reverse((now, number))));
        }
    }

    /// From now on these streams hop so, each at a time of its own.
    pub(super) fn hop(&mut self, hops: Hops, streams: usize) {
        self.hops = hops;
        self.hopping.clear();
        if hops.most_ms > 0 {
            (0..streams).for_each(|number| self.hop_later(number));
        }
    }

    fn hop_later(&mut self, number: usize) {
        let Hops {
            least_ms, most_ms, ..
        } = self.hops;
        let after = fastrand::u64(least_ms.min(most_ms)..=most_ms);
        let at = Instant::now() + Duration::from_millis(after);
        self.hopping.push(Reverse((at, number)));
    }

    /// The stream that is to hop now, if there is one.
    fn next_hop(&mut self, now: Instant) -> Option<usize> {
        let Reverse((at, number)) = self.hopping.peek().copied()?;
        if at > now {
            return None;
        }
        self.hopping.pop();
        self.hop_later(number);
        Some(number)
    }

    /// The server has ended the stream.
    pub(super) fn come_back_after_end(&mut self, number: usize, retry_ms: Option<u32>) {
        let away_ms = fastrand::u64(away_ms(self.obeys_ms, retry_ms));
        self.come_back(number, away_ms);
    }

    fn come_back(&mut self, number: usize, after_ms: u64) {
        let at = Instant::now() + Duration::from_millis(after_ms);
        self.returns.push(Reverse((at, number)));
    }
}

/// The time that a stream stays away: what `retry:` says, up to `obeys_ms`. Without either of them
/// half and more of it, at random: clients that were cut together must not reconnect together.
fn away_ms(obeys_ms: Option<u32>, retry_ms: Option<u32>) -> RangeInclusive<u64> {
    if let (Some(most), Some(retry)) = (obeys_ms, retry_ms) {
        let exactly = u64::from(retry.min(most));
        return exactly..=exactly;
    }
    let retry = u64::from(retry_ms.unwrap_or(RETRY_MS_DEFAULT).clamp(1, RETRY_MS_MAX));
    retry / 2..=retry
}

impl Fleet {
    /// Moves the streams whose time has come.
    pub(super) fn move_restless(&mut self) {
        self.leave();
        let now = Instant::now();
        while let Some(number) = self.restless.next_hop(now) {
            // One that is between two nodes has its turn later.
            if self.streams[number].open(self.job.no_prime) {
                self.leave_one(number, 0);
                self.counts.hops += 1;
                self.go_elsewhere(number);
            }
        }
        let now = Instant::now();
        while self.connecting < self.job.connecting
            && let Some(Reverse((at, number))) = self.restless.returns.peek().copied()
            && at <= now
        {
            self.restless.returns.pop();
            if !self.streams[number].finished {
                self.connect(number);
            }
        }
        if let Pace::Crawling(bytes_per_s) = self.restless.pace
            && self.restless.crawled.elapsed() >= CRAWL_INTERVAL
        {
            let share = self.restless.crawled.elapsed().as_secs_f64();
            self.restless.crawled = Instant::now();
            self.read_slow((bytes_per_s as f64 * share).ceil() as usize);
        }
    }

    fn leave(&mut self) {
        if self.restless.churn_share <= 0.0 {
            return;
        }
        let elapsed = self.restless.churned.elapsed();
        self.restless.churned = Instant::now();
        self.restless.due +=
            self.restless.churn_share * self.streams.len() as f64 * elapsed.as_secs_f64();
        while self.restless.due >= 1.0 {
            self.restless.due -= 1.0;
            // A stream that is away cannot leave; another choice is as good.
            let choices = std::iter::repeat_with(|| fastrand::usize(..self.streams.len()));
            let open = |number: &usize| self.streams[*number].open(self.job.no_prime);
            if let Some(number) = choices.take(CHOICES).find(open) {
                let away = fastrand::u64(0..=self.restless.away_ms);
                self.leave_one(number, away);
            }
        }
    }

    /// The stream's next connection is to another node, if streams hop.
    pub(super) fn go_elsewhere(&mut self, number: usize) {
        let nodes = self.nodes();
        let stream = &mut self.streams[number];
        stream.node = match self.restless.hops.to {
            HopTo::Same => stream.node,
            HopTo::Next => (stream.node + 1) % nodes,
            HopTo::Random => fastrand::usize(..nodes),
        };
    }

    fn leave_one(&mut self, number: usize, away_ms: u64) {
        if let Some(mut connection) = self.streams[number].end() {
            // A client that leaves sends a FIN; only the end of the whole run resets the rest.
            let socket = socket2::SockRef::from(&*connection.socket());
            // If that fails the connection is reset, which servers must bear, too.
            let _ = socket.set_linger(None);
        }
        self.open -= 1;
        self.restless.come_back(number, away_ms);
    }

    /// Sets how slow streams read. Bytes that wait in their sockets raise no readiness event any
    /// more, so they are read now.
    pub(super) fn set_pace(&mut self, pace: Pace) {
        self.restless.pace = pace;
        self.restless.crawled = Instant::now();
        if pace == Pace::Brisk {
            self.read_slow(usize::MAX);
        }
    }

    fn read_slow(&mut self, most: usize) {
        for number in 0..self.streams.len() {
            let slow = self.restless.is_slow(self.streams[number].number);
            if slow && self.streams[number].open(self.job.no_prime) {
                // Its end may have been announced while it was not listened to.
                let readiness = Readiness {
                    readable: true,
                    last: true,
                };
                self.read(number, readiness, most);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_source_stays_away_for_as_long_as_it_is_told() {
        assert_eq!(away_ms(Some(30_000), Some(2_500)), 2_500..=2_500);
        assert_eq!(away_ms(Some(30_000), Some(99_000)), 30_000..=30_000);
        assert_eq!(away_ms(Some(30_000), None), 500..=1_000);
        assert_eq!(away_ms(None, Some(2_000)), 1_000..=2_000);
    }
}
