use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use fantail::settings::{KeySource, Settings};
use http_body_util::Empty;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use jsonwebtoken::{EncodingKey, Header, encode};
use serde_json::{Value, json};

use crate::node::Node;
use crate::publisher::Draft;
use crate::support::http::{Connection, Response, request};
use crate::support::sse::SseStream;

/// Secret of the tokens of these tests.
const SECRET: &str = "a secret of thirty-two bytes or more";

/// A node with keys whose public events need no token, behind proxies on this machine.
fn node(change: impl FnOnce(&mut Settings)) -> Node {
    Node::with(|settings| {
        settings.jwt_keys = Some(KeySource::Secret(SECRET.into()));
        settings.anonymous = true;
        settings.trusted_proxies = vec!["127.0.0.0/8".parse().expect("a network")];
        change(settings);
    })
}

/// The field with the token of a subscriber that may hear everything.
fn bearer(subject: &Value) -> String {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("after 1970");
    let claims = json!({
        "sub": subject,
        "exp": now.as_secs() + 600,
        "mercure": {"subscribe": ["*"]},
    });
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    let token = encode(&Header::default(), &claims, &key).expect("a token");
    format!("Bearer {token}")
}

/// Opens a stream and reads until it is primed.
fn open(node: &Node, target: &str, subject: &str, client: &str) -> SseStream {
    let bearer = bearer(&json!(subject));
    let mut fields = vec![("X-Forwarded-For", client)];
    if !subject.is_empty() {
        fields.push(("Authorization", &bearer));
    }
    let mut stream = SseStream::request(node.at.http, target, &fields);
    while stream.cursor.is_empty() {
        assert_eq!(stream.step(), Some(None), "a stream starts with its cursor");
    }
    stream
}

fn admin(node: &Node, method: &str, target: &str) -> Response {
    request(node.at.admin, method, target, &[], b"")
}

/// Subjects and clients of the streams that a query shows, sorted.
fn shown(node: &Node, query: &str) -> Vec<String> {
    let answer = admin(node, "GET", &format!("/streams?{query}"));
    assert_eq!(answer.status, 200, "{answer:?}");
    let streams = answer.json();
    let mut streams: Vec<String> = streams
        .as_array()
        .expect("a list")
        .iter()
        .map(|stream| {
            let word = |name: &str| stream[name].as_str().unwrap_or("-").to_owned();
            format!(
                "{} {} {}",
                word("subject"),
                word("client"),
                stream["topics"][0]
            )
        })
        .collect();
    streams.sort();
    streams
}

#[test]
fn streams_were_shown_without_whose_they_are() {
    let node = node(|_| {});
    let _streams = [
        open(&node, "/events/a/1", "ann", "192.0.2.1"),
        open(
            &node,
            "/events?topic=a/*&topic=c",
            "ann",
            "192.0.2.2, 127.0.0.9",
        ),
        open(&node, "/events/a/2", "bob", "2001:db8::1"),
        open(&node, "/events/a/1", "", "unknown"),
    ];
    let over_http2 = async {
        let socket = tokio::net::TcpStream::connect(node.at.http).await;
        let io = TokioIo::new(socket.expect("accepted"));
        let connected = http2::handshake(TokioExecutor::new(), io).await;
        let (mut client, connection) = connected.expect("HTTP/2");
        tokio::spawn(connection);
        let request = hyper::Request::get(format!("http://{}/events/c", node.at.http))
            .header("authorization", bearer(&json!(17)))
            .header("x-forwarded-for", "192.0.2.3")
            .body(Empty::<Bytes>::new())
            .expect("a request");
        let answer = client.send_request(request).await.expect("an answer");
        assert_eq!(answer.status(), 200);
        (client, answer)
    };
    let _over_http2 = node.runtime.block_on(over_http2);
    node.wait_for_streams(5);

    let ann1 = "ann 192.0.2.1 \"a/1\"";
    let ann2 = "ann 192.0.2.2 \"a/*\"";
    let bob = "bob 2001:db8::1 \"a/2\"";
    let nobody = "- 127.0.0.1 \"a/1\"";
    let number = "17 192.0.2.3 \"c\"";
    for (query, expected) in [
        ("limit=100", &[nobody, number, ann1, ann2, bob][..]),
        ("slowest=100", &[nobody, number, ann1, ann2, bob]),
        ("subject=ann", &[ann1, ann2]),
        ("subject=17", &[number]),
        ("subject=an", &[]),
        ("topic=a/1", &[nobody, ann1, ann2]),
        ("topic=a/*", &[nobody, ann1, ann2, bob]),
        ("topic=c", &[number, ann2]),
        ("topic=a", &[]),
        ("address=192.0.2.0/24", &[number, ann1, ann2]),
        ("address=2001:db8::1", &[bob]),
        ("address=127.0.0.1", &[nobody]),
        ("subject=ann&topic=a/1&address=192.0.2.1/32", &[ann1]),
        ("subject=bob&topic=a/1", &[]),
    ] {
        assert_eq!(shown(&node, query), expected, "{query}");
    }
    assert_eq!(shown(&node, "topic=a/*&limit=2").len(), 2);
}

#[test]
fn all_streams_of_a_subject_are_ended_and_no_other() {
    let node = node(|_| {});
    let mut bob = open(&node, "/events/t", "bob", "192.0.2.1");
    // More than one turn of a shard ends.
    let mut ann: Vec<SseStream> = (0..600)
        .map(|_| open(&node, "/events/t", "ann", "192.0.2.2"))
        .collect();
    assert_eq!(node.publisher().publish("t", "before").len(), 22);
    for query in ["", "limit=3", "subject=", "subjet=ann"] {
        let answer = admin(&node, "DELETE", &format!("/streams?{query}"));
        assert_eq!(answer.status, 400, "{query}");
    }
    let none = admin(&node, "DELETE", "/streams?subject=eve");
    assert_eq!(none.json(), json!({"ended": 0}));
    let answer = admin(&node, "DELETE", "/streams?subject=ann&topic=t");
    assert_eq!(answer.json(), json!({"ended": 600}));
    assert_eq!(node.hub.streams(), 1);
    let id = node.publisher().publish("t", "after");
    for stream in &mut ann {
        assert_eq!(stream.next().expect("what came before").data, "before");
        assert_eq!(stream.next(), None, "a proper end");
        assert!(stream.retry.is_some(), "told when to come back");
    }
    let mut back = node.resume("/events/t", &ann[0].cursor);
    assert_eq!(back.next().expect("what was missed").id, id);
    assert_eq!(bob.take_data(2), ["before", "after"]);

    let ended = admin(&node, "DELETE", "/streams?address=192.0.2.1");
    assert_eq!(ended.json(), json!({"ended": 1}));
    assert_eq!(bob.next(), None);
}

#[test]
fn five_addresses_of_one_ipv6_network_had_five_shares_of_streams() {
    let node = node(|settings| settings.max_connections_per_address = 2);
    let ask = |client: &str| {
        let mut connection = Connection::open(node.at.http);
        let text = format!(
            "GET /events/t HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-For: {client}\r\n\r\n"
        );
        connection.send(text.as_bytes());
        let status = connection.head().status;
        (status, connection)
    };
    let mut held = Vec::new();
    let statuses: Vec<u16> = (1..=5)
        .map(|number| {
            let (status, connection) = ask(&format!("2001:db8:1:2::{number}"));
            held.push(connection);
            status
        })
        .collect();
    assert_eq!(statuses, [200, 200, 429, 429, 429]);
    // Another network, another client; the proxy itself has no share that could be used up.
    for client in [
        "2001:db8:1:3::1",
        "192.0.2.1",
        "192.0.2.1",
        "",
        "garbage",
        "127.0.0.7",
    ] {
        let (status, connection) = ask(client);
        assert_eq!(status, 200, "{client}");
        held.push(connection);
    }
    assert_eq!(ask("::ffff:192.0.2.1").0, 429);
    let limited = admin(&node, "DELETE", "/streams?address=2001:db8:1:2::/64");
    assert_eq!(limited.json(), json!({"ended": 2}));
    assert_eq!(ask("2001:db8:1:2::6").0, 200);
}

#[test]
fn a_stranger_who_says_that_it_is_a_proxy_is_not_believed() {
    let node = node(|settings| {
        settings.trusted_proxies = vec!["192.0.2.0/24".parse().expect("a network")];
        settings.max_connections_per_address = 2;
    });
    let _streams = [
        open(&node, "/events/t", "", "198.51.100.1"),
        open(&node, "/events/t", "", "198.51.100.2, 192.0.2.1"),
    ];
    assert_eq!(
        shown(&node, "limit=9"),
        ["- 127.0.0.1 \"t\"", "- 127.0.0.1 \"t\""]
    );
    let fields = [("X-Forwarded-For", "198.51.100.3")];
    let third = request(node.at.http, "GET", "/events/t", &fields, b"");
    assert_eq!(third.status, 503, "a connection too many");
}

/// The gap that a stream begins with, as (from, to, reason).
fn gap(stream: &mut SseStream) -> (String, String, String) {
    let event = stream.next().expect("a gap");
    assert_eq!(event.event, "gap", "{event:?}");
    let told: Value = serde_json::from_str(&event.data).expect("JSON");
    let word = |name: &str| told[name].as_str().expect("a word").to_owned();
    (word("from"), word("to"), word("reason"))
}

#[test]
fn who_comes_back_for_a_history_that_was_erased_is_told_a_gap() {
    let node = node(|_| {});
    let mut live = open(&node, "/events/t/1", "", "");
    let mut publisher = node.publisher();
    let mut ids = Vec::new();
    // Read along, or the stream falls out of the thousand that are kept, and is ended.
    for portion in 0..5 {
        let numbers = (0..500).map(|number| (portion * 500 + number).to_string());
        ids.extend(publisher.publish_all("t/1", numbers));
        let last = live.take(500).pop().map(|event| event.id);
        assert_eq!(last.as_ref(), ids.last());
    }
    publisher.send(&Draft {
        topics: &["t/1", "other"],
        data: "on both",
        ..Draft::default()
    });
    let both = publisher.id();
    publisher.send(&Draft {
        topics: &["p"],
        data: "private",
        private: true,
        ..Draft::default()
    });
    let private = publisher.id();
    // A thousand is kept.
    let erased = admin(&node, "DELETE", "/topics/t%2F1");
    assert_eq!(erased.json(), json!({"erased": 1_000}));
    assert_eq!(
        admin(&node, "DELETE", "/topics/p").json(),
        json!({"erased": 1})
    );
    for nothing in ["/topics/t%2F1", "/topics/never", "/topics/t/*"] {
        assert_eq!(admin(&node, "DELETE", nothing).json(), json!({"erased": 0}));
    }
    assert_eq!(node.hub.history_len("t/1"), 0);
    // An event with another topic is kept there.
    assert_eq!(node.hub.history_len("other"), 1);

    let evicted = |from: &str, to: &str| (from.to_owned(), to.to_owned(), "evicted".to_owned());
    let mut back = Vec::new();
    for target in ["/events/t/1", "/events/t/*", "/events?topic=t/1&topic=x"] {
        let mut stream = node.resume(target, &ids[2_000]);
        assert_eq!(gap(&mut stream), evicted(&ids[2_000], &both), "{target}");
        // A client that has seen all of it has missed nothing.
        back.extend([stream, node.resume(target, &private)]);
    }
    let next = publisher.publish("t/1", "next");
    for stream in &mut back {
        assert_eq!(stream.next().expect("live").id, next);
    }
    // Private events are reported only to clients that could have heard them.
    let bearer = bearer(&json!("ann"));
    let granted = [("Authorization", &*bearer), ("Last-Event-ID", &*both)];
    let mut granted = SseStream::request(node.at.http, "/events/p", &granted);
    assert_eq!(gap(&mut granted), evicted(&both, &private));
    let mut anonymous = node.resume("/events/p", &both);
    let id = publisher.publish("p", "public");
    assert_eq!(anonymous.next().expect("no gap").id, id);
    assert_eq!(live.next().expect("live").id, both);
}

/// Text after a question mark is not part of the path: a wrong topic was erased.
#[test]
fn a_question_mark_that_was_not_escaped_erases_no_other_topic() {
    let node = node(|_| {});
    let mut publisher = node.publisher();
    for topic in ["page", "page?n=1"] {
        publisher.publish(topic, "kept");
    }
    let answer = admin(&node, "DELETE", "/topics/page?n=1");
    assert_eq!(answer.status, 400, "{answer:?}");
    assert_eq!(node.hub.history_len("page"), 1);
    let answer = admin(&node, "DELETE", "/topics/page%3Fn=1");
    assert_eq!(answer.json(), json!({"erased": 1}));
    assert_eq!(node.hub.history_len("page"), 1);
}
