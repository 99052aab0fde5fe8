//! Bodies that are read, and every fault in our words.

use std::borrow::Cow;

use proptest::prelude::*;

use super::*;

const MAX: usize = 3;

fn one(text: &str) -> Event<'_> {
    match parse(text.as_bytes(), MAX).expect("valid") {
        Events::One(event) => event,
        Events::Many(_) => panic!("not one: {text}"),
    }
}

fn refused(text: &str) -> JsonError {
    parse(text.as_bytes(), MAX).expect_err(text)
}

#[test]
fn every_member_is_read() {
    let event =
        one(r#" {"topics":["a","b"],"data":"x","event":"e","id":"i","retry":5,"private":true}"#);
    assert_eq!(event.topics.as_slice(), ["a", "b"]);
    assert_eq!(event.data, "x");
    assert_eq!(event.event.as_deref(), Some("e"));
    assert_eq!(event.id.as_deref(), Some("i"));
    assert_eq!((event.retry, event.private), (Some(5), true));
    let plain = one(r#"{"topic":"a","data":"","event":null,"id":null,"retry":null}"#);
    assert_eq!(plain, Event::new("a", ""));
}

#[test]
fn strings_are_borrowed_unless_escaped() {
    assert!(matches!(
        one(r#"{"topic":"a","data":"x"}"#).data,
        Cow::Borrowed("x")
    ));
    assert_eq!(one(r#"{"topic":"a","data":"\u00e4\n"}"#).data, "ä\n");
}

#[test]
fn other_json_is_passed_on_compact_and_unchanged() {
    for (json, data) in [
        ("null", "null"),
        ("1.10e5", "1.10e5"),
        (
            "123456789012345678901234567890",
            "123456789012345678901234567890",
        ),
        (
            r#"{ "b" : [ 1 , 2 ],"a":"x \" y" }"#,
            r#"{"b":[1,2],"a":"x \" y"}"#,
        ),
        ("[\n\"\\\\\" , \" \"\n]", r#"["\\"," "]"#),
    ] {
        assert_eq!(one(&format!(r#"{{"topic":"t","data":{json}}}"#)).data, data);
    }
}

#[test]
fn deep_nesting_costs_no_stack() {
    let deep = format!("{}{}", "[".repeat(500_000), "]".repeat(500_000));
    let body = format!(r#"{{"topic":"t","data":{deep}}}"#);
    assert_eq!(one(&body).data, deep);
}

#[test]
fn what_is_wrong_is_named_with_its_place() {
    let message = |text: &str| refused(text).to_string();
    let unknown = message("{\"topic\":\"a\",\n\"dada\":1}");
    assert!(
        unknown.contains("`dada`") && unknown.contains("line 2"),
        "{unknown}"
    );
    assert!(matches!(refused("1"), JsonError::NotEvents));
    assert!(matches!(refused(""), JsonError::NotEvents));
    assert!(matches!(
        parse(b"{\"topic\":\"\xff\"}", MAX),
        Err(JsonError::NotUtf8 { at: 10 })
    ));
}

#[test]
fn everything_that_can_be_wrong_is_said_in_our_words() {
    for (text, said) in [
        (r#"{"topic":"a"}"#, "`data` is missing"),
        (
            r#"{"topic":"a","data":1,"data":2}"#,
            "`data` is given twice",
        ),
        (r#"{"topic":"a","dada":1}"#, "unknown member `dada`"),
        (r#"{"topic":1,"data":1}"#, "`topic` must be a string"),
        (
            r#"{"topics":"a","data":1}"#,
            "`topics` must be an array of strings",
        ),
        (
            r#"{"topics":[1],"data":1}"#,
            "`topics` must be an array of strings",
        ),
        (
            r#"{"topics":[["a"]],"data":1}"#,
            "`topics` must be an array of strings",
        ),
        (
            r#"{"topic":"a","data":1,"event":{}}"#,
            "`event` must be a string",
        ),
        (r#"{"topic":"a","data":1,"id":7}"#, "`id` must be a string"),
        (
            r#"{"topic":"a","data":1,"retry":-1}"#,
            "`retry` must be a whole number",
        ),
        (
            r#"{"topic":"a","data":1,"retry":1.5}"#,
            "`retry` must be a whole number",
        ),
        (
            r#"{"topic":"a","data":1,"retry":"5"}"#,
            "`retry` must be a whole number",
        ),
        (
            r#"{"topic":"a","data":1,"retry":99999999999999999999}"#,
            "`retry` must be a whole number",
        ),
        (
            r#"{"topic":"a","data":1,"private":1}"#,
            "`private` must be true or false",
        ),
        (r#"{"topic":"a","topics":[],"data":1}"#, "not both"),
        (r#"{"topic":"a","data":"\ud800"}"#, "`data` has an escape"),
        (r#"{"topic":"\udc00","data":1}"#, "`topic` has an escape"),
        (r#"{"topic":"a","data":1} x"#, "something follows"),
        (r#"{"topic":"a","data":1}{}"#, "something follows"),
        (r#"{"topic":"a","data":"#, "ends where a value is due"),
        (r#"{"topic":"a","data":1"#, "ends within an object"),
        (r#"{"topic":"a","data":"x"#, "ends within a string"),
        (r#"[{"topic":"a","data":1}"#, "ends within an array"),
        (r#"{"topic" "a"}"#, "a colon is missing"),
        (
            r#"{"topic":"a" "data":1}"#,
            "a comma or the end of the object",
        ),
        (
            r#"[{"topic":"a","data":1} {}]"#,
            "a comma or the end of the array",
        ),
        (r#"{"topic":"a","data":1,}"#, "comma before the end"),
        (r#"{topic:"a"}"#, "name must be a string"),
        (r#"{"topic":"a","data":tru}"#, "`true`, `false` and `null`"),
        (r#"{"topic":"a","data":01}"#, "number"),
        (r#"{"topic":"a","data":'x'}"#, "a value is missing"),
        (
            r#"{"topic":"a","data":"\x"}"#,
            "an escape that JSON does not have",
        ),
        ("{\"topic\":\"a\",\"data\":\"\u{1}\"}", "control character"),
        ("[1]", "must be a JSON object"),
        (r#"["a"]"#, "must be a JSON object"),
        ("[[]]", "must be a JSON object"),
        ("[null]", "must be a JSON object"),
    ] {
        let error = refused(text).to_string();
        assert!(error.contains(said), "{text}: {error}");
        assert!(error.contains("column"), "{text}: {error}");
        assert!(!error.contains("column 0"), "{text}: {error}");
        for theirs in [
            "invalid type",
            "expected",
            "EOF",
            "trailing",
            "duplicate field",
            "unknown field",
        ] {
            assert!(!error.contains(theirs), "{text}: {error}");
        }
    }
}

#[test]
fn a_line_of_a_stream_has_no_line_of_its_own() {
    for line in [
        r#"{"topic":"a","dada":1}"#,
        r#"{"topic":"a","data":"#,
        "[]",
        "1",
        "",
    ] {
        let error = parse_line(line.as_bytes()).expect_err(line).to_string();
        assert!(
            error.contains("column") && !error.contains("line"),
            "{error}"
        );
        assert!(!error.contains("column 0"), "{error}");
    }
}

#[test]
fn a_byte_order_mark_and_null_mean_nothing() {
    assert_eq!(
        one("\u{feff}{\"topic\":\"a\",\"data\":\"\"}"),
        Event::new("a", "")
    );
    let line = "{\"topic\":\"a\",\"data\":\"\",\"private\":null,\"topics\":null}";
    assert_eq!(
        parse_line(line.as_bytes()).expect("an event"),
        Event::new("a", "")
    );
}

#[test]
fn an_array_tells_the_element() {
    let good = r#"{"topic":"a","data":1}"#;
    assert_eq!(parse(b"[ ]", MAX).expect("valid"), Events::Many(vec![]));
    let three = format!("[{good},{good},{good}]");
    assert!(matches!(parse(three.as_bytes(), MAX), Ok(Events::Many(all)) if all.len() == 3));
    let four = format!("[{good},{good},{good},{good}]");
    assert!(matches!(refused(&four), JsonError::TooMany { max: MAX }));
    assert_eq!(refused(&format!("[{good},{{\"x\":1}}]")).index(), Some(1));
    assert_eq!(refused(&format!("[{good},[]]")).index(), Some(1));
    let both = r#"{"topic":"a","topics":["b"],"data":1}"#;
    let error = refused(&format!("[{good},{good},{both}]"));
    assert_eq!((error.index(), error.field()), (Some(2), Some("topics")));
}

proptest! {
    #[test]
    fn any_bytes_are_answered(body: Vec<u8>) {
        let _ = parse(&body, MAX);
    }

    #[test]
    fn any_string_comes_through(data: String, topic: String) {
        let body = serde_json::json!({ "topic": topic, "data": data }).to_string();
        prop_assert_eq!(one(&body), Event::new(topic, data));
    }
}
