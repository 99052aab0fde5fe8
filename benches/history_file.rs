//! Writing a history file, and loading it: the time that a stop and a start take.

use std::cell::RefCell;
use std::io;
use std::time::{Duration, Instant};

use criterion::{BenchmarkGroup, Criterion, Throughput, measurement::WallTime};

mod workload {
    pub(crate) mod history_file;
}

use workload::history_file::HistoryFile;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const EVENTS: usize = 1_000_000;

const DATA_BYTES: usize = 100;

/// Names of the cases, and over how many topics the events are spread.
const WAYS: [(&str, usize); 2] = [("ten-topics", 10), ("many-topics", 100_000)];

fn main() -> io::Result<()> {
    let mut criterion = Criterion::default().sample_size(10).configure_from_args();
    for (name, topics) in WAYS {
        let history = RefCell::new(HistoryFile::new(topics, EVENTS, DATA_BYTES)?);
        let mut group = criterion.benchmark_group(format!("history-file/{name}"));
        group.throughput(Throughput::ElementsAndBytes {
            elements: history.borrow().events() as u64,
            bytes: history.borrow().bytes(),
        });
        timed(&mut group, "write", || history.borrow_mut().write());
        timed(&mut group, "load", || history.borrow_mut().load());
        group.finish();
    }
    criterion.final_summary();
    Ok(())
}

/// Times `run` without the dropping of its result.
fn timed<T>(group: &mut BenchmarkGroup<'_, WallTime>, name: &str, run: impl Fn() -> io::Result<T>) {
    group.bench_function(name, |bencher| {
        bencher.iter_custom(|times| {
            let once = |_| {
                let started = Instant::now();
                let result = run().expect("a history");
                let took = started.elapsed();
                drop(result);
                took
            };
            (0..times).map(once).sum::<Duration>()
        });
    });
}
