//! Why a configuration is refused. Every message says where the value stands, what it is and what would be right.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use super::credentials::{DEFAULT_USER, PASSWORD_BYTES_MAX, USER_NAME_BYTES_MAX};
use super::{Conflict, Origin};
use crate::core::limits::GLOB_BYTES_MAX;
use crate::web::origin::WebOriginError;

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

/// What is wrong with a value.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Reason {
    /// Not `address:port`.
    #[error("not an IP address with a port")]
    Address,
    /// Not a network.
    #[error("`{0}` is neither an address nor a network (address/bits)")]
    Network(String),
    /// Not the name of a host.
    #[error("`{0}` is not the name of a host, without scheme and port")]
    Host(String),
    /// Not `true` or `false`.
    #[error("neither true nor false")]
    Switch,
    /// Not a whole number.
    #[error("not a whole number")]
    Number,
    /// Not a number of bytes.
    #[error("not a number of bytes (such as 4096 or 64KiB)")]
    Bytes,
    /// Not a length of time.
    #[error("not a length of time with its unit (such as 500ms, 15s or 1h)")]
    Time,
    /// Below what is allowed.
    #[error("too small")]
    TooSmall,
    /// Above what is allowed.
    #[error("too large")]
    TooLarge,
    /// None of the words that are allowed.
    #[error("`{0}` is not one of the words that it can be")]
    Word(String),
    /// A rule without `=`.
    #[error("`{0}` is not prefix=policy")]
    Rule(String),
    /// The same thing twice in a list.
    #[error("`{0}` is there twice")]
    Twice(String),
    /// What a browser would never send as its origin.
    #[error("`{text}` {error}")]
    Origin {
        /// What was given.
        text: String,
        /// What is wrong with it.
        error: WebOriginError,
    },
    /// Not a URL that keys may be fetched from.
    #[error("not a URL that keys may come from (without a password in it)")]
    KeySetUrl,
    /// Not a name that a cookie can have.
    #[error("not a name that a cookie can have (letters, digits and !#$%&'*+-.^_`|~)")]
    CookieName,
    /// Not a log filter.
    #[error("not a log filter")]
    Filter,
    /// Nothing where something must be.
    #[error("empty")]
    Empty,
    /// A list where one value is wanted.
    #[error("a list, where one value is wanted")]
    List,
    /// A table where a plain value is wanted.
    #[error("a table, where a plain value is wanted")]
    Table,
    /// A value of a type that no setting has, such as a date.
    #[error("a {0}, which no setting takes")]
    Type(&'static str),
    /// A user that cannot be; never names its password.
    #[error("user {number}: {fault}")]
    User {
        /// Which user of the list, from 1.
        number: usize,
        /// What is wrong with it.
        fault: UserFault,
    },
    /// A file that cannot be read.
    #[error("cannot read the file: {0}")]
    File(String),
}

/// What is wrong with a user of the ingest port.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum UserFault {
    /// Not in the form of a text.
    #[error("not name:password:glob,glob")]
    Form,
    /// Not a table in the file.
    #[error("not a table with name, password, publish")]
    NotATable,
    /// A field that users do not have.
    #[error("unknown field `{0}`")]
    UnknownField(String),
    /// A field that is missing or of the wrong type.
    #[error("`{0}` must be a {1}")]
    Field(&'static str, &'static str),
    /// An empty, overlong or blank name.
    #[error(
        "the name must be 1 to {USER_NAME_BYTES_MAX} bytes without spaces or control characters"
    )]
    Name,
    /// The name that belongs to `ingest_password`.
    #[error("the user `{DEFAULT_USER}` is the one of `ingest_password`: set that instead")]
    Default,
    /// An empty or overlong password.
    #[error("the password must be 1 to {PASSWORD_BYTES_MAX} bytes")]
    Password,
    /// A glob that matches nothing.
    #[error("an empty glob in `publish`")]
    Glob,
    /// A glob that would be slow to match.
    #[error("a glob in `publish` is longer than {GLOB_BYTES_MAX} bytes")]
    LongGlob,
}

fn lines(problems: &[Problem]) -> String {
    let lines: Vec<String> = problems.iter().map(Problem::to_string).collect();
    lines.join("\n")
}

fn hint(nearest: &Option<&'static str>) -> String {
    nearest.map_or_else(String::new, |key| format!(" (did you mean `{key}`?)"))
}
