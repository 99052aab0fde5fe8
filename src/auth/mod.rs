//! Authentication: signed tokens (JWS, RFC 7515) and the grants in their claims.
//!
//! ```text
//!  token ─► jws (apart, key, signature) ─► claims (times, issuer, selectors) ─► Access
//!             ▲                               ▲
//!  keys, jwks ┘                         rules ┘ (`topics_from`)
//! ```
//!
//! The key decides the algorithm, never the token. Must never do I/O ([`crate::node`] loads the
//! keys), and never put a token, a key or the value of a claim into an error, a log or a `Debug`.

mod algorithm;
mod base64url;
mod claims;
mod jwks;
mod jws;
mod keys;
mod rules;
mod sign;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::RwLock;
use thiserror::Error;
use tokio::sync::{mpsc, oneshot};

pub use self::algorithm::{ALGORITHMS, Algorithm};
pub use self::keys::{KEYS_MAX, KeyError, KeySet};
pub use self::rules::{RuleError, TopicRule};
pub use self::sign::{SignError, SigningKey};

use crate::core::selector::Selector;

/// Most calls that wait for newer keys at once; further ones use the current keys.
const REFRESHES_MAX: usize = 1_024;

/// The use of a token; publishers and subscribers may have keys of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// To publish.
    Publisher,
    /// To subscribe, and to list subscriptions.
    Subscriber,
}

/// The grants of a valid token.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Access {
    /// Topics that may be published to (claim `mercure.publish`).
    pub publish: Arc<[Selector]>,
    /// Topics whose private events may be heard: claim `mercure.subscribe`, and [`Access::topics`].
    /// Sorted, without duplicates.
    pub subscribe: Arc<[Selector]>,
    /// Topics that the rules `topics_from` derive from the claims: the default topics of a stream
    /// that names none.
    pub topics: Arc<[Selector]>,
    /// Claim `mercure.payload` as JSON text: shown with the bearer's subscriptions.
    pub payload: Option<Arc<str>>,
    /// Claim `sub`: the owner, for operators.
    pub subject: Option<Arc<str>>,
    /// The end of the token, in milliseconds since the unix epoch; rounded down, so that nothing
    /// outlives its token.
    pub ends_unix_ms: Option<u64>,
}

/// Only the number of grants; their content is private.
impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Access")
            .field("publish", &self.publish.len())
            .field("subscribe", &self.subscribe.len())
            .field("topics", &self.topics.len())
            .field(
                "payload_bytes",
                &self.payload.as_ref().map(|text| text.len()),
            )
            .field("ends", &self.ends_unix_ms.is_some())
            .finish()
    }
}

/// Why a token is refused. Never holds any of the token.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TokenError {
    /// No key of the set made it; a newer set may hold one.
    #[error("no key with the token's `kid` is known")]
    UnknownKey,
    /// This role has no keys.
    #[error("no keys are configured for this")]
    NoKeys,
    /// Longer than the setting `token_bytes_max`.
    #[error("the token has more than the {max} bytes that `token_bytes_max` allows")]
    TooLong {
        /// Length allowed, in bytes.
        max: usize,
    },
    /// Not three parts of base64url with a header of JSON in front.
    #[error("not a signed token in JWS compact form")]
    Malformed,
    /// The header has `crit` or `b64`.
    #[error("the token's header asks for extensions (`crit`, `b64`) that are not understood")]
    Critical,
    /// An unknown algorithm, or not the key's.
    #[error("the token's algorithm is not the one of the key")]
    Algorithm,
    /// Made by another key, or changed since.
    #[error("the token's signature is wrong")]
    Signature,
    /// Its grants are in the form of another version of the protocol.
    #[error(
        "the token is of Mercure 1.0 (claim `authorization_details`); this hub speaks Mercure 0.x and reads the claim `mercure`"
    )]
    OtherVersion,
    /// Not a JSON object, or one with a number out of range (`1e999`).
    #[error("the token's claims are not a JSON object, or hold a number that is out of range")]
    Claims,
    /// A malformed claim. Its name is from the standard or the configuration, never from the token.
    #[error("the token's claim `{claim}` {fault}")]
    Claim {
        /// Name of the claim.
        claim: Arc<str>,
        /// Its fault.
        fault: &'static str,
    },
    /// Claim `exp`.
    #[error("the token has expired")]
    Expired,
    /// Claim `nbf`.
    #[error("the token is not valid yet")]
    NotYetValid,
    /// Claim `iss` is not the setting `jwt_issuer`.
    #[error("the token is from another issuer (`iss`)")]
    Issuer,
    /// Claim `aud` does not hold the setting `jwt_audience`.
    #[error("the token is for another audience (`aud`)")]
    Audience,
    /// More than the setting `selectors_per_token_max`.
    #[error("the token grants more than the {max} selectors that `selectors_per_token_max` allows")]
    TooManySelectors {
        /// Number allowed.
        max: usize,
    },
}

/// The checked settings for reading tokens.
#[derive(Clone, Debug)]
pub struct Policy {
    /// Longest token.
    pub token_bytes_max: usize,
    /// Most selectors that a token grants, claims and rules together.
    pub selectors_max: usize,
    /// Longest topic name, in bytes.
    pub topic_bytes_max: usize,
    /// Allowed difference between clocks.
    pub leeway: Duration,
    /// The only accepted `iss`, if any.
    pub issuer: Option<String>,
    /// The value that `aud` must contain, if any.
    pub audience: Option<String>,
    /// Rules that derive topics from claims.
    pub topics_from: Vec<TopicRule>,
}

impl Default for Policy {
    /// The defaults of the settings.
    fn default() -> Self {
        Self {
            token_bytes_max: 8 << 10,
            selectors_max: 1_000,
            topic_bytes_max: 1_024,
            leeway: Duration::ZERO,
            issuer: None,
            audience: None,
            topics_from: Vec::new(),
        }
    }
}

/// The keys, and the policy for reading tokens.
#[derive(Debug, Default)]
pub struct Auth {
    policy: Policy,
    publisher: Ring,
    subscriber: Ring,
}

/// The keys of a role, and the channel to their keeper.
#[derive(Debug, Default)]
struct Ring {
    /// `None` if no keys are configured.
    keys: RwLock<Option<Arc<KeySet>>>,
    keeper: RwLock<Option<mpsc::Sender<Refresh>>>,
}

/// A call that waits for newer keys. It goes on once this is answered or dropped.
pub type Refresh = oneshot::Sender<()>;

impl Auth {
    /// Reads tokens by `policy`; no role has keys yet.
    #[must_use]
    pub fn new(policy: Policy) -> Self {
        Self {
            policy,
            ..Self::default()
        }
    }

    /// Whether this role has keys; without keys no token is valid.
    #[must_use]
    pub fn has_keys(&self, role: Role) -> bool {
        self.ring(role).keys.read().is_some()
    }

    /// Checks a token, and reads its grants. `now` is the wall clock, as the time since the unix
    /// epoch.
    ///
    /// # Errors
    /// [`TokenError`]. On [`TokenError::UnknownKey`], [`Auth::refresh`] and one more attempt may
    /// help.
    pub fn verify(&self, role: Role, token: &[u8], now: Duration) -> Result<Access, TokenError> {
        let keys = self.ring(role).keys.read().clone();
        let keys = keys.ok_or(TokenError::NoKeys)?;
        let max = self.policy.token_bytes_max;
        if token.len() > max {
            return Err(TokenError::TooLong { max });
        }
        let claims = jws::verify(token, &keys)?;
        claims::read(&claims, &self.policy, now)
    }

    /// Requests the newest keys, if they come from a URL, and waits for them. Returns at once if
    /// that was done a short while ago.
    ///
    /// The keeper of the keys bounds the wait: [`Auth::kept_by`].
    pub async fn refresh(&self, role: Role) {
        let keeper = self.ring(role).keeper.read().clone();
        let Some(keeper) = keeper else { return };
        let (done, wait) = oneshot::channel();
        if keeper.try_send(done).is_ok() {
            // A dropped keeper ends the wait, too.
            let _ = wait.await;
        }
    }

    /// Replaces the keys of the role; tokens checked from now on need the new ones. A set without
    /// keys refuses every token until it is replaced.
    pub fn replace(&self, role: Role, keys: Arc<KeySet>) {
        let old = self.ring(role).keys.write().replace(keys);
        // Dropping a large set takes a while: not while tokens wait to be checked.
        drop(old);
    }

    /// The requests of [`Auth::refresh`] for these roles from now on. Each must be answered, or
    /// dropped, within a bounded time.
    #[must_use]
    pub fn kept_by(&self, roles: &[Role]) -> mpsc::Receiver<Refresh> {
        let (asks, asked) = mpsc::channel(REFRESHES_MAX);
        for role in roles {
            *self.ring(*role).keeper.write() = Some(asks.clone());
        }
        asked
    }

    fn ring(&self, role: Role) -> &Ring {
        match role {
            Role::Publisher => &self.publisher,
            Role::Subscriber => &self.subscriber,
        }
    }
}

#[cfg(test)]
mod tests;
