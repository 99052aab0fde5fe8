//! Brings the keys of tokens from where the settings say they are, and keeps them fresh.
//!
//! Files are read at start and on SIGHUP, key sets behind a URL also by age and when a token names a key that is unknown. Whatever goes wrong
//! after the start, the last good keys stay. Must never put what it read into an error or a log.

mod fetch;
mod keeper;

use std::fmt::Display;
use std::sync::Arc;

use thiserror::Error;
use tokio::sync::watch;

use crate::auth::{Algorithm, Auth, KeySet, Policy, Role, TopicRule};
use crate::config::{KeySource, SECRET_BYTES_MAX, Settings, read_text};

use self::fetch::Fetcher;
use self::keeper::Keeper;

/// Why there are no keys.
#[derive(Debug, Error)]
#[error("`{setting}` = {place}: {reason}")]
pub struct KeysError {
    setting: &'static str,
    place: String,
    reason: String,
}

/// The keys of a node, and what brings newer ones.
pub struct Keys {
    auth: Arc<Auth>,
    /// Whoever is told so reads its source again.
    reload: watch::Sender<()>,
}

/// Where the keys of some roles come from.
struct Source {
    /// In the order of the settings: the first names them.
    roles: Vec<Role>,
    from: KeySource,
    algorithm: Option<Algorithm>,
    bytes_max: usize,
}

impl Keys {
    /// Reads every key. Where they come from a URL that does not answer now, the node has none at first and goes on trying.
    ///
    /// Must be called on a tokio runtime, which runs the tasks that keep the keys until `stopped` is true or its sender gone.
    ///
    /// # Errors
    /// [`KeysError`] when a file is missing or holds no key.
    pub async fn start(
        settings: &Settings,
        stopped: &watch::Receiver<bool>,
    ) -> Result<Self, KeysError> {
        let auth = Arc::new(Auth::new(policy(settings)));
        let (reload, reloaded) = watch::channel(());
        for source in sources(settings) {
            if let KeySource::JwksUrl(url) = &source.from {
                let fetcher = Fetcher::new(url, settings.jwks_timeout, settings.jwks_bytes_max);
                let asked = auth.kept_by(&source.roles);
                replace(&auth, &source.roles, KeySet::default());
                let mut keeper = Keeper::new(Arc::clone(&auth), source, fetcher, settings);
                keeper.fetch().await;
                tokio::spawn(keeper.run(asked, reloaded.clone(), stopped.clone()));
            } else {
                let source = Arc::new(source);
                replace(&auth, &source.roles, source.read().await?);
                let files = reread(Arc::clone(&auth), source, reloaded.clone(), stopped.clone());
                tokio::spawn(files);
            }
        }
        Ok(Self { auth, reload })
    }

    /// What checks tokens.
    #[must_use]
    pub fn auth(&self) -> &Arc<Auth> {
        &self.auth
    }

    /// Has every source read again, soon.
    pub fn reload(&self) {
        self.reload.send_replace(());
    }
}

/// The rules by which tokens are read.
#[must_use]
pub fn policy(settings: &Settings) -> Policy {
    let topic_bytes_max = settings.event_limits.topic_bytes_max;
    let rules = settings.topics_from.iter();
    Policy {
        token_bytes_max: settings.token_bytes_max,
        selectors_max: settings.selectors_per_token_max,
        topic_bytes_max,
        leeway: settings.jwt_leeway,
        issuer: settings.jwt_issuer.clone(),
        audience: settings.jwt_audience.clone(),
        // The configuration has refused those that are none.
        topics_from: rules
            .filter_map(|rule| TopicRule::parse(rule, topic_bytes_max).ok())
            .collect(),
    }
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
    let found = match settings.publisher_jwt_keys {
        None => vec![source(&[Role::Subscriber, Role::Publisher])],
        Some(_) => vec![source(&[Role::Subscriber]), source(&[Role::Publisher])],
    };
    found.into_iter().flatten().collect()
}

impl Source {
    /// Reads the keys of a source that is not a URL.
    async fn read(self: &Arc<Self>) -> Result<KeySet, KeysError> {
        let source = Arc::clone(self);
        let read = tokio::task::spawn_blocking(move || source.read_now()).await;
        read.unwrap_or_else(|panic| Err(self.error(panic)))
    }

    fn read_now(&self) -> Result<KeySet, KeysError> {
        let file = |path, bytes_max| read_text(path, bytes_max).map_err(|error| self.error(error));
        let set = match &self.from {
            KeySource::Secret(secret) => KeySet::from_secret(secret.as_bytes(), self.algorithm),
            KeySource::SecretFile(path) => {
                // Room for a line end behind the longest secret.
                let text = file(path, SECRET_BYTES_MAX + 2)?;
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
    fn setting(&self) -> &'static str {
        let role = self.roles.first().copied().unwrap_or(Role::Subscriber);
        self.from.key(role)
    }

    /// For messages: a path or a URL, never a secret.
    fn place(&self) -> String {
        match &self.from {
            KeySource::Secret(_) => "(hidden)".to_owned(),
            KeySource::SecretFile(path) | KeySource::PemFile(path) | KeySource::JwksFile(path) => {
                path.display().to_string()
            }
            KeySource::JwksUrl(url) => url.clone(),
        }
    }
}

/// Reads a file again whenever it is told to.
async fn reread(
    auth: Arc<Auth>,
    source: Arc<Source>,
    mut reloaded: watch::Receiver<()>,
    mut stopped: watch::Receiver<bool>,
) {
    let setting = source.setting();
    loop {
        tokio::select! {
            reload = reloaded.changed() => if reload.is_err() { return },
            () = ended(&mut stopped) => return,
        }
        match source.read().await {
            Ok(keys) => {
                let (count, skipped) = (keys.len(), keys.skipped());
                replace(&auth, &source.roles, keys);
                tracing::info!(setting, keys = count, skipped, "keys read again");
            }
            Err(error) => {
                tracing::error!("keys not read again, the old ones stay: {error}");
            }
        }
    }
}

/// Waits until the node ends.
async fn ended(stopped: &mut watch::Receiver<bool>) {
    let _stopped_or_gone = stopped.wait_for(|stopped| *stopped).await;
}

fn replace(auth: &Auth, roles: &[Role], keys: KeySet) {
    let keys = Arc::new(keys);
    for role in roles {
        auth.replace(*role, Arc::clone(&keys));
    }
}
