use std::net::Shutdown;

use crate::node::Node;
use crate::support::http::request;

const JSON: &str = "application/json";
const NDJSON: &str = "application/x-ndjson";

#[test]
fn one_object() {
    let node = Node::start();
    let mut stream = node.subscribe("/events/a");
    let body =
        r#"{"topics":["a","b"],"data":{ "n" : 1.50, "s":"x y" },"event":"e","id":"own","retry":7}"#;
    let answer = node.post("/publish", "application/json; charset=utf-8", body);
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.head.field("content-type"), Some(JSON));
    assert_eq!(answer.json()["subscribers"], 1);
    let id = answer.json()["id"].as_str().expect("an id").to_owned();
    assert!(node.hub.mark().place_of(&id).is_some(), "{id}");
    let event = stream.take(1).remove(0);
    assert_eq!(event.data, r#"{"n":1.50,"s":"x y"}"#);
    assert_eq!((event.event.as_str(), event.id.as_str()), ("e", "own"));
    assert_eq!(stream.retry, Some(7));
}

#[test]
fn an_array_is_all_or_nothing() {
    let node = Node::start();
    let mut stream = node.subscribe("/events/a");
    let good = r#"{"topic":"a","data":"1"}"#;
    let answer = node.post("/publish", JSON, &format!("[{good},{good}]"));
    let receipts = answer.json();
    assert_eq!(receipts.as_array().map(Vec::len), Some(2));
    assert_ne!(receipts[0]["id"], receipts[1]["id"]);
    assert_eq!(stream.take_data(2), ["1", "1"]);
    assert_eq!(node.post("/publish", JSON, "[]").body, "[]\n");
    for (bad, pointer) in [
        (r#"{"topic":"a"}"#, "/1"),
        (r#"{"topic":"a","data":1,"dato":2}"#, "/1"),
        (r#"{"data":1}"#, "/1/topic"),
        (r#"{"topic":"a","data":1,"id":""}"#, "/1/id"),
        (r#"{"topic":"a","data":1,"event":"a\nb"}"#, "/1/event"),
    ] {
        let answer = node.post("/publish", JSON, &format!("[{good},{bad}]"));
        assert_eq!(answer.status, 400, "{bad}");
        assert_eq!(answer.json()["pointer"], pointer, "{bad}");
    }
    assert_eq!(node.hub.history_len("a"), 2);
}

#[test]
fn bad_json_is_told_where() {
    let node = Node::start();
    for (body, said) in [
        ("{\"topic\":\"a\",\n \"dat\":1}", "line 2"),
        (r#"{"topic":"a","topics":["b"],"data":1}"#, "not both"),
        (r#"{"topic":"a","data":1"#, "ends within an object"),
        ("1", "object"),
        ("", "object"),
        (r#"{"topic":"","data":1}"#, "empty"),
        (r#"{"topics":[],"data":1}"#, "at least one topic"),
    ] {
        let answer = node.post("/publish", JSON, body);
        assert_eq!(answer.status, 400, "{body}");
        let detail = answer.json()["detail"].as_str().expect("text").to_owned();
        assert!(detail.contains(said), "{body}: {detail}");
    }
    let fields = [("Content-Type", JSON)];
    let bytes = request(
        node.address,
        "POST",
        "/publish",
        &fields,
        b"{\"topic\":\"\xff\"}",
    );
    assert_eq!(bytes.status, 400);
}

#[test]
fn raw_bodies_are_data() {
    let node = Node::start();
    let mut stream = node.subscribe("/events/a%20b/c");
    let target = "/publish/a%20b/c?event=e&id=i%2B1&retry=5&private=false";
    let answer = node.post(
        target,
        "application/x-www-form-urlencoded",
        "line\r\ntwo & =",
    );
    assert_eq!(answer.status, 200, "{answer:?}");
    let event = stream.take(1).remove(0);
    assert_eq!(event.data, "line\ntwo & =");
    assert_eq!((event.event.as_str(), event.id.as_str()), ("e", "i+1"));
    // JSON on this path is data, too, and a missing type is fine.
    node.post("/publish/a%20b/c", JSON, "{ \"a\": 1 }");
    request(node.address, "POST", "/publish/a%20b/c", &[], b"");
    assert_eq!(stream.take_data(2), ["{ \"a\": 1 }", ""]);
    for (target, body, field) in [
        ("/publish/a?evnt=x", "x".as_bytes(), "evnt"),
        ("/publish/a?retry=soon", b"x", "retry"),
        ("/publish/a?private=maybe", b"x", "private"),
        ("/publish/a?id=", b"x", "id"),
        ("/publish/a?id=%00", b"x", "id"),
        ("/publish/?id=1", b"x", "topic"),
    ] {
        let answer = request(node.address, "POST", target, &[], body);
        assert_eq!(answer.status, 400, "{target}");
        assert_eq!(answer.json()["field"], field, "{target}");
    }
    assert_eq!(
        request(node.address, "POST", "/publish/a", &[], b"\xff").status,
        400
    );
    assert_eq!(node.hub.history_len("a"), 0);
}

#[test]
fn private_events_reach_no_anonymous_stream() {
    // Keys in the settings alone: they allow private events, and the listener of these tests needs
    // no token.
    let node = Node::with(|settings| {
        settings.jwt_keys = Some(fantail::settings::KeySource::Secret("secret".into()));
    });
    let mut stream = node.subscribe("/events/a");
    let answer = node.post("/publish/a?private=true", "text/plain", "secret");
    assert_eq!(answer.json()["subscribers"], 0);
    node.publish("a", "open");
    assert_eq!(stream.take_data(1), ["open"]);
}

#[test]
fn other_types_are_refused() {
    let node = Node::start();
    for kind in ["text/plain", "application/json; charset=utf-16", ""] {
        let answer = node.post("/publish", kind, r#"{"topic":"a","data":1}"#);
        assert_eq!(answer.status, 415, "{kind}");
        assert!(answer.head.field("accept-post").is_some());
    }
    let fields = [("Content-Encoding", "gzip")];
    let answer = request(node.address, "POST", "/publish/a", &fields, b"x");
    assert_eq!(answer.status, 415);
    assert_eq!(answer.head.field("accept-encoding"), Some("identity"));
}

#[test]
fn ndjson_is_published_as_it_comes() {
    let node = Node::start();
    let mut stream = node.subscribe("/events/a");
    let mut connection = node.connect();
    connection.send(
        format!("POST /publish HTTP/1.1\r\nHost: a\r\nContent-Type: {NDJSON}\r\nTransfer-Encoding: chunked\r\n\r\n")
            .as_bytes(),
    );
    for round in 0..3 {
        let line = format!("{{\"topic\":\"a\",\"data\":\"{round}\"}}\n\r\n");
        connection.send(format!("{:x}\r\n{line}\r\n", line.len()).as_bytes());
        // The call goes on, and its event has arrived.
        assert_eq!(stream.take_data(1), [round.to_string()]);
    }
    let last = r#"{"topic":"a","data":"end"}"#;
    connection.send(format!("{:x}\r\n{last}\r\n0\r\n\r\n", last.len()).as_bytes());
    let answer = connection.response("POST");
    assert_eq!(
        (answer.status, answer.body.as_str()),
        (200, "{\"accepted\":4}\n")
    );
    assert_eq!(stream.take_data(1), ["end"]);
}

#[test]
fn ndjson_stops_at_the_bad_line() {
    let node = Node::with(|settings| {
        settings.publish_batch_max = 2;
        settings.publish_body_bytes_max = 64;
    });
    let good = "{\"topic\":\"a\",\"data\":1}\n";
    for (bad, status, accepted) in [
        ("{\"topic\":\"a\"}\n", 400, 5),
        ("[]\n", 400, 5),
        ("{\"topic\":\"a\",\"data\":1,\"id\":\"\"}\n", 400, 5),
        (
            &format!("{{\"topic\":\"a\",\"data\":\"{}\"}}", "x".repeat(64)),
            413,
            5,
        ),
    ] {
        let body = format!("{}{bad}{good}", good.repeat(5));
        let answer = node.post("/publish", NDJSON, &body);
        assert_eq!(answer.status, status, "{bad}");
        let problem = answer.json();
        assert_eq!(
            (&problem["accepted"], &problem["line"]),
            (&accepted.into(), &6.into())
        );
    }
    assert_eq!(node.hub.history_len("a"), 20);
    let answer = node.post("/publish", NDJSON, &good.repeat(1_000));
    assert_eq!(answer.body, "{\"accepted\":1000}\n");
    assert_eq!(node.post("/publish", NDJSON, "").body, "{\"accepted\":0}\n");
}

#[test]
fn bodies_are_bounded_at_the_byte() {
    let node = Node::with(|settings| {
        settings.publish_body_bytes_max = 1_000;
        settings.publish_batch_max = 2;
    });
    assert_eq!(
        node.post("/publish/a", "text/plain", &"x".repeat(1_000))
            .status,
        200
    );
    let large = node.post("/publish/a", "text/plain", &"x".repeat(1_001));
    assert_eq!(large.status, 413);
    assert!(large.body.contains("publish_body_bytes_max"));
    // Chunks announce no length.
    let mut connection = node.connect();
    connection.send(b"POST /publish/a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    for _ in 0..3 {
        connection.send(format!("190\r\n{}\r\n", "x".repeat(400)).as_bytes());
    }
    assert_eq!(connection.response("POST").status, 413);
    let three = [r#"{"topic":"a","data":1}"#; 3].join(",");
    let many = node.post("/publish", JSON, &format!("[{three}]"));
    assert_eq!(many.status, 413);
    assert!(many.body.contains("publish_batch_max"));
    assert_eq!(node.hub.history_len("a"), 1);
}

#[test]
fn data_is_bounded_by_its_own_setting() {
    let node = Node::with(|settings| settings.event_limits.data_bytes_max = 10);
    assert_eq!(
        node.post("/publish/a", "text/plain", &"x".repeat(10))
            .status,
        200
    );
    let large = node.post("/publish/a", "text/plain", &"x".repeat(11));
    assert_eq!(large.status, 413);
    assert!(large.body.contains("data_bytes_max"));
}

#[test]
fn expect_100_continue_is_honoured() {
    let node = Node::with(|settings| settings.publish_body_bytes_max = 10);
    let mut connection = node.connect();
    let head = |length: usize| {
        format!(
            "POST /publish/a HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: {length}\r\n\r\n"
        )
    };
    connection.send(head(5).as_bytes());
    let interim = connection.rest().expect("an interim answer");
    assert_eq!(interim, b"HTTP/1.1 100 Continue\r\n\r\n");
    connection.send(b"hello");
    assert_eq!(connection.response("POST").status, 200);
    // A body that is too large is refused before it is sent.
    connection.send(head(11).as_bytes());
    assert_eq!(connection.response("POST").status, 413);
}

#[test]
fn an_answer_survives_a_body_that_nobody_reads() {
    let node = Node::start();
    let mut connection = node.connect();
    let length = 16 << 20;
    let head = format!("POST /publish/a HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n");
    connection.send(head.as_bytes());
    // More than the socket buffers hold would block; this much the node has to swallow.
    connection.send(&vec![b'x'; 512 << 10]);
    assert_eq!(connection.response("POST").status, 413);
}

#[test]
fn a_large_body_and_a_half_closed_publisher_are_fine() {
    let node = Node::with(|settings| settings.event_limits.data_bytes_max = 1 << 20);
    let mut stream = node.subscribe("/events/a");
    let data = "0123456789".repeat(100_000);
    let mut connection = node.connect();
    let head = format!(
        "POST /publish/a HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n",
        data.len()
    );
    connection.send(head.as_bytes());
    connection.send(data.as_bytes());
    connection.socket().shutdown(Shutdown::Write).expect("open");
    assert_eq!(connection.response("POST").status, 200);
    assert_eq!(stream.take_data(1), [data]);
    assert!(connection.at_end());
    node.wait_for_connections(0);
}

#[test]
fn json_answers_end_their_line() {
    let node = Node::start();
    let good = r#"{"topic":"a","data":1}"#;
    for answer in [
        node.post("/publish", JSON, good),
        node.post("/publish", JSON, &format!("[{good}]")),
        node.post("/publish", NDJSON, good),
        node.post("/publish/a", "text/plain", "x"),
        node.post("/publish", JSON, "x"),
        node.get("/topics"),
        node.get("/topics/a"),
        node.get("/nowhere"),
        node.get("/events"),
        request(node.address, "PUT", "/publish", &[], b""),
    ] {
        assert!(
            answer.body.ends_with("}\n") || answer.body.ends_with("]\n"),
            "{answer:?}"
        );
        answer.json();
    }
}

#[test]
fn a_bad_line_has_one_number() {
    let node = Node::start();
    let good = r#"{"topic":"a","data":1}"#;
    for bad in [
        r#"{"topic":"a","dada":1}"#,
        r#"{"topic":"a","data":"#,
        "[]",
        r#"{"topic":7,"data":1}"#,
    ] {
        let answer = node
            .post("/publish", NDJSON, &format!("{good}\n\n{bad}\n"))
            .json();
        assert_eq!(answer["line"], 3, "{answer}");
        let detail = answer["detail"].as_str().expect("a sentence");
        assert_eq!(detail.matches("line").count(), 1, "{detail}");
        assert!(
            detail.starts_with("line 3: ") && detail.contains("column"),
            "{detail}"
        );
        assert!(!detail.contains("column 0"), "{detail}");
        assert!(
            detail.ends_with("(1 event before it was published)"),
            "{detail}"
        );
    }
}

#[test]
fn a_topic_that_is_written_like_a_pattern_is_warned_of() {
    let node = Node::start();
    let mut all = node.subscribe("/events?topic=*");
    let warned = |answer: &serde_json::Value| answer["warning"].as_str().map(str::to_owned);
    let event = |topic: &str| format!(r#"{{"topic":"{topic}","data":"x"}}"#);
    for topic in ["news/**", "news/*", "books/{id}", "*"] {
        let told = [
            node.post("/publish", JSON, &event(topic)).json(),
            node.post("/publish", JSON, &format!("[{}]", event(topic)))
                .json()[0]
                .clone(),
            node.post("/publish", NDJSON, &event(topic)).json(),
            node.post(&format!("/publish/{topic}"), "text/plain", "x")
                .json(),
        ];
        for answer in &told {
            let warning = warned(answer).unwrap_or_else(|| panic!("no warning: {answer}"));
            assert!(warning.contains(topic), "{warning}");
        }
        // Legal all the same.
        assert_eq!(all.take_data(4), ["x"; 4]);
    }
    let plain = node.post("/publish", JSON, &event("news")).json();
    assert_eq!(warned(&plain), None);
}

#[test]
fn a_body_in_another_character_set_is_never_taken_for_utf_8() {
    let node = Node::start();
    let event = r#"{"topic":"a","data":"x"}"#;
    for charset in [
        "utf8",
        "UTF-8",
        "\"utf-8\"",
        "unicode-1-1-utf-8",
        "us-ascii",
        "ASCII",
    ] {
        for (target, kind, body) in [
            ("/publish", JSON, event),
            ("/publish", NDJSON, event),
            ("/publish/a", "text/plain", "x"),
        ] {
            let answer = node.post(target, &format!("{kind} ; x=y; Charset={charset}"), body);
            assert_eq!(answer.status, 200, "{kind} {charset}: {answer:?}");
        }
    }
    let taken = node.hub.history_len("a");
    for charset in [
        "utf-16",
        "utf-16le",
        "latin1",
        "windows-1252",
        "x",
        "utf-8;charset=utf-16",
    ] {
        for (target, kind) in [
            ("/publish", JSON),
            ("/publish", NDJSON),
            ("/publish/a", "text/plain"),
            ("/publish/a", JSON),
        ] {
            let answer = node.post(target, &format!("{kind}; charset={charset}"), event);
            assert_eq!(answer.status, 415, "{kind} {charset}: {answer:?}");
            assert_eq!(answer.json()["field"], "content-type");
        }
    }
    // Declared as ASCII, but it is not.
    let event = r#"{"topic":"a","data":"ä"}"#;
    for (target, kind) in [
        ("/publish", JSON),
        ("/publish", NDJSON),
        ("/publish/a", "text/plain"),
    ] {
        let answer = node.post(target, &format!("{kind}; charset=us-ascii"), event);
        assert_eq!(answer.status, 400, "{kind}: {answer:?}");
        assert_eq!(answer.json()["field"], "content-type");
    }
    let fields = [
        ("Content-Type", "text/plain"),
        ("Content-Type", "text/plain; charset=utf-16"),
    ];
    let answer = request(node.address, "POST", "/publish/a", &fields, b"x\0");
    assert_eq!(answer.status, 415);
    assert_eq!(node.hub.history_len("a"), taken);
}
