//! Rows of idempotency keys: many in a row, packed, because a node has up to millions of them.

use std::borrow::Cow;

use minicbor::{Decode, Encode};

use crate::core::event::EventId;
use crate::core::idempotency::{Key, Remembered};

use super::Wrong;

/// Bytes of one key: two digests, an id and a count.
const PACKED_BYTES: usize = 16 + 16 + 8 + 8;

/// Keys, the oldest first.
#[derive(Debug, Encode, Decode)]
#[cbor(map)]
pub(crate) struct KeysRow<'a> {
    /// Of each: the digests of name and content, the id and the number of subscriptions, both
    /// little-endian.
    #[b(0)]
    #[cbor(with = "minicbor::bytes")]
    packed: Cow<'a, [u8]>,
}

impl From<&[Remembered]> for KeysRow<'_> {
    fn from(keys: &[Remembered]) -> Self {
        let mut packed = Vec::with_capacity(keys.len() * PACKED_BYTES);
        for entry in keys {
            packed.extend_from_slice(&entry.key.name);
            packed.extend_from_slice(&entry.key.content);
            packed.extend_from_slice(&entry.id.get().to_le_bytes());
            packed.extend_from_slice(&entry.subscribers.to_le_bytes());
        }
        Self {
            packed: packed.into(),
        }
    }
}

impl TryFrom<KeysRow<'_>> for Vec<Remembered> {
    type Error = Wrong;

    fn try_from(row: KeysRow<'_>) -> Result<Self, Wrong> {
        let (entries, rest) = row.packed.as_chunks::<PACKED_BYTES>();
        if entries.is_empty() || !rest.is_empty() {
            return Err(Wrong::new("idempotency keys are cut"));
        }
        Ok(entries.iter().map(unpacked).collect())
    }
}

fn unpacked(packed: &[u8; PACKED_BYTES]) -> Remembered {
    let word = |at: usize| {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&packed[at..at + 8]);
        u64::from_le_bytes(bytes)
    };
    let (mut name, mut content) = ([0; 16], [0; 16]);
    name.copy_from_slice(&packed[..16]);
    content.copy_from_slice(&packed[16..32]);
    Remembered {
        key: Key { name, content },
        id: EventId::new(word(32)),
        subscribers: word(40),
    }
}
