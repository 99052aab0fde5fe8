//! The program `fantail`. The library does all the work.

#[path = "main/allocator.rs"]
mod allocator;

use std::process::ExitCode;

fn main() -> ExitCode {
    // Streams are many small records on a few threads. A huge page for each thread that needs a
    // little costs more than all of them, and many systems use huge pages unasked. If this fails,
    // the process only uses more memory than needed.
    let _ = rustix::thread::disable_transparent_huge_pages(true);
    fantail::run_program(allocator::collect, allocator::set_eager)
}
