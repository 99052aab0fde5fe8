//! A stream that resumes over its topic's history, against a bare loop of `send()` with the same
//! bytes.

use std::cell::RefCell;
use std::io;
use std::time::Duration;

use criterion::{Criterion, Throughput};

mod workload {
    pub(crate) mod bare;
    pub(crate) mod cost;
    pub(crate) mod ratio;
    pub(crate) mod replay;
    pub(crate) mod swallow;
}

use workload::ratio;
use workload::replay::Replay;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const EVENTS: usize = 1_000;

const DATA_BYTES: usize = 128;

/// Names of the cases, and over how many topics the events are spread.
const WAYS: [(&str, usize); 2] = [("one-topic", 1), ("ten-topics", 10)];

fn main() -> io::Result<()> {
    let mut criterion = Criterion::default().configure_from_args();
    for (name, topics) in WAYS {
        let replay = RefCell::new(Replay::new(topics, EVENTS, DATA_BYTES)?);
        if ratio::wanted() {
            ratio::print(
                &format!("replay/{name}"),
                "resume:bare",
                || replay.borrow_mut().by_shard(),
                || replay.borrow_mut().by_loop(),
            )?;
        }
        figures(&mut criterion, &mut replay.borrow_mut(), name);
    }
    criterion.final_summary();
    Ok(())
}

fn figures(criterion: &mut Criterion, replay: &mut Replay, name: &str) {
    let mut group = criterion.benchmark_group("replay");
    group.throughput(Throughput::ElementsAndBytes {
        elements: replay.events() as u64,
        bytes: replay.bytes() as u64,
    });
    group.bench_function(name, |bencher| {
        bencher.iter_custom(|times| {
            let costs = (0..times).map(|_| replay.by_shard().map(|cost| cost.wall));
            costs.sum::<io::Result<Duration>>().expect("a resume")
        });
    });
    group.finish();
}
