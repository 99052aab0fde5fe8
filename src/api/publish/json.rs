//! Events as JSON: one object, or an array of them.
//!
//! Strings are borrowed from the body wherever JSON allows. `data` other than a string is passed on
//! as text, without the spaces between its tokens. It is never parsed into numbers and maps, which
//! would lose digits and the order of keys; so nesting costs no stack either.
//!
//! A member's value is first found as text and then read, so that every fault has a message of our
//! own (`fault`).

mod fault;
mod members;

use std::cell::{Cell, RefCell};
use std::fmt;

use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

pub use self::fault::JsonError;
use self::fault::{Fault, Place};
use self::members::Members;
use crate::bom;
use crate::core::event::Event;
use crate::json::Text;

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
            members.set(slot, value.get());
        }
        members.into_event().map_err(wrong)
    }
}

#[cfg(test)]
mod tests;
