//! The server under test, as the user describes it: URLs, placeholders, presets.

use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use thiserror::Error;
use url::Url;

use crate::layout::Layout;
use crate::message::{Endpoint, Tls};
use crate::template::TemplateError;

/// Placeholders in the URL of a stream and in its header fields.
pub(crate) const STREAM_PLACEHOLDERS: [&str; 4] = ["topic", "topics", "i", "token"];
/// Placeholders of publishing.
pub(crate) const PUBLISH_PLACEHOLDERS: [&str; 4] = ["topic", "data", "i", "key"];
/// Placeholders in the URL and the header fields of publishing.
pub(crate) const PUBLISH_HEAD_PLACEHOLDERS: [&str; 5] = ["topic", "data", "i", "key", "token"];
/// The header field of a token that is asked for nowhere else.
pub(crate) const AUTHORIZATION: &str = "Authorization: Bearer {token}";

/// Characters that stay unescaped in a path or query: unreserved ones (RFC 3986 §2.3), and those
/// that are common in topics and have no meaning in a path segment.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'/')
    .remove(b':');

/// Path of a Mercure hub (draft-dunglas-mercure, section 4).
const MERCURE_PATH: &str = "/.well-known/mercure";

/// Kinds of servers whose URLs are known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Preset {
    /// Fantail: `/events?topic=…`, published by `PUBLISH` on port 7379.
    #[default]
    Fantail,
    /// A Mercure hub: `/.well-known/mercure?topic=…`, published by a form to the same URL.
    Mercure,
    /// nchan with the locations `/sub/…` and `/pub/…`.
    Nchan,
    /// Any other server: `--url` is complete, and `--publish` is required.
    Plain,
}

/// A URL that cannot be used.
#[derive(Debug, Error)]
pub(crate) enum TargetError {
    /// It is no URL.
    #[error("{flag} {text:?}: {error}")]
    Url {
        /// Its flag.
        flag: &'static str,
        /// Its text.
        text: String,
        /// Why.
        error: url::ParseError,
    },
    /// Another kind of URL.
    #[error("{flag} {text:?}: {scheme}:// cannot be used here; there are {allowed}")]
    Scheme {
        /// Its flag.
        flag: &'static str,
        /// Its text.
        text: String,
        /// Its scheme.
        scheme: String,
        /// The allowed ones.
        allowed: &'static str,
    },
    /// A name and password in a URL that cannot send them, or a name alone.
    #[error(
        "{0}: a name and password in the URL are for redis:// (redis://name:password@host); give others with a header field"
    )]
    User(&'static str),
    /// Another database than the first.
    #[error("{0}: there is no database {1:?}; leave the path out, or write /0")]
    Database(&'static str, String),
    /// The host has no address.
    #[error("{flag}: {host} has no address: {error}")]
    Host {
        /// Its flag.
        flag: &'static str,
        /// The host and port.
        host: String,
        /// Why.
        error: std::io::Error,
    },
    /// The way to publish is missing.
    #[error(
        "--preset plain needs --publish URL, such as http://127.0.0.1:8080/publish/{{topic}} or resp://127.0.0.1:7379"
    )]
    Publish,
    /// Streams with several topics, and a URL that names one.
    #[error(
        "--url {0:?} names one topic of each stream, and they have {1}; write {{topics}} where all of them belong"
    )]
    Topics(String, usize),
    /// Several topics, and a URL that is the same for all streams.
    #[error(
        "--url {0:?} is the same for all streams, and there are {1} topics; write {{topic}}, {{topics}} or {{i}} where they differ"
    )]
    Pool(String, usize),
    /// A body or command without data.
    #[error("{0} {1:?}: there is no {{data}} in it, so no stream could tell its events")]
    NoData(&'static str, String),
    /// A header field without a name.
    #[error("{flag} {text:?}: expected 'Name: value'")]
    Header {
        /// Its flag.
        flag: &'static str,
        /// Its text.
        text: String,
    },
    /// A token is to be sent, but there is none.
    #[error(
        "{0}: there is no token to stand for {{token}}; give {1} with --token-key or --token-secret"
    )]
    NoToken(&'static str, &'static str),
    /// A token that would never be sent.
    #[error(
        "{0}: there is an Authorization field already, so the token that {1} makes would be sent nowhere; write {{token}} in it, or leave it out"
    )]
    TokenUnused(&'static str, &'static str),
    /// A token that cannot be sent.
    #[error(
        "--publish-token-claims: publishing over the Redis protocol sends no token; give --publish with http:// or https://"
    )]
    RespToken,
    /// A server whose way to publish private events is unknown.
    #[error(
        "--private: --preset {0} has no private events; say with --publish-body or --publish-header how they are published"
    )]
    NoPrivate(&'static str),
    /// A path that names the topic, although the body does.
    #[error(
        "--publish {0:?}: private events are published to /publish, with the topic in the body; leave the path out"
    )]
    PrivatePath(String),
    /// A text with an unknown placeholder.
    #[error(transparent)]
    Template(#[from] TemplateError),
}

/// A name and password. Not `Debug`, so that they cannot be printed by mistake.
#[derive(Clone)]
pub(crate) struct User {
    /// Without one, the password is the default user's.
    pub(crate) name: Option<String>,
    pub(crate) password: String,
}

/// A parsed URL, whose path is still a template.
#[derive(Clone)]
pub(crate) struct Address {
    /// `http`, `https` or `resp`.
    pub(crate) scheme: String,
    /// The host, without its port.
    pub(crate) host: String,
    /// The user that publishes over the Redis protocol.
    pub(crate) user: Option<User>,
    /// The address to connect to.
    pub(crate) endpoint: Endpoint,
    /// Path and query; empty when the URL has neither.
    pub(crate) path: String,
}

impl Address {
    /// Parses a URL and resolves its host. The part after the host is left as it is, because it is
    /// a template.
    pub(crate) fn parse(
        flag: &'static str,
        text: &str,
        allowed: &'static [&'static str],
        ca: Option<PathBuf>,
    ) -> Result<Self, TargetError> {
        let authority_end = text.find("://").map_or(0, |at| {
            at + 3
                + text[at + 3..]
                    .find(['/', '?'])
                    .unwrap_or(text.len() - at - 3)
        });
        let (origin, path) =
            text.split_at(authority_end.max(text.find("://").map_or(0, |at| at + 3)));
        let parse = |text: &str| Url::parse(text);
        let url = parse(origin).map_err(|error| TargetError::Url {
            flag,
            text: without_password(text),
            error,
        })?;
        if !allowed.contains(&url.scheme()) {
            return Err(TargetError::Scheme {
                flag,
                text: without_password(text),
                scheme: url.scheme().to_owned(),
                allowed: match allowed {
                    [_, _] => "http:// and https://",
                    _ => "http://, https://, and redis:// or resp://",
                },
            });
        }
        let host = url.host_str().unwrap_or_default().to_owned();
        let scheme = match url.scheme() {
            "redis" => "resp",
            other => other,
        };
        let has_user = !url.username().is_empty() || url.password().is_some();
        if has_user && (scheme != "resp" || url.password().is_none()) {
            return Err(TargetError::User(flag));
        }
        if scheme == "resp" && !matches!(path, "" | "/" | "/0") {
            return Err(TargetError::Database(flag, path.to_owned()));
        }
        let port = url.port().unwrap_or(match scheme {
            "https" => 443,
            "resp" => 6379,
            _ => 80,
        });
        let tls = (url.scheme() == "https").then(|| Tls {
            name: host.trim_matches(['[', ']']).to_owned(),
            ca,
        });
        let endpoint = Endpoint {
            addresses: look_up(flag, &host, port)?,
            host: match url.port() {
                Some(port) => format!("{host}:{port}"),
                None => host.clone(),
            },
            tls,
        };
        Ok(Self {
            scheme: scheme.to_owned(),
            host,
            user: user_of(&url),
            endpoint,
            path: path.to_owned(),
        })
    }
}

fn look_up(flag: &'static str, host: &str, port: u16) -> Result<Vec<SocketAddr>, TargetError> {
    let text = format!("{host}:{port}");
    let failed = |error| TargetError::Host {
        flag,
        host: text.clone(),
        error,
    };
    let addresses = in_turn(text.to_socket_addrs().map_err(failed)?);
    if addresses.is_empty() {
        return Err(failed(std::io::ErrorKind::NotFound.into()));
    }
    Ok(addresses)
}

/// The addresses without doubles, IPv6 and IPv4 in turn (RFC 8305 §4), so that one family that
/// leads nowhere costs one attempt.
fn in_turn(found: impl Iterator<Item = SocketAddr>) -> Vec<SocketAddr> {
    let (mut six, mut four): (Vec<_>, Vec<_>) = found.partition(SocketAddr::is_ipv6);
    six.reverse();
    four.reverse();
    let mut addresses: Vec<SocketAddr> = Vec::new();
    while !(six.is_empty() && four.is_empty()) {
        for address in [six.pop(), four.pop()].into_iter().flatten() {
            if !addresses.contains(&address) {
                addresses.push(address);
            }
        }
    }
    addresses
}

/// The name and password of a URL, decoded.
fn user_of(url: &Url) -> Option<User> {
    let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    let password = decoded(url.password()?);
    let name = Some(decoded(url.username())).filter(|name| !name.is_empty());
    Some(User { name, password })
}

impl Preset {
    /// Whether the preset completes a URL with this path: it ends at the host, or is the usual URL
    /// of a hub.
    pub(crate) fn completes(self, path: &str) -> bool {
        matches!(path, "" | "/") || (self == Self::Mercure && path == MERCURE_PATH)
    }

    /// The path of a stream when the URL has none.
    pub(crate) fn stream_path(self) -> &'static str {
        match self {
            Self::Fantail => "/events?{topics}",
            Self::Mercure => "/.well-known/mercure?{topics}",
            Self::Nchan => "/sub/{topic}",
            Self::Plain => "/",
        }
    }

    /// The default URLs of publishing, the usual way first, for the origin of the streams
    /// (`http://host:port`).
    pub(crate) fn publish_urls(self, origin: &str, host: &str, port: u16) -> Vec<String> {
        match self {
            Self::Fantail => vec![format!("resp://{host}:{port}"), origin.to_owned()],
            Self::Mercure | Self::Nchan => vec![origin.to_owned()],
            Self::Plain => Vec::new(),
        }
    }

    /// The path to publish to when the URL has none.
    pub(crate) fn publish_path(self, private: bool) -> &'static str {
        match self {
            // The short form has no room for it.
            Self::Fantail if private => "/publish",
            Self::Fantail => "/publish/{topic}",
            Self::Mercure => MERCURE_PATH,
            Self::Nchan => "/pub/{topic}",
            Self::Plain => "/",
        }
    }

    /// The body of a publishing request, and its type.
    pub(crate) fn publish_body(
        self,
        private: bool,
    ) -> Result<(&'static str, &'static str), TargetError> {
        let form = "application/x-www-form-urlencoded";
        Ok(match (self, private) {
            (Self::Mercure, false) => ("topic={topic}&data={data}", form),
            (Self::Mercure, true) => ("topic={topic}&data={data}&private=on", form),
            (Self::Fantail, true) => (
                r#"{"topic":"{topic}","data":"{data}","private":true}"#,
                "application/json",
            ),
            (Self::Fantail | Self::Nchan | Self::Plain, false) => ("{data}", "text/plain"),
            (Self::Nchan, true) => return Err(TargetError::NoPrivate("nchan")),
            (Self::Plain, true) => return Err(TargetError::NoPrivate("plain")),
        })
    }

    /// The command of publishing over the Redis protocol.
    pub(crate) fn publish_command(self, private: bool) -> &'static str {
        match private {
            false => "PUBLISH {topic} {data}",
            true => "XADD {topic} * data {data} private 1",
        }
    }

    /// The same with an idempotency key, for a server that knows one.
    pub(crate) fn keyed_command(self, private: bool) -> Option<&'static str> {
        (self == Self::Fantail).then_some(match private {
            false => "XADD {topic} * data {data} key {key}",
            true => "XADD {topic} * data {data} private 1 key {key}",
        })
    }

    /// The header field of an idempotency key, for a server that knows one.
    pub(crate) fn key_header(self) -> Option<&'static str> {
        (self == Self::Fantail).then_some("Idempotency-Key: {key}")
    }

    /// Default claims of the token of publishing if a key is given.
    pub(crate) fn publish_claims(self) -> Option<&'static str> {
        (self == Self::Mercure).then_some(r#"{"mercure":{"publish":["*"]}}"#)
    }
}

/// The value of a placeholder of a stream; percent-encoded in a URL.
pub(crate) fn stream_value(layout: &Layout, stream: usize, name: &str, encoded: bool) -> String {
    let topic = |topic: usize| {
        let name = layout.name(topic);
        if encoded { encode(&name) } else { name }
    };
    match name {
        "topic" => layout.topics(stream).next().map(topic).unwrap_or_default(),
        "topics" => {
            let each: Vec<String> = layout.topics(stream).map(topic).collect();
            format!("topic={}", each.join("&topic="))
        }
        _ => stream.to_string(),
    }
}

/// Whether this header field authenticates the caller.
pub(crate) fn is_authorization(header: &str) -> bool {
    let name = header.split(':').next().unwrap_or_default();
    name.trim().eq_ignore_ascii_case("authorization")
}

/// The text as it stands between the quotes of a JSON string.
pub(crate) fn json_text(text: &str) -> String {
    let quoted = serde_json::Value::from(text).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}

/// A URL without the part before its host, which may be a password.
pub(crate) fn without_password(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else {
        return text.to_owned();
    };
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    match rest[..end].rfind('@') {
        Some(at) => format!("{scheme}://(hidden){}", &rest[at..]),
        None => text.to_owned(),
    }
}

/// Percent-encodes text for a path or a query.
pub(crate) fn encode(text: &str) -> String {
    utf8_percent_encode(text, ESCAPED).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Address, TargetError> {
        Address::parse("--url", text, &["http", "https"], None)
    }

    #[test]
    fn a_url_is_taken_apart_and_its_path_left_alone() {
        let address = parse("http://127.0.0.1:8080/events?{topics}&n={i}").expect("a URL");
        assert_eq!(address.endpoint.addresses[0].to_string(), "127.0.0.1:8080");
        assert_eq!(address.endpoint.host, "127.0.0.1:8080");
        assert_eq!(address.path, "/events?{topics}&n={i}");
        let address = parse("https://[::1]").expect("a URL");
        assert_eq!(address.endpoint.addresses[0].to_string(), "[::1]:443");
        assert_eq!(address.endpoint.tls.expect("https").name, "::1");
        assert_eq!(address.path, "");
    }

    #[test]
    fn what_is_no_url_is_said_so() {
        for (text, said) in [
            (
                "127.0.0.1:8080",
                "--url \"127.0.0.1:8080\": relative URL without a base",
            ),
            (
                "ftp://127.0.0.1",
                "--url \"ftp://127.0.0.1\": ftp:// cannot be used here; there are http:// and https://",
            ),
        ] {
            assert_eq!(parse(text).err().expect("no URL").to_string(), said);
        }
    }

    fn publishing(text: &str) -> Result<Address, TargetError> {
        Address::parse("--publish", text, &["http", "https", "resp", "redis"], None)
    }

    #[test]
    fn redis_is_another_word_for_resp_with_a_password_and_one_database() {
        let address = publishing("redis://app:p%40ss@127.0.0.1/0").expect("a URL");
        assert_eq!((&*address.scheme, &*address.host), ("resp", "127.0.0.1"));
        assert_eq!(address.endpoint.addresses[0].port(), 6379);
        let user = address.user.expect("a user");
        assert_eq!(
            (user.name.as_deref(), &*user.password),
            (Some("app"), "p@ss")
        );
        let user = publishing("resp://:secret@127.0.0.1:7379")
            .expect("a URL")
            .user;
        let user = user.expect("a user");
        assert_eq!((user.name, &*user.password), (None, "secret"));
        for (text, said) in [
            ("redis://127.0.0.1/1", "there is no database \"/1\""),
            ("redis://127.0.0.1?db=1", "there is no database \"?db=1\""),
            ("redis://app@127.0.0.1", "redis://name:password@host"),
            ("http://a:hush@127.0.0.1", "redis://name:password@host"),
            (
                "rediss://a:hush@127.0.0.1",
                "(hidden)@127.0.0.1\": rediss:// cannot be used here",
            ),
        ] {
            let error = publishing(text).err().expect(text).to_string();
            assert!(error.contains(said) && !error.contains("hush"), "{error}");
        }
    }

    #[test]
    fn addresses_of_both_kinds_are_tried_in_turn() {
        let parse = |text: &str| text.parse::<SocketAddr>().expect("an address");
        let found = [
            "1.1.1.1:1",
            "1.1.1.2:1",
            "[::1]:1",
            "1.1.1.1:1",
            "1.1.1.3:1",
        ];
        let expected = ["[::1]:1", "1.1.1.1:1", "1.1.1.2:1", "1.1.1.3:1"];
        assert_eq!(in_turn(found.map(parse).into_iter()), expected.map(parse));
    }

    #[test]
    fn the_url_of_a_hub_may_end_at_the_host_or_where_hubs_are() {
        for path in ["", "/", "/.well-known/mercure"] {
            assert!(Preset::Mercure.completes(path), "{path:?}");
        }
        assert!(!Preset::Mercure.completes("/.well-known/mercure?topic=a"));
        assert!(!Preset::Fantail.completes("/.well-known/mercure"));
    }

    #[test]
    fn placeholders_of_a_stream_are_encoded_in_urls_only() {
        let layout = Layout::new("a b/{i}", 2, Some(4), 4).expect("adds up");
        let value = |name, encoded| stream_value(&layout, 1, name, encoded);
        assert_eq!(value("topics", true), "topic=a%20b/2&topic=a%20b/3");
        assert_eq!(value("topic", false), "a b/2");
        assert_eq!(value("i", true), "1");
    }
}
