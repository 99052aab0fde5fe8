//! What a message says: an event in an envelope of JSON, or raw data.
//!
//! An *envelope* is a JSON object with `data` that has no members but those of [`MEMBERS`]. Any other text is the data itself,
//! also other JSON: an application that publishes `{"type":"order","data":{…}}` for its own pages means all of it. A member of an
//! envelope that is wrong makes the message refused: as raw data, its publisher would never notice.

use std::borrow::Cow;
use std::fmt;

use serde::de::{self, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use thiserror::Error;

use crate::core::event::{Event, EventError, Topics};
use crate::json::{Text, compact};
use crate::metrics::PubSubOutcome;

/// The members of an envelope.
const MEMBERS: [&str; 7] = ["topic", "topics", "data", "event", "id", "retry", "private"];

/// A message that is read.
#[derive(Debug, PartialEq, Eq)]
pub struct Message<'a> {
    /// The event, which is not checked yet.
    pub event: Event<'a>,
    /// Whether it came in an envelope.
    pub is_envelope: bool,
}

/// Why a message cannot become an event.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Refused {
    /// Longer than the setting allows.
    #[error("it is {length} bytes long, more than the {max} that `redis_message_bytes_max` allows")]
    TooLong {
        /// Its length, or that of its channel.
        length: u64,
        /// The bound.
        max: usize,
    },
    /// Not UTF-8, which streams of events must be.
    #[error("it is not UTF-8 from byte {at} on; binary data needs a text form such as base64")]
    NotUtf8 {
        /// Offset of the first wrong byte.
        at: usize,
    },
    /// Its channel is no topic, and none is given for it.
    #[error("its channel is not UTF-8, and `redis_topics` has no topic for it")]
    Channel,
    /// A member of the envelope is wrong.
    #[error("{0}")]
    Member(#[from] Fault),
    /// The event is one that the node refuses.
    #[error(transparent)]
    Event(#[from] EventError),
}

impl Refused {
    /// As what it is counted.
    pub fn outcome(&self) -> PubSubOutcome {
        match self {
            Self::TooLong { .. }
            | Self::Event(
                EventError::TooLong { .. }
                | EventError::FrameTooLong { .. }
                | EventError::BeyondBudget { .. },
            ) => PubSubOutcome::TooLarge,
            Self::NotUtf8 { .. } => PubSubOutcome::NotText,
            Self::Event(EventError::ReservedTopic(_)) => PubSubOutcome::ReservedTopic,
            Self::Channel | Self::Member(_) | Self::Event(_) => PubSubOutcome::BadField,
        }
    }
}

/// The fault of a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Fault {
    /// The same member twice.
    #[error("`{0}` is given twice")]
    Twice(&'static str),
    /// Both `topic` and `topics`.
    #[error("give `topic` or `topics`, not both")]
    TwoTopics,
    /// A member of the wrong type.
    #[error("`{0}` must be {1}")]
    Type(&'static str, &'static str),
    /// A bad escape, most likely half of a surrogate pair.
    #[error("`{0}` has an escape that is no character")]
    Escape(&'static str),
}

/// Reads a message; `topic` is that of its channel.
pub fn read<'a>(payload: &'a [u8], topic: &'a str) -> Result<Message<'a>, Refused> {
    let text = std::str::from_utf8(payload).map_err(|error| Refused::NotUtf8 {
        at: error.valid_up_to(),
    })?;
    match envelope(text) {
        Some(members) => Ok(Message {
            event: members.into_event(topic)?,
            is_envelope: true,
        }),
        None => Ok(Message {
            event: Event::new(topic, text),
            is_envelope: false,
        }),
    }
}

/// The members of an envelope, if the text is one.
fn envelope(text: &str) -> Option<Members<'_>> {
    // Most raw texts are known by their first character.
    if !text
        .trim_start_matches([' ', '\t', '\r', '\n'])
        .starts_with('{')
    {
        return None;
    }
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let members = deserializer.deserialize_map(EnvelopeVisitor).ok()?;
    deserializer.end().ok()?;
    members.filter(|members| members.values[DATA].is_some())
}

/// The values of an envelope's members, still as JSON.
#[derive(Default)]
struct Members<'a> {
    values: [Option<&'a str>; MEMBERS.len()],
    twice: Option<&'static str>,
}

/// The place of `data` in [`MEMBERS`].
const DATA: usize = 2;

struct EnvelopeVisitor;

impl<'de> Visitor<'de> for EnvelopeVisitor {
    /// `None` if it has a member that envelopes do not have.
    type Value = Option<Members<'de>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Members::default();
        while let Some(Text(name)) = map.next_key()? {
            let Some(slot) = MEMBERS.iter().position(|member| *member == name) else {
                // The rest decides whether it is JSON at all, which makes no difference: both are
                // raw data.
                return Err(de::Error::custom("not an envelope"));
            };
            let value = map.next_value::<&'de RawValue>()?;
            if members.values[slot].replace(value.get()).is_some() {
                members.twice = Some(MEMBERS[slot]);
            }
        }
        Ok(Some(members))
    }
}

impl<'a> Members<'a> {
    fn into_event(self, of_channel: &'a str) -> Result<Event<'a>, Fault> {
        if let Some(name) = self.twice {
            return Err(Fault::Twice(name));
        }
        let [topic, topics, data, event, id, retry, private] = self.values;
        // `null` is the same as an absent member, except for data.
        let given = |value: Option<&'a str>| value.filter(|json| *json != "null");
        let topics = match (given(topic), given(topics)) {
            (Some(_), Some(_)) => return Err(Fault::TwoTopics),
            (Some(json), None) if json.starts_with('[') => names("topic", json)?,
            (Some(json), None) => std::iter::once(self::text("topic", json)?).collect(),
            (None, Some(json)) => names("topics", json)?,
            (None, None) => std::iter::once(Cow::Borrowed(of_channel)).collect(),
        };
        let text = |member, value| given(value).map(|json| text(member, json)).transpose();
        Ok(Event {
            topics,
            data: self::data(data.unwrap_or("null"))?,
            event: text("event", event)?,
            id: given(id).map(self::id).transpose()?,
            retry: given(retry).map(milliseconds).transpose()?,
            private: given(private).map(truth).transpose()?.unwrap_or(false),
            ..Event::default()
        })
    }
}

fn text<'a>(member: &'static str, json: &'a str) -> Result<Cow<'a, str>, Fault> {
    if !json.starts_with('"') {
        return Err(Fault::Type(member, "a string"));
    }
    let text = serde_json::from_str::<Text<'a>>(json);
    text.map(|text| text.0).map_err(|_| Fault::Escape(member))
}

fn names<'a>(member: &'static str, json: &'a str) -> Result<Topics<'a>, Fault> {
    match serde_json::from_str::<Vec<Text<'a>>>(json) {
        Ok(topics) => Ok(topics.into_iter().map(|text| text.0).collect()),
        Err(error) if error.is_data() => {
            Err(Fault::Type(member, "a string or an array of strings"))
        }
        Err(_) => Err(Fault::Escape(member)),
    }
}

/// A string, or a whole number: ids of databases are often written so.
fn id(json: &str) -> Result<Cow<'_, str>, Fault> {
    let digits = json.strip_prefix('-').unwrap_or(json);
    if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(Cow::Borrowed(json));
    }
    text("id", json).map_err(|fault| match fault {
        Fault::Type(member, _) => Fault::Type(member, "a string or a whole number"),
        other => other,
    })
}

fn milliseconds(json: &str) -> Result<u64, Fault> {
    json.parse()
        .map_err(|_| Fault::Type("retry", "a whole number of milliseconds"))
}

fn truth(json: &str) -> Result<bool, Fault> {
    json.parse()
        .map_err(|_| Fault::Type("private", "true or false"))
}

/// The text of a string, or any other JSON as compact text.
fn data(json: &str) -> Result<Cow<'_, str>, Fault> {
    if json.starts_with('"') {
        text("data", json)
    } else {
        Ok(compact(json))
    }
}

#[cfg(test)]
mod tests;
