//! The sources of a role's keys, and the reading of keys from settings and files.

use std::fmt::{self, Display};
use std::sync::Arc;

use thiserror::Error;

use super::super::apart::apart;
use crate::auth::{Algorithm, KeySet, Role};
use crate::secret::PASSWORD_BYTES_MAX;
use crate::settings::{KeySource, Settings, read_text};

/// Why keys could not be read.
#[derive(Debug, Error)]
#[error("`{setting}` = {place}: {reason}")]
pub struct KeysError {
    setting: &'static str,
    place: String,
    reason: String,
}

/// All faults of the keys, one per line when displayed.
#[derive(Debug)]
pub struct LoadError(Vec<KeysError>);

impl std::error::Error for LoadError {}

impl Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<String> = self.0.iter().map(KeysError::to_string).collect();
        f.write_str(&lines.join("\n"))
    }
}

/// The keys of a node, read once, before it opens anything. Those behind a URL are still to come.
pub struct Loaded(pub(super) Vec<(Source, KeySet)>);

impl Loaded {
    /// Calls `get` for each source that is a URL.
    pub(super) fn try_urls<E: Display>(
        &self,
        get: impl Fn(&Source, &str) -> Result<(), E>,
    ) -> Result<(), LoadError> {
        let mut errors = Vec::new();
        for (source, _) in &self.0 {
            if let KeySource::JwksUrl(url) = &source.from
                && let Err(error) = get(source, url)
            {
                errors.push(source.error(error));
            }
        }
        if errors.is_empty() {
            Ok(())
        } else {
            Err(LoadError(errors))
        }
    }
}

/// Reads the keys in the settings and in files. They are read only once until a reload: a file may
/// be a pipe (`<(vault read …)`).
///
/// # Errors
/// [`LoadError`] if a file is missing or holds no key.
pub fn load(settings: &Settings) -> Result<Loaded, LoadError> {
    let mut loaded = Vec::new();
    let mut errors = Vec::new();
    for source in sources(settings) {
        match source.read_now() {
            Ok(keys) => loaded.push((source, keys)),
            Err(error) => errors.push(error),
        }
    }
    if errors.is_empty() {
        Ok(Loaded(loaded))
    } else {
        Err(LoadError(errors))
    }
}

/// The source of the keys of some roles.
pub(super) struct Source {
    /// In the order of the settings: the first role names the setting.
    pub(super) roles: Vec<Role>,
    pub(super) from: KeySource,
    pub(super) algorithm: Option<Algorithm>,
    bytes_max: usize,
}

/// One source for both roles, or one for each.
fn sources(settings: &Settings) -> Vec<Source> {
    let source = |roles: &[Role]| {
        let (from, algorithm) = settings.keys_of(roles[0])?;
        Some(Source {
            roles: roles.to_vec(),
            from: from.clone(),
            algorithm,
            bytes_max: settings.jwks_bytes_max,
        })
    };
    let sources = match settings.publisher_jwt_keys {
        None => vec![source(&[Role::Subscriber, Role::Publisher])],
        Some(_) => vec![source(&[Role::Subscriber]), source(&[Role::Publisher])],
    };
    sources.into_iter().flatten().collect()
}

impl Source {
    /// Reads the keys of a source that is not a URL.
    pub(super) async fn read(self: &Arc<Self>) -> Result<KeySet, KeysError> {
        let source = Arc::clone(self);
        let read = apart(move || source.read_now()).await;
        read.unwrap_or_else(|error| Err(self.error(error)))
    }

    fn read_now(&self) -> Result<KeySet, KeysError> {
        let file = |path, bytes_max| read_text(path, bytes_max).map_err(|error| self.error(error));
        let set = match &self.from {
            KeySource::Secret(secret) => {
                KeySet::from_secret(secret.expose().as_bytes(), self.algorithm)
            }
            KeySource::SecretFile(path) => {
                // Room for a line end behind the longest secret.
                let text = file(path, PASSWORD_BYTES_MAX + 2)?;
                let secret = text.trim_end_matches(['\r', '\n']);
                KeySet::from_secret(secret.as_bytes(), self.algorithm)
            }
            KeySource::PemFile(path) => {
                KeySet::from_pem(&file(path, self.bytes_max)?, self.algorithm)
            }
            KeySource::JwksFile(path) => {
                KeySet::from_jwks(file(path, self.bytes_max)?.as_bytes(), self.algorithm)
            }
            KeySource::JwksUrl(_) => Ok(KeySet::default()),
        };
        set.map_err(|error| self.error(error))
    }

    fn error(&self, reason: impl Display) -> KeysError {
        KeysError {
            setting: self.setting(),
            place: self.place(),
            reason: reason.to_string(),
        }
    }

    /// The setting that names it.
    pub(super) fn setting(&self) -> &'static str {
        let role = self.roles.first().copied().unwrap_or(Role::Subscriber);
        self.from.key(role)
    }

    /// For messages: a path or a URL, never a secret.
    pub(super) fn place(&self) -> String {
        match &self.from {
            KeySource::Secret(_) => "(hidden)".to_owned(),
            KeySource::SecretFile(path) | KeySource::PemFile(path) | KeySource::JwksFile(path) => {
                path.display().to_string()
            }
            KeySource::JwksUrl(url) => url.clone(),
        }
    }
}
