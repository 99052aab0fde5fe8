//! Losses that nodes learn of at different times, and clients that move among them meanwhile.

use std::time::Duration;

use rustix::process::Signal;

use crate::course::{Course, KEY, Verdict};
use crate::id::Id;
use crate::judge::Fate;
use crate::nodes::Nodes;
use crate::proxy::Proxy;
use crate::scale::Scale;
use crate::server::{Keeps, Server};
use crate::streams::Hops;
use crate::support::sse::SseStream;
use crate::support::wait_until;

const TOPICS: u32 = 4;

/// Two servers that have the same entries, and a node on each way to the first.
struct Stage {
    old: Server,
    new: Server,
    proxies: Vec<Proxy>,
    nodes: Nodes,
}

impl Stage {
    fn set(count: usize) -> Self {
        let old = Server::start(Keeps::Written, &[]);
        let new = Server::start(Keeps::Written, &[]);
        let proxies: Vec<Proxy> = (0..count).map(|_| Proxy::to(old.address())).collect();
        let logs: Vec<String> = proxies.iter().map(Proxy::url).collect();
        let nodes = Nodes::start(&logs, &[]);
        new.follow(&old);
        Self {
            old,
            new,
            proxies,
            nodes,
        }
    }

    /// From now on there are two masters.
    fn split(&self) {
        self.new.ask::<()>(&["REPLICAOF", "NO", "ONE"]);
    }

    /// A node goes to the new master.
    fn move_node(&self, index: usize) {
        self.proxies[index].aim(self.new.address());
        self.proxies[index].cut();
    }

    fn wait_for(&self, course: &Course, more: usize) {
        let before = course.publishers().published();
        wait_until("more is published", || {
            course.publishers().published() > before + more
        });
    }
}

/// Events with a 200 that are not in the log.
fn gone(verdict: &Verdict) -> Vec<Id> {
    let is_gone = |(number, fate): (&u64, &Fate)| match fate {
        Fate::Published(id) if verdict.log.place(*number) != Some(*id) => Some(*id),
        _ => None,
    };
    verdict.fates.iter().filter_map(is_gone).collect()
}

/// Each stream was told of each of these.
fn all_are_told(verdict: &Verdict, gone: &[Id]) {
    for (number, one) in verdict.seen.iter().enumerate() {
        let covers = |id: &Id| {
            one.account
                .gaps()
                .any(|gap| gap.from < *id && *id <= gap.to)
        };
        let untold = gone.iter().find(|id| !covers(id));
        let gaps: Vec<_> = one.account.gaps().collect();
        assert_eq!(untold, None, "stream {number} was told {gaps:?}");
    }
}

/// One node after the other learns of it; its clients stay.
#[test]
fn a_loss_that_nodes_learn_of_one_by_one_is_one_gap_for_each_stream() {
    let scale = Scale::or(1, 24, 300);
    let stage = Stage::set(3);
    let mut course = Course::new("one-by-one", scale, TOPICS, &stage.nodes);
    course.open(scale.streams, &Hops::Never);
    course.publish(6, 1, false);
    std::thread::sleep(Duration::from_secs(scale.seconds));
    stage.split();
    stage.wait_for(&course, 200);
    for index in 0..3 {
        stage.move_node(index);
        stage.wait_for(&course, 100);
    }
    let verdict = course.end(&stage.nodes, &stage.new, |_| true);
    let gone = gone(&verdict);
    println!(
        "one-by-one: {} are gone, {} gaps",
        gone.len(),
        verdict.gaps()
    );
    assert!(gone.len() > 100);
    all_are_told(&verdict, &gone);
    for (number, one) in verdict.seen.iter().enumerate() {
        // Whoever is last to leave the old master takes events there, which are lost as well.
        assert!(one.account.gaps().count() <= 3, "stream {number}");
        assert!(one.account.gaps().all(|gap| gap.reason == "log"));
    }
    drop(stage.old);
}

/// Clients hop over the loss, with cursors that are of no log any more.
#[test]
fn a_loss_under_streams_that_hop_is_told_to_each_and_nothing_is_doubled() {
    let scale = Scale::or(2, 40, 300);
    let stage = Stage::set(3);
    let mut course = Course::new("hop-loss", scale, TOPICS, &stage.nodes);
    course.open(scale.streams, &Hops::Every(300..1_000));
    course.publish(6, 1, false);
    std::thread::sleep(Duration::from_secs(scale.seconds));
    stage.split();
    stage.wait_for(&course, 200);
    (0..3).for_each(|index| stage.proxies[index].aim(stage.new.address()));
    (0..3).for_each(|index| stage.proxies[index].cut());
    stage.wait_for(&course, 300);
    let verdict = course.end(&stage.nodes, &stage.new, |_| true);
    let gone = gone(&verdict);
    println!("hop-loss: {} are gone, {} gaps", gone.len(), verdict.gaps());
    assert!(gone.len() > 100);
    all_are_told(&verdict, &gone);
}

/// Two busy masters give the same ids. The new program of a node knows its newest entry from the former one.
#[test]
fn a_node_that_was_upgraded_between_two_masters_took_another_entry_for_its_own() {
    let stage = Stage::set(1);
    let node = stage.nodes.at(0);
    let mut stream = SseStream::open(node.http, "/events/t");
    let kept = stage.nodes.publish("t", "kept");
    let has_kept = || -> bool {
        let newest: Vec<(String, Vec<String>)> =
            stage.new.ask(&["XREVRANGE", KEY, "+", "-", "COUNT", "1"]);
        newest[0].1.contains(&"kept".to_owned())
    };
    wait_until("both servers have it", has_kept);
    stage.split();
    let lost = stage.nodes.publish("t", "lost");
    assert_eq!(stream.take_data(2), ["kept", "lost"]);
    let place = lost.split('.').next().expect("a place");
    let other = ["XADD", KEY, place, "topic", "t", "data", "other"];
    assert_eq!(stage.new.ask::<String>(&other), place);
    // The node has no log while it is upgraded.
    stage.proxies[0].refuse(true);
    stage.proxies[0].cut();
    node.signal(Signal::USR2);
    wait_until("it is upgraded", || {
        let status = node.admin_get("/upgrade").json();
        status["last"]["number"] == 1 && status["last"]["failed"].is_null()
    });
    stage.proxies[0].aim(stage.new.address());
    stage.proxies[0].refuse(false);
    let gap = stream.next().expect("the stream stays open");
    assert_eq!(gap.event, "gap", "{gap:?} after {kept}");
    let told: serde_json::Value = serde_json::from_str(&gap.data).expect("JSON");
    assert_eq!(told["reason"], "log", "{told}");
    stage.nodes.publish("t", "next");
    assert_eq!(stream.take_data(1), ["next"]);
}
