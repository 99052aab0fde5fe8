use crate::support::{Client, Node, command, wait_for};
use crate::{OK, arity, id};

/// The script of Laravel's broadcaster: the data, then the channels.
const LARAVEL: &str = "for i = 2, #ARGV do\n  redis.call('publish', ARGV[i], ARGV[1])\nend";
const ONE: &str = "return redis.call('publish', KEYS[1], ARGV[1])";
/// The answer of `redis-server` to `SCRIPT LOAD` of it.
const ONE_SHA1: &str = "c40ba6e26df88db016246c9d3eb11047ce721187";
const NOSCRIPT: &str = "-NOSCRIPT No matching script. Please use EVAL.\r\n";
const WAY_OUT: &str = "Send PUBLISH commands instead, in a pipeline or between MULTI and EXEC\r\n";

fn events_in(node: &Node) -> u64 {
    node.hub.node_metrics().events_in[1].get()
}

fn eval(client: &mut Client, script: &str, rest: &[&str]) -> String {
    client.call(&[&["EVAL", script], rest].concat())
}

#[test]
fn what_laravel_broadcasts_reaches_every_channel() {
    let node = Node::start();
    let mut stream = node.subscribe(&["private-a", "b"]);
    let mut client = node.connect();
    let data = r#"{"event":"App\\Events\\Sent","data":{"n":1},"socket":null}"#;
    let reply = eval(&mut client, LARAVEL, &["0", data, "private-a", "b", "c"]);
    assert_eq!(reply, "$-1\r\n");
    let block = format!("data: {data}\n\n");
    wait_for("two blocks", || {
        stream.read_until(&block).matches(&block).count() == 2
    });
    assert_eq!(events_in(&node), 3);
    // No channels, no events.
    assert_eq!(eval(&mut client, LARAVEL, &["0", data]), "$-1\r\n");
    client.ask("HELLO 3\r\n");
    assert_eq!(eval(&mut client, LARAVEL, &["0", data, "c"]), "_\r\n");
    assert_eq!(events_in(&node), 4);
}

#[test]
fn a_script_answers_what_it_returns() {
    let node = Node::start();
    let _stream = node.subscribe(&["t"]);
    let mut client = node.connect();
    for (script, expected) in [
        (ONE, ":1\r\n"),
        (
            "return redis.pcall(\"PUBLISH\", KEYS[1], ARGV[1]);",
            ":1\r\n",
        ),
        ("redis.call('spublish', KEYS[1], ARGV[1])", "$-1\r\n"),
        (
            "redis.call('publish', 'u', 'x') return redis.call('publish', KEYS[1], ARGV[1])",
            ":1\r\n",
        ),
        (
            "local n = redis.call('publish', KEYS[1], ARGV[1]) redis.call('publish', 'u', 'x') return n",
            ":1\r\n",
        ),
        (
            "redis.call('publish', KEYS[1], ARGV[1]) return 'done'",
            "$4\r\ndone\r\n",
        ),
        ("redis.call('publish', KEYS[1], ARGV[1]) return 7", ":7\r\n"),
        ("return 7", ":7\r\n"),
        ("return 'x'", "$1\r\nx\r\n"),
        ("", "$-1\r\n"),
    ] {
        assert_eq!(
            eval(&mut client, script, &["1", "t", "d"]),
            expected,
            "{script}"
        );
    }
    let reply = eval(
        &mut client,
        "return redis.call('xadd', KEYS[1], '*', 'data', ARGV[1])",
        &["1", "t", "d"],
    );
    id(&reply);
    assert_eq!(events_in(&node), 10);
}

#[test]
fn a_script_publishes_all_or_nothing() {
    let node = Node::with(|settings| {
        settings.ingest_transaction_commands_max = 5;
        settings.ingest_transaction_bytes_max = 10_000;
    });
    let mut client = node.connect();
    let in_script = |text: &str| format!("-{text} script: ");
    let first = "redis.call('publish', 't', 'x') ";
    let long = "x".repeat(3_000);
    for (script, args, expected) in [
        (
            format!("{first} redis.call('publish', KEYS[1], 'x')"),
            vec!["0"],
            in_script("ERR Lua redis lib command arguments must be strings or integers"),
        ),
        (
            format!("{first} redis.call('publish', 't')"),
            vec!["0"],
            in_script("ERR Wrong number of args calling Redis command from script"),
        ),
        (
            format!("{first} redis.call('publish', '', 'x')"),
            vec!["0"],
            in_script("ERR a topic must not be empty"),
        ),
        (
            format!("{first} redis.call('xadd', 't', 'nomkstream', '*', 'data', 'x')"),
            vec!["0"],
            in_script("ERR scripts only publish: PUBLISH, SPUBLISH, and XADD without NOMKSTREAM"),
        ),
        (
            LARAVEL.to_owned(),
            vec!["0", "x", "a", "b", "c", "d", "e", "f"],
            "-ERR more than 5 events of a script at once are not taken (setting `ingest_transaction_commands_max`)".to_owned(),
        ),
        (
            LARAVEL.to_owned(),
            vec!["0", &long, "a", "b", "c", "d"],
            "-ERR more than 10000 bytes at once are not taken (setting `ingest_transaction_bytes_max`)".to_owned(),
        ),
        (
            format!("{first} return ARGV[1] + 1"),
            vec!["0", "1"],
            "-ERR this script is not run: it needs a number".to_owned(),
        ),
    ] {
        let reply = eval(&mut client, &script, &args);
        assert!(reply.starts_with(&expected), "{script}: {reply}");
        assert!(reply.ends_with("\r\n") && reply.matches("\r\n").count() == 1, "{reply}");
    }
    assert_eq!(events_in(&node), 0);
    assert_eq!(
        eval(&mut client, LARAVEL, &["0", "x", "a", "b", "c", "d", "e"]),
        "$-1\r\n"
    );
    assert_eq!(events_in(&node), 5);
}

#[test]
fn any_other_script_is_told_the_way_out() {
    let node = Node::start();
    let mut client = node.connect();
    for script in [
        "return redis.call('get', KEYS[1])",
        "if true then redis.call('publish', 'a', 'b') end",
        "foo bar",
        &"-".repeat(20_000),
    ] {
        for words in [
            vec!["EVAL", script, "1", "k"],
            vec!["SCRIPT", "LOAD", script],
        ] {
            let reply = client.call(&words);
            assert!(
                reply.starts_with("-ERR this script is not run: "),
                "{reply}"
            );
            assert!(reply.ends_with(WAY_OUT), "{reply}");
        }
    }
    assert_eq!(events_in(&node), 0);
}

#[test]
fn scripts_are_kept_for_evalsha() {
    let node = Node::start();
    let mut client = node.connect();
    let load = ["SCRIPT", "LOAD", ONE];
    let exists = format!("SCRIPT EXISTS {ONE_SHA1} {} x", ONE_SHA1.to_uppercase());
    let evalsha = format!("EVALSHA {ONE_SHA1} 1 t x");
    client.check(&evalsha, NOSCRIPT);
    client.check(&exists, "*3\r\n:0\r\n:0\r\n:0\r\n");
    assert_eq!(client.call(&load), format!("$40\r\n{ONE_SHA1}\r\n"));
    client.check(&exists, "*3\r\n:1\r\n:1\r\n:0\r\n");
    client.check(&evalsha, ":0\r\n");
    client.check(
        &format!("EVALSHA {} 1 t x", ONE_SHA1.to_uppercase()),
        ":0\r\n",
    );
    client.check("SCRIPT FLUSH", OK);
    client.check(&evalsha, NOSCRIPT);
    // EVAL keeps it as well, for every connection.
    assert_eq!(eval(&mut node.connect(), ONE, &["1", "t", "x"]), ":0\r\n");
    client.check(&evalsha, ":0\r\n");
    for (line, expected) in [
        ("SCRIPT FLUSH async", OK),
        (
            "SCRIPT FLUSH now",
            "-ERR SCRIPT FLUSH only support SYNC|ASYNC option\r\n",
        ),
        ("SCRIPT EXISTS", &arity("script|exists")),
        (
            "SCRIPT KILL",
            "-ERR unknown subcommand 'KILL'. Try SCRIPT HELP.\r\n",
        ),
        ("EVAL x", &arity("eval")),
        ("EVALSHA x", &arity("evalsha")),
        ("EVALSHA x 0", NOSCRIPT),
        (
            "EVAL x x",
            "-ERR value is not an integer or out of range\r\n",
        ),
        ("EVAL x -1", "-ERR Number of keys can't be negative\r\n"),
        (
            "EVAL x 1",
            "-ERR Number of keys can't be greater than number of args\r\n",
        ),
    ] {
        client.check(line, expected);
    }
}

#[test]
fn a_script_publishes_where_its_user_may() {
    let node = crate::users::guarded();
    let mut client = node.connect();
    client.send(command(&["EVAL", ONE, "1", "art", "x"]));
    client.send("SCRIPT LOAD x\r\nAUTH bob pw\r\n");
    const NOAUTH: &str = "-NOAUTH Authentication required.\r\n";
    let reply = client.read_until(OK.as_bytes());
    assert_eq!(
        String::from_utf8_lossy(&reply),
        [NOAUTH, NOAUTH, OK].concat()
    );
    assert_eq!(eval(&mut client, ONE, &["1", "art", "x"]), ":0\r\n");
    assert_eq!(
        eval(&mut client, ONE, &["1", "other", "x"]),
        format!(
            "-NOPERM No permissions to access a channel script: {ONE_SHA1}, on @user_script:1.\r\n"
        )
    );
    let reply = eval(&mut client, LARAVEL, &["0", "x", "art", "other", "news.x"]);
    assert!(reply.starts_with("-NOPERM "), "{reply}");
    client.check(&format!("EVALSHA {ONE_SHA1} 1 news.x y"), ":0\r\n");
    client.check(
        "SCRIPT FLUSH",
        "-NOPERM User bob has no permissions to run the 'script|flush' command\r\n",
    );
    assert_eq!(events_in(&node), 2);
}

#[test]
fn scripts_join_pipelines_and_transactions() {
    let node = Node::start();
    let mut client = node.connect();
    let laravel = command(&["EVAL", LARAVEL, "0", "x", "a", "b", "c"]);
    let one = command(&["EVAL", ONE, "1", "a", "x"]);
    let publish = command(&["PUBLISH", "a", "x"]);
    let pipeline = [&publish[..], &laravel, &one, &publish, &laravel].concat();
    let answers = ":0\r\n$-1\r\n:0\r\n:0\r\n$-1\r\n";
    assert_eq!(client.ask(&pipeline), answers);
    assert_eq!(events_in(&node), 9);
    let queued = "+QUEUED\r\n".repeat(5);
    let transaction = [b"MULTI\r\n", &pipeline[..], b"EXEC\r\n"].concat();
    assert_eq!(
        client.ask(transaction),
        format!("{OK}{queued}*5\r\n{answers}")
    );
    assert_eq!(events_in(&node), 18);
    // A script that is not understood aborts the transaction.
    let bad = command(&["EVAL", "foo", "0"]);
    let transaction = [b"MULTI\r\n", &publish[..], &bad, &publish, b"EXEC\r\n"].concat();
    let reply = client.ask(transaction);
    assert!(
        reply.ends_with("-EXECABORT Transaction discarded because of previous errors.\r\n"),
        "{reply}"
    );
    assert_eq!(events_in(&node), 18);
    let skipped = [b"CLIENT REPLY SKIP\r\n", &laravel[..], &one].concat();
    assert_eq!(client.ask(skipped), ":0\r\n");
    assert_eq!(events_in(&node), 22);
}

#[test]
fn many_large_scripts_are_published_as_they_come() {
    let node = Node::with(|settings| settings.history_bytes = 1 << 20);
    let mut client = node.connect();
    let data = "x".repeat(50_000);
    let mut words = vec!["EVAL", LARAVEL, "0", &data];
    words.resize(100, "t");
    let script = command(&words);
    // Two megabytes of input make almost a hundred times as many events.
    assert_eq!(client.ask(script.repeat(40)), "$-1\r\n".repeat(40));
    assert_eq!(events_in(&node), 40 * 96);
}
