#![allow(dead_code)] // Each attack reads its own part of this.

use std::fs;

use rustix::process::Signal;

use crate::support::node::Node;
use crate::support::wait_until;

/// The node's log line when it reads its keys again: once it has arrived, all earlier lines have.
const FENCE: &str = "reading keys again";

/// Lines that the node has logged so far, those still on their way included.
pub(crate) fn log_lines(node: &Node) -> usize {
    let before = fences(&node.logged());
    node.signal(Signal::HUP);
    wait_until("the log has caught up", || fences(&node.logged()) > before);
    let logged = node.logged();
    let lines = logged.lines().filter(|line| !line.contains(FENCE));
    lines.count()
}

fn fences(log: &str) -> usize {
    log.matches(FENCE).count()
}

/// Memory that the node's process holds, in bytes.
pub(crate) fn resident_bytes(node: &Node) -> usize {
    let path = format!("/proc/{}/statm", node.pid());
    let statm = fs::read_to_string(path).expect("a process");
    let pages = statm.split_whitespace().nth(1).expect("a field");
    pages.parse::<usize>().expect("pages") * rustix::param::page_size()
}

/// Files that the node's process has open.
pub(crate) fn open_files(node: &Node) -> usize {
    let path = format!("/proc/{}/fd", node.pid());
    fs::read_dir(path).expect("a process").count()
}

/// The value of one sample of `/metrics`, such as `fantail_ingest_connections`.
pub(crate) fn metric(node: &Node, sample: &str) -> u64 {
    try_metric(node, sample).unwrap_or_else(|| panic!("there is no {sample}"))
}

/// The same; `None` if there is no such sample.
pub(crate) fn try_metric(node: &Node, sample: &str) -> Option<u64> {
    let page = node.admin_get("/metrics").body;
    let value = page.lines().find_map(|line| line.strip_prefix(sample))?;
    Some(value.trim().parse::<f64>().expect("a number") as u64)
}
