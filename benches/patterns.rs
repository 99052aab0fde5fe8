//! Publishing one event while ten streams have a thousand different selectors each, against
//! publishing with none. Where the streams hear the event, against ten streams that hear it by one
//! template. Times are the publisher's processor time: deliveries compete with it for the cores.

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

/// Events of one round to topics that are new and match all selectors.
const EVENTS_NEW: u64 = 64;

const ROUNDS: usize = 11;

fn main() -> io::Result<()> {
    let runtime = Builder::new_current_thread().build()?;
    for new_topics in [false, true] {
        let to = if new_topics {
            "a new topic"
        } else {
            "one topic"
        };
        let mut base = Duration::ZERO;
        for case in CASES {
            let audience = patterns::audience(case, SELECTORS, new_topics);
            let mut node = runtime.block_on(Node::start(audience, DATA_BYTES))?;
            let events = if new_topics && case.is_heard() {
                EVENTS_NEW
            } else {
                EVENTS
            };
            let mut rounds = Vec::with_capacity(ROUNDS);
            for _ in 0..ROUNDS {
                rounds.push(runtime.block_on(node.publish(events, 1))?.cpu);
            }
            node.stop()?;
            rounds.sort_unstable();
            let each = rounds[ROUNDS / 2] / events as u32;
            if matches!(case, Case::None | Case::Heard) {
                base = each;
            }
            let ratio = each.as_secs_f64() / base.as_secs_f64();
            println!(
                "{to}, {SELECTORS} selectors, {:<9} {each:>10.2?} an event, ratio {ratio:.2}",
                format!("{case:?}")
            );
        }
    }
    Ok(())
}
