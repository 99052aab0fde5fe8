//! The batches of this node's publishers, from the call to the receipt.
//!
//! A batch *waits*, is *sent*, and is gone when its publisher is answered. The bytes of all batches
//! together are bounded.

use std::collections::{BTreeMap, VecDeque};

use tokio::sync::oneshot;

use crate::bridge::entry::Fields;
use crate::bridge::redis::{Batch, RosterWrite};
use crate::core::event::EventId;
use crate::hub::log::{AppendError, Outcome};

/// Bytes charged for a batch beside its fields.
const BATCH_BYTES: usize = 256;

/// Bytes charged for a field beside its value.
const FIELD_BYTES: usize = 48;

/// What a publisher is told.
pub(super) type Answer = Result<Vec<Outcome>, AppendError>;

/// A batch that a publisher waits for.
struct Waiting {
    number: u64,
    batch: Batch,
    bytes: usize,
    reply: oneshot::Sender<Answer>,
}

/// A batch that was given to the server, or may have been.
struct Sent {
    waiting: Waiting,
    /// Those of its entries that came back.
    outcomes: Vec<Outcome>,
    /// The server has answered that it is written, with this id as its last.
    written: Option<EventId>,
    /// As many replicas have it as they must. Starts and ends of this node's own subscriptions need
    /// none: nobody is answered for them, and what a server loses of them is told again.
    is_confirmed: bool,
}

/// What is known of a batch at its time limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Known {
    /// It was not given to the server.
    Waits,
    /// It may be written.
    Sent,
    /// It is written, with this id as its last, and did not come back yet.
    Written(EventId),
    /// Its publisher is answered.
    Gone,
}

/// Why a batch is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Full {
    /// The bound on bytes is reached.
    Bytes,
    /// The node ends.
    Closed,
}

pub(super) struct Queue {
    waiting: VecDeque<Waiting>,
    sent: BTreeMap<u64, Sent>,
    bytes: usize,
    bytes_max: usize,
    next: u64,
    is_closed: bool,
}

impl Queue {
    pub(super) fn new(bytes_max: usize) -> Self {
        Self {
            waiting: VecDeque::new(),
            sent: BTreeMap::new(),
            bytes: 0,
            bytes_max,
            next: 0,
            is_closed: false,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.sent.is_empty()
    }

    pub(super) fn has_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Takes a batch, whose entries `make` makes with its number. A batch larger than the bound is
    /// taken if it is alone.
    pub(super) fn add<B: Into<Batch>>(
        &mut self,
        make: impl FnOnce(u64) -> B,
    ) -> Result<(u64, oneshot::Receiver<Answer>), Full> {
        if self.is_closed {
            return Err(Full::Closed);
        }
        let batch = make(self.next).into();
        let roster = batch.roster.as_ref().map_or(0, RosterWrite::bytes);
        let bytes = batch.entries.iter().map(cost).sum::<usize>() + roster + BATCH_BYTES;
        if self.bytes > 0 && self.bytes + bytes > self.bytes_max {
            return Err(Full::Bytes);
        }
        let (reply, answer) = oneshot::channel();
        let number = self.next;
        self.next += 1;
        self.bytes += bytes;
        self.waiting.push_back(Waiting {
            number,
            batch,
            bytes,
            reply,
        });
        Ok((number, answer))
    }

    /// The next batches to send: as many as have no more than so many entries and bytes, one at
    /// least.
    pub(super) fn send(&mut self, entries_max: usize, bytes_max: usize) -> Vec<(u64, Batch)> {
        let (mut entries, mut bytes) = (0, 0);
        let mut batches = Vec::new();
        while let Some(next) = self.waiting.front() {
            entries += next.batch.entries.len();
            bytes += next.bytes;
            if !batches.is_empty() && (entries > entries_max || bytes > bytes_max) {
                break;
            }
            let Some(waiting) = self.waiting.pop_front() else {
                break;
            };
            batches.push((waiting.number, waiting.batch.clone()));
            let sent = Sent {
                outcomes: Vec::with_capacity(waiting.batch.entries.len()),
                is_confirmed: waiting.batch.roster.is_some(),
                waiting,
                written: None,
            };
            self.sent.insert(sent.waiting.number, sent);
        }
        batches
    }

    /// An entry of a batch came back.
    pub(super) fn came(&mut self, number: u64, outcome: Outcome, needs_confirmation: bool) {
        let Some(sent) = self.sent.get_mut(&number) else {
            return;
        };
        sent.outcomes.push(outcome);
        self.finish_if_done(number, needs_confirmation);
    }

    /// The server says that a batch is written.
    pub(super) fn written(&mut self, number: u64, last: EventId) {
        if let Some(sent) = self.sent.get_mut(&number) {
            sent.written = Some(last);
        }
    }

    /// Enough replicas have a batch.
    pub(super) fn confirmed(&mut self, number: u64) {
        if let Some(sent) = self.sent.get_mut(&number) {
            sent.is_confirmed = true;
            self.finish_if_done(number, true);
        }
    }

    /// Too few replicas have a batch. Its publisher is told so, if it waits for them.
    pub(super) fn not_confirmed(&mut self, number: u64, error: AppendError) {
        if self
            .sent
            .get(&number)
            .is_some_and(|sent| !sent.is_confirmed)
        {
            self.give_up(number, error);
        }
    }

    fn finish_if_done(&mut self, number: u64, needs_confirmation: bool) {
        let is_done = self.sent.get(&number).is_some_and(|sent| {
            let is_back = sent.outcomes.len() >= sent.waiting.batch.entries.len();
            is_back && (sent.is_confirmed || !needs_confirmation)
        });
        if is_done && let Some(mut sent) = self.sent.remove(&number) {
            let outcomes = std::mem::take(&mut sent.outcomes);
            self.answer(sent.waiting, Ok(outcomes));
        }
    }

    /// What is known of a batch.
    pub(super) fn known(&self, number: u64) -> Known {
        match self.sent.get(&number) {
            Some(Sent {
                written: Some(id), ..
            }) => Known::Written(*id),
            Some(_) => Known::Sent,
            None if self.waiting.iter().any(|waiting| waiting.number == number) => Known::Waits,
            None => Known::Gone,
        }
    }

    /// Answers the publisher of a batch, which is forgotten.
    pub(super) fn give_up(&mut self, number: u64, error: AppendError) {
        let waiting = match self.sent.remove(&number) {
            Some(sent) => Some(sent.waiting),
            None => {
                let mut waiting = self.waiting.iter();
                let at = waiting.position(|waiting| waiting.number == number);
                at.and_then(|at| self.waiting.remove(at))
            }
        };
        if let Some(waiting) = waiting {
            self.answer(waiting, Err(error));
        }
    }

    /// Numbers of all batches that were sent.
    pub(super) fn sent(&self) -> Vec<u64> {
        self.sent.keys().copied().collect()
    }

    /// Numbers of the batches of which something came back, though they are not done: how many
    /// replicas have them is not known.
    pub(super) fn unconfirmed(&self) -> Vec<u64> {
        let came = self
            .sent
            .iter()
            .filter(|(_, sent)| !sent.outcomes.is_empty());
        came.map(|(number, _)| *number).collect()
    }

    /// These batches are certainly not in the log: they wait again, in front of all others.
    pub(super) fn send_again(&mut self, numbers: &[u64]) -> usize {
        let mut count = 0;
        for number in numbers.iter().rev() {
            if let Some(sent) = self.sent.remove(number) {
                self.waiting.push_front(sent.waiting);
                count += 1;
            }
        }
        count
    }

    /// Written batches in a hole of the log: `after` is kept, all up to `through` is lost.
    pub(super) fn lost(&self, after: EventId, through: EventId) -> Vec<u64> {
        let is_lost = |sent: &Sent| sent.written.is_some_and(|id| id > after && id <= through);
        let lost = self.sent.iter().filter(|(_, sent)| is_lost(sent));
        lost.map(|(number, _)| *number).collect()
    }

    /// Sent batches of which it is not known whether they are written.
    pub(super) fn in_doubt(&self) -> Vec<u64> {
        let in_doubt = self.sent.iter().filter(|(_, sent)| sent.written.is_none());
        in_doubt.map(|(number, _)| *number).collect()
    }

    fn answer(&mut self, waiting: Waiting, answer: Answer) {
        self.bytes -= waiting.bytes;
        // A publisher that has gone away does not care.
        let _ = waiting.reply.send(answer);
    }

    /// Takes no more batches, and answers those that are left: `sent` for those that may be
    /// written.
    pub(super) fn close(&mut self, waiting: &AppendError, sent: &AppendError) {
        self.is_closed = true;
        for (_, batch) in std::mem::take(&mut self.sent) {
            self.answer(batch.waiting, Err(sent.clone()));
        }
        for batch in std::mem::take(&mut self.waiting) {
            self.answer(batch, Err(waiting.clone()));
        }
    }
}

fn cost(fields: &Fields) -> usize {
    let values = fields.iter().map(|(_, value)| FIELD_BYTES + value.len());
    values.sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(text: &str) -> Vec<Fields> {
        vec![vec![("data", text.as_bytes().to_vec())]]
    }

    fn refused() -> AppendError {
        AppendError::Closed(crate::hub::Closed)
    }

    fn id(number: u64) -> EventId {
        EventId::new(number)
    }

    #[test]
    fn a_batch_is_answered_when_all_of_it_came_back() {
        let mut queue = Queue::new(10_000);
        let two = |_| [entry("a"), entry("b")].concat();
        let (number, mut answer) = queue.add(two).expect("room");
        assert_eq!(queue.known(number), Known::Waits);
        assert_eq!(queue.send(10, 1_000_000).len(), 1);
        assert_eq!(queue.known(number), Known::Sent);
        queue.came(number, Outcome::Passed, false);
        assert!(answer.try_recv().is_err());
        queue.written(number, id(7));
        assert_eq!(queue.known(number), Known::Written(id(7)));
        queue.came(number, Outcome::Reused, false);
        let outcomes = answer.try_recv().expect("an answer").expect("published");
        assert_eq!(outcomes, [Outcome::Passed, Outcome::Reused]);
        assert_eq!(queue.known(number), Known::Gone);
        assert!(queue.is_empty() && queue.bytes == 0);
    }

    #[test]
    fn a_batch_that_needs_replicas_waits_for_both() {
        for comes_first in [true, false] {
            let mut queue = Queue::new(10_000);
            let (number, mut answer) = queue.add(|_| entry("a")).expect("room");
            queue.send(10, 1_000_000);
            if comes_first {
                queue.came(number, Outcome::Passed, true);
            } else {
                queue.confirmed(number);
            }
            assert!(answer.try_recv().is_err());
            if comes_first {
                queue.confirmed(number);
            } else {
                queue.came(number, Outcome::Passed, true);
            }
            assert!(answer.try_recv().expect("an answer").is_ok());
        }
    }

    #[test]
    fn a_batch_that_came_back_without_its_replicas_is_not_one_that_the_log_lacks() {
        let mut queue = Queue::new(10_000);
        let mut add = || queue.add(|_| entry("a")).map(|(_, kept)| kept).ok();
        let _kept = [add(), add(), add()];
        queue.send(10, 1_000_000);
        queue.came(1, Outcome::Passed, true);
        assert_eq!(queue.unconfirmed(), [1]);
        queue.written(0, id(10));
        assert_eq!(queue.in_doubt(), [1, 2]);
    }

    #[test]
    fn the_bytes_of_all_batches_are_bounded_and_given_back() {
        let mut queue = Queue::new(2_000);
        let large = "x".repeat(5_000);
        let (first, _kept) = queue.add(|_| entry(&large)).expect("alone it fits");
        assert_eq!(queue.add(|_| entry("a")).err(), Some(Full::Bytes));
        queue.give_up(first, refused());
        assert_eq!(queue.bytes, 0);
        assert!(queue.add(|_| entry("a")).is_ok());
        queue.close(&refused(), &refused());
        assert_eq!(queue.add(|_| entry("a")).err(), Some(Full::Closed));
        assert_eq!(queue.bytes, 0);
    }

    #[test]
    fn what_is_sent_again_keeps_its_order() {
        let mut queue = Queue::new(100_000);
        let mut add = |text: &str| queue.add(|_| entry(text)).map(|(_, kept)| kept).ok();
        let _kept = ["a", "b", "c", "d"].map(&mut add);
        assert_eq!(queue.send(2, 1_000_000).len(), 2);
        assert_eq!(queue.send_again(&[0, 1]), 2);
        let sent = queue.send(10, 1_000_000);
        let numbers: Vec<u64> = sent.iter().map(|(number, _)| *number).collect();
        assert_eq!(numbers, [0, 1, 2, 3]);
    }

    #[test]
    fn written_batches_in_a_hole_are_lost_and_others_are_not() {
        let mut queue = Queue::new(100_000);
        let mut add = || queue.add(|_| entry("a")).map(|(_, kept)| kept).ok();
        let _kept = [add(), add(), add()];
        queue.send(10, 1_000_000);
        queue.written(0, id(10));
        queue.written(1, id(11));
        assert_eq!(queue.lost(id(10), id(20)), [1]);
    }
}
