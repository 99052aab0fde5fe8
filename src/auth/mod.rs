//! Who may publish and hear what: signed tokens (JWS, RFC 7515) and what their claims grant.

use std::sync::Arc;

use thiserror::Error;

use crate::selector::Selector;

/// What a token is used for; publishers and subscribers may have keys of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// To publish.
    Publisher,
    /// To subscribe, and to look at who else does.
    Subscriber,
}

/// What a valid token allows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Access {
    /// Topics that may be published to (claim `mercure.publish`).
    pub publish: Arc<[Selector]>,
    /// Topics whose private events may be heard: claim `mercure.subscribe`, and [`Access::topics`]. Sorted, without doubles.
    pub subscribe: Arc<[Selector]>,
    /// Topics that the rules `topics_from` make of the claims: what a stream gets that names no topic.
    pub topics: Arc<[Selector]>,
    /// Claim `mercure.payload` as JSON text: shown with the bearer's subscriptions.
    pub payload: Option<Arc<str>>,
    /// When it ends, in seconds since the unix epoch.
    pub ends_unix_s: Option<u64>,
}

/// Why a token is refused. Never holds any of the token.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TokenError {
    /// No key of the set made it; a newer set may hold one.
    #[error("no key with the token's `kid` is known")]
    UnknownKey,
    /// There is no key for this role.
    #[error("no keys are configured for this")]
    NoKeys,
}

/// The keys, and the rules by which tokens are read.
#[derive(Debug, Default)]
pub struct Auth {}

impl Auth {
    /// Whether there are keys for this role; without, no token can be valid.
    #[must_use]
    pub fn has_keys(&self, _role: Role) -> bool {
        false
    }

    /// Checks a token, and reads what it allows.
    ///
    /// # Errors
    /// [`TokenError`]. On [`TokenError::UnknownKey`], [`Auth::refresh`] and one more attempt may help.
    pub fn verify(
        &self,
        _role: Role,
        _token: &[u8],
        _now_unix_s: u64,
    ) -> Result<Access, TokenError> {
        Err(TokenError::NoKeys)
    }

    /// Asks for the newest keys where they come from a URL, and waits for them; returns at once when that was done a short while ago.
    pub async fn refresh(&self, _role: Role) {}
}
