//! The subcommands of the table's containers.

use super::super::spec::{Access, Run, Spec};
use super::super::{ShortCall, connection, introspect, pubsub, script, server};
use super::{ADMIN, ADMIN_CONNECTION, LOADING, SCRIPTING};

use Access::{Inspector, User};

pub(super) const PUBSUB: &[Spec] = &[
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

pub(super) const CLIENT: &[Spec] = &[
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

pub(super) const COMMAND: &[Spec] = &[
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

pub(super) const SCRIPT: &[Spec] = &[
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
pub(super) const CLUSTER: &[Spec] = &[
    no_cluster("cluster|info", 2, "3.0.0"),
    no_cluster("cluster|keyslot", 3, "3.0.0"),
    no_cluster("cluster|myid", 2, "3.0.0"),
    no_cluster("cluster|myshardid", 2, "7.2.0"),
    no_cluster("cluster|nodes", 2, "3.0.0"),
    no_cluster("cluster|shards", 2, "7.0.0"),
    no_cluster("cluster|slots", 2, "3.0.0"),
    no_cluster("cluster|help", 2, "5.0.0").flags(LOADING),
];

pub(super) const fn no_cluster(name: &'static str, arity: i64, since: &'static str) -> Spec {
    Spec::new(name, arity, User, Run::Call(server::no_cluster))
        .about(since, "Refused: there are no clusters.", "")
        .flags(&["stale"])
        .categories(&["@slow"])
}

pub(super) const CONFIG: &[Spec] = &[
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
