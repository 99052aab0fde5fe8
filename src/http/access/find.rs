//! Where a request has its token: in the header `Authorization`, in the query, or in a cookie.

use std::borrow::Cow;

use hyper::header::{self, HeaderMap};
use percent_encoding::percent_decode;

use super::{AccessError, Policy};

/// Name of the parameter that carries a token.
pub(in crate::http) const QUERY_PARAMETER: &str = "authorization";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    Header,
    Query,
    Cookie,
}

/// A token as it was sent. Not `Debug`, so that it cannot be printed by mistake.
pub(in crate::http) struct Token<'r> {
    pub(super) text: Cow<'r, [u8]>,
    pub(super) from: Origin,
}

impl<'r> Token<'r> {
    fn new(text: impl Into<Cow<'r, [u8]>>, from: Origin) -> Self {
        let text = text.into();
        Self { text, from }
    }
}

impl Policy {
    /// The token of a request. `guarded`: a header `Authorization` is for this node, whatever its scheme; where there are no keys, only `Bearer` is, and
    /// any other is a proxy's affair.
    pub(super) fn find<'r>(
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
    use std::sync::Arc;

    use hyper::header::HeaderValue;

    use super::*;
    use crate::config::Settings;

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
}
