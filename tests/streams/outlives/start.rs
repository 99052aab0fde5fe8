//! A start with a state directory: who has it, and what is answered meanwhile.

use std::ffi::OsStr;
use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use super::*;
use crate::support::http::request;
use crate::support::wait_for;

/// Runs a node that is expected to refuse to start; its standard error.
pub(super) fn refused(flags: &[impl AsRef<OsStr>]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fantail"));
    command.arg("serve");
    for listener in ["--listen", "--ingest-listen", "--admin-listen"] {
        command.args([listener, "127.0.0.1:0"]);
    }
    let ended = command.args(flags).stdin(Stdio::null()).output();
    let ended = ended.expect("the program starts");
    assert!(!ended.status.success());
    String::from_utf8_lossy(&ended.stderr).into_owned()
}

#[test]
fn two_nodes_in_one_directory_destroyed_each_others_history() {
    let home = Home::new(&["--state-dir-wait", "1s"]);
    let mut node = home.start();
    let first = Publisher::open(node.ingest).publish("t", "first");
    let error = refused(&home.flags());
    assert!(error.contains("another node has the directory"), "{error}");
    assert!(error.contains("state_dir_wait"), "{error}");
    // The first one did not notice.
    assert_eq!(all_after(&node, "/events/t", "t", &first), ["live"]);
    assert_eq!(node.stop().code(), Some(0));
    let mode = fs::metadata(home.path())
        .expect("made")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o700);
}

/// The next node starts beside one that drains, and has its history.
#[test]
fn a_node_that_starts_beside_a_draining_one_waits_for_its_history() {
    let home = Home::new(&["--drain-period", "500ms"]);
    let mut old = home.start();
    let first = Publisher::open(old.ingest).publish("t", "first");
    let _stream = SseStream::open(old.http, "/events/t");
    old.wait_for_streams(1);
    let next = std::thread::scope(|scope| {
        let next = scope.spawn(|| home.start());
        old.signal(rustix::process::Signal::TERM);
        let last = Publisher::open(old.ingest).publish("t", "last");
        assert!(place(&last) > place(&first));
        assert_eq!(old.wait().code(), Some(0), "{}", old.logged());
        next.join().expect("it started")
    });
    assert_eq!(all_after(&next, "/events/t", "t", &first), ["last", "live"]);
}

/// While a node loads its history it is alive, and not ready.
#[test]
fn health_was_not_answered_while_the_history_was_loaded() {
    let home = Home::new(&["--history-events", "1000000", "--history-bytes", "1GiB"]);
    let mut node = home.start();
    // Loading them takes a while.
    let mut publisher = Publisher::open(node.ingest);
    for _ in 0..15 {
        publisher.publish_all("t", (0..4_000).map(|number| number.to_string()));
    }
    assert_eq!(node.stop().code(), Some(0));
    let flags = home.flags();
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    let starting = Node::begin(&flags);
    let admin: SocketAddr = wait_for("it says where its health is answered", || {
        let logged = starting.logged();
        let (_, rest) = logged.split_once(" admin=")?;
        rest.split_whitespace().next()?.parse().ok()
    });
    let get = |target| request(admin, "GET", target, &[], b"").status;
    assert_eq!(
        [get("/healthz"), get("/readyz"), get("/metrics")],
        [200, 503, 503]
    );
    assert!(!starting.logged().contains("serving"));
    let node = starting.started();
    assert_eq!([get("/healthz"), get("/readyz"), get("/metrics")], [200; 3]);
    assert_eq!(node.admin, admin);
}

#[test]
fn a_directory_that_cannot_be_used_is_refused_by_its_setting() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("file");
    fs::write(&file, "x").expect("written");
    let file = file.to_string_lossy().into_owned();
    for path in [&file, "/proc/self"] {
        let error = refused(&["--state-dir", path]);
        assert!(
            error.contains(path) && error.contains("`state_dir`"),
            "{error}"
        );
    }
    let error = refused(&["--history-snapshot-interval", "1s"]);
    assert!(error.contains("`state_dir`"), "{error}");
}
