//! Waiting for room in the mailboxes: the [line](Line) of waiters, and their tasks.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::core::desk::{Line, Ticket, Woken};
use crate::core::history::ShardSet;
use crate::shard::mailbox::Mailbox;

/// Wakes one waiter.
type Waker = Arc<Notify>;

/// The waiters. Its lock may be taken under the desk's, never the other way round.
#[derive(Default)]
pub(super) struct Waiting {
    line: Mutex<Line<Waker>>,
    /// Number of waiters. It grows only under the desk's lock, so a caller that holds that lock and
    /// reads zero is first.
    count: AtomicUsize,
}

impl Waiting {
    /// A shard has removed a message from its mailbox.
    pub(super) fn room_in(&self, shard: usize) {
        let first = self.line.lock().room_in(shard);
        wake(first);
    }

    /// Nothing will be posted any more.
    pub(super) fn close(&self) {
        wake(self.line.lock().all());
    }

    fn change<T>(&self, change: impl FnOnce(&mut Line<Waker>) -> T) -> T {
        let mut line = self.line.lock();
        let changed = change(&mut line);
        self.count.store(line.len(), Ordering::Release);
        changed
    }
}

/// A publisher or stream that wants to post: in line from the first time that a mailbox was found
/// full until it is dropped.
pub(super) struct Place<'h> {
    waiting: &'h Waiting,
    held: Option<(Ticket, Waker)>,
}

impl<'h> Place<'h> {
    pub(super) fn new(waiting: &'h Waiting) -> Self {
        Self {
            waiting,
            held: None,
        }
    }

    /// The shards that it cannot post to now: those whose mailbox is full, and those for which
    /// others were first. Under the desk's lock.
    pub(super) fn full_shards(&self, mailboxes: &[Mailbox]) -> ShardSet {
        let mut full = if self.waiting.count.load(Ordering::Acquire) == 0 {
            ShardSet::default()
        } else {
            let ticket = self.held.as_ref().map(|(ticket, _)| *ticket);
            self.waiting.line.lock().ahead_of(ticket)
        };
        for (index, mailbox) in mailboxes.iter().enumerate() {
            if !mailbox.has_room() {
                full.insert(index);
            }
        }
        full
    }

    /// Takes its place in line for these shards, or keeps it. Under the desk's lock.
    pub(super) fn wait_for(&mut self, needs: ShardSet, mailboxes: &[Mailbox]) {
        let mut woken = Woken::new();
        let is_first = self.waiting.change(|line| {
            let ticket = if let Some((ticket, _)) = &self.held {
                woken = line.change(*ticket, needs);
                *ticket
            } else {
                let waker = Waker::default();
                let ticket = line.join(needs, Arc::clone(&waker));
                self.held = Some((ticket, waker));
                ticket
            };
            line.is_first(ticket)
        });
        wake(woken);
        if !is_first {
            // A waiter that leaves wakes it.
            return;
        }
        let needed = mailboxes.iter().enumerate();
        let mut needed = needed.filter(|(index, _)| needs.contains(*index));
        // Room that came before the request is not signalled.
        if needed.all(|(_, mailbox)| mailbox.want_room())
            && let Some((_, waker)) = &self.held
        {
            waker.notify_one();
        }
    }

    /// Waits until its turn may have come.
    pub(super) async fn woken(&self) {
        if let Some((_, waker)) = &self.held {
            waker.notified().await;
        }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        if let Some((ticket, _)) = self.held {
            let next = self.waiting.change(|line| line.leave(ticket));
            wake(next);
        }
    }
}

fn wake(waiters: impl IntoIterator<Item = Waker>) {
    for waiter in waiters {
        waiter.notify_one();
    }
}

#[cfg(test)]
mod tests;
