//! Errors of commands, in Redis's words wherever Redis has them.
//!
//! The first word of each text is the code from which client libraries choose an error type.

use std::fmt::Write as _;

use thiserror::Error;

use crate::core::event::EventError;
use crate::core::glob::GlobTooLong;
use crate::hub::{Closed, NotPublished, Reused, Unlogged};
use crate::ingest::resp::Arg;
use crate::ingest::script::Refusal;
use crate::ingest::users::Denied;

/// Most bytes of the client's input that an error text repeats, as in Redis.
const QUOTED_BYTES_MAX: usize = 128;

/// The advice after a script that is not understood.
const SCRIPTS_HELP: &str = "Only scripts that publish are understood: redis.call('publish', ...) with KEYS, ARGV and texts, also in a loop \
    over KEYS or ARGV. Send PUBLISH commands instead, in a pipeline or between MULTI and EXEC";

/// Why a command was refused; displays as the error reply without its leading dash.
#[derive(Debug, Error)]
pub(in crate::ingest) enum CommandError {
    #[error("ERR unknown command '{name}', with args beginning with: {args}{hint}")]
    Unknown {
        name: String,
        args: String,
        hint: &'static str,
    },
    #[error("ERR unknown subcommand '{given}'. Try {container} HELP.")]
    UnknownSubcommand { given: String, container: String },
    #[error(
        "ERR unknown subcommand or wrong number of arguments for '{given}'. Try {container} HELP."
    )]
    SubcommandArguments {
        given: String,
        container: &'static str,
    },
    #[error("ERR wrong number of arguments for '{0}' command")]
    Arity(&'static str),
    #[error("OOM the node holds as much memory for its clients as it may (memory_budget)")]
    OutOfMemory,
    #[error("ERR syntax error")]
    Syntax,
    #[error("ERR syntax error, {0}")]
    SyntaxBecause(&'static str),
    #[error("ERR value is not an integer or out of range")]
    NotInteger,

    #[error("NOAUTH Authentication required.")]
    NoAuth,
    #[error(
        "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH <user> <pass> option can be \
         used to authenticate the client and select the RESP protocol version at the same time"
    )]
    HelloNoAuth,
    #[error("WRONGPASS invalid username-password pair or user is disabled.")]
    WrongPassword,
    #[error(
        "ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?"
    )]
    NoPasswordSet,
    #[error("NOPERM User {user} has no permissions to run the '{command}' command")]
    NoPermission { user: String, command: &'static str },
    #[error("NOPERM No permissions to access a channel")]
    NoPermissionChannel,
    #[error("NOPERM No permissions to access a key")]
    NoPermissionKey,

    #[error("NOPROTO unsupported protocol version")]
    NoProtocol,
    #[error("ERR Protocol version is not an integer or out of range")]
    ProtocolNotInteger,
    #[error("ERR Syntax error in HELLO option '{0}'")]
    HelloOption(String),
    #[error("ERR {0} cannot contain spaces, newlines or special characters.")]
    NameCharacters(&'static str),
    #[error("ERR {what} cannot be longer than {max} bytes.")]
    NameLength { what: &'static str, max: usize },
    #[error("ERR Unrecognized option '{0}'")]
    UnknownAttribute(String),
    #[error("ERR Unknown client type '{0}'")]
    ClientType(String),
    #[error("ERR Invalid client ID")]
    ClientId,
    #[error("ERR This instance has cluster support disabled")]
    NoCluster,
    #[error("ERR DB index is out of range")]
    Database,

    #[error("ERR MULTI calls can not be nested")]
    NestedMulti,
    #[error("ERR {0} without MULTI")]
    WithoutMulti(&'static str),
    #[error("ERR WATCH inside MULTI is not allowed")]
    WatchInMulti,
    #[error("EXECABORT Transaction discarded because of previous errors.")]
    ExecAbort,
    #[error("EXECABORT Transaction discarded because of: {0}")]
    ExecAbortBecause(String),
    #[error("ERR {0}")]
    Closed(#[from] Closed),
    #[error("KEYREUSED {0}")]
    KeyReused(#[from] Reused),
    #[error("KEYREUSED {0}{others}", others = .0.others())]
    KeyReusedByOne(Reused),
    #[error("TRYAGAIN not published: {0}")]
    Away(Unlogged),
    #[error(
        "ERR outcome unknown, the event may have been published: {0}; repeat it with the same field `key` to learn it and to publish once"
    )]
    OutcomeUnknown(Unlogged),
    #[error(
        "ERR WATCH is not supported with a log (setting `log`): the order of events is not this node's alone, so it cannot see every change \
         before EXEC; publish with an idempotency key (field `key`) instead"
    )]
    WatchWithLog,
    #[error("NOSCRIPT No matching script. Please use EVAL.")]
    NoScript,
    #[error("ERR Number of keys can't be negative")]
    NegativeKeys,
    #[error("ERR Number of keys can't be greater than number of args")]
    TooManyKeys,
    #[error("ERR SCRIPT FLUSH only support SYNC|ASYNC option")]
    ScriptFlush,
    #[error("ERR Lua redis lib command arguments must be strings or integers")]
    ScriptArgument,
    #[error("ERR Wrong number of args calling Redis command from script")]
    ScriptArity,
    #[error("ERR scripts only publish: PUBLISH, SPUBLISH, and XADD without NOMKSTREAM")]
    ScriptCommand,
    #[error(
        "ERR this script is not run: it needs a number where it has another value, or text where it has a reply. {SCRIPTS_HELP}"
    )]
    ScriptValues,
    #[error("{0}")]
    InScript(String),
    #[error("ERR this script is not run: {0}. {SCRIPTS_HELP}")]
    Script(#[from] Refusal),
    #[error(
        "ERR more than {max} {what} at once are not taken (setting `{setting}`): send EXEC earlier, or commands without MULTI or a script"
    )]
    TransactionTooLarge {
        what: &'static str,
        max: usize,
        setting: &'static str,
    },

    #[error("ERR Invalid stream ID specified as stream command argument")]
    InvalidId,
    #[error("ERR invalid {0} ID for the interval")]
    Interval(&'static str),
    #[error("ERR The {0} argument must be >= 0.")]
    Negative(&'static str),
    #[error(
        "ERR ids are given by the node: send * as the id (a publisher's own id, which its clients see, goes into the field `id`)"
    )]
    ExplicitId,
    #[error(
        "ERR Unbalanced XREAD list of streams: for each stream key an ID or '$' must be specified."
    )]
    UnbalancedStreams,
    #[error(
        "ERR The > ID can be specified only when calling XREADGROUP using the GROUP <group> <consumer> option."
    )]
    GroupId,
    #[error("ERR The {0} option is only supported by XREADGROUP. You called XREAD instead.")]
    GroupOption(&'static str),
    #[error(
        "ERR BLOCK is not supported: this port does not push; open a stream over HTTP instead (GET /events?topic=...)"
    )]
    Block,
    #[error(
        "ERR the answer would be longer than {0} bytes; ask for less (COUNT, fewer topics, a narrower pattern)"
    )]
    TooLong(usize),

    #[error("ERR {0} must be UTF-8")]
    NotUtf8(&'static str),
    #[error("ERR field '{0}' is given twice")]
    FieldTwice(String),
    #[error(
        "ERR field '{0}' cannot stand beside `data`: send either `data` or fields that become a JSON object"
    )]
    FieldBesideData(String),
    #[error(
        "ERR field 'key' is the idempotency key, and needs the event's data in `data`; give the \
         field another name if it belongs to the data"
    )]
    KeyWithoutData,
    #[error("ERR `retry` must be a whole number of milliseconds")]
    Retry,
    #[error("ERR `private` must be 1, true, 0 or false")]
    Private,
    #[error("ERR {0}")]
    Event(#[from] EventError),
    #[error("ERR {0}")]
    Pattern(#[from] GlobTooLong),
}

impl From<Denied> for CommandError {
    fn from(denied: Denied) -> Self {
        match denied {
            Denied::WrongPassword => Self::WrongPassword,
            Denied::NoPasswordSet => Self::NoPasswordSet,
        }
    }
}

impl From<NotPublished> for CommandError {
    fn from(error: NotPublished) -> Self {
        match error {
            NotPublished::Closed(closed) => closed.into(),
            NotPublished::Reused(reused) => reused.into(),
            NotPublished::Away(unlogged) => Self::Away(unlogged),
            NotPublished::Unknown(unlogged) => Self::OutcomeUnknown(unlogged),
        }
    }
}

impl CommandError {
    /// A transaction exceeds `ingest_transaction_commands_max`; `what` names the counted items.
    pub(super) fn too_many(max: usize, what: &'static str) -> Self {
        let setting = "ingest_transaction_commands_max";
        Self::TransactionTooLarge { what, max, setting }
    }

    /// A transaction is larger than `ingest_transaction_bytes_max`.
    pub(super) fn too_many_bytes(max: usize) -> Self {
        let setting = "ingest_transaction_bytes_max";
        let what = "bytes";
        Self::TransactionTooLarge { what, max, setting }
    }

    /// The command does not exist. For commands that would make Redis push, the text names the
    /// alternative.
    pub(super) fn unknown(args: &[Arg<'_>]) -> Self {
        let reads = [
            "subscribe",
            "psubscribe",
            "ssubscribe",
            "xreadgroup",
            "monitor",
        ]
        .iter()
        .any(|name| args[0].eq_ignore_ascii_case(name.as_bytes()));
        let mut quoted = String::new();
        for arg in &args[1..] {
            if quoted.len() >= QUOTED_BYTES_MAX {
                break;
            }
            let room = QUOTED_BYTES_MAX - quoted.len();
            // Writing to a `String` cannot fail.
            let _ = write!(quoted, "'{}' ", lossy(&arg[..arg.len().min(room)]));
        }
        Self::Unknown {
            name: quote(&args[0]),
            args: quoted,
            hint: if reads {
                "(this port only takes events in; streams are read over HTTP: GET /events?topic=...)"
            } else {
                ""
            },
        }
    }
}

/// Input of the client, made safe to be repeated in an error text.
pub(super) fn quote(text: &[u8]) -> String {
    lossy(&text[..text.len().min(QUOTED_BYTES_MAX)])
}

fn lossy(text: &[u8]) -> String {
    String::from_utf8_lossy(text).into_owned()
}
