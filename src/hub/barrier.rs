//! Cursors that this node may not know yet: with a log, a client may come from a node that is ahead.
//!
//! Such a cursor is answered when this node has come as far, so it is no gap to change the node. A node
//! that does not come as far within a moment sheds the stream, if it is behind the log. If it is not, the
//! cursor is unknown to all.

use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::Mutex;
use tokio::time::timeout;

use crate::core::event::EventId;
use crate::core::selector::Selector;

use super::log::{Away, Log};
use super::{Hub, Shed, Start};

/// Questions for the newest id of the log: one answer is for all who asked before the question
/// was put.
#[derive(Default)]
pub(super) struct Newest {
    /// Number of questions put.
    begun: AtomicU64,
    /// The last answer, and the number of its question. Locked while a question is out.
    answer: Mutex<Option<(u64, Result<EventId, Away>)>>,
}

impl Newest {
    /// The newest id of the log, asked after the call began.
    async fn ask(&self, log: &dyn Log) -> Result<EventId, Away> {
        let before = self.begun.load(Ordering::SeqCst);
        let mut answer = self.answer.lock().await;
        if let Some((number, newest)) = &*answer
            && *number > before
        {
            return newest.clone();
        }
        let number = self.begun.fetch_add(1, Ordering::SeqCst) + 1;
        let newest = log.newest().await;
        *answer = Some((number, newest.clone()));
        newest
    }
}

impl Hub {
    /// Whether a cursor that was resolved to this start may be known a moment later, so that
    /// [`Hub::resolve_late`] should be asked.
    #[must_use]
    pub fn may_be_early(&self, start: &Start) -> bool {
        self.log().is_some() && start.is_unknown()
    }

    /// As [`Hub::resolve`], after this node has caught up with the log: for a cursor that it did not
    /// know. Waits no longer than `catch_up_max`; after that, the cursor is answered as far as it is known.
    ///
    /// # Errors
    /// [`Shed::Behind`] if the cursor is one of the log's order that this node has not reached, and the node
    /// has not read all of the log, or cannot know.
    pub async fn resolve_late(
        &self,
        selectors: &[Selector],
        grant: &[Selector],
        cursor: &str,
    ) -> Result<Start, Shed> {
        let caught_up = self.catch_up(cursor).await;
        caught_up.inspect_err(|_| self.0.node_metrics.streams_shed.add(1))?;
        Ok(self.resolve(selectors, grant, Some(cursor)))
    }

    /// Waits until the node has come as far as the cursor; or, if that is no place, as far as the log
    /// was when the call began.
    ///
    /// A cursor above the log's newest id is waited for, too: a node that follows a server which has
    /// lost the log, and does not know it yet, is told an old one.
    pub(super) async fn catch_up(&self, cursor: &str) -> Result<(), Shed> {
        let Some(log) = self.log() else {
            return Ok(());
        };
        let place = self.mark().place_of(cursor);
        if place.is_some_and(|place| place <= self.head()) {
            return Ok(());
        }
        let mut of_log = None;
        let wait = async {
            let newest = self.0.newest.ask(&**log).await?;
            of_log = Some(newest);
            self.reached(place.unwrap_or(newest)).await;
            Ok(())
        };
        // A node may not know yet that its log is away.
        let _: Result<Result<(), Away>, _> = timeout(self.0.config.catch_up_max, wait).await;
        // A publisher's own id, or no cursor at all: it is told as unknown, as far as is known.
        let head = self.head();
        let is_ahead = place.is_some_and(|place| place > head);
        let has_read_all = of_log.is_some_and(|newest| head >= newest);
        if is_ahead && !has_read_all {
            return Err(Shed::Behind);
        }
        Ok(())
    }

    /// Waits until all entries of the log up to `id` are applied.
    async fn reached(&self, id: EventId) {
        let mut heads = self.0.heads.subscribe();
        if self.head() < id {
            // The sender lives as long as the hub.
            let _ = heads.wait_for(|head| *head >= id).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::sync::Semaphore;

    use super::*;
    use crate::hub::log::{
        AppendError, BoxFuture, LogState, Outcome, Record, RosterPage, RosterPlace,
    };
    use crate::hub::presence::{Listed, RosterChange};

    /// A log that only answers questions for its newest id, one for each permit.
    struct Slow {
        answers: Semaphore,
        asked: AtomicU64,
    }

    impl Log for Slow {
        fn append(&self, _: Vec<Record>) -> BoxFuture<'_, Result<Vec<Outcome>, AppendError>> {
            unreachable!("nothing is published")
        }

        fn announce(
            &self,
            _: Vec<Record>,
            _: Vec<RosterChange>,
        ) -> BoxFuture<'_, Result<Vec<Outcome>, AppendError>> {
            unreachable!("nothing is announced")
        }

        fn roster(&self, _: RosterPlace) -> BoxFuture<'_, Result<RosterPage, Away>> {
            unreachable!("nothing is listed")
        }

        fn subscriber(&self, _: uuid::Uuid) -> BoxFuture<'_, Result<Option<Listed>, Away>> {
            unreachable!("nothing is listed")
        }

        fn print_of(&self, _: EventId) -> Option<u64> {
            unreachable!("no one asks")
        }

        fn roster_name(&self) -> u64 {
            unreachable!("no one asks")
        }

        fn erase(&self, _: &str) -> BoxFuture<'_, Result<usize, AppendError>> {
            unreachable!("nothing is erased")
        }

        fn newest(&self) -> BoxFuture<'_, Result<EventId, Away>> {
            Box::pin(async {
                let number = self.asked.fetch_add(1, Ordering::SeqCst) + 1;
                self.answers.acquire().await.expect("open").forget();
                Ok(EventId::new(number))
            })
        }

        fn state(&self) -> LogState {
            unreachable!("no one asks")
        }
    }

    #[tokio::test]
    async fn one_answer_is_for_all_who_asked_before_the_question() {
        let log = Arc::new(Slow {
            answers: Semaphore::new(0),
            asked: AtomicU64::new(0),
        });
        let newest = Arc::new(Newest::default());
        let ask = || {
            let (log, newest) = (Arc::clone(&log), Arc::clone(&newest));
            tokio::spawn(async move { newest.ask(&*log).await.expect("an answer").get() })
        };
        let first = ask();
        while log.asked.load(Ordering::SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
        // They come while a question is out, whose answer is too old for them.
        let others: Vec<_> = (0..100).map(|_| ask()).collect();
        let gone = ask();
        for _ in 0..200 {
            tokio::task::yield_now().await;
        }
        gone.abort();
        log.answers.add_permits(2);
        assert_eq!(first.await.expect("no panic"), 1);
        for other in others {
            assert_eq!(other.await.expect("no panic"), 2);
        }
        assert_eq!(log.asked.load(Ordering::SeqCst), 2);
    }

    #[tokio::test]
    async fn one_who_asks_and_goes_away_leaves_the_question_to_the_next() {
        let log = Arc::new(Slow {
            answers: Semaphore::new(0),
            asked: AtomicU64::new(0),
        });
        let newest = Newest::default();
        {
            let asking = newest.ask(&*log);
            tokio::pin!(asking);
            let polled =
                std::future::poll_fn(|cx| std::task::Poll::Ready(asking.as_mut().poll(cx)));
            assert!(polled.await.is_pending());
        }
        log.answers.add_permits(1);
        assert_eq!(newest.ask(&*log).await.expect("an answer").get(), 2);
    }
}
