use fantail::core::event::{Event, IdForm};
use fantail::core::selector::{Selector, Syntax};
use fantail::core::sse::Draft;
use fantail::metrics::Source;

use crate::support::Node;
use crate::{arity, id};

#[test]
fn ranges_are_answered_as_redis_answers_them() {
    let node = Node::start();
    let mut client = node.connect();
    let ids: Vec<String> = (0..3)
        .map(|n| id(&client.call(&["XADD", "s", "*", "data", &n.to_string()])))
        .collect();
    let entry = |n: usize| {
        format!(
            "*2\r\n${}\r\n{}\r\n*2\r\n$4\r\ndata\r\n$1\r\n{n}\r\n",
            ids[n].len(),
            ids[n]
        )
    };
    let list = |numbers: &[usize]| {
        let entries: String = numbers.iter().map(|n| entry(*n)).collect();
        format!("*{}\r\n{entries}", numbers.len())
    };
    let [a, b, c] = [&ids[0], &ids[1], &ids[2]];
    let ms = |id: &str| id.split('-').next().map(str::to_owned).expect("parts");
    for (line, expected) in [
        ("XRANGE s - +".to_owned(), list(&[0, 1, 2])),
        ("XREVRANGE s + -".to_owned(), list(&[2, 1, 0])),
        ("XRANGE s - + COUNT 2".to_owned(), list(&[0, 1])),
        ("XREVRANGE s + - count 1".to_owned(), list(&[2])),
        (format!("XRANGE s {b} +"), list(&[1, 2])),
        (format!("XRANGE s ({a} ({c}"), list(&[1])),
        (format!("XREVRANGE s ({c} {a}"), list(&[1, 0])),
        (format!("XRANGE s {} {}", ms(a), ms(c)), list(&[0, 1, 2])),
        (format!("XRANGE s {c} {a}"), "*0\r\n".to_owned()),
        (
            "XRANGE s 18446744073709551615 +".to_owned(),
            "*0\r\n".to_owned(),
        ),
        ("XRANGE s - + COUNT 0".to_owned(), "*-1\r\n".to_owned()),
        ("XRANGE s - + COUNT -1".to_owned(), "*-1\r\n".to_owned()),
        ("XRANGE none - +".to_owned(), "*0\r\n".to_owned()),
        (
            "XRANGE s - + COUNT".to_owned(),
            "-ERR syntax error\r\n".to_owned(),
        ),
        (
            "XRANGE s - + FOO 1".to_owned(),
            "-ERR syntax error\r\n".to_owned(),
        ),
        (
            "XRANGE s x 1".to_owned(),
            "-ERR Invalid stream ID specified as stream command argument\r\n".to_owned(),
        ),
        (
            "XRANGE s - (0-0".to_owned(),
            "-ERR invalid end ID for the interval\r\n".to_owned(),
        ),
        ("XRANGE s -".to_owned(), arity("xrange")),
        ("XREVRANGE s".to_owned(), arity("xrevrange")),
        ("XLEN s".to_owned(), ":3\r\n".to_owned()),
        ("XLEN".to_owned(), arity("xlen")),
    ] {
        client.check(&line, &expected);
    }
    let read = |list: String| format!("*1\r\n*2\r\n$1\r\ns\r\n{list}");
    for (line, expected) in [
        ("XREAD STREAMS s 0".to_owned(), read(list(&[0, 1, 2]))),
        (format!("XREAD STREAMS s {a}"), read(list(&[1, 2]))),
        ("XREAD COUNT 1 STREAMS s 0".to_owned(), read(list(&[0]))),
        ("XREAD COUNT 0 STREAMS none s 0 0".to_owned(), read(list(&[0, 1, 2]))),
        ("XREAD STREAMS s $".to_owned(), "*-1\r\n".to_owned()),
        (format!("XREAD STREAMS s {c}"), "*-1\r\n".to_owned()),
        ("XREAD STREAMS s".to_owned(), arity("xread")),
        (
            "XREAD STREAMS s a 0".to_owned(),
            "-ERR Unbalanced XREAD list of streams: for each stream key an ID or '$' must be specified.\r\n".to_owned(),
        ),
        ("XREAD STREAMS s +".to_owned(), "-ERR Invalid stream ID specified as stream command argument\r\n".to_owned()),
        ("XREAD COUNT 5 FOO".to_owned(), "-ERR syntax error\r\n".to_owned()),
    ] {
        client.check(&line, &expected);
    }
    assert!(
        client
            .ask("XREAD BLOCK 5 STREAMS s $\r\n")
            .starts_with("-ERR BLOCK is not supported")
    );
    client.ask("HELLO 3\r\n");
    client.check(
        "XREAD COUNT 1 STREAMS s 0",
        &format!("%1\r\n$1\r\ns\r\n{}", list(&[0])),
    );
    client.check("XREAD STREAMS s $", "_\r\n");
    client.check("XRANGE s - + COUNT 0", "_\r\n");
}

/// The ids of an answer's entries.
fn ids(answer: &str) -> Vec<&str> {
    let lines = answer.lines();
    let is_id = |line: &&str| line.contains('-') && !line.starts_with(['*', '$']);
    lines.filter(is_id).collect()
}

/// A long answer was read from the history under one hold of the lock, however many events there
/// were.
#[test]
fn a_long_range_is_read_in_portions_and_is_whole() {
    let node = Node::start();
    let mut client = node.connect();
    // As many as a portion, and one more or less.
    for (topic, count) in [("less", 255), ("one", 256), ("more", 257), ("many", 1_000)] {
        let published: String = (0..count)
            .map(|_| id(&client.call(&["XADD", topic, "*", "data", "x"])) + "\n")
            .collect();
        let published: Vec<&str> = published.lines().collect();
        let newest_first: Vec<&str> = published.iter().rev().copied().collect();
        let answer = client.ask(format!("XRANGE {topic} - +\r\n"));
        assert!(answer.starts_with(&format!("*{count}\r\n")), "{topic}");
        assert_eq!(ids(&answer), published);
        let answer = client.ask(format!("XREVRANGE {topic} + -\r\n"));
        assert_eq!(ids(&answer), newest_first);
        for part in [255, 256, 257, 900].map(|part| part.min(count)) {
            let answer = client.ask(format!("XRANGE {topic} - + COUNT {part}\r\n"));
            assert_eq!(ids(&answer), published[..part], "{topic}");
            let answer = client.ask(format!("XREVRANGE {topic} + - COUNT {part}\r\n"));
            assert_eq!(ids(&answer), newest_first[..part], "{topic}");
        }
        let answer = client.ask(format!("XREAD STREAMS {topic} none {} 0\r\n", published[0]));
        let head = format!(
            "*1\r\n*2\r\n${}\r\n{topic}\r\n*{}\r\n",
            topic.len(),
            count - 1
        );
        assert!(answer.starts_with(&head), "{topic}");
        assert_eq!(ids(&answer), published[1..]);
    }
}

#[test]
fn numpat_counts_each_pattern_that_streams_subscribe_to_once() {
    let node = Node::start();
    let mut client = node.connect();
    let pattern = |text| Selector::parse(text, Syntax::Native, 64).expect("a selector");
    let _streams = [
        node.subscribe_to(vec![pattern("news/*"), pattern("news")]),
        node.subscribe_to(vec![pattern("news/*")]),
    ];
    client.check("PUBSUB NUMPAT", ":1\r\n");
    let _one_more = node.subscribe_to(vec![pattern("*")]);
    client.check("PUBSUB NUMPAT", ":2\r\n");
    // They are no channels, as in Redis.
    client.check("PUBSUB CHANNELS", "*1\r\n$4\r\nnews\r\n");
}

#[test]
fn pubsub_tells_who_listens() {
    let node = Node::start();
    let mut client = node.connect();
    client.check("PUBSUB CHANNELS", "*0\r\n");
    let _streams = [
        node.subscribe(&["news.art", "news"]),
        node.subscribe(&["news"]),
    ];
    let channels = client.ask("PUBSUB CHANNELS\r\n");
    assert!(
        channels.starts_with("*2\r\n") && channels.contains("news.art"),
        "{channels}"
    );
    client.check("PUBSUB CHANNELS news.*", "*1\r\n$8\r\nnews.art\r\n");
    client.check("PUBSUB SHARDCHANNELS 'n?ws'", "*1\r\n$4\r\nnews\r\n");
    client.check(
        "PUBSUB NUMSUB news none",
        "*4\r\n$4\r\nnews\r\n:2\r\n$4\r\nnone\r\n:0\r\n",
    );
    client.check("PUBSUB SHARDNUMSUB news", "*2\r\n$4\r\nnews\r\n:2\r\n");
    client.check("PUBSUB NUMSUB", "*0\r\n");
    client.check("PUBSUB NUMPAT", ":0\r\n");
    client.check("PUBSUB NUMPAT a", &arity("pubsub|numpat"));
    client.check("PUBSUB", &arity("pubsub"));
    client.check(
        "PUBSUB CHANNELS a b",
        "-ERR unknown subcommand or wrong number of arguments for 'CHANNELS'. Try PUBSUB HELP.\r\n",
    );
    client.check(
        "PUBSUB FOO",
        "-ERR unknown subcommand 'FOO'. Try PUBSUB HELP.\r\n",
    );
    assert!(client.ask("PUBSUB HELP\r\n").contains("+NUMSUB"));
}

/// Publishes as the hub's `POST` does: an event without an id of its own gets the node's as a URN.
fn publish_over_mercure(node: &Node, topic: &str, id: Option<&str>) {
    let event = Event {
        id: id.map(Into::into),
        id_form: IdForm::Urn,
        ..Event::new(topic, "x")
    };
    let limits = node.hub.event_limits();
    let mut drafts = [Draft::new(event, limits).expect("valid")];
    let published = node.hub.publish(Source::Http, &mut drafts);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime");
    runtime.block_on(published).expect("open");
}

#[test]
fn the_nodes_own_id_is_never_shown_as_the_publishers() {
    let node = Node::start();
    let mut client = node.connect();
    publish_over_mercure(&node, "t", None);
    client.call(&["PUBLISH", "t", "x"]);
    client.call(&["XADD", "t", "*", "data", "x"]);
    let entry = "*2\r\n$4\r\ndata\r\n$1\r\nx\r\n";
    for request in ["XRANGE t - +", "XREVRANGE t + -", "XREAD STREAMS t 0"] {
        let answer = client.ask(format!("{request}\r\n"));
        assert_eq!(answer.matches(entry).count(), 3, "{request}: {answer}");
        assert!(!answer.contains("urn:"), "{request}: {answer}");
    }
    // A publisher's own id is shown, whatever it looks like.
    let urn = "urn:uuid:01890a5d-ac96-774b-bcce-b302099a8057";
    publish_over_mercure(&node, "u", Some(urn));
    publish_over_mercure(&node, "u", Some("https://example.com/1"));
    let answer = client.ask("XRANGE u - +\r\n");
    for own in [urn, "https://example.com/1"] {
        let field = format!("$2\r\nid\r\n${}\r\n{own}\r\n", own.len());
        assert!(answer.contains(&field), "{answer}");
    }
}
