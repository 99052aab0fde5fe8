//! `cargo xtask docs`: the documentation that is made from the code.

use crate::process::{Failure, cargo, run};

/// Rewrites the table of settings in `docs/OPERATIONS.md`. The test that otherwise compares it does
/// the work.
pub(crate) fn settings_table() -> Result<(), Failure> {
    run(cargo(&["test", "--package", "fantail", "--test", "command_line"]).env("UPDATE_DOCS", "1"))
}
