//! Losses that nodes learn of at different times, and clients that move among them meanwhile.

use std::time::Duration;

use crate::course::{Course, Verdict};
use crate::id::Id;
use crate::judge::Fate;
use crate::nodes::Nodes;
use crate::proxy::Proxy;
use crate::scale::Scale;
use crate::server::{Keeps, Server};
use crate::streams::Hops;
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
        let old = Server::start(Keeps::EverySecond, &[]);
        let new = Server::start(Keeps::EverySecond, &[]);
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
