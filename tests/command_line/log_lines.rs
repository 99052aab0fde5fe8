use std::fs;
use std::path::Path;
use std::process::Stdio;

use crate::node::{Node, Text, serve};
use crate::support::http;
use crate::support::sse::SseStream;

const SOURCES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src");

/// Places that log at `info` or above without a bound, with how many each has: no client reaches
/// them.
const BY_THE_OPERATOR: [(&str, usize); 25] = [
    // The program ends with it.
    ("program.rs", 1),
    // Starts, signals, drains.
    ("node/announce.rs", 2),
    ("node/files.rs", 3),
    ("node/drain.rs", 4),
    ("node/mod.rs", 1),
    ("node/run.rs", 4),
    ("node/sockets.rs", 1),
    ("node/take_over.rs", 2),
    ("node/upgrade/mod.rs", 4),
    // The history file, at a start and at a stop.
    ("node/past.rs", 1),
    ("node/state_dir/mod.rs", 2),
    ("node/state_dir/load.rs", 5),
    ("node/state_dir/keeper.rs", 1),
    // The log: at a start, and when its server comes, goes, changes or has lost something.
    ("node/shared_log.rs", 1),
    ("bridge/driver/contact.rs", 2),
    ("bridge/driver/control.rs", 1),
    ("bridge/driver/master.rs", 1),
    ("bridge/driver/roster.rs", 4),
    ("bridge/driver/tail.rs", 4),
    // SIGHUP.
    ("node/keys.rs", 2),
    // The process ends with it.
    ("logging/panics.rs", 1),
    // The process ends with it.
    ("shard/reactor.rs", 2),
    // An operator's actions on a history, or on the log itself.
    ("admin/routes.rs", 2),
    // Once, at the end of the port.
    ("ingest/mod.rs", 1),
    // `trace_topics`: a line for each event is its purpose.
    ("hub/publish.rs", 1),
];

/// How far before a line its bound may stand.
const LINES_BEFORE: usize = 10;

fn sources(directory: &Path, found: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(directory).expect("sources").flatten() {
        let path = entry.path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|kind| kind == "rs") {
            let name = path.strip_prefix(SOURCES).expect("below");
            let text = fs::read_to_string(&path).expect("text");
            found.push((name.to_string_lossy().into_owned(), text));
        }
    }
}

/// Log lines of a source at `info` or above without a bound.
fn unbounded(text: &str) -> Vec<usize> {
    let code = text
        .split("#[cfg(test)]\nmod tests {")
        .next()
        .unwrap_or_default();
    let lines: Vec<&str> = code.lines().collect();
    let logs = |line: &str| {
        let line = line.trim_start();
        !line.starts_with("//")
            && ["error!(", "warn!(", "info!("]
                .iter()
                .any(|name| line.contains(name))
    };
    let numbers = lines.iter().enumerate().filter(|(_, line)| logs(line));
    numbers
        .map(|(number, _)| number)
        .filter(|number| {
            let before = &lines[number.saturating_sub(LINES_BEFORE)..*number];
            !before.iter().any(|line| line.contains(".due()"))
        })
        .map(|number| number + 1)
        .collect()
}

/// A node, and its log.
fn logging_node() -> (Node, Text) {
    let mut child = serve(&[])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let log = Text::collect(child.stderr.take().expect("a pipe"));
    let node = Node::logging(child, &log);
    (node, log)
}

#[test]
fn every_line_that_a_client_can_cause_is_bounded() {
    let mut found = Vec::new();
    sources(Path::new(SOURCES), &mut found);
    assert!(found.len() > 100, "{}", found.len());
    for (name, text) in found {
        let expected = BY_THE_OPERATOR
            .iter()
            .find(|(known, _)| *known == name)
            .map_or(0, |(_, count)| *count);
        let unbounded = unbounded(&text);
        assert_eq!(
            unbounded.len(),
            expected,
            "src/{name} logs at `info` or above in lines {unbounded:?}: ask an `OnceAMinute` before, or add it to the list here"
        );
    }
}

/// The line had the query in Rust's own form, and each call wrote one: a program ends the streams
/// of a user who logs out.
#[test]
fn a_hundred_calls_that_close_streams_are_one_line_that_operators_can_read() {
    let (mut node, log) = logging_node();
    for _ in 0..100 {
        let target = "/streams?topic=a/*&subject=u%201&address=192.0.2.0/24";
        let answer = http::request(node.admin, "DELETE", target, &[], b"");
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    assert_eq!(node.stop().code(), Some(0));
    log.wait_for("drained");
    let log = log.now();
    let lines = log.lines();
    let closed: Vec<_> = lines
        .filter(|line| line.contains("streams closed by an operator"))
        .collect();
    assert_eq!(closed.len(), 1, "{closed:?}");
    let fields = "ended=0 topic=\"a/*\" subject=\"u 1\" address=\"192.0.2.0/24\" left_out=0";
    assert!(closed[0].contains(fields), "{closed:?}");
}

#[test]
fn a_hundred_closed_streams_are_one_line() {
    let (mut node, log) = logging_node();
    for _ in 0..100 {
        let mut stream = SseStream::open(node.http, "/events/a");
        let streams = http::request(node.admin, "GET", "/streams", &[], b"").json();
        let id = streams[0]["id"].as_str().expect("an id").to_owned();
        let target = format!("/streams/{id}");
        let answer = http::request(node.admin, "DELETE", &target, &[], b"");
        assert_eq!(answer.status, 204, "{answer:?}");
        assert_eq!(stream.next(), None);
    }
    assert_eq!(node.stop().code(), Some(0));
    log.wait_for("drained");
    assert_eq!(
        log.now().matches("closed by an operator").count(),
        1,
        "{}",
        log.now()
    );
}
