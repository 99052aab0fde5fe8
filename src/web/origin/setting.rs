//! Origins in settings.

use std::borrow::Cow;
use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

use thiserror::Error;

use super::{WebOrigin, split_scheme};
use crate::web::host::{Authority, Host};

/// Why a setting is not an origin that a browser would send. The message follows the text itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum WebOriginError {
    /// The form is wrong.
    #[error("is not an origin (scheme://host or scheme://host:port, without a path)")]
    Form,
    /// `null`, which stands for no origin.
    #[error("is what any page in a sandbox or a file calls itself, so it lets in every site")]
    Null,
    /// A file has no origin.
    #[error("is no origin: browsers send `null` for pages in files")]
    File,
    /// Not ASCII.
    #[error(
        "is not what a browser sends: a name in another script has a form that begins with `xn--`"
    )]
    Script,
    /// Not a host and port.
    #[error(
        "can match no origin: after the scheme there must be a host name or IP address, and a port up to 65535 if need be, nothing else"
    )]
    Authority,
    /// A star within an origin: patterns are not supported.
    #[error("has a `*`, which stands for nothing within an origin: list each origin")]
    Pattern,
    /// A percent sign: browsers decode it.
    #[error("is not what a browser sends: a host is written without percent-escapes")]
    Escape,
    /// A number, but not of an address.
    #[error("can match no origin: a host that ends in a number must be an IPv4 address")]
    Number,
}

impl WebOrigin<'static> {
    /// Parses an origin as people write it, in any spelling that a browser would normalise.
    ///
    /// # Errors
    /// [`WebOriginError`]: nothing that a browser sends could be equal to it.
    pub fn from_setting(text: &str) -> Result<Self, WebOriginError> {
        if text.eq_ignore_ascii_case("null") {
            return Err(WebOriginError::Null);
        }
        let (scheme, rest) = split_scheme(text).ok_or(WebOriginError::Form)?;
        if scheme.eq_ignore_ascii_case("file") {
            return Err(WebOriginError::File);
        }
        let is_more = |c: char| c.is_whitespace() || matches!(c, '/' | '?' | '#' | '\\');
        if rest.is_empty() || rest.starts_with(':') || rest.contains(is_more) {
            return Err(WebOriginError::Form);
        }
        if !rest.is_ascii() {
            return Err(WebOriginError::Script);
        }
        if rest.contains('*') {
            return Err(WebOriginError::Pattern);
        }
        if rest.contains('%') {
            return Err(WebOriginError::Escape);
        }
        let authority = Authority::parse(rest).ok_or(WebOriginError::Authority)?;
        let mut origin = WebOrigin::new(scheme, &authority).into_owned();
        if let Host::Name(name) = authority.host
            && ends_in_number(name)
        {
            let address = loose_v4(name).ok_or(WebOriginError::Number)?;
            origin.host = Cow::Owned(address.to_string());
        }
        Ok(origin)
    }
}

/// Allowed origins of a setting: one, or any.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OriginPattern {
    /// Any origin (`*`).
    Any,
    /// One origin, in the browsers' only spelling of it.
    Only(WebOrigin<'static>),
}

impl FromStr for OriginPattern {
    type Err = WebOriginError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "*" => Ok(Self::Any),
            text => WebOrigin::from_setting(text).map(Self::Only),
        }
    }
}

impl fmt::Display for OriginPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("*"),
            Self::Only(origin) => origin.fmt(f),
        }
    }
}

/// Whether browsers read a name as an IPv4 address (WHATWG URL, "ends in a number checker").
fn ends_in_number(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    let last = name.rsplit('.').next().unwrap_or_default();
    !last.is_empty()
        && (last.bytes().all(|byte| byte.is_ascii_digit()) || v4_number(last).is_some())
}

/// An IPv4 address with parts left out or in other bases, as browsers read it (WHATWG URL, "IPv4
/// parser").
fn loose_v4(name: &str) -> Option<Ipv4Addr> {
    let name = name.strip_suffix('.').unwrap_or(name);
    let numbers: Vec<u64> = name.split('.').map(v4_number).collect::<Option<_>>()?;
    let (last, first) = numbers.split_last()?;
    let last_bits = 8 * 4_usize.checked_sub(first.len()).filter(|left| *left > 0)?;
    if first.iter().any(|number| *number > 255) || last >> last_bits != 0 {
        return None;
    }
    let high = first.iter().fold(0, |high, number| high << 8 | number);
    u32::try_from(high << last_bits | last)
        .ok()
        .map(Ipv4Addr::from)
}

fn v4_number(part: &str) -> Option<u64> {
    let (digits, radix) = match part.strip_prefix("0x").or(part.strip_prefix("0X")) {
        Some("") => return Some(0),
        Some(digits) => (digits, 16),
        None if part.len() > 1 && part.starts_with('0') => (&part[1..], 8),
        None => (part, 10),
    };
    // `from_str_radix` would also accept "+1".
    if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    u64::from_str_radix(digits, radix)
        .ok()
        .filter(|number| *number <= u64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_written_as_browsers_send_them() {
        for (given, is) in [
            ("https://Example.com:443", "https://example.com"),
            ("HTTP://example.com:0080", "http://example.com"),
            ("http://example.com:443", "http://example.com:443"),
            ("http://[0:0::1]:8080", "http://[::1]:8080"),
            ("http://127.1:8080", "http://127.0.0.1:8080"),
            ("http://0x7f.0.0.0x1", "http://127.0.0.1"),
            ("http://0177.0.0.01", "http://127.0.0.1"),
            ("http://2130706433", "http://127.0.0.1"),
            ("capacitor://localhost", "capacitor://localhost"),
            ("chrome-extension://abc", "chrome-extension://abc"),
        ] {
            let origin = WebOrigin::from_setting(given).expect(given);
            assert_eq!(origin.to_string(), is);
            assert_eq!(WebOrigin::parse(is.as_bytes()), Some(origin));
        }
    }

    #[test]
    fn settings_that_can_never_match_are_refused() {
        use WebOriginError::{
            Authority as Wrong, Escape, File, Form, Null, Number, Pattern, Script,
        };
        for (given, error) in [
            ("", Form),
            ("example.com", Form),
            ("https://example.com/", Form),
            ("https://example.com/a", Form),
            ("https://example.com?a", Form),
            ("https://", Form),
            ("https:example.com", Form),
            ("https://a b", Form),
            ("https://:443", Form),
            ("null", Null),
            ("NULL", Null),
            ("file://", File),
            ("file:///x", File),
            ("https://b\u{fc}cher.example", Script),
            ("https://*.example.com", Pattern),
            ("https://*", Pattern),
            ("http://localhost:*", Pattern),
            ("https://a%2eexample", Escape),
            ("https://u:p@example.com", Wrong),
            ("https://example.com:99999", Wrong),
            ("https://example.com:x", Wrong),
            ("https://[zz]", Wrong),
            ("https://exa[mple", Wrong),
            ("http://1.2.3.4.5", Number),
            ("http://256.0.0.1", Number),
            ("http://1.2.3.08", Number),
            ("http://a.1", Number),
        ] {
            assert_eq!(WebOrigin::from_setting(given), Err(error), "{given}");
        }
    }
}
