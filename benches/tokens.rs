//! Checking a token, against the bare check of its signature: the cost of reading it beside the
//! cryptography.

use std::hint::black_box;
use std::io;
use std::path::Path;

use criterion::Criterion;

mod workload {
    pub(crate) mod tokens;
}

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> io::Result<()> {
    let mut criterion = Criterion::default().configure_from_args();
    let keys = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/keys");
    for case in workload::tokens::cases(&keys)? {
        if !(case.check() && case.check_bare()) {
            return Err(io::Error::other(format!("{} is refused", case.name)));
        }
        let mut group = criterion.benchmark_group(format!("tokens/{}", case.name));
        group.bench_function("check", |bencher| {
            bencher.iter(|| black_box(&case).check());
        });
        group.bench_function("signature", |bencher| {
            bencher.iter(|| black_box(&case).check_bare());
        });
        group.finish();
    }
    criterion.final_summary();
    Ok(())
}
