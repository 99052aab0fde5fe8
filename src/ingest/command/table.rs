//! The table of commands: the only list of their names, arguments and users.
//!
//! `COMMAND` answers from this table, so the answer is always true. Flags and categories are those
//! of Redis 7.2.

use super::spec::{Access, Commands, Run, Spec};
use super::{
    ShortCall, connection, history, info, introspect, publish, pubsub, script, server, transaction,
    xadd,
};

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

const PUBSUB: &[Spec] = &[
    pubsub_command("pubsub|channels", -2, Run::Long(pubsub::channels)).about(
        "2.8.0",
        "Returns the topics that have subscribers.",
        "[pattern]",
    ),
    pubsub_command("pubsub|numpat", 2, Run::Call(pubsub::numpat)).about(
        "2.8.0",
        "Returns the number of different patterns that streams subscribe to.",
        "",
    ),
    pubsub_command("pubsub|numsub", -2, Run::Long(pubsub::numsub)).about(
        "2.8.0",
        "Returns the number of subscribers of topics.",
        "[topic...]",
    ),
    pubsub_command("pubsub|shardchannels", -2, Run::Long(pubsub::channels)).about(
        "7.0.0",
        "Returns the topics that have subscribers, as CHANNELS does.",
        "[pattern]",
    ),
    pubsub_command("pubsub|shardnumsub", -2, Run::Long(pubsub::numsub)).about(
        "7.0.0",
        "Returns the number of subscribers of topics, as NUMSUB does.",
        "[topic...]",
    ),
    help("pubsub|help").categories(&["@slow"]),
];

const fn pubsub_command(name: &'static str, arity: i64, run: Run) -> Spec {
    Spec::new(name, arity, Inspector, run)
        .flags(&["pubsub", "loading", "stale"])
        .categories(&["@pubsub", "@slow"])
}

const CLIENT: &[Spec] = &[
    client("client|getname", 2, User, connection::client_getname).about(
        "2.6.9",
        "Returns the name of the connection.",
        "",
    ),
    client("client|id", 2, User, connection::client_id).about(
        "5.0.0",
        "Returns the number of the connection.",
        "",
    ),
    client("client|info", 2, User, connection::client_info).about(
        "6.2.0",
        "Describes the connection.",
        "",
    ),
    Spec::new(
        "client|list",
        -2,
        Inspector,
        Run::Long(connection::client_list),
    )
    .about("2.4.0", "Describes open connections.", "[type] [id...]")
    .flags(ADMIN)
    .categories(ADMIN_CONNECTION),
    client("client|no-evict", 3, User, connection::client_on_off)
        .about(
            "7.0.0",
            "Accepted; no connection is ever evicted.",
            "on|off",
        )
        .flags(ADMIN)
        .categories(ADMIN_CONNECTION),
    client("client|no-touch", 3, User, connection::client_on_off).about(
        "7.2.0",
        "Accepted; reading touches nothing.",
        "on|off",
    ),
    client("client|reply", 3, User, connection::client_reply).about(
        "3.2.0",
        "Chooses whether commands are answered.",
        "on|off|skip",
    ),
    client("client|setinfo", 4, User, connection::client_setinfo).about(
        "7.2.0",
        "Notes which library the client uses.",
        "attribute value",
    ),
    client("client|setname", 3, User, connection::client_setname).about(
        "2.6.9",
        "Names the connection.",
        "name",
    ),
    help("client|help"),
];

const fn client(name: &'static str, arity: i64, access: Access, call: ShortCall) -> Spec {
    Spec::new(name, arity, access, Run::Call(call)).flags(&["noscript", "loading", "stale"])
}

const COMMAND: &[Spec] = &[
    command_command("command|count", 2, Run::Call(introspect::count)).about(
        "2.8.13",
        "Returns the number of commands.",
        "",
    ),
    command_command("command|docs", -2, Run::Long(introspect::docs)).about(
        "7.0.0",
        "Describes commands for people.",
        "[name...]",
    ),
    command_command("command|info", -2, Run::Long(introspect::info)).about(
        "2.8.13",
        "Describes commands for clients.",
        "[name...]",
    ),
    command_command("command|list", -2, Run::Call(introspect::list)).about(
        "7.0.0",
        "Returns the names of commands.",
        "[filterby]",
    ),
    help("command|help"),
];

const fn command_command(name: &'static str, arity: i64, run: Run) -> Spec {
    Spec::new(name, arity, User, run).flags(LOADING)
}

const SCRIPT: &[Spec] = &[
    Spec::new("script|exists", -3, User, Run::Call(script::exists))
        .about("2.6.0", "Tells which scripts EVALSHA would run.", "sha1...")
        .flags(&["noscript"])
        .categories(SCRIPTING),
    Spec::new("script|flush", -2, Inspector, Run::Call(script::flush))
        .about("2.6.0", "Forgets all scripts.", "[async|sync]")
        .flags(&["noscript"])
        .categories(SCRIPTING),
    Spec::new("script|load", 3, User, Run::Call(script::load))
        .about("2.6.0", "Keeps a script for EVALSHA.", "script")
        .flags(&["noscript", "stale"])
        .categories(SCRIPTING),
    help("script|help").categories(SCRIPTING),
];

/// Commands with which clients detect the kind of server.
const CLUSTER: &[Spec] = &[
    no_cluster("cluster|info", 2, "3.0.0"),
    no_cluster("cluster|keyslot", 3, "3.0.0"),
    no_cluster("cluster|myid", 2, "3.0.0"),
    no_cluster("cluster|myshardid", 2, "7.2.0"),
    no_cluster("cluster|nodes", 2, "3.0.0"),
    no_cluster("cluster|shards", 2, "7.0.0"),
    no_cluster("cluster|slots", 2, "3.0.0"),
    no_cluster("cluster|help", 2, "5.0.0").flags(LOADING),
];

const fn no_cluster(name: &'static str, arity: i64, since: &'static str) -> Spec {
    Spec::new(name, arity, User, Run::Call(server::no_cluster))
        .about(since, "Refused: there are no clusters.", "")
        .flags(&["stale"])
        .categories(&["@slow"])
}

const CONFIG: &[Spec] = &[
    Spec::new("config|get", -3, User, Run::Call(server::config_get))
        .about(
            "2.0.0",
            "Returns settings by the names that Redis has for them.",
            "pattern...",
        )
        .flags(ADMIN)
        .categories(&["@admin", "@slow", "@dangerous"]),
    help("config|help").categories(&["@slow"]),
];

/// The subcommand `HELP` of a container.
const fn help(name: &'static str) -> Spec {
    Spec::new(name, 2, User, Run::Call(introspect::help))
        .about("5.0.0", "Prints this help.", "")
        .flags(LOADING)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::borrow::Cow;

    fn find_words(words: &[&'static str]) -> Result<&'static str, String> {
        let args: Vec<_> = words
            .iter()
            .map(|word| Cow::Borrowed(word.as_bytes()))
            .collect();
        COMMANDS
            .find(&args)
            .map(|(_, spec)| spec.name)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn names_are_found_in_any_case() {
        assert_eq!(find_words(&["publish"]), Ok("publish"));
        assert_eq!(find_words(&["PuBlIsH", "a"]), Ok("publish"));
        assert_eq!(find_words(&["CLIENT", "setName"]), Ok("client|setname"));
        assert_eq!(find_words(&["CLIENT"]), Ok("client"));
        assert_eq!(find_words(&["COMMAND"]), Ok("command"));
        assert_eq!(find_words(&["config", "help"]), Ok("config|help"));
    }

    #[test]
    fn what_is_unknown_is_said_as_redis_says_it() {
        let unknown = |words: &[&'static str]| find_words(words).expect_err("unknown");
        assert_eq!(
            unknown(&["foo", "a", "b"]),
            "ERR unknown command 'foo', with args beginning with: 'a' 'b' "
        );
        assert_eq!(
            unknown(&["HELP"]),
            "ERR unknown command 'HELP', with args beginning with: "
        );
        assert_eq!(
            unknown(&["client|id"]),
            "ERR unknown command 'client|id', with args beginning with: "
        );
        assert_eq!(
            unknown(&["client", "KILL"]),
            "ERR unknown subcommand 'KILL'. Try CLIENT HELP."
        );
        assert!(unknown(&["Subscribe", "x"]).contains("GET /events?topic=..."));
        let long: &'static str = "x".repeat(200).leak();
        let quoted = "x".repeat(128);
        assert_eq!(
            unknown(&["foo", long, "b"]),
            format!("ERR unknown command 'foo', with args beginning with: '{quoted}' ")
        );
        assert_eq!(
            unknown(&[long]),
            format!("ERR unknown command '{quoted}', with args beginning with: ")
        );
    }

    #[test]
    fn the_table_is_sound() {
        for spec in COMMANDS.all() {
            assert!(
                !spec.name.contains('|') && !spec.summary.is_empty(),
                "{}",
                spec.name
            );
            assert_eq!(spec.name, spec.name.to_ascii_lowercase());
            let only_container = matches!(spec.run, Run::Subcommands);
            assert!(
                !only_container || !spec.subcommands.is_empty(),
                "{}",
                spec.name
            );
            assert!(!only_container || spec.arity == -2, "{}", spec.name);
            for sub in spec.subcommands {
                assert!(
                    sub.name.starts_with(&format!("{}|", spec.name)),
                    "{}",
                    sub.name
                );
                assert!(
                    sub.subcommands.is_empty() && !sub.summary.is_empty(),
                    "{}",
                    sub.name
                );
            }
        }
        let [publish, xadd, ..] = COMMANDS.all() else {
            panic!("the hot ones come first")
        };
        assert!(publish.takes(3) && !publish.takes(2) && !publish.takes(4));
        assert!(xadd.takes(5) && xadd.takes(50) && !xadd.takes(4));
    }
}
