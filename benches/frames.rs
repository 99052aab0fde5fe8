//! Encoding an event, against a copy of the same bytes.

use std::hint::black_box;
use std::io;

use criterion::{Criterion, Throughput};
use fantail::core::event::EventId;
use fantail::core::limits::EventLimits;

mod workload {
    pub(crate) mod cost;
    pub(crate) mod frames;
    pub(crate) mod ratio;
}

use workload::cost::measure;
use workload::frames::{Payload, copy_of, encode, payloads};
use workload::ratio;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Frames made in one round of a ratio: enough for the clock's resolution.
const FRAMES_PER_ROUND: u64 = 2_000;

const ID: EventId = EventId::new(1_700_000_000_000 << 20);

fn main() -> io::Result<()> {
    let mut criterion = Criterion::default().configure_from_args();
    for payload in payloads() {
        figures(&mut criterion, &payload)?;
        if ratio::wanted() {
            ratios(&payload)?;
        }
    }
    criterion.final_summary();
    Ok(())
}

fn figures(criterion: &mut Criterion, payload: &Payload) -> io::Result<()> {
    let limits = EventLimits::default();
    encode(payload, &limits, ID).map_err(io::Error::other)?;
    let mut group = criterion.benchmark_group("frames");
    group.throughput(Throughput::ElementsAndBytes {
        elements: 1,
        bytes: payload.data.len() as u64,
    });
    group.bench_function(payload.name, |bencher| {
        bencher.iter(|| encode(black_box(payload), &limits, ID));
    });
    group.finish();
    Ok(())
}

fn ratios(payload: &Payload) -> io::Result<()> {
    let limits = EventLimits::default();
    let frame = encode(payload, &limits, ID).map_err(io::Error::other)?;
    let encoded = || {
        let (cost, ()) = measure(|| {
            for _ in 0..FRAMES_PER_ROUND {
                // Checked above: it is the same payload each time.
                drop(black_box(encode(black_box(payload), &limits, ID)));
            }
        });
        Ok(cost)
    };
    let mut buffer = frame.chunked().to_vec();
    let name = format!("frames/{}", payload.name);
    ratio::print(&name, "encode:memcpy", encoded, || {
        let (cost, ()) = measure(|| {
            for _ in 0..FRAMES_PER_ROUND {
                buffer.copy_from_slice(black_box(frame.chunked()));
                black_box(&mut buffer);
            }
        });
        Ok(cost)
    })?;
    ratio::print(&name, "encode:copy", encoded, || {
        let (cost, ()) = measure(|| {
            for _ in 0..FRAMES_PER_ROUND {
                drop(black_box(copy_of(black_box(&frame))));
            }
        });
        Ok(cost)
    })
}
