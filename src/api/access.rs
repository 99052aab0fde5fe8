//! Who is asking: finds the token of a request and has it checked.
//!
//! A token comes in the header `Authorization`, in the query, or in a cookie, in this order
//! (draft-dunglas-mercure-07, "Authorization"; RFC 6750). One that is there has to be valid: a bad
//! one is never taken for none. Nothing here may keep a token, log it or put any of it into an
//! answer.

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

/// Who is let in, and how that is found out.
pub(crate) struct Policy {
    auth: Arc<Auth>,
    /// Subscribers may come without a token.
    anonymous: bool,
    cookie_name: String,
    /// Subscriptions are announced and listed.
    pub(crate) subscriptions: bool,
}

/// Who asks.
#[derive(Debug)]
pub(crate) enum Caller {
    /// Anyone: there are no keys for this, so the node is open.
    Open,
    /// A subscriber without a token, where that is allowed.
    Anonymous,
    /// The bearer of a valid token.
    Bearer(Access),
}

impl Caller {
    /// Topics whose private events it may hear.
    pub(crate) fn grant(&self) -> &[Selector] {
        match self {
            Self::Open | Self::Anonymous => &[],
            Self::Bearer(access) => &access.subscribe,
        }
    }
}

/// Who asks, and how that was said.
#[derive(Debug)]
pub(crate) struct Credentials {
    pub(crate) caller: Caller,
    /// The token is part of the address; the answer to it must not be kept by a shared cache.
    pub(crate) in_query: bool,
}

impl Credentials {
    /// What the token allows.
    ///
    /// # Errors
    /// There is none.
    pub(crate) fn bearer(self) -> Result<Access, AccessError> {
        match self.caller {
            Caller::Bearer(access) => Ok(access),
            Caller::Open | Caller::Anonymous => Err(AccessError::Missing),
        }
    }
}

/// How far a check came.
pub(crate) enum Checked {
    /// To the end.
    Done(Credentials),
    /// No known key made the token; newer keys may have.
    UnknownKey(Token<'static>),
}

impl Policy {
    /// By this config and these keys.
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
        // Browsers send cookies with requests that any page may have made.
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

    /// Checks once more a token whose key was unknown, with the newest keys there are.
    pub(crate) async fn check_again(
        &self,
        role: Role,
        token: &Token<'_>,
    ) -> Result<Credentials, AccessError> {
        self.auth.refresh(role).await;
        self.verify(role, token)
    }

    /// Of several cookies any valid one counts, and of several valid ones the one that is valid
    /// longest: the freshest.
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
                // Newer keys may still make this one the valid one.
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

fn outlives(one: &Access, other: &Access) -> bool {
    let end = |access: &Access| access.ends_unix_ms.unwrap_or(u64::MAX);
    end(one) > end(other)
}
