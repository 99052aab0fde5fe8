//! Load tests for Server-Sent Events servers.

use std::process::ExitCode;

/// A client process holds hundreds of thousands of small allocations; this allocator keeps them
/// small.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    fantail_loadtest::run()
}
