//! Settings: their sources, their bounds, and the checked result.
//!
//! Two stages. First everything is only *read*: flags ([`flags`]), environment and file become
//! [`RawSettings`], a list of texts with their places. Then [`load`] *checks* them: each against
//! the one table that names every setting with its bounds, then together against the rules between
//! settings. The result is [`Settings`]. The flags, the help and the documentation are made from
//! the same table, so none of them can differ from it.
//!
//! Files import each other in one direction only, from the sources down to single values:
//!
//! ```text
//!  file, environment, flags ─► raw ─► table ─► kind ─► checked, parse, credentials, key_source ─► reason
//!                    check ──► rules, error ─► conflict, reason ─► origin
//! ```
//!
//! Must never open a port, start a thread or write a log: the result of a check is only returned.

mod bounds;
mod check;
mod checked;
mod conflict;
mod credentials;
mod environment;
mod error;
mod file;
pub mod flags;
mod given;
mod key_source;
mod kind;
mod markdown;
mod origin;
mod parse;
mod raw;
mod reason;
mod rules;
mod service_link;
mod show;
mod table;
mod text_file;
mod user;

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::Path;

pub use checked::Settings;
pub use conflict::Conflict;
pub use environment::config_file;
pub use error::{ConfigError, Problem};
pub use key_source::KeySource;
pub use markdown::markdown;
pub use origin::Origin;
pub use raw::RawSettings;
pub use reason::{Reason, UserFault};
pub(crate) use text_file::read_text;
pub use user::IngestUser;

pub use crate::core::history::{SlowConsumerPolicy, SlowConsumerRule};
pub use crate::logging::{LogFilter, LogFormat};
pub use crate::secret::Secret;
pub use crate::web::host::HostPattern;
pub use crate::web::origin::OriginPattern;

/// Reads the file (if there is one) and the environment, overlays the flags, and checks the result.
///
/// A value that a stronger source replaces is still checked: a broken line is found when it is
/// written, not when the flag that covers it is removed.
///
/// # Errors
/// [`ConfigError`], with every fault, not only the first.
pub fn load(
    file: Option<&Path>,
    environment: impl IntoIterator<Item = (OsString, OsString)>,
    flags: RawSettings,
) -> Result<Settings, ConfigError> {
    check::check(read(file, environment, flags)?)
}

/// The address of the admin listener, for a command that asks a running node. No other setting is
/// checked, nor are the rules between settings: the node has done so. No key or password is read,
/// since the command may run where it cannot be.
///
/// # Errors
/// [`ConfigError`], if a source cannot be read, or the address is none.
pub fn load_admin_listen(
    file: Option<&Path>,
    environment: impl IntoIterator<Item = (OsString, OsString)>,
    flags: RawSettings,
) -> Result<SocketAddr, ConfigError> {
    let mut raw = read(file, environment, flags)?;
    raw.values
        .retain(|value| value.setting.key == "admin_listen");
    Ok(check::check_each(raw)?.admin_listen)
}

fn read(
    file: Option<&Path>,
    environment: impl IntoIterator<Item = (OsString, OsString)>,
    flags: RawSettings,
) -> Result<RawSettings, ConfigError> {
    let mut raw = match file {
        Some(path) => file::read(path)?,
        None => RawSettings::default(),
    };
    raw.append(environment::read(environment));
    raw.append(flags);
    Ok(raw)
}

#[cfg(test)]
mod tests;
