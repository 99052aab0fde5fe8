use fantail::bridge::redis::{Batch, Beat, Connection, End, PageSize, REAPED, RosterWrite};
use fantail::core::event::EventId;
use fantail::hub::presence::RosterChange;
use uuid::Uuid;

use crate::server::{Server, connect, fields, stream};

const NODE: u64 = 0xa;

fn id(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

fn enters(number: u128) -> RosterChange {
    let id = id(number);
    let line = format!("{id} {{\"topics\":[\"t\"]}}");
    RosterChange::Enters { id, line }
}

/// Writes a change with one event; false if it was refused.
async fn announce(connection: &mut Connection, change: RosterChange, data: &str) -> bool {
    let batch = Batch {
        entries: vec![fields(data)],
        roster: Some(RosterWrite {
            name: NODE,
            changes: vec![change],
        }),
    };
    let written = connection.append(&stream(), &[batch], 0).await;
    let (mut outcomes, _) = written.expect("an answer");
    match outcomes.remove(0) {
        Ok(_) => true,
        Err(refusal) => {
            assert_eq!(refusal.code, REAPED);
            false
        }
    }
}

/// The data of all entries.
async fn told(connection: &mut Connection) -> Vec<String> {
    let mut size = PageSize::default();
    let page = connection.page(EventId::ZERO, &mut size).await;
    let entries = page.expect("a page").entries.into_iter();
    let records = entries.map(|entry| match entry.payload.item {
        fantail::hub::log::Item::Event(record) => record.data,
        other => panic!("{other:?}"),
    });
    records.collect()
}

async fn lines(connection: &mut Connection) -> usize {
    let lines = connection.lines(NODE, None, 100).await;
    lines.expect("an answer").len()
}

async fn beat(connection: &mut Connection) -> Option<Beat> {
    let nodes = connection.nodes().await.expect("an answer");
    nodes
        .into_iter()
        .find(|(name, _)| *name == NODE)
        .map(|(_, beat)| beat)
}

#[tokio::test]
async fn a_roster_changes_with_its_event_or_not_at_all() {
    let server = Server::start();
    let mut node = connect(&server).await;
    assert!(!announce(&mut node, enters(1), "unknown").await);
    assert!(!node.beat(NODE).await.expect("an answer"));
    assert_eq!(
        (told(&mut node).await.len(), lines(&mut node).await),
        (0, 0)
    );
    node.join(NODE).await.expect("joined");
    assert!(node.beat(NODE).await.expect("an answer"));
    assert!(announce(&mut node, enters(1), "a start").await);
    // The same again, as after an answer that was lost.
    assert!(announce(&mut node, enters(1), "a start").await);
    assert!(announce(&mut node, enters(2), "another").await);
    let second = node.lines(NODE, Some(id(1)), 1).await.expect("a line");
    assert!(second[0].starts_with(id(2).to_string().as_bytes()));
    let found = node
        .line(&[NODE + 1, NODE], id(2))
        .await
        .expect("an answer");
    assert_eq!(found, Some(second[0].clone()));
    let leaves = RosterChange::Leaves { id: id(1) };
    assert!(announce(&mut node, leaves, "an end").await);
    assert_eq!(lines(&mut node).await, 1);
    assert_eq!(node.line(&[NODE], id(1)).await.expect("an answer"), None);
    server.ask::<()>(&["CONFIG", "SET", "maxmemory", "1"]);
    let batch = Batch {
        entries: vec![fields("no room")],
        roster: Some(RosterWrite {
            name: NODE,
            changes: vec![enters(3)],
        }),
    };
    let (outcomes, _) = node
        .append(&stream(), &[batch], 0)
        .await
        .expect("an answer");
    assert!(outcomes[0].is_err(), "{outcomes:?}");
    server.ask::<()>(&["CONFIG", "SET", "maxmemory", "0"]);
    assert_eq!(
        told(&mut node).await,
        ["a start", "a start", "another", "an end"]
    );
    assert_eq!(lines(&mut node).await, 1);
}

#[tokio::test]
async fn of_a_node_and_two_reapers_one_tells_an_end() {
    let server = Server::start();
    let (mut node, mut first) = (connect(&server).await, connect(&server).await);
    let mut second = connect(&server).await;
    node.join(NODE).await.expect("joined");
    for number in 1..=3 {
        assert!(announce(&mut node, enters(number), "start").await);
    }
    let Some(Beat::Counted(seen)) = beat(&mut first).await else {
        panic!("it lives");
    };
    // It has counted since then.
    assert!(node.beat(NODE).await.expect("an answer"));
    assert!(!first.depose(NODE, &seen).await.expect("an answer"));
    // While it lives, nobody tells its ends.
    let read = first.lines(NODE, None, 2).await.expect("lines");
    let ends: Vec<End> = read
        .into_iter()
        .map(|line| End {
            line,
            entries: vec![fields("end")],
        })
        .collect();
    let early = first.reap(&stream(), NODE, &ends).await.expect("an answer");
    assert_eq!(early, (0, None));
    let Some(Beat::Counted(seen)) = beat(&mut first).await else {
        panic!("it lives");
    };
    assert!(first.depose(NODE, &seen).await.expect("an answer"));
    assert!(!second.depose(NODE, &seen).await.expect("an answer"));
    assert_eq!(beat(&mut second).await, Some(Beat::Ended));
    let leaves = RosterChange::Leaves { id: id(1) };
    assert!(!announce(&mut node, leaves, "a second end").await);
    assert!(!announce(&mut node, enters(4), "a late start").await);
    assert!(!node.beat(NODE).await.expect("an answer"));
    let (count, last) = first.reap(&stream(), NODE, &ends).await.expect("told");
    assert!(count == 2 && last.is_some());
    let (count, last) = second.reap(&stream(), NODE, &ends).await.expect("told");
    assert_eq!((count, last), (0, None));
    assert_eq!(lines(&mut second).await, 1);
    // What is no line of a node is removed, and tells nothing.
    server.ask::<()>(&["ZADD", "{fantail}:who:000000000000000a", "0", "garbage"]);
    let read = second.lines(NODE, None, 9).await.expect("lines");
    let rest: Vec<End> = read
        .into_iter()
        .map(|line| End {
            entries: if line == b"garbage" {
                vec![]
            } else {
                vec![fields("end")]
            },
            line,
        })
        .collect();
    let (count, _) = second.reap(&stream(), NODE, &rest).await.expect("told");
    assert_eq!(count, 2);
    assert_eq!(beat(&mut second).await, None);
    let all = told(&mut second).await;
    assert_eq!(all, ["start", "start", "start", "end", "end", "end"]);
}

#[tokio::test]
async fn a_node_that_leaves_is_forgotten_or_leaves_its_subscribers_to_others() {
    let server = Server::start();
    let mut node = connect(&server).await;
    node.join(NODE).await.expect("joined");
    node.leave(NODE).await.expect("left");
    assert_eq!(beat(&mut node).await, None);
    node.join(NODE).await.expect("joined");
    assert!(announce(&mut node, enters(1), "start").await);
    node.leave(NODE).await.expect("left");
    assert_eq!(beat(&mut node).await, Some(Beat::Ended));
    // It is not there again because somebody asks for it.
    node.join(NODE).await.expect("joined");
    assert_eq!(beat(&mut node).await, Some(Beat::Ended));
}

/// The line said only that a key has a wrong type.
#[test]
fn a_refusal_of_the_roster_names_its_keys() {
    let server = Server::start();
    server.ask::<()>(&["SET", "{fantail}:nodes", "mine"]);
    let node = server.node(&["--mercure-subscriptions"]);
    node.wait_for_log("in `{fantail}:nodes` and `{fantail}:who:*`");
    node.wait_for_log("neither listed nor announced: WRONGTYPE");
}
