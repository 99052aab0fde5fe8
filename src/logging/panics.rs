//! Panics: one log line, and the end of the process.
//!
//! The standard hook writes text to standard error itself: among JSON lines, and it blocks if they
//! are not read. A process that goes on after a panic may have lost a shard, the invariant behind a
//! lock or a listener, and still looks alive. So it ends, in every build, and its supervisor
//! restarts it. The release build has `panic = "abort"` as well, for the same reason and for its
//! size.

use std::io::{self, Write};
use std::panic::{self, PanicHookInfo};
use std::process;
use std::thread;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::lines::WRITER_THREAD;
use super::{FLUSH_MAX, flush};

/// Makes every panic of this process log a line and end the process, from now on.
pub(super) fn hook() {
    panic::set_hook(Box::new(|panic| {
        report(panic);
        process::abort();
    }));
}

fn report(panic: &PanicHookInfo<'_>) {
    let place = panic.location().map(ToString::to_string);
    let place = place.unwrap_or_default();
    let thread = thread::current();
    let thread = thread.name().unwrap_or("unnamed");
    let message = panic.payload_as_str().unwrap_or("no message");
    if thread == WRITER_THREAD {
        // The panic may hold the lock of the lines, and no other thread writes them. A line is
        // shorter than the room of a pipe that polls as writable.
        let stderr = io::stderr();
        let mut ready = [PollFd::new(&stderr, PollFlags::OUT)];
        if poll(&mut ready, Some(&Timespec::default())) == Ok(1) {
            let _ = writeln!(
                &stderr,
                "the log's thread panicked at {place}, which is a defect; the node ends: {message}"
            );
        }
        return;
    }
    tracing::error!(
        thread,
        place,
        "a thread panicked, which is a defect; the node ends: {message}"
    );
    flush(FLUSH_MAX);
}

#[cfg(test)]
mod tests {
    use std::env;
    use std::os::unix::process::ExitStatusExt;
    use std::process::Command;

    use super::*;
    use crate::logging::LogConfig;

    /// Marks the test's own process, and has the place of the panic.
    const WHERE: &str = "FANTAIL_TEST_PANICS_IN";

    /// Runs `test` in a process of its own; returns its log, and the signal that ended it.
    fn in_own_process(test: &str, panics_in: &str) -> (String, Option<i32>) {
        let this = env::current_exe().expect("a path");
        let output = Command::new(this)
            .args(["--exact", "--nocapture", test])
            .env(WHERE, panics_in)
            .env_remove("RUST_LOG")
            .output()
            .expect("it runs");
        let logged = String::from_utf8_lossy(&output.stderr).into_owned();
        (logged, output.status.signal())
    }

    #[test]
    fn a_process_went_on_after_a_panic() {
        let Ok(panics_in) = env::var(WHERE) else {
            let test = "logging::panics::tests::a_process_went_on_after_a_panic";
            for thread in ["shard-7", "a task", WRITER_THREAD] {
                let (logged, signal) = in_own_process(test, thread);
                assert_eq!(signal, Some(libc::SIGABRT), "{thread}: {logged}");
                assert!(logged.contains("the index is wrong"), "{thread}: {logged}");
                assert!(logged.contains("the node ends"), "{thread}: {logged}");
                if thread == "shard-7" {
                    assert!(logged.contains("shard-7"), "{logged}");
                }
            }
            return;
        };
        crate::logging::start(&LogConfig::default()).expect("a log");
        if panics_in == "a task" {
            let runtime = tokio::runtime::Runtime::new().expect("a runtime");
            let task = runtime.spawn(async { panic!("the index is wrong") });
            let _caught = runtime.block_on(task);
        } else {
            let thread = thread::Builder::new().name(panics_in);
            let thread = thread.spawn(|| panic!("the index is wrong"));
            let _caught = thread.expect("a thread").join();
        }
    }
}
