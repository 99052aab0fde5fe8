//! `cargo xtask docs`: the documentation that is made from the code and the examples.

use crate::process::{Failure, cargo, run};

/// Rewrites the table of settings and the configurations of proxies in `docs/OPERATIONS.md`. The
/// tests that otherwise compare them do the work.
pub(crate) fn operations() -> Result<(), Failure> {
    run(cargo(&["test", "--package", "fantail", "--test", "command_line"]).env("UPDATE_DOCS", "1"))
}
