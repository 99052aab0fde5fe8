//! Connections that are open and dead, and servers that are the wrong one.

use crate::nodes::{Nodes, publish};
use crate::proxy::Proxy;
use crate::server::{Keeps, Server};
use crate::support::node::Node;
use crate::support::sse::SseStream;
use crate::support::wait_until;

/// Connections that a node may have to its log, and some that are just ending.
const LINKS: usize = 8;

/// Files of the process.
fn files(node: &Node) -> usize {
    let folder = format!("/proc/{}/fd", node.pid());
    std::fs::read_dir(folder).expect("it runs").count()
}

#[test]
fn connections_that_carry_nothing_are_noticed_and_replaced() {
    let server = Server::start(Keeps::Written, &[]);
    let proxy = Proxy::to(server.address());
    let nodes = Nodes::start(&[proxy.url(), server.url()], &[]);
    let mut stream = SseStream::open(nodes.at(0).http, "/events/news");
    for round in 0..3 {
        // All that are open now; new ones pass.
        proxy.hold(false);
        let data = format!("behind a cut cable {round}");
        nodes.publish("news", &data);
        assert_eq!(stream.take_data(1), [data]);
        wait_until("the node publishes again", || {
            publish(nodes.at(0), "other", "x").status == 200
        });
    }
}

/// The tail alone is dead: what the node publishes arrives, and what it reads does not.
#[test]
fn a_tail_that_carries_nothing_is_noticed_and_replaced() {
    let server = Server::start(Keeps::Written, &[]);
    let proxy = Proxy::to(server.address());
    let nodes = Nodes::start(&[proxy.url()], &[]);
    let mut stream = SseStream::open(nodes.at(0).http, "/events/news");
    let mut tail = Vec::new();
    wait_until("the tail waits", || {
        let clients: String = server.ask(&["CLIENT", "LIST"]);
        tail = clients
            .lines()
            .filter(|line| line.contains(" cmd=xread"))
            .filter_map(|line| line.split(" addr=").nth(1)?.split(' ').next()?.parse().ok())
            .collect();
        !tail.is_empty()
    });
    assert_eq!(proxy.hold_those(&tail), 1);
    nodes.publish("news", "first");
    assert_eq!(stream.take_data(1), ["first"]);
}

/// Behind a proxy or a name, another server answers: one that follows, and does not lead.
#[test]
fn a_replica_is_not_taken_for_the_log() {
    let master = Server::start(Keeps::Written, &[]);
    let replica = Server::start(Keeps::Written, &[]);
    replica.follow(&master);
    let proxy = Proxy::to(master.address());
    let nodes = Nodes::start(&[proxy.url(), master.url()], &[]);
    let mut stream = SseStream::open(nodes.at(0).http, "/events/news");
    nodes.publish("news", "first");
    assert_eq!(stream.take_data(1), ["first"]);
    proxy.aim(replica.address());
    proxy.cut();
    nodes.at(0).wait_for_log("replica");
    let refused = publish(nodes.at(0), "news", "to a replica");
    assert_eq!(refused.status, 503, "{refused:?}");
    assert_eq!(publish(nodes.at(1), "news", "meanwhile").status, 200);
    proxy.aim(master.address());
    proxy.cut();
    assert_eq!(stream.take_data(1), ["meanwhile"]);
    wait_until("the node publishes again", || {
        publish(nodes.at(0), "other", "x").status == 200
    });
}

/// An orphan answers `PING`, and nothing reaches it any more. Behind one address, it takes the place
/// of the log; the node tells what it no longer has.
#[test]
fn an_orphaned_replica_that_was_promoted_is_told_as_a_loss() {
    let master = Server::start(Keeps::Written, &[]);
    let replica = Server::start(Keeps::Written, &[]);
    let proxy = Proxy::to(master.address());
    let nodes = Nodes::start(&[proxy.url()], &[]);
    let mut stream = SseStream::open(nodes.at(0).http, "/events/news");
    nodes.publish("news", "kept");
    replica.follow(&master);
    replica.ask::<()>(&["REPLICAOF", "NO", "ONE"]);
    nodes.publish("news", "lost");
    assert_eq!(stream.take_data(2), ["kept", "lost"]);
    proxy.aim(replica.address());
    proxy.cut();
    let event = stream.take(1).remove(0);
    assert_eq!(event.event, "gap");
    assert!(event.data.contains("\"reason\":\"log\""), "{event:?}");
    nodes.publish("news", "after");
    assert_eq!(stream.take_data(1), ["after"]);
}

#[test]
fn a_hundred_cuts_leak_no_connection_and_fill_no_disk() {
    let server = Server::start(Keeps::Written, &[]);
    let proxy = Proxy::to(server.address());
    let nodes = Nodes::start(&[proxy.url()], &[]);
    let mut stream = SseStream::open(nodes.at(0).http, "/events/news");
    nodes.publish("news", "warm");
    let before = files(nodes.at(0));
    for round in 0..100 {
        proxy.cut();
        let data = format!("after cut {round}");
        nodes.publish("news", &data);
        if round == 0 {
            assert_eq!(stream.take_data(1), ["warm"]);
        }
        assert_eq!(stream.take_data(1), [data]);
    }
    println!("cuts: {} connections were accepted", proxy.accepted());
    wait_until("old connections are closed", || {
        proxy.open() <= LINKS && files(nodes.at(0)) <= before + 2
    });
    let streams = nodes.metric(0, "fantail_streams");
    assert_eq!(streams as u64, 1, "no stream was closed");
    let logged = nodes.at(0).logged();
    let lines = logged.lines().count();
    assert!(lines < 50, "{lines} lines, some for every cut:\n{logged}");
}
