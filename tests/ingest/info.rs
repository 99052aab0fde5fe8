use fantail::core::selector::{Selector, Syntax};

use crate::arity;
use crate::support::{Client, Node};
use crate::users::guarded;

/// The sections of an answer, in their order.
fn sections(info: &str) -> Vec<&str> {
    let lines = info.lines();
    lines.filter_map(|line| line.strip_prefix("# ")).collect()
}

/// The value of a field; `None` when it is not there.
fn field<'i>(info: &'i str, name: &str) -> Option<&'i str> {
    let mut lines = info.lines();
    lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
}

fn number(info: &str, name: &str) -> u64 {
    let value = field(info, name).and_then(|value| value.parse().ok());
    value.unwrap_or_else(|| panic!("no {name} in {info}"))
}

const DEFAULT: [&str; 12] = [
    "Server",
    "Clients",
    "Memory",
    "Persistence",
    "Stats",
    "Replication",
    "CPU",
    "Modules",
    "Errorstats",
    "Cluster",
    "Keyspace",
    "Fantail",
];

#[test]
fn info_memory_and_the_number_of_patterns_are_not_empty() {
    let node = Node::start();
    let mut client = node.connect();
    let pattern = |text| Selector::parse(text, Syntax::Native, 64).expect("a selector");
    let _stream = node.subscribe_to(vec![pattern("a/*"), pattern("b/*"), pattern("c")]);
    let memory = client.ask("INFO memory\r\n");
    assert_eq!(sections(&memory), ["Memory"]);
    let used = number(&memory, "used_memory");
    assert!(used > 1 << 20, "{memory}");
    assert!(number(&memory, "used_memory_peak") >= number(&memory, "used_memory_rss"));
    assert!(field(&memory, "used_memory_human").is_some_and(|text| text.ends_with('M')));
    assert_eq!(number(&memory, "maxmemory"), 0);
    let stats = client.ask("INFO stats\r\n");
    assert_eq!(number(&stats, "pubsub_patterns"), 2);
    let help = client.ask("PUBSUB HELP\r\n");
    assert!(
        help.contains("+    Returns the number of different patterns that streams subscribe to."),
        "{help}"
    );
}

#[test]
fn sections_of_info_are_chosen_as_in_redis() {
    let node = Node::start();
    let mut client = node.connect();
    let mut chosen = |words: &str| {
        let info = client.ask(format!("INFO {words}\r\n"));
        let names = sections(&info).into_iter().map(str::to_owned);
        names.collect::<Vec<_>>()
    };
    assert_eq!(chosen(""), DEFAULT);
    assert_eq!(chosen("default"), DEFAULT);
    let mut all = DEFAULT.to_vec();
    all.insert(8, "Commandstats");
    all.insert(10, "Latencystats");
    assert_eq!(chosen("all"), all);
    assert_eq!(chosen("EVERYTHING"), all);
    // In the order of the node, each once, and unknown sections are empty.
    assert_eq!(
        chosen("replication nonsense SERVER server"),
        ["Server", "Replication"]
    );
    assert_eq!(chosen("commandstats"), ["Commandstats"]);
    assert_eq!(chosen("default latencystats").len(), 13);
    client.check("INFO nonsense", "$0\r\n\r\n");
    client.check("INFO keyspace", "$12\r\n# Keyspace\r\n\r\n");
    let two = client.ask("INFO cluster keyspace\r\n");
    assert!(two.ends_with("# Cluster\r\ncluster_enabled:0\r\n\r\n# Keyspace\r\n\r\n"));
}

#[test]
fn what_clients_and_tools_look_for_is_there() {
    let node = Node::start();
    let mut client = node.connect();
    client.check("PUBLISH t x", ":0\r\n");
    let info = client.ask("INFO\r\n");
    for (name, value) in [
        ("redis_version", "7.2.0"),
        ("redis_mode", "standalone"),
        ("connected_clients", "1"),
        ("maxclients", "1000"),
        ("loading", "0"),
        ("role", "master"),
        ("connected_slaves", "0"),
        ("cluster_enabled", "0"),
        ("total_connections_received", "1"),
        ("rejected_connections", "0"),
        ("history_events", "1"),
        ("draining", "0"),
    ] {
        assert_eq!(field(&info, name), Some(value), "{name} in {info}");
    }
    assert_eq!(number(&info, "process_id"), u64::from(std::process::id()));
    let cpu = ["used_cpu_user", "used_cpu_sys"].map(|name| field(&info, name));
    assert!(
        cpu.iter()
            .all(|time| time.is_some_and(|time| time.parse::<f64>().is_ok())),
        "{info}"
    );
}

fn logged_in(node: &Node, login: &str) -> Client {
    let mut client = node.connect();
    client.check(login, crate::OK);
    client
}

#[test]
fn who_only_publishes_is_not_told_what_others_do() {
    let node = guarded();
    let mut other = logged_in(&node, "AUTH secret");
    let mut bob = logged_in(&node, "AUTH bob pw");
    let before = ["", "all", "everything", "stats memory fantail clients cpu"]
        .map(|words| (words, bob.ask(format!("INFO {words}\r\n"))));
    for _ in 0..5 {
        other.check("PUBLISH secrets x", ":0\r\n");
    }
    let _third = logged_in(&node, "AUTH secret");
    let _stream = node.subscribe(&["secrets"]);
    // Nothing but the time changes with the activity of others.
    let still = |info: &str| -> Vec<String> {
        let lines = info.lines();
        let steady = lines
            .filter(|line| !line.starts_with("server_time_usec:") && !line.starts_with("uptime_"));
        steady.map(str::to_owned).collect()
    };
    for (words, before) in before {
        let after = bob.ask(format!("INFO {words}\r\n"));
        assert_eq!(still(&after), still(&before), "{words}");
        for name in [
            "last_event_id",
            "streams",
            "history_bytes",
            "process_id",
            "used_memory",
        ] {
            assert_eq!(field(&after, name), None, "{name} in {after}");
        }
    }
    // The fields that client libraries need are there.
    let info = bob.ask("INFO\r\n");
    for name in [
        "redis_version",
        "loading",
        "role",
        "cluster_enabled",
        "tcp_port",
    ] {
        assert!(field(&info, name).is_some(), "{name} in {info}");
    }
    assert_eq!(sections(&info), DEFAULT);
    assert!(field(&other.ask("INFO\r\n"), "last_event_id").is_some());
    // The number of its descriptor would reveal how many files are open.
    let about = bob.ask("CLIENT INFO\r\n");
    assert!(about.contains(" fd=-1 "), "{about}");
    let about = other.ask("CLIENT INFO\r\n");
    assert!(
        about.contains(" fd=") && !about.contains(" fd=-1 "),
        "{about}"
    );
}

#[test]
fn a_cluster_client_is_told_that_this_is_none() {
    let node = Node::start();
    let mut client = node.connect();
    let disabled = "-ERR This instance has cluster support disabled\r\n";
    for command in [
        "CLUSTER INFO",
        "cluster slots",
        "CLUSTER SHARDS",
        "CLUSTER NODES",
        "CLUSTER MYID",
        "CLUSTER KEYSLOT a",
        "CLUSTER HELP",
        "READONLY",
        "READWRITE",
        "ASKING",
    ] {
        client.check(command, disabled);
    }
    client.check("CLUSTER", &arity("cluster"));
    client.check("CLUSTER INFO x", &arity("cluster|info"));
    client.check("CLUSTER KEYSLOT", &arity("cluster|keyslot"));
    client.check("READONLY x", &arity("readonly"));
    client.check(
        "CLUSTER FOO",
        "-ERR unknown subcommand 'FOO'. Try CLUSTER HELP.\r\n",
    );
    client.check("PING", "+PONG\r\n");
}
