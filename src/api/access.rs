//! The caller of a request: finds its token and has it checked.
//!
//! A token is sent in the header `Authorization`, in the query, or in a cookie, in this order
//! (draft-dunglas-mercure-07, "Authorization"; RFC 6750). If a token is sent it must be valid: an
//! invalid token is an error, never treated as absent. Nothing here may keep a token, log it or put
//! any of it into an answer.

mod error;
mod find;
mod token;

use std::sync::Arc;

use hyper::Method;
use hyper::http::request::Parts;

pub(crate) use self::error::AccessError;
use self::find::find;
use self::token::Origin;
pub(crate) use self::token::{QUERY_PARAMETER, Token};
use super::config::AccessConfig;
use super::cors::Cors;
use crate::auth::{Access, Auth, Role, TokenError};
use crate::clock::unix_time;
use crate::core::selector::Selector;

/// The rules of access, and the keys that they are checked with.
pub(crate) struct Policy {
    auth: Arc<Auth>,
    /// Subscribers need no token.
    anonymous: bool,
    cookie_name: String,
    /// Subscriptions are announced and listed.
    pub(crate) subscriptions: bool,
}

/// The caller of a request.
#[derive(Debug)]
pub(crate) enum Caller {
    /// Anyone: no keys are configured for this role, so the node is open.
    Open,
    /// A subscriber without a token, if that is allowed.
    Anonymous,
    /// The bearer of a valid token.
    Bearer(Access),
}

impl Caller {
    /// Topics whose private events the caller may hear.
    pub(crate) fn grant(&self) -> &[Selector] {
        match self {
            Self::Open | Self::Anonymous => &[],
            Self::Bearer(access) => &access.subscribe,
        }
    }
}

/// The caller, and how it sent its token.
#[derive(Debug)]
pub(crate) struct Credentials {
    pub(crate) caller: Caller,
    /// The token is part of the address, so a shared cache must not keep the answer.
    pub(crate) in_query: bool,
}

impl Credentials {
    /// The grants of the token.
    ///
    /// # Errors
    /// No token was sent.
    pub(crate) fn bearer(self) -> Result<Access, AccessError> {
        match self.caller {
            Caller::Bearer(access) => Ok(access),
            Caller::Open | Caller::Anonymous => Err(AccessError::Missing),
        }
    }
}

/// Result of a check.
pub(crate) enum Checked {
    /// The check is complete.
    Done(Credentials),
    /// No known key made the token; a newer key may have.
    UnknownKey(Token<'static>),
}

impl Policy {
    /// Builds the policy from its config and keys.
    pub(crate) fn new(config: &AccessConfig, auth: Arc<Auth>) -> Self {
        Self {
            auth,
            anonymous: config.anonymous,
            cookie_name: config.cookie_name.clone(),
            subscriptions: config.subscriptions,
        }
    }

    /// Checks the token of a request, if it has one.
    ///
    /// # Errors
    /// [`AccessError`]: it is no good, or there is none where one is needed.
    pub(crate) fn check(
        &self,
        role: Role,
        parts: &Parts,
        cors: &Cors,
    ) -> Result<Checked, AccessError> {
        let guarded = self.auth.has_keys(role);
        let Some(token) = find(
            &self.cookie_name,
            &parts.headers,
            parts.uri.query(),
            guarded,
        )?
        else {
            let caller = match role {
                _ if !guarded => Caller::Open,
                Role::Subscriber if self.anonymous => Caller::Anonymous,
                _ => return Err(AccessError::Missing),
            };
            return Ok(Checked::Done(Credentials {
                caller,
                in_query: false,
            }));
        };
        // Browsers send cookies with requests of any page.
        let by_cookie = parts.method == Method::POST && token.from == Origin::Cookie;
        if by_cookie && !cors.is_of_trusted_page(parts) {
            return Err(AccessError::ForeignPage);
        }
        match self.verify(role, &token) {
            Err(AccessError::Token(TokenError::UnknownKey)) => {
                Ok(Checked::UnknownKey(token.into_owned()))
            }
            checked => checked.map(Checked::Done),
        }
    }

    /// Checks a token again whose key was unknown, with the newest keys.
    pub(crate) async fn check_again(
        &self,
        role: Role,
        token: &Token<'_>,
    ) -> Result<Credentials, AccessError> {
        self.auth.refresh(role).await;
        self.verify(role, token)
    }

    /// Of several cookies any valid one counts; of several valid ones the one that is valid
    /// longest, which is the freshest.
    fn verify(&self, role: Role, token: &Token<'_>) -> Result<Credentials, AccessError> {
        let now = unix_time();
        let mut valid: Option<Access> = None;
        let mut refused = None;
        for text in &token.texts {
            match self.auth.verify(role, text, now) {
                Ok(access) if valid.as_ref().is_none_or(|other| outlives(&access, other)) => {
                    valid = Some(access);
                }
                Ok(_) => {}
                // A newer key may still make this token valid.
                Err(TokenError::UnknownKey) => refused = Some(TokenError::UnknownKey),
                Err(error) => refused = refused.or(Some(error)),
            }
        }
        let access = valid.ok_or(refused.map_or(AccessError::Missing, AccessError::Token))?;
        Ok(Credentials {
            caller: Caller::Bearer(access),
            in_query: token.from == Origin::Query,
        })
    }
}

fn outlives(access: &Access, other: &Access) -> bool {
    let end = |access: &Access| access.ends_unix_ms.unwrap_or(u64::MAX);
    end(access) > end(other)
}
