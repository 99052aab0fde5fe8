//! One shard's fan-out, against a bare loop of `send()` on the same sockets.
//!
//! The goals: at most 1.1 times the loop for one event at a time, at most 1.5 times in bursts.
//! Streams of several topics in bursts: at most 1.1 times those of one topic.

use std::io;
use std::time::Duration;

use criterion::{Criterion, Throughput};

mod workload {
    pub(crate) mod bare;
    pub(crate) mod cost;
    pub(crate) mod fanout;
    pub(crate) mod ratio;
    pub(crate) mod sockets;
    pub(crate) mod swallow;
}

use workload::cost::Cost;
use workload::fanout::{Fanout, SEVERAL};
use workload::ratio;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const STREAMS: usize = 2_000;

const DATA_BYTES: usize = 128;

/// Names of the two ways to publish, and how many events wait together in each.
const WAYS: [(&str, usize); 2] = [("one-at-a-time", 1), ("burst-of-40", 40)];

/// The shard's turns, or the loop: delivers one burst and returns the cost.
type Deliver = fn(&mut Fanout, usize) -> io::Result<Cost>;

/// Events, or bursts, in one round of a ratio.
const PER_ROUND: usize = 4;

fn main() -> io::Result<()> {
    let mut criterion = Criterion::default().configure_from_args().sample_size(20);
    let mut fanout = Fanout::open(STREAMS, DATA_BYTES)?;
    for (name, burst) in WAYS {
        if ratio::wanted() {
            ratios(&mut fanout, name, burst)?;
        }
        figures(&mut criterion, &mut fanout, name, burst);
    }
    if ratio::wanted() {
        told_topics(&mut fanout)?;
        several_topics(fanout)?;
    }
    criterion.final_summary();
    Ok(())
}

/// Deliveries to streams that are told the topic of each event, against the same without.
fn told_topics(plain: &mut Fanout) -> io::Result<()> {
    let mut told = Fanout::open_told(STREAMS, DATA_BYTES)?;
    for (name, burst) in WAYS {
        let round = |fanout: &mut Fanout| {
            let mut sum = Cost::default();
            for _ in 0..PER_ROUND {
                sum += fanout.by_shard(burst)?;
            }
            Ok(sum)
        };
        let name = format!("fanout/with-topic/{name}");
        ratio::print(&name, "with:without", || round(&mut told), || round(plain))?;
    }
    Ok(())
}

/// Bursts over several topics, to streams that have all of them, against the same to streams of one
/// topic.
fn several_topics(one: Fanout) -> io::Result<()> {
    let several = Fanout::open_on(SEVERAL, STREAMS, DATA_BYTES)?;
    let (_, burst) = WAYS[1];
    let round = |mut fanout: Fanout| {
        move || {
            let mut sum = Cost::default();
            for _ in 0..PER_ROUND {
                sum += fanout.by_shard(burst)?;
            }
            Ok(sum)
        }
    };
    let name = "fanout/several-topics/burst-of-40";
    ratio::print(name, "several:one", round(several), round(one))
}

fn ratios(fanout: &mut Fanout, name: &str, burst: usize) -> io::Result<()> {
    let fanout = std::cell::RefCell::new(fanout);
    let round = |deliver: Deliver| {
        let fanout = &fanout;
        move || {
            let mut sum = Cost::default();
            for _ in 0..PER_ROUND {
                sum += deliver(&mut fanout.borrow_mut(), burst)?;
            }
            Ok(sum)
        }
    };
    let (shard, bare) = (round(Fanout::by_shard), round(Fanout::by_loop));
    ratio::print(&format!("fanout/{name}"), "shard:bare", shard, bare)
}

fn figures(criterion: &mut Criterion, fanout: &mut Fanout, name: &str, burst: usize) {
    let mut group = criterion.benchmark_group(format!("fanout/{name}"));
    group.throughput(Throughput::Elements((fanout.streams() * burst) as u64));
    let sides: [(&str, Deliver); 2] = [("shard", Fanout::by_shard), ("bare", Fanout::by_loop)];
    for (side, deliver) in sides {
        group.bench_function(side, |bencher| {
            bencher.iter_custom(|times| {
                let costs = (0..times).map(|_| deliver(fanout, burst).map(|cost| cost.wall));
                costs.sum::<io::Result<Duration>>().expect("a round")
            });
        });
    }
    group.finish();
}
