//! What moves: everything that a client could notice.

use std::time::Duration;

use jsonwebtoken::{EncodingKey, Header, encode};
use serde_json::{Value, json};

use crate::node::{Publisher, Upgraded, numbers, publish, reader};
use crate::support::http::{self, Connection};
use crate::support::resp;
use crate::support::sse::SseStream;
use crate::support::wait_until;

const SECRET: &str = "a secret of at least thirty-two bytes";

/// The longest wait of a publisher that is accepted, on a machine that does much else.
const WAIT_MAX: Duration = Duration::from_secs(5);

fn token(claims: &Value) -> String {
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    encode(&Header::default(), claims, &key).expect("a token")
}

#[test]
fn ten_upgrades_lose_and_double_no_event_and_close_no_stream() {
    let upgraded = Upgraded::start(&[]);
    let node = &upgraded.node;
    let streams: Vec<_> = (0..20)
        .map(|number| {
            let topic = ["a", "b", "*"][number % 3];
            (
                number % 3,
                SseStream::open(node.http, &format!("/events/{topic}")),
            )
        })
        .collect();
    let publishers = [Publisher::resp(node, "a"), Publisher::http(node, "b")];
    for round in 1..=10 {
        let before = publishers.each_ref().map(Publisher::published);
        let said = upgraded.upgrade();
        assert!(said.contains("20 streams"), "{said}");
        assert_eq!(upgraded.status()["last"]["number"], round);
        wait_until("publishers go on", || {
            let now = publishers.each_ref().map(Publisher::published);
            now.iter().zip(before).all(|(now, before)| *now > before)
        });
    }
    assert_eq!(upgraded.node.streams().len(), 20);
    let [(of_a, wait_of_a), (of_b, wait_of_b)] = publishers.map(Publisher::end);
    assert!(
        wait_of_a < WAIT_MAX && wait_of_b < WAIT_MAX,
        "{wait_of_a:?} {wait_of_b:?}"
    );
    let readers: Vec<_> = streams
        .into_iter()
        .map(|(kind, stream)| (kind, reader(stream, [of_a, of_b, of_a + of_b][kind])))
        .collect();
    for (kind, reader) in readers {
        let data = reader.join().expect("in order and without a gap");
        match kind {
            0 => assert_eq!(data, numbers(of_a)),
            1 => assert_eq!(data, numbers(of_b)),
            // Both publishers' events, each in its order.
            _ => {
                let mut both = [numbers(of_a), numbers(of_b)].concat();
                let mut data = data;
                both.sort_unstable();
                data.sort_unstable();
                assert_eq!(data, both);
            }
        }
    }
}

#[test]
fn cursors_from_before_an_upgrade_and_own_ids_are_places_after_it() {
    let upgraded = Upgraded::start(&[]);
    let node = &upgraded.node;
    let mut stream = SseStream::open(node.http, "/events/t");
    publish(node, "t", "one");
    assert_eq!(stream.take_data(1), ["one"]);
    let cursor = stream.cursor.clone();
    publish(node, "t", "two");
    upgraded.upgrade();
    publish(node, "t", "three");
    let mut resumed = SseStream::resume(node.http, "/events/t", &cursor);
    assert_eq!(resumed.take_data(2), ["two", "three"]);
    assert_eq!(stream.take_data(2), ["two", "three"]);
}

/// A slow reader has a part of an event, and the rest comes from the next program.
#[test]
fn the_rest_of_an_event_that_was_cut_comes_after_the_upgrade() {
    let upgraded = Upgraded::start(&["--send-buffer-bytes", "4608"]);
    let node = &upgraded.node;
    let socket = http::narrow_socket(node.http);
    let mut connection = Connection::over(socket);
    let request = format!("GET /events/t HTTP/1.1\r\nHost: {}\r\n\r\n", node.http);
    connection.send(request.as_bytes());
    node.wait_for_streams(1);
    let events: Vec<String> = (0..40)
        .map(|n| format!("{n} {}", "x".repeat(20_000)))
        .collect();
    for event in &events[..20] {
        publish(node, "t", event);
    }
    for round in 0..3 {
        upgraded.upgrade();
        for event in &events[20 + round..=20 + round] {
            publish(node, "t", event);
        }
    }
    for event in &events[23..] {
        publish(node, "t", event);
    }
    let mut stream = SseStream::read(connection);
    assert_eq!(stream.take_data(40), events);
}

/// Topics, heartbeats that are events, and an event that was cut in its topic or behind it.
#[test]
fn the_form_of_a_stream_is_the_same_after_an_upgrade() {
    let flags = ["--send-buffer-bytes", "4608", "--heartbeat-interval", "1s"];
    let upgraded = Upgraded::start(&flags);
    let node = &upgraded.node;
    let targets = ["/events?topic=a/*&topic=b", "/events/b"].map(|target| {
        let mark = if target.contains('?') { '&' } else { '?' };
        format!("{target}{mark}with=topic&heartbeat=event")
    });
    let open = |target: &String| {
        let mut connection = Connection::over(http::narrow_socket(node.http));
        let request = format!("GET {target} HTTP/1.1\r\nHost: {}\r\n\r\n", node.http);
        connection.send(request.as_bytes());
        connection
    };
    let slow = targets.each_ref().map(open);
    let mut quick = SseStream::open(node.http, &targets[1]);
    node.wait_for_streams(3);
    let topics = ["a/1", "b", "a/2", "b"];
    let data = |number: usize| format!("{number} {}", "x".repeat(3_000 + number));
    for number in 0..40 {
        publish(node, topics[number % 4], &data(number));
        if number % 10 == 9 {
            upgraded.upgrade();
        }
    }
    let of = |topic: &str| {
        let numbers = (0..40).filter(move |number| topic.is_empty() || topics[number % 4] == topic);
        let told = numbers.map(|number| (topics[number % 4].to_owned(), data(number)));
        told.collect::<Vec<_>>()
    };
    let told = |stream: &mut SseStream, count: usize| {
        let mut told = Vec::new();
        while told.len() < count {
            let event = stream.next().expect("an open stream");
            match &*event.event {
                "heartbeat" => assert_eq!(stream.topics, [""; 0]),
                _ => told.push((stream.topics.join(", "), event.data)),
            }
        }
        told
    };
    assert_eq!(told(&mut quick, 20), of("b"));
    let [mut both, mut one] = slow.map(SseStream::read);
    assert_eq!(told(&mut both, 40), of(""));
    assert_eq!(told(&mut one, 20), of("b"));
    // Nothing is published any more: what comes is heard all the same.
    for stream in [&mut quick, &mut both, &mut one] {
        assert_eq!(stream.next().expect("a heartbeat").event, "heartbeat");
    }
}

#[test]
fn private_events_and_the_end_of_a_token_are_the_same_after_an_upgrade() {
    let upgraded = Upgraded::start(&["--jwt-secret", SECRET]);
    let node = &upgraded.node;
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let ends = now.expect("a clock").as_secs() + 6;
    let hears = token(&json!({ "mercure": { "subscribe": ["*"] } }));
    let hears_less = token(&json!({ "mercure": { "subscribe": ["other"] } }));
    let until = token(&json!({ "exp": ends, "mercure": { "subscribe": ["*"] } }));
    let open = |token: &str| {
        let bearer = format!("Bearer {token}");
        let mut stream = SseStream::request(node.http, "/events/t", &[("Authorization", &bearer)]);
        while stream.cursor.is_empty() {
            assert_eq!(stream.step(), Some(None));
        }
        stream
    };
    let (mut all, mut public, mut ending) = (open(&hears), open(&hears_less), open(&until));
    upgraded.upgrade();
    let bearer = format!(
        "Bearer {}",
        token(&json!({ "mercure": { "publish": ["*"] } }))
    );
    let publish = |body: &str| {
        let fields = [
            ("Authorization", &*bearer),
            ("Content-Type", "application/json"),
        ];
        let answer = http::request(node.http, "POST", "/publish", &fields, body.as_bytes());
        assert_eq!(answer.status, 200, "{answer:?}");
    };
    publish(r#"{"topic":"t","data":"secret","private":true}"#);
    publish(r#"{"topic":"t","data":"for all"}"#);
    assert_eq!(all.take_data(2), ["secret", "for all"]);
    assert_eq!(public.take_data(1), ["for all"]);
    assert_eq!(ending.take_data(2), ["secret", "for all"]);
    assert_eq!(ending.next(), None, "its token has expired");
}

#[test]
fn announced_subscriptions_are_listed_and_their_ends_are_announced_after_an_upgrade() {
    let upgraded = Upgraded::start(&[
        "--anonymous",
        "--mercure-subscriptions",
        "--jwt-secret",
        SECRET,
    ]);
    let node = &upgraded.node;
    let all = "/.well-known/mercure/subscriptions/{topic}/{subscriber}";
    let bearer = format!(
        "Bearer {}",
        token(&json!({ "mercure": { "subscribe": [all, "/.well-known/mercure/subscriptions"] } }))
    );
    let fields = [("Authorization", &*bearer)];
    let target = "/events?topic=/.well-known/mercure/subscriptions/%7Btopic%7D/%7Bsubscriber%7D";
    let mut watcher = SseStream::request(node.http, target, &fields);
    while watcher.cursor.is_empty() {
        assert_eq!(watcher.step(), Some(None));
    }
    let stream = SseStream::open(node.http, "/.well-known/mercure?topic=t");
    let active = |watcher: &mut SseStream| {
        let event = watcher.take(1).remove(0);
        let event: Value = serde_json::from_str(&event.data).expect("JSON");
        event["active"].as_bool().expect("a state")
    };
    assert!(active(&mut watcher));
    upgraded.upgrade();
    let list = http::request(
        node.http,
        "GET",
        "/.well-known/mercure/subscriptions",
        &fields,
        b"",
    );
    let list = list.json();
    assert_eq!(
        list["subscriptions"].as_array().map(Vec::len),
        Some(1),
        "{list}"
    );
    drop(stream);
    assert!(!active(&mut watcher), "its end");
}

/// A connection between two requests, in the middle of a head, and one that waits in the kernel.
#[test]
fn connections_that_wait_for_their_next_request_are_served_by_the_next_program() {
    let upgraded = Upgraded::start(&["--ingest-password", "hush"]);
    let node = &upgraded.node;
    let mut idle = Connection::open(node.http);
    let request = format!("GET /healthz HTTP/1.1\r\nHost: {}\r\n\r\n", node.http);
    idle.send(request.as_bytes());
    assert_eq!(idle.response("GET").status, 200);
    let mut half = Connection::open(node.http);
    half.send(&request.as_bytes()[..20]);
    let mut publisher = resp::Client::open(node.ingest);
    publisher.send(&["AUTH", "hush"]);
    assert_eq!(publisher.line(), "+OK");
    upgraded.upgrade();
    idle.send(request.as_bytes());
    assert_eq!(idle.response("GET").status, 200);
    half.send(&request.as_bytes()[20..]);
    assert_eq!(half.response("GET").status, 200);
    assert_eq!(publisher.publish("t", "x"), 0);
}

#[test]
fn the_totals_of_the_metrics_go_on() {
    let upgraded = Upgraded::start(&[]);
    let node = &upgraded.node;
    let mut stream = SseStream::open(node.http, "/events/t");
    publish(node, "t", "one");
    assert_eq!(stream.take_data(1), ["one"]);
    let total = |name: &str| -> u64 {
        let page = node.admin_get("/metrics").body;
        let lines = page.lines().filter(|line| line.starts_with(name));
        let values = lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
        values.sum::<f64>() as u64
    };
    upgraded.upgrade();
    assert_eq!(total("fantail_events_in_total"), 1);
    assert_eq!(total("fantail_deliveries_total"), 1);
    assert_eq!(total("fantail_streams_opened_total"), 1);
    publish(node, "t", "two");
    assert_eq!(stream.take_data(1), ["two"]);
    assert_eq!(total("fantail_events_in_total"), 2);
}

/// The process that counts them is not the one that had them.
#[test]
fn connections_that_an_upgrade_ended_were_counted_nowhere() {
    let upgraded = Upgraded::start(&[]);
    let node = &upgraded.node;
    let mut transaction = resp::Client::open(node.ingest);
    transaction.send(&["MULTI"]);
    assert_eq!(transaction.line(), "+OK");
    let mut uploads: Vec<_> = (0..2).map(|_| Connection::open(node.http)).collect();
    for upload in &mut uploads {
        upload.send(
            b"POST /publish/t HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain\r\nContent-Length: 9\r\n\r\nhalf",
        );
    }
    let left = |listener: &str| {
        let page = node.admin_get("/metrics").body;
        let name = format!("fantail_connections_left_total{{listener=\"{listener}\"}} ");
        let value = page.lines().find_map(|line| line.strip_prefix(&name));
        value.map(str::to_owned)
    };
    for round in ["first", "second"] {
        upgraded.upgrade();
        let all = ["public", "ingest", "admin"].map(left);
        assert_eq!(all, ["2", "1", "0"].map(|n| Some(n.to_owned())), "{round}");
    }
}

/// A publisher whose connection ended with the former program asks the next one.
#[test]
fn a_repeat_after_an_upgrade_gets_the_receipt_of_the_former_program() {
    let upgraded = Upgraded::start(&[]);
    let node = &upgraded.node;
    let post = |data: &str| {
        let fields = [("Content-Type", "text/plain"), ("Idempotency-Key", "k")];
        http::request(node.http, "POST", "/publish/t", &fields, data.as_bytes())
    };
    let first = post("once");
    for _ in 0..2 {
        upgraded.upgrade();
        let again = post("once");
        assert_eq!(again.head.field("idempotency-replayed"), Some("true"));
        assert_eq!(again.body, first.body);
        assert_eq!(post("other").status, 422);
    }
    let mut stream = SseStream::open(node.http, "/events/t?last=5");
    publish(node, "t", "last");
    assert_eq!(stream.take_data(2), ["once", "last"]);
}
