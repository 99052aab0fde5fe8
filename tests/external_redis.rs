//! Redis's own programs, unmodified: `redis-cli` and `redis-benchmark` (Debian: redis-tools), and
//! `redis-server` as the oracle.

#![cfg(feature = "external-tests")]

#[path = "support/free_port.rs"]
mod free_port;
#[path = "redis_oracle/mod.rs"]
mod oracle;
#[path = "support/ingest.rs"]
mod support;

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::{Command, Output, Stdio};

use fantail::settings::IngestUser;
use support::{Node, command};

fn port(node: &Node) -> String {
    node.address.port().to_string()
}

/// Runs a program with `input`; returns its output.
fn run(program: &str, arguments: &[&str], input: &[u8]) -> String {
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{program}: {error} (install redis-tools)"));
    let mut stdin = child.stdin.take().expect("a pipe");
    let input = input.to_vec();
    let feeder = std::thread::spawn(move || {
        // A program that has seen enough may end before it has read all.
        let _ = stdin.write_all(&input);
    });
    let Output { stdout, stderr, .. } = child.wait_with_output().expect("ends");
    feeder.join().expect("fed");
    let errors = String::from_utf8_lossy(&stderr);
    format!("{}{errors}", String::from_utf8_lossy(&stdout))
}

fn cli(node: &Node, arguments: &[&str]) -> String {
    let port = port(node);
    run("redis-cli", &[&["-p", &port], arguments].concat(), b"")
}

#[test]
fn redis_cli_publishes_and_looks() {
    let node = Node::start();
    let mut stream = node.subscribe(&["news"]);
    for version in ["-2", "-3"] {
        assert_eq!(
            cli(&node, &[version, "PUBLISH", "news", "hello you"]),
            "1\n"
        );
        assert!(cli(&node, &[version, "XADD", "news", "*", "data", "x"]).contains('-'));
        assert!(
            cli(&node, &[version, "XRANGE", "news", "-", "+", "COUNT", "1"]).contains("hello you")
        );
        assert!(cli(&node, &[version, "XREAD", "STREAMS", "news", "0"]).contains("hello you"));
        assert!(cli(&node, &[version, "PUBSUB", "NUMSUB", "news"]).contains("news\n1"));
        assert!(cli(&node, &[version, "INFO"]).contains("fantail_version:"));
        assert!(cli(&node, &[version, "SUBSCRIBE", "news"]).contains("GET /events"));
        assert!(cli(&node, &[version, "CLIENT", "LIST"]).contains("user=default"));
        assert!(
            cli(&node, &[version, "COMMAND", "DOCS", "publish"]).contains("Publishes an event.")
        );
        assert!(cli(&node, &[version, "COMMAND", "INFO"]).contains("spublish"));
    }
    stream.read_until("data: hello you\n\n");
}

#[test]
fn redis_cli_feeds_the_lines_of_a_file() {
    let node = Node::start();
    let lines: Vec<String> = (0..20_000)
        .map(|n| format!("{n} GET /index.html \"200\" ü"))
        .collect();
    // The mass-insertion protocol: commands as they are on the wire.
    let wire: Vec<u8> = lines
        .iter()
        .flat_map(|line| command(&["PUBLISH", "log", line]))
        .collect();
    let told = run("redis-cli", &["-p", &port(&node), "--pipe"], &wire);
    assert!(told.contains("errors: 0, replies: 20000"), "{told}");
    // One command a line, as one types them.
    let mut typed = String::new();
    for n in 0..1_000 {
        let _ = writeln!(typed, "XADD typed * data \"line {n}\"");
    }
    let told = run("redis-cli", &["-p", &port(&node)], typed.as_bytes());
    assert_eq!(told.lines().count(), 1_000, "{told}");
    assert!(
        cli(&node, &["XREVRANGE", "log", "+", "-", "COUNT", "1"])
            .contains(lines.last().expect("lines"))
    );
    assert_eq!(cli(&node, &["XLEN", "typed"]), "1000\n");
    // The last argument from standard input.
    run(
        "redis-cli",
        &["-p", &port(&node), "-x", "PUBLISH", "input"],
        b"from stdin",
    );
    assert!(cli(&node, &["XRANGE", "input", "-", "+"]).contains("from stdin"));
}

#[test]
fn redis_cli_logs_in() {
    let node = Node::with(|settings| {
        settings.ingest_password = Some("secret".into());
        settings.ingest_users = vec![IngestUser {
            name: "bob".to_owned(),
            password: "pw".into(),
            publish: vec!["news.*".parse().expect("a glob")],
        }];
    });
    assert!(cli(&node, &["PUBLISH", "x", "y"]).contains("NOAUTH"));
    assert!(
        cli(
            &node,
            &["--no-auth-warning", "-a", "secret", "PUBLISH", "x", "y"]
        )
        .starts_with('0')
    );
    let bob = ["--no-auth-warning", "--user", "bob", "--pass", "pw", "-3"];
    assert!(cli(&node, &[&bob[..], &["PUBLISH", "news.x", "y"]].concat()).starts_with('0'));
    assert!(cli(&node, &[&bob[..], &["PUBLISH", "x", "y"]].concat()).contains("NOPERM"));
}

#[test]
fn redis_benchmark_runs() {
    let node = Node::start();
    let data = "x".repeat(128);
    for pipeline in ["1", "16", "64"] {
        for words in [
            &["PUBLISH", "topic", &data][..],
            &["XADD", "topic", "MAXLEN", "~", "1000", "*", "data", &data],
        ] {
            let port = port(&node);
            let arguments = [
                "-p", &port, "-n", "20000", "-P", pipeline, "--csv", "-c", "10",
            ];
            let told = run("redis-benchmark", &[&arguments[..], words].concat(), b"");
            assert!(told.contains("\"rps\""), "{told}");
            assert!(!told.to_ascii_lowercase().contains("error"), "{told}");
        }
    }
    // It rounds up to whole pipelines.
    assert!(node.hub.node_metrics().events_in[1].get() >= 120_000);
}
