//! Envelopes, raw texts, and what is refused.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn event(text: &str) -> Event<'_> {
    let message = read(text.as_bytes(), "channel").expect(text);
    assert!(message.is_envelope, "{text}");
    message.event
}

fn is_raw(text: &str) -> bool {
    let message = read(text.as_bytes(), "channel").expect(text);
    if !message.is_envelope {
        assert_eq!(message.event, Event::new("channel", text));
    }
    !message.is_envelope
}

#[test]
fn every_member_of_an_envelope_is_read() {
    let all = event(
        r#" {"event":"tick","data":"x","id":"i-1","topic":["a","b"],"private":true,"retry":500}"#,
    );
    assert_eq!(all.topics.as_slice(), ["a", "b"]);
    assert_eq!(
        (all.data.as_ref(), all.event.as_deref()),
        ("x", Some("tick"))
    );
    assert_eq!(
        (all.id.as_deref(), all.private, all.retry),
        (Some("i-1"), true, Some(500))
    );
    assert_eq!(event(r#"{"data":"x"}"#), Event::new("channel", "x"));
    assert_eq!(event(r#"{"data":"x","topic":"a"}"#), Event::new("a", "x"));
    assert_eq!(
        event(r#"{"data":"x","topics":["a"]}"#),
        Event::new("a", "x")
    );
    let nulls = r#"{"data":"x","event":null,"id":null,"topic":null,"topics":null,"private":null,"retry":null}"#;
    assert_eq!(event(nulls), Event::new("channel", "x"));
    assert_eq!(event(r#"{"data":1,"id":-42}"#).id.as_deref(), Some("-42"));
    assert_eq!(
        event(r#"{"data":1,"id":18446744073709551617}"#)
            .id
            .as_deref(),
        Some("18446744073709551617")
    );
}

#[test]
fn data_is_a_text_or_compact_json() {
    for (json, data) in [
        (r#""a\nb ä""#, "a\nb ä"),
        (r#"{ "b" : [ 1.10e5 , "x y" ] }"#, r#"{"b":[1.10e5,"x y"]}"#),
        ("null", "null"),
        (
            "123456789012345678901234567890",
            "123456789012345678901234567890",
        ),
        ("true", "true"),
    ] {
        assert_eq!(event(&format!(r#"{{"data": {json}}}"#)).data, data);
    }
}

#[test]
fn any_other_text_is_the_data_itself() {
    for text in [
        "",
        "hello",
        " {",
        "{}",
        "[1,2]",
        "\"data\"",
        "42",
        r#"{"type":"order","data":{"id":1}}"#,
        r#"{"data":1,"key":"k"}"#,
        r#"{"event":"tick"}"#,
        r#"{"data":1"#,
        r#"{"data":1} and more"#,
        r#"{"data":1}{"data":2}"#,
        r#"[{"data":1}]"#,
        "{\"data\":tru}",
        "\u{feff}{\"data\":1}",
    ] {
        assert!(is_raw(text), "{text}");
    }
}

#[test]
fn a_wrong_member_is_named() {
    for (text, said) in [
        (r#"{"data":1,"data":2}"#, "`data` is given twice"),
        (r#"{"data":1,"topic":"a","topics":["b"]}"#, "not both"),
        (r#"{"data":1,"topic":7}"#, "`topic` must be a string"),
        (
            r#"{"data":1,"topic":["a",7]}"#,
            "`topic` must be a string or an array",
        ),
        (r#"{"data":1,"topics":"a"}"#, "`topics` must be"),
        (r#"{"data":1,"event":{}}"#, "`event` must be a string"),
        (
            r#"{"data":1,"id":1.5}"#,
            "`id` must be a string or a whole number",
        ),
        (r#"{"data":1,"retry":-1}"#, "`retry` must be a whole number"),
        (
            r#"{"data":1,"retry":"5"}"#,
            "`retry` must be a whole number",
        ),
        (
            r#"{"data":1,"private":"yes"}"#,
            "`private` must be true or false",
        ),
        (r#"{"data":"\ud800"}"#, "`data` has an escape"),
        (r#"{"data":1,"topic":["\udc00"]}"#, "`topic` has an escape"),
    ] {
        let refused = read(text.as_bytes(), "channel").expect_err(text);
        assert!(refused.to_string().contains(said), "{text}: {refused}");
        assert_eq!(refused.outcome(), PubSubOutcome::BadField, "{text}");
    }
}

#[test]
fn bytes_that_are_no_text_are_refused() {
    let refused = read(b"ab\xff", "channel").expect_err("no text");
    assert_eq!(refused, Refused::NotUtf8 { at: 2 });
    assert_eq!(refused.outcome(), PubSubOutcome::NotText);
}

#[test]
fn deep_nesting_costs_no_stack() {
    let deep = format!("{}{}", "[".repeat(200_000), "]".repeat(200_000));
    assert_eq!(event(&format!(r#"{{"data":{deep}}}"#)).data, deep);
    assert!(is_raw(&format!(r#"{{"x":{deep}}}"#)));
}

proptest! {
    #[test]
    fn any_bytes_are_answered(payload: Vec<u8>) {
        match read(&payload, "channel") {
            Ok(message) if !message.is_envelope => {
                prop_assert_eq!(message.event.data.as_bytes(), payload.as_slice());
            }
            Ok(_) | Err(_) => {}
        }
    }

    #[test]
    fn an_envelope_carries_any_text_unchanged(data: String, name: String, id: String, topics in prop::collection::vec(any::<String>(), 1..4)) {
        let text = json!({"data": data, "event": name, "id": id, "topic": topics}).to_string();
        let read = event(&text);
        prop_assert_eq!(read.data.as_ref(), data.as_str());
        prop_assert_eq!(read.event.as_deref(), Some(name.as_str()));
        prop_assert_eq!(read.id.as_deref(), Some(id.as_str()));
        prop_assert_eq!(read.topics.as_slice(), topics.as_slice());
    }

    #[test]
    fn other_json_as_data_stays_the_same_json(number: i64, text: String, truth: bool) {
        let value = json!({"a": [number, text, null], "b": truth});
        let message = format!("{{ \"data\" : {value:#} }}");
        let data = event(&message).data.into_owned();
        prop_assert_eq!(serde_json::from_str::<Value>(&data).expect("JSON"), value);
        prop_assert!(!data.contains('\n'));
    }

    #[test]
    fn an_object_with_any_other_member_is_raw(name in "[a-z]{1,8}") {
        prop_assume!(!MEMBERS.contains(&name.as_str()));
        let text = json!({"data": 1, name: 2}).to_string();
        prop_assert!(is_raw(&text));
    }
}
