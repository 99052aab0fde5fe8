//! Matching a topic against a selector: an exact name, wildcards, templates.

use std::hint::black_box;
use std::io;

use criterion::Criterion;

mod workload {
    pub(crate) mod selectors;
}

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> io::Result<()> {
    let mut criterion = Criterion::default().configure_from_args();
    let mut group = criterion.benchmark_group("selectors");
    for case in workload::selectors::cases().map_err(io::Error::other)? {
        if case.selector.matches(case.topic) != case.matches {
            return Err(io::Error::other(format!("{} is wrong", case.name)));
        }
        group.bench_function(&case.name, |bencher| {
            bencher.iter(|| black_box(&case.selector).matches(black_box(case.topic)));
        });
    }
    group.finish();
    criterion.final_summary();
    Ok(())
}
