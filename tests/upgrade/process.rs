//! The process stays the same one: for its supervisor, its signals, and as the first of a container.

use std::process::Command;

use rustix::process::Signal;

use crate::node::{Upgraded, publish};
use crate::support::node::{Node, PROGRAM};
use crate::support::sse::SseStream;
use crate::support::wait_until;

#[test]
fn a_signal_upgrades_and_the_process_stays_the_same() {
    let mut upgraded = Upgraded::start(&[]);
    let pid = upgraded.node.pid();
    let mut stream = SseStream::open(upgraded.node.http, "/events/t");
    for round in 1..=3 {
        upgraded.node.signal(Signal::USR2);
        wait_until("it is upgraded", || {
            let status = upgraded.status();
            status["last"]["number"] == round && status["last"]["failed"].is_null()
        });
        assert_eq!(upgraded.node.pid(), pid);
        publish(&upgraded.node, "t", "x");
        assert_eq!(stream.take_data(1), ["x"]);
    }
    // Signals still mean what they meant.
    upgraded.node.signal(Signal::HUP);
    upgraded.node.wait_for_log("reading keys again");
    assert!(upgraded.node.stop().success());
    assert_eq!(stream.next(), None);
}

/// SIGTERM comes in the middle: while the next program is checked, or while everything is frozen.
#[test]
fn a_node_that_is_told_to_end_during_an_upgrade_drains_afterwards() {
    for delay_ms in [0, 5, 10, 20, 40, 80] {
        let mut upgraded = Upgraded::start(&["--drain-period", "0s"]);
        let mut stream = SseStream::open(upgraded.node.http, "/events/t");
        upgraded.node.signal(Signal::USR2);
        std::thread::sleep(std::time::Duration::from_millis(delay_ms));
        let status = upgraded.node.stop();
        assert!(
            status.success(),
            "{delay_ms}: {status:?} {}",
            upgraded.node.logged()
        );
        assert_eq!(stream.next(), None);
        assert!(stream.retry.is_some(), "its farewell");
    }
}

/// As the first process of a container: signals without a handler are ignored there, and orphans
/// are its own.
#[test]
fn the_first_process_of_a_namespace_is_upgraded() {
    let unshare = ["-rpf", "--mount-proc", "--kill-child"];
    let tried = Command::new("unshare").args(unshare).arg("true").status();
    if !tried.is_ok_and(|status| status.success()) {
        eprintln!("left out: this machine permits no namespaces");
        return;
    }
    let mut command = Command::new("unshare");
    command.args(unshare).arg(PROGRAM);
    let node = Node::start_as(command, &[]);
    let mut stream = SseStream::open(node.http, "/events/t");
    let folder = tempfile::tempdir().expect("a folder");
    let upgraded = Upgraded { node, folder };
    for _ in 0..3 {
        upgraded.upgrade();
        publish(&upgraded.node, "t", "x");
        assert_eq!(stream.take_data(1), ["x"]);
    }
}
