//! An entry of a Redis stream: its fields, as an event, a marker or an order to erase.
//!
//! Any application can write one, and a person can read one with `redis-cli XRANGE`. So every field
//! is plain text, only `topic` is required, and a field that is not known is passed over: a later
//! version may write it.
//!
//! | field | value |
//! |---|---|
//! | `topic` | a topic; repeated for several |
//! | `data` | the payload; empty if it is missing |
//! | `event`, `id`, `retry` | as in SSE: name, the publisher's own id, delay in milliseconds |
//! | `private` | `1`: only for streams that were granted one of the topics (`0`: as without it) |
//! | `key` | an idempotency key |
//! | `t` | written by nodes: the token of the batch, `<node>.<number>` |
//! | `k` | written by nodes: the digests of the idempotency key, 64 hexadecimal digits |
//! | `urn` | written by nodes: `1`, if the event's id is written as a URN |
//! | `node` | written by nodes: `1`, if the event is the node's own |
//! | `fantail` | a marker: `birth` (with `id`), `tick`, `term` (with `server`), `lost`, `fork` (with `after` and `through`), `erase` (with `topic`) |
//!
//! What cannot be read is [`Item::Unreadable`] with its reason, never an error: one bad entry must
//! not stop a node.

use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::follow::Marker;
use crate::core::event::{EventId, IdForm};
use crate::core::idempotency::Key;
use crate::hub::log::{Item, Record, RecordKey};

/// Most topics of an entry that are read. A node's own bound is far below.
const TOPICS_MAX: usize = 10_000;

/// Largest entry that is read as an event, beside its topics. A node's bound on data is at most
/// 256 MiB, but a stream of Redis with such entries would be of no use.
const FIELD_BYTES_MAX: usize = 64 << 20;

/// Hexadecimal digits of the digests of a key.
const DIGESTS_DIGITS: usize = 64;

/// The token of a batch that a node has appended: the node tells its own batches by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Token {
    /// Drawn when the node's process starts.
    pub node: u64,
    /// Number of the batch.
    pub number: u64,
}

impl Token {
    fn parse(text: &str) -> Option<Self> {
        let (node, number) = text.split_once('.')?;
        let plain = |text: &str, radix| {
            let is_digit = |byte: u8| byte.is_ascii_hexdigit();
            let read = text.bytes().all(is_digit).then_some(text)?;
            u64::from_str_radix(read, radix).ok()
        };
        Some(Self {
            node: plain(node, 16)?,
            number: plain(number, 10)?,
        })
    }
}

impl std::fmt::Display for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:016x}.{}", self.node, self.number)
    }
}

/// The content of an entry.
#[derive(Clone, Debug)]
pub struct Content {
    /// What the hub applies.
    pub item: Item,
    /// The token of its batch.
    pub token: Option<Token>,
    /// Bytes of all names and values.
    pub bytes: usize,
}

/// An entry that was read.
#[derive(Clone, Debug)]
pub struct Read {
    /// A digest of its id and of all fields (XXH3): another entry in its place has another one. It is the
    /// same in all builds.
    pub print: u64,
    /// The marker, if it is one.
    pub marker: Option<Marker>,
    /// Its content.
    pub content: Content,
}

/// The fields of an entry, in the order in which they are written.
pub type Fields = Vec<(&'static str, Vec<u8>)>;

/// The fields of an event.
#[must_use]
pub fn of_record(record: Record, token: Token) -> Fields {
    let mut fields = Fields::with_capacity(record.topics.len() + 3);
    for topic in record.topics {
        fields.push(("topic", String::from(topic).into_bytes()));
    }
    fields.push(("data", record.data.into_bytes()));
    let mut text = |name, value: Option<String>| {
        fields.extend(value.map(|value| (name, value.into_bytes())));
    };
    text("event", record.event);
    text("id", record.id);
    text("retry", record.retry.map(|ms| ms.to_string()));
    match record.key {
        Some(RecordKey::Text(key)) => text("key", Some(key)),
        Some(RecordKey::Digests(key)) => text("k", Some(hex(&key))),
        None => {}
    }
    let mut mark = |name, is_set: bool| fields.extend(is_set.then(|| (name, b"1".to_vec())));
    mark("private", record.private);
    mark("urn", record.form == IdForm::Urn);
    mark("node", record.is_of_node);
    fields.push(("t", token.to_string().into_bytes()));
    fields
}

/// The fields of a marker.
#[must_use]
pub fn of_marker(marker: Marker) -> Fields {
    let (kind, more): (&str, Fields) = match marker {
        Marker::Birth(birth) => {
            let id = uuid::Uuid::from_u128(birth).to_string();
            ("birth", vec![("id", id.into_bytes())])
        }
        Marker::Tick => ("tick", Vec::new()),
        Marker::Term { server } => (
            "term",
            vec![("server", format!("{server:016x}").into_bytes())],
        ),
        Marker::Lost => ("lost", Vec::new()),
        Marker::Fork { after, through } => (
            "fork",
            vec![
                ("after", after.to_string().into_bytes()),
                ("through", through.to_string().into_bytes()),
            ],
        ),
    };
    let mut fields = vec![("fantail", kind.as_bytes().to_vec())];
    fields.extend(more);
    fields
}

/// The fields of an order to erase the history of a topic.
#[must_use]
pub fn of_erase(topic: &str, token: Token) -> Fields {
    vec![
        ("fantail", b"erase".to_vec()),
        ("topic", topic.as_bytes().to_vec()),
        ("t", token.to_string().into_bytes()),
    ]
}

/// Reads an entry.
#[must_use]
pub fn read<'f>(id: EventId, fields: impl Iterator<Item = (&'f [u8], &'f [u8])>) -> Read {
    let mut print = id.get();
    let mut known = Known::default();
    let mut fault = None;
    let mut bytes = 0;
    for (name, value) in fields {
        for part in [name, value] {
            print = xxh3_64_with_seed(part, print);
            bytes += part.len();
        }
        if fault.is_none() {
            fault = known.add(name, value).err();
        }
    }
    let token = known.token;
    let read = match fault {
        Some(fault) => Err(fault),
        None => known.finish(),
    };
    let (marker, item) = match read {
        Ok(Meaning::Event(record)) => (None, Item::Event(record)),
        Ok(Meaning::Erase(topic)) => (None, Item::Erase(topic)),
        Ok(Meaning::Marker(marker)) => (Some(marker), Item::Pass),
        Err(Fault::TooLarge { topics }) => (None, Item::TooLarge { topics }),
        Err(Fault::Unreadable(reason)) => (None, Item::Unreadable(reason)),
    };
    Read {
        print,
        marker,
        content: Content { item, token, bytes },
    }
}

enum Meaning {
    Event(Record),
    Erase(Box<str>),
    Marker(Marker),
}

enum Fault {
    Unreadable(String),
    TooLarge { topics: Vec<Box<str>> },
}

/// The known fields of an entry.
#[derive(Default)]
struct Known {
    record: Record,
    is_too_large: bool,
    seen: Vec<&'static str>,
    token: Option<Token>,
    marker: Option<String>,
    after: Option<EventId>,
    through: Option<EventId>,
    server: Option<u64>,
}

fn unreadable<T>(reason: impl Into<String>) -> Result<T, Fault> {
    Err(Fault::Unreadable(reason.into()))
}

impl Known {
    fn add(&mut self, name: &[u8], value: &[u8]) -> Result<(), Fault> {
        let Some(name) = NAMES.iter().find(|known| known.as_bytes() == name) else {
            return Ok(());
        };
        if *name != "topic" {
            if self.seen.contains(name) {
                return unreadable(format!("the field `{name}` is there twice"));
            }
            self.seen.push(name);
        }
        if value.len() > FIELD_BYTES_MAX {
            self.is_too_large = true;
            return Ok(());
        }
        let Ok(text) = str::from_utf8(value) else {
            return unreadable(format!("the field `{name}` is not valid UTF-8"));
        };
        match *name {
            "topic" if self.record.topics.len() == TOPICS_MAX => {
                return unreadable(format!("it has more than {TOPICS_MAX} topics"));
            }
            "topic" => self.record.topics.push(text.into()),
            "data" => self.record.data = text.to_owned(),
            "event" => self.record.event = Some(text.to_owned()),
            "id" => self.record.id = Some(text.to_owned()),
            "retry" => self.record.retry = Some(number(name, text)?),
            "private" => self.record.private = switch(name, text)?,
            "key" => self.record.key = Some(RecordKey::Text(text.to_owned())),
            "k" => match digests(text) {
                Some(key) => self.record.key = Some(RecordKey::Digests(key)),
                None => return unreadable("the field `k` is not 64 hexadecimal digits"),
            },
            "urn" if switch(name, text)? => self.record.form = IdForm::Urn,
            "urn" => {}
            "node" => self.record.is_of_node = switch(name, text)?,
            // A token in another form is not one of this node's.
            "t" => self.token = Token::parse(text),
            "fantail" => self.marker = Some(text.to_owned()),
            "after" => self.after = text.parse().ok(),
            "through" => self.through = text.parse().ok(),
            "server" => self.server = u64::from_str_radix(text, 16).ok(),
            _ => {}
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Meaning, Fault> {
        if let Some(kind) = self.marker.take() {
            return self.special(&kind);
        }
        if self.is_too_large {
            let topics = self.record.topics;
            return Err(Fault::TooLarge { topics });
        }
        if self.record.topics.is_empty() {
            return unreadable("it has no field `topic`");
        }
        Ok(Meaning::Event(self.record))
    }

    fn special(self, kind: &str) -> Result<Meaning, Fault> {
        Ok(match kind {
            "tick" => Meaning::Marker(Marker::Tick),
            "term" => match self.server {
                Some(server) => Meaning::Marker(Marker::Term { server }),
                None => return unreadable("a marker `term` without `server`, in hexadecimal"),
            },
            "lost" => Meaning::Marker(Marker::Lost),
            "birth" => match self.record.id.as_deref().map(uuid::Uuid::try_parse) {
                Some(Ok(id)) => Meaning::Marker(Marker::Birth(id.as_u128())),
                _ => return unreadable("a marker `birth` without a UUID in `id`"),
            },
            "fork" => match (self.after, self.through) {
                (Some(after), Some(through)) if after < through => {
                    Meaning::Marker(Marker::Fork { after, through })
                }
                _ => {
                    return unreadable("a marker `fork` without `after` and `through`, rising ids");
                }
            },
            "erase" => match <[Box<str>; 1]>::try_from(self.record.topics) {
                Ok([topic]) => Meaning::Erase(topic),
                Err(_) => return unreadable("a marker `erase` without one `topic`"),
            },
            // Of a later version.
            _ => return unreadable(format!("a marker `{}` that is not known", shortened(kind))),
        })
    }
}

/// The fields that have a meaning.
const NAMES: [&str; 15] = [
    "topic", "data", "event", "id", "retry", "private", "key", "t", "k", "urn", "node", "fantail",
    "after", "through", "server",
];

/// The beginning of a text, for a reason that is logged.
fn shortened(text: &str) -> &str {
    let end = text.char_indices().nth(32).map_or(text.len(), |(at, _)| at);
    &text[..end]
}

fn number(name: &str, text: &str) -> Result<u64, Fault> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse() {
        Ok(number) if is_number => Ok(number),
        _ => unreadable(format!(
            "the field `{name}` is not a number of milliseconds"
        )),
    }
}

fn switch(name: &str, text: &str) -> Result<bool, Fault> {
    match text {
        "1" | "true" => Ok(true),
        "0" | "false" | "" => Ok(false),
        // To read another word as "not private" would show the event to everyone.
        _ => unreadable(format!("the field `{name}` is neither 1 nor 0")),
    }
}

fn hex(key: &Key) -> String {
    let bytes = key.name.iter().chain(&key.content);
    let mut text = String::with_capacity(DIGESTS_DIGITS);
    for byte in bytes {
        for digit in [byte >> 4, byte & 15] {
            text.extend(char::from_digit(u32::from(digit), 16));
        }
    }
    text
}

fn digests(text: &str) -> Option<Key> {
    let is_hex = text.len() == DIGESTS_DIGITS && text.bytes().all(|b| b.is_ascii_hexdigit());
    let (name, content) = is_hex.then(|| text.split_at(DIGESTS_DIGITS / 2))?;
    let bytes = |digits| Some(u128::from_str_radix(digits, 16).ok()?.to_be_bytes());
    Some(Key {
        name: bytes(name)?,
        content: bytes(content)?,
    })
}

#[cfg(test)]
mod tests;
