use std::io::Write;

use fantail::core::event::EventId;

use crate::support::{Client, Node, command, wait_for};
use crate::{OK, id};

const ABORTED: &str = "-EXECABORT Transaction discarded because of previous errors.\r\n";
const QUEUED: &str = "+QUEUED\r\n";

fn events_in(node: &Node) -> u64 {
    node.hub.node_metrics().events_in[1].get()
}

/// Sends lines as one pipeline.
fn pipeline(client: &mut Client, lines: &[&str]) -> String {
    client.ask(lines.join("\r\n") + "\r\n")
}

#[test]
fn what_a_pipeline_in_a_transaction_publishes_is_published_once() {
    let node = Node::start();
    let mut stream = node.subscribe(&["t"]);
    let mut client = node.connect();
    // The packet of redis-py's default `pipeline()`.
    let words: [&[&str]; 4] = [
        &["MULTI"],
        &["PUBLISH", "t", "1"],
        &["XADD", "t", "*", "data", "2"],
        &["EXEC"],
    ];
    let bytes: Vec<u8> = words.iter().flat_map(|words| command(words)).collect();
    let reply = client.ask(bytes);
    let (queued, reply) = reply.split_at(OK.len() + 2 * QUEUED.len());
    assert_eq!(queued, [OK, QUEUED, QUEUED].concat());
    let second = id(reply.strip_prefix("*2\r\n:1\r\n").expect("two answers"));
    assert!(stream.read_until("data: 2\n\n").contains("data: 1\n\n"));
    assert_eq!(events_in(&node), 2);
    assert_eq!(client.call(&["XLEN", "t"]), ":2\r\n");
    assert!(second.parse::<EventId>().is_ok());
}

#[test]
fn a_bad_command_keeps_the_whole_transaction_from_being_published() {
    let node = Node::with(|settings| settings.event_limits.data_bytes_max = 1_000);
    let mut client = node.connect();
    let long = "x".repeat(1_001);
    for bad in [
        "foo",
        "PUBLISH t",
        "CLIENT FOO",
        "CLIENT",
        // Redis detects these at EXEC and publishes the others; here a batch is all or nothing.
        "XADD t 1-1 data x",
        "XADD t * data x data y",
        "XADD t * retry x",
        "PUBLISH '' x",
        "PUBLISH t \"\\xff\"",
        &format!("PUBLISH t {long}"),
    ] {
        let reply = pipeline(
            &mut client,
            &["MULTI", "PUBLISH t 1", bad, "PUBLISH t 2", "EXEC", "PING"],
        );
        let (before, rest) = reply.split_at(OK.len() + QUEUED.len());
        assert_eq!(before, [OK, QUEUED].concat(), "{bad}");
        assert!(rest.starts_with('-'), "{bad}: {rest}");
        assert!(
            rest.ends_with(&[QUEUED, ABORTED, "+PONG\r\n"].concat()),
            "{bad}: {rest}"
        );
    }
    assert_eq!(events_in(&node), 0);
    assert_eq!(client.call(&["XLEN", "t"]), ":0\r\n");
}

#[test]
fn a_connection_that_ends_before_exec_publishes_nothing() {
    let node = Node::start();
    let lines = "MULTI\r\nPUBLISH t 1\r\nPUBLISH t 2\r\n";
    for end in ["", "QUIT\r\n", "DISCARD\r\n", "RESET\r\n", "*x\r\n", "EXE"] {
        let mut client = node.connect();
        client.send([lines, end].concat());
        client
            .stream
            .shutdown(std::net::Shutdown::Write)
            .expect("ends");
        let reply = client.read_to_end();
        assert!(reply.starts_with(&[OK, QUEUED, QUEUED].concat()), "{reply}");
    }
    wait_for("all to leave", || {
        node.hub.node_metrics().ingest_connections.get() == 0
    });
    assert_eq!(events_in(&node), 0);
}

#[test]
fn transaction_commands_answer_as_redis_does() {
    let node = Node::start();
    let mut client = node.connect();
    for (lines, expected) in [
        (&["MULTI", "EXEC"][..], "+OK\r\n*0\r\n"),
        (&["EXEC"], "-ERR EXEC without MULTI\r\n"),
        (&["DISCARD"], "-ERR DISCARD without MULTI\r\n"),
        (
            &["MULTI", "PUBLISH t 1", "DISCARD", "EXEC"],
            "+OK\r\n+QUEUED\r\n+OK\r\n-ERR EXEC without MULTI\r\n",
        ),
        (
            &["MULTI", "MULTI", "PING", "EXEC"],
            "+OK\r\n-ERR MULTI calls can not be nested\r\n+QUEUED\r\n*1\r\n+PONG\r\n",
        ),
        (
            &["MULTI", "WATCH t", "PING", "EXEC"],
            "+OK\r\n-ERR WATCH inside MULTI is not allowed\r\n+QUEUED\r\n*1\r\n+PONG\r\n",
        ),
        (
            &["MULTI", "EXEC now", "PING"],
            "+OK\r\n-EXECABORT Transaction discarded because of: wrong number of arguments for 'exec' command\r\n+PONG\r\n",
        ),
        (
            &["MULTI", "UNWATCH", "PING a b", "ECHO x", "EXEC"],
            "+OK\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n*3\r\n+OK\r\n-ERR wrong number of arguments for 'ping' command\r\n$1\r\nx\r\n",
        ),
        (
            &["MULTI", "RESET", "PING", "EXEC"],
            "+OK\r\n+RESET\r\n+PONG\r\n-ERR EXEC without MULTI\r\n",
        ),
        (
            &[
                "MULTI",
                "AUTH a b",
                "CLIENT SETNAME me",
                "EXEC",
                "CLIENT GETNAME",
            ],
            "+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n-WRONGPASS invalid username-password pair or user is disabled.\r\n+OK\r\n$2\r\nme\r\n",
        ),
    ] {
        assert_eq!(pipeline(&mut client, lines), expected, "{lines:?}");
    }
    let info = pipeline(
        &mut client,
        &["MULTI", "PING", "CLIENT INFO", "EXEC", "CLIENT INFO"],
    );
    assert!(info.contains(" multi=-1 cmd=client "), "{info}");
}

#[test]
fn resp3_answers_within_a_transaction() {
    let node = Node::start();
    let mut client = node.connect();
    let reply = pipeline(
        &mut client,
        &[
            "MULTI",
            "HELLO 3",
            "CONFIG GET save",
            "XADD t NOMKSTREAM * data x",
            "EXEC",
        ],
    );
    assert!(reply.contains("*3\r\n%7\r\n"), "{reply}");
    assert!(
        reply.ends_with("%1\r\n$4\r\nsave\r\n$0\r\n\r\n_\r\n"),
        "{reply}"
    );
}

#[test]
fn events_of_a_transaction_follow_each_other() {
    let node = Node::start();
    let mut client = node.connect();
    let mut other = node.connect();
    client.send("MULTI\r\n");
    for n in 0..50 {
        client.send(command(&["XADD", "t", "*", "data", &n.to_string()]));
        if n % 10 == 0 {
            other.check("PUBLISH other x", ":0\r\n");
        }
    }
    let reply = client.ask("EXEC\r\n");
    let ids: Vec<EventId> = reply
        .split("\r\n")
        .filter_map(|line| line.parse().ok())
        .collect();
    assert_eq!(ids.len(), 50, "{reply}");
    // One stamp for all: the same millisecond, one number after the other.
    for pair in ids.windows(2) {
        assert_eq!(pair[0].get() + 1, pair[1].get(), "{reply}");
    }
    assert_eq!(node.hub.history_len("t"), 50);
}

#[test]
fn a_topic_that_nobody_knows_is_known_after_the_events_before_it() {
    let node = Node::start();
    let mut client = node.connect();
    let reply = pipeline(
        &mut client,
        &[
            "MULTI",
            "XADD t NOMKSTREAM * data 1",
            "PUBLISH t 2",
            "XADD t NOMKSTREAM * data 3",
            "XLEN t",
            "EXEC",
        ],
    );
    let reply = reply.rsplit(QUEUED).next().expect("an answer");
    assert!(reply.starts_with("*4\r\n$-1\r\n:0\r\n$"), "{reply}");
    assert!(reply.ends_with("\r\n:2\r\n"), "{reply}");
}

#[test]
fn watched_topics_that_change_keep_a_transaction_from_running() {
    let node = Node::start();
    let mut client = node.connect();
    let mut other = node.connect();
    let transaction = ["MULTI", "PUBLISH out x", "PING", "EXEC"];
    let ran = "+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n:0\r\n+PONG\r\n";
    let did_not = "+OK\r\n+QUEUED\r\n+QUEUED\r\n*-1\r\n";

    client.check("WATCH a b", OK);
    other.check("PUBLISH c x", ":0\r\n");
    assert_eq!(pipeline(&mut client, &transaction), ran);

    for change in ["PUBLISH b x", "XADD b * data x", "XADD z * data x topic b"] {
        let published = events_in(&node);
        client.check("WATCH a b", OK);
        other.call(&change.split(' ').collect::<Vec<_>>());
        // A second `WATCH` does not hide events after the first.
        client.check("WATCH b", OK);
        assert_eq!(pipeline(&mut client, &transaction), did_not, "{change}");
        assert_eq!(events_in(&node), published + 1, "{change}");
        // EXEC ended the watching, too.
        assert_eq!(pipeline(&mut client, &transaction), ran, "{change}");
    }
    for forget in ["UNWATCH", "RESET", "MULTI\r\nDISCARD"] {
        client.check("WATCH a", OK);
        other.check("PUBLISH a x", ":0\r\n");
        client.ask(format!("{forget}\r\n"));
        assert_eq!(pipeline(&mut client, &transaction), ran, "{forget}");
    }
    // Its own events count as well, and a null in RESP3 is a null.
    client.ask("HELLO 3\r\n");
    client.check("WATCH a", OK);
    client.check("PUBLISH a x", ":0\r\n");
    assert_eq!(
        pipeline(&mut client, &transaction),
        did_not.replace("*-1\r\n", "_\r\n")
    );
}

#[test]
fn a_watched_topic_whose_events_are_gone_again_has_changed_all_the_same() {
    let node = Node::with(|settings| settings.history_budget_bytes = 4_000);
    let mut client = node.connect();
    // One that exists for its stream alone, and one that is forgotten with its events.
    let _stream = node.subscribe(&["listened"]);
    for topic in ["listened", "forgotten"] {
        client.check(&format!("WATCH {topic}"), OK);
        client.call(&["PUBLISH", topic, "x"]);
        for _ in 0..10 {
            client.call(&["PUBLISH", "other", &"x".repeat(1_000)]);
        }
        assert_eq!(client.call(&["XLEN", topic]), ":0\r\n");
        assert_eq!(
            pipeline(&mut client, &["MULTI", "PING", "EXEC"]),
            "+OK\r\n+QUEUED\r\n*-1\r\n",
            "{topic}"
        );
    }
}

#[test]
fn a_transaction_that_is_too_large_is_refused_and_forgotten() {
    let node = Node::with(|settings| {
        settings.ingest_transaction_commands_max = 3;
        settings.ingest_transaction_bytes_max = 4_000;
    });
    let mut client = node.connect();
    let refused = |what: &str, setting: &str| {
        format!(
            "-ERR more than {what} at once are not taken (setting `{setting}`): send EXEC earlier, or commands without MULTI or a script\r\n"
        )
    };
    let publish = "PUBLISH t x";
    let fits = pipeline(&mut client, &["MULTI", publish, publish, publish, "EXEC"]);
    assert!(fits.ends_with("*3\r\n:0\r\n:0\r\n:0\r\n"), "{fits}");
    let too_many = pipeline(
        &mut client,
        &["MULTI", publish, publish, publish, publish, publish, "EXEC"],
    );
    let expected = [
        "+OK\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n",
        &refused("3 commands", "ingest_transaction_commands_max"),
        QUEUED,
        ABORTED,
    ];
    assert_eq!(too_many, expected.concat());
    let too_large = refused("4000 bytes", "ingest_transaction_bytes_max");
    let long = "x".repeat(2_500);
    for command in [format!("ECHO {long}"), format!("PUBLISH t {long}")] {
        let reply = pipeline(&mut client, &["MULTI", &command, &command, "EXEC"]);
        assert_eq!(reply, [OK, QUEUED, &too_large, ABORTED].concat());
    }
    // The events of a script count one by one.
    let script = "for i = 1, 3 do redis.call('publish', 't', i) end";
    let script = command(&["EVAL", script, "0"]);
    let bytes = [b"MULTI\r\n", &script[..], b"PUBLISH t x\r\nEXEC\r\n"].concat();
    let too_many = refused("3 commands", "ingest_transaction_commands_max");
    assert_eq!(client.ask(bytes), [OK, QUEUED, &too_many, ABORTED].concat());
    assert_eq!(
        client.ask("WATCH a b c d\r\n"),
        refused("3 watched topics", "ingest_transaction_commands_max")
    );
    assert_eq!(events_in(&node), 3);
    // One line at a time, as a client that never sends EXEC.
    client.send("MULTI\r\n");
    for _ in 0..1_000 {
        client.send("PUBLISH t x\r\n");
    }
    let reply = client.ask("DISCARD\r\n");
    assert_eq!(reply.matches("-ERR").count(), 1, "{reply}");
    assert!(reply.ends_with("+QUEUED\r\n+OK\r\n"), "{reply}");
}

#[test]
fn names_of_watched_topics_count_in_the_bytes_of_a_transaction() {
    let node = Node::with(|settings| settings.ingest_transaction_bytes_max = 1_024);
    let mut client = node.connect();
    let name = |letter: &str| letter.repeat(500);
    client.check(&format!("WATCH {} {}", name("a"), name("b")), OK);
    // A topic that is watched already needs no more memory.
    client.check(&format!("WATCH {}", name("a")), OK);
    let reply = client.ask(format!("WATCH {}\r\n", name("c")));
    assert!(
        reply.starts_with("-ERR more than 1024 bytes at once are not taken"),
        "{reply}"
    );
    client.check("UNWATCH", OK);
    client.check(&format!("WATCH {}", name("c")), OK);
}

#[test]
fn the_answers_of_a_transaction_are_bounded_and_the_connection_lives() {
    let node = Node::with(|settings| settings.ingest_reply_bytes_max = 64 << 10);
    let mut client = node.connect();
    let data = "x".repeat(40_000);
    client.check(&format!("PUBLISH t {data}"), ":0\r\n");
    let range = "XRANGE t - +";
    let reply = pipeline(
        &mut client,
        &["MULTI", range, range, range, "PUBLISH t y", range, "EXEC"],
    );
    let (_, answers) = reply.split_once("*5\r\n").expect("five answers");
    assert_eq!(answers.matches(&data).count(), 2, "two fit");
    let refusal = "-ERR the answer would be longer than 65536 bytes";
    assert_eq!(answers.matches(refusal).count(), 2);
    // The events are published, because that was decided before.
    assert!(answers.contains("\r\n:0\r\n-ERR"), "in their order");
    client.check("XLEN t", ":2\r\n");
}

#[test]
fn strangers_cannot_queue_and_named_users_keep_to_their_topics() {
    let node = crate::users::guarded();
    let mut client = node.connect();
    const NOAUTH: &str = "-NOAUTH Authentication required.\r\n";
    client.send("MULTI\r\nPUBLISH art x\r\nEXEC\r\nWATCH art\r\nAUTH bob pw\r\n");
    let expected = [
        NOAUTH,
        NOAUTH,
        "-EXECABORT Transaction discarded because of: NOAUTH Authentication required.\r\n",
        NOAUTH,
        OK,
    ];
    let expected = expected.concat();
    let reply = client.read_until(OK.as_bytes());
    assert_eq!(String::from_utf8_lossy(&reply), expected);
    let reply = pipeline(
        &mut client,
        &["MULTI", "PUBLISH art 1", "PUBLISH other 2", "EXEC"],
    );
    let channel = "-NOPERM No permissions to access a channel\r\n";
    assert_eq!(reply, [OK, QUEUED, channel, ABORTED].concat());
    client.check(
        "WATCH art other",
        "-NOPERM No permissions to access a key\r\n",
    );
    client.check("WATCH art", OK);
    assert_eq!(events_in(&node), 0);
    let reply = pipeline(&mut client, &["MULTI", "PUBLISH art 1", "XLEN art", "EXEC"]);
    assert!(
        reply.ends_with(ABORTED) && reply.contains("NOPERM"),
        "{reply}"
    );
}

#[test]
fn a_transaction_waits_for_room_like_any_publisher() {
    let mut node = Node::start();
    let client = node.connect();
    let mut writer = client.stream.try_clone().expect("clone");
    let flood = std::thread::spawn(move || {
        let mut pipeline = b"MULTI\r\n".to_vec();
        pipeline.extend_from_slice(&command(&["PUBLISH", "t", "x"]).repeat(100));
        pipeline.extend_from_slice(b"EXEC\r\n");
        let mut rounds = 0;
        while rounds < 500 && writer.write_all(&pipeline).is_ok() {
            rounds += 1;
        }
        rounds
    });
    let mut client = client;
    let one = [OK, &QUEUED.repeat(100), "*100\r\n", &":0\r\n".repeat(100)].concat();
    let mut answered = String::new();
    while answered.len() < one.len() * 500 {
        answered += std::str::from_utf8(&client.read_until(b"\r\n")).expect("UTF-8");
    }
    assert_eq!(flood.join().expect("sent"), 500);
    assert_eq!(answered, one.repeat(500));
    assert_eq!(events_in(&node), 50_000);
    node.begin_shutdown();
    node.end_shutdown();
}

#[test]
fn a_stopped_hub_refuses_a_transaction_as_a_whole() {
    let node = Node::start();
    let mut client = node.connect();
    client.check("PING", "+PONG\r\n");
    node.hub.stop();
    assert_eq!(
        pipeline(
            &mut client,
            &["MULTI", "PUBLISH t x", "PING", "EXEC", "PING"]
        ),
        "+OK\r\n+QUEUED\r\n+QUEUED\r\n-ERR the node is shutting down\r\n+PONG\r\n"
    );
}
