//! Applications write to the log themselves: their events are delivered, and what is none is
//! counted. Nothing stops a node.

use serde_json::json;

use crate::course::KEY;
use crate::nodes::Nodes;
use crate::server::{Keeps, Server, try_ask};
use crate::support::sse::SseStream;

const SECRET: &str = "a secret of at least thirty-two bytes";

/// What no event is, as an application may write it.
const GARBAGE: [&[&str]; 9] = [
    &["*", "nothing", "of it"],
    &["*", "topic", "news"],
    &["*", "data", "without a topic"],
    &["*", "topic", "", "data", "an empty topic"],
    &["*", "topic", "news", "data", "x", "retry", "soon"],
    &["*", "topic", "news", "data", "x", "event", "gap"],
    &["*", "topic", "news", "data", "x", "id", "earliest"],
    &["*", "topic", "news", "data", "x", "private", "perhaps"],
    &[
        "*",
        "topic",
        "/.well-known/mercure/subscriptions/a/b",
        "data",
        "x",
    ],
];

fn add(server: &Server, words: &[&str]) -> redis::RedisResult<String> {
    try_ask(&mut server.connection(), &[&["XADD", KEY], words].concat())
}

#[test]
fn events_of_other_applications_are_delivered_and_garbage_is_counted() {
    let server = Server::start(Keeps::Written, &[]);
    let nodes = Nodes::start(&vec![server.url(); 2], &[]);
    let mut streams: Vec<SseStream> = (0..2)
        .map(|index| SseStream::open(nodes.at(index).http, "/events?topic=news&topic=more"))
        .collect();
    let fields = [
        "*", "topic", "news", "topic", "more", "event", "created", "id", "own-1",
    ];
    let whole = [&fields[..], &["retry", "5000", "data", "two\nlines"]].concat();
    add(&server, &whole).expect("an id");
    for garbage in GARBAGE {
        add(&server, garbage).expect("an id");
    }
    // Bytes that are no text.
    let _: String = redis::cmd("XADD")
        .arg(&[KEY, "*", "topic", "news", "data"])
        .arg(&b"\xff\xfe"[..])
        .query(&mut server.connection())
        .expect("an id");
    add(&server, &["*", "topic", "news", "data", "last"]).expect("an id");
    for (index, stream) in streams.iter_mut().enumerate() {
        let event = stream.next().expect("an event");
        assert_eq!(
            (&*event.id, &*event.event),
            ("own-1", "created"),
            "node {index}"
        );
        assert_eq!(event.data, "two\nlines");
        let rest = std::iter::repeat_with(|| stream.next().expect("an event"));
        let rest: Vec<String> = rest
            .map(|event| event.data)
            .take_while(|data| data != "last")
            .collect();
        assert!(rest.len() <= 1, "node {index} delivered garbage: {rest:?}");
        let counted = nodes.metric(index, "fantail_log_passed_over_total");
        assert!(
            counted >= GARBAGE.len() as f64,
            "node {index} counted {counted}"
        );
    }
}

#[test]
fn an_entry_that_is_larger_than_the_limits_is_counted_and_stops_nobody() {
    let server = Server::start(Keeps::Written, &[]);
    let nodes = Nodes::start(&[server.url()], &[]);
    let mut stream = SseStream::open(nodes.at(0).http, "/events/news");
    let mut other = SseStream::open(nodes.at(0).http, "/events/other");
    let large = "x".repeat(300 * 1024);
    add(&server, &["*", "topic", "news", "data", &large]).expect("an id");
    add(
        &server,
        &["*", "topic", "news", "topic", "other", "data", "next"],
    )
    .expect("an id");
    assert_eq!(stream.take_data(1), ["next"]);
    assert_eq!(other.take_data(1), ["next"]);
    let counted = nodes.metric(0, "fantail_log_passed_over_total");
    assert_eq!(counted as u64, 1);
}

/// A clock that stands still, or an application that counts.
#[test]
fn numbers_within_a_millisecond_that_no_id_has_stop_nobody() {
    let server = Server::start(Keeps::Written, &[]);
    let nodes = Nodes::start(&[server.url()], &[]);
    let mut stream = SseStream::open(nodes.at(0).http, "/events/news");
    let id = nodes.publish("news", "first");
    let ms = crate::id::Id::parse(&id).expect("an id").ms() + 2_000;
    for number in [1_u64 << 19, (1 << 20) - 1, 1 << 20, 1 << 40] {
        let id = format!("{ms}-{number}");
        // The node may have moved the log on by then.
        let _ = add(
            &server,
            &[&id, "topic", "news", "data", &format!("{number}")],
        );
    }
    nodes.publish("news", "last");
    let mut data = Vec::new();
    while data.last().is_none_or(|last| last != "last") {
        let event = stream.next().expect("an event");
        if event.event != "gap" {
            data.push(event.data);
        }
    }
    assert_eq!(data[0], "first");
}

/// Another application has made the stream, with ids of its own, before the first node.
#[test]
fn a_stream_that_another_application_has_made_is_taken_as_it_is() {
    let server = Server::start(Keeps::Written, &[]);
    for number in 1..=3 {
        let id = format!("{number}-1");
        add(
            &server,
            &[&id, "topic", "news", "data", &number.to_string()],
        )
        .expect("an id");
    }
    let nodes = Nodes::start(&vec![server.url(); 2], &[]);
    nodes.publish("news", "now");
    let mut stream = SseStream::resume(nodes.at(1).http, "/events/news", "earliest");
    let mut data = stream.take_data(1);
    while data.last().is_none_or(|last| last != "now") {
        data.extend(stream.take_data(1));
    }
    // Entries of 1970 are older than `history_age`: they may be gone, in order.
    assert!(
        ["1", "2", "3", "now"].ends_with(&data.iter().map(String::as_str).collect::<Vec<_>>()[..]),
        "{data:?}"
    );
}

#[test]
fn private_events_reach_only_granted_streams_on_every_node() {
    let server = Server::start(Keeps::Written, &[]);
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("secret");
    std::fs::write(&file, SECRET).expect("a file");
    let file = file.to_str().expect("a path of UTF-8");
    let flags = ["--jwt-secret-file", file, "--anonymous"];
    let nodes = Nodes::start(&vec![server.url(); 2], &flags);
    let claims = json!({ "mercure": { "subscribe": ["secret/{id}"] } });
    let key = jsonwebtoken::EncodingKey::from_secret(SECRET.as_bytes());
    let token =
        jsonwebtoken::encode(&jsonwebtoken::Header::default(), &claims, &key).expect("a token");
    let bearer = format!("Bearer {token}");
    let mut granted = Vec::new();
    let mut others = Vec::new();
    for index in 0..2 {
        let http = nodes.at(index).http;
        let fields = [("Authorization", &*bearer)];
        let mut stream = SseStream::request(http, "/events/secret/1", &fields);
        while stream.cursor.is_empty() {
            assert_eq!(stream.step(), Some(None));
        }
        granted.push(stream);
        others.push(SseStream::open(http, "/events/secret/1"));
    }
    add(
        &server,
        &["*", "topic", "secret/1", "data", "private", "private", "1"],
    )
    .expect("an id");
    add(&server, &["*", "topic", "secret/1", "data", "public"]).expect("an id");
    for stream in &mut granted {
        assert_eq!(stream.take_data(2), ["private", "public"]);
    }
    for stream in &mut others {
        assert_eq!(stream.take_data(1), ["public"]);
    }
}

/// Writers with their own libraries, as docs/CLUSTER.md shows them.
#[test]
fn redis_cli_and_redis_py_publish() {
    let server = Server::start(Keeps::Written, &[]);
    let nodes = Nodes::start(&[server.url()], &[]);
    let mut stream = SseStream::open(nodes.at(0).http, "/events/orders");
    let port = server.address().port().to_string();
    let cli = [
        "-p",
        &port,
        "XADD",
        KEY,
        "*",
        "topic",
        "orders",
        "data",
        "by redis-cli",
    ];
    let output = std::process::Command::new("redis-cli").args(cli).output();
    assert!(output.expect("redis-cli is installed").status.success());
    assert_eq!(stream.take_data(1), ["by redis-cli"]);
    let script = "import redis, sys\n\
        r = redis.Redis(port=int(sys.argv[1]))\n\
        r.xadd(sys.argv[2], {'topic': 'orders', 'event': 'created', 'data': 'by redis-py'})\n";
    let output = std::process::Command::new("tests/python/.venv/bin/python")
        .args(["-c", script, &port, KEY])
        .output()
        .expect("`cargo xtask tools` installs it");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let event = stream.next().expect("an event");
    assert_eq!((&*event.event, &*event.data), ("created", "by redis-py"));
}
