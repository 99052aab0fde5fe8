//! Who is asking: finds the token of a request and has it checked.
//!
//! A token comes in the header `Authorization`, in the query, or in a cookie, in this order (draft-dunglas-mercure-07, "Authorization"; RFC 6750). One
//! that is there has to be valid: a bad one is never taken for none. Nothing here may keep a token, log it or put any of it into an answer.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Method, StatusCode};
use percent_encoding::percent_decode;
use thiserror::Error;

use super::cors::Cors;
use super::problem::Problem;
use crate::auth::{Access, Auth, Role, TokenError};
use crate::config::Settings;

/// Name of the parameter that carries a token.
pub(super) const QUERY_PARAMETER: &str = "authorization";

/// What a refused client is told to send.
const CHALLENGE: &str = "Bearer realm=\"fantail\"";

/// Who is let in, and how that is found out.
pub(super) struct Policy {
    auth: Arc<Auth>,
    /// Subscribers may come without a token.
    anonymous: bool,
    cookie_name: String,
    /// Subscriptions are announced and listed.
    pub(super) subscriptions: bool,
}

/// Who asks.
#[derive(Debug)]
pub(super) enum Caller {
    /// Anyone: there are no keys for this, so the node is open.
    Open,
    /// A subscriber without a token, where that is allowed.
    Anonymous,
    /// The bearer of a valid token.
    Bearer(Access),
}

impl Caller {
    /// Whether it may hear any private event.
    pub(super) fn has_grant(&self) -> bool {
        matches!(self, Self::Bearer(access) if !access.subscribe.is_empty())
    }
}

/// Who asks, and how that was said.
#[derive(Debug)]
pub(super) struct Credentials {
    pub(super) caller: Caller,
    /// The token is part of the address; the answer to it must not be kept by a shared cache.
    pub(super) in_query: bool,
}

impl Credentials {
    /// What the token allows.
    ///
    /// # Errors
    /// There is none.
    pub(super) fn bearer(self) -> Result<Access, AccessError> {
        match self.caller {
            Caller::Bearer(access) => Ok(access),
            Caller::Open | Caller::Anonymous => Err(AccessError::Missing),
        }
    }
}

/// How far a check came.
pub(super) enum Checked {
    /// To the end.
    Done(Credentials),
    /// No known key made the token; newer keys may have.
    UnknownKey(Token<'static>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    Header,
    Query,
    Cookie,
}

/// A token as it was sent. Not `Debug`, so that it cannot be printed by mistake.
pub(super) struct Token<'r> {
    text: Cow<'r, [u8]>,
    from: Origin,
}

/// Why a request goes no further.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(super) enum AccessError {
    /// More than one token, so which?
    #[error("there must be one {0}, not several")]
    Several(&'static str),
    /// The header is there, but for something else.
    #[error("the header `Authorization` must be `Bearer`, a space and a token")]
    Scheme,
    /// It does not hold.
    #[error("the token is refused: {0}")]
    Token(TokenError),
    /// None was sent, and one is needed.
    #[error(
        "a token is needed: as `Authorization: Bearer …`, in the query as `{QUERY_PARAMETER}`, or in a cookie"
    )]
    Missing,
    /// It is valid, but not for this.
    #[error("the token does not reach {0:?}")]
    Reach(String),
    /// A page of another origin may have sent it.
    #[error(
        "a token in a cookie may only publish from this node's own pages or those of the origins in `cors_origins`: the request's `Origin` (or `Referer`) says otherwise, or is missing"
    )]
    ForeignPage,
}

impl AccessError {
    fn status(&self) -> StatusCode {
        match self {
            Self::Several(_) => StatusCode::BAD_REQUEST,
            Self::Scheme | Self::Token(_) | Self::Missing => StatusCode::UNAUTHORIZED,
            Self::Reach(_) | Self::ForeignPage => StatusCode::FORBIDDEN,
        }
    }

    /// The value of `WWW-Authenticate` (RFC 6750 §3): without an error code where no token was sent.
    fn challenge(&self) -> Option<HeaderValue> {
        let error = match self {
            Self::Several(_) => "invalid_request",
            Self::Token(_) => "invalid_token",
            Self::Reach(_) => {
                let value = format!("{CHALLENGE}, error=\"insufficient_scope\"");
                return HeaderValue::from_str(&value).ok();
            }
            Self::Scheme | Self::Missing => return Some(HeaderValue::from_static(CHALLENGE)),
            Self::ForeignPage => return None,
        };
        let plain = |c: &char| matches!(c, ' ' | '!' | '#'..='[' | ']'..='~');
        let description: String = self.to_string().chars().filter(plain).collect();
        let value = format!("{CHALLENGE}, error=\"{error}\", error_description=\"{description}\"");
        HeaderValue::from_str(&value).ok()
    }
}

impl From<AccessError> for Problem {
    fn from(error: AccessError) -> Self {
        let problem = Self::new(error.status(), error.to_string());
        let problem = match error.challenge() {
            Some(challenge) => problem.header_value(header::WWW_AUTHENTICATE, challenge),
            None => problem,
        };
        match error {
            AccessError::ForeignPage => problem.field("origin"),
            AccessError::Reach(_) => problem.field("topic"),
            _ => problem.field(QUERY_PARAMETER),
        }
    }
}

impl Policy {
    /// By these settings and keys.
    pub(super) fn new(settings: &Settings, auth: Arc<Auth>) -> Self {
        Self {
            auth,
            anonymous: settings.anonymous,
            cookie_name: settings.cookie_name.clone(),
            subscriptions: settings.mercure_subscriptions,
        }
    }

    /// Checks the token of a request, if it has one.
    ///
    /// # Errors
    /// [`AccessError`]: it is no good, or there is none where one is needed.
    pub(super) fn check(
        &self,
        role: Role,
        parts: &Parts,
        cors: &Cors,
    ) -> Result<Checked, AccessError> {
        let guarded = self.auth.has_keys(role);
        let Some(token) = self.find(&parts.headers, parts.uri.query(), guarded)? else {
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
        if by_cookie && !cors.is_of_trusted_page(&parts.headers, parts.uri.authority()) {
            return Err(AccessError::ForeignPage);
        }
        match self.verify(role, &token) {
            Err(AccessError::Token(TokenError::UnknownKey)) => Ok(Checked::UnknownKey(Token {
                text: Cow::Owned(token.text.into_owned()),
                from: token.from,
            })),
            checked => checked.map(Checked::Done),
        }
    }

    /// Checks once more a token whose key was unknown, with the newest keys there are.
    pub(super) async fn check_again(
        &self,
        role: Role,
        token: &Token<'_>,
    ) -> Result<Credentials, AccessError> {
        self.auth.refresh(role).await;
        self.verify(role, token)
    }

    fn verify(&self, role: Role, token: &Token<'_>) -> Result<Credentials, AccessError> {
        let access = self
            .auth
            .verify(role, &token.text, unix_s())
            .map_err(AccessError::Token)?;
        Ok(Credentials {
            caller: Caller::Bearer(access),
            in_query: token.from == Origin::Query,
        })
    }

    /// The token of a request. `guarded`: a header `Authorization` is for this node, whatever its scheme; where there are no keys, only `Bearer` is, and
    /// any other is a proxy's affair.
    fn find<'r>(
        &self,
        headers: &'r HeaderMap,
        query: Option<&'r str>,
        guarded: bool,
    ) -> Result<Option<Token<'r>>, AccessError> {
        let mut fields = headers.get_all(header::AUTHORIZATION).iter();
        if let Some(field) = fields.next() {
            if fields.next().is_some() {
                return Err(AccessError::Several("header `Authorization`"));
            }
            match bearer(field.as_bytes()) {
                Some(text) => return Ok(Some(Token::new(text, Origin::Header))),
                None if guarded => return Err(AccessError::Scheme),
                None => {}
            }
        }
        let mut values = query.into_iter().flat_map(in_query);
        if let Some(text) = values.next() {
            if values.next().is_some() {
                return Err(AccessError::Several("parameter `authorization`"));
            }
            return Ok(Some(Token::new(text, Origin::Query)));
        }
        let cookies = headers.get_all(header::COOKIE).iter();
        let cookie = cookies
            .flat_map(|field| field.as_bytes().split(|byte| *byte == b';'))
            .find_map(|pair| self.cookie(pair));
        Ok(cookie.map(|text| Token::new(text, Origin::Cookie)))
    }

    /// The value of a pair `name=value` if it is the cookie with the token.
    fn cookie<'r>(&self, pair: &'r [u8]) -> Option<&'r [u8]> {
        let value = pair
            .trim_ascii()
            .strip_prefix(self.cookie_name.as_bytes())?
            .strip_prefix(b"=")?;
        let quoted = value
            .strip_prefix(b"\"")
            .and_then(|value| value.strip_suffix(b"\""));
        Some(quoted.unwrap_or(value))
    }
}

impl<'r> Token<'r> {
    fn new(text: impl Into<Cow<'r, [u8]>>, from: Origin) -> Self {
        let text = text.into();
        Self { text, from }
    }
}

/// The wall clock, in seconds since the unix epoch; 0 when it is set before.
pub(super) fn unix_s() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

/// What follows the scheme `Bearer`; `None` for any other.
fn bearer(field: &[u8]) -> Option<&[u8]> {
    let end = field
        .iter()
        .position(|byte| *byte == b' ')
        .unwrap_or(field.len());
    let (scheme, token) = field.split_at(end);
    scheme
        .eq_ignore_ascii_case(b"bearer")
        .then(|| token.trim_ascii())
}

/// Values of the query's parameters that carry tokens. Like `super::query`, but what is no UTF-8 is a bad token here, not an error that would say
/// what stands there.
fn in_query(query: &str) -> impl Iterator<Item = Cow<'_, [u8]>> {
    query.split('&').filter_map(|part| {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        let name: Cow<'_, [u8]> = percent_decode(name.as_bytes()).into();
        (*name == *QUERY_PARAMETER.as_bytes()).then(|| Cow::from(percent_decode(value.as_bytes())))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy() -> Policy {
        Policy::new(&Settings::default(), Arc::default())
    }

    fn found(fields: &[(&'static str, &'static str)], query: &str) -> Result<String, AccessError> {
        let headers: HeaderMap = fields
            .iter()
            .map(|(name, value)| {
                let name = header::HeaderName::from_static(name);
                (name, HeaderValue::from_static(value))
            })
            .collect();
        let token = policy().find(&headers, Some(query), true)?;
        Ok(token.map_or_else(
            || "none".to_owned(),
            |token| format!("{:?} {}", token.from, String::from_utf8_lossy(&token.text)),
        ))
    }

    #[test]
    fn the_header_wins_then_the_query_then_the_cookie() {
        let cookie = (
            "cookie",
            "a=b; mercureAuthorization=c.c.c; mercureAuthorization=d",
        );
        let header = ("authorization", "bEARER  h.h.h ");
        let query = "topic=a&authorization=q.q%2Eq";
        assert_eq!(found(&[cookie, header], query), Ok("Header h.h.h".into()));
        assert_eq!(found(&[cookie], query), Ok("Query q.q.q".into()));
        assert_eq!(found(&[cookie], "topic=a"), Ok("Cookie c.c.c".into()));
        assert_eq!(found(&[], "topic=authorization"), Ok("none".into()));
        let quoted = ("cookie", "mercureAuthorization=\"c\"");
        assert_eq!(found(&[quoted], ""), Ok("Cookie c".into()));
        let others = ("cookie", "xmercureAuthorization=c; mercureAuthorizationx=c");
        assert_eq!(found(&[others], ""), Ok("none".into()));
    }

    #[test]
    fn more_than_one_token_of_a_kind_is_refused() {
        let header = ("authorization", "Bearer a");
        assert!(matches!(
            found(&[header, header], ""),
            Err(AccessError::Several(_))
        ));
        assert!(matches!(
            found(&[], "authorization=a&authorization=a"),
            Err(AccessError::Several(_))
        ));
        // What is ignored may be there any number of times.
        assert_eq!(
            found(&[header], "authorization=a&authorization=a"),
            Ok("Header a".into())
        );
    }

    #[test]
    fn other_schemes_are_refused_where_there_are_keys() {
        let basic = ("authorization", "Basic dXNlcjpwYXNz");
        assert_eq!(found(&[basic], "authorization=q"), Err(AccessError::Scheme));
        let mut headers = HeaderMap::new();
        headers.insert(
            header::AUTHORIZATION,
            HeaderValue::from_static("Basic dXNlcjpwYXNz"),
        );
        let open = policy().find(&headers, None, false);
        assert!(open.is_ok_and(|token| token.is_none()));
    }

    #[test]
    fn what_is_there_but_empty_is_a_token_all_the_same() {
        let header = ("authorization", "Bearer");
        let cookie = ("cookie", "mercureAuthorization=");
        assert_eq!(found(&[header], ""), Ok("Header ".into()));
        assert_eq!(found(&[cookie], ""), Ok("Cookie ".into()));
        assert_eq!(found(&[], "authorization"), Ok("Query ".into()));
    }

    #[test]
    fn challenges_say_what_is_wrong_and_nothing_of_the_token() {
        let challenge = |error: AccessError| {
            let value = error.challenge().expect("one");
            value.to_str().expect("text").to_owned()
        };
        assert_eq!(challenge(AccessError::Missing), "Bearer realm=\"fantail\"");
        assert_eq!(
            challenge(AccessError::Token(TokenError::NoKeys)),
            "Bearer realm=\"fantail\", error=\"invalid_token\", error_description=\"the token is refused: no keys are configured for this\""
        );
        assert_eq!(
            challenge(AccessError::Reach("a".into())),
            "Bearer realm=\"fantail\", error=\"insufficient_scope\""
        );
        assert_eq!(AccessError::ForeignPage.challenge(), None);
    }
}
