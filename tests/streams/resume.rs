use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use tokio::io::AsyncReadExt;

use crate::node::{Node, with_private_events};
use crate::publisher::{Draft, Publisher};
use crate::raw::{Raw, Version};
use crate::source::Wire;
use crate::support::http2;
use crate::support::sse::SseEvent;
use crate::support::wait_until;

/// Data of the last event; once it has arrived, all have.
const LAST: &str = "last";

/// A client's state when its stream is cut.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Seen {
    events: Vec<SseEvent>,
    /// Its last event id; empty while it has none.
    cursor: String,
}

impl Seen {
    fn whole(&self) -> bool {
        self.events.last().is_some_and(|event| event.data == LAST)
    }

    fn of(wire: &mut Wire, bytes: &[u8]) -> Self {
        let mut seen = Self::default();
        seen.events = wire.feed(bytes, &mut seen.cursor);
        seen
    }
}

/// Checks that a client that was cut at `seen` hears the rest of `all`, and nothing else, when it
/// resumes.
fn check_rest(seen: &Seen, all: &[SseEvent], rest: &[SseEvent], at: &str) {
    let (before, missing) = all.split_at(seen.events.len());
    assert_eq!(seen.events, before, "before the cut {at}");
    assert_eq!(rest, missing, "after the cut {at}, from {:?}", seen.cursor);
}

/// The forms of a stream, as parameters. A line with the topic is a part of its own.
const FORMS: [&str; 2] = ["", "&with=topic"];

/// Several topics with publishers' own ids, names and lines, of which the first ten events have
/// left the history; the target of a stream that saw only two of those.
fn lively_history(node: &Node) -> String {
    let mut publisher = node.publisher();
    let mut ids = Vec::new();
    for number in 0..HISTORY + 10 {
        let own = format!("own {number}");
        publisher.send(&Draft {
            topics: &["a"],
            data: &format!("a{number}\nsecond line"),
            event: (number % 4 == 1).then_some("named"),
            id: (number % 3 == 0 && number > 2).then_some(&own),
            private: number == HISTORY,
            ..Draft::default()
        });
        ids.push(publisher.id());
    }
    format!("/events?topic=a&topic=b&topic=c&last_event_id={}", ids[1])
}

/// Events that are kept of a topic.
const HISTORY: usize = 12;

/// Events that a stream hears while it is open.
fn live_events(publisher: &mut Publisher) {
    for (number, topics) in [&["b"][..], &["b", "c"], &["x", "c"], &["c", "b"]]
        .into_iter()
        .enumerate()
    {
        let own = format!("live {number}");
        publisher.send(&Draft {
            topics,
            data: &format!("live {number}"),
            id: (number % 2 == 0).then_some(&own),
            ..Draft::default()
        });
        publisher.id();
    }
    // An event without listeners: heartbeats move past it.
    publisher.publish("elsewhere", "x");
}

/// A stream that was recorded over every protocol, with a gap, replay, live events and a heartbeat,
/// cut after every byte of it. Cuts with the same cursor are one client to the node, so each cursor
/// resumes once.
#[test]
fn every_cut_of_a_live_stream_is_healed() {
    for form in FORMS {
        cut_a_live_stream(form);
    }
}

fn cut_a_live_stream(form: &str) {
    let node = Node::with(|settings| {
        with_private_events(settings);
        settings.history_events = HISTORY;
        settings.heartbeat_interval = std::time::Duration::from_secs(1);
        settings.retry = Some(std::time::Duration::from_millis(700));
    });
    let target = lively_history(&node) + form;
    let mut raws = [Version::Http11, Version::Http10]
        .map(|version| Raw::open(node.at.http, version, &target, ""));
    let (client, body) = node.runtime.block_on(async {
        let mut client = http2::connect(http2::socket(node.at.http).await).await;
        let body = get_h2(&mut client, &target, "").await;
        (client, body)
    });
    node.wait_for_streams(3);
    let mut publisher = node.publisher();
    live_events(&mut publisher);
    // Twice the number of streams: none is a whole heartbeat behind the others.
    let beaten = node.count(|shard| &shard.heartbeats);
    wait_until("every stream has a heartbeat", || {
        node.count(|shard| &shard.heartbeats) >= beaten + 6
    });
    publisher.publish("b", LAST);

    let mut recorded: Vec<(String, Vec<u8>, Wire)> = raws
        .iter_mut()
        .map(|raw| {
            raw.read_to(LAST);
            let version = String::from_utf8_lossy(&raw.bytes[.."HTTP/1.1".len()]);
            (version.into_owned(), raw.bytes.clone(), Wire::http())
        })
        .collect();
    let text = node.runtime.block_on(read_h2_to_last(body, None));
    recorded.push(("HTTP/2".to_owned(), text, Wire::text()));
    let mut wire = recorded[0].2.clone();
    let all = Seen::of(&mut wire, &recorded[0].1).events;
    // Two events have two topics that the stream hears.
    let told = if form.is_empty() {
        0
    } else {
        all.len() - 1 + 2
    };
    assert_eq!(wire.topics.len(), told, "of all but the gap");
    assert_eq!(all.first().map(|event| event.event.as_str()), Some("gap"));
    assert_eq!(all.len(), 1 + (HISTORY - 1) + 4 + 1, "{all:#?}");

    for (name, bytes, wire) in recorded {
        let mut at: HashMap<String, Seen> = HashMap::new();
        for cut in 0..=bytes.len() {
            let seen = Seen::of(&mut wire.clone(), &bytes[..cut]);
            let known = at
                .entry(seen.cursor.clone())
                .or_insert_with(|| seen.clone());
            assert_eq!(*known, seen, "one cursor, one client");
        }
        // Every event and the gap, the prime, the heartbeat, and the start.
        assert!(at.len() >= all.len() + 3, "{name}: {:?}", at.keys());
        for seen in at.values().filter(|seen| !seen.whole()) {
            let mut again = Raw::open(node.at.http, Version::Http11, &target, &seen.cursor);
            let rest = again.read_to(LAST);
            check_rest(seen, &all, &rest, &name);
        }
    }
    drop(client);
}

/// If one topic has lost events and another kept older ones, the gap is first and its end is ahead
/// of events that still follow. A client cut among those hears of the gap again, and of no event
/// twice.
#[test]
fn a_cut_among_events_older_than_a_gaps_end_repeats_the_gap_only() {
    let node = Node::with(|settings| {
        with_private_events(settings);
        settings.history_events = HISTORY;
    });
    let mut publisher = node.publisher();
    let start = publisher.publish("many", "seen");
    let mut lost = String::new();
    for number in 0..3 * HISTORY {
        if number % 4 == 0 {
            publisher.publish("few", &format!("few {number}"));
        }
        let id = publisher.publish("many", &format!("many {number}"));
        if number == 2 * HISTORY - 1 {
            lost = id;
        }
    }
    publisher.publish("few", LAST);
    let target = format!("/events?topic=many&topic=few&last_event_id={start}");
    let mut whole = Raw::open(node.at.http, Version::Http11, &target, "");
    let all = whole.read_to(LAST);
    let id = |text: &str| node.hub.mark().place_of(text).expect("an id");
    let told = serde_json::json!({ "from": start, "to": lost, "reason": "evicted" });
    assert_eq!(all[0].data, told.to_string());
    assert!(
        id(&all[0].id) < id(&lost) && all[1].data == "few 0",
        "{all:#?}"
    );

    let is_gap = |event: &SseEvent| event.event == "gap";
    let mut cursors = HashSet::new();
    for cut in 0..whole.bytes.len() {
        let seen = Seen::of(&mut Wire::http(), &whole.bytes[..cut]);
        if seen.whole() || !cursors.insert(seen.cursor.clone()) {
            continue;
        }
        let mut again = Raw::open(node.at.http, Version::Http11, &target, &seen.cursor);
        let rest = again.read_to(LAST);
        let (gaps, rest) = rest.split_at(rest.iter().take_while(|event| is_gap(event)).count());
        let missing = &all[seen.events.len().max(1)..];
        assert_eq!(rest, missing, "from {:?}", seen.cursor);
        let from = if seen.cursor.is_empty() {
            &start
        } else {
            &seen.cursor
        };
        match gaps {
            [] => assert!(id(from) >= id(&lost), "{from} is before the gap's end"),
            [gap] => {
                let told = serde_json::json!({ "from": from, "to": lost, "reason": "evicted" });
                assert_eq!(gap.data, told.to_string());
            }
            _ => panic!("{gaps:?}"),
        }
    }
}

/// The same for connections that are really cut, after each number of bytes that they can carry.
#[test]
fn a_connection_cut_after_any_byte_loses_and_doubles_nothing() {
    let node = Node::with(|settings| {
        with_private_events(settings);
        settings.history_events = HISTORY;
    });
    let target = lively_history(&node);
    node.publisher().publish("b", LAST);
    let versions = [Version::Http11, Version::Http10];
    for (form, version) in FORMS
        .iter()
        .flat_map(|form| versions.map(|one| (form, one)))
    {
        let target = format!("{target}{form}");
        let mut whole = Raw::open(node.at.http, version, &target, "");
        let all = whole.read_to(LAST);
        assert_eq!(all.len(), 1 + (HISTORY - 1) + 1, "{all:#?}");
        for cut in 0..=whole.bytes.len() {
            let mut stream = Raw::open(node.at.http, version, &target, "");
            let seen = Seen {
                events: stream.read(cut),
                cursor: stream.cursor,
            };
            if seen.whole() {
                continue;
            }
            drop(stream.socket);
            let mut again = Raw::open(node.at.http, version, &target, &seen.cursor);
            let rest = again.read_to(LAST);
            let at = format!("after {cut} bytes of {version:?}{form}");
            check_rest(&seen, &all, &rest, &at);
        }
    }
    node.wait_for_streams(0);
}

/// And for HTTP/2, where the cut may fall into any frame of the connection.
#[test]
fn an_http2_connection_cut_after_any_byte_loses_and_doubles_nothing() {
    let node = Node::with(|settings| {
        with_private_events(settings);
        settings.history_events = HISTORY;
    });
    let target = lively_history(&node) + FORMS[1];
    node.publisher().publish("b", LAST);
    node.runtime.block_on(async {
        let mut steady = http2::connect(http2::socket(node.at.http).await).await;
        let body = get_h2(&mut steady, &target, "").await;
        let whole = read_h2_to_last(body, None).await;
        let all = Seen::of(&mut Wire::text(), &whole).events;
        for cut in 0.. {
            let bytes = read_cut_h2(node.at.http, &target, cut).await;
            let seen = Seen::of(&mut Wire::text(), &bytes);
            if seen.whole() {
                assert!(cut > whole.len() as u64, "framing costs something");
                break;
            }
            let body = get_h2(&mut steady, &target, &seen.cursor).await;
            let rest = read_h2_to_last(body, None).await;
            let rest = Seen::of(&mut Wire::text(), &rest).events;
            check_rest(&seen, &all, &rest, &format!("after {cut} bytes of HTTP/2"));
        }
        drop(steady);
    });
    node.wait_for_streams(0);
}

fn request_h2(target: &str, cursor: &str) -> hyper::Request<Full<Bytes>> {
    let mut request = hyper::Request::get(format!("http://localhost{target}"));
    if !cursor.is_empty() {
        request = request.header("last-event-id", cursor);
    }
    request.body(Full::default()).expect("a request")
}

async fn get_h2(client: &mut http2::Requests, target: &str, cursor: &str) -> hyper::body::Incoming {
    let answer = client.send_request(request_h2(target, cursor)).await;
    answer.expect("an answer").into_body()
}

/// Reads until the last event has arrived, or the connection is cut.
async fn read_h2_to_last(mut body: hyper::body::Incoming, mut cut: Option<&mut bool>) -> Vec<u8> {
    let mut bytes = Vec::new();
    let (mut wire, mut cursor) = (Wire::text(), String::new());
    loop {
        let frame = match body.frame().await {
            Some(Ok(frame)) => frame,
            ended => {
                let cut = cut.as_mut().unwrap_or_else(|| panic!("ended: {ended:?}"));
                **cut = true;
                return bytes;
            }
        };
        let data = frame.into_data().expect("data");
        bytes.extend_from_slice(&data);
        let events = wire.feed(&data, &mut cursor);
        if events.last().is_some_and(|event| event.data == LAST) {
            return bytes;
        }
    }
}

/// The events that the client of a connection hears if its stream ends after `cut` bytes from the
/// node.
async fn read_cut_h2(to: SocketAddr, target: &str, cut: u64) -> Vec<u8> {
    let (reader, writer) = http2::socket(to).await.into_split();
    let mut client = http2::connect(tokio::io::join(reader.take(cut), writer)).await;
    match client.send_request(request_h2(target, "")).await {
        Ok(answer) => read_h2_to_last(answer.into_body(), Some(&mut false)).await,
        Err(_cut_before_the_head) => Vec::new(),
    }
}
