//! Why a configuration is refused. Every message has the place of the value, the value itself and
//! what is allowed.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use super::conflict::Conflict;
use super::origin::Origin;
use super::reason::Reason;

/// Why settings could not be loaded.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// The configuration file cannot be read.
    #[error("{}: cannot read the configuration file: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// Refused values: all of them, one per line when displayed.
    #[error("{}", lines(.0))]
    Refused(Vec<Problem>),
}

/// One fault of a configuration.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Problem {
    /// The file is not TOML.
    #[error("{origin}: not TOML: {message}")]
    Syntax {
        /// The place.
        origin: Origin,
        /// The parser's message.
        message: String,
    },
    /// An unknown setting.
    #[error("{origin}: unknown setting `{key}`{}; `fantail settings` lists them all", hint(.nearest))]
    Unknown {
        /// The place.
        origin: Origin,
        /// The key as written.
        key: String,
        /// The setting that was probably meant.
        nearest: Option<&'static str>,
    },
    /// The value of a setting is not allowed.
    #[error("{origin}: `{key}` = {value}: {reason}; allowed: {allowed}")]
    Value {
        /// The place.
        origin: Origin,
        /// The setting.
        key: &'static str,
        /// The value as written, or `(hidden)` if it may be a secret.
        value: String,
        /// The fault.
        reason: Reason,
        /// The allowed values.
        allowed: String,
    },
    /// Settings that are valid one by one conflict.
    #[error(transparent)]
    Conflict(#[from] Conflict),
}

fn lines(problems: &[Problem]) -> String {
    let lines: Vec<String> = problems.iter().map(Problem::to_string).collect();
    lines.join("\n")
}

fn hint(nearest: &Option<&'static str>) -> String {
    nearest.map_or_else(String::new, |key| format!(" (did you mean `{key}`?)"))
}
