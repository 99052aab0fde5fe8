use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::Instant;

use fantail::metrics::CloseReason;

use crate::kernel::held_sockets;
use crate::node::Node;
use crate::support::DEADLINE;

use fleet::Fleet;
use news::News;

/// The clients, on one thread and one poller.
mod fleet;
/// The published events, and each client's expectation of them.
mod news;

/// Streams that are open at a time.
const STREAMS: usize = 2_000;
/// Disconnects of all kinds.
const DISCONNECTS: usize = 4_000;
/// Disconnects between two publishes: as many streams are being opened at any time.
const DISCONNECTS_PER_ROUND: usize = 12;
/// Of those, streams that an operator ends.
const CUTS_PER_ROUND: usize = 2;

/// `CHURN_SEED=<n> cargo test --test streams churn` replays a run, as far as the kernel's timing
/// lets it.
fn seed() -> u64 {
    let given = std::env::var("CHURN_SEED").ok();
    given.map_or_else(|| fastrand::u64(..), |seed| seed.parse().expect("a number"))
}

#[test]
fn nothing_is_lost_or_doubled_by_two_thousand_restless_streams() {
    let seed = seed();
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| run(seed))) {
        eprintln!("replay with CHURN_SEED={seed}");
        resume_unwind(panic);
    }
}

fn run(seed: u64) {
    let node = Node::with(|settings| settings.max_streams = 2 * STREAMS);
    let mut random = fastrand::Rng::with_seed(seed);
    let mut news = News::new(&node);
    let mut fleet = Fleet::new(node.at.http, &news, STREAMS, random.fork());
    fleet.wait_until(Instant::now() + DEADLINE, "all are open", |fleet| {
        fleet.open() == STREAMS
    });

    let mut disconnects = 0;
    while disconnects < DISCONNECTS {
        news.publish(&mut random);
        cut(&node, CUTS_PER_ROUND, &mut random);
        for _ in CUTS_PER_ROUND..DISCONNECTS_PER_ROUND {
            fleet.disturb();
        }
        disconnects += DISCONNECTS_PER_ROUND;
        fleet.turn();
    }
    let deadline = Instant::now() + DEADLINE;
    fleet.wait_until(deadline, "all have everything", |fleet| {
        fleet.missing(&news) == 0
    });
    fleet.check_kinds();

    let cut = node.count(|shard| &shard.closed[CloseReason::Admin as usize]);
    assert!(cut > 100, "{cut} were cut by an operator");
    fleet.close();
    let topics_published = news.topics_published();
    drop(news);
    node.wait_for_streams(0);
    crate::support::wait_until("no socket is left", || {
        held_sockets(node.at.http).is_empty()
    });
    let gauges = [
        node.count(|shard| &shard.streams_socket),
        node.count(|shard| &shard.behind),
        node.hub.node_metrics().http.connections.get(),
    ];
    assert_eq!(gauges, [0; 3]);
    let mut listened = 0;
    let mut next = Some(0);
    while let Some(from) = next {
        let (channels, after) = node.hub.channels(from);
        listened += channels.len();
        next = after;
    }
    assert_eq!(listened, 0, "topics that still have subscribers");
    // Topics without events are gone with their streams.
    assert_eq!(node.hub.history_size().topics, topics_published);
}

/// Ends some streams as an operator would.
fn cut(node: &Node, count: usize, random: &mut fastrand::Rng) {
    node.runtime.block_on(async {
        let streams = node.hub.slowest(100).await;
        for stream in random.choose_multiple(&streams, count) {
            // It may have ended by itself meanwhile.
            node.hub.close_stream(&stream.id).await;
        }
    });
}
