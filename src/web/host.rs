//! The host of a request (`Host`, or the authority of its target), and the hosts that a listener
//! answers for.
//!
//! A web page can send requests to any machine that its visitor reaches, under the name of its own
//! site, by pointing that name there (DNS rebinding). To the browser the answer is then the site's
//! own. So a listener without tokens answers only for names that cannot be a stranger's.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use thiserror::Error;

/// A host and a port, in the form of `Host` and of a request's target (RFC 9110 §7.2, RFC 3986
/// §3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Authority<'a> {
    /// The host.
    pub host: Host<'a>,
    /// The port, if one is given.
    pub port: Option<u16>,
}

/// A host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Host<'a> {
    /// An address.
    Address(IpAddr),
    /// A name, in any case; never empty.
    Name(&'a str),
}

impl fmt::Display for Host<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => write!(f, "{address}"),
            Self::Name(name) => f.write_str(name),
        }
    }
}

impl<'a> Authority<'a> {
    /// Parses an authority; `None` if it is malformed: userinfo, an empty host, an invalid address
    /// or port, or characters outside names.
    #[must_use]
    pub fn parse(text: &'a str) -> Option<Self> {
        if let Some(rest) = text.strip_prefix('[') {
            let (address, port) = rest.split_once(']')?;
            let address: Ipv6Addr = address.parse().ok()?;
            let port = match port {
                "" => None,
                port => parse_port(port.strip_prefix(':')?)?,
            };
            let host = Host::Address(address.into());
            return Some(Self { host, port });
        }
        let (host, port) = match text.split_once(':') {
            Some((host, port)) => (host, parse_port(port)?),
            None => (text, None),
        };
        if !is_name(host) {
            return None;
        }
        let host = match host.parse::<Ipv4Addr>() {
            Ok(address) => Host::Address(address.into()),
            Err(_) => Host::Name(host),
        };
        Some(Self { host, port })
    }
}

/// A port, which may be left out after its colon.
fn parse_port(text: &str) -> Option<Option<u16>> {
    match text {
        "" => Some(None),
        text if text.bytes().all(|byte| byte.is_ascii_digit()) => text.parse().ok().map(Some),
        _ => None,
    }
}

/// `reg-name` of RFC 3986, without the empty one.
fn is_name(text: &str) -> bool {
    let mut rest = text.as_bytes();
    while let Some((byte, after)) = rest.split_first() {
        rest = match (byte, after) {
            (b'%', [a, b, after @ ..]) if a.is_ascii_hexdigit() && b.is_ascii_hexdigit() => after,
            (byte, after) if byte.is_ascii_alphanumeric() => after,
            (b'-' | b'.' | b'_' | b'~', after) => after,
            (
                b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b';' | b'=',
                after,
            ) => after,
            _ => return false,
        };
    }
    !text.is_empty()
}

/// A name in the list of a [`HostRule`]: `example.com`, `*.example.com` for all names below it, `*`
/// for any.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPattern(String);

/// Why a text is not a [`HostPattern`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("is not the name of a host, without scheme and port")]
pub struct HostPatternError;

impl FromStr for HostPattern {
    type Err = HostPatternError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let name = text.strip_prefix("*.").unwrap_or(text);
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
        let dots = name.starts_with('.') || name.ends_with('.');
        let is_name = !name.is_empty() && !dots && name.bytes().all(plain);
        if text == "*" || is_name {
            Ok(Self(text.to_owned()))
        } else {
            Err(HostPatternError)
        }
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl HostPattern {
    /// All names below `localhost`, which browsers keep to this machine (RFC 6761 §6.3).
    #[must_use]
    pub fn below_localhost() -> Self {
        Self("*.localhost".to_owned())
    }

    fn names(&self, name: &str) -> bool {
        match self.0.strip_prefix('*') {
            Some("") => true,
            Some(end) => {
                let start = name.len().checked_sub(end.len());
                start.is_some_and(|start| {
                    start > 0 && name.as_bytes()[start..].eq_ignore_ascii_case(end.as_bytes())
                })
            }
            None => name.eq_ignore_ascii_case(&self.0),
        }
    }
}

/// The hosts that a listener answers for: addresses, `localhost`, and the names that its setting
/// lists.
///
/// An address cannot be redirected, and `localhost` is never a web site's name (RFC 6761 §6.3).
#[derive(Clone, Debug, Default)]
pub struct HostRule {
    names: Vec<HostPattern>,
}

impl HostRule {
    /// Also answers for these names.
    #[must_use]
    pub fn new(names: Vec<HostPattern>) -> Self {
        Self { names }
    }

    /// Whether a request for this host is answered.
    #[must_use]
    pub fn allows(&self, host: &Host<'_>) -> bool {
        let Host::Name(name) = host else { return true };
        // A name with its final dot is the same name.
        let name = name.strip_suffix('.').unwrap_or(name);
        name.eq_ignore_ascii_case("localhost")
            || self.names.iter().any(|pattern| pattern.names(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_read_as_they_are_written() {
        let name = |host, port| {
            let host = Host::Name(host);
            Some(Authority { host, port })
        };
        let address = |host: &str, port| {
            let host = Host::Address(host.parse().expect("an address"));
            Some(Authority { host, port })
        };
        for (text, authority) in [
            ("a.example", name("a.example", None)),
            ("LOCALHOST:80", name("LOCALHOST", Some(80))),
            ("a_b.example.:", name("a_b.example.", None)),
            ("%41", name("%41", None)),
            // A browser writes these as 127.0.0.1; a client that does not sends no address.
            ("127.1", name("127.1", None)),
            ("0x7f000001", name("0x7f000001", None)),
            ("127.0.0.1:65535", address("127.0.0.1", Some(65_535))),
            ("[::1]", address("::1", None)),
            (
                "[::ffff:127.0.0.1]:0080",
                address("::ffff:127.0.0.1", Some(80)),
            ),
        ] {
            assert_eq!(Authority::parse(text), authority, "{text}");
        }
        for text in [
            "",
            ":80",
            "a b",
            "a/b",
            "a@b",
            "user:pass@127.0.0.1",
            "a:b",
            "a:+1",
            "a:99999",
            "a:1:2",
            "::1",
            "[zz]",
            "[::1",
            "[::1]80",
            "[fe80::1%25eth0]",
            "[127.0.0.1]",
            "%4",
            "%zz",
            "ü",
            "a\0",
        ] {
            assert_eq!(Authority::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_strangers_name_is_answered_only_where_it_is_listed() {
        let allows = |names: &[&str], text: &str| {
            let names = names.iter().map(|name| name.parse().expect("a name"));
            let authority = Authority::parse(text).expect(text);
            HostRule::new(names.collect()).allows(&authority.host)
        };
        for text in [
            "127.0.0.1",
            "8.8.8.8:80",
            "[::1]:1",
            "localhost",
            "LocalHost.:8081",
        ] {
            assert!(allows(&[], text), "{text}");
        }
        for text in [
            "evil.example",
            "localhost.evil.example",
            "evillocalhost",
            "127.0.0.1.evil.example",
            "2130706433",
            "a.localhost",
        ] {
            assert!(!allows(&["node.example", "*.in.example"], text), "{text}");
            assert!(allows(&["*"], text), "{text}");
        }
        let listed = ["node.example", "*.in.example"];
        for text in [
            "node.example",
            "NODE.example.:80",
            "a.in.example",
            "a.b.IN.example",
        ] {
            assert!(allows(&listed, text), "{text}");
        }
        for text in [
            "in.example",
            "xin.example",
            "a.node.example",
            "node.example.evil",
        ] {
            assert!(!allows(&listed, text), "{text}");
        }
    }

    #[test]
    fn a_list_holds_names_and_nothing_else() {
        for text in ["*", "a", "a-b_c.example", "*.example"] {
            assert!(text.parse::<HostPattern>().is_ok(), "{text}");
        }
        for text in [
            "", "*.", ".a", "a.", "a:80", "http://a", "a/b", "a.*", "**", "[::1]", "*a",
        ] {
            assert!(text.parse::<HostPattern>().is_err(), "{text}");
        }
    }
}
