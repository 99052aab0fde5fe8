use super::*;

#[test]
fn a_bad_value_is_told_with_its_place_and_what_is_allowed() {
    let allowed = "allowed: 1 to 1000000, or 0: none are kept";
    let file = "\n\nhistory_events = \"many\"";
    assert_eq!(
        refusal(file, &[], &[]),
        format!("fantail.toml:3: `history_events` = \"many\": not a whole number; {allowed}")
    );
    assert_eq!(
        refusal("", &[("FANTAIL_HISTORY_EVENTS", "-1")], &[]),
        format!("FANTAIL_HISTORY_EVENTS: `history_events` = \"-1\": too small; {allowed}")
    );
    assert_eq!(
        refusal("", &[], &["--history-events", "1000001"]),
        format!("--history-events: `history_events` = \"1000001\": too large; {allowed}")
    );
}

#[test]
fn each_kind_says_what_it_wants() {
    for (file, expected) in [
        (
            "listen = \"localhost\"",
            "`listen` = \"localhost\": not an IP address with a port; \
             allowed: an IP address and a port, such as 127.0.0.1:8080 or [::1]:8080",
        ),
        (
            "redis_pubsub = \"http://:hush@h\"",
            "`redis_pubsub` = (hidden): not the address of a Redis server: it must begin with redis://, \
             rediss:// (TLS), redis+sentinel:// or rediss+sentinel:// (or valkey in place of redis); \
             allowed: redis://user:password@host:port/database, several hosts with commas between \
             them; rediss:// for TLS; redis+sentinel://host,host,host/service",
        ),
        (
            "redis_channels = [\"fantail:probe:1\"]",
            "`redis_channels` = [\"fantail:probe:1\"]: `fantail:probe:1`: channels that begin with \
             `fantail:probe:` are the nodes' own; allowed: a list of up to 256 channels and patterns",
        ),
        (
            "redis_topics = [\"a\"]",
            "`redis_topics` = [\"a\"]: `a`: not channel=topic; \
             allowed: a list of up to 256 times channel=topic or pattern=topic",
        ),
        (
            "allow_open_http = \"yes\"",
            "`allow_open_http` = \"yes\": neither true nor false; allowed: true, false",
        ),
        (
            "mailbox_bytes = \"1 mile\"",
            "`mailbox_bytes` = \"1 mile\": not a number of bytes (such as 4096 or 64KiB); \
             allowed: 64KiB to 16GiB",
        ),
        (
            "heartbeat_interval = 15",
            "`heartbeat_interval` = \"15\": not a length of time with its unit (such as 500ms, 15s \
             or 1h); allowed: 1s to 1h",
        ),
        (
            "retry = \"2h\"",
            "`retry` = \"2h\": too large; allowed: 1ms to 1h, or none",
        ),
        (
            "slow_consumer = \"drop\"",
            "`slow_consumer` = \"drop\": `drop` is not one of the words that it can be; \
             allowed: disconnect, skip, latest",
        ),
        (
            "slow_consumer_rules = [\"a\"]",
            "`slow_consumer_rules` = [\"a\"]: `a` is not prefix=policy; \
             allowed: a list of prefix=policy, policy one of disconnect, skip, latest",
        ),
        (
            "slow_consumer_rules = [\"a=skip\", \"a=latest\"]",
            "`slow_consumer_rules` = [\"a=skip\", \"a=latest\"]: `a` is there twice; \
             allowed: a list of prefix=policy, policy one of disconnect, skip, latest",
        ),
        (
            "admin_hosts = [\"a.example:8081\"]",
            "`admin_hosts` = [\"a.example:8081\"]: `a.example:8081` is not the name of a host, without scheme and port; allowed: a list of \
             host names without port, such as node.example.com or *.example.com, or * for any",
        ),
        (
            "trusted_proxies = [\"10.0.0.0/33\"]",
            "`trusted_proxies` = [\"10.0.0.0/33\"]: `10.0.0.0/33` is neither an address nor a network (address/bits); \
             allowed: a list of addresses and networks such as 10.0.0.0/8 or fd00::/8",
        ),
        (
            "cors_origins = [\"https://a.example/\"]",
            "`cors_origins` = [\"https://a.example/\"]: `https://a.example/` is not an origin \
             (scheme://host or scheme://host:port, without a path); \
             allowed: a list of origins such as https://example.com, or * for any",
        ),
        (
            "cors_origins = [\"https://a.example\", \"null\"]",
            "`cors_origins` = [\"https://a.example\", \"null\"]: `null` is what any page in a sandbox or a file calls itself, \
             so it lets in every site; allowed: a list of origins such as https://example.com, or * for any",
        ),
        (
            "cors_origins = [\"https://user@a.example\"]",
            "`cors_origins` = [\"https://user@a.example\"]: `https://user@a.example` can match no origin: after the scheme there \
             must be a host name or IP address, and a port up to 65535 if need be, nothing else; \
             allowed: a list of origins such as https://example.com, or * for any",
        ),
        (
            "hosts = [\"https://a.example\"]",
            "`hosts` = [\"https://a.example\"]: `https://a.example` is not the name of a host, without scheme and port; \
             allowed: a list of host names without port, such as node.example.com or *.example.com, or * for any",
        ),
        (
            "trace_topics = [\"\"]",
            "`trace_topics` = [\"\"]: empty; allowed: a list of topics",
        ),
        (
            "log_level = \"inf\"",
            "`log_level` = \"inf\": `inf` is not one of the words that it can be; \
             allowed: error, warn, info, debug, trace, off, or a list of target=level",
        ),
        (
            "log_level = \"a=b=c\"",
            "`log_level` = \"a=b=c\": not a log filter; \
             allowed: error, warn, info, debug, trace, off, or a list of target=level",
        ),
        (
            "shards = 65",
            "`shards` = \"65\": too large; allowed: 1 to 64, or 0: one a core",
        ),
        (
            "log_format = \"xml\"",
            "`log_format` = \"xml\": `xml` is not one of the words that it can be; allowed: text, json",
        ),
        (
            "shards = [1]",
            "`shards` = [\"1\"]: a list, where one value is wanted; allowed: 1 to 64, or 0: one a core",
        ),
        (
            "shards = {}",
            "`shards` = (table): a table, where a plain value is wanted; \
             allowed: 1 to 64, or 0: one a core",
        ),
        (
            "shards = 2026-01-01",
            "`shards` = (datetime): a date, which no setting takes; \
             allowed: 1 to 64, or 0: one a core",
        ),
    ] {
        assert_eq!(
            refusal(file, &[], &[]),
            format!("fantail.toml:1: {expected}")
        );
    }
}

#[test]
fn users_are_refused_by_their_place_and_fault() {
    for (user, fault) in [
        (
            "\"a:b\"",
            "user 2: not a table with name, password, publish",
        ),
        (
            "{name = \"a\", pasword = \"b\"}",
            "user 2: unknown field `pasword`",
        ),
        (
            "{name = \"a\", publish = []}",
            "user 2: `password` must be a string",
        ),
        (
            "{name = \"a\", password = \"b\"}",
            "user 2: `publish` must be a list of strings",
        ),
    ] {
        let first = "{name = \"first\", password = \"p\", publish = [\"*\"]}";
        let message = refusal(&format!("ingest_users = [{first}, {user}]"), &[], &[]);
        assert!(
            message.contains(&format!(": {fault}; allowed: ")),
            "{message}"
        );
    }
}

#[test]
fn unknown_names_are_refused_with_what_was_probably_meant() {
    let end = "; `fantail settings` lists them all";
    assert_eq!(
        refusal("histroy_events = 5", &[], &[]),
        format!(
            "fantail.toml:1: unknown setting `histroy_events` (did you mean `history_events`?){end}"
        )
    );
    assert_eq!(
        refusal("[tls]\ncert = 5", &[], &[]),
        format!("fantail.toml:1: unknown setting `tls`{end}")
    );
    assert_eq!(
        refusal("", &[("FANTAIL_LISTN", "x")], &[]),
        format!("FANTAIL_LISTN: unknown setting `FANTAIL_LISTN` (did you mean `listen`?){end}")
    );
    let message = refusal("", &[("FANTAIL_listen", "127.0.0.1:1")], &[]);
    assert!(message.contains("unknown setting"), "{message}");
}

#[test]
fn a_port_that_was_meant_as_a_setting_is_not_taken_for_one_of_kubernetes() {
    for (name, value, nearest) in [
        ("FANTAIL_PORT", "9000", "listen"),
        ("FANTAIL_HTTP_PORT", "9000", "listen"),
        ("FANTAIL_HOST", "0.0.0.0", "listen"),
        ("FANTAIL_INGEST_PORT", "7379", "ingest_listen"),
        ("FANTAIL_ADMIN_ADDR", "127.0.0.1:1", "admin_listen"),
        ("FANTAIL_SERVICE_HOST", "localhost", "listen"),
    ] {
        let message = refusal("", &[(name, value)], &[]);
        let expected = format!("{name}: unknown setting `{name}` (did you mean `{nearest}`?)");
        assert!(message.starts_with(&expected), "{message}");
        assert!(
            !message.contains(value) || name.contains(value),
            "{message}"
        );
    }
}

#[test]
fn a_broken_file_is_told_with_its_line() {
    let message = refusal("shards = 1\nshards = 2\n", &[], &[]);
    assert!(
        message.starts_with("fantail.toml:2: not TOML: "),
        "{message}"
    );
    let message = refusal("shards = 1\n\nlisten 5", &[], &[]);
    assert!(
        message.starts_with("fantail.toml:3: not TOML: "),
        "{message}"
    );
}

#[test]
fn everything_that_is_wrong_is_told_at_once_even_when_it_is_replaced() {
    let message = refusal(
        "shards = 999\nunknown = 1",
        &[("FANTAIL_RETRY", "soon")],
        &["--shards", "2", "--listen", "0.0.0.0:80"],
    );
    let starts: Vec<_> = message
        .lines()
        .map(|line| line.split(": ").next().unwrap_or_default())
        .collect();
    assert_eq!(
        starts,
        ["fantail.toml:2", "fantail.toml:1", "FANTAIL_RETRY"]
    );
}

#[test]
fn a_long_value_is_cut() {
    let message = refusal("", &[], &["--shards", &"ö".repeat(1_000)]);
    assert!(message.len() < 300, "{message}");
}

#[test]
fn what_is_open_stays_on_loopback_unless_told_so() {
    for (args, way_out) in [
        (["--listen", "0.0.0.0:8080"], "allow_open_http = true"),
        (["--listen", "[::]:8080"], "FANTAIL_ALLOW_OPEN_HTTP=true"),
        (["--ingest-listen", "192.0.2.1:1"], "`ingest_password_file`"),
        (["--admin-listen", "[2001:db8::1]:1"], "--allow-open-admin"),
    ] {
        let message = refusal("", &[], &args);
        let flag = args[0].trim_start_matches('-').replace('-', "_");
        assert!(
            message.starts_with(&format!("`{flag}` = {}", args[1])),
            "{message}"
        );
        assert!(message.contains(way_out), "{message}");
    }
    for args in [
        &["--listen", "0.0.0.0:8080", "--allow-open-http"][..],
        &["--listen", "[::ffff:127.0.0.1]:8080"],
        &["--listen", "127.1.2.3:8080"],
        &["--ingest-listen", "0.0.0.0:1", "--ingest-password", "p"],
        &["--ingest-listen", "0.0.0.0:1", "--ingest-user", "a:b:*"],
        &["--admin-listen", "0.0.0.0:1", "--allow-open-admin"],
    ] {
        assert!(load("", &[], args).is_ok(), "{args:?}");
    }
}

#[test]
fn settings_that_do_not_go_together_are_refused() {
    for (args, expected) in [
        (
            &["--admin-listen", "127.0.0.1:8080"][..],
            "`listen` and `admin_listen` are both 127.0.0.1:8080: give each its own port",
        ),
        (
            &["--data-bytes-max", "9MiB"],
            "`ingest_bulk_bytes_max` = 1048576 must be at least `data_bytes_max` = 9437184: the data \
             of an event comes in as one bulk string",
        ),
        (
            &["--mailbox-bytes", "64KiB"],
            "`mailbox_bytes` = 65536 must be at least `data_bytes_max` = 262144: an event must fit \
             into the mailbox of a shard",
        ),
        (
            &["--memory-budget", "258MiB"],
            "`memory_budget` = 270532608 must be at least `history_budget_bytes` + 2 * \
             `publish_body_bytes_max` = 285212672: a publish call must find room beside a full history",
        ),
        (
            &["--memory-budget=300MiB", "--ingest-bulk-bytes-max=8MiB"],
            "`memory_budget` = 314572800 must be at least `history_budget_bytes` + 6 * \
             `ingest_bulk_bytes_max` = 318767104: a command must find room beside a full history",
        ),
        (
            &["--request-target-bytes-max", "60KiB"],
            "`header_bytes_max` = 32768 must be at least `request_target_bytes_max` = 61440: the \
             request target is part of the request head",
        ),
        (
            &["--cors-origins=*", "--cors-credentials"],
            "`cors_credentials = true` with `*` in `cors_origins` would let every site act in the \
             name of its visitors: list the origins that may",
        ),
        (
            &["--trace-topic=abc", "--topic-bytes-max=2"],
            "`trace_topics` holds what is neither a topic nor a pattern: a topic of 3 bytes is longer than \
             the 2 that `topic_bytes_max` allows",
        ),
        (
            &["--redis-channels=a"],
            "`redis_channels` is given without `redis_pubsub`: nothing is subscribed to",
        ),
        (
            &["--redis-pubsub=redis://:hush@h"],
            "`redis_pubsub` is given without `redis_channels`: nothing is subscribed to",
        ),
        (
            &["--redis-pubsub-password=hush"],
            "`redis_pubsub_password` is given without `redis_pubsub`: nothing is subscribed to",
        ),
        (
            &[
                "--redis-pubsub=redis://:hush@h",
                "--redis-channels=a",
                "--redis-pubsub-password=b",
            ],
            "the address in `redis_pubsub` has a password, and `redis_pubsub_password` is given, too: \
             leave one of them out",
        ),
        (
            &["--redis-pubsub=redis://hush@h", "--redis-channels=a"],
            "the address in `redis_pubsub` has a user and no password, so that the node would be the default \
             user: give `redis_pubsub_password` (any text for a user with `nopass`); a password without a \
             user is written `:password@`",
        ),
        (
            &["--log-password=hush"],
            "`log_password` is given without `log`, the address of the log",
        ),
        (
            &["--log=redis://:hush@h", "--log-password=b"],
            "the address in `log` has a password, and `log_password` is given, too: leave one of them out",
        ),
        (
            &["--log=redis://hush@h"],
            "the address in `log` has a user and no password, so that the node would be the default user: give \
             `log_password` (any text for a user with `nopass`); a password without a user is written \
             `:password@`",
        ),
        (
            &[
                "--log=redis://h",
                "--state-dir=d",
                "--history-snapshot-interval=1m",
            ],
            "`history_snapshot_interval` is given, and so is `log`: the log is the history, and no history \
             file is written; leave one of them out",
        ),
        (
            &["--redis-topics=a=b"],
            "`redis_topics` is given without `redis_channels`: nothing is subscribed to",
        ),
        (
            &[
                "--redis-pubsub=redis://h",
                "--redis-channels=a,c.*",
                "--redis-topics=c.d=x,b=y",
            ],
            "`redis_topics` holds `b=y`, and `redis_channels` has no such channel: no message would come \
             by it",
        ),
        (
            &[
                "--redis-pubsub=redis://h",
                "--redis-channels=a",
                "--redis-topics=a=long",
                "--topic-bytes-max=3",
            ],
            "`redis_topics` holds `a=long`: a topic of 4 bytes is longer than the 3 that `topic_bytes_max` \
             allows",
        ),
        (
            &[
                "--redis-pubsub=redis://h",
                "--redis-channels=a",
                "--redis-message-bytes-max=128KiB",
            ],
            "`redis_message_bytes_max` = 131072 must be at least `data_bytes_max` = 262144: the data of an \
             event comes in one message",
        ),
        (
            &["--ingest-password=a", "--ingest-password-file=/dev/null/b"],
            "--ingest-password-file: `ingest_password` and `ingest_password_file` are both given: \
             give one of them",
        ),
    ] {
        let message = refusal("", &[], args);
        assert_eq!(message.lines().next(), Some(expected));
    }
    assert!(
        load(
            "",
            &[],
            &["--listen=127.0.0.1:0", "--admin-listen=127.0.0.1:0"]
        )
        .is_ok()
    );
}
