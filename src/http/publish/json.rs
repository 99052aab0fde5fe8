//! Events as JSON: one object, or an array of them.
//!
//! Strings are borrowed from the body wherever JSON allows. `data` that is not a string is passed on as text, only without the spaces between its tokens: it
//! is never turned into numbers and maps, which would lose digits and the order of keys. So nesting costs no stack either.

use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;

use serde::Deserialize;
use serde::de::{self, Deserializer, SeqAccess, Visitor};
use serde_json::value::RawValue;
use thiserror::Error;

use crate::bom;
use crate::event::{Event, IdForm, Topics};

/// Why a body is not one event or an array of events.
#[derive(Debug, Error)]
pub enum JsonError {
    /// Not UTF-8.
    #[error("the body is not UTF-8 from byte {at} on")]
    NotUtf8 {
        /// Offset of the first byte that is not, from 0.
        at: usize,
    },
    /// Neither an object nor an array.
    #[error("the body must be a JSON object (one event) or an array of them")]
    NotEvents,
    /// Malformed, or a member that is unknown, missing, doubled or of the wrong type.
    #[error("{source}")]
    Syntax {
        /// Element of the array in which it was found.
        index: Option<usize>,
        /// What and where, by line and column.
        source: serde_json::Error,
    },
    /// Both `topic` and `topics`, which one of them is meant?
    #[error("give `topic` (one name) or `topics` (an array), not both")]
    TwoTopics {
        /// Element of the array.
        index: Option<usize>,
    },
    /// More events than the setting `publish_batch_max`.
    #[error("the array has more than the {max} events that `publish_batch_max` allows")]
    TooMany {
        /// Events allowed.
        max: usize,
    },
}

impl JsonError {
    /// Element of the array at fault, from 0.
    pub(super) fn index(&self) -> Option<usize> {
        match self {
            Self::Syntax { index, .. } | Self::TwoTopics { index } => *index,
            Self::NotUtf8 { .. } | Self::NotEvents | Self::TooMany { .. } => None,
        }
    }

    /// Member at fault, where it is known without reading the message.
    pub(super) fn field(&self) -> Option<&'static str> {
        matches!(self, Self::TwoTopics { .. }).then_some("topics")
    }
}

/// The events of one body.
#[derive(Debug, PartialEq, Eq)]
pub enum Events<'a> {
    /// An object.
    One(Event<'a>),
    /// An array, possibly empty.
    Many(Vec<Event<'a>>),
}

/// Reads a body of `POST /publish`. Limits of the events themselves are not checked here ([`Event::check`] does).
///
/// # Errors
/// [`JsonError`], which says what and where.
pub fn parse(body: &[u8], batch_max: usize) -> Result<Events<'_>, JsonError> {
    let text = bom::skip_in(utf8(body)?);
    match text
        .trim_start_matches([' ', '\t', '\r', '\n'])
        .as_bytes()
        .first()
    {
        Some(b'{') => parse_object(text).map(Events::One),
        Some(b'[') => parse_array(text, batch_max).map(Events::Many),
        _ => Err(JsonError::NotEvents),
    }
}

/// Reads one line of a stream: an object.
pub(super) fn parse_line(line: &[u8]) -> Result<Event<'_>, JsonError> {
    parse_object(utf8(line)?)
}

fn utf8(bytes: &[u8]) -> Result<&str, JsonError> {
    std::str::from_utf8(bytes).map_err(|error| JsonError::NotUtf8 {
        at: error.valid_up_to(),
    })
}

fn parse_object(text: &str) -> Result<Event<'_>, JsonError> {
    serde_json::from_str::<Object<'_>>(text)
        .map_err(|source| JsonError::Syntax {
            index: None,
            source,
        })?
        .into_event()
        .ok_or(JsonError::TwoTopics { index: None })
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
        Err(_) if progress.two_topics.get() => Err(JsonError::TwoTopics { index }),
        Err(source) => Err(JsonError::Syntax { index, source }),
    }
}

/// How far an array was read, for the error; serde's own error has no room for it.
#[derive(Default)]
struct Progress {
    read: Cell<usize>,
    too_many: Cell<bool>,
    two_topics: Cell<bool>,
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
        while let Some(object) = elements.next_element::<Object<'de>>()? {
            if events.len() == self.batch_max {
                self.progress.too_many.set(true);
                return Err(de::Error::custom("too many events"));
            }
            let Some(event) = object.into_event() else {
                self.progress.two_topics.set(true);
                return Err(de::Error::custom("both topic and topics"));
            };
            events.push(event);
            self.progress.read.set(events.len());
        }
        Ok(events)
    }
}

/// One event as it is written in JSON.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "an event object")]
struct Object<'a> {
    #[serde(borrow, default)]
    topic: Option<Text<'a>>,
    #[serde(borrow, default)]
    topics: Option<Vec<Text<'a>>>,
    #[serde(borrow)]
    data: Data<'a>,
    #[serde(borrow, default)]
    event: Option<Text<'a>>,
    #[serde(borrow, default)]
    id: Option<Text<'a>>,
    #[serde(default)]
    retry: Option<u64>,
    #[serde(default)]
    private: bool,
}

impl<'a> Object<'a> {
    /// `None` when it has both `topic` and `topics`.
    fn into_event(self) -> Option<Event<'a>> {
        let topics: Topics<'a> = match (self.topic, self.topics) {
            (Some(_), Some(_)) => return None,
            (Some(one), None) => std::iter::once(one.0).collect(),
            (None, many) => many.into_iter().flatten().map(|text| text.0).collect(),
        };
        Some(Event {
            topics,
            data: self.data.0,
            event: self.event.map(|text| text.0),
            id: self.id.map(|text| text.0),
            retry: self.retry,
            private: self.private,
            id_form: IdForm::Native,
        })
    }
}

/// A string, borrowed if it has no escapes. (serde borrows a bare `Cow`, but not one within an `Option` or `Vec`.)
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

/// The data of an event: what a string says, or any other JSON as compact text.
struct Data<'a>(Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Data<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = <&'de RawValue>::deserialize(deserializer)?.get();
        if !raw.starts_with('"') {
            return Ok(Self(compact(raw)));
        }
        // Read a second time for its escapes; all that can be wrong with it by now is half a surrogate pair.
        serde_json::from_str::<Text<'de>>(raw)
            .map(|text| Self(text.0))
            .map_err(|_| de::Error::custom("`data` has an escape that is no character"))
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
        assert!(message(r#"{"topic":"a"}"#).contains("`data`"));
        assert!(message(r#"{"topic":"a","data":1,"data":2}"#).contains("duplicate"));
        assert!(message(r#"{"topic":1,"data":1}"#).contains("string"));
        assert!(message(r#"{"topic":"a","data":1,"retry":-1}"#).contains("-1"));
        assert!(message(r#"{"topic":"a","data":"\ud800"}"#).contains("escape"));
        assert!(message(r#"{"topic":"a","data":1} x"#).contains("trailing"));
        assert!(message(r#"{"topic":"a","data":"#).contains("EOF"));
        assert!(matches!(refused("1"), JsonError::NotEvents));
        assert!(matches!(refused(""), JsonError::NotEvents));
        assert!(matches!(
            refused(r#"{"topic":"a","topics":[],"data":1}"#),
            JsonError::TwoTopics { index: None }
        ));
        assert!(matches!(
            parse(b"{\"topic\":\"\xff\"}", MAX),
            Err(JsonError::NotUtf8 { at: 10 })
        ));
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
        assert!(matches!(error, JsonError::TwoTopics { index: Some(2) }));
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
