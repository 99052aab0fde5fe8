//! Many upgrades in a row leave nothing behind.

use std::fs;

use crate::node::{Upgraded, publish};
use crate::support::sse::SseStream;
use crate::support::wait_until;

const ROUNDS: usize = 50;

/// Memory that may come and go.
pub(crate) const NOISE: u64 = 16 << 20;

/// What a process uses.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Usage {
    descriptors: usize,
    threads: usize,
    /// Resident bytes.
    pub(crate) memory: u64,
}

impl Usage {
    pub(crate) fn of(pid: u32) -> Self {
        let count =
            |folder: &str| fs::read_dir(format!("/proc/{pid}/{folder}")).map_or(0, Iterator::count);
        let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("a process");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib: u64 = line
            .and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse().ok())
            .expect("a number");
        Self {
            descriptors: count("fd"),
            threads: count("task"),
            memory: kib * 1024,
        }
    }

    /// Once it does not change. Connections of the command end a moment later.
    pub(crate) fn when_quiet(pid: u32) -> Self {
        let mut usage = Self::default();
        wait_until("it is quiet", || {
            let before = usage;
            usage = Self::of(pid);
            usage.has_no_more_than(before) && before.has_no_more_than(usage)
        });
        usage
    }

    /// Whether it has no more descriptors and threads.
    pub(crate) fn has_no_more_than(self, other: Self) -> bool {
        self.descriptors <= other.descriptors && self.threads <= other.threads
    }
}

/// Numbers of the children of a process, also of dead ones.
pub(crate) fn children(pid: u32) -> String {
    fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default()
}

#[test]
fn fifty_upgrades_leave_no_descriptor_no_thread_no_child_and_little_memory() {
    let upgraded = Upgraded::start(&[]);
    let node = &upgraded.node;
    let mut streams: Vec<_> = (0..10)
        .map(|_| SseStream::open(node.http, "/events/t"))
        .collect();
    upgraded.upgrade();
    let pid = node.pid();
    let first = Usage::when_quiet(pid);
    for round in 0..ROUNDS {
        upgraded.upgrade();
        publish(node, "t", &round.to_string());
    }
    for stream in &mut streams {
        assert_eq!(
            stream.take_data(ROUNDS).last().map(String::as_str),
            Some("49")
        );
    }
    wait_until("nothing is left", || Usage::of(pid).has_no_more_than(first));
    let last = Usage::of(pid);
    assert!(last.memory < first.memory + NOISE, "{first:?} {last:?}");
    assert_eq!(children(pid), "");
}
