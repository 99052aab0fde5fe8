//! `cargo xtask docs`: what of the documentation is made from the code.

use crate::process::{Failure, cargo, run};

/// Writes the table of settings in `docs/OPERATIONS.md` anew. The test that else compares it knows
/// how.
pub(crate) fn settings_table() -> Result<(), Failure> {
    run(cargo(&["test", "--package", "fantail", "--test", "command_line"]).env("UPDATE_DOCS", "1"))
}
