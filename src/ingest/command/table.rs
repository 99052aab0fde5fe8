//! The table of commands: the only list of their names, arguments and users.
//!
//! `COMMAND` answers from this table, so the answer is always true. Flags and categories are those
//! of Redis 7.2.

mod subcommands;

use self::subcommands::{CLIENT, CLUSTER, COMMAND, CONFIG, PUBSUB, SCRIPT, no_cluster};
use super::spec::{Access, Commands, Run, Spec};
use super::{connection, history, info, introspect, publish, script, server, transaction, xadd};

const FAST: &[&str] = &["@fast", "@connection"];
const READ_STREAM: &[&str] = &["@read", "@stream", "@slow"];
/// Flags of the commands that a connection may send before it has authenticated.
const NO_AUTH: &[&str] = &[
    "noscript",
    "loading",
    "stale",
    "fast",
    "no_auth",
    "allow_busy",
];
const LOADING: &[&str] = &["loading", "stale"];
const ADMIN: &[&str] = &["admin", "noscript", "loading", "stale"];
const ADMIN_CONNECTION: &[&str] = &["@admin", "@slow", "@dangerous", "@connection"];
/// Flags of the commands around a transaction.
const TRANSACTION_FLAGS: &[&str] = &["noscript", "loading", "stale", "fast", "allow_busy"];
const SCRIPT_FLAGS: &[&str] = &[
    "noscript",
    "stale",
    "skip_monitor",
    "no_mandatory_keys",
    "movablekeys",
];
const SCRIPTING: &[&str] = &["@slow", "@scripting"];
const TRANSACTION: &[&str] = &["@fast", "@transaction"];

use Access::{Anyone, Inspector, User};

/// All commands. The hot ones come first.
pub(in crate::ingest) const COMMANDS: Commands = Commands(&[
    Spec::new("publish", 3, User, Run::Publish(publish::publish))
        .about("2.0.0", "Publishes an event.", "topic data")
        .flags(&["pubsub", "loading", "stale", "fast"])
        .categories(&["@pubsub", "@fast"]),
    Spec::new("xadd", -5, User, Run::Publish(xadd::xadd))
        .about(
            "5.0.0",
            "Publishes an event of several fields and returns its id.",
            "topic [nomkstream] [maxlen|minid] id field value...",
        )
        .flags(&["write", "denyoom", "fast"])
        .first_argument_is_topic()
        .categories(&["@write", "@stream", "@fast"]),
    Spec::new("spublish", 3, User, Run::Publish(publish::publish))
        .about(
            "7.0.0",
            "Publishes an event, as PUBLISH does.",
            "topic data",
        )
        .flags(&["pubsub", "loading", "stale", "fast"])
        .first_argument_is_topic()
        .categories(&["@pubsub", "@fast"]),
    Spec::new("xlen", 2, Inspector, Run::Call(history::xlen))
        .about(
            "5.0.0",
            "Returns the number of events in the history of a topic.",
            "topic",
        )
        .flags(&["readonly", "fast"])
        .first_argument_is_topic()
        .categories(&["@read", "@stream", "@fast"]),
    Spec::new("xrange", -4, Inspector, Run::Long(history::xrange))
        .about(
            "5.0.0",
            "Returns the events of a topic between two ids.",
            "topic start end [count]",
        )
        .flags(&["readonly"])
        .first_argument_is_topic()
        .categories(READ_STREAM),
    Spec::new("xrevrange", -4, Inspector, Run::Long(history::xrevrange))
        .about(
            "5.0.0",
            "Returns the events of a topic between two ids, the newest first.",
            "topic end start [count]",
        )
        .flags(&["readonly"])
        .first_argument_is_topic()
        .categories(READ_STREAM),
    Spec::new("xread", -4, Inspector, Run::Long(history::xread))
        .about(
            "5.0.0",
            "Returns the events of topics after given ids, without waiting.",
            "[count] streams topic... id...",
        )
        .flags(&["readonly", "movablekeys"])
        .categories(READ_STREAM),
    Spec::new("pubsub", -2, Inspector, Run::Subcommands)
        .about(
            "2.8.0",
            "A container for commands that tell who listens.",
            "",
        )
        .categories(&["@slow"])
        .subcommands(PUBSUB),
    Spec::new("ping", -1, User, Run::Call(connection::ping))
        .about("1.0.0", "Answers PONG, or its argument.", "[message]")
        .flags(&["fast"])
        .categories(FAST),
    Spec::new("echo", 2, User, Run::Call(connection::echo))
        .about("1.0.0", "Answers its argument.", "message")
        .flags(&["loading", "stale", "fast"])
        .categories(FAST),
    Spec::new("hello", -1, Anyone, Run::Call(connection::hello))
        .about(
            "6.0.0",
            "Chooses the protocol version, authenticates and names the connection.",
            "[protover] [auth] [username] [password] [setname] [clientname]",
        )
        .flags(NO_AUTH)
        .categories(FAST),
    Spec::new("auth", -2, Anyone, Run::Call(connection::auth))
        .about(
            "1.0.0",
            "Authenticates the connection.",
            "[username] password",
        )
        .flags(NO_AUTH)
        .categories(FAST),
    Spec::new("reset", 1, Anyone, Run::Immediate(connection::reset))
        .about(
            "6.2.0",
            "Makes the connection as it was when it was opened.",
            "",
        )
        .flags(NO_AUTH)
        .categories(FAST),
    Spec::new("quit", -1, Anyone, Run::Immediate(connection::quit))
        .about("1.0.0", "Closes the connection.", "")
        .flags(NO_AUTH)
        .categories(FAST),
    Spec::new("select", 2, User, Run::Call(connection::select))
        .about("1.0.0", "Accepts database 0, the only one.", "index")
        .flags(&["loading", "stale", "fast"])
        .categories(FAST),
    Spec::new("multi", 1, User, Run::Immediate(transaction::multi))
        .about("1.2.0", "Begins a transaction: commands are queued.", "")
        .flags(TRANSACTION_FLAGS)
        .categories(TRANSACTION),
    Spec::new("exec", 1, User, Run::Exec)
        .about(
            "1.2.0",
            "Runs what was queued since MULTI; all events are published, or none.",
            "",
        )
        .flags(&["noscript", "loading", "stale", "skip_slowlog"])
        .categories(&["@slow", "@transaction"]),
    Spec::new("discard", 1, User, Run::Immediate(transaction::discard))
        .about("2.0.0", "Forgets what was queued since MULTI.", "")
        .flags(TRANSACTION_FLAGS)
        .categories(TRANSACTION),
    Spec::new("watch", -2, User, Run::Immediate(transaction::watch))
        .about(
            "2.2.0",
            "Makes EXEC run nothing if one of the topics gets an event before.",
            "topic...",
        )
        .flags(TRANSACTION_FLAGS)
        .arguments_are_topics()
        .categories(TRANSACTION),
    Spec::new("unwatch", 1, User, Run::Call(transaction::unwatch))
        .about("2.2.0", "Watches no topic any more.", "")
        .flags(TRANSACTION_FLAGS)
        .categories(TRANSACTION),
    Spec::new("eval", -3, User, Run::Publish(script::eval))
        .about(
            "2.6.0",
            "Runs a script that publishes, as one batch.",
            "script numkeys [topic...] [arg...]",
        )
        .flags(SCRIPT_FLAGS)
        .categories(SCRIPTING),
    Spec::new("evalsha", -3, User, Run::Publish(script::evalsha))
        .about(
            "2.6.0",
            "Runs a script that was sent before, by its SHA-1.",
            "sha1 numkeys [topic...] [arg...]",
        )
        .flags(SCRIPT_FLAGS)
        .categories(SCRIPTING),
    Spec::new("script", -2, User, Run::Subcommands)
        .about("2.6.0", "A container for commands about scripts.", "")
        .categories(&["@slow"])
        .subcommands(SCRIPT),
    Spec::new("client", -2, User, Run::Subcommands)
        .about("2.4.0", "A container for commands about connections.", "")
        .categories(&["@slow"])
        .subcommands(CLIENT),
    Spec::new("command", -1, User, Run::Call(introspect::command))
        .about("2.8.13", "Describes all commands.", "")
        .flags(LOADING)
        .subcommands(COMMAND),
    Spec::new("info", -1, User, Run::Call(info::info))
        .about("1.0.0", "Tells about the node.", "[section...]")
        .flags(LOADING)
        .categories(&["@slow", "@dangerous"]),
    Spec::new("time", 1, User, Run::Call(server::time))
        .about("2.6.0", "Returns the time of the node.", "")
        .flags(&["loading", "stale", "fast"])
        .categories(&["@fast"]),
    Spec::new("cluster", -2, User, Run::Subcommands)
        .about(
            "3.0.0",
            "A container for commands of clusters, which are refused.",
            "",
        )
        .categories(&["@slow"])
        .subcommands(CLUSTER),
    no_cluster("readonly", 1, "3.0.0")
        .flags(&["loading", "stale", "fast"])
        .categories(FAST),
    no_cluster("readwrite", 1, "3.0.0")
        .flags(&["loading", "stale", "fast"])
        .categories(FAST),
    no_cluster("asking", 1, "3.0.0")
        .flags(&["fast"])
        .categories(FAST),
    Spec::new("config", -2, User, Run::Subcommands)
        .about("2.0.0", "A container for reading settings.", "")
        .categories(&["@slow"])
        .subcommands(CONFIG),
]);

#[cfg(test)]
mod tests;
