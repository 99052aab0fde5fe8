//! The rows of a state: what a record looks like in CBOR. Every row is a map whose keys are the
//! numbers of its fields.
//!
//! A reader skips the fields that it does not know, and a field that may be missing has a default.
//! Rows borrow: names and frames are written and read without a copy in between. Whatever a wrong
//! value could break in the core is checked when a row becomes a record.

mod connection;
mod history;
mod idempotency;
mod node;
mod presence;
mod store;
mod stream;

pub(super) use connection::{HttpRow, ListenerRow, RespRow};
pub(super) use history::HistoryRow;
pub(super) use idempotency::KeysRow;
pub(super) use node::{CounterRow, KeySetRow, NodeRow};
pub(super) use presence::PresenceRow;
pub(super) use store::StoreRow;
pub(super) use stream::{BytesRow, StreamRow};

use minicbor::{Decode, Encode};

use crate::core::history::{SelectorId, SelectorIds};
use crate::core::selector::Selector;

/// What is wrong with a record.
#[derive(Debug)]
pub(crate) struct Wrong(pub(crate) String);

impl Wrong {
    pub(super) fn new(reason: &str) -> Self {
        Self(reason.to_owned())
    }
}

impl From<minicbor::decode::Error> for Wrong {
    fn from(error: minicbor::decode::Error) -> Self {
        Self(error.to_string())
    }
}

/// A selector: its kind and its text.
#[derive(Clone, Copy, Debug, Encode, Decode)]
pub(crate) struct SelectorRow<'a> {
    #[n(0)]
    kind: char,
    #[b(1)]
    text: &'a str,
}

impl<'a> From<&'a Selector> for SelectorRow<'a> {
    fn from(selector: &'a Selector) -> Self {
        let (kind, text) = selector.parts();
        Self { kind, text }
    }
}

impl TryFrom<SelectorRow<'_>> for Selector {
    type Error = Wrong;

    fn try_from(row: SelectorRow<'_>) -> Result<Self, Wrong> {
        let selector = Self::from_parts(row.kind, row.text);
        selector.ok_or_else(|| Wrong(format!("no selector of kind {:?}", row.kind)))
    }
}

fn selector_rows(selectors: &[Selector]) -> Vec<SelectorRow<'_>> {
    selectors.iter().map(SelectorRow::from).collect()
}

fn selectors(rows: Vec<SelectorRow<'_>>) -> Result<Box<[Selector]>, Wrong> {
    rows.into_iter().map(Selector::try_from).collect()
}

fn words(ids: &[SelectorId]) -> Vec<u32> {
    ids.iter().map(|id| id.0).collect()
}

/// Ids of different topics and patterns, in their order.
fn sorted_ids(words: &[u32]) -> Result<SelectorIds, Wrong> {
    let is_sorted = words.windows(2).all(|pair| pair[0] < pair[1]);
    if is_sorted {
        Ok(words.iter().copied().map(SelectorId).collect())
    } else {
        Err(Wrong::new("ids are not in their order"))
    }
}

/// The one of these values that has a number. They are all that exist.
fn with_number<T: Copy>(
    number: u32,
    values: &[T],
    number_of: fn(T) -> u32,
    what: &str,
) -> Result<T, Wrong> {
    let mut values = values.iter().copied();
    let value = values.find(|value| number_of(*value) == number);
    value.ok_or_else(|| Wrong(format!("unknown {what} {number}")))
}

fn is_false(value: &bool) -> bool {
    !value
}

fn is_zero(value: &u64) -> bool {
    *value == 0
}
