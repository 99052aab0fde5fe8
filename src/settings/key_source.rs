//! The sources of token keys, and the formats of settings about tokens.
//!
//! Reads no key: a file or a URL is only named here, and opened by `crate::node`. Must never show a
//! secret.

use std::net::IpAddr;
use std::path::PathBuf;

use hyper::Uri;

use super::credentials;
use super::reason::Reason;
use crate::auth::{ALGORITHMS, Algorithm, Role};
use crate::secret::{PASSWORD_BYTES_MAX, Secret};

/// Longest issuer or audience, in bytes.
pub(super) const CLAIM_BYTES_MAX: usize = 1_024;
/// Longest URL of a key set, in bytes.
const URL_BYTES_MAX: usize = 2_048;
/// Longest name of a cookie, in bytes.
const COOKIE_NAME_BYTES_MAX: usize = 128;

/// The source of the keys that check tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeySource {
    /// The secret itself.
    Secret(Secret),
    /// A file that holds the secret.
    SecretFile(PathBuf),
    /// A file of public keys or certificates in PEM.
    PemFile(PathBuf),
    /// A file with a JSON Web Key Set.
    JwksFile(PathBuf),
    /// The URL of a JSON Web Key Set.
    JwksUrl(String),
}

/// The form of a [`KeySource`]: each has a setting of its own, and all of a role's settings have
/// one field.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Secret,
    SecretFile,
    PemFile,
    JwksFile,
    JwksUrl,
}

impl KeySource {
    /// Its setting.
    #[must_use]
    pub fn key(&self, role: Role) -> &'static str {
        let [subscriber, publisher] = match self {
            Self::Secret(_) => ["jwt_secret", "publisher_jwt_secret"],
            Self::SecretFile(_) => ["jwt_secret_file", "publisher_jwt_secret_file"],
            Self::PemFile(_) => ["jwt_key_file", "publisher_jwt_key_file"],
            Self::JwksFile(_) => ["jwks_file", "publisher_jwks_file"],
            Self::JwksUrl(_) => ["jwks_url", "publisher_jwks_url"],
        };
        match role {
            Role::Subscriber => subscriber,
            Role::Publisher => publisher,
        }
    }

    fn form(&self) -> Form {
        match self {
            Self::Secret(_) => Form::Secret,
            Self::SecretFile(_) => Form::SecretFile,
            Self::PemFile(_) => Form::PemFile,
            Self::JwksFile(_) => Form::JwksFile,
            Self::JwksUrl(_) => Form::JwksUrl,
        }
    }
}

impl Form {
    pub(super) fn read(self, text: &str) -> Result<KeySource, Reason> {
        let path = |text: &str| match text {
            "" => Err(Reason::Empty),
            path => Ok(PathBuf::from(path)),
        };
        Ok(match self {
            Self::Secret => KeySource::Secret(credentials::password(text)?),
            Self::SecretFile => KeySource::SecretFile(path(text)?),
            Self::PemFile => KeySource::PemFile(path(text)?),
            Self::JwksFile => KeySource::JwksFile(path(text)?),
            Self::JwksUrl => KeySource::JwksUrl(url(text)?),
        })
    }

    /// Checks a source of this form; one of another form passes.
    pub(super) fn check(self, source: Option<&KeySource>) -> Result<(), Reason> {
        match source.filter(|source| source.form() == self) {
            Some(KeySource::Secret(secret)) => credentials::password(secret.expose()).map(drop),
            Some(
                KeySource::SecretFile(path) | KeySource::PemFile(path) | KeySource::JwksFile(path),
            ) if path.as_os_str().is_empty() => Err(Reason::Empty),
            Some(KeySource::JwksUrl(address)) => url(address).map(drop),
            _ => Ok(()),
        }
    }

    /// The source as it could be written in this form; `None` when it is of another.
    pub(super) fn show(self, source: Option<&KeySource>) -> Option<String> {
        let source = source.filter(|source| source.form() == self)?;
        Some(match source {
            KeySource::Secret(_) => "(hidden)".to_owned(),
            KeySource::SecretFile(path) | KeySource::PemFile(path) | KeySource::JwksFile(path) => {
                path.display().to_string()
            }
            // A URL with credentials is refused, and the message must not repeat them.
            KeySource::JwksUrl(url) if url.contains('@') => "(hidden)".to_owned(),
            KeySource::JwksUrl(url) => url.clone(),
        })
    }

    pub(super) fn allowed(self) -> String {
        match self {
            Self::Secret => format!(
                "text of at least 32 bytes (HS384: 48, HS512: 64) and at most {}",
                PASSWORD_BYTES_MAX
            ),
            Self::SecretFile => {
                "a path to a file with this text; line ends after it do not count".to_owned()
            }
            Self::PemFile => "a path to a PEM file".to_owned(),
            Self::JwksFile => "a path to a JSON Web Key Set".to_owned(),
            Self::JwksUrl => "an https URL, or an http one on loopback".to_owned(),
        }
    }

    pub(super) fn placeholder(self) -> &'static str {
        match self {
            Self::Secret => "SECRET",
            Self::SecretFile | Self::PemFile | Self::JwksFile => "FILE",
            Self::JwksUrl => "URL",
        }
    }
}

/// Checks a URL. Over plain http anyone on the path could replace the keys. A URL is logged, so it
/// must not hold a password.
fn url(text: &str) -> Result<String, Reason> {
    let fault = || Reason::KeySetUrl;
    if text.len() > URL_BYTES_MAX {
        return Err(Reason::TooLarge);
    }
    let uri: Uri = text.parse().map_err(|_| fault())?;
    let host = uri
        .host()
        .filter(|host| !host.is_empty())
        .ok_or_else(fault)?;
    let allowed = match uri.scheme_str() {
        Some("https") => true,
        Some("http") => is_loopback(host),
        _ => false,
    };
    let has_credentials = uri
        .authority()
        .is_some_and(|part| part.as_str().contains('@'));
    if allowed && !has_credentials {
        Ok(text.to_owned())
    } else {
        Err(fault())
    }
}

fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost"
        || bare
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

pub(super) fn algorithm(text: &str) -> Result<Algorithm, Reason> {
    Algorithm::named(text).ok_or_else(|| Reason::Word(text.to_owned()))
}

pub(super) fn algorithms() -> String {
    ALGORITHMS.map(|(name, _)| name).join(", ")
}

pub(super) fn claim(text: &str) -> Result<String, Reason> {
    match text.len() {
        0 => Err(Reason::Empty),
        length if length > CLAIM_BYTES_MAX => Err(Reason::TooLarge),
        _ => Ok(text.to_owned()),
    }
}

/// A token of HTTP (RFC 6265 §4.1.1, RFC 9110 §5.6.2).
pub(super) fn cookie_name(text: &str) -> Result<String, Reason> {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    match text.len() {
        0 => Err(Reason::Empty),
        length if length > COOKIE_NAME_BYTES_MAX => Err(Reason::TooLarge),
        _ if text.bytes().all(is_token) => Ok(text.to_owned()),
        _ => Err(Reason::CookieName),
    }
}
