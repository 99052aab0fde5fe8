//! What docs/CLUSTER.md and examples/cluster show, as it is written there.

use std::process::{Command, Output};

use crate::nodes::{Nodes, publish};
use crate::proxy::Proxy;
use crate::server::{Keeps, Server};
use crate::support::node::PROGRAM;
use crate::support::sse::SseStream;
use crate::support::wait_until;

const MANUAL: &str = include_str!("../../docs/CLUSTER.md");

fn run(program: &str, arguments: &[&str]) -> Output {
    Command::new(program)
        .args(arguments)
        .output()
        .unwrap_or_else(|error| panic!("{program}: {error} (`cargo xtask tools` installs it)"))
}

fn succeeds(program: &str, arguments: &[&str]) -> String {
    let output = run(program, arguments);
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    assert!(output.status.success(), "{program} {arguments:?}: {said}");
    said
}

/// The user of Redis that the manual shows may do all that a node does, also after a loss, and
/// nothing else.
#[test]
fn the_rights_in_the_manual_are_enough_and_no_more() {
    let rule = MANUAL.lines().find_map(|line| line.strip_prefix("user "));
    let rule = rule.expect("an ACL rule").replace("a-long-password", "pw");
    let words: Vec<&str> = rule.split(' ').collect();
    let server = Server::start(Keeps::Always, &[&["--user"], &words[..]].concat());
    let proxy = Proxy::to(server.address());
    let login = |url: String| url.replace("redis://", "redis://fantail:pw@");
    let logs = [login(proxy.url()), login(server.url())];
    let flags = [
        "--log-events-max",
        "1000",
        "--log-bytes-max",
        "1MiB",
        "--mercure-subscriptions",
    ];
    let mut nodes = Nodes::start(&logs, &flags);
    let announced = || -> Vec<String> { server.ask(&["KEYS", "{fantail}:who:*"]) };
    let _subscriber = SseStream::open(nodes.at(0).http, "/.well-known/mercure?topic=a");
    wait_until("it is announced", || announced().len() == 1);
    let mut stream = SseStream::open(nodes.at(0).http, "/events/news");
    assert_eq!(publish(nodes.at(0), "news", "first").status, 200);
    assert_eq!(stream.take_data(1), ["first"]);
    proxy.cut();
    nodes.publish("news", "after a cut");
    assert_eq!(stream.take_data(1), ["after a cut"]);
    server.ask::<()>(&["FLUSHALL"]);
    assert_eq!(stream.take(1)[0].event, "gap");
    nodes.publish("news", "after a loss");
    assert_eq!(stream.take_data(1), ["after a loss"]);
    wait_until("it is announced anew", || announced().len() == 1);
    nodes.kill(0);
    wait_until("its end is told", || announced().is_empty());
    nodes.stop(1);
    let log: Vec<redis::Value> = server.ask(&["ACL", "LOG"]);
    assert!(log.is_empty(), "a node was refused: {log:?}");
    for forbidden in [
        &["FLUSHALL"][..],
        &["DEL", "fantail"],
        &["GET", "other"],
        &["SHUTDOWN"],
    ] {
        let rights = [&["ACL", "DRYRUN", "fantail"], forbidden].concat();
        let answer: String = server.ask(&rights);
        assert_ne!(answer, "OK", "{forbidden:?}");
    }
}

#[test]
fn the_settings_of_the_example_are_valid() {
    let output = Command::new(PROGRAM)
        .args(["check-config", "examples/cluster/fantail.toml"])
        .env("FANTAIL_LOG", "redis://redis:6379")
        .output()
        .expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
}

#[test]
fn the_balancer_of_the_example_is_configured_rightly() {
    let text = std::fs::read_to_string("examples/cluster/haproxy.cfg").expect("a file");
    // Names that only Compose knows.
    let mut text = text;
    for node in ["node1", "node2", "node3"] {
        text = text.replace(&format!("{node}:8080"), "127.0.0.1:1");
    }
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("haproxy.cfg");
    std::fs::write(&file, text).expect("a file");
    let haproxy = ["/usr/sbin/haproxy", "haproxy"];
    let haproxy = haproxy
        .into_iter()
        .find(|path| std::path::Path::new(path).is_file());
    let file = file.to_str().expect("a path of UTF-8");
    succeeds(haproxy.unwrap_or("haproxy"), &["-c", "-f", file]);
}

#[test]
fn the_example_for_systemd_is_configured_rightly() {
    if !std::path::Path::new("/usr/bin/systemd-analyze").is_file() {
        eprintln!("left out: there is no systemd-analyze");
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let unit = std::fs::read_to_string("examples/systemd/fantail.service").expect("a file");
    let unit = unit.replace("/usr/local/bin/fantail", PROGRAM);
    let file = folder.path().join("fantail.service");
    std::fs::write(&file, unit).expect("a file");
    let drop_ins = folder.path().join("fantail.service.d");
    std::fs::create_dir(&drop_ins).expect("a folder");
    let drop_in = drop_ins.join("log.conf");
    std::fs::copy("examples/cluster/fantail.service.d.conf", drop_in).expect("a file");
    let said = succeeds(
        "systemd-analyze",
        &["verify", file.to_str().expect("a path")],
    );
    assert!(!said.contains("fantail"), "{said}");
}
