//! Settings: how they are given, what is allowed, and what the node gets.
//!
//! Two stages. First everything is only *read*: flags ([`flags`]), environment and file become [`RawSettings`], a list of
//! texts that remember where they stood. Then [`load`] *checks* them: each against the one table that names every
//! setting with its bounds, then together against the rules that concern more than one, and the result is [`Settings`].
//! The table also makes the flags, the help and the documentation, so none of them can say anything else.
//!
//! Must never open a port, start a thread or write a log: what is checked here is only told by value.

mod check;
mod checked;
mod credentials;
mod environment;
mod error;
mod file;
pub mod flags;
mod key_source;
mod kind;
mod markdown;
mod parse;
mod raw;
mod rules;
mod service_link;
mod table;

use std::ffi::OsString;
use std::path::Path;

pub use checked::*;
pub(crate) use credentials::PASSWORD_BYTES_MAX as SECRET_BYTES_MAX;
pub use environment::config_file;
pub use error::{ConfigError, Problem, Reason, UserFault};
pub(crate) use file::read_text;
pub use key_source::KeySource;
pub use markdown::markdown;
pub(crate) use parse::network;
pub use raw::{Origin, RawSettings};
pub use rules::Conflict;

/// Reads the file (when there is one) and the environment, lays the flags over them, and checks the whole.
///
/// A value that a stronger source replaces is still checked: a broken line is found on the day it is written, not on the
/// day the flag that covered it goes away.
///
/// # Errors
/// [`ConfigError`], with everything that is wrong and not only the first of it.
pub fn load(
    file: Option<&Path>,
    environment: impl IntoIterator<Item = (OsString, OsString)>,
    flags: RawSettings,
) -> Result<Settings, ConfigError> {
    let mut raw = match file {
        Some(path) => file::read(path)?,
        None => RawSettings::default(),
    };
    raw.append(environment::read(environment));
    raw.append(flags);
    check::check(raw)
}

#[cfg(test)]
mod tests;
