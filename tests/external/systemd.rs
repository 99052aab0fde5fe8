//! The units of `examples/systemd` under a real systemd.
//!
//! Run by `cargo xtask systemd`, as root, since systemd has to mount what it manages.

mod machine;

use std::net::SocketAddr;
use std::thread;

use crate::support::http::{Connection, request};
use crate::support::resp;
use crate::support::sse::SseStream;
use crate::support::wait_until;

use machine::{Machine, PASSWORD};

/// Runs a test on a thread that may change its network.
fn on_its_own_thread(test: impl FnOnce() + Send + 'static) {
    if let Err(panic) = thread::spawn(test).join() {
        std::panic::resume_unwind(panic);
    }
}

/// An address on loopback.
fn loopback(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

/// The public listener: the example's socket unit.
fn http() -> SocketAddr {
    loopback(8080)
}

/// A connection to the ingest listener.
fn publisher() -> resp::Client {
    let mut client = resp::Client::open(loopback(7379));
    client.send(&["AUTH", PASSWORD]);
    assert_eq!(client.line(), "+OK");
    client
}

/// What the node says of its last upgrade.
fn upgrade_status() -> serde_json::Value {
    request(loopback(8081), "GET", "/upgrade", &[], b"").json()
}

#[test]
#[ignore = "needs root and a systemd: cargo xtask systemd"]
fn an_upgrade_is_no_event_for_systemd() {
    on_its_own_thread(|| {
        let machine = Machine::boot("WatchdogSec=2s\nTimeoutStopSec=2s\nTimeoutAbortSec=2s");
        machine.start();
        let process = machine.show("MainPID");
        let mut stream = SseStream::open(http(), "/events/t");
        let mut publisher = publisher();
        for round in ["first", "second"] {
            machine.must(&["fantail", "upgrade", "--config", "/etc/fantail.toml"]);
            publisher.publish("t", round);
            assert_eq!(stream.take_data(1), [round]);
            assert_eq!(machine.show("MainPID"), process);
            assert_eq!(machine.show("NRestarts"), "0");
            assert_eq!(machine.show("ActiveState"), "active");
        }
        wait_until("systemctl status shows the stream", || {
            machine.show("StatusText").starts_with("1 stream")
        });
        machine.must(&["systemctl", "reload", "fantail.service"]);
        for _ in 0..3 {
            let heard = machine.show("WatchdogTimestampMonotonic");
            wait_until("the watchdog hears of the new program", || {
                machine.show("WatchdogTimestampMonotonic") != heard
            });
        }
        assert_eq!(machine.show("MainPID"), process);

        // A node that hangs is ended by the watchdog and started again; the port stays open.
        machine.must(&["kill", "-STOP", &process]);
        wait_until("systemd starts another", || {
            machine.show("NRestarts") == "1" && machine.show("ActiveState") == "active"
        });
        assert_ne!(machine.show("MainPID"), process);
        assert_eq!(request(http(), "GET", "/healthz", &[], b"").status, 200);
    });
}

#[test]
#[ignore = "needs root and a systemd: cargo xtask systemd"]
fn systemctl_reload_upgrades_if_the_unit_says_so() {
    on_its_own_thread(|| {
        let machine = Machine::boot(
            "ExecReload=\nExecReload=/usr/local/bin/fantail upgrade --config /etc/fantail.toml",
        );
        machine.start();
        let process = machine.show("MainPID");
        let mut stream = SseStream::open(http(), "/events/t");
        let mut publisher = publisher();
        let reload = ["systemctl", "reload", "fantail.service"];
        machine.must(&reload);
        let status = upgrade_status();
        assert_eq!(status["attempts"], 1, "{status}");
        assert!(status["last"]["failed"].is_null(), "{status}");
        publisher.publish("t", "upgraded");
        assert_eq!(stream.take_data(1), ["upgraded"]);

        // The command still works, the program is broken.
        machine.install(
            "#!/bin/sh\n[ \"$1\" = upgrade ] && exec /run/real \"$@\"\necho broken >&2\nexit 1\n",
        );
        assert!(!machine.run(&reload).status.success());
        publisher.publish("t", "refused");
        assert_eq!(stream.take_data(1), ["refused"]);
        assert_eq!(machine.show("ActiveState"), "active");
        machine.install_real();
        machine.must(&reload);
        publisher.publish("t", "again");
        assert_eq!(stream.take_data(1), ["again"]);
        assert_eq!(machine.show("MainPID"), process);
    });
}

#[test]
#[ignore = "needs root and a systemd: cargo xtask systemd"]
fn a_restart_keeps_the_history_and_the_port_and_a_long_drain_is_waited_for() {
    on_its_own_thread(|| {
        // Less than the drain takes, for which the node asks.
        let machine = Machine::boot("TimeoutStopSec=1s");
        machine.start();
        let mut streams: Vec<_> = (0..8)
            .map(|_| SseStream::open(http(), "/events/t"))
            .collect();
        publisher().publish("t", "heard");
        for stream in &mut streams {
            assert_eq!(stream.take_data(1), ["heard"]);
        }
        let cursor = streams[0].cursor.clone();
        publisher().publish("t", "missed");
        thread::scope(|scope| {
            let restart =
                scope.spawn(|| machine.must(&["systemctl", "restart", "fantail.service"]));
            for stream in &mut streams {
                assert_eq!(stream.take_data(1), ["missed"]);
                assert_eq!(stream.next(), None, "the drain ends it");
                assert!(stream.retry.is_some());
            }
            // Comes while no node runs, or to one of both.
            let mut waiting = Connection::open(http());
            waiting.send(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n");
            assert_eq!(waiting.response("GET").status, 200);
            restart.join().expect("systemctl restart");
        });
        assert_eq!(machine.show("Result"), "success");
        assert_eq!(machine.show("NRestarts"), "0");
        let mut resumed = SseStream::resume(http(), "/events/t", &cursor);
        assert_eq!(resumed.take_data(1), ["missed"]);
        drop(resumed);
        machine.must(&["systemctl", "stop", "fantail.service"]);
        assert_eq!(machine.show("Result"), "success");
        assert_eq!(machine.show("ExecMainStatus"), "0");
    });
}
