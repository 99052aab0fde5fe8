use crate::support::Node;
use crate::users::guarded;
use redis::streams::{StreamRangeReply, StreamReadReply};
use redis::{Commands, Connection, RedisResult};

fn connect(node: &Node, rest: &str, credentials: &str) -> RedisResult<Connection> {
    let url = format!("redis://{credentials}{}/{rest}", node.address);
    redis::Client::open(url).expect("address").get_connection()
}

fn everything(rest: &str) {
    let node = Node::start();
    let mut stream = node.subscribe(&["news"]);
    let mut connection = connect(&node, rest, "").expect("connects");
    let heard: u64 = connection.publish("news", "hello").expect("published");
    assert_eq!(heard, 1);
    let fields = [("data", "x"), ("event", "tick")];
    let id: String = connection.xadd("news", "*", &fields).expect("published");
    let (a, b): (u64, u64) = redis::pipe()
        .publish("news", "1")
        .publish("news", "2")
        .query(&mut connection)
        .expect("a pipeline");
    assert_eq!((a, b), (1, 1));
    stream.read_until("data: 2\n\n");

    let length: usize = connection.xlen("news").expect("length");
    assert_eq!(length, 4);
    let range: StreamRangeReply = connection.xrange_all("news").expect("range");
    let second = &range.ids[1];
    assert_eq!(
        (second.id.as_str(), second.get::<String>("event")),
        (id.as_str(), Some("tick".into()))
    );
    let read: StreamReadReply = connection.xread(&["news"], &[&id]).expect("read");
    assert_eq!(
        (read.keys[0].key.as_str(), read.keys[0].ids.len()),
        ("news", 2)
    );
    let none: Option<StreamReadReply> = connection.xread(&["news"], &["$"]).expect("nothing new");
    assert!(none.is_none_or(|reply| reply.keys.is_empty()));
    let pong: String = redis::cmd("PING").query(&mut connection).expect("ping");
    assert_eq!(pong, "PONG");
    let error = redis::cmd("GET")
        .arg("x")
        .query::<String>(&mut connection)
        .expect_err("unknown");
    assert!(
        error.to_string().contains("unknown command 'GET'"),
        "{error}"
    );
}

#[test]
fn works_with_resp2() {
    everything("");
}

#[test]
fn works_with_resp3() {
    everything("?protocol=resp3");
}

#[test]
fn logs_in() {
    let node = guarded();
    for rest in ["", "?protocol=resp3"] {
        let mut default = connect(&node, rest, ":secret@").expect("password");
        let _: u64 = default.publish("x", "y").expect("allowed");
        let mut bob = connect(&node, rest, "bob:pw@").expect("user");
        let _: u64 = bob.publish("news.x", "y").expect("allowed");
        let error = bob.publish::<_, _, u64>("x", "y").expect_err("not allowed");
        assert_eq!(error.code(), Some("NOPERM"), "{error}");
        assert!(connect(&node, rest, "bob:bad@").is_err());
    }
}
