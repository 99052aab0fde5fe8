//! The process stays the same one: for its supervisor, its signals, and as the first of a container.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::OpenOptionsExt;
use std::process::Command;

use rustix::process::Signal;

use crate::node::{Upgraded, publish};
use crate::support::node::{Node, PROGRAM};
use crate::support::sse::SseStream;
use crate::support::{DEADLINE, wait_for, wait_until};

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

/// The child has all connections, and hangs. Nobody kills it any more.
#[test]
fn a_node_that_was_killed_during_a_rehearsal_left_its_connections_open() {
    let mut upgraded = Upgraded::start(&[]);
    let fifo = upgraded.folder.path().join("fifo");
    let made = Command::new("mkfifo").arg(&fifo).status();
    assert!(made.expect("mkfifo runs").success());
    // Settings that never come.
    let script = format!(
        "case $FANTAIL_HANDOVER in rehearse*) exec $REAL serve --config {};; esac\nexec $REAL \"$@\"",
        fifo.display()
    );
    upgraded.install_script(&script);
    let mut client = TcpStream::connect(upgraded.node.http).expect("it listens");
    client.set_read_timeout(Some(DEADLINE)).expect("a socket");
    let request = b"GET /events/t HTTP/1.1\r\nHost: localhost\r\n\r\n";
    client.write_all(request).expect("a request");
    upgraded.node.wait_for_streams(1);
    upgraded.node.signal(Signal::USR2);
    let mut writer = OpenOptions::new();
    let writer = writer.write(true).custom_flags(libc::O_NONBLOCK);
    let _settings = wait_for("the child reads its settings", || writer.open(&fifo).ok());
    upgraded.node.signal(Signal::KILL);
    upgraded.node.wait();
    match client.read_to_end(&mut Vec::new()) {
        Ok(_) => {}
        Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset, "it is open"),
    }
}

/// The program to be checked never ends, and has a child of its own. One signal ends the node, or
/// two.
#[test]
fn a_check_that_hung_outlived_its_node() {
    for is_forced in [false, true] {
        let delay = if is_forced { "60s" } else { "0s" };
        let flags = ["--drain-period", "0s", "--drain-delay", delay];
        let mut upgraded = Upgraded::start(&flags);
        let file = upgraded.folder.path().join("pids");
        let file = file.display();
        upgraded.install_script(&format!(
            "sleep 1000 & echo $$ $! > {file}.new; mv {file}.new {file}; wait"
        ));
        upgraded.node.signal(Signal::USR2);
        let path = upgraded.folder.path().join("pids");
        let pids = wait_for("the check runs", || fs::read_to_string(&path).ok());
        upgraded.node.signal(Signal::TERM);
        if is_forced {
            upgraded.node.wait_for_log("the check is given up");
            upgraded.node.signal(Signal::TERM);
        }
        assert_eq!(upgraded.node.wait().success(), !is_forced);
        for pid in pids.split_whitespace() {
            let status = format!("/proc/{pid}/status");
            wait_until("the check has ended", || {
                let status = fs::read_to_string(&status);
                !status.is_ok_and(|status| !status.contains("State:\tZ"))
            });
        }
    }
}
