//! The place of a value.

use std::fmt;
use std::sync::Arc;

/// The place of a value. Displayed as a compiler would: `fantail.toml:3`, `FANTAIL_LISTEN`,
/// `--listen`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// In the configuration file.
    File {
        /// The file's path as it was given.
        path: Arc<str>,
        /// The line, from 1.
        line: usize,
    },
    /// In an environment variable of this name.
    Environment(String),
    /// In this flag.
    Flag(String),
    /// In a program that made its settings itself.
    Program,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, line } => write!(f, "{path}:{line}"),
            Self::Environment(name) => f.write_str(name),
            Self::Flag(flag) => f.write_str(flag),
            Self::Program => f.write_str("settings"),
        }
    }
}
