//! The parts of `docs/OPERATIONS.md` that are copied into it.

use std::sync::Mutex;
use std::{env, fs};

/// The document.
pub(crate) const OPERATIONS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/OPERATIONS.md");

/// Set to anything, this rewrites the parts instead of comparing them.
const UPDATE_DOCS: &str = "UPDATE_DOCS";

/// Held while the document is read and rewritten: tests run at the same time.
static REWRITING: Mutex<()> = Mutex::new(());

/// Panics unless the document has this part between these lines, or puts it there.
pub(crate) fn has(begin: &str, part: &str, end: &str) {
    let _rewriting = REWRITING.lock();
    let document = fs::read_to_string(OPERATIONS).expect("docs/OPERATIONS.md");
    let (before, rest) = document
        .split_once(begin)
        .unwrap_or_else(|| panic!("no line {begin}"));
    let (_, after) = rest
        .split_once(end)
        .unwrap_or_else(|| panic!("no line {end}"));
    let expected = format!("{before}{begin}\n{part}\n{end}{after}");
    if document == expected {
        return;
    }
    assert!(
        env::var_os(UPDATE_DOCS).is_some(),
        "{OPERATIONS} has drifted after the line {begin}`{UPDATE_DOCS}=1 cargo test --test command_line` rewrites it",
    );
    fs::write(OPERATIONS, expected).expect("docs/OPERATIONS.md, rewritten");
}
