//! Stopped and started again: as if nothing had happened.

use std::io::{Read, Write};
use std::net::TcpStream;

use rustix::process::Signal;

use super::*;
use crate::publisher::Draft;
use crate::support::resp::command;

const SECRET: &str = "a secret of thirty-two bytes or more";

/// The field with the token of a subscriber that may hear private events of a topic.
fn bearer(topic: &str) -> String {
    use jsonwebtoken::{EncodingKey, Header, encode};
    let claims = serde_json::json!({
        "exp": 4_000_000_000_u64,
        "mercure": {"subscribe": [topic]},
    });
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    let token = encode(&Header::default(), &claims, &key).expect("a token");
    format!("Bearer {token}")
}

/// What streams of every kind are sent that return with a cursor of the node before.
#[test]
fn after_a_stop_cursors_of_the_node_before_were_unknown() {
    let mut secret = tempfile::NamedTempFile::new().expect("a file");
    secret.write_all(SECRET.as_bytes()).expect("written");
    let secret = secret.path().to_string_lossy().into_owned();
    let home = Home::new(&["--jwt-secret-file", &secret, "--anonymous"]);
    let mut node = home.start();
    node.wait_for_log("there is no history to load");
    let mut publisher = Publisher::open(node.ingest);
    let mut ids = Vec::new();
    for number in 0..10 {
        let own = format!("own-{number}");
        publisher.send(&Draft {
            topics: [&["a"][..], &["b"], &["a", "b"], &["c/1"], &["c/2"]][number % 5],
            data: &number.to_string(),
            id: (number % 3 == 0).then_some(&own),
            private: number == 6 || number == 7,
            ..Draft::default()
        });
        ids.push(publisher.id());
    }
    let last = ids[9].clone();
    assert_eq!(node.stop().code(), Some(0), "{}", node.logged());
    assert!(
        node.logged().contains("history written"),
        "{}",
        node.logged()
    );
    assert_eq!(home.histories(), ["history-complete"]);

    let node = home.start();
    node.wait_for_log("history loaded");
    assert_eq!(home.histories(), ["history-running"], "it is complete once");
    assert_eq!(metric(&node, "fantail_history_file_events_loaded"), 12.0);
    let heard =
        |target: &str, topic: &str, fields: &[(&str, &str)]| all_of(&node, target, topic, fields);
    let id = |number: usize| ("Last-Event-ID", ids[number].as_str());
    let token = bearer("a");
    let granted = ("Authorization", token.as_str());
    assert_eq!(heard("/events/x", "x", &[id(0)]), ["live"], "a new topic");
    assert_eq!(heard("/events/a", "a", &[id(0)]), ["2", "5", "live"]);
    let mut expected = vec!["2", "5", "7", "live"];
    assert_eq!(heard("/events/a", "a", &[id(0), granted]), expected);
    expected = vec!["1", "2", "live"];
    assert_eq!(heard("/events/b", "b", &[id(0)]), expected);
    let own = ("Last-Event-ID", "own-3");
    let pattern = "/events?topic=c/%7Bx%7D";
    assert_eq!(heard(pattern, "c/1", &[own]), ["4", "8", "9", "live"]);
    let both = "/events?topic=a&topic=c/2";
    assert_eq!(heard(both, "c/2", &[id(4)]), ["5", "9", "live"]);
    let mercure = "/.well-known/mercure?topic=c/1";
    assert_eq!(heard(mercure, "c/1", &[id(3)]), ["8", "live"]);
    let earliest = ("Last-Event-ID", "earliest");
    assert_eq!(
        heard("/events/c%2F2", "c/2", &[earliest]),
        ["4", "9", "live"]
    );
    let never = ("Last-Event-ID", "never-given");
    let told = heard("/events/x", "x", &[never]);
    assert!(told[0].starts_with("unknown never-given.."), "{told:?}");

    // Ids rise, under the same mark.
    let next = Publisher::open(node.ingest).publish("a", "next");
    assert!(place(&next) > place(&last), "{last} {next}");
    assert_eq!(
        next.split_once('.').map(|(_, mark)| mark),
        last.split_once('.').map(|(_, mark)| mark)
    );
}

/// An event that was acknowledged while the node stopped is in the history.
#[test]
fn what_was_acknowledged_during_a_stop_was_lost() {
    let home = Home::new(&["--drain-period", "500ms"]);
    let mut node = home.start();
    let first = Publisher::open(node.ingest).publish("t", "0");
    let _stream = SseStream::open(node.http, "/events/t");
    let ingest = node.ingest;
    let publisher = std::thread::spawn(move || {
        let mut acknowledged = 0;
        let mut client = TcpStream::connect(ingest).expect("it listens");
        let mut answer = [0; 64];
        for number in 1.. {
            let command = command(&["PUBLISH", "t", &number.to_string()]);
            let answered = client
                .write_all(&command)
                .and_then(|()| client.read(&mut answer));
            match answered {
                Ok(length) if length > 0 => acknowledged = number,
                _ => break,
            }
        }
        acknowledged
    });
    node.wait_for_streams(1);
    assert_eq!(node.stop().code(), Some(0), "{}", node.logged());
    let acknowledged = publisher.join().expect("no panic");
    let node = home.start();
    let told = all_after(&node, "/events/t", "t", &first);
    let last = told[told.len() - 2].parse().expect("a number");
    // The last one may have been taken without an answer.
    assert!(
        (acknowledged..=acknowledged + 1).contains(&last),
        "{last} {acknowledged}"
    );
    let expected = (1..=last).map(|number: u64| number.to_string());
    let kept: Vec<_> = expected
        .skip((last as usize).saturating_sub(1_000))
        .collect();
    let events: Vec<_> = told
        .iter()
        .filter(|event| event.parse::<u64>().is_ok())
        .collect();
    assert!(
        events
            .into_iter()
            .rev()
            .zip(kept.iter().rev())
            .all(|(event, kept)| event == kept)
    );
}

/// Lower limits evict what is loaded, and the clients are told.
#[test]
fn a_node_with_lower_limits_tells_what_it_does_not_keep() {
    let mut home = Home::new(&[]);
    let mut node = home.start();
    let mut publisher = Publisher::open(node.ingest);
    let ids = publisher.publish_all("t", (0..9).map(|number| number.to_string()));
    node.stop();
    home.flags = vec!["--history-events".into(), "2".into()];
    let node = home.start();
    let told = all_after(&node, "/events/t", "t", &ids[3]);
    let gap = format!("evicted {}..{}", ids[3], ids[6]);
    assert_eq!(told, [gap, "7".into(), "8".into(), "live".into()]);
}

/// A head that lies in the future, since the clock was set back: ids rise, over a crash, too.
#[test]
fn ids_fell_when_the_clock_was_set_back() {
    use fantail::core::event::{Event, EventId, OrderMark};
    use fantail::core::history::{HistoryLimits, Stamp, Store};
    use fantail::core::limits::EventLimits;
    use fantail::core::sse::Draft;

    let home = Home::new(&["--history-age", "30d"]);
    let ahead = fantail::clock::unix_ms() + 3_600_000;
    let mark = OrderMark::new(0x2a_1234_5678_9abc);
    let mut store = Store::new(HistoryLimits::default(), ahead - 1_000).with_mark(mark);
    let head = EventId::from_parts(ahead, 3).expect("an id");
    let draft = Draft::new(Event::new("t", "ahead"), &EventLimits::default());
    let mut draft = draft.expect("valid");
    store.append(&mut draft, Stamp::Given(head)).expect("an id");
    std::fs::create_dir(home.path()).expect("a directory");
    let file = std::fs::File::create(home.file("history-complete")).expect("a file");
    let mut writer = fantail::state::Writer::new(file).expect("written");
    let (mut walk, mut records) = (store.begin_walk(), Vec::new());
    while !walk.is_done() {
        store.walk(&mut walk, 10, &mut records);
    }
    for record in &records {
        writer.history(record).expect("written");
    }
    writer.finish().expect("written");

    let text = |id: EventId| id.marked(mark).to_string();
    let mut node = home.start();
    let second = Publisher::open(node.ingest).publish("t", "second");
    assert!(place(&second) > place(&text(head)), "{second}");
    let told = all_after(&node, "/events/t", "t", &text(head));
    assert_eq!(told, ["second", "live"]);
    // The newest id is noted before the crash.
    wait_for_text(
        &home.file("newest-id"),
        second.split_once('-').expect("an id").0,
    );
    node.signal(Signal::KILL);
    node.wait();
    let node = home.start();
    let third = Publisher::open(node.ingest).publish("t", "third");
    assert!(place(&third) > place(&second), "{second} {third}");
    let told = all_after(&node, "/events/t", "t", &second);
    assert_gap_after(&second, &told[0]);
    assert_eq!(told[1..], ["third", "live"]);
}

/// A publisher whose node was stopped before it answered asks the next one.
#[test]
fn a_repeat_after_a_stop_gets_the_receipt_of_the_node_before() {
    let home = Home::new(&[]);
    let mut node = home.start();
    let keyed = |node: &Node, key: &str| {
        let mut publisher = Publisher::open(node.ingest);
        publisher.send(&Draft {
            topics: &["t"],
            data: "once",
            key: Some(key),
            ..Draft::default()
        });
        publisher.id()
    };
    let ids: Vec<String> = (0..600).map(|n| keyed(&node, &format!("k{n}"))).collect();
    assert_eq!(node.stop().code(), Some(0), "{}", node.logged());
    let node = home.start();
    assert_eq!(metric(&node, "fantail_idempotency_keys"), 600.0);
    for number in [0, 255, 256, 599] {
        assert_eq!(keyed(&node, &format!("k{number}")), ids[number]);
    }
    assert_eq!(metric(&node, "fantail_idempotency_repeats_total"), 4.0);
    assert_ne!(keyed(&node, "new"), ids[0]);
}
