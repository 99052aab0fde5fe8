//! Many upgrades in a row leave nothing behind.

use std::fs;

use crate::node::{Upgraded, publish};
use crate::support::sse::SseStream;
use crate::support::wait_until;

const ROUNDS: usize = 50;

/// Open descriptors, threads, and resident bytes of a process.
fn usage(pid: u32) -> (usize, usize, u64) {
    let count =
        |folder: &str| fs::read_dir(format!("/proc/{pid}/{folder}")).map_or(0, Iterator::count);
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("a process");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib: u64 = line
        .and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse().ok())
        .expect("a number");
    (count("fd"), count("task"), kib * 1024)
}

fn children(pid: u32) -> String {
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
    let mut first = (0, 0, 0);
    // Connections of the command end a moment later.
    wait_until("it is quiet", || {
        let before = first;
        first = usage(pid);
        before.0 == first.0 && before.1 == first.1
    });
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
    wait_until("nothing is left", || {
        let now = usage(pid);
        now.0 <= first.0 && now.1 <= first.1
    });
    let last = usage(pid);
    assert!(last.2 < first.2 + (16 << 20), "{first:?} {last:?}");
    assert_eq!(children(pid), "");
}
