//! The header with the idempotency key of a call, and the one that tells a repeat.
//!
//! `Idempotency-Key` is a string of structured fields (RFC 8941 §3.3.3;
//! draft-ietf-httpapi-idempotency-key-header-07). Most clients write the text without quotes, so
//! that is taken, too.

use hyper::header::HeaderMap;
use thiserror::Error;

use crate::core::idempotency::{self, KeyError};

/// The header with the key of a call.
pub(super) const HEADER: &str = "idempotency-key";

/// The header of an answer to a call that has published nothing because it is a repeat.
pub(super) const REPLAYED: &str = "idempotency-replayed";

/// Why the header has no key.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(crate) enum HeaderError {
    /// It comes more than once.
    #[error("`Idempotency-Key` is given more than once")]
    Twice,
    /// It is neither one plain text nor one in quotes.
    #[error(
        "`Idempotency-Key` must be one key, as it is or in double quotes; in quotes if it has a comma or a quote, which a backslash escapes there"
    )]
    Form,
    /// The text is no key.
    #[error("{0}")]
    Key(#[from] KeyError),
}

/// The key in the header, if there is one.
pub(super) fn read(headers: &HeaderMap) -> Result<Option<String>, HeaderError> {
    let mut values = headers.get_all(HEADER).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        return Err(HeaderError::Twice);
    }
    parse(value.as_bytes()).map(Some)
}

fn parse(value: &[u8]) -> Result<String, HeaderError> {
    let text = std::str::from_utf8(value).map_err(|_| KeyError::Character)?;
    let key = text_of(text.trim_matches([' ', '\t'])).ok_or(HeaderError::Form)?;
    idempotency::check(&key)?;
    Ok(key)
}

/// The key in a value of `Idempotency-Key`, if it has one.
#[must_use]
pub fn key_of(value: &[u8]) -> Option<String> {
    parse(value).ok()
}

/// The key in a value, with or without quotes.
fn text_of(value: &str) -> Option<String> {
    let Some(quoted) = value.strip_prefix('"') else {
        return (!value.contains(['"', ','])).then(|| value.to_owned());
    };
    let mut key = String::with_capacity(quoted.len());
    let mut characters = quoted.chars();
    loop {
        match characters.next()? {
            '"' => return characters.as_str().is_empty().then_some(key),
            '\\' => match characters.next()? {
                escaped @ ('"' | '\\') => key.push(escaped),
                _ => return None,
            },
            character => key.push(character),
        }
    }
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    fn header(value: &'static str) -> Result<Option<String>, HeaderError> {
        let mut headers = HeaderMap::new();
        headers.append(HEADER, HeaderValue::from_static(value));
        read(&headers)
    }

    #[test]
    fn a_key_is_the_same_with_and_without_quotes() {
        for (value, key) in [
            ("8e03978e-40d5", "8e03978e-40d5"),
            ("\"8e03978e-40d5\"", "8e03978e-40d5"),
            (r#""a, \"b\" \\""#, r#"a, "b" \"#),
            (r"a\b c", r"a\b c"),
            ("\" a \"", " a "),
        ] {
            assert_eq!(header(value), Ok(Some(key.to_owned())), "{value}");
        }
        assert_eq!(read(&HeaderMap::new()), Ok(None));
    }

    #[test]
    fn what_is_no_single_key_is_refused() {
        for value in [
            "\"",
            "\"a",
            "\"a\"b",
            "\"a\";p=1",
            "a\"b",
            "a,b",
            "\"a\", \"b\"",
            r#""\a""#,
            r#""\"#,
        ] {
            assert_eq!(header(value), Err(HeaderError::Form), "{value}");
        }
        for value in ["", "\"\""] {
            assert_eq!(header(value), Err(KeyError::Empty.into()), "{value}");
        }
        assert_eq!(header("\"a\tb\""), Err(KeyError::Character.into()));
        let mut headers = HeaderMap::new();
        headers.append(HEADER, HeaderValue::from_static("a"));
        headers.append(HEADER, HeaderValue::from_static("a"));
        assert_eq!(read(&headers), Err(HeaderError::Twice));
        let latin = HeaderValue::from_bytes(b"\xe4").expect("a value");
        let mut headers = HeaderMap::new();
        headers.append(HEADER, latin);
        assert_eq!(read(&headers), Err(KeyError::Character.into()));
    }
}
