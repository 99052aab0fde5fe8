//! Seeded schedules of a log, the nodes that follow it and clients that hop between them, checked by
//! what the clients got and were told.
//!
//! The log is a row of servers: the newest has the log, the older ones are those that lost it, and
//! still answer nodes that have not noticed. A server that takes over begins with a part of its
//! predecessor's entries. Entries are cut off, removed and lost; replies are lost; appends come late
//! (`server`). A node applies what its follower says to a plain list (`node`). A client has a cursor, and
//! notes what it gets and is told (`client`). At the end faults cease, and `judge` compares.
//!
//! `FOLLOW_SEED=<n>` replays one schedule, `FOLLOW_SEEDS=<n>` sets their number.

mod client;
mod judge;
mod node;
mod server;
mod world;

use std::env;

use world::{Totals, World};

/// Schedules of a run of the tests.
const SEEDS: u64 = 1_500;

fn number(name: &str) -> Option<u64> {
    let text = env::var(name).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{name}={text} is no number")),
    )
}

#[test]
fn every_client_gets_each_event_once_in_order_or_is_told_the_gap_whatever_node_it_is_on() {
    if let Some(seed) = number("FOLLOW_SEED") {
        World::new(seed, true).run(&mut Totals::default());
        return;
    }
    let mut totals = Totals::default();
    for seed in 0..number("FOLLOW_SEEDS").unwrap_or(SEEDS) {
        let run = std::panic::AssertUnwindSafe(|| World::new(seed, false).run(&mut totals));
        if let Err(panic) = std::panic::catch_unwind(run) {
            eprintln!("FOLLOW_SEED={seed} replays it");
            std::panic::resume_unwind(panic);
        }
    }
    println!("{totals:?}");
    totals.assert_all_met();
}
