//! One account of the memory that clients can make the node allocate.
//!
//! Each part of the node charges the bytes that it keeps for clients, and asks before it allocates
//! more. Parts that are refused early leave room for those that cannot be refused. The history has
//! a share of its own (`history_budget_bytes`) that no other part can use.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use thiserror::Error;

use crate::metrics::{Counter, Visit};

/// The parts of the account, in the order in which they are refused as it fills.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Part {
    /// Unfinished request bodies.
    Bodies,
    /// Commands of the ingest port: unfinished, unread, queued in transactions, and their unread
    /// replies.
    Commands,
    /// Scripts kept for `EVALSHA`.
    Scripts,
    /// Answers that wait to be read.
    Answers,
    /// Topics without events that streams subscribe to.
    Topics,
    /// The lists of streams with many topics.
    Subscriptions,
    /// The registry of announced streams, and their starts and ends that wait to be published.
    Presence,
    /// Idempotency keys of published events.
    Keys,
    /// Events that wait in the bodies of HTTP/2 streams.
    StreamBodies,
    /// Events of which a slow stream's wire has accepted a part. History may have evicted them.
    Remainders,
    /// Events between their publisher's input and the streams: drafts, and batches in mailboxes.
    Events,
}

impl Part {
    /// All parts, in the order of their numbers.
    pub const ALL: [Self; 11] = [
        Self::Bodies,
        Self::Commands,
        Self::Scripts,
        Self::Answers,
        Self::Topics,
        Self::Subscriptions,
        Self::Presence,
        Self::Keys,
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
            Self::Keys => "idempotency_keys",
            Self::StreamBodies => "stream_bodies",
            Self::Remainders => "stream_remainders",
            Self::Events => "events",
        }
    }

    /// Whether its memory belongs to one request, and is freed soon.
    const fn is_brief(self) -> bool {
        matches!(self, Self::Bodies | Self::Commands | Self::Answers)
    }

    /// Eighths of the account, used by all parts together, above which this part is refused.
    const fn eighths(self) -> usize {
        match self {
            // Below all others: old keys make room for what would be refused.
            Self::Keys => 5,
            Self::Bodies | Self::Commands | Self::Scripts => 6,
            Self::Answers | Self::Topics | Self::Subscriptions | Self::Presence => 7,
            Self::StreamBodies | Self::Remainders | Self::Events => 8,
        }
    }
}

impl Part {
    /// Most eighths of the account that the part itself may use. A stream without room for its
    /// remainder is ended and can resume, and a key without room is forgotten, so both must leave
    /// room for publishers.
    const fn own_eighths(self) -> usize {
        match self {
            Self::Remainders | Self::Keys => 2,
            _ => 8,
        }
    }
}

/// The account has no room for this part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the node holds as much memory for its clients as it may (`memory_budget`)")]
pub struct Exhausted;

/// The account. History is not in it: it has its own share.
#[derive(Debug)]
pub struct Budget {
    max: usize,
    used: AtomicUsize,
    parts: [AtomicUsize; Part::ALL.len()],
    refused: [Counter; Part::ALL.len()],
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

    /// Bytes that all parts together may use.
    #[must_use]
    pub fn max(&self) -> usize {
        self.max
    }

    /// Bytes that all parts use.
    #[must_use]
    pub fn used_by_all(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// Bytes that a part uses.
    #[must_use]
    pub fn used(&self, part: Part) -> usize {
        self.parts[part as usize].load(Ordering::Relaxed)
    }

    /// How often a part was refused.
    #[must_use]
    pub fn refused(&self, part: Part) -> usize {
        self.refused[part as usize].get() as usize
    }

    /// Calls `visit` with how often each part was refused.
    pub fn totals(&self, visit: Visit<'_>) {
        for (part, refused) in std::iter::zip(Part::ALL, &self.refused) {
            visit(&format!("memory_refused.{}", part.as_str()), refused);
        }
    }

    /// Whether the account, or the part's own share of it, is so full that the part is refused.
    #[must_use]
    pub fn is_above_mark(&self, part: Part) -> bool {
        !self.has(part, 0)
    }

    /// Whether the account is full.
    #[must_use]
    pub fn is_spent(&self) -> bool {
        self.used.load(Ordering::Relaxed) >= self.max
    }

    /// Counts a refusal that the part decided on itself.
    pub fn note_refusal(&self, part: Part) {
        self.refused[part as usize].add(1);
    }

    /// Checks whether a part may use `bytes` more; counts a refusal.
    ///
    /// # Errors
    /// [`Exhausted`] if it may not use them.
    pub fn check(&self, part: Part, bytes: usize) -> Result<(), Exhausted> {
        if self.has(part, bytes) {
            return Ok(());
        }
        self.refused[part as usize].add(1);
        Err(Exhausted)
    }

    /// Charges `bytes` to a part.
    ///
    /// # Errors
    /// [`Exhausted`] if it may not use them.
    pub fn take(&self, part: Part, bytes: usize) -> Result<(), Exhausted> {
        // Charged before the comparison, so that two threads cannot both get the last bytes.
        self.take_anyway(part, bytes);
        if self.has(part, 0) {
            return Ok(());
        }
        self.give_back(part, bytes);
        self.refused[part as usize].add(1);
        Err(Exhausted)
    }

    /// Charges `bytes` that are allocated already and cannot be refused.
    pub fn take_anyway(&self, part: Part, bytes: usize) {
        self.used.fetch_add(bytes, Ordering::Relaxed);
        let before = self.parts[part as usize].fetch_add(bytes, Ordering::Relaxed);
        let mark = self.busy_mark();
        if part.is_brief() && before < mark && before + bytes >= mark {
            self.watch.get().inspect(|watch| watch());
        }
    }

    /// Sets the function that is called when requests of one kind begin to use much memory: each
    /// time that such a part crosses its busy mark. Only the first call of `watch` has an effect.
    pub fn watch(&self, watch: fn()) {
        let _ = self.watch.set(watch);
    }

    /// Whether requests of any kind use much memory.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        let mut brief = Part::ALL.iter().filter(|part| part.is_brief());
        brief.any(|part| self.used(*part) >= self.busy_mark())
    }

    /// Bytes from which on a brief part uses much memory.
    fn busy_mark(&self) -> usize {
        self.max / 16
    }

    /// Sets the bytes of a part whose total is computed in one place.
    pub fn set(&self, part: Part, bytes: usize) {
        let before = self.parts[part as usize].swap(bytes, Ordering::Relaxed);
        self.used.fetch_add(bytes, Ordering::Relaxed);
        self.used.fetch_sub(before, Ordering::Relaxed);
    }

    /// Releases `bytes` of a part.
    pub fn give_back(&self, part: Part, bytes: usize) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
        self.parts[part as usize].fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Whether a part may use `bytes` more.
    fn has(&self, part: Part, bytes: usize) -> bool {
        let own_max = self.max / 8 * part.own_eighths();
        self.used.load(Ordering::Relaxed).saturating_add(bytes) <= self.mark(part)
            && self.used(part).saturating_add(bytes) <= own_max
    }

    /// Most bytes of all parts together at which this part may use more.
    fn mark(&self, part: Part) -> usize {
        self.max / 8 * part.eighths()
    }
}

/// The bytes that one owner has charged to its part; released on drop.
#[derive(Debug)]
pub struct Charge {
    budget: Arc<Budget>,
    part: Part,
    bytes: usize,
}

impl Charge {
    /// A charge of no bytes.
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

    /// Changes the charge to `bytes`.
    ///
    /// # Errors
    /// [`Exhausted`] if the account has no room for them; the charge then stays as it was.
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

    /// Changes the charge to `bytes`, which cannot be refused.
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
        assert_eq!(refused, [1, 1, 0, 1, 0, 0, 0, 0, 1, 0, 0]);
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
