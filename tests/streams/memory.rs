use std::fs;

use crate::kernel::resident_bytes;
use crate::support::http::request;
use crate::support::node::Node;
use crate::support::wait_until;

/// Bytes by which the memory of a process at rest may differ from one time to the next.
const LEEWAY: usize = 4 << 20;

/// Code and constants of the program's file that are resident, in bytes.
fn resident_file_bytes(node: &Node) -> usize {
    status(node, "RssFile:")
}

fn status(node: &Node, field: &str) -> usize {
    let status = fs::read_to_string(format!("/proc/{}/status", node.pid())).expect("a process");
    let line = status.lines().find_map(|line| line.strip_prefix(field));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
    kib.expect("a field").trim().parse::<usize>().expect("KiB") * 1024
}

/// A node's memory at rest, once it has returned the memory of its start.
fn rest(node: &Node) -> usize {
    wait_until("the start's pages are dropped", || {
        resident_file_bytes(node) < 4 << 20
    });
    resident_bytes(node.pid())
}

#[test]
fn what_only_the_start_used_is_not_kept() {
    let node = Node::start();
    let rest = rest(&node);
    let peak = status(&node, "VmHWM:");
    assert!(
        rest * 4 < peak * 3,
        "{rest} bytes at rest, {peak} at the start"
    );
    // It goes on without them.
    assert_eq!(request(node.http, "GET", "/healthz", &[], b"").status, 200);
}

#[test]
fn a_peak_is_given_back_without_waiting_for_the_next() {
    let node = Node::start();
    let rest = rest(&node);
    let data = "x".repeat(200 << 10);
    for event in 0..160 {
        node.publish(&format!("peak-{event}"), &data);
    }
    let peak = resident_bytes(node.pid());
    assert!(
        peak > rest + (30 << 20),
        "{rest} bytes at rest, {peak} with 32 MiB kept"
    );
    for event in 0..160 {
        let target = format!("/topics/peak-{event}");
        let answer = request(node.admin, "DELETE", &target, &[], b"");
        assert!(answer.status < 300, "{}", answer.status);
    }
    wait_until("the peak is given back", || {
        resident_bytes(node.pid()) < rest + LEEWAY
    });
}
