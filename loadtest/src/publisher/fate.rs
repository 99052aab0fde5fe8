//! The fate of published events: taken, refused or failed, by kind and by way in, and how long each
//! waited.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;

use super::answers::Verdict;
use crate::latency;

/// Different refusals that are counted separately.
const REASONS_MAX: usize = 20;

/// How a published event fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The connection is refused.
    Refused,
    /// The connection ends before the answer.
    Reset,
    /// No answer in time.
    Timeout,
    /// Answered 500 to 599.
    ServerError,
    /// Answered with another error.
    Error,
}

/// A way in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// HTTP.
    Http,
    /// The Redis protocol.
    Resp,
}

/// What happened on a way in.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct OfWay {
    /// Events that were to be published.
    pub(crate) events: u64,
    /// Those that failed.
    pub(crate) failed: u64,
    /// The longest time from when an event was due until it was answered or had failed.
    pub(crate) longest: Duration,
}

/// The fate of the events.
#[derive(Clone, Debug)]
pub(crate) struct Published {
    /// Events that the server took.
    pub(crate) taken: u64,
    /// Events that it answered with an error.
    pub(crate) refused: u64,
    /// Events without an answer.
    pub(crate) failed: u64,
    /// Attempts that failed, and were made again.
    pub(crate) retried: u64,
    /// The errors that were answered.
    pub(crate) reasons: BTreeMap<String, u64>,
    /// From when an event was due to its answer, in nanoseconds.
    pub(crate) latency: Histogram<u64>,
    failures: [u64; Failure::ALL.len()],
    ways: [OfWay; 2],
}

impl Failure {
    /// All of them, with their names in figures and for people.
    pub(crate) const ALL: [(Self, &'static str, &'static str); 5] = [
        (Self::Refused, "refused", "connection refused"),
        (Self::Reset, "reset", "connection ended before the answer"),
        (Self::Timeout, "timeout", "no answer in time"),
        (Self::ServerError, "5xx", "answered 500 to 599"),
        (Self::Error, "error", "answered with another error"),
    ];

    /// The kind of an error that was answered in these words.
    pub(super) fn answered(way: Way, text: &str) -> Self {
        match way {
            Way::Http if text.starts_with('5') => Self::ServerError,
            _ => Self::Error,
        }
    }
}

impl Way {
    /// Both, with their names in figures and for people.
    pub(crate) const ALL: [(Self, &'static str, &'static str); 2] = [
        (Self::Http, "http", "over HTTP"),
        (Self::Resp, "resp", "over the Redis protocol"),
    ];
}

impl Published {
    pub(super) fn new() -> Self {
        Self {
            taken: 0,
            refused: 0,
            failed: 0,
            retried: 0,
            reasons: BTreeMap::new(),
            latency: latency::histogram(),
            failures: Default::default(),
            ways: Default::default(),
        }
    }

    /// How many events failed in this way, or attempts if they were made again.
    pub(crate) fn failures(&self, kind: Failure) -> u64 {
        self.failures[kind as usize]
    }

    /// What happened on a way in.
    pub(crate) fn way(&self, way: Way) -> OfWay {
        self.ways[way as usize]
    }

    /// Events whose fate is known.
    pub(super) fn settled(&self) -> u64 {
        self.taken + self.refused + self.failed
    }

    /// An event was answered.
    pub(super) fn add(&mut self, way: Way, verdict: Verdict, waited: Duration) {
        self.latency.saturating_record(waited.as_nanos() as u64);
        self.waited(way, waited);
        match verdict {
            Verdict::Taken(_) => self.taken += 1,
            Verdict::Refused(text) => {
                self.refused += 1;
                self.failures[Failure::answered(way, &text) as usize] += 1;
                self.ways[way as usize].failed += 1;
                let known = self.reasons.len() < REASONS_MAX || self.reasons.contains_key(&text);
                let text = if known {
                    text
                } else {
                    "something else".to_owned()
                };
                *self.reasons.entry(text).or_default() += 1;
            }
        }
    }

    /// An event has failed without an answer.
    pub(super) fn fail(&mut self, way: Way, kind: Failure, waited: Duration) {
        self.failed += 1;
        self.failures[kind as usize] += 1;
        self.ways[way as usize].failed += 1;
        self.waited(way, waited);
    }

    /// An attempt has failed, and will be made again.
    pub(super) fn retry(&mut self, kind: Failure) {
        self.retried += 1;
        self.failures[kind as usize] += 1;
    }

    fn waited(&mut self, way: Way, waited: Duration) {
        let way = &mut self.ways[way as usize];
        way.events += 1;
        way.longest = way.longest.max(waited);
    }
}
