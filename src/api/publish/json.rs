//! Events as JSON: one object, or an array of them.
//!
//! Strings are borrowed from the body wherever JSON allows. `data` other than a string is passed on
//! as text, without the spaces between its tokens. It is never parsed into numbers and maps, which
//! would lose digits and the order of keys; so nesting costs no stack either.
//!
//! A member's value is first found as text and then read, so that every fault has a message of our
//! own (`fault`).

mod fault;

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::fmt;

use serde::Deserialize;
use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

pub use self::fault::JsonError;
use self::fault::{Fault, MEMBERS, Place};
use crate::bom;
use crate::core::event::{Event, Topics};

/// The events of one body.
#[derive(Debug, PartialEq, Eq)]
pub enum Events<'a> {
    /// An object.
    One(Event<'a>),
    /// An array, possibly empty.
    Many(Vec<Event<'a>>),
}

/// Reads a body of `POST /publish`. Limits of the events themselves are not checked here
/// ([`Event::check`] does).
///
/// # Errors
/// [`JsonError`], with the fault and its place.
pub fn parse(body: &[u8], batch_max: usize) -> Result<Events<'_>, JsonError> {
    let text = bom::skip_in(utf8(body)?);
    match text.trim_start_matches(is_space).as_bytes().first() {
        Some(b'{') => parse_object(text, Place::in_body).map(Events::One),
        Some(b'[') => parse_array(text, batch_max).map(Events::Many),
        _ => Err(JsonError::NotEvents),
    }
}

/// Reads one line of a stream: an object.
pub(super) fn parse_line(line: &[u8]) -> Result<Event<'_>, JsonError> {
    parse_object(utf8(line)?, Place::in_line)
}

fn utf8(bytes: &[u8]) -> Result<&str, JsonError> {
    std::str::from_utf8(bytes).map_err(|error| JsonError::NotUtf8 {
        at: error.valid_up_to(),
    })
}

fn is_space(character: char) -> bool {
    matches!(character, ' ' | '\t' | '\r' | '\n')
}

fn parse_object(
    text: &str,
    place: fn(&serde_json::Error) -> Place,
) -> Result<Event<'_>, JsonError> {
    let fault = RefCell::default();
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let event = Object { fault: &fault }.deserialize(&mut deserializer);
    event
        .and_then(|event| deserializer.end().map(|()| event))
        .map_err(|error| JsonError::new(None, fault.take(), &error, place(&error)))
}

fn parse_array(text: &str, batch_max: usize) -> Result<Vec<Event<'_>>, JsonError> {
    let progress = Progress::default();
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let visitor = ArrayVisitor {
        batch_max,
        progress: &progress,
    };
    let events = deserializer.deserialize_seq(visitor);
    let index = Some(progress.read.get());
    match events.and_then(|events| deserializer.end().map(|()| events)) {
        Ok(events) => Ok(events),
        Err(_) if progress.too_many.get() => Err(JsonError::TooMany { max: batch_max }),
        Err(error) => {
            let fault = progress.fault.take();
            let place = Place::in_body(&error);
            Err(JsonError::new(index, fault, &error, place))
        }
    }
}

/// Progress in an array, and its fault: serde's own error has no room for either.
#[derive(Default)]
struct Progress {
    read: Cell<usize>,
    too_many: Cell<bool>,
    fault: RefCell<Option<Fault>>,
}

struct ArrayVisitor<'p> {
    batch_max: usize,
    progress: &'p Progress,
}

impl<'de> Visitor<'de> for ArrayVisitor<'_> {
    type Value = Vec<Event<'de>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of events")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Self::Value, A::Error> {
        let mut events = Vec::new();
        let object = || Object {
            fault: &self.progress.fault,
        };
        while let Some(event) = elements.next_element_seed(object())? {
            if events.len() == self.batch_max {
                self.progress.too_many.set(true);
                return Err(de::Error::custom("too many events"));
            }
            events.push(event);
            self.progress.read.set(events.len());
        }
        Ok(events)
    }
}

/// Reads one event from JSON, and notes its fault.
struct Object<'f> {
    fault: &'f RefCell<Option<Fault>>,
}

impl<'de> DeserializeSeed<'de> for Object<'_> {
    type Value = Event<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Event<'de>, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Object<'_> {
    type Value = Event<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an event object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Event<'de>, A::Error> {
        let wrong = |fault: Fault| {
            *self.fault.borrow_mut() = Some(fault);
            de::Error::custom("no event")
        };
        let mut members = Members::default();
        while let Some(Text(name)) = map.next_key()? {
            let slot = members.slot(&name).map_err(wrong)?;
            let value = map.next_value::<&'de RawValue>()?;
            members.values[slot] = Some(value.get());
        }
        members.into_event().map_err(wrong)
    }
}

/// The values of an event's members, still as JSON.
#[derive(Default)]
struct Members<'a> {
    values: [Option<&'a str>; MEMBERS.len()],
}

impl<'a> Members<'a> {
    /// The slot for this member's value.
    fn slot(&self, name: &str) -> Result<usize, Fault> {
        let Some(slot) = MEMBERS.iter().position(|member| *member == name) else {
            return Err(Fault::unknown(name));
        };
        match self.values[slot] {
            Some(_) => Err(Fault::Twice(MEMBERS[slot])),
            None => Ok(slot),
        }
    }

    fn into_event(self) -> Result<Event<'a>, Fault> {
        let [topic, topics, data, event, id, retry, private] = self.values;
        // `null` is the same as an absent member, except for data.
        let given = |value: Option<&'a str>| value.filter(|json| *json != "null");
        let text = |member, value| given(value).map(|json| text(member, json)).transpose();
        let topics: Topics<'a> = match (given(topic), given(topics)) {
            (Some(_), Some(_)) => return Err(Fault::TwoTopics),
            (Some(topic), None) => std::iter::once(self::text("topic", topic)?).collect(),
            (None, Some(many)) => self::topics(many)?,
            (None, None) => Topics::new(),
        };
        Ok(Event {
            topics,
            data: self::data(data.ok_or(Fault::Missing("data"))?)?,
            event: text("event", event)?,
            id: text("id", id)?,
            retry: given(retry).map(milliseconds).transpose()?,
            private: given(private).map(truth).transpose()?.unwrap_or(false),
            ..Event::default()
        })
    }
}

fn text<'a>(member: &'static str, json: &'a str) -> Result<Cow<'a, str>, Fault> {
    if !json.starts_with('"') {
        let expected = "a string";
        return Err(Fault::Type { member, expected });
    }
    // The end of the string was found before, so only an escape can be wrong.
    match serde_json::from_str::<Text<'a>>(json) {
        Ok(text) => Ok(text.0),
        Err(_) => Err(Fault::Escape(member)),
    }
}

fn topics(json: &str) -> Result<Topics<'_>, Fault> {
    let (member, expected) = ("topics", "an array of strings");
    match serde_json::from_str::<Vec<Text<'_>>>(json) {
        Ok(topics) => Ok(topics.into_iter().map(|text| text.0).collect()),
        Err(error) if error.is_data() => Err(Fault::Type { member, expected }),
        Err(_) => Err(Fault::Escape(member)),
    }
}

fn milliseconds(json: &str) -> Result<u64, Fault> {
    let (member, expected) = ("retry", "a whole number of milliseconds");
    json.parse().map_err(|_| Fault::Type { member, expected })
}

fn truth(json: &str) -> Result<bool, Fault> {
    let (member, expected) = ("private", "true or false");
    json.parse().map_err(|_| Fault::Type { member, expected })
}

/// The text of a string, or any other JSON as compact text.
fn data(json: &str) -> Result<Cow<'_, str>, Fault> {
    if json.starts_with('"') {
        text("data", json)
    } else {
        Ok(compact(json))
    }
}

/// A string, borrowed if it has no escapes. (serde borrows a bare `Cow`, but not one within an
/// `Option` or `Vec`.)
struct Text<'a>(Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;
        impl<'de> Visitor<'de> for TextVisitor {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_borrowed_str<E: de::Error>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Borrowed(text)))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }

            fn visit_string<E: de::Error>(self, text: String) -> Result<Self::Value, E> {
                Ok(Text(Cow::Owned(text)))
            }
        }
        deserializer.deserialize_str(TextVisitor)
    }
}

/// Valid JSON without the whitespace between its tokens (RFC 8259 §2).
fn compact(json: &str) -> Cow<'_, str> {
    let is_space = |byte: u8| matches!(byte, b' ' | b'\t' | b'\r' | b'\n');
    if !json.bytes().any(is_space) {
        return Cow::Borrowed(json);
    }
    let mut out = String::with_capacity(json.len());
    let mut in_string = false;
    let mut escaped = false;
    for character in json.chars() {
        if in_string {
            in_string = escaped || character != '"';
            escaped = !escaped && character == '\\';
        } else if matches!(character, ' ' | '\t' | '\r' | '\n') {
            continue;
        } else {
            in_string = character == '"';
        }
        out.push(character);
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
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
        let event = one(
            r#" {"topics":["a","b"],"data":"x","event":"e","id":"i","retry":5,"private":true}"#,
        );
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
}
