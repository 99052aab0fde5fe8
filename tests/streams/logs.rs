use serde_json::Value;

use crate::support::http::{Connection, request};
use crate::support::node::Node;
use crate::support::resp::Client;
use crate::support::sse::SseStream;
use crate::support::wait_for;

/// A secret in a token, which no line may hold.
const TOKEN: &str = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhIn0.c2VjcmV0";

/// The fields of the log line with this message, and `part` in it, once it is there.
fn line(node: &Node, message: &str, part: &str) -> Value {
    wait_for(&format!("{message:?} with {part:?} is logged"), || {
        let log = node.logged();
        let fields = log
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok());
        fields.into_iter().find(|fields: &Value| {
            fields["message"] == message && fields.to_string().contains(part)
        })
    })
}

#[test]
fn at_debug_nothing_was_said_of_who_came_went_and_was_turned_away() {
    let flags = [
        "--log-level",
        "info,fantail::shard=debug,fantail::http=debug,fantail::ingest=debug",
        "--log-format",
        "json",
        "--max-streams",
        "1",
        "--ingest-password",
        "open sesame",
        "--jwt-secret",
        "a secret of thirty-two bytes or more",
        "--anonymous",
    ];
    let node = Node::start_with(&flags);
    let many: String = (0..7).map(|number| format!("&topic=t{number}")).collect();
    let target = format!("/events?topic={}{many}", "long".repeat(50));
    let stream = SseStream::open(node.http, &target);
    let opened = line(&node, "stream opened", "t3");
    assert_eq!(opened["client"], "Some(127.0.0.1)");
    let topics = opened["topics"].as_str().expect("text");
    assert!(
        topics.ends_with(" and 3 more") && topics.contains("longlong…"),
        "{topics}"
    );

    // No room, and no token in the line.
    let shed = request(node.http, "GET", "/events/t", &[], b"");
    assert_eq!(shed.status, 503);
    let said = line(&node, "stream shed", "max_streams");
    assert_eq!(
        (&said["client"], &said["path"]),
        (&"127.0.0.1".into(), &"/events/t".into())
    );
    drop(stream);
    let closed = line(&node, "stream closed", "client");
    assert_eq!(
        (&closed["id"], &closed["reason"]),
        (&opened["id"], &"client".into())
    );
    assert!(closed["bytes"].as_u64().expect("a number") > 100);
    assert!(closed["age_s"].is_u64());

    for (target, fields) in [
        (format!("/events/t?authorization={TOKEN}"), vec![]),
        (
            "/events/t".to_owned(),
            vec![("Authorization", format!("Bearer {TOKEN}"))],
        ),
        (
            "/topics".to_owned(),
            vec![("Cookie", format!("mercureAuthorization={TOKEN}"))],
        ),
    ] {
        let fields: Vec<(&str, &str)> = fields
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        let path = target.split('?').next().expect("a path");
        assert_eq!(request(node.http, "GET", &target, &fields, b"").status, 401);
        let said = line(&node, "request refused for its token", path);
        assert!(
            said["why"].as_str().expect("text").contains("token"),
            "{said}"
        );
    }
    let page = [("Origin", "http://evil.example")];
    assert_eq!(
        request(node.http, "POST", "/publish/t", &page, b"x").status,
        403
    );
    line(
        &node,
        "request of a foreign origin refused",
        "http://evil.example",
    );

    let mut publisher = Client::open(node.ingest);
    for words in [
        &["AUTH", "swordfish"][..],
        &["AUTH", "joe", "swordfish"],
        &["HELLO", "3", "AUTH", "joe", "swordfish"],
    ] {
        publisher.send(words);
        assert!(publisher.line().starts_with("-WRONGPASS"));
    }
    line(&node, "AUTH refused on the ingest port", "127.0.0.1");
    // Lines that an operator needs are at `info`, too, and once a minute.
    let kinds = [
        "for lack of room",
        "a request was refused for its token",
        "not in `cors_origins`",
        "AUTH was refused",
    ];
    kinds.iter().for_each(|kind| node.wait_for_log(kind));

    let log = node.logged();
    for secret in [TOKEN, "swordfish", "sesame", "joe"] {
        assert!(!log.contains(secret), "{secret} is in the log");
    }
    let warnings: Vec<&str> = log
        .lines()
        .filter(|line| line.contains("\"WARN\""))
        .collect();
    for kind in kinds {
        let count = warnings.iter().filter(|line| line.contains(kind)).count();
        assert_eq!(count, 1, "{kind}: {warnings:#?}");
    }
}

#[test]
fn a_reader_that_was_too_slow_was_ended_without_a_word() {
    let flags = [
        "--history-events",
        "1",
        "--write-timeout",
        "1s",
        "--send-buffer-bytes",
        "4KiB",
        "--log-format",
        "json",
    ];
    let node = Node::start_with(&flags);
    let mut stalled = Connection::open(node.http);
    stalled.send(b"GET /events/t HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!(stalled.head().status, 200);
    let mut publisher = Client::open(node.ingest);
    let data = "x".repeat(64 * 1024);
    wait_for("it is ended", || {
        publisher.publish("t", &data);
        let page = node.admin_get("/metrics").body;
        let ended = |reason: &str| {
            let sample = format!("fantail_streams_closed_total{{reason=\"{reason}\"");
            let mut lines = page.lines().filter(|line| line.starts_with(&sample));
            lines.any(|line| !line.ends_with(" 0"))
        };
        (ended("lagged") || ended("write_timeout")).then_some(())
    });
    wait_for("the log says so", || {
        node.logged()
            .contains("a stream was ended because")
            .then_some(())
    });
}
