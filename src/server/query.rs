//! Names and values of a query string, strictly UTF-8, and numbers in them.
//!
//! `form_urlencoded` would replace broken UTF-8 silently, and a topic must not change its name on
//! the way. So this module splits the query, and `percent-encoding` decodes it. A `%` without two
//! hex digits behind it stands for itself, as in browsers.

use std::borrow::Cow;
use std::str::{FromStr, Utf8Error};

use percent_encoding::percent_decode;
use thiserror::Error;

/// A name or value that is not UTF-8 after decoding. The error does not name it, because a query
/// may hold a token.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("a part of the request target is not UTF-8 when percent-decoded")]
pub(crate) struct QueryError(#[from] Utf8Error);

/// Name and value of each parameter, in order.
pub(crate) fn pairs(
    query: &str,
) -> impl Iterator<Item = Result<(Cow<'_, str>, Cow<'_, str>), QueryError>> {
    query
        .split('&')
        .filter(|part| !part.is_empty())
        .map(|part| {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            Ok((decode_form(name)?, decode_form(value)?))
        })
}

/// Decodes a part of a path: percent escapes only.
pub(crate) fn decode_path(raw: &str) -> Result<Cow<'_, str>, QueryError> {
    Ok(percent_decode(raw.as_bytes()).decode_utf8()?)
}

/// Decodes a name or value of a query: percent escapes, and `+` for a space.
fn decode_form(raw: &str) -> Result<Cow<'_, str>, QueryError> {
    if !raw.contains('+') {
        return decode_path(raw);
    }
    let spaced = raw.replace('+', " ");
    Ok(Cow::Owned(decode_path(&spaced)?.into_owned()))
}

/// A number in digits only. `from_str` would also accept "+1".
pub(crate) fn number<T: FromStr>(text: &str) -> Option<T> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_digits_and_nothing_else() {
        assert_eq!(number("0"), Some(0_u32));
        assert_eq!(number("0042"), Some(42_u64));
        assert_eq!(number("255"), Some(u8::MAX));
        for wrong in ["", "+1", "-1", " 1", "1 ", "1.0", "1e3", "256", "\u{661}"] {
            assert_eq!(number::<u8>(wrong), None, "{wrong:?}");
        }
    }

    fn all(query: &str) -> Vec<(String, String)> {
        pairs(query)
            .map(|pair| pair.expect("UTF-8"))
            .map(|(name, value)| (name.into_owned(), value.into_owned()))
            .collect()
    }

    #[test]
    fn pairs_keep_order_and_decode() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(
            all("topic=a&topic=b%20c+d%2Be&&x&y=1=2"),
            [
                pair("topic", "a"),
                pair("topic", "b c d+e"),
                pair("x", ""),
                pair("y", "1=2"),
            ]
        );
        assert_eq!(all(""), []);
        assert_eq!(all("p=100%"), [pair("p", "100%")]);
    }

    #[test]
    fn broken_utf8_is_refused() {
        assert!(pairs("topic=%ff").any(|pair| pair.is_err()));
        assert!(decode_path("%c3%28").is_err());
        assert_eq!(decode_path("%C3%A4+b").expect("UTF-8"), "ä+b");
    }
}
