//! Selectors: the topics that a stream subscribes to, or that a token grants.
//!
//! A selector names one topic exactly, or many by a pattern: `*`, a URI template, or (on the native
//! API) wildcards for whole segments. Whatever its kind, it matches the topic that is equal to its
//! text. The kind of a text is the first that applies: `*`, a well-formed template with an
//! expression, a wildcard, an exact name. So no text has two meanings.
//!
//! Matching must stay pure: no I/O, no clock, and a number of steps bounded by the lengths of both
//! texts, whatever they are. Every match parses the pattern again instead of keeping it compiled: a
//! selector is its text and one byte, and parsing a template is cheap beside walking the topic.

mod characters;
mod matcher;
mod positions;
mod superfluous;
mod template;
#[cfg(test)]
mod tests;
mod wildcard;

use std::str::FromStr;
use std::sync::Arc;

use thiserror::Error;

use crate::core::limits::TOPIC_BYTES_CEILING;
use crate::core::topic::{self, TopicError};

pub use superfluous::without_superfluous;

/// Most expressions of a template: `{…}{…}`.
pub const EXPRESSIONS_MAX: usize = 16;

/// Most variables of a template, over all of its expressions: `{a,b}{c}` has three. Each costs a
/// walk over the topic.
pub const VARIABLES_MAX: usize = 32;

/// Which spellings are patterns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Syntax {
    /// The Mercure protocol: `*` alone, and URI templates (RFC 6570).
    Mercure,
    /// The native API: those of Mercure, and wildcards for whole segments (`a/*/c`, `a/**`).
    Native,
}

/// Why a text is not a selector.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SelectorError {
    /// The text is not a valid topic.
    #[error(transparent)]
    Topic(#[from] TopicError),
    /// A template with more than [`EXPRESSIONS_MAX`] expressions.
    #[error(
        "a URI template has {found} expressions, and {EXPRESSIONS_MAX} are allowed: subscribe to several shorter templates"
    )]
    TooManyExpressions {
        /// Its number of expressions.
        found: usize,
    },
    /// A template with more than [`VARIABLES_MAX`] variables.
    #[error(
        "a URI template has {found} variables, and {VARIABLES_MAX} are allowed: subscribe to several shorter templates"
    )]
    TooManyVariables {
        /// Its number of variables.
        found: usize,
    },
}

/// One topic, or a pattern of topics. Cloning shares it; equal selectors match the same topics.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Selector {
    kind: Kind,
    text: Arc<str>,
}

// A hundred thousand streams and grants hold these.
const _: () = assert!(size_of::<Selector>() <= 24);

/// The meaning of the text. The two syntaxes may read the same text differently; it then matches
/// different topics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Kind {
    Exact,
    All,
    Template,
    Wildcard,
}

impl Kind {
    fn of(text: &str, syntax: Syntax) -> Result<Self, SelectorError> {
        if text == "*" {
            return Ok(Self::All);
        }
        if let Some(size) = template::size(text) {
            return size.check().map(|()| Self::Template);
        }
        match syntax {
            Syntax::Native if wildcard::is_wildcard(text) => Ok(Self::Wildcard),
            Syntax::Native | Syntax::Mercure => Ok(Self::Exact),
        }
    }
}

/// Whether a text would select several topics as a subscription, in one of the syntaxes.
#[must_use]
pub fn is_pattern(text: &str) -> bool {
    // A pattern that is too large is still a pattern.
    !matches!(Kind::of(text, Syntax::Native), Ok(Kind::Exact))
}

impl FromStr for Selector {
    type Err = SelectorError;

    /// Reads a selector of the native syntax.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text, Syntax::Native, TOPIC_BYTES_CEILING)
    }
}

impl Selector {
    /// Reads a selector of at most `topic_bytes_max` bytes. A template that is not well-formed is
    /// an exact name, as on other hubs.
    ///
    /// # Errors
    /// [`SelectorError`].
    pub fn parse(
        text: &str,
        syntax: Syntax,
        topic_bytes_max: usize,
    ) -> Result<Self, SelectorError> {
        topic::check(text, topic_bytes_max)?;
        Ok(Self {
            kind: Kind::of(text, syntax)?,
            text: text.into(),
        })
    }

    /// The selector that matches this topic only, whatever characters are in it.
    #[must_use]
    pub fn exact(topic: &str) -> Self {
        Self {
            kind: Kind::Exact,
            text: topic.into(),
        }
    }

    /// The text as it was written.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The kind as a letter, and the text: all that the selector consists of.
    #[must_use]
    pub fn parts(&self) -> (char, &str) {
        let kind = match self.kind {
            Kind::Exact => 'e',
            Kind::All => 'a',
            Kind::Template => 't',
            Kind::Wildcard => 'w',
        };
        (kind, &self.text)
    }

    /// The selector of [`Selector::parts`]; `None` if a text cannot have this kind.
    #[must_use]
    pub fn from_parts(kind: char, text: &str) -> Option<Self> {
        let kind = match kind {
            'e' if !text.is_empty() => Kind::Exact,
            'a' if text == "*" => Kind::All,
            't' if template::size(text)?.check().is_ok() => Kind::Template,
            'w' if wildcard::is_wildcard(text) => Kind::Wildcard,
            _ => return None,
        };
        let is_short = kind == Kind::Exact || text.len() <= TOPIC_BYTES_CEILING;
        is_short.then(|| Self {
            kind,
            text: text.into(),
        })
    }

    /// Whether it matches one topic only: its own text.
    #[must_use]
    pub fn is_exact(&self) -> bool {
        self.kind == Kind::Exact
    }

    /// Whether it matches a topic.
    #[must_use]
    pub fn matches(&self, topic: &str) -> bool {
        self.matches_in_steps(topic).0
    }

    /// The same, and the number of steps: about a nanosecond each, at most some million for the
    /// longest of both.
    #[must_use]
    pub fn matches_in_steps(&self, topic: &str) -> (bool, usize) {
        match self.kind {
            Kind::Exact => (&*self.text == topic, 1),
            Kind::All => (true, 1),
            Kind::Template if &*self.text == topic => (true, topic.len()),
            Kind::Template => matcher::matches(&self.text, topic),
            Kind::Wildcard => (
                wildcard::matches(&self.text, topic),
                self.text.len() + topic.len(),
            ),
        }
    }

    /// The common prefix of all topics that it matches; for an index over many selectors.
    #[must_use]
    pub fn prefix(&self) -> &str {
        match self.kind {
            Kind::Exact => &self.text,
            Kind::All => "",
            Kind::Template => template::prefix(&self.text),
            Kind::Wildcard => wildcard::prefix(&self.text),
        }
    }

    /// The common suffix of all topics that it matches; for an index over many selectors.
    #[must_use]
    pub(crate) fn suffix(&self) -> &str {
        match self.kind {
            Kind::Exact => &self.text,
            Kind::All => "",
            Kind::Template => template::suffix(&self.text),
            Kind::Wildcard => wildcard::suffix(&self.text),
        }
    }

    /// Calls `each` with texts that occur in every topic that it matches; for an index over many
    /// selectors.
    pub(crate) fn each_piece<'s>(&'s self, each: impl FnMut(&'s str)) {
        match self.kind {
            Kind::Exact | Kind::All => {}
            Kind::Template => template::pieces(&self.text).for_each(each),
            Kind::Wildcard => wildcard::pieces(&self.text).for_each(each),
        }
    }
}
