//! The server under test, as the user describes it: URLs, placeholders, presets.

use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use thiserror::Error;
use url::Url;

use crate::layout::Layout;
use crate::message::{Endpoint, Tls};
use crate::template::TemplateError;

/// Placeholders in the URL of a stream and in its header fields.
pub(crate) const STREAM_PLACEHOLDERS: [&str; 4] = ["topic", "topics", "i", "token"];
/// Placeholders in what is published.
pub(crate) const PUBLISH_PLACEHOLDERS: [&str; 3] = ["topic", "data", "i"];
/// Placeholders in the URL and the header fields of publishing.
pub(crate) const PUBLISH_HEAD_PLACEHOLDERS: [&str; 4] = ["topic", "data", "i", "token"];
/// The header field of a token that is asked for nowhere else.
pub(crate) const AUTHORIZATION: &str = "Authorization: Bearer {token}";

/// What stays as it is in a path or query: unreserved characters (RFC 3986 §2.3), and those that topics often have and that mean
/// nothing in a path segment.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'/')
    .remove(b':');

/// Where a Mercure hub is (draft-dunglas-mercure, section 4).
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
    /// Anything else: `--url` is whole, and `--publish` has to be given.
    Plain,
}

/// A URL that cannot be used.
#[derive(Debug, Error)]
pub(crate) enum TargetError {
    /// It is no URL.
    #[error("{flag} {text:?}: {error}")]
    Url {
        /// The flag that it was given to.
        flag: &'static str,
        /// What was given.
        text: String,
        /// Why.
        error: url::ParseError,
    },
    /// Another kind of URL.
    #[error("{flag} {text:?}: {scheme}:// cannot be used here; there are {allowed}")]
    Scheme {
        /// The flag that it was given to.
        flag: &'static str,
        /// What was given.
        text: String,
        /// Its scheme.
        scheme: String,
        /// What there is.
        allowed: &'static str,
    },
    /// The host has no address.
    #[error("{flag}: {host} has no address: {error}")]
    Host {
        /// The flag that it was given to.
        flag: &'static str,
        /// The host and port.
        host: String,
        /// Why.
        error: std::io::Error,
    },
    /// Nothing says how to publish.
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
        /// The flag that it was given to.
        flag: &'static str,
        /// What was given.
        text: String,
    },
    /// A token is to be sent, and there is none.
    #[error(
        "{0}: there is no token to stand for {{token}}; give {1} with --token-key or --token-secret"
    )]
    NoToken(&'static str, &'static str),
    /// A token that nothing would send.
    #[error(
        "{0}: there is an Authorization field already, so the token that {1} makes would be sent nowhere; write {{token}} in it, or leave it out"
    )]
    TokenUnused(&'static str, &'static str),
    /// A token where none can be sent.
    #[error(
        "--publish-token-claims: publishing over the Redis protocol sends no token; give --publish with http:// or https://"
    )]
    RespToken,
    /// A server of which nobody knows how private events are published.
    #[error(
        "--private: --preset {0} has no private events; say with --publish-body or --publish-header how they are published"
    )]
    NoPrivate(&'static str),
    /// A path that names the topic, where the body does.
    #[error(
        "--publish {0:?}: private events are published to /publish, with the topic in the body; leave the path out"
    )]
    PrivatePath(String),
    /// A text with a placeholder that means nothing.
    #[error(transparent)]
    Template(#[from] TemplateError),
}

/// A URL taken apart, its path still a template.
#[derive(Clone, Debug)]
pub(crate) struct Address {
    /// `http`, `https` or `resp`.
    pub(crate) scheme: String,
    /// Where to connect.
    pub(crate) endpoint: Endpoint,
    /// Path and query; empty when the URL has neither.
    pub(crate) path: String,
}

impl Address {
    /// Takes a URL apart and looks its host up. Everything behind the host is left as it is, since it is a template.
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
            text: text.to_owned(),
            error,
        })?;
        if !allowed.contains(&url.scheme()) {
            return Err(TargetError::Scheme {
                flag,
                text: text.to_owned(),
                scheme: url.scheme().to_owned(),
                allowed: match allowed {
                    [_, _] => "http:// and https://",
                    _ => "http://, https:// and resp://",
                },
            });
        }
        let host = url.host_str().unwrap_or_default().to_owned();
        let port = url.port().unwrap_or(match url.scheme() {
            "https" => 443,
            "resp" => 6379,
            _ => 80,
        });
        let tls = (url.scheme() == "https").then(|| Tls {
            name: host.trim_matches(['[', ']']).to_owned(),
            ca,
        });
        let endpoint = Endpoint {
            address: look_up(flag, &host, port)?,
            host: match url.port() {
                Some(port) => format!("{host}:{port}"),
                None => host,
            },
            tls,
        };
        Ok(Self {
            scheme: url.scheme().to_owned(),
            endpoint,
            path: path.to_owned(),
        })
    }
}

fn look_up(flag: &'static str, host: &str, port: u16) -> Result<SocketAddr, TargetError> {
    let text = format!("{host}:{port}");
    let failed = |error| TargetError::Host {
        flag,
        host: text.clone(),
        error,
    };
    let mut addresses = text.to_socket_addrs().map_err(failed)?;
    addresses
        .next()
        .ok_or_else(|| failed(std::io::ErrorKind::NotFound.into()))
}

impl Preset {
    /// Whether a URL with this path leaves the rest to the preset: it ends at the host, or is what people call the URL of a hub.
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

    /// Where to publish when nothing says so, the usual way first, given the origin of the streams (`http://host:port`).
    pub(crate) fn publish_urls(self, origin: &str, host: &str) -> Vec<String> {
        match self {
            Self::Fantail => vec![format!("resp://{host}:7379"), origin.to_owned()],
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

    /// Claims of the token of publishing where a key is given, and nothing says so.
    pub(crate) fn publish_claims(self) -> Option<&'static str> {
        (self == Self::Mercure).then_some(r#"{"mercure":{"publish":["*"]}}"#)
    }
}

/// The value of a placeholder of a stream; percent-encoded where it goes into a URL.
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

/// Whether this header field says who is asking.
pub(crate) fn is_authorization(header: &str) -> bool {
    let name = header.split(':').next().unwrap_or_default();
    name.trim().eq_ignore_ascii_case("authorization")
}

/// The text as it stands between the quotes of a JSON string.
pub(crate) fn json_text(text: &str) -> String {
    let quoted = serde_json::Value::from(text).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}

/// Percent-encodes what goes into a path or a query.
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
        assert_eq!(address.endpoint.address.to_string(), "127.0.0.1:8080");
        assert_eq!(address.endpoint.host, "127.0.0.1:8080");
        assert_eq!(address.path, "/events?{topics}&n={i}");
        let address = parse("https://[::1]").expect("a URL");
        assert_eq!(address.endpoint.address.to_string(), "[::1]:443");
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
            assert_eq!(parse(text).expect_err("no URL").to_string(), said);
        }
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
