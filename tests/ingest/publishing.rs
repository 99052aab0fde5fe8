use fantail::core::event::{EventId, OrderMark};

use crate::support::{Node, command, command_bytes};
use crate::{arity, id};

#[test]
fn publish_reaches_streams_and_tells_how_many() {
    let node = Node::start();
    let mut client = node.connect();
    client.check("PUBLISH news hello", ":0\r\n");
    let mut stream = node.subscribe(&["news"]);
    let mut other = node.subscribe(&["news", "art"]);
    client.check("PUBLISH news 'hello you'", ":2\r\n");
    client.check("spublish art x", ":1\r\n");
    client.check("PUBLISH", &arity("publish"));
    client.check("PUBLISH a b c", &arity("publish"));
    client.check("SPUBLISH a", &arity("spublish"));
    let text = stream.read_until("hello you\n\n");
    assert!(!text.contains("data: hello\n"), "{text}");
    assert!(
        other
            .read_until("data: x\n\n")
            .contains("data: hello you\n")
    );
}

#[test]
fn xadd_makes_whole_events() {
    let node = Node::start();
    let mut client = node.connect();
    let mut stream = node.subscribe(&["a", "b"]);
    let first = id(&client.call(&["XADD", "a", "MAXLEN", "~", "10", "*", "data", "one\ntwo"]));
    let second = id(&client.call(&[
        "XADD", "a", "*", "topic", "b", "event", "tick", "id", "own", "retry", "250", "data", "x",
    ]));
    let third = id(&client.call(&["xadd", "a", "*", "name", "Ada", "born", "1815"]));
    let text = stream.read_until("1815\"}\n\n");
    let mark = node.hub.mark();
    assert!(
        text.contains(&format!("id: {first}.{mark}\ndata: one\ndata: two\n\n")),
        "{text}"
    );
    assert!(
        text.contains("id: own\nevent: tick\nretry: 250\ndata: x\n\n"),
        "{text}"
    );
    let object = format!("id: {third}.{mark}\ndata: {{\"name\":\"Ada\",\"born\":\"1815\"}}\n\n");
    assert!(text.ends_with(&object), "{text}");
    assert_eq!(
        text.matches("event: tick").count(),
        1,
        "once for two topics: {text}"
    );

    client.check("XLEN a", ":3\r\n");
    client.check("XLEN b", ":1\r\n");
    let entry = format!(
        "*1\r\n*2\r\n${}\r\n{second}\r\n*8\r\n$4\r\ndata\r\n$1\r\nx\r\n$5\r\nevent\r\n$4\r\ntick\r\n$2\r\nid\r\n$3\r\nown\r\n$5\r\nretry\r\n$3\r\n250\r\n",
        second.len()
    );
    client.check(&format!("XRANGE b {second} {second}"), &entry);
    // As a stream is sent it.
    client.check(&format!("XRANGE b {second}.{mark} {second}.{mark}"), &entry);
    client.check(&format!("XREVRANGE b {second} {first}.{mark}"), &entry);
    client.check(&format!("XRANGE b ({first}.{mark} +"), &entry);
    let other = OrderMark::new(!mark.bits());
    let refused = "-ERR Invalid stream ID specified as stream command argument\r\n";
    client.check(&format!("XRANGE b {second}.{other} +"), refused);
}

#[test]
fn xadd_nomkstream_publishes_to_known_topics_only() {
    let node = Node::start();
    let mut client = node.connect();
    client.check("XADD t NOMKSTREAM * data x", "$-1\r\n");
    client.check("XLEN t", ":0\r\n");
    // In one batch with the event that makes the topic known.
    let both = client.ask("XADD t * data x\r\nXADD t NOMKSTREAM * data y\r\n");
    assert_eq!(both.matches("\r\n$").count(), 1, "{both}");
    client.check("XLEN t", ":2\r\n");
    let _stream = node.subscribe(&["heard"]);
    id(&client.ask("XADD heard NOMKSTREAM * data x\r\n"));
}

#[test]
fn a_private_event_is_kept_and_handed_to_nobody() {
    let node = Node::with(|settings| {
        settings.jwt_keys = Some(fantail::settings::KeySource::Secret("secret".into()));
    });
    let mut client = node.connect();
    let mut stream = node.subscribe(&["t"]);
    id(&client.ask("XADD t * private 1 data secret\r\n"));
    client.check("PUBLISH t open", ":1\r\n");
    assert!(!stream.read_until("data: open\n\n").contains("secret"));
}

#[test]
fn what_is_no_event_is_refused_and_the_connection_lives() {
    let node = Node::with(|settings| {
        settings.event_limits.data_bytes_max = 10;
        settings.event_limits.topic_bytes_max = 5;
        settings.event_limits.topics_per_event_max = 2;
    });
    let mut client = node.connect();
    let mut refused = |request: Vec<u8>, text: &str| {
        let reply = client.ask(request);
        assert!(
            reply.starts_with(text) && reply.ends_with("\r\n"),
            "{reply:?}, not {text:?}"
        );
    };
    refused(
        command_bytes(&[b"PUBLISH", b"t", b"\xff"]),
        "-ERR data must be UTF-8",
    );
    refused(
        command_bytes(&[b"PUBLISH", b"\xff", b"x"]),
        "-ERR a topic must be UTF-8",
    );
    refused(
        command(&["PUBLISH", "", "x"]),
        "-ERR a topic must not be empty",
    );
    refused(
        command(&["PUBLISH", "longer", "x"]),
        "-ERR a topic of 6 bytes is longer than the 5",
    );
    refused(
        command(&["PUBLISH", "t", "12345678901"]),
        "-ERR `data` of 11 bytes is longer than the 10 that `data_bytes_max`",
    );
    refused(
        command(&["XADD", "t", "*", "topic", "u", "topic", "v", "data", "x"]),
        "-ERR 3 topics are more than the 2",
    );
    refused(
        command(&["XADD", "t", "*", "id", "a\nb"]),
        "-ERR `id` must not contain",
    );
    refused(
        command(&["XADD", "t", "*", "event", "a\nb"]),
        "-ERR `event` must not contain",
    );
    refused(
        command(&["XADD", "t", "*", "id", ""]),
        "-ERR `id` must not be empty",
    );
    refused(
        command(&["XADD", "t", "*", "data", "x", "other", "y"]),
        "-ERR field 'other' cannot stand beside `data`",
    );
    refused(
        command(&["XADD", "t", "5-1", "data", "x"]),
        "-ERR ids are given by the node",
    );
    refused(command(&["XADD", "t", "*", "data"]), &arity("xadd"));
    client.check("PUBLISH t 1234567890", ":0\r\n");
}

#[test]
fn what_the_node_says_itself_is_refused_in_every_command() {
    let node = Node::start();
    let mut client = node.connect();
    for topic in [
        "/.well-known/mercure/subscriptions/a/b",
        "/.well-known/mercure/subscriptions/../..",
        "/.well-known//mercure/%2e%2e",
        "https://a.example/%2ewell-known%2Fmercure",
        "\\.well-known\\mercure",
    ] {
        for request in [
            &["PUBLISH", topic, "x"][..],
            &["SPUBLISH", topic, "x"],
            &["XADD", topic, "*", "data", "x"],
            &["XADD", "t", "*", "topic", topic, "data", "x"],
        ] {
            let reply = client.call(request);
            assert!(
                reply.starts_with("-ERR ") && reply.contains("the node's own"),
                "{request:?}: {reply}"
            );
        }
    }
    for name in ["gap", "heartbeat", "gap "] {
        let reply = client.call(&["XADD", "t", "*", "event", name, "data", "x"]);
        assert!(reply.starts_with("-ERR `event` must not be"), "{reply}");
    }
    for id in [
        "earliest",
        "latest",
        "$",
        "-",
        "+",
        "*",
        ">",
        "0-0",
        "#1",
        " a",
        "a\t",
        "a\u{1}b",
        "\u{7f}",
        "a\u{85}b",
        "\u{feff}a",
    ] {
        let reply = client.call(&["XADD", "t", "*", "id", id, "data", "x"]);
        assert!(reply.starts_with("-ERR `id` must not"), "{id:?}: {reply}");
    }
    client.check("XLEN t", ":0\r\n");
    client.check("PUBLISH t x", ":0\r\n");
}

#[test]
fn a_private_event_that_nobody_could_hear_is_refused() {
    let node = Node::start();
    let mut client = node.connect();
    for request in [
        "XADD t * private 1 data x",
        "XADD t NOMKSTREAM * private true data x",
    ] {
        let reply = client.ask(format!("{request}\r\n"));
        assert!(reply.starts_with("-ERR `private` is set"), "{reply}");
        assert!(reply.contains("jwt_secret_file"), "{reply}");
    }
    client.check("XLEN t", ":0\r\n");
    id(&client.ask("XADD t * private 0 data x\r\n"));
}

#[test]
fn an_id_of_the_nodes_own_order_is_refused() {
    let node = Node::start();
    let mut client = node.connect();
    let place = id(&client.call(&["XADD", "a", "*", "data", "x"]));
    let mark = node.hub.mark();
    let own = format!("{place}.{mark}");
    let urn = node.hub.marked(node.hub.head()).urn();
    let misspelt = ["99999999999999-5", "18446744073709551616-0", "01-0"]
        .map(|numbers| format!("{numbers}.{mark}"));
    let upper = [own.to_uppercase(), urn.to_uppercase()];
    for own in [own, urn].iter().chain(&misspelt).chain(&upper) {
        let refusal = client.call(&["XADD", "a", "*", "id", own, "data", "x"]);
        assert!(refusal.starts_with("-ERR `id` must not be"), "{refusal}");
    }
    client.check("XLEN a", ":1\r\n");
    // Copied from a Redis stream, or from another node.
    let other = place.parse::<EventId>().expect("an id");
    let other = other.marked(OrderMark::new(!mark.bits())).to_string();
    for copied in [&place, &other] {
        id(&client.call(&["XADD", "a", "*", "id", copied, "data", "x"]));
        let shown = format!("$2\r\nid\r\n${}\r\n{copied}\r\n", copied.len());
        assert!(
            client
                .call(&["XREVRANGE", "a", "+", "-", "COUNT", "1"])
                .contains(&shown)
        );
    }
}
