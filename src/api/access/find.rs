//! Finds the token of a request: in the header `Authorization`, in the query, or in a cookie.

use std::borrow::Cow;

use hyper::header::{self, HeaderMap};
use percent_encoding::percent_decode;
use smallvec::SmallVec;

use super::error::AccessError;
use super::token::{COOKIES_MAX, Origin, QUERY_PARAMETER, Token};

/// The token of a request. `guarded`: a header `Authorization` is for this node, whatever its
/// scheme. On a node without keys only `Bearer` is; any other scheme is for a proxy.
pub(super) fn find<'r>(
    cookie_name: &str,
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
    let pairs = headers.get_all(header::COOKIE).iter();
    let cookies = pairs
        .flat_map(|field| field.as_bytes().split(|byte| *byte == b';'))
        .filter_map(|pair| cookie(pair, cookie_name));
    let mut texts: SmallVec<[Cow<'r, [u8]>; 1]> = cookies.map(Cow::Borrowed).collect();
    texts.sort_unstable();
    texts.dedup();
    if texts.len() > COOKIES_MAX {
        return Err(AccessError::TooManyCookies);
    }
    let from = Origin::Cookie;
    Ok((!texts.is_empty()).then_some(Token { texts, from }))
}

/// The value of a pair `name=value` if it is the cookie with the token.
fn cookie<'r>(pair: &'r [u8], name: &str) -> Option<&'r [u8]> {
    let value = pair
        .trim_ascii()
        .strip_prefix(name.as_bytes())?
        .strip_prefix(b"=")?;
    let quoted = value
        .strip_prefix(b"\"")
        .and_then(|value| value.strip_suffix(b"\""));
    Some(quoted.unwrap_or(value))
}

/// The text after the scheme `Bearer`; `None` for any other scheme.
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

/// Values of the query's parameters that carry tokens. Like `super::query`, but text outside UTF-8
/// is an invalid token here, not an error that would show it.
fn in_query(query: &str) -> impl Iterator<Item = Cow<'_, [u8]>> {
    query.split('&').filter_map(|part| {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        let name: Cow<'_, [u8]> = percent_decode(name.as_bytes()).into();
        (*name == *QUERY_PARAMETER.as_bytes()).then(|| Cow::from(percent_decode(value.as_bytes())))
    })
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    const COOKIE: &str = "mercureAuthorization";

    fn found(fields: &[(&'static str, &'static str)], query: &str) -> Result<String, AccessError> {
        let headers: HeaderMap = fields
            .iter()
            .map(|(name, value)| {
                let name = header::HeaderName::from_static(name);
                (name, HeaderValue::from_static(value))
            })
            .collect();
        let token = find(COOKIE, &headers, Some(query), true)?;
        Ok(token.map_or_else(
            || "none".to_owned(),
            |token| {
                let texts = token.texts.iter().map(|text| String::from_utf8_lossy(text));
                format!("{:?} {}", token.from, texts.collect::<Vec<_>>().join(" "))
            },
        ))
    }

    #[test]
    fn the_header_wins_then_the_query_then_the_cookie() {
        let cookie = ("cookie", "a=b; mercureAuthorization=c.c.c; d=e");
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
        // Ignored parameters may occur any number of times.
        assert_eq!(
            found(&[header], "authorization=a&authorization=a"),
            Ok("Header a".into())
        );
    }

    #[test]
    fn cookies_of_the_tokens_name_are_all_there_in_an_order_of_their_own() {
        let one = |name: &'static str| ("cookie", name);
        let c = one("mercureAuthorization=c; mercureAuthorization=d");
        let d = one("mercureAuthorization=d;mercureAuthorization=\"c\"");
        for fields in [&[c][..], &[d], &[c, d], &[d, c]] {
            assert_eq!(found(fields, ""), Ok("Cookie c d".into()));
        }
        let numbered = [
            one("mercureAuthorization=1; mercureAuthorization=2; mercureAuthorization=3"),
            one("mercureAuthorization=4; mercureAuthorization=5; mercureAuthorization=6"),
            one("mercureAuthorization=7; mercureAuthorization=8; mercureAuthorization=1"),
        ];
        assert_eq!(found(&numbered, ""), Ok("Cookie 1 2 3 4 5 6 7 8".into()));
        let more = [&numbered[..], &[one("mercureAuthorization=9")]].concat();
        assert_eq!(found(&more, ""), Err(AccessError::TooManyCookies));
        // Ignored parameters may occur any number of times.
        assert_eq!(found(&more, "authorization=q"), Ok("Query q".into()));
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
        let open = find(COOKIE, &headers, None, false);
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
