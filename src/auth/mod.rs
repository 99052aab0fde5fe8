//! Who may publish and hear what: signed tokens (JWS, RFC 7515) and what their claims grant.
//!
//! ```text
//!  token ─► jws (apart, key, signature) ─► claims (times, issuer, selectors) ─► Access
//!             ▲                               ▲
//!  keys, jwks ┘                         rules ┘ (`topics_from`)
//! ```
//!
//! A key decides the algorithm, never the token. Must never do I/O (keys are brought by
//! [`crate::node`]), and never put a token, a key or the value of a claim into an error, a log or a
//! `Debug`.

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

/// Most calls that wait for newer keys at once; more are told to do with what there is.
const REFRESHES_MAX: usize = 1_024;

/// What a token is used for; publishers and subscribers may have keys of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// To publish.
    Publisher,
    /// To subscribe, and to look at who else does.
    Subscriber,
}

/// What a valid token allows.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Access {
    /// Topics that may be published to (claim `mercure.publish`).
    pub publish: Arc<[Selector]>,
    /// Topics whose private events may be heard: claim `mercure.subscribe`, and [`Access::topics`].
    /// Sorted, without doubles.
    pub subscribe: Arc<[Selector]>,
    /// Topics that the rules `topics_from` make of the claims: what a stream gets that names no
    /// topic.
    pub topics: Arc<[Selector]>,
    /// Claim `mercure.payload` as JSON text: shown with the bearer's subscriptions.
    pub payload: Option<Arc<str>>,
    /// Claim `sub`: whose it is, for operators.
    pub subject: Option<Arc<str>>,
    /// When it ends, in milliseconds since the unix epoch; rounded so that nothing lives longer
    /// than its token.
    pub ends_unix_ms: Option<u64>,
}

/// How much it allows; what it says is nobody's business.
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
    /// There is no key for this role.
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
    /// An algorithm that is unknown, or not the key's.
    #[error("the token's algorithm is not the one of the key")]
    Algorithm,
    /// Made by another key, or changed since.
    #[error("the token's signature is wrong")]
    Signature,
    /// Its grants are written in the words of another version of the protocol.
    #[error(
        "the token is of Mercure 1.0 (claim `authorization_details`); this hub speaks Mercure 0.x and reads the claim `mercure`"
    )]
    OtherVersion,
    /// Not a JSON object, or one with a number that no computer holds (`1e999`).
    #[error("the token's claims are not a JSON object, or hold a number that is out of range")]
    Claims,
    /// A claim that cannot be read. Its name is the standard's or the configuration's, never the
    /// token's.
    #[error("the token's claim `{claim}` {fault}")]
    Claim {
        /// Name of the claim.
        claim: Arc<str>,
        /// What is wrong with it.
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

/// The rules by which tokens are read: the settings, checked.
#[derive(Clone, Debug)]
pub struct Policy {
    /// Longest token.
    pub token_bytes_max: usize,
    /// Most selectors that a token grants, claims and rules together.
    pub selectors_max: usize,
    /// Longest topic name.
    pub topic_bytes_max: usize,
    /// Time by which clocks may differ.
    pub leeway: Duration,
    /// The only `iss`, if one is wanted.
    pub issuer: Option<String>,
    /// What `aud` must hold, if anything.
    pub audience: Option<String>,
    /// Rules that make topics of claims.
    pub topics_from: Vec<TopicRule>,
}

impl Default for Policy {
    /// What the settings are when nothing is set.
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

/// The keys, and the rules by which tokens are read.
#[derive(Debug, Default)]
pub struct Auth {
    policy: Policy,
    publisher: Ring,
    subscriber: Ring,
}

/// The keys of a role, and who brings newer ones.
#[derive(Debug, Default)]
struct Ring {
    /// `None` where no keys are configured.
    keys: RwLock<Option<Arc<KeySet>>>,
    keeper: RwLock<Option<mpsc::Sender<Refresh>>>,
}

/// A call that waits for newer keys; dropped, or answered, it goes on.
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

    /// Whether there are keys for this role; without, no token can be valid.
    #[must_use]
    pub fn has_keys(&self, role: Role) -> bool {
        self.ring(role).keys.read().is_some()
    }

    /// Checks a token, and reads what it allows. `now` is the wall clock, as the time since the
    /// unix epoch.
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

    /// Asks for the newest keys where they come from a URL, and waits for them; returns at once
    /// when that was done a short while ago.
    ///
    /// The wait is bounded by who brings the keys: [`Auth::kept_by`].
    pub async fn refresh(&self, role: Role) {
        let keeper = self.ring(role).keeper.read().clone();
        let Some(keeper) = keeper else { return };
        let (done, wait) = oneshot::channel();
        if keeper.try_send(done).is_ok() {
            // A keeper that is gone has nothing to wait for either.
            let _ = wait.await;
        }
    }

    /// Puts `keys` in the place of those that the role has; tokens that are checked from now on
    /// need the new ones. A set without keys refuses every token until there is another.
    pub fn replace(&self, role: Role, keys: Arc<KeySet>) {
        let old = self.ring(role).keys.write().replace(keys);
        // A large set takes a while to drop: not while tokens wait to be checked.
        drop(old);
    }

    /// What [`Auth::refresh`] asks for these roles from now on; each must be answered, or dropped,
    /// within a bounded time.
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
