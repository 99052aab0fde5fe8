//! Why a configuration is refused. Every message says where the value stands, what it is and what
//! would be right.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use super::conflict::Conflict;
use super::origin::Origin;
use super::reason::Reason;

/// Why there are no settings.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// The configuration file cannot be read.
    #[error("{}: cannot read the configuration file: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Values are refused; all of them are here, one a line when displayed.
    #[error("{}", lines(.0))]
    Refused(Vec<Problem>),
}

/// One thing that is wrong with a configuration.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Problem {
    /// The file is not TOML.
    #[error("{origin}: not TOML: {message}")]
    Syntax {
        /// Where.
        origin: Origin,
        /// What the parser wanted.
        message: String,
    },
    /// There is no such setting.
    #[error("{origin}: unknown setting `{key}`{}; `fantail settings` lists them all", hint(.nearest))]
    Unknown {
        /// Where.
        origin: Origin,
        /// What was written.
        key: String,
        /// The setting that was probably meant.
        nearest: Option<&'static str>,
    },
    /// The value of a setting is not allowed.
    #[error("{origin}: `{key}` = {value}: {reason}; allowed: {allowed}")]
    Value {
        /// Where.
        origin: Origin,
        /// The setting.
        key: &'static str,
        /// What was written, or `(hidden)` where it may be a secret.
        value: String,
        /// What is wrong with it.
        reason: Reason,
        /// What is right.
        allowed: String,
    },
    /// Settings that are right one by one do not go together.
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
