//! Keys: their form, their publishers, and the digests that the node keeps of them.

use std::fmt;

use aws_lc_rs::digest::{Context, SHA256};
use thiserror::Error;

use crate::core::selector::Selector;

/// Longest key, in bytes.
pub const KEY_BYTES_MAX: usize = 255;

/// Bytes of a digest: a part of a SHA-256. Two keys of different publishers with the same one would
/// need some 2^128 attempts; a publisher that looks for two of its own fools only itself.
const DIGEST_BYTES: usize = 16;

/// The beginning of what is digested: another meaning of the digests needs another one.
const VERSION: &[u8] = b"fantail idempotency 1";

type Digest = [u8; DIGEST_BYTES];

/// The publisher whose key it is. Equal keys of different publishers are different keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope<'s> {
    /// All publishers over HTTP where no token is needed. They cannot be told apart.
    Anyone,
    /// The bearers of tokens with this subject (claim `sub`).
    Subject(&'s str),
    /// The bearers of tokens without a subject that may publish to these topics.
    Grants(&'s [Selector]),
    /// A user of the ingest port.
    User(&'s str),
    /// The program that the node is a part of.
    Program,
    /// Applications that write to the log of several nodes themselves. They cannot be told apart.
    Log,
}

/// The place of an event in the call whose key it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Its index, from 0.
    pub index: usize,
    /// Number of events of the call; `None` for a stream of events, whose end is not known.
    pub count: Option<usize>,
}

impl Place {
    /// The place of an event that has a key of its own.
    pub const ONLY: Self = Self {
        index: 0,
        count: Some(1),
    };
}

/// Why a text is no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum KeyError {
    /// The node keeps no keys, so that a repeat would be a second event.
    #[error(
        "this node remembers no idempotency keys (`idempotency_window` is 0); publish without a key, and do not repeat what may have been \
         published"
    )]
    Off,
    /// It is empty.
    #[error("an idempotency key must not be empty")]
    Empty,
    /// It is longer than [`KEY_BYTES_MAX`].
    #[error(
        "the idempotency key of {length} bytes is longer than the {KEY_BYTES_MAX} that are allowed"
    )]
    TooLong {
        /// Length found, in bytes.
        length: usize,
    },
    /// It has a character that a header field cannot carry.
    #[error(
        "an idempotency key must be of printable ASCII characters (space to `~`), as a header field can carry it"
    )]
    Character,
}

/// Checks the form of a key.
///
/// # Errors
/// The first [`KeyError`] found.
pub fn check(key: &str) -> Result<(), KeyError> {
    if key.is_empty() {
        return Err(KeyError::Empty);
    }
    if key.len() > KEY_BYTES_MAX {
        return Err(KeyError::TooLong { length: key.len() });
    }
    if key.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        Ok(())
    } else {
        Err(KeyError::Character)
    }
}

/// A key before its event is known: whose it is, and which event of its call it stands for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Name {
    digest: Digest,
    count: Option<usize>,
}

/// A publisher, as far as keys tell publishers apart. A token may grant thousands of topics, so it
/// is made once for a call.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Owner(Digest);

impl Owner {
    /// The publisher of this scope.
    #[must_use]
    pub fn new(scope: Scope<'_>) -> Self {
        let mut digester = Digester::new(b"owner");
        match scope {
            Scope::Anyone => digester.add(b"anyone"),
            Scope::Program => digester.add(b"program"),
            Scope::Log => digester.add(b"log"),
            Scope::Subject(subject) => {
                digester.add(b"subject");
                digester.add(subject.as_bytes());
            }
            Scope::User(name) => {
                digester.add(b"user");
                digester.add(name.as_bytes());
            }
            Scope::Grants(selectors) => {
                digester.add(b"grants");
                digester.number(selectors.len());
                for selector in selectors {
                    let (kind, text) = selector.parts();
                    digester.number(kind as usize);
                    digester.add(text.as_bytes());
                }
            }
        }
        Self(digester.finish())
    }
}

impl fmt::Debug for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Owner")
    }
}

impl Name {
    /// The name of `key` of a publisher, for the event at a place.
    #[must_use]
    pub fn new(owner: Owner, key: &str, place: Place) -> Self {
        let mut digester = Digester::new(b"name");
        digester.add(&owner.0);
        digester.add(key.as_bytes());
        digester.number(place.index);
        Self {
            digest: digester.finish(),
            count: place.count,
        }
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Name")
    }
}

/// The key of an event, as the node keeps it. Neither the key nor the event can be read from it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Key {
    /// Whose key it is.
    pub name: Digest,
    /// For which event it was used.
    pub content: Digest,
}

impl Key {
    /// The key of an event with this content, in parts. The number of events of its call is a part
    /// of it: a call with another number is another call.
    #[must_use]
    pub fn new<'p>(name: Name, content: impl IntoIterator<Item = &'p [u8]>) -> Self {
        let mut digester = Digester::new(b"content");
        digester.number(name.count.unwrap_or(usize::MAX));
        content.into_iter().for_each(|part| digester.add(part));
        Self {
            name: name.digest,
            content: digester.finish(),
        }
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(")?;
        let mut bytes = self.name.iter();
        bytes.try_for_each(|byte| write!(f, "{byte:02x}"))?;
        f.write_str(")")
    }
}

/// A digest of parts, of which none runs into the next.
struct Digester(Context);

impl Digester {
    fn new(kind: &[u8]) -> Self {
        let mut digester = Self(Context::new(&SHA256));
        digester.add(VERSION);
        digester.add(kind);
        digester
    }

    fn add(&mut self, part: &[u8]) {
        self.number(part.len());
        self.0.update(part);
    }

    fn number(&mut self, number: usize) {
        self.0.update(&(number as u64).to_le_bytes());
    }

    fn finish(self) -> Digest {
        let whole = self.0.finish();
        let mut digest = Digest::default();
        digest.copy_from_slice(&whole.as_ref()[..DIGEST_BYTES]);
        digest
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::selector::Syntax;

    fn name(scope: Scope<'_>, key: &str, index: usize) -> Digest {
        let place = Place {
            index,
            ..Place::ONLY
        };
        Name::new(Owner::new(scope), key, place).digest
    }

    fn content(count: Option<usize>, parts: &[&str]) -> Digest {
        let place = Place { index: 0, count };
        let name = Name::new(Owner::new(Scope::Anyone), "k", place);
        Key::new(name, parts.iter().map(|part| part.as_bytes())).content
    }

    #[test]
    fn the_form_of_a_key_is_checked_at_its_edges() {
        assert_eq!(check(""), Err(KeyError::Empty));
        assert_eq!(check(&"k".repeat(KEY_BYTES_MAX)), Ok(()));
        let length = KEY_BYTES_MAX + 1;
        assert_eq!(
            check(&"k".repeat(length)),
            Err(KeyError::TooLong { length })
        );
        assert_eq!(check(" a \"b\", ~"), Ok(()));
        for bad in ["a\tb", "a\u{7f}", "ä", "\0"] {
            assert_eq!(check(bad), Err(KeyError::Character), "{bad:?}");
        }
    }

    #[test]
    fn equal_keys_of_different_publishers_or_places_are_different() {
        let parse = |text| Selector::parse(text, Syntax::Mercure, 100).expect("a selector");
        let (a, b) = ([parse("a")], [parse("b")]);
        let pattern = [parse("*")];
        let literal = [Selector::exact("*")];
        let mut all = vec![
            name(Scope::Anyone, "k", 0),
            name(Scope::Anyone, "k", 1),
            name(Scope::Anyone, "l", 0),
            name(Scope::Program, "k", 0),
            name(Scope::Subject("bob"), "k", 0),
            name(Scope::User("bob"), "k", 0),
            name(Scope::User("bo"), "bk", 0),
            name(Scope::Grants(&a), "k", 0),
            name(Scope::Grants(&b), "k", 0),
            name(Scope::Grants(&[]), "k", 0),
            name(Scope::Grants(&pattern), "k", 0),
            name(Scope::Grants(&literal), "k", 0),
        ];
        let count = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), count);
        assert_eq!(
            name(Scope::Grants(&a), "k", 0),
            name(Scope::Grants(&a), "k", 0)
        );
    }

    #[test]
    fn another_content_or_another_number_of_events_is_told_apart() {
        let whole = content(Some(1), &["ab", "c"]);
        assert_eq!(whole, content(Some(1), &["ab", "c"]));
        assert_ne!(whole, content(Some(1), &["a", "bc"]));
        assert_ne!(whole, content(Some(1), &["ab", "c", ""]));
        assert_ne!(whole, content(Some(2), &["ab", "c"]));
        assert_ne!(whole, content(None, &["ab", "c"]));
    }

    /// Nodes of other versions, and history files, have these digests. They were computed by
    /// another program.
    #[test]
    fn the_digests_stay_the_same_from_version_to_version() {
        let key = Key::new(
            Name::new(Owner::new(Scope::Subject("shop")), "order-7", Place::ONLY),
            [b"part".as_slice()],
        );
        assert_eq!(format!("{key:?}"), "Key(984a3c01a8e33e5c2621875dd3973241)");
        let content = u128::from_be_bytes(key.content);
        assert_eq!(
            format!("{content:032x}"),
            "9ae39a6ca892e70f6c8c2076bf316115"
        );
    }
}
