//! One account of the memory that clients can make the node hold.
//!
//! Each part of the node charges the bytes that it holds for clients, and asks before it takes
//! more. Parts that are refused early leave room for those that cannot be refused. The history has
//! a share of its own (`history_budget_bytes`) that no other part can take.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use thiserror::Error;

/// The parts of the account, in the order in which they are refused as it fills.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Part {
    /// Unfinished request bodies.
    Bodies,
    /// Commands of the ingest port: unfinished, unread, queued in transactions, and their unread
    /// replies.
    Commands,
    /// Scripts that are kept for `EVALSHA`.
    Scripts,
    /// Answers that wait to be read.
    Answers,
    /// Topics without events that streams subscribe to.
    Topics,
    /// The lists of streams with many topics.
    Subscriptions,
    /// The registry of announced streams, and their starts and ends that wait to be published.
    Presence,
    /// Events that wait in the bodies of HTTP/2 streams.
    StreamBodies,
    /// Events of which a slow stream has taken a part. History may have evicted them.
    Remainders,
    /// Events between their publisher's input and the streams: drafts, and batches in mailboxes.
    Events,
}

impl Part {
    /// All parts, in the order of their numbers.
    pub const ALL: [Self; 10] = [
        Self::Bodies,
        Self::Commands,
        Self::Scripts,
        Self::Answers,
        Self::Topics,
        Self::Subscriptions,
        Self::Presence,
        Self::StreamBodies,
        Self::Remainders,
        Self::Events,
    ];

    /// The label value of `fantail_memory_bytes`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Bodies => "request_bodies",
            Self::Commands => "ingest",
            Self::Scripts => "scripts",
            Self::Answers => "answers",
            Self::Topics => "topics",
            Self::Subscriptions => "subscriptions",
            Self::Presence => "presence",
            Self::StreamBodies => "stream_bodies",
            Self::Remainders => "stream_remainders",
            Self::Events => "events",
        }
    }

    /// Whether its memory is held for one request, and freed soon.
    const fn is_brief(self) -> bool {
        matches!(self, Self::Bodies | Self::Commands | Self::Answers)
    }

    /// Eighths of the account above which the part is refused more.
    const fn eighths(self) -> usize {
        match self {
            Self::Bodies | Self::Commands | Self::Scripts => 6,
            Self::Answers | Self::Topics | Self::Subscriptions | Self::Presence => 7,
            Self::StreamBodies | Self::Remainders | Self::Events => 8,
        }
    }
}

impl Part {
    /// Eighths of the account that the part may have itself, whatever is left. Streams are ended
    /// for their remainders and resume, so these keep nothing from publishers.
    const fn own_eighths(self) -> usize {
        match self {
            Self::Remainders => 2,
            _ => 8,
        }
    }
}

/// The account has no more for this part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the node holds as much memory for its clients as it may (`memory_budget`)")]
pub struct Exhausted;

/// The account. History is not in it: it has its own share.
#[derive(Debug)]
pub struct Budget {
    max: usize,
    used: AtomicUsize,
    parts: [AtomicUsize; Part::ALL.len()],
    refused: [AtomicUsize; Part::ALL.len()],
    watch: OnceLock<fn()>,
}

impl Budget {
    /// An account of `max` bytes.
    #[must_use]
    pub fn new(max: usize) -> Arc<Self> {
        Arc::new(Self {
            max,
            used: AtomicUsize::new(0),
            parts: Default::default(),
            refused: Default::default(),
            watch: OnceLock::new(),
        })
    }

    /// Bytes that all parts may hold together.
    #[must_use]
    pub fn max(&self) -> usize {
        self.max
    }

    /// Bytes that all parts hold.
    #[must_use]
    pub fn used_by_all(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// Bytes that a part holds.
    #[must_use]
    pub fn used(&self, part: Part) -> usize {
        self.parts[part as usize].load(Ordering::Relaxed)
    }

    /// Times that a part was refused more.
    #[must_use]
    pub fn refused(&self, part: Part) -> usize {
        self.refused[part as usize].load(Ordering::Relaxed)
    }

    /// Whether the account is so full that the part is refused more.
    #[must_use]
    pub fn is_above_mark(&self, part: Part) -> bool {
        self.used.load(Ordering::Relaxed) > self.mark(part)
    }

    /// Whether the account is full.
    #[must_use]
    pub fn is_spent(&self) -> bool {
        self.used.load(Ordering::Relaxed) >= self.max
    }

    /// Counts a refusal that the part decided on itself.
    pub fn note_refusal(&self, part: Part) {
        self.refused[part as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// Whether a part may take `bytes` more; a refusal is counted.
    ///
    /// # Errors
    /// [`Exhausted`] if it may not.
    pub fn check(&self, part: Part, bytes: usize) -> Result<(), Exhausted> {
        if self.has(part, bytes) {
            return Ok(());
        }
        self.refused[part as usize].fetch_add(1, Ordering::Relaxed);
        Err(Exhausted)
    }

    /// Takes `bytes` for a part.
    ///
    /// # Errors
    /// [`Exhausted`] if it may take no more.
    pub fn take(&self, part: Part, bytes: usize) -> Result<(), Exhausted> {
        // Taken before it is compared: two at once cannot both have the last bytes.
        self.take_anyway(part, bytes);
        if self.has(part, 0) {
            return Ok(());
        }
        self.give_back(part, bytes);
        self.refused[part as usize].fetch_add(1, Ordering::Relaxed);
        Err(Exhausted)
    }

    /// Takes `bytes` that are held already and cannot be refused.
    pub fn take_anyway(&self, part: Part, bytes: usize) {
        self.used.fetch_add(bytes, Ordering::Relaxed);
        let before = self.parts[part as usize].fetch_add(bytes, Ordering::Relaxed);
        let mark = self.busy_mark();
        if part.is_brief() && before < mark && before + bytes >= mark {
            self.watch.get().inspect(|watch| watch());
        }
    }

    /// Sets what is called as soon as requests of one kind hold much memory: each time that the
    /// part crosses its mark. The first call counts.
    pub fn watch(&self, watch: fn()) {
        let _ = self.watch.set(watch);
    }

    /// Whether requests of any kind hold much memory.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        let mut brief = Part::ALL.iter().filter(|part| part.is_brief());
        brief.any(|part| self.used(*part) >= self.busy_mark())
    }

    /// What a brief part holds where it holds much.
    fn busy_mark(&self) -> usize {
        self.max / 16
    }

    /// Sets what a part holds, as one place that knows all of it has found.
    pub fn set(&self, part: Part, bytes: usize) {
        let before = self.parts[part as usize].swap(bytes, Ordering::Relaxed);
        self.used.fetch_add(bytes, Ordering::Relaxed);
        self.used.fetch_sub(before, Ordering::Relaxed);
    }

    /// Releases `bytes`.
    pub fn give_back(&self, part: Part, bytes: usize) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
        self.parts[part as usize].fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Whether a part may have `bytes` beside what is taken.
    fn has(&self, part: Part, bytes: usize) -> bool {
        let own_max = self.max / 8 * part.own_eighths();
        self.used.load(Ordering::Relaxed).saturating_add(bytes) <= self.mark(part)
            && self.used(part).saturating_add(bytes) <= own_max
    }

    /// What all parts together may hold for this one to take more.
    fn mark(&self, part: Part) -> usize {
        self.max / 8 * part.eighths()
    }
}

/// The bytes that one holder has taken for its part; released on drop.
#[derive(Debug)]
pub struct Charge {
    budget: Arc<Budget>,
    part: Part,
    bytes: usize,
}

impl Charge {
    /// Nothing yet.
    #[must_use]
    pub fn new(budget: &Arc<Budget>, part: Part) -> Self {
        Self {
            budget: Arc::clone(budget),
            part,
            bytes: 0,
        }
    }

    /// Bytes that are charged.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Holds `bytes` from now on.
    ///
    /// # Errors
    /// [`Exhausted`] if it may not have as many; then it holds as many as before.
    pub fn set(&mut self, bytes: usize) -> Result<(), Exhausted> {
        if let Some(more) = bytes.checked_sub(self.bytes) {
            if more > 0 {
                self.budget.take(self.part, more)?;
            }
        } else {
            self.budget.give_back(self.part, self.bytes - bytes);
        }
        self.bytes = bytes;
        Ok(())
    }

    /// Holds `bytes` from now on, which cannot be refused.
    pub fn set_anyway(&mut self, bytes: usize) {
        self.budget.take_anyway(self.part, bytes);
        self.budget.give_back(self.part, self.bytes);
        self.bytes = bytes;
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.budget.give_back(self.part, self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn used(budget: &Budget) -> usize {
        Part::ALL.iter().map(|part| budget.used(*part)).sum()
    }

    #[test]
    fn new_work_is_refused_before_what_is_under_way() {
        let budget = Budget::new(800);
        assert_eq!(budget.take(Part::Bodies, 600), Ok(()));
        assert_eq!(budget.take(Part::Bodies, 1), Err(Exhausted));
        assert_eq!(budget.take(Part::Commands, 1), Err(Exhausted));
        assert_eq!(budget.take(Part::Subscriptions, 100), Ok(()));
        assert_eq!(budget.check(Part::Answers, 1), Err(Exhausted));
        assert_eq!(budget.take(Part::StreamBodies, 100), Ok(()));
        assert_eq!(budget.take(Part::StreamBodies, 1), Err(Exhausted));
        assert_eq!(used(&budget), 800);
        let refused = Part::ALL.map(|part| budget.refused(part));
        assert_eq!(refused, [1, 1, 0, 1, 0, 0, 0, 1, 0, 0]);
    }

    #[test]
    fn slow_streams_leave_most_of_the_account_to_publishers() {
        let budget = Budget::new(800);
        assert_eq!(budget.take(Part::Remainders, 201), Err(Exhausted));
        assert_eq!(budget.take(Part::Remainders, 200), Ok(()));
        assert_eq!(budget.check(Part::Remainders, 1), Err(Exhausted));
        assert_eq!(budget.take(Part::Bodies, 400), Ok(()));
        assert_eq!(budget.take(Part::Events, 200), Ok(()));
        assert_eq!(budget.take(Part::Events, 1), Err(Exhausted));
    }

    #[test]
    fn the_watch_is_called_each_time_that_requests_hold_much() {
        static CALLS: AtomicUsize = AtomicUsize::new(0);
        let budget = Budget::new(1_600);
        budget.watch(|| {
            CALLS.fetch_add(1, Ordering::SeqCst);
        });
        let calls = || CALLS.load(Ordering::SeqCst);
        assert_eq!(budget.take(Part::Subscriptions, 500), Ok(()));
        assert_eq!(budget.take(Part::Bodies, 99), Ok(()));
        assert!(calls() == 0 && !budget.is_busy());
        assert_eq!(budget.take(Part::Bodies, 1), Ok(()));
        assert_eq!(budget.take(Part::Bodies, 100), Ok(()));
        assert!(calls() == 1 && budget.is_busy());
        budget.give_back(Part::Bodies, 101);
        assert!(!budget.is_busy());
        budget.take_anyway(Part::Bodies, 1);
        assert_eq!(calls(), 2);
    }

    #[test]
    fn a_part_that_is_set_counts_as_it_was_set_last() {
        let budget = Budget::new(800);
        budget.set(Part::Topics, 700);
        assert_eq!(budget.take(Part::Subscriptions, 1), Err(Exhausted));
        budget.set(Part::Topics, 30);
        assert_eq!(budget.take(Part::Subscriptions, 1), Ok(()));
        assert_eq!(used(&budget), 31);
    }

    #[test]
    fn a_charge_grows_shrinks_and_is_given_back() {
        let budget = Budget::new(800);
        let mut charge = Charge::new(&budget, Part::Commands);
        assert_eq!(charge.set(500), Ok(()));
        assert_eq!(charge.set(601), Err(Exhausted));
        assert_eq!((charge.bytes(), used(&budget)), (500, 500));
        charge.set_anyway(700);
        assert_eq!(charge.set(700), Ok(()), "what it has it may keep");
        assert_eq!(charge.set(10), Ok(()));
        assert_eq!(used(&budget), 10);
        drop(charge);
        assert_eq!(used(&budget), 0);
    }
}
