//! Messages to systemd, or to another supervisor that follows its protocol.

use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;
use rustix::time::{ClockId, clock_gettime};

use crate::support::node::{Node, PROGRAM};
use crate::support::sse::SseStream;
use crate::support::supervisor::Supervisor;
use crate::support::wait_until;

fn start(supervisor: &Supervisor, watchdog: Option<Duration>, flags: &[&str]) -> Node {
    let mut command = Command::new(PROGRAM);
    command.env("NOTIFY_SOCKET", supervisor.name());
    command.env_remove("WATCHDOG_PID");
    match watchdog {
        Some(patience) => command.env("WATCHDOG_USEC", patience.as_micros().to_string()),
        None => command.env_remove("WATCHDOG_USEC"),
    };
    Node::start_as(command, flags)
}

fn monotonic_us() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec as u64 * 1_000_000 + now.tv_nsec as u64 / 1_000
}

#[test]
fn systemd_is_told_when_the_node_serves_reloads_and_ends() {
    let supervisor = Supervisor::new();
    let flags = ["--drain-period", "600ms", "--drain-delay", "300ms"];
    let mut node = start(&supervisor, None, &flags);
    assert_eq!(supervisor.next().text, "READY=1");
    let status = supervisor.next();
    assert_eq!(status.text, "STATUS=0 streams, 0 events/s published");

    let before = monotonic_us();
    node.signal(Signal::HUP);
    let reloading = supervisor.wait_for("RELOADING=1");
    // systemd takes the reload that it asked for by this time.
    let at = reloading.number("MONOTONIC_USEC");
    assert!((before..=monotonic_us()).contains(&at), "{before} {at}");
    supervisor.wait_for("READY=1");

    let streams = ["/events/t"; 2].map(|target| SseStream::open(node.http, target));
    node.signal(Signal::TERM);
    let stopping = supervisor.wait_for("STOPPING=1");
    // More than the delay, the period and all that may follow.
    let asked = Duration::from_micros(stopping.number("EXTEND_TIMEOUT_USEC"));
    assert!(asked > Duration::from_secs(3), "{asked:?}");
    for mut stream in streams {
        assert_eq!(stream.next(), None);
    }
    assert!(node.wait().success(), "{}", node.logged());
}

/// A drain may last longer than `TimeoutStopSec`: each report asks for more.
#[test]
fn systemd_cut_a_long_drain_short() {
    let supervisor = Supervisor::new();
    let mut node = start(
        &supervisor,
        None,
        &["--drain-period", "1h", "--shards", "1"],
    );
    // The first of them ends at once.
    let _streams = ["/events/t"; 2].map(|target| SseStream::open(node.http, target));
    node.signal(Signal::TERM);
    supervisor.wait_for("STOPPING=1");
    let report = loop {
        let message = supervisor.next();
        if message
            .value("STATUS")
            .is_some_and(|line| line.contains("draining"))
        {
            break message;
        }
    };
    // An hour, and the most that one message can ask for is a bit more.
    let asked = Duration::from_micros(report.number("EXTEND_TIMEOUT_USEC"));
    assert!(asked > Duration::from_secs(3_590), "{asked:?}");
    node.signal(Signal::TERM);
    assert_eq!(node.wait().code(), Some(1));
}

#[test]
fn the_watchdog_hears_of_a_node_that_works_only() {
    let supervisor = Supervisor::new();
    let patience = Duration::from_millis(600);
    let node = start(&supervisor, Some(patience), &[]);
    for _ in 0..3 {
        supervisor.wait_for("WATCHDOG=1");
    }
    drop(node);
    let quiet = Supervisor::new();
    let mut node = start(&quiet, None, &[]);
    quiet.wait_for("READY=1");
    node.stop();
    let stopping = quiet.wait_for_any(&["WATCHDOG=1", "STOPPING=1"]);
    assert_eq!(stopping.value("WATCHDOG"), None, "nobody asked for it");
}

/// The supervisor's socket is gone, or no socket at all: the node serves.
#[test]
fn a_supervisor_that_hears_nothing_stops_no_node() {
    for name in ["/nonexistent/notify", "nonsense"] {
        let mut command = Command::new(PROGRAM);
        command.env("NOTIFY_SOCKET", name);
        let mut node = Node::start_as(command, &[]);
        node.wait_for_log("NOTIFY_SOCKET");
        let mut stream = SseStream::open(node.http, "/events/t");
        wait_until("it serves", || node.publish("t", "news") == 1);
        assert_eq!(stream.next().expect("an event").data, "news");
        drop(stream);
        assert!(node.stop().success(), "{}", node.logged());
    }
}
