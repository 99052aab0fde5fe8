//! The program's output on standard output and standard error. Neither may end it: a closed pipe or
//! a full disk loses the line, and nothing else.

use std::fmt::Display;
use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};

/// A line for standard output was lost.
static OUT_LOST: AtomicBool = AtomicBool::new(false);

/// A line of the result, on standard output.
pub(crate) fn out(line: impl Display) {
    if writeln!(io::stdout().lock(), "{line}").is_err() {
        OUT_LOST.store(true, Ordering::Relaxed);
    }
}

/// A line beside the result, on standard error.
pub(crate) fn err(line: impl Display) {
    // Standard error was the last resort.
    let _ = writeln!(io::stderr().lock(), "{line}");
}

/// Reports if a part of the result could not be shown.
pub(crate) fn tell_lost() {
    if OUT_LOST.load(Ordering::Relaxed) {
        err(
            "fantail-loadtest: standard output is closed or full, so not all of the result was shown; files were written",
        );
    }
}
