//! Publishing through the hub: what one publisher gets through, with no streams and while streams
//! are written to.

use std::io;

use criterion::{BenchmarkId, Criterion, Throughput};
use tokio::runtime::{Builder, Runtime};

mod workload {
    pub(crate) mod publish;
    pub(crate) mod sockets;
    pub(crate) mod swallow;
}

use workload::publish::{Audience, Node};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const DATA_BYTES: usize = 128;

const BATCHES: [usize; 3] = [1, 16, 64];

/// Streams on the topic that is published to.
const STREAMS: [usize; 2] = [0, 100];

fn main() -> io::Result<()> {
    let mut criterion = Criterion::default().configure_from_args();
    let runtime = Builder::new_current_thread().build()?;
    for streams in STREAMS {
        figures(&mut criterion, &runtime, streams)?;
    }
    criterion.final_summary();
    Ok(())
}

fn figures(criterion: &mut Criterion, runtime: &Runtime, streams: usize) -> io::Result<()> {
    let mut node = runtime.block_on(Node::start(Audience::on_topic(streams), DATA_BYTES))?;
    let mut group = criterion.benchmark_group(format!("publish/{streams}-streams"));
    let mut failed = None;
    for size in BATCHES {
        group.throughput(Throughput::Elements(size as u64));
        group.bench_function(BenchmarkId::new("batch", size), |bencher| {
            bencher.iter_custom(|batches| {
                let took = runtime.block_on(node.publish(batches, size));
                took.map(|took| took.time).unwrap_or_else(|error| {
                    failed = Some(error);
                    std::time::Duration::MAX
                })
            });
        });
    }
    group.finish();
    node.stop()?;
    failed.map_or(Ok(()), Err)
}
