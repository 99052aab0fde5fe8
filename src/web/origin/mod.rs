//! Origins (RFC 6454 §4): scheme, host and port; without a port, the scheme's own.
//!
//! Names are ASCII here, as browsers send them; a name in another script has its `xn--` form.
//! Nothing here resolves a name.

mod setting;

use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;

pub use self::setting::{OriginPattern, WebOriginError};
use crate::web::host::{Authority, Host};

/// The origin of a page. Equal origins are equal values, however they were written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebOrigin<'a> {
    /// In lower case.
    scheme: Cow<'a, str>,
    /// A name in lower case, or an address in its printed form, in brackets if it is IPv6.
    host: Cow<'a, str>,
    /// `None` if neither the origin nor its scheme has one.
    port: Option<u16>,
}

impl<'a> WebOrigin<'a> {
    /// Parses an origin as a browser sends it; `None` for anything else, `null` included.
    #[must_use]
    pub fn parse(text: &'a [u8]) -> Option<Self> {
        let text = std::str::from_utf8(text).ok()?;
        let (scheme, rest) = split_scheme(text)?;
        Some(Self::new(scheme, &Authority::parse(rest)?))
    }

    /// The same for an address that continues after its authority, such as the one in `Referer`.
    #[must_use]
    pub fn of_address(text: &'a [u8]) -> Option<Self> {
        let after_scheme = memchr::memmem::find(text, b"://")? + 3;
        let path = text[after_scheme..]
            .iter()
            .position(|byte| matches!(byte, b'/' | b'?' | b'#' | b'\\'));
        let end = path.map_or(text.len(), |at| after_scheme + at);
        Self::parse(&text[..end])
    }

    fn new(scheme: &'a str, authority: &Authority<'a>) -> Self {
        let scheme = lower(scheme);
        Self {
            host: canonical(authority.host),
            port: authority.port.or(default_port(&scheme)),
            scheme,
        }
    }

    /// Whether this is the origin of `authority`, over http or https: a proxy may have ended TLS.
    #[must_use]
    pub fn is_at(&self, authority: &Authority<'_>) -> bool {
        let Some(default_port) = default_port(&self.scheme) else {
            return false;
        };
        self.port == Some(authority.port.unwrap_or(default_port))
            && self.host == canonical(authority.host)
    }

    /// The same, independent of the text that it was parsed from.
    #[must_use]
    pub fn into_owned(self) -> WebOrigin<'static> {
        WebOrigin {
            scheme: Cow::Owned(self.scheme.into_owned()),
            host: Cow::Owned(self.host.into_owned()),
            port: self.port,
        }
    }
}

impl fmt::Display for WebOrigin<'_> {
    /// As browsers write it (RFC 6454 §6.2): without the scheme's default port.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme, self.host)?;
        match self.port {
            Some(port) if default_port(&self.scheme) != Some(port) => write!(f, ":{port}"),
            _ => Ok(()),
        }
    }
}

/// Whether two authorities are the same place under `scheme`.
#[must_use]
pub fn are_same(a: &Authority<'_>, b: &Authority<'_>, scheme: &str) -> bool {
    let port = |authority: &Authority<'_>| authority.port.or(default_port(&lower(scheme)));
    canonical(a.host) == canonical(b.host) && port(a) == port(b)
}

fn default_port(scheme: &str) -> Option<u16> {
    match scheme {
        "http" => Some(80),
        "https" => Some(443),
        _ => None,
    }
}

fn canonical(host: Host<'_>) -> Cow<'_, str> {
    match host {
        Host::Name(name) => lower(name),
        Host::Address(IpAddr::V4(address)) => address.to_string().into(),
        Host::Address(IpAddr::V6(address)) => format!("[{address}]").into(),
    }
}

/// In lower case; nearly always it already is.
fn lower(text: &str) -> Cow<'_, str> {
    if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(text.to_ascii_lowercase())
    } else {
        Cow::Borrowed(text)
    }
}

fn split_scheme(text: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = text.split_once("://")?;
    let is_right = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    is_right.then_some((scheme, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_origin_has_many_spellings() {
        for (a, b) in [
            ("https://example.com", "HTTPS://Example.COM:443"),
            ("http://example.com", "http://example.com:80"),
            ("http://example.com", "http://example.com:"),
            ("http://[::1]:8080", "http://[0:0:0:0:0:0:0:1]:08080"),
            ("http://127.0.0.1", "http://127.0.0.1:80"),
        ] {
            assert_eq!(
                WebOrigin::parse(a.as_bytes()).expect(a),
                WebOrigin::parse(b.as_bytes()).expect(b)
            );
        }
        for (a, b) in [
            ("https://example.com", "http://example.com"),
            ("https://example.com", "https://example.com:80"),
            ("https://example.com", "https://example.com."),
            ("https://example.com", "https://www.example.com"),
            ("http://127.0.0.1", "http://127.1"),
        ] {
            assert_ne!(
                WebOrigin::parse(a.as_bytes()),
                WebOrigin::parse(b.as_bytes())
            );
        }
        for bad in [
            "null",
            "",
            "example.com",
            "https://",
            "https://a/",
            "https://u@a",
            "https://a:b",
            "://a",
            "1://a",
            "https://a b",
            "https://a, https://b",
        ] {
            assert_eq!(WebOrigin::parse(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn an_origin_is_its_own_host_under_either_scheme() {
        let is_at = |origin: &str, host: &str| {
            let authority = Authority::parse(host).expect(host);
            WebOrigin::parse(origin.as_bytes())
                .expect(origin)
                .is_at(&authority)
        };
        for (origin, host) in [
            ("https://example.com", "example.com"),
            ("https://example.com", "example.com:443"),
            ("http://example.com", "Example.com:80"),
            ("http://example.com:8080", "example.com:8080"),
            ("http://[::1]", "[0::1]:80"),
        ] {
            assert!(is_at(origin, host), "{origin} {host}");
        }
        for (origin, host) in [
            ("https://example.com", "example.com:80"),
            ("http://example.com", "example.com:443"),
            ("https://example.com", "example.org"),
            ("http://example.com:8080", "example.com"),
            ("capacitor://localhost", "localhost"),
        ] {
            assert!(!is_at(origin, host), "{origin} {host}");
        }
    }

    #[test]
    fn an_address_has_an_origin() {
        let of = |text: &'static str| {
            WebOrigin::of_address(text.as_bytes()).map(|origin| origin.to_string())
        };
        for address in [
            "https://a.example/x",
            "https://a.example?x",
            "https://a.example#x",
            "https://a.example\\@b",
            "https://a.example",
        ] {
            assert_eq!(of(address).as_deref(), Some("https://a.example"));
        }
        for bad in [
            "",
            "about:blank",
            "https://u@a.example/",
            "/x",
            "data:text/html,https://a.example/",
        ] {
            assert_eq!(of(bad), None, "{bad}");
        }
    }
}
