//! The desk's own promises; the simulator tests the streams.

mod keys;
mod restore;

use std::time::Instant;

use super::*;
use crate::core::event::Event;
use crate::core::history::{IdFell, Released, RestoreError, SelectorIds, ShardSet, Start};
use crate::core::limits::EventLimits;
use crate::core::places::Share;
use crate::core::selector::{Selector, Syntax};
use crate::core::sse::Draft;

const NOW: u64 = 1_700_000_000_000;

fn desk() -> Desk {
    let config = DeskConfig::default();
    let presence = Presence::new(&config.history, Share::default(), || {});
    let places = Places::new(1_000, Share::default());
    Desk::new(config, places, presence, NOW)
}

fn draft(topic: &str, private: bool) -> Draft<'static> {
    let event = Event {
        private,
        ..Event::new(topic.to_owned(), "data")
    };
    Draft::new(event, &EventLimits::default()).expect("valid")
}

fn publish(
    desk: &mut Desk,
    drafts: &mut [Draft<'_>],
    stamps: Stamps<'_>,
    full: ShardSet,
) -> Result<Published, Refusal> {
    let publication = Publication {
        drafts,
        stamps,
        watched: &[],
        pinned: &mut SelectorIds::new(),
        full,
        stamped_at: Instant::now(),
    };
    desk.publish(publication, &mut Untraced)
}

/// Attaches a stream; with a grant of its own selectors.
fn attach(desk: &mut Desk, shard: usize, selector: &str, granted: bool) -> Seat {
    let selectors = [Selector::parse(selector, Syntax::Native, 100).expect("a selector")];
    let permit = desk.places().reserve([127, 0, 0, 1].into());
    desk.attach(Arrival {
        shard,
        permit: permit.expect("room"),
        selectors: &selectors,
        grant: if granted { &selectors } else { &[] },
        start: Start::default(),
        pinned: None,
        announce: None,
    })
}

fn shard(n: usize) -> ShardSet {
    let mut set = ShardSet::default();
    set.insert(n);
    set
}

#[test]
fn given_ids_may_jump_and_never_fall() {
    let mut desk = desk();
    let born = desk.head();
    let id = |ms: u64| EventId::from_parts(NOW + ms, 7).expect("an id");
    let mut give = |ids: &[EventId]| {
        let mut drafts: Vec<_> = ids.iter().map(|_| draft("a", false)).collect();
        let published = publish(
            &mut desk,
            &mut drafts,
            Stamps::Given(ids),
            ShardSet::default(),
        );
        let ids = published.map(|published| {
            let receipts = published.receipts.into_iter();
            receipts.map(|receipt| receipt.id).collect::<Vec<_>>()
        });
        (ids, desk.head(), desk.store().len_of("a"))
    };
    let jump = [id(1), id(1_000_000)];
    assert_eq!(give(&jump), (Ok(jump.to_vec()), jump[1], 2));
    for (fallen, head) in [
        (vec![id(1)], jump[1]),
        (vec![jump[1]], jump[1]),
        (vec![born], jump[1]),
        (vec![id(2_000_000), id(1_999_999)], id(2_000_000)),
        (vec![id(2_000_000), id(2_000_000)], id(2_000_000)),
    ] {
        let given = *fallen.last().expect("one");
        let fell = Refusal::Fell(IdFell { given, head });
        // All of a batch, or nothing of it.
        assert_eq!(give(&fallen), (Err(fell), jump[1], 2));
    }
    let fell = IdFell {
        given: id(1),
        head: id(2),
    };
    let text = "an event was given the id 1700000000001-7, which is not above 1700000000002-7, the newest id of this node";
    assert_eq!(fell.to_string(), text);
}

#[test]
fn given_ids_that_are_no_times_expire_by_a_cut_off() {
    let mut desk = desk();
    let ids = [1, 2, 3].map(|n| EventId::new(desk.head().get() + n));
    let mut drafts = ids.map(|_| draft("a", false));
    let stamps = Stamps::Given(&ids);
    publish(&mut desk, &mut drafts, stamps, ShardSet::default()).expect("ids rise");
    assert!(desk.store.expire(ids[1], 100));
    assert_eq!(desk.store().len_of("a"), 2, "below the cut-off, not at it");
}

/// A publisher waited while any mailbox of the node was full, also one that its event did not need.
#[test]
fn an_event_needs_room_only_in_the_shards_that_it_goes_to() {
    let mut desk = desk();
    let _a = attach(&mut desk, 0, "a", false);
    let _b = attach(&mut desk, 1, "b", true);
    let _pattern = attach(&mut desk, 2, "a/{x}", false);
    let mut to = |topic: &str, private: bool, full: ShardSet| {
        let head = desk.head();
        let stamps = Stamps::Local(NOW);
        let published = publish(&mut desk, &mut [draft(topic, private)], stamps, full);
        if published.is_err() {
            assert_eq!(desk.head(), head, "nothing was stamped");
        }
        published.map(|published| published.shards)
    };
    let mut others = shard(1);
    others.extend(shard(2));
    assert_eq!(to("a", false, others), Ok(shard(0)));
    assert_eq!(to("a", false, shard(0)), Err(Refusal::Full(shard(0))));
    assert_eq!(to("nobody", false, shard(0)), Ok(ShardSet::default()));
    // Only streams that may hear a private event count.
    assert_eq!(to("a", true, shard(0)), Ok(ShardSet::default()));
    assert_eq!(to("b", true, others), Err(Refusal::Full(shard(1))));
    assert_eq!(to("a/1", false, others), Err(Refusal::Full(shard(2))));
    assert_eq!(to("a/1", false, shard(0)), Ok(shard(2)));
}
