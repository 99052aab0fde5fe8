//! The next program has other settings.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use tempfile::TempDir;

use crate::node::{Upgraded, publish};
use crate::support::free_port::free_address;
use crate::support::http;
use crate::support::node::{Node, PROGRAM};
use crate::support::resp;
use crate::support::sse::SseStream;

pub(crate) struct Configured {
    upgraded: Upgraded,
    file: PathBuf,
    _folder: TempDir,
}

impl Configured {
    /// A node with this file, and listeners on free ports.
    pub(crate) fn start(text: &str) -> Self {
        Self::start_by(text, |file| Upgraded::start(&["--config", file]))
    }

    /// A node with this file only.
    fn start_exactly(text: &str) -> Self {
        Self::start_by(text, |file| {
            let mut command = Command::new(PROGRAM);
            command.args(["serve", "--config", file]);
            Upgraded {
                node: Node::start_exactly(command),
                folder: tempfile::tempdir().expect("a folder"),
            }
        })
    }

    fn start_by(text: &str, start: impl FnOnce(&str) -> Upgraded) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("fantail.toml");
        fs::write(&file, text).expect("a file");
        let upgraded = start(file.to_str().expect("text"));
        Self {
            upgraded,
            file,
            _folder: folder,
        }
    }

    pub(crate) fn upgrade_with(&self, text: &str) {
        fs::write(&self.file, text).expect("a file");
        self.upgraded.upgrade();
    }
}

#[test]
fn another_number_of_shards_serves_the_same_streams() {
    let configured = Configured::start("shards = 3\n");
    let node = &configured.upgraded.node;
    let topics = ["a", "b", "*"];
    let mut streams: Vec<_> = (0..30)
        .map(|number| SseStream::open(node.http, &format!("/events/{}", topics[number % 3])))
        .collect();
    let mut expected: Vec<Vec<String>> = vec![Vec::new(); 3];
    for (round, shards) in [1, 4, 2, 7].into_iter().enumerate() {
        configured.upgrade_with(&format!("shards = {shards}\n"));
        for (kind, topic) in ["a", "b"].into_iter().enumerate() {
            let data = format!("{round} {topic}");
            publish(node, topic, &data);
            expected[kind].push(data.clone());
            expected[2].push(data);
        }
    }
    for (number, stream) in streams.iter_mut().enumerate() {
        let expected = &expected[number % 3];
        assert_eq!(&stream.take_data(expected.len()), expected);
    }
    // No stream is counted twice.
    let answer = http::request(node.http, "GET", "/topics/a", &[], b"");
    let count = answer.json();
    assert_eq!(
        (&count["streams"], &count["streams_by_pattern"]),
        (&10.into(), &10.into())
    );
}

/// A limit that is lower than what is open closes nothing, and lets nothing new in.
#[test]
fn a_lower_limit_closes_no_stream() {
    let configured = Configured::start("max_streams = 10\nmax_connections_per_address = 10\n");
    let node = &configured.upgraded.node;
    let mut streams: Vec<_> = (0..8)
        .map(|_| SseStream::open(node.http, "/events/t"))
        .collect();
    configured.upgrade_with("max_streams = 3\nmax_connections_per_address = 2\n");
    assert_eq!(node.publish("t", "x"), 8);
    for stream in &mut streams {
        assert_eq!(stream.take_data(1), ["x"]);
    }
    let refused = http::request(node.http, "GET", "/events/t", &[], b"");
    assert!([429, 503].contains(&refused.status), "{refused:?}");
    streams.truncate(1);
    node.wait_for_streams(1);
    let mut one_more = SseStream::open(node.http, "/events/t");
    node.publish("t", "y");
    assert_eq!(one_more.take_data(1), ["y"]);
}

#[test]
fn a_changed_address_is_opened_and_the_former_one_closed() {
    let (first, second, admin) = (free_address(), free_address(), free_address());
    let text = |http| {
        format!(
            "listen = \"{http}\"\ningest_listen = \"127.0.0.1:0\"\nadmin_listen = \"{admin}\"\n"
        )
    };
    let configured = Configured::start_exactly(&text(first));
    let mut stream = SseStream::open(first, "/events/t");
    configured.upgrade_with(&text(second));
    assert!(TcpStream::connect(first).is_err(), "it is closed");
    let answer = http::request(
        second,
        "POST",
        "/publish/t",
        &[("Content-Type", "text/plain")],
        b"x",
    );
    assert_eq!(answer.status, 200);
    assert_eq!(stream.take_data(1), ["x"]);
}

/// While the next program takes the first one over, it still has the sockets of both.
#[test]
fn two_listeners_that_exchanged_their_addresses_stayed_where_they_were() {
    let (first, second, admin) = (free_address(), free_address(), free_address());
    let text = |http, ingest| {
        format!("listen = \"{http}\"\ningest_listen = \"{ingest}\"\nadmin_listen = \"{admin}\"\n")
    };
    let configured = Configured::start_exactly(&text(first, second));
    let mut stream = SseStream::open(first, "/events/t");
    configured.upgrade_with(&text(second, first));
    assert_eq!(resp::publish(first, "t", "x"), 1);
    assert_eq!(stream.take_data(1), ["x"]);
    let answer = http::request(second, "GET", "/healthz", &[], b"");
    assert_eq!(answer.status, 200);
}

/// The history file is the next program's as well, and nobody else takes the directory meanwhile.
#[test]
fn the_state_directory_is_kept_over_an_upgrade() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("state");
    let flags = ["--state-dir", path.to_str().expect("text")];
    let mut upgraded = Upgraded::start(&flags);
    let mut stream = SseStream::open(upgraded.node.http, "/events/t");
    publish(&upgraded.node, "t", "one");
    assert_eq!(stream.take_data(1), ["one"]);
    let cursor = stream.cursor.clone();
    upgraded.upgrade();
    publish(&upgraded.node, "t", "two");
    upgraded.upgrade();
    publish(&upgraded.node, "t", "three");
    assert!(upgraded.node.stop().success());
    let next = Upgraded::start(&flags);
    let mut resumed = SseStream::resume(next.node.http, "/events/t", &cursor);
    assert_eq!(resumed.take_data(2), ["two", "three"]);
}

/// The directory is that of an earlier process. Events of this one are not in its complete file, so
/// a crash must not find it complete.
#[test]
fn a_crash_after_an_upgrade_lost_events_without_a_gap() {
    let home = tempfile::tempdir().expect("a folder");
    let path = home.path().join("state");
    let flags = ["--state-dir", path.to_str().expect("text")];
    let mut earlier = Node::start_with(&flags);
    let mut stream = SseStream::open(earlier.http, "/events/t");
    earlier.publish("t", "kept");
    let cursor = stream.next().expect("an event").id;
    assert!(earlier.stop().success());
    assert!(path.join("history-complete").exists());

    let mut configured = Configured::start("");
    configured.upgrade_with(&format!("state_dir = {path:?}\n"));
    configured.upgraded.node.publish("t", "lost");
    configured.upgraded.node.signal(Signal::KILL);
    configured.upgraded.node.wait();

    let next = Node::start_with(&flags);
    let fields = [("Last-Event-ID", &*cursor)];
    let mut stream = SseStream::request(next.http, "/events/t", &fields);
    assert_eq!(stream.next().expect("an event").event, "gap");
}

/// The child has found that the directory can be used, and then a file in it cannot be written.
#[test]
fn a_node_that_cannot_keep_its_history_on_disk_ended_with_all_streams() {
    let configured = Configured::start("");
    let node = &configured.upgraded.node;
    let mut stream = SseStream::open(node.http, "/events/t");
    let path = configured.upgraded.folder.path().join("state");
    fs::create_dir_all(path.join("newest-id")).expect("a folder in the way");
    configured.upgrade_with(&format!("state_dir = {path:?}\n"));
    node.wait_for_log("the history is not kept in the state directory any more");
    publish(node, "t", "x");
    assert_eq!(stream.take_data(1), ["x"]);
}

/// The check gets the keys, and then their server hangs. Publishers of the ingest port need none.
#[test]
fn publishers_of_the_ingest_port_waited_for_keys_that_they_do_not_need() {
    let keys = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("http://{}/keys", keys.local_addr().expect("bound"));
    // For the start and for the check. Others are accepted by the kernel, and never answered.
    let server = std::thread::spawn(move || {
        for _ in 0..2 {
            let (mut client, _) = keys.accept().expect("a client");
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                client.read_exact(&mut byte).expect("a request");
                request.extend(byte);
            }
            let key = r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo","kid":"a","alg":"EdDSA","use":"sig"}"#;
            let set = format!(r#"{{"keys":[{key}]}}"#);
            let head = format!(
                "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
                set.len()
            );
            client.write_all(head.as_bytes()).expect("room");
            client.write_all(set.as_bytes()).expect("room");
        }
        keys
    });
    let upgraded = Upgraded::start(&["--jwks-url", &url, "--jwks-timeout", "60s"]);
    upgraded.node.signal(Signal::USR2);
    let _keys = server.join().expect("two requests");
    let mut publisher = resp::Client::open(upgraded.node.ingest);
    let began = Instant::now();
    // Before the upgrade, in it, and behind it.
    while began.elapsed() < Duration::from_secs(3) {
        publisher.publish("t", "x");
    }
    let taken = format!("/proc/{}/environ", upgraded.node.pid());
    let environment = fs::read(taken).expect("our process");
    let role = b"FANTAIL_HANDOVER=take-over";
    let is_upgraded = environment.windows(role.len()).any(|part| part == role);
    assert!(is_upgraded, "{}", upgraded.node.logged());
}

/// The new program found another order in the log, and the node ended.
#[test]
fn a_node_without_a_log_is_not_upgraded_to_one() {
    let configured = Configured::start("");
    let node = &configured.upgraded.node;
    let mut stream = SseStream::open(node.http, "/events/t");
    fs::write(&configured.file, "log = \"redis://127.0.0.1:1\"\n").expect("a file");
    let said = configured.upgraded.refused();
    assert!(
        said.contains("`log` is set, and the running node has none"),
        "{said}"
    );
    publish(node, "t", "1");
    assert_eq!(stream.take_data(1), ["1"]);
}
