//! A token as it was sent.

use std::borrow::Cow;

use smallvec::{SmallVec, smallvec};

/// Name of the parameter that carries a token.
pub(crate) const QUERY_PARAMETER: &str = "authorization";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    Header,
    Query,
    Cookie,
}

/// Most different cookies of the token's name; each is tried. A browser sends one for each path and
/// domain that set it.
pub(super) const COOKIES_MAX: usize = 8;

/// A token as it was sent. Not `Debug`, so that it cannot be printed by mistake.
pub(crate) struct Token<'r> {
    /// The sent texts: usually one. A browser may send a stale cookie beside the valid one. Sorted
    /// and without duplicates, so that nothing depends on their order.
    pub(super) texts: SmallVec<[Cow<'r, [u8]>; 1]>,
    pub(super) from: Origin,
}

impl<'r> Token<'r> {
    pub(super) fn new(text: impl Into<Cow<'r, [u8]>>, from: Origin) -> Self {
        let texts = smallvec![text.into()];
        Self { texts, from }
    }

    /// The same, independent of the request.
    pub(super) fn into_owned(self) -> Token<'static> {
        let texts = self.texts.into_iter();
        Token {
            texts: texts.map(|text| Cow::Owned(text.into_owned())).collect(),
            from: self.from,
        }
    }
}
