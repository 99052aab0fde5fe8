use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::support::{Node, command};

/// Topics of the longest name, all alike.
fn long_names(count: usize) -> Vec<&'static str> {
    let name = |number| -> &'static str { format!("{}{number:06}", "a".repeat(1_000)).leak() };
    (0..count).map(name).collect()
}

fn with_long_names(threads: usize) -> Node {
    Node::on_threads(threads, |settings| {
        settings.event_limits.topic_bytes_max = 1_024;
        settings.ingest_reply_bytes_max = 64 << 10;
    })
}

const TOO_LONG: &str = "-ERR the answer would be longer than 65536 bytes; ask for less (COUNT, fewer topics, a narrower pattern)\r\n";

#[test]
fn a_glob_of_many_stars_over_long_names_keeps_nobody_waiting() {
    let node = with_long_names(1);
    let names = long_names(1_000);
    let _streams: Vec<_> = names
        .chunks(1_000)
        .map(|names| node.subscribe(names))
        .collect();
    let mut innocent = node.connect();
    innocent.check("PING", "+PONG\r\n");
    // Many stars, and then the most expensive case: a long piece that occurs everywhere except for
    // its end.
    let glob = "*a".repeat(20) + "*" + &"a".repeat(900) + "b";
    let request = command(&["PUBSUB", "CHANNELS", &glob]);
    // The node has one thread for all of them.
    let hostile: Vec<_> = (0..3).map(|_| node.connect()).collect();
    let left = AtomicUsize::new(hostile.len());
    thread::scope(|scope| {
        for mut client in hostile {
            let (left, request) = (&left, &request);
            scope.spawn(move || {
                assert_eq!(client.ask(request), "*0\r\n");
                left.fetch_sub(1, Ordering::Relaxed);
            });
        }
        let mut answered = 0;
        while left.load(Ordering::Relaxed) > 0 {
            innocent.check("PING", "+PONG\r\n");
            answered += 1;
        }
        assert!(answered >= 20, "{answered} answers in all that time");
    });
}

#[test]
fn an_answer_is_bounded_and_the_connection_lives() {
    let node = with_long_names(2);
    let mut client = node.connect();
    let names = long_names(200);
    let _stream = node.subscribe(&names);
    client.check("PUBSUB CHANNELS", TOO_LONG);
    client.check("PUBSUB CHANNELS *b", "*0\r\n");
    let some = client.ask("PUBSUB CHANNELS *00001?\r\n");
    assert!(some.starts_with("*10\r\n$1006\r\naaa"), "{some}");

    let data = "x".repeat(1_000);
    for _ in 0..200 {
        client.call(&["PUBLISH", "t", &data]);
        client.call(&["PUBLISH", "u", &data]);
    }
    for request in [
        "XRANGE t - +",
        "XREVRANGE t + -",
        "XREAD STREAMS t 0",
        "XREAD COUNT 70 STREAMS t u 0 0",
    ] {
        client.check(request, TOO_LONG);
    }
    for request in [
        "XRANGE t - + COUNT 50",
        "XREVRANGE t + - COUNT 50",
        "XREAD COUNT 25 STREAMS t u none 0 0 0",
    ] {
        let answer = client.ask(format!("{request}\r\n"));
        assert_eq!(answer.matches(&data).count(), 50, "{request}");
    }
    // A part of a transaction that is refused for it removes nothing from the others.
    let answer = client.ask("MULTI\r\nPUBSUB CHANNELS\r\nPING\r\nEXEC\r\n");
    let expected = format!("+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n{TOO_LONG}+PONG\r\n");
    assert_eq!(answer, expected);
}

#[test]
fn names_given_many_times_make_no_answer_without_end() {
    let node = Node::with(|settings| settings.ingest_reply_bytes_max = 64 << 10);
    let mut client = node.connect();
    let too_long = |client: &mut crate::support::Client, words: &[&str], name: &str| {
        let words: Vec<&str> = words.iter().copied().chain([name; 1_000]).collect();
        let answer = client.call(&words);
        assert_eq!(answer, TOO_LONG, "{}", words[..3].join(" "));
    };
    too_long(&mut client, &["COMMAND", "DOCS"], "client");
    too_long(&mut client, &["COMMAND", "INFO"], "client");
    too_long(&mut client, &["CLIENT", "LIST", "ID"], "1");
    too_long(&mut client, &["PUBSUB", "NUMSUB"], &"x".repeat(200));
    let few = client.call(&["COMMAND", "INFO", "ping", "none", "ping"]);
    assert!(few.starts_with("*3\r\n*10\r\n$4\r\nping\r\n"), "{few}");
    client.check(
        "PUBSUB NUMSUB a a",
        "*4\r\n$1\r\na\r\n:0\r\n$1\r\na\r\n:0\r\n",
    );
}

#[test]
fn the_largest_event_can_be_read_whatever_the_bound_on_answers() {
    let node = Node::with(|settings| {
        settings.event_limits.data_bytes_max = 64 << 10;
        settings.ingest_reply_bytes_max = 64 << 10;
    });
    let mut client = node.connect();
    let data = "\n".repeat(64 << 10);
    let fields = ["event", "e", "id", "own", "data", &data];
    client.call(&[&["XADD", "t", "*"], &fields[..]].concat());
    let stored = client.ask("XRANGE t - +\r\n");
    assert!(stored.contains(&format!("${}\r\n{data}\r\n", data.len())));
}

#[test]
fn patterns_of_names_are_short() {
    let node = Node::start();
    let mut client = node.connect();
    let long = "*".repeat(257);
    let refusal = "-ERR a pattern of 257 bytes is longer than the 256 that are allowed\r\n";
    assert_eq!(client.call(&["CONFIG", "GET", "save", &long]), refusal);
    let list = ["COMMAND", "LIST", "FILTERBY", "PATTERN", &long];
    assert_eq!(client.call(&list), refusal);
    let longer = "?".repeat(4_097);
    assert_eq!(
        client.call(&["PUBSUB", "CHANNELS", &longer]),
        "-ERR a pattern of 4097 bytes is longer than the 4096 that are allowed\r\n"
    );
    assert_eq!(
        client
            .call(&["CONFIG", "GET", &"*".repeat(256)])
            .matches("save")
            .count(),
        1
    );
}

#[test]
fn scripts_full_of_work_are_refused_and_keep_nobody_waiting() {
    let node = Node::on_threads(1, |_| {});
    let mut innocent = node.connect();
    innocent.check("PING", "+PONG\r\n");
    // As many rounds as there may be events, and each as long as a script may be.
    let sum = "1".to_owned() + &"+1".repeat(7_900);
    let script = format!("for i = 1, 4096 do local a = {sum} end");
    let request = command(&["EVAL", &script, "0"]);
    let refusal = "-ERR more than 131072 values of a script at once are not taken (setting `ingest_transaction_commands_max`): send EXEC \
                   earlier, or commands without MULTI or a script\r\n";
    let hostile: Vec<_> = (0..3).map(|_| node.connect()).collect();
    let left = AtomicUsize::new(hostile.len());
    thread::scope(|scope| {
        for mut client in hostile {
            let (left, request) = (&left, request.repeat(20));
            scope.spawn(move || {
                assert_eq!(client.ask(request), refusal.repeat(20));
                left.fetch_sub(1, Ordering::Relaxed);
            });
        }
        let mut answered = 0;
        while left.load(Ordering::Relaxed) > 0 {
            innocent.check("PING", "+PONG\r\n");
            answered += 1;
        }
        assert!(answered >= 10, "{answered} answers in all that time");
    });
}
