//! The coordinator's orders: received, waited for, answered.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use super::WorkerError;
use super::faults::{Fault, Faults, Wrong};
use super::fleet::{Fleet, Received};
use super::gaps::Claim;
use super::ledger::Due;
use super::stream::Silence;
use crate::latency;
use crate::message::{Answer, Checked, Order, Progress, Sample};

/// Interval of progress reports.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(100);
/// Once every stream has seen its newest event, the longest wait for an event that was left out
/// before it.
const STRAGGLER_PATIENCE: Duration = Duration::from_secs(2);

/// The order in hand.
#[derive(Default)]
pub(super) struct Desk {
    waiting: Option<Order>,
    told: Option<(Instant, Progress)>,
}

impl Desk {
    /// Whether an order waits, or progress is still to be reported.
    pub(super) fn busy(&self) -> bool {
        self.waiting.is_some()
            || self
                .told
                .is_some_and(|(at, _)| at.elapsed() < PROGRESS_INTERVAL * 2)
    }

    /// Receives an order; carries it out if it needs no waiting.
    pub(super) fn take(&mut self, order: Order, fleet: &mut Fleet) -> Result<(), WorkerError> {
        match order {
            Order::MakeTokens { streams } => {
                fleet.make_tokens(streams)?;
                say(&Answer::Done)?;
            }
            Order::Open { streams, rate } => {
                fleet.moved();
                fleet.target = streams;
                fleet.rate = rate.map(|rate| (Instant::now(), fleet.streams.len(), rate));
                self.waiting = Some(order);
            }
            Order::Reach { events } => {
                fleet.received = Received::now();
                fleet.await_events(events);
                self.waiting = Some(order);
            }
            Order::Refused { ref events } => fleet.refused(events),
            Order::Watch => {
                fleet.watch_silence();
                say(&Answer::Done)?;
            }
            Order::Remember { streams } => fleet.remember(streams),
            Order::OpenLate => fleet.open_late(),
            Order::EndLate => {
                fleet.end_late();
                say(&Answer::Done)?;
            }
            Order::Sample => say(&Answer::Sampled(fleet.sample()))?,
            Order::Churn { share, away_ms } => {
                fleet.restless.churn(share, away_ms);
                say(&Answer::Done)?;
            }
            Order::Hop(hops) => {
                fleet.restless.hop(hops, fleet.streams.len());
                say(&Answer::Done)?;
            }
            Order::Ids => say(&Answer::Ids(fleet.ids.to_texts()))?,
            Order::Slow(pace) => {
                fleet.set_pace(pace);
                say(&Answer::Done)?;
            }
            Order::Check { events } => say(&Answer::Checked(fleet.check(events)))?,
        }
        Ok(())
    }

    /// Reports progress, and answers the waiting order if it is fulfilled or without progress for
    /// too long.
    pub(super) fn answer(&mut self, fleet: &mut Fleet) -> Result<(), WorkerError> {
        self.tell_progress(fleet)?;
        let Some(order) = &self.waiting else {
            return Ok(());
        };
        let patience = Duration::from_millis(fleet.job.timeout_ms);
        let answer = match order {
            Order::Open { streams, .. } => {
                let settled = fleet.streams.len() == *streams && fleet.connecting == 0;
                if !settled && fleet.moved.elapsed() > patience {
                    fleet.give_up_opening();
                }
                let over = fleet.streams.len() >= fleet.target && fleet.connecting == 0;
                over.then_some(Answer::Opened {
                    at: fleet.opened_at,
                })
            }
            Order::Reach { .. } => {
                let quiet = fleet.received.since.elapsed();
                let stragglers = quiet > STRAGGLER_PATIENCE && fleet.only_holes();
                let behind = fleet.awaited;
                let at = fleet.received.at;
                let over = behind == 0 || stragglers || quiet > patience;
                over.then_some(Answer::Reached { at, behind })
            }
            _ => None,
        };
        if let Some(answer) = answer {
            self.waiting = None;
            // The counts that belong to the answer are sent first.
            self.told = None;
            self.tell_progress(fleet)?;
            say(&answer)?;
        }
        Ok(())
    }

    fn tell_progress(&mut self, fleet: &Fleet) -> Result<(), WorkerError> {
        if self
            .told
            .is_some_and(|(at, _)| at.elapsed() < PROGRESS_INTERVAL)
        {
            return Ok(());
        }
        let progress = Progress {
            at: 0,
            open: fleet.open,
            opened: fleet.opened,
            opened_at: fleet.opened_at,
            cut: fleet.cut,
            failed: fleet.failed,
            received: fleet.tally.received,
            reached: fleet
                .streams
                .len()
                .saturating_sub(fleet.awaited + fleet.failed),
        };
        if self.told.is_none_or(|(_, before)| before != progress) {
            self.told = Some((Instant::now(), progress));
            let at = crate::stamp::now();
            say(&Answer::Progress(Progress { at, ..progress }))?;
        }
        Ok(())
    }
}

impl Fleet {
    /// Waits for every stream that does not have all of the first `events` events. Slow streams are
    /// not waited for while they are slow.
    fn await_events(&mut self, events: u64) {
        self.awaited = 0;
        self.awaited_events = events;
        for number in 0..self.streams.len() {
            let waits = !self.streams[number].finished && !self.is_slow_now(number);
            let awaited = waits && !self.complete(number);
            self.streams[number].awaited = awaited;
            self.awaited += usize::from(awaited);
        }
    }

    /// The server has refused these events: no order waits for them.
    fn refused(&mut self, events: &[u64]) {
        for event in events {
            let topic = self.job.layout.topic_of(*event);
            let number = self.job.layout.published(topic, *event) + 1;
            self.refused.entry(topic).or_default().push(number as u32);
        }
        for numbers in self.refused.values_mut() {
            numbers.sort_unstable();
        }
        self.await_events(self.awaited_events);
    }

    fn complete(&self, number: usize) -> bool {
        let due = self.due(number, self.awaited_events);
        self.streams[number].ledger().complete(due)
    }

    /// The events due on a topic of the stream, after `events` events.
    fn due<'a>(&'a self, number: usize, events: u64) -> impl Fn(usize) -> Due<'a> {
        let layout = &self.job.layout;
        let first = self.streams[number].number * layout.each();
        move |place| {
            let topic = (first + place) % layout.pool();
            Due {
                // The publisher sees to it that the numbers of a topic fit.
                newest: layout.published(topic, events) as u32,
                refused: self.refused.get(&topic).map_or(&[], Vec::as_slice),
            }
        }
    }

    /// The stream has received something.
    pub(super) fn no_longer_awaited(&mut self, number: usize) {
        if self.streams[number].awaited && self.complete(number) {
            self.streams[number].awaited = false;
            self.awaited -= 1;
        }
    }

    /// Whether all missing events were left out, while later ones have arrived.
    fn only_holes(&self) -> bool {
        let events = self.awaited_events;
        self.streams.iter().enumerate().all(|(number, stream)| {
            !stream.awaited || stream.ledger().newest(self.due(number, events))
        })
    }

    fn sample(&mut self) -> Sample {
        let take = |histogram: &mut Histogram<u64>| {
            let pairs = latency::pairs(histogram);
            histogram.reset();
            pairs
        };
        Sample {
            delivery: take(&mut self.latencies.delivery),
            replay: take(&mut self.latencies.replay),
            slow: take(&mut self.latencies.slow),
            open: take(&mut self.latencies.open),
            away: take(&mut self.latencies.away),
        }
    }

    /// From now on, times between events are those of interest.
    fn watch_silence(&mut self) {
        self.silence = Silence::default();
        for stream in &mut self.streams {
            *stream.silence() = Silence::default();
        }
    }

    fn check(&mut self, events: u64) -> Checked {
        let mut checked = Checked {
            refused: self.untried,
            tally: self.tally,
            cut: self.cut,
            pause: self.silence.longest(),
            reasons: self.reasons(),
            faults: self.faults.clone(),
            ..self.counts.clone()
        };
        let mut claims = BTreeMap::new();
        let mut silence = latency::histogram();
        for number in 0..self.streams.len() {
            self.check_one(number, events, &mut checked, &mut claims);
            let stream = &mut self.streams[number];
            if !stream.late && stream.open(self.job.no_prime) {
                silence.saturating_record(stream.silence().longest());
            }
        }
        checked.silence = latency::pairs(&silence);
        checked.claims = claims.into_iter().collect();
        checked
    }

    fn check_one(
        &self,
        number: usize,
        events: u64,
        checked: &mut Checked,
        claims: &mut BTreeMap<Claim, u64>,
    ) {
        let stream = &self.streams[number];
        if !stream.was_open && !stream.late {
            checked.refused += 1;
            return;
        }
        let first = stream.number * self.job.layout.each();
        let topic = |place: usize| (first + place) % self.job.layout.pool();
        for claim in stream.ledger().claims(topic, self.due(number, events)) {
            *claims.entry(claim).or_default() += 1;
        }
        checked.gaps_beyond += stream.ledger().gaps_beyond();
        let missing = stream.ledger().missing(self.due(number, events));
        if stream.late {
            checked.late += 1;
            checked.late_lost += missing.lost;
            checked.late_told += missing.told;
            return;
        }
        if stream.open(self.job.no_prime) {
            checked.open += 1;
            checked.lost += missing.lost;
            checked.gap_told += missing.told;
            if missing.lost > 0 && self.job.compares_nodes {
                self.name_lost(number, events, &mut checked.faults);
            }
            return;
        }
        checked.closed += usize::from(stream.finished);
        checked.away += usize::from(!stream.finished);
        checked.missed_closed += missing.lost + missing.told;
    }

    /// Names the first event that the stream has lost.
    fn name_lost(&self, number: usize, events: u64, faults: &mut Faults) {
        let stream = &self.streams[number];
        if !faults.has_room(Wrong::Lost) {
            return;
        }
        let due = self.due(number, events);
        let Some((place, event)) = stream.ledger().first_lost(due) else {
            return;
        };
        let first = stream.number * self.job.layout.each();
        let fault = || Fault {
            wrong: Wrong::Lost,
            stream: stream.number,
            node: stream.node,
            topic: (first + place) % self.job.layout.pool(),
            number: event,
            id: None,
            before: None,
        };
        faults.note(fault, Wrong::Lost);
    }
}

fn say(answer: &Answer) -> Result<(), WorkerError> {
    let mut line = serde_json::to_vec(answer)?;
    line.push(b'\n');
    let mut out = io::stdout().lock();
    out.write_all(&line)?;
    out.flush()?;
    Ok(())
}
