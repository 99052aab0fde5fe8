//! The program `fantail`. All that it does is in the library.

#[path = "main/allocator.rs"]
mod allocator;

use std::process::ExitCode;

fn main() -> ExitCode {
    // Streams are many small records on a few threads: a huge page for each thread that needs a
    // little costs more than all of them, and systems that give them unasked are common. Where this
    // fails, memory is only larger than it has to be.
    let _ = rustix::thread::disable_transparent_huge_pages(true);
    fantail::run_program(allocator::collect)
}
