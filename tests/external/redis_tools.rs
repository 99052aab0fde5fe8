//! redis-cli and redis-benchmark, unmodified.

use crate::program;
use crate::support::node::Node;
use crate::support::sse::SseStream;

#[test]
fn redis_benchmark_runs_as_it_comes() {
    const REQUESTS: usize = 2_000;
    // All of it is kept: the stream is read only at the end, and may fall behind.
    let node = Node::start_with(&["--history-events", "10000"]);
    let mut stream = SseStream::open(node.http, "/events/benched");
    let (port, requests) = (node.ingest.port().to_string(), REQUESTS.to_string());
    let common = ["-h", "127.0.0.1", "-p", &port, "-n", &requests, "-c", "10"];

    let run = |arguments: &[&str]| {
        let all: Vec<&str> = common.iter().chain(arguments).copied().collect();
        let said = program::run("redis-benchmark", &all, b"");
        assert!(said.contains("requests per second"), "{said}");
        assert!(!said.to_lowercase().contains("err"), "{said}");
    };
    run(&["-q", "-t", "ping"]);
    run(&["-P", "16", "PUBLISH", "benched", "x"]);
    run(&[
        "-q",
        "-P",
        "64",
        "-d",
        "128",
        "-r",
        "100",
        "PUBLISH",
        "topic:__rand_int__",
        "x",
    ]);
    run(&[
        "-q", "-3", "-P", "16", "XADD", "log", "MAXLEN", "~", "1000", "*", "data", "x",
    ]);

    let seen = stream.take_data(REQUESTS);
    assert!(seen.iter().all(|data| data == "x"));
}

#[test]
fn redis_cli_is_answered_as_redis_answers() {
    let node = Node::start();
    let mut stream = SseStream::open(node.http, "/events/news");
    // Each command, and the output of a non-interactive redis-cli for its reply. `{id}` stands for
    // any event id.
    for (command, expected) in [
        ("PING", "PONG"),
        ("PING hello", "hello"),
        ("ECHO \"a \\\"quoted\\\" word\"", "a \"quoted\" word"),
        ("SELECT 0", "OK"),
        ("PUBSUB CHANNELS", "news"),
        ("PUBSUB NUMSUB news nobody", "news\n1\nnobody\n0"),
        ("PUBSUB NUMPAT", "0"),
        ("PUBLISH news one", "1"),
        ("PUBLISH nobody one", "0"),
        ("XADD news * event created data two", "{id}"),
        ("XLEN news", "2"),
        (
            "XREVRANGE news + - COUNT 1",
            "{id}\ndata\ntwo\nevent\ncreated",
        ),
        (
            "PUBLISH news",
            "ERR wrong number of arguments for 'publish' command",
        ),
        (
            "FLUSHALL now",
            "ERR unknown command 'FLUSHALL', with args beginning with: 'now'",
        ),
    ] {
        let port = node.ingest.port().to_string();
        let arguments = ["-h", "127.0.0.1", "-p", &port];
        let said = program::run("redis-cli", &arguments, format!("{command}\n").as_bytes());
        assert!(
            matches(said.trim(), expected),
            "{command} was answered {said:?}, not {expected:?}"
        );
    }
    assert_eq!(stream.take_data(2), ["one", "two"]);
}

/// Whether the lines are the same, with `{id}` for any event id.
fn matches(said: &str, expected: &str) -> bool {
    let is_id = |line: &str| {
        line.split_once('-').is_some_and(|(ms, number)| {
            ms.len() == 13 && [ms, number].iter().all(|part| part.parse::<u64>().is_ok())
        })
    };
    said.lines().count() == expected.lines().count()
        && said
            .lines()
            .zip(expected.lines())
            .all(|(line, pattern)| line == pattern || pattern == "{id}" && is_id(line))
}
