use crate::node::Node;

const JSON: &str = "application/json";
const NDJSON: &str = "application/x-ndjson";
const MARK: &str = "\u{feff}";

#[test]
fn a_byte_order_mark_in_front_of_json_is_skipped() {
    let node = Node::start();
    let mut stream = node.subscribe("/events/a");
    let event = r#"{"topic":"a","data":"1"}"#;
    for body in [
        format!("{MARK}{event}"),
        format!("{MARK} \r\n{event}"),
        format!("{MARK}[{event}]"),
    ] {
        let answer = node.post("/publish", JSON, &body);
        assert_eq!(answer.status, 200, "{body:?}: {answer:?}");
    }
    for body in [
        format!("{MARK}{event}\n{event}\n"),
        format!("{MARK}\n{event}\n{event}"),
        format!("{MARK}\r\n\n{event}\n{event}"),
    ] {
        let answer = node.post("/publish", NDJSON, &body);
        assert_eq!(answer.status, 200, "{body:?}: {answer:?}");
        assert_eq!(answer.json()["accepted"], 2, "{body:?}");
    }
    assert_eq!(stream.take_data(9), ["1"; 9]);
}

#[test]
fn a_byte_order_mark_anywhere_else_is_text() {
    let node = Node::start();
    let mut stream = node.subscribe("/events/a");
    let event = r#"{"topic":"a","data":"1"}"#;
    for (kind, body) in [
        (JSON, format!("{MARK}{MARK}{event}")),
        (JSON, format!(" {MARK}{event}")),
        (JSON, MARK.to_owned()),
        (NDJSON, format!("{event}\n{MARK}{event}")),
    ] {
        let answer = node.post("/publish", kind, &body);
        assert_eq!(answer.status, 400, "{body:?}: {answer:?}");
    }
    // The bytes of a raw body are the data.
    let raw = format!("{MARK}raw");
    assert_eq!(node.post("/publish/a", "text/plain", &raw).status, 200);
    assert_eq!(stream.take_data(2), ["1", &raw]);
}
