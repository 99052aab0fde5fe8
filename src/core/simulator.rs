//! A seeded simulator: the real desk and the real cores of several shards, under schedules that no
//! machine would produce in time.
//!
//! Each seed draws a configuration (tiny histories, so that eviction is common) and a schedule of
//! publishes, attaches, resumes, starts in the past, short writes, blocked and dying sinks, expiry, heartbeats and
//! ends, patterns, private events, grants and tokens that end. At random points, the process ends and
//! another one goes on with its state, which was written into bytes; or it crashes, and another one
//! starts with the last history that it saved. What every client receives is decoded by an
//! independent reader (`client`) and checked against a naive list of everything that was ever
//! published (`oracle`).
//!
//! A failing seed prints itself; `SIMULATOR_SEED=<seed> cargo test simulator` replays it,
//! `SIMULATOR_RUNS=<n>` runs more of them.

mod client;
mod inbox;
mod names;
mod network;
mod oracle;
mod stage;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use world::World;

/// Schedules of one ordinary test run.
const RUNS_DEFAULT: u64 = 1_000;

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{variable}={text} is no number")),
    )
}

#[test]
fn every_stream_sees_its_events_once_in_order_or_is_told_the_gap() {
    if let Some(seed) = number("SIMULATOR_SEED") {
        World::new(seed).run();
        return;
    }
    let mut totals = world::Totals::default();
    for seed in 0..number("SIMULATOR_RUNS").unwrap_or(RUNS_DEFAULT) {
        match catch_unwind(AssertUnwindSafe(|| World::new(seed).run())) {
            Ok(run) => totals.add(&run),
            Err(panic) => {
                eprintln!("replay with SIMULATOR_SEED={seed}");
                resume_unwind(panic);
            }
        }
    }
    // Schedules that never meet the hard cases would prove nothing.
    println!("{totals:?}");
    assert!(
        totals.gaps > 100 && totals.cut_frames > 1_000 && totals.resumes > 1_000,
        "{totals:?}"
    );
    assert!(totals.in_past > 1_000, "{totals:?}");
    assert!(totals.lagged > 100 && totals.events > 10_000, "{totals:?}");
    assert!(
        totals.restarts > 1_000 && totals.restored > 3_000 && totals.restored_cut > 300,
        "{totals:?}"
    );
    assert!(
        totals.crashes > 1_000
            && totals.stops > 300
            && totals.lost > 10_000
            && totals.holes > 1_000,
        "{totals:?}"
    );
    assert!(
        totals.breaks > 1_000 && totals.broken_off > 1_000,
        "{totals:?}"
    );
    assert!(totals.kept > 10_000 && totals.carried > 1_000, "{totals:?}");
    assert!(
        totals.moved > 3_000 && totals.moved_behind > 500,
        "{totals:?}"
    );
    assert!(
        totals.repeats > 1_000 && totals.reused > 1_000 && totals.forgotten_keys > 1_000,
        "{totals:?}"
    );
    assert!(totals.waited > 1_000 && totals.gave_up > 100, "{totals:?}");
    assert!(
        totals.live > 10_000 && totals.portions > 1_000,
        "{totals:?}"
    );
    assert!(
        totals.told > 1_000
            && totals.private > 1_000
            && totals.by_pattern > 10_000
            && totals.expired > 100,
        "{totals:?}"
    );
}
