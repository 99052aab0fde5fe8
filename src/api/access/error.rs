//! Why a request is refused, and the challenge that tells its client what to send (RFC 6750 §3).

use hyper::StatusCode;
use hyper::header::{self, HeaderValue};
use thiserror::Error;

use super::token::{COOKIES_MAX, QUERY_PARAMETER};
use crate::auth::TokenError;
use crate::server::problem::Problem;

/// The challenge to a refused client.
const CHALLENGE: &str = "Bearer realm=\"fantail\"";

/// Why a request is refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum AccessError {
    /// More than one token; the node cannot choose.
    #[error("there must be one {0}, not several")]
    Several(&'static str),
    /// More different cookies than are tried.
    #[error(
        "there are more than {COOKIES_MAX} different cookies of the name that holds the token: delete those that are stale"
    )]
    TooManyCookies,
    /// The header has another scheme.
    #[error("the header `Authorization` must be `Bearer`, a space and a token")]
    Scheme,
    /// The token is not valid.
    #[error("the token is refused: {0}")]
    Token(TokenError),
    /// No token was sent, and one is needed.
    #[error(
        "a token is needed: as `Authorization: Bearer …`, in the query as `{QUERY_PARAMETER}`, or in a cookie"
    )]
    Missing,
    /// The token is valid, but not for this topic.
    #[error("the token does not reach {0:?}")]
    Reach(String),
    /// A page of another origin may have sent the cookie.
    #[error(
        "a token in a cookie may only publish from this node's own pages or those of the origins in `cors_origins`: the request's `Origin` (or `Referer`) says otherwise, or is missing"
    )]
    ForeignPage,
}

impl AccessError {
    fn status(&self) -> StatusCode {
        match self {
            Self::Several(_) | Self::TooManyCookies => StatusCode::BAD_REQUEST,
            Self::Scheme | Self::Token(_) | Self::Missing => StatusCode::UNAUTHORIZED,
            Self::Reach(_) | Self::ForeignPage => StatusCode::FORBIDDEN,
        }
    }

    /// The value of `WWW-Authenticate` (RFC 6750 §3): without an error code if no token was sent.
    fn challenge(&self) -> Option<HeaderValue> {
        let error = match self {
            Self::Several(_) | Self::TooManyCookies => "invalid_request",
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

#[cfg(test)]
mod tests {
    use super::*;

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
