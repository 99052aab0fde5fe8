//! The benches' workloads run small, so that they keep working. Their output is checked; their time
//! is not.

#[path = "../benches/workload"]
mod workload {
    pub(crate) mod bare;
    pub(crate) mod cost;
    pub(crate) mod fanout;
    pub(crate) mod frames;
    pub(crate) mod history_file;
    pub(crate) mod patterns;
    pub(crate) mod publish;
    pub(crate) mod replay;
    pub(crate) mod selectors;
    pub(crate) mod sockets;
    pub(crate) mod stops;
    pub(crate) mod swallow;
    pub(crate) mod tokens;
}

use std::path::Path;

use fantail::core::event::EventId;
use fantail::core::limits::EventLimits;
use fantail::core::sse;

use workload::fanout::{Fanout, SEVERAL};
use workload::frames;
use workload::history_file::HistoryFile;
use workload::patterns;
use workload::publish::{Audience, Node};
use workload::replay::Replay;
use workload::selectors;
use workload::stops::{self, Scale};
use workload::tokens;

#[test]
fn a_frame_that_is_timed_holds_its_payload() {
    for payload in frames::payloads() {
        let id = EventId::new(7);
        let frame = frames::encode(&payload, &EventLimits::default(), id).expect("valid");
        assert_eq!(
            sse::parse(&frame.text()).data,
            payload.data,
            "{}",
            payload.name
        );
        assert_eq!(frames::copy_of(&frame), frame.chunked());
    }
}

#[test]
fn both_sides_of_the_fan_out_deliver_every_byte() {
    let mut fanout = Fanout::open(20, 128).expect("streams");
    assert_eq!(fanout.streams(), 20);
    for burst in [1, 40] {
        // Each of them fails unless all its bytes have arrived.
        let mut cost = fanout.by_shard(burst).expect("by the shard");
        cost += fanout.by_loop(burst).expect("by the loop");
        assert!(cost.cpu.as_nanos() + cost.wall.as_nanos() > 0);
    }
}

#[test]
fn streams_of_several_topics_get_every_byte_of_a_burst() {
    let mut fanout = Fanout::open_on(SEVERAL, 20, 128).expect("streams");
    for burst in [1, 2, 40] {
        // It fails unless all bytes have arrived.
        let cost = fanout.by_shard(burst).expect("by the shard");
        assert!(cost.wall.as_nanos() > 0);
    }
}

#[test]
fn streams_that_are_told_topics_get_every_byte() {
    let mut fanout = Fanout::open_told(20, 128).expect("streams");
    for burst in [1, 2, 40] {
        // It fails unless all bytes have arrived.
        let cost = fanout.by_shard(burst).expect("by the shard");
        assert!(cost.wall.as_nanos() > 0);
    }
}

#[tokio::test]
async fn what_a_timed_publisher_publishes_arrives() {
    for streams in [0, 5] {
        let mut node = Node::start(Audience::on_topic(streams), 128)
            .await
            .expect("a node");
        for (batches, size) in [(40, 1), (70, 16), (9, 64)] {
            // It fails unless the clients have read every byte of it.
            let took = node.publish(batches, size).await.expect("all arrives");
            assert!(took.time.as_nanos() > 0 && took.cpu.as_nanos() > 0);
        }
        node.stop().expect("clients that saw the end");
    }
}

#[tokio::test]
async fn what_is_published_among_many_selectors_arrives() {
    for case in patterns::CASES {
        for new_topics in [false, true] {
            let audience = patterns::audience(case, 200, new_topics);
            let mut node = Node::start(audience, 128).await.expect("a node");
            let took = node.publish(50, 1).await.expect("all arrives");
            assert!(took.time.as_nanos() > 0 && took.cpu.as_nanos() > 0);
            node.stop().expect("clients that saw the end");
        }
    }
}

#[test]
fn a_timed_resume_reads_all_of_history() {
    for topics in [1, 10] {
        let mut replay = Replay::new(topics, 130, 128).expect("a history");
        assert!(replay.bytes() > replay.events() * 128);
        // Twice, because the second stream reuses the slot of the first.
        for _ in 0..2 {
            let mut cost = replay.by_shard().expect("a resume");
            cost += replay.by_loop().expect("the same bytes");
            assert!(cost.cpu.as_nanos() + cost.wall.as_nanos() > 0);
        }
    }
}

#[test]
fn a_timed_selector_matches_what_it_should() {
    for case in selectors::cases().expect("selectors") {
        assert_eq!(
            case.selector.matches(case.topic),
            case.matches,
            "{}",
            case.name
        );
    }
}

#[test]
fn a_timed_token_is_valid_by_both_checks() {
    let keys = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/keys");
    for case in tokens::cases(&keys).expect("keys") {
        assert!(case.check() && case.check_bare(), "{}", case.name);
    }
}

#[test]
fn whatever_stops_a_node_is_done_while_it_is_watched() {
    for case in stops::CASES {
        // It fails unless everything that is to happen has happened.
        let stop = stops::run(case, Scale(100));
        let stop = stop.unwrap_or_else(|error| panic!("{}: {error}", case.name()));
        assert!((stop.lock + stop.turn).as_nanos() > 0, "{}", case.name());
    }
}

#[test]
fn a_timed_history_file_is_loaded_whole() {
    for topics in [1, 30] {
        let mut history = HistoryFile::new(topics, 300, 50).expect("a history");
        history.write().expect("written again");
        assert!(history.bytes() > 300 * 50);
        // It fails unless all events are there.
        let store = history.load().expect("loaded");
        assert_eq!(store.size().topics, topics);
    }
}
