//! The fault of a value, independent of its setting.

use thiserror::Error;

use super::user::{DEFAULT_USER, USER_NAME_BYTES_MAX};
use crate::auth::RuleError;
use crate::bridge::pubsub::{ChannelError, ChannelTopicError};
use crate::bridge::redis::AddressError;
use crate::core::limits::GLOB_BYTES_MAX;
use crate::core::selector::SelectorError;
use crate::secret::PASSWORD_BYTES_MAX;
use crate::web::origin::WebOriginError;

/// The fault of a value.
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
    /// Below the bounds.
    #[error("too small")]
    TooSmall,
    /// Above the bounds.
    #[error("too large")]
    TooLarge,
    /// A word that is not allowed.
    #[error("`{0}` is not one of the words that it can be")]
    Word(String),
    /// Neither a topic nor a pattern.
    #[error("`{text}` is neither a topic nor a pattern: {error}")]
    Selector {
        /// The text.
        text: String,
        /// Its fault.
        error: SelectorError,
    },
    /// Not a rule that derives topics from claims.
    #[error("`{text}`: {error}")]
    TopicRule {
        /// The text.
        text: String,
        /// Its fault.
        error: RuleError,
    },
    /// A rule without `=`.
    #[error("`{0}` is not prefix=policy")]
    Rule(String),
    /// The same item twice in a list.
    #[error("`{0}` is there twice")]
    Twice(String),
    /// A text that no browser would send as its origin.
    #[error("`{text}` {error}")]
    Origin {
        /// The text.
        text: String,
        /// Its fault.
        error: WebOriginError,
    },
    /// Not the address of a Redis server. Never names a password.
    #[error("not the address of a Redis server: {0}")]
    LogAddress(AddressError),
    /// Not a channel.
    #[error("`{text}`: {error}")]
    Channel {
        /// The text.
        text: String,
        /// Its fault.
        error: ChannelError,
    },
    /// Not a topic of a channel.
    #[error("`{text}`: {error}")]
    ChannelTopic {
        /// The text.
        text: String,
        /// Its fault.
        error: ChannelTopicError,
    },
    /// Not a URL that keys can be fetched from.
    #[error("not a URL that keys may come from (without a password in it)")]
    KeySetUrl,
    /// Not a path.
    #[error("not a path")]
    Path,
    /// Not a valid name of a cookie.
    #[error("not a name that a cookie can have (letters, digits and !#$%&'*+-.^_`|~)")]
    CookieName,
    /// Not a log filter.
    #[error("not a log filter")]
    Filter,
    /// Braces that Redis Cluster does not take for a hash tag.
    #[error(
        "braces that enclose nothing, or not in pairs: the keys beside it would be elsewhere in a Cluster. Leave them out, or write `{{tag}}`"
    )]
    HashTag,
    /// Empty, but a value is needed.
    #[error("empty")]
    Empty,
    /// A list instead of a single value.
    #[error("a list, where one value is wanted")]
    List,
    /// A table instead of a plain value.
    #[error("a table, where a plain value is wanted")]
    Table,
    /// A value of a type that no setting has, such as a date.
    #[error("a {0}, which no setting takes")]
    Type(&'static str),
    /// An invalid user; never names its password.
    #[error("user {number}: {fault}")]
    User {
        /// Its number in the list, from 1.
        number: usize,
        /// Its fault.
        fault: UserFault,
    },
    /// A file that cannot be read.
    #[error("cannot read the file: {0}")]
    File(String),
}

/// The fault of a user of the ingest port.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum UserFault {
    /// The text has the wrong form.
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
