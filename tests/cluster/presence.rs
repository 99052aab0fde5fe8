//! Subscribers of a node that is killed: each end is told once, and no list keeps them.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::nodes::Nodes;
use crate::server::{Keeps, Server};
use crate::support::http;
use crate::support::node::Node;
use crate::support::sse::SseStream;
use crate::support::wait_until;

const HUB: &str = "/.well-known/mercure";

const SECRET: &str = "a secret of at least thirty-two bytes";

fn bearer() -> String {
    let all = [
        format!("{HUB}/subscriptions{{/topic}}{{/subscriber}}"),
        format!("{HUB}/subscriptions/{{topic}}/{{subscriber}}"),
        format!("{HUB}/subscriptions"),
    ];
    let claims = json!({ "mercure": { "subscribe": all } });
    let key = jsonwebtoken::EncodingKey::from_secret(SECRET.as_bytes());
    let token = jsonwebtoken::encode(&jsonwebtoken::Header::default(), &claims, &key);
    format!("Bearer {}", token.expect("a token"))
}

/// The subscribers that a node lists.
fn listed(node: &Node) -> BTreeSet<String> {
    let bearer = bearer();
    let target = format!("{HUB}/subscriptions");
    let fields = [("Authorization", &*bearer)];
    let answer = http::request(node.http, "GET", &target, &fields, b"").json();
    let list = answer["subscriptions"].as_array().expect("a list").iter();
    list.map(|one| one["subscriber"].as_str().expect("an id").to_owned())
        .collect()
}

/// Starts and ends, by their subscriber.
#[derive(Default)]
struct Told {
    starts: BTreeMap<String, usize>,
    ends: BTreeMap<String, usize>,
}

impl Told {
    fn read(&mut self, watcher: &mut SseStream) {
        let event = watcher.next().expect("the stream stays open");
        assert_ne!(event.event, "gap", "{event:?}");
        let json: Value = serde_json::from_str(&event.data).expect("JSON");
        let subscriber = json["subscriber"].as_str().expect("an id").to_owned();
        let told = match json["active"].as_bool() {
            Some(true) => &mut self.starts,
            _ => &mut self.ends,
        };
        *told.entry(subscriber).or_default() += 1;
    }
}

#[test]
fn each_subscriber_of_a_killed_node_is_ended_once_and_in_no_list() {
    let count: usize = match std::env::var("CLUSTER_STREAMS") {
        Ok(text) => text.parse().expect("a number"),
        Err(_) => 40,
    };
    let server = Server::start(Keeps::EverySecond, &[]);
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("secret");
    std::fs::write(&file, SECRET).expect("a file");
    let file = file.to_str().expect("a path of UTF-8");
    let flags = [
        "--jwt-secret-file",
        file,
        "--anonymous",
        "--mercure-subscriptions",
    ];
    let mut nodes = Nodes::start(&vec![server.url(); 3], &flags);
    let bearer = bearer();
    let fields = [("Authorization", &*bearer)];
    let target = format!("/events?topic={HUB}/subscriptions/%7Btopic%7D/%7Bsubscriber%7D");
    let mut watcher = SseStream::request(nodes.at(0).http, &target, &fields);
    while watcher.cursor.is_empty() {
        assert_eq!(watcher.step(), Some(None));
    }
    let mut told = Told::default();
    let open = |index: usize| SseStream::open(nodes.at(index).http, &format!("{HUB}?topic=a"));
    // Those of the node that dies, and others that stay.
    let dying: Vec<SseStream> = (0..count).map(|_| open(1)).collect();
    let _staying: Vec<SseStream> = (0..5).map(|_| open(2)).collect();
    while told.starts.len() < count + 5 {
        told.read(&mut watcher);
    }
    let before = listed(nodes.at(2));
    let dead: BTreeSet<String> = {
        wait_until("all nodes list all", || {
            (0..3).all(|index| listed(nodes.at(index)).len() == count + 5)
        });
        let all: BTreeSet<String> = told.starts.keys().cloned().collect();
        assert_eq!(all, before);
        all
    };
    drop(dying);
    nodes.kill(1);
    while told.ends.len() < count {
        told.read(&mut watcher);
    }
    wait_until("no list has them", || {
        [0, 2]
            .iter()
            .all(|index| listed(nodes.at(*index)).len() == 5)
    });
    nodes.restart(1);
    assert_eq!(listed(nodes.at(1)).len(), 5);
    // One more start, so that a late second end would have come before it.
    let _last = SseStream::open(nodes.at(1).http, &format!("{HUB}?topic=last"));
    while told.starts.len() < count + 6 {
        told.read(&mut watcher);
    }
    assert_eq!(told.ends.len(), count);
    assert!(told.ends.values().all(|ends| *ends == 1), "{:?}", told.ends);
    assert!(told.ends.keys().all(|one| dead.contains(one)));
}
