//! The main job: a log in by every way, out to every client.

use std::fmt::Write;

use serde_json::json;

use crate::log_lines;
use crate::program::{self, Program};
use crate::support::node::Node;
use crate::support::resp;
use crate::watcher::{Client, Watcher};

/// A way in: feeds every line as one event of the topic `log`.
type Way = (&'static str, fn(&Node, &[&str]));

const WAYS: [Way; 6] = [
    ("redis-cli --pipe", redis_cli_pipe),
    ("redis-cli, a command a line", redis_cli_lines),
    ("redis-cli -x", redis_cli_last_argument),
    ("curl, a body an event", curl_raw),
    ("curl, a JSON array", curl_json),
    ("curl, a stream of NDJSON", curl_ndjson),
];

/// Streams that read along.
const READERS: usize = 3;

#[test]
fn a_log_goes_in_by_every_way_and_out_to_every_client() {
    let lines = log_lines::lines();
    let (mut chromium, node) = Watcher::with_node(Client::Chromium, &[]);
    let url = node.url("/events/log");
    let mut curl = Curl::open(&url);
    let mut npm = Watcher::start(Client::Npm);
    npm.open(&url, &[]);
    chromium.open(&url, &[]);
    node.wait_for_streams(READERS);

    for (way, feed) in WAYS {
        feed(&node, &lines);
        for (number, line) in lines.iter().enumerate() {
            assert_eq!(curl.data(), *line, "{way}, line {number}, read by curl");
            let fired = npm.event();
            assert_eq!(
                fired.data, *line,
                "{way}, line {number}, read by npm's eventsource"
            );
            let same = chromium.event();
            assert_eq!(same, fired, "{way}, line {number}, read by Chromium");
        }
    }
    assert_eq!((npm.opened, chromium.opened), (1, 1), "no stream broke");
}

/// `curl -N` on a stream.
struct Curl(Program);

impl Curl {
    /// Starts it, and waits until its stream was primed.
    fn open(url: &str) -> Self {
        let mut program = Program::start("curl", &["--no-buffer", "--silent", "--show-error", url]);
        let announced = program.line();
        assert!(announced.starts_with(": heartbeat "), "{announced:?}");
        let prime = program.line();
        assert!(
            prime.starts_with("id: "),
            "a stream starts with its cursor: {prime:?}"
        );
        Self(program)
    }

    /// The data of the next event (of one line).
    fn data(&mut self) -> String {
        loop {
            if let Some(data) = self.0.line().strip_prefix("data: ") {
                return data.to_owned();
            }
        }
    }
}

impl Drop for Curl {
    fn drop(&mut self) {
        self.0.kill();
    }
}

fn redis_cli(node: &Node, arguments: &[&str], input: &[u8]) -> String {
    let port = node.ingest.port().to_string();
    let mut all = vec!["-h", "127.0.0.1", "-p", &port];
    all.extend(arguments);
    program::run("redis-cli", &all, input)
}

/// Raw protocol, thousands of commands without waiting, as bulk loaders do.
fn redis_cli_pipe(node: &Node, lines: &[&str]) {
    let commands: Vec<u8> = lines
        .iter()
        .flat_map(|line| resp::command(&["PUBLISH", "log", line]))
        .collect();
    let said = redis_cli(node, &["--pipe"], &commands);
    let expected = format!("errors: 0, replies: {}", lines.len());
    assert!(said.contains(&expected), "redis-cli said {said:?}");
}

fn redis_cli_lines(node: &Node, lines: &[&str]) {
    let mut commands = String::new();
    for line in lines {
        let quoted = line.replace('\\', r"\\").replace('"', "\\\"");
        writeln!(commands, "PUBLISH log \"{quoted}\"").expect("memory");
    }
    let said = redis_cli(node, &[], commands.as_bytes());
    let replies: Vec<&str> = said.lines().collect();
    assert_eq!(replies, vec![READERS.to_string(); lines.len()]);
}

/// One process an event, the data on its standard input.
fn redis_cli_last_argument(node: &Node, lines: &[&str]) {
    for line in lines {
        let said = redis_cli(node, &["-x", "PUBLISH", "log"], line.as_bytes());
        assert_eq!(said.trim(), READERS.to_string());
    }
}

/// One curl that posts every line over one kept-alive connection, with curl's default content type.
fn curl_raw(node: &Node, lines: &[&str]) {
    let mut config = String::new();
    for line in lines {
        let quoted = line
            .replace('\\', r"\\")
            .replace('"', "\\\"")
            .replace('\t', r"\t");
        if !config.is_empty() {
            config.push_str("next\n");
        }
        let url = node.url("/publish/log");
        writeln!(
            config,
            "url = \"{url}\"\ndata-raw = \"{quoted}\"\nwrite-out = \"%{{http_code}} %{{num_connects}}\\n\""
        )
        .expect("memory");
    }
    let said = program::run("curl", &["--silent", "--config", "-"], config.as_bytes());
    // Each answer is a line, and curl's report on it is the next.
    let said: Vec<&str> = said.lines().collect();
    assert_eq!(said.len(), 2 * lines.len());
    for (number, pair) in said.chunks(2).enumerate() {
        let connects = usize::from(number == 0);
        assert_eq!(pair[1], format!("200 {connects}"), "answer {number}");
        assert!(
            pair[0].contains(&format!("\"subscribers\":{READERS}")),
            "{pair:?}"
        );
    }
}

fn curl_json(node: &Node, lines: &[&str]) {
    let events: Vec<_> = lines
        .iter()
        .map(|line| json!({"topic": "log", "data": line}))
        .collect();
    let body = serde_json::to_vec(&events).expect("JSON");
    let said = post(node, "application/json", &["--data-binary", "@-"], &body);
    let answers: Vec<serde_json::Value> = serde_json::from_str(&said).expect("an array");
    assert_eq!(answers.len(), lines.len());
}

/// A body without a length, sent as it is produced.
fn curl_ndjson(node: &Node, lines: &[&str]) {
    let mut body = String::new();
    for line in lines {
        writeln!(body, "{}", json!({"topic": "log", "data": line})).expect("memory");
    }
    let upload = ["--request", "POST", "--upload-file", "-"];
    let said = post(node, "application/x-ndjson", &upload, body.as_bytes());
    assert_eq!(said, format!("{}\n", json!({"accepted": lines.len()})));
}

fn post(node: &Node, content_type: &str, how: &[&str], body: &[u8]) -> String {
    let (url, header) = (
        node.url("/publish"),
        format!("Content-Type: {content_type}"),
    );
    let mut arguments = vec!["--silent", "--show-error", "--fail", "--header", &header];
    arguments.extend(how);
    arguments.push(&url);
    program::run("curl", &arguments, body)
}
