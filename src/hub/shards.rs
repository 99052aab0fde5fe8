//! The threads of a hub's shards, and how they end.

use std::thread;

use parking_lot::Mutex;

use crate::core::delivery::Shared;
use crate::shard::Shard;
use crate::shard::mailbox::{Mailbox, Message};

/// The running shards of a hub. Dropping it ends their threads without waiting for them.
pub(super) struct Shards {
    shared: Shared,
    running: Mutex<Vec<Shard>>,
}

impl Shards {
    pub(super) fn new(shards: Vec<Shard>, shared: Shared) -> Self {
        Self {
            shared,
            running: Mutex::new(shards),
        }
    }

    /// Ends the shards and waits for their threads. Each first writes the messages posted to it
    /// before.
    pub(super) fn stop(&self) {
        let shards = std::mem::take(&mut *self.running.lock());
        for shard in shards {
            tell(&shard.mailbox, &self.shared);
            shard.join();
        }
    }

    /// Ends the shards, and does not wait.
    pub(super) fn end(&self) {
        let shards = std::mem::take(&mut *self.running.lock());
        let mailboxes = shards.into_iter().map(|shard| shard.mailbox);
        let full: Vec<Mailbox> = mailboxes
            .filter(|mailbox| !try_tell(mailbox, &self.shared))
            .collect();
        if full.is_empty() {
            return;
        }
        let (again, shared) = (full.clone(), self.shared.clone());
        let tell_all = move || again.iter().for_each(|mailbox| tell(mailbox, &shared));
        let waiting = thread::Builder::new()
            .name("ending".to_owned())
            .spawn(tell_all);
        if waiting.is_err() {
            // If no thread can be started, this one waits.
            full.iter().for_each(|mailbox| tell(mailbox, &self.shared));
        }
    }
}

impl Drop for Shards {
    fn drop(&mut self) {
        self.end();
    }
}

/// Tells a shard to end, as soon as its mailbox has room. A running shard makes room.
fn tell(mailbox: &Mailbox, shared: &Shared) {
    while !try_tell(mailbox, shared) {
        thread::yield_now();
    }
}

/// Tells a shard to end; `false` if its mailbox is full.
fn try_tell(mailbox: &Mailbox, shared: &Shared) -> bool {
    let order = shared.desk.lock();
    let has_room = mailbox.has_room();
    if has_room {
        // Only a shard that has ended refuses.
        drop(mailbox.post(Message::Stop));
    }
    drop(order);
    mailbox.wake();
    has_room
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::num::NonZero;
    use std::time::{Duration, Instant};

    use crate::hub::{Hub, HubConfig};

    const DEADLINE: Duration = Duration::from_secs(20);

    /// A hub with a number of shards that no other test of this process uses, so that its last
    /// thread has a unique name.
    fn hub(shards: usize) -> Hub {
        let config = HubConfig {
            shards: NonZero::new(shards).expect("some"),
            ..HubConfig::default()
        };
        Hub::start(config, 1).expect("a hub")
    }

    /// Threads of this process that are the last shard of such a hub.
    fn threads(shards: usize) -> usize {
        let name = format!("shard-{}\n", shards - 1);
        let tasks = fs::read_dir("/proc/self/task").expect("the process's threads");
        tasks
            .flatten()
            .filter_map(|task| fs::read_to_string(task.path().join("comm")).ok())
            .filter(|comm| *comm == name)
            .count()
    }

    fn wait_for_end(shards: usize) {
        let deadline = Instant::now() + DEADLINE;
        while threads(shards) > 0 {
            assert!(Instant::now() < deadline, "threads are left");
            std::thread::yield_now();
        }
    }

    fn wait_for_start(shards: usize) {
        let deadline = Instant::now() + DEADLINE;
        while threads(shards) == 0 {
            assert!(Instant::now() < deadline, "no thread has begun");
            std::thread::yield_now();
        }
    }

    #[test]
    fn the_threads_of_a_hub_outlived_its_last_handle() {
        let hub = hub(21);
        wait_for_start(21);
        let other = hub.clone();
        drop(hub);
        // One handle is left, and works. A larger hub of another test has a thread of this name, too.
        assert!(threads(21) > 0);
        assert_eq!(other.streams(), 0);
        drop(other);
        wait_for_end(21);
    }

    #[test]
    fn a_hub_that_was_stopped_is_dropped_without_a_word() {
        let hub = hub(22);
        hub.stop();
        // The kernel lists a thread for a moment after it was joined.
        wait_for_end(22);
        drop(hub);
    }

    #[test]
    fn a_hub_ends_while_handles_are_left() {
        let hub = hub(23);
        wait_for_start(23);
        hub.end();
        wait_for_end(23);
        hub.stop();
    }
}
