//! Selectors: what a stream subscribes to, and what a token grants.
//!
//! A selector names one topic exactly, or many by a pattern. Matching is pure: no I/O, no clock, bounded time and memory whatever the text.

use std::sync::Arc;

use thiserror::Error;

use crate::topic::{self, TopicError};

/// Which spellings are patterns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Syntax {
    /// The Mercure protocol: `*` alone, and URI templates (RFC 6570).
    Mercure,
    /// The native API: those of Mercure, and wildcards for whole segments (`a/*/c`, `a/**`).
    Native,
}

/// Why a text is no selector.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SelectorError {
    /// It could not even be a topic.
    #[error(transparent)]
    Topic(#[from] TopicError),
}

/// One topic, or a pattern of topics. Cloning shares it; equal selectors match the same topics.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Selector {
    kind: Kind,
    text: Arc<str>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Kind {
    Exact,
    All,
}

impl Selector {
    /// Reads a selector of at most `topic_bytes_max` bytes.
    ///
    /// # Errors
    /// [`SelectorError`].
    pub fn parse(
        text: &str,
        _syntax: Syntax,
        topic_bytes_max: usize,
    ) -> Result<Self, SelectorError> {
        topic::check(text, topic_bytes_max)?;
        let kind = if text == "*" { Kind::All } else { Kind::Exact };
        Ok(Self {
            kind,
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

    /// As it was written.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether it matches one topic only: its own text.
    #[must_use]
    pub fn is_exact(&self) -> bool {
        self.kind == Kind::Exact
    }

    /// Whether it matches a topic.
    #[must_use]
    pub fn matches(&self, topic: &str) -> bool {
        match self.kind {
            Kind::Exact => &*self.text == topic,
            Kind::All => true,
        }
    }

    /// What every topic that it matches starts with; for an index over many selectors.
    #[must_use]
    pub fn prefix(&self) -> &str {
        match self.kind {
            Kind::Exact => &self.text,
            Kind::All => "",
        }
    }
}
