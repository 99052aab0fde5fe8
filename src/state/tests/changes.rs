//! Fields that come and go between versions.

use std::collections::BTreeSet;

use minicbor::data::Type;
use minicbor::{Decoder, Encoder};

use super::{read, sample};
use crate::state::container::{self, Pieces, header, write_piece};
use crate::state::{FORMAT_VERSION, Section, StateRecord};

/// A CBOR item, as far as rows have them.
#[derive(Clone, Debug, PartialEq)]
enum Item {
    Number(u64),
    Bool(bool),
    Bytes(Vec<u8>),
    Text(String),
    Null,
    Array(Vec<Item>),
    Map(Vec<(u64, Item)>),
}

impl Item {
    fn read(from: &mut Decoder<'_>) -> Self {
        match from.datatype().expect("an item") {
            Type::Bool => Self::Bool(from.bool().expect("a bool")),
            Type::Bytes => Self::Bytes(from.bytes().expect("bytes").to_vec()),
            Type::String => Self::Text(from.str().expect("text").to_owned()),
            Type::Null => {
                from.null().expect("null");
                Self::Null
            }
            Type::Array => {
                let length = from.array().expect("an array").expect("its length");
                Self::Array((0..length).map(|_| Self::read(from)).collect())
            }
            Type::Map => {
                let length = from.map().expect("a map").expect("its length");
                let entry = |_| (from.u64().expect("a key"), Self::read(from));
                Self::Map((0..length).map(entry).collect())
            }
            _ => Self::Number(from.u64().expect("a number")),
        }
    }

    fn write(&self, to: &mut Encoder<&mut Vec<u8>>) {
        let written = match self {
            Self::Number(number) => to.u64(*number).map(drop),
            Self::Bool(value) => to.bool(*value).map(drop),
            Self::Bytes(bytes) => to.bytes(bytes).map(drop),
            Self::Text(text) => to.str(text).map(drop),
            Self::Null => to.null().map(drop),
            Self::Array(items) => to.array(items.len() as u64).map(drop),
            Self::Map(entries) => to.map(entries.len() as u64).map(drop),
        };
        written.expect("memory");
        match self {
            Self::Array(items) => items.iter().for_each(|item| item.write(to)),
            Self::Map(entries) => entries.iter().for_each(|(key, item)| {
                to.u64(*key).expect("memory");
                item.write(to);
            }),
            _ => {}
        }
    }

    /// Calls `change` with each map in the item, by its path.
    fn each_map(&mut self, path: &str, change: &mut impl FnMut(&str, &mut Vec<(u64, Self)>)) {
        match self {
            Self::Array(items) => {
                let kind = match items.first() {
                    Some(Self::Number(kind)) if items.len() == 2 => format!("{path}/{kind}"),
                    _ => path.to_owned(),
                };
                for item in items {
                    item.each_map(&kind, change);
                }
            }
            Self::Map(entries) => {
                for (key, item) in entries.iter_mut() {
                    item.each_map(&format!("{path}.{key}"), change);
                }
                change(path, entries);
            }
            _ => {}
        }
    }
}

/// All records of the samples.
fn records() -> Vec<StateRecord> {
    [sample::records(), sample::history()].concat()
}

/// The items of the samples, by section.
fn items() -> Vec<(Section, Item)> {
    let bytes = sample::written(&records());
    let mut pieces = Pieces::new(&bytes).expect("a header");
    let mut items = Vec::new();
    while let Some(piece) = pieces.next().expect("a piece") {
        let mut from = Decoder::new(piece.payload);
        while from.position() < piece.payload.len() {
            items.push((piece.section.expect("known"), Item::read(&mut from)));
        }
    }
    items
}

/// A state of these items.
fn written(items: &[(Section, Item)]) -> Vec<u8> {
    let mut bytes = header(FORMAT_VERSION, container::READER_VERSION_MIN).to_vec();
    for (section, item) in items {
        let mut payload = Vec::new();
        item.write(&mut Encoder::new(&mut payload));
        write_piece(&mut bytes, section.tag(), &payload).expect("memory");
    }
    let pieces = (items.len() as u64).to_le_bytes();
    write_piece(&mut bytes, Section::End.tag(), &pieces).expect("memory");
    bytes
}

#[test]
fn a_field_of_a_later_version_is_skipped() {
    let mut items = items();
    let later = Item::Array(vec![
        Item::Map(vec![(0, Item::Bytes(vec![1, 2])), (1, Item::Null)]),
        Item::Text("later".to_owned()),
        Item::Bool(true),
    ]);
    let mut maps = 0;
    for (section, item) in &mut items {
        item.each_map(section.name(), &mut |_, entries| {
            entries.push((200, later.clone()));
            maps += 1;
        });
    }
    assert!(maps > 30, "{maps}");
    assert_eq!(read(&written(&items)), Ok(records()));
}

/// Fields that every version must write, by section, kind of record, and place. A field that is
/// added later must not be among them: states of this version do not have it.
const REQUIRED: &str = "\
BYTE.0 CNTR.0 CNTR.1 \
HIST/0.0 HIST/1.0 HIST/1.1 HIST/2.0 HIST/4.0 HIST/4.1 HIST/4.2 HIST/4.3 HIDM.0 IDEM.0 HTTP.0 HTTP.1 KEYS.0 KEYS.1 LSTN.0 LSTN.1 LSTN.2 \
PRES/0.0 PRES/0.1 PRES/1.0 PRES/1.1 PRES/1.1.0 PRES/1.1.1 PRES/1.1.3 \
PRES/2.0 PRES/2.2 PRES/2.2.0 PRES/2.2.1 PRES/2.2.3 \
RESP.0 RESP.1 RESP.2.0 RESP.2.1 \
STOR/0.0 STOR/0.1 STOR/0.2 STOR/0.3 STOR/0.4 STOR/0.5 STOR/1.0 STOR/1.1 STOR/1.2 STOR/2.0 \
STOR/2.1 STOR/3.0 STOR/3.1 STOR/3.2 STOR/3.4 STOR/3.5 STOR/4.0 STOR/4.1 \
STRM.0 STRM.12 STRM.15.0 STRM.7.0 STRM.7.1 STRM.9";

#[test]
fn only_the_listed_fields_must_exist() {
    let items = items();
    let mut required = BTreeSet::new();
    for (at, (section, item)) in items.iter().enumerate() {
        let mut fields = Vec::new();
        item.clone().each_map(section.name(), &mut |path, entries| {
            fields.extend(entries.iter().map(|(key, _)| (path.to_owned(), *key)));
        });
        for (path, key) in fields {
            let mut without = items.clone();
            let mut removed = false;
            without[at]
                .1
                .each_map(section.name(), &mut |other, entries| {
                    if other == path && !removed {
                        let before = entries.len();
                        entries.retain(|(other, _)| *other != key);
                        removed = entries.len() < before;
                    }
                });
            assert!(removed, "{path}.{key}");
            if read(&written(&without)).is_err() {
                required.insert(format!("{path}.{key}"));
            }
        }
    }
    let listed: BTreeSet<String> = REQUIRED.split_whitespace().map(str::to_owned).collect();
    assert_eq!(required, listed);
}

#[test]
fn items_are_written_as_they_were_read() {
    assert_eq!(read(&written(&items())), Ok(records()));
}
