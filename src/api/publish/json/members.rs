//! The members of an event in JSON: their values, found as text and then read.

use std::borrow::Cow;

use super::fault::{Fault, MEMBERS};
use crate::core::event::{Event, Topics};
use crate::json::{Text, compact};

/// The values of an event's members, still as JSON.
#[derive(Default)]
pub(super) struct Members<'a> {
    values: [Option<&'a str>; MEMBERS.len()],
}

impl<'a> Members<'a> {
    /// The slot for this member's value.
    pub(super) fn slot(&self, name: &str) -> Result<usize, Fault> {
        let Some(slot) = MEMBERS.iter().position(|member| *member == name) else {
            return Err(Fault::unknown(name));
        };
        match self.values[slot] {
            Some(_) => Err(Fault::Twice(MEMBERS[slot])),
            None => Ok(slot),
        }
    }

    pub(super) fn set(&mut self, slot: usize, json: &'a str) {
        self.values[slot] = Some(json);
    }

    pub(super) fn into_event(self) -> Result<Event<'a>, Fault> {
        let [topic, topics, data, event, id, retry, private, key] = self.values;
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
            key: text("key", key)?,
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
