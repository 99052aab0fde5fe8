//! The command `fantail token`: makes a token, for experiments and for scripts.
//!
//! Signs with the node's own checking key, so only a secret can come from the settings; a private
//! key is given by flag. Must never print anything but the token, nor put a key into an error.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::builder::PathBufValueParser;
use clap::{Arg, ArgAction, ArgMatches};
use serde_json::{Map, Value, json};
use thiserror::Error;

use crate::auth::{Algorithm, Role, SignError, SigningKey};
use crate::core::selector::{Selector, SelectorError, Syntax};
use crate::secret::PASSWORD_BYTES_MAX;
use crate::settings::{KeySource, Settings, read_text};

/// Largest private key, in bytes: many times the usual size.
const KEY_BYTES_MAX: usize = 64 << 10;

/// Why no token was made.
#[derive(Debug, Error)]
pub enum MakeError {
    /// No flag and no setting has a key.
    #[error(
        "no key to sign with: set FANTAIL_JWT_SECRET or `jwt_secret_file`, or give --secret-file or --key-file"
    )]
    NoKey,
    /// The settings name public keys.
    #[error(
        "`{0}` has keys that check signatures and cannot make them: give the private key by --key-file"
    )]
    PublicKeys(&'static str),
    /// One token cannot serve both.
    #[error(
        "publishers have other keys than subscribers: make one token with --publish and another with --subscribe"
    )]
    TwoKeys,
    /// A file cannot be read.
    #[error("{}: {reason}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The reason.
        reason: std::io::Error,
    },
    /// The key cannot sign.
    #[error("{0}")]
    Sign(#[from] SignError),
    /// No algorithm of this name.
    #[error("--algorithm: `{0}` is not one of the algorithms")]
    Algorithm(String),
    /// A text that is not a topic selector.
    #[error("`{selector}` is no topic selector: {reason}")]
    Selector {
        /// As it was given.
        selector: String,
        /// The reason.
        reason: SelectorError,
    },
    /// Not a length of time.
    #[error("--exp: `{0}` is not a length of time with its unit (such as 30s, 15m or 1h)")]
    Time(String),
    /// Not JSON.
    #[error("--payload: not JSON: {0}")]
    Payload(serde_json::Error),
    /// Not `name=value`.
    #[error("--claim: `{0}` is not name=value")]
    Claim(String),
    /// A claim twice, or beside the flag that sets it.
    #[error("the claim `{0}` is given twice")]
    Twice(String),
}

/// The parsed command line.
#[derive(Default)]
pub struct Request {
    /// The configuration file that `--config` names.
    pub config: Option<PathBuf>,
    subscribe: Vec<String>,
    publish: Vec<String>,
    payload: Option<String>,
    claims: Vec<String>,
    exp: Option<String>,
    key: Option<Key>,
    key_id: Option<String>,
    algorithm: Option<String>,
}

/// A key given by flag.
enum Key {
    Secret(String),
    SecretFile(PathBuf),
    PrivateFile(PathBuf),
}

/// The subcommand, for clap.
pub(crate) fn command() -> clap::Command {
    let flag = |name: &'static str, value: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name(value).help(help)
    };
    let many = |name, value, help| flag(name, value, help).action(ArgAction::Append);
    let file = |name, help| flag(name, "FILE", help).value_parser(PathBufValueParser::new());
    clap::Command::new("token")
        .about("Print a token, signed with the node's secret or with a private key")
        .after_help(
            "The key is taken from a flag, else from the settings (environment and file) that `serve` would use; so are the algorithm, \
             issuer and audience.",
        )
        .args([
            file("config", "TOML file with settings [env: FANTAIL_CONFIG]"),
            many("subscribe", "SELECTOR", "Topics whose private events it may hear; may be repeated"),
            many("publish", "SELECTOR", "Topics that it may publish to; may be repeated"),
            flag("exp", "TIME", "How long it is valid, such as 1h; without it, for ever"),
            flag("payload", "JSON", "What is shown with its bearer's subscriptions (`mercure.payload`)"),
            many("claim", "NAME=VALUE", "Any other claim, as JSON where the value is, or else as a string; may be repeated"),
            flag("secret", "SECRET", "Signs with this secret (better not by flag: other processes see those)"),
            file("secret-file", "Signs with the secret in this file"),
            file("key-file", "Signs with this private key (PEM, PKCS #8)"),
            flag("key-id", "NAME", "Name of the key in the token's header (`kid`)"),
            flag("algorithm", "ALGORITHM", "Signature algorithm, such as ES256; or else what the settings say or is usual for the key"),
        ])
        .group(clap::ArgGroup::new("key").args(["secret", "secret-file", "key-file"]))
}

/// Reads the matches of [`command`].
pub(crate) fn read(matches: &ArgMatches) -> Request {
    let value = |name: &str| matches.get_one::<String>(name).cloned();
    let many = |name: &str| {
        let values = matches.get_many::<String>(name);
        values.into_iter().flatten().cloned().collect()
    };
    let file = |name: &str| matches.get_one::<PathBuf>(name).cloned();
    let key = value("secret").map(Key::Secret);
    let key = key.or_else(|| file("secret-file").map(Key::SecretFile));
    Request {
        config: file("config"),
        subscribe: many("subscribe"),
        publish: many("publish"),
        payload: value("payload"),
        claims: many("claim"),
        exp: value("exp"),
        key: key.or_else(|| file("key-file").map(Key::PrivateFile)),
        key_id: value("key-id"),
        algorithm: value("algorithm"),
    }
}

/// Makes the token.
///
/// # Errors
/// [`MakeError`].
pub fn make(request: &Request, settings: &Settings, now_unix_s: u64) -> Result<String, MakeError> {
    let claims = claims(request, settings, now_unix_s)?;
    let key = signing_key(request, settings)?;
    let key = match &request.key_id {
        Some(id) => key.with_key_id(id),
        None => key,
    };
    Ok(key.sign(&claims)?)
}

/// Selectors of the request that select one topic only, although they look like patterns. In a
/// token only `*` alone and URI templates are patterns.
#[must_use]
pub fn misleading(request: &Request) -> Vec<&str> {
    let selectors = request.subscribe.iter().chain(&request.publish);
    let looks_like_pattern = |text: &&str| {
        let selector = Selector::parse(text, Syntax::Mercure, text.len());
        text.contains(['*', '{', '}']) && selector.is_ok_and(|selector| selector.is_exact())
    };
    selectors
        .map(String::as_str)
        .filter(looks_like_pattern)
        .collect()
}

fn signing_key(request: &Request, settings: &Settings) -> Result<SigningKey, MakeError> {
    let role = match (request.publish.is_empty(), request.subscribe.is_empty()) {
        (false, true) => Role::Publisher,
        _ => Role::Subscriber,
    };
    let configured = settings.keys_of(role);
    let algorithm = match &request.algorithm {
        Some(name) => {
            Some(Algorithm::named(name).ok_or_else(|| MakeError::Algorithm(name.clone()))?)
        }
        None => configured.and_then(|(_, algorithm)| algorithm),
    };
    let of_secret = |secret: &str| Ok(SigningKey::from_secret(secret.as_bytes(), algorithm)?);
    let of_secret_file = |path: &Path| {
        let text = text(path, PASSWORD_BYTES_MAX + 2)?;
        of_secret(text.trim_end_matches(['\r', '\n']))
    };
    match &request.key {
        Some(Key::Secret(secret)) => return of_secret(secret),
        Some(Key::SecretFile(path)) => return of_secret_file(path),
        Some(Key::PrivateFile(path)) => {
            return Ok(SigningKey::from_pem(
                &text(path, KEY_BYTES_MAX)?,
                algorithm,
            )?);
        }
        None => {}
    }
    let for_both = !request.publish.is_empty() && !request.subscribe.is_empty();
    if for_both && settings.publisher_jwt_keys.is_some() {
        return Err(MakeError::TwoKeys);
    }
    match configured.ok_or(MakeError::NoKey)?.0 {
        KeySource::Secret(secret) => of_secret(secret.expose()),
        KeySource::SecretFile(path) => of_secret_file(path),
        public => Err(MakeError::PublicKeys(
            settings.keys_setting(role).unwrap_or(public.key(role)),
        )),
    }
}

fn text(path: &Path, bytes_max: usize) -> Result<String, MakeError> {
    read_text(path, bytes_max).map_err(|reason| MakeError::File {
        path: path.to_owned(),
        reason,
    })
}

fn claims(
    request: &Request,
    settings: &Settings,
    now_unix_s: u64,
) -> Result<Map<String, Value>, MakeError> {
    let mut claims = Map::new();
    let mut add = |name: &str, value| match claims.insert(name.to_owned(), value) {
        None => Ok(()),
        Some(_) => Err(MakeError::Twice(name.to_owned())),
    };
    for claim in &request.claims {
        let (name, text) = claim
            .split_once('=')
            .ok_or_else(|| MakeError::Claim(claim.clone()))?;
        add(
            name,
            serde_json::from_str(text).unwrap_or_else(|_| json!(text)),
        )?;
    }
    if let Some(mercure) = mercure(request, settings)? {
        add("mercure", mercure)?;
    }
    if let Some(exp) = &request.exp {
        let time: Duration =
            humantime::parse_duration(exp).map_err(|_| MakeError::Time(exp.clone()))?;
        add("exp", json!(now_unix_s.saturating_add(time.as_secs())))?;
    }
    let wanted = [
        ("iss", &settings.jwt_issuer),
        ("aud", &settings.jwt_audience),
    ];
    for (name, value) in wanted {
        if let Some(value) = value {
            claims.entry(name).or_insert_with(|| json!(value));
        }
    }
    Ok(claims)
}

fn mercure(request: &Request, settings: &Settings) -> Result<Option<Value>, MakeError> {
    let mut mercure = Map::new();
    for (name, selectors) in [
        ("subscribe", &request.subscribe),
        ("publish", &request.publish),
    ] {
        for selector in selectors {
            let topic_bytes_max = settings.event_limits.topic_bytes_max;
            Selector::parse(selector, Syntax::Mercure, topic_bytes_max).map_err(|reason| {
                MakeError::Selector {
                    selector: selector.clone(),
                    reason,
                }
            })?;
        }
        if !selectors.is_empty() {
            mercure.insert(name.to_owned(), json!(selectors));
        }
    }
    if let Some(payload) = &request.payload {
        let payload = serde_json::from_str(payload).map_err(MakeError::Payload)?;
        mercure.insert("payload".to_owned(), payload);
    }
    Ok((!mercure.is_empty()).then_some(Value::Object(mercure)))
}
