//! Publishing one event while ten streams have a thousand different selectors each, against
//! publishing with none.

use std::io;
use std::time::Duration;

use tokio::runtime::Builder;

mod workload {
    pub(crate) mod patterns;
    pub(crate) mod publish;
    pub(crate) mod sockets;
    pub(crate) mod swallow;
}

use workload::patterns::{self, CASES, Case};
use workload::publish::Node;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const SELECTORS: usize = 10_000;

const DATA_BYTES: usize = 128;

/// Events of one round.
const EVENTS: u64 = 4_096;

/// Events of one round where all selectors match.
const EVENTS_MATCHING: u64 = 256;

const ROUNDS: usize = 11;

fn main() -> io::Result<()> {
    let runtime = Builder::new_current_thread().build()?;
    for new_topics in [false, true] {
        let to = if new_topics {
            "a new topic"
        } else {
            "one topic"
        };
        let mut none = Duration::ZERO;
        for case in CASES {
            let audience = patterns::audience(case, SELECTORS, new_topics);
            let mut node = runtime.block_on(Node::start(audience, DATA_BYTES))?;
            let events = if case.is_heard() {
                EVENTS_MATCHING
            } else {
                EVENTS
            };
            let mut rounds = Vec::with_capacity(ROUNDS);
            for _ in 0..ROUNDS {
                rounds.push(runtime.block_on(node.publish(events, 1))?);
            }
            node.stop()?;
            rounds.sort_unstable();
            let each = rounds[ROUNDS / 2] / events as u32;
            if case == Case::None {
                none = each;
            }
            let ratio = each.as_secs_f64() / none.as_secs_f64();
            println!(
                "{to}, {SELECTORS} selectors, {:<9} {each:>10.2?} an event, ratio {ratio:.2}",
                format!("{case:?}")
            );
        }
    }
    Ok(())
}
