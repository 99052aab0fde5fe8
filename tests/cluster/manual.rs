//! What docs/CLUSTER.md and examples/cluster show, as it is written there.

use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Output, Stdio};

use tempfile::TempDir;

use crate::nodes::{Nodes, publish};
use crate::proxy::Proxy;
use crate::server::{Keeps, Server, try_ask};
use crate::support::free_port::free_address;
use crate::support::node::{Node, PROGRAM};
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
    // Only newer servers know it.
    let newer = ["ACL", "SETUSER", "fantail", "+client|setinfo"];
    let _ = try_ask::<()>(&mut server.connection(), &newer);
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

/// Some are used once a minute, or when two nodes begin a stream in the same moment: so the source is
/// asked, and not a server.
#[test]
fn each_right_in_the_manual_is_one_for_a_call_that_a_node_makes() {
    let files = std::fs::read_dir("src/bridge/redis").expect("a folder");
    let texts = files.map(|file| std::fs::read_to_string(file.expect("a file").path()));
    let source: String = texts.map(|text| text.expect("a text")).collect();
    let rule = MANUAL.lines().find_map(|line| line.strip_prefix("user "));
    let words = rule.expect("an ACL rule").split(' ');
    for right in words.filter_map(|word| word.strip_prefix('+')) {
        let command = right.split('|').next().unwrap_or(right).to_uppercase();
        let calls = [format!("cmd(\"{command}\")"), format!("call('{command}'")];
        let is_made = calls.iter().any(|call| source.contains(call));
        // The crate makes this one, for a database.
        assert!(is_made || right == "select", "no node needs +{right}");
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

/// The balancer's configuration, with other addresses of its nodes, which only Compose knows.
fn balancer(nodes: [SocketAddr; 3]) -> String {
    let text = std::fs::read_to_string("examples/cluster/haproxy.cfg").expect("a file");
    let mut text = text.replace("maxconn 100000", "maxconn 1000");
    for (number, node) in (1..).zip(nodes) {
        text = text.replace(&format!("node{number}:8080"), &node.to_string());
    }
    text
}

/// HAProxy, until it is dropped.
struct Haproxy {
    process: Child,
    address: SocketAddr,
    _folder: TempDir,
}

impl Haproxy {
    fn start(text: &str) -> Self {
        let address = free_address();
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("haproxy.cfg");
        let text = text.replace("bind :8080", &format!("bind {address}"));
        std::fs::write(&file, text).expect("a file");
        let usual = "/usr/sbin/haproxy";
        let is_there = std::path::Path::new(usual).is_file();
        let mut command = Command::new(if is_there { usual } else { "haproxy" });
        let process = command.arg("-db").arg("-f").arg(&file);
        let process = process.stderr(Stdio::null()).spawn();
        let haproxy = Self {
            process: process.expect("`cargo xtask tools` installs it"),
            address,
            _folder: folder,
        };
        wait_until("the balancer listens", || {
            TcpStream::connect(address).is_ok()
        });
        haproxy
    }
}

impl Drop for Haproxy {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A page that is answered anything but 200 comes back no more.
#[test]
fn a_client_that_the_balancer_sends_to_a_node_that_was_just_killed_comes_to_another_one() {
    let node = Node::start();
    let dead = free_address();
    let text = balancer([node.http, node.http, dead]);
    assert!(text.contains("check inter 1s"), "{text}");
    // Nobody notices that the node is dead.
    let haproxy = Haproxy::start(&text.replace("check inter 1s", "check inter 1h"));
    let open = |_| SseStream::open(haproxy.address, "/events/news");
    // A node without streams would have the next ones.
    let mut streams: Vec<SseStream> = (0..10).map(open).collect();
    assert_eq!(node.publish("news", "heard"), 10);
    for stream in &mut streams {
        assert_eq!(stream.take_data(1), ["heard"]);
    }
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
