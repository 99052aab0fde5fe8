//! Loads the keys of tokens from the sources in the settings, and keeps them fresh.
//!
//! Files are read at start and on SIGHUP; key sets behind a URL also by age, and when a token names
//! an unknown key. After the start, any failure leaves the last good keys in force. Must never put
//! the content of a source into an error or a log.

mod fetch;
mod keeper;
mod source;

use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};

use crate::auth::{Auth, KeySet, Role};
use crate::settings::{KeySource, Settings};
use crate::state::KeySetRecord;

use self::fetch::Fetcher;
use self::keeper::{Keeper, Text};
use self::source::Source;
pub use self::source::{KeysError, LoadError, Loaded, load};
use super::config;

/// The keys of a node, and the tasks that refresh them.
pub struct Keys {
    auth: Arc<Auth>,
    /// Makes the tasks read their sources again: the number of the request.
    reload: watch::Sender<u64>,
    /// The last request that each task has finished.
    reloaded: Vec<watch::Receiver<u64>>,
    /// The key sets that were fetched, with their URLs.
    fetched: Vec<(String, Text)>,
    /// The tasks that keep the keys fresh.
    tasks: JoinSet<()>,
}

impl Keys {
    /// Puts the keys in force. A URL is not waited for if its key set is among the `former` ones,
    /// those of a program that hands over. If a URL does not answer now, its role has no keys at
    /// first and the node keeps trying.
    ///
    /// Must be called on a tokio runtime, which runs the tasks that refresh the keys until
    /// `stopped` is true or its sender is dropped.
    pub async fn start(
        loaded: Loaded,
        settings: &Settings,
        stopped: &watch::Receiver<bool>,
        former: Vec<KeySetRecord>,
    ) -> Self {
        let auth = Arc::new(Auth::new(config::tokens(settings)));
        let (reload, requests) = watch::channel(0);
        let mut reloaded = Vec::new();
        let mut fetched = Vec::new();
        let mut tasks = JoinSet::new();
        for (source, keys) in loaded.0 {
            let (done, finished) = watch::channel(0);
            reloaded.push(finished);
            let requests = Requests {
                numbers: requests.clone(),
                done,
            };
            replace(&auth, &source.roles, keys);
            if let KeySource::JwksUrl(url) = &source.from {
                let url = url.clone();
                let former = former.iter().find(|set| *set.url == *url);
                let fetcher = Fetcher::new(&url, settings.jwks_timeout, settings.jwks_bytes_max);
                let asked = auth.kept_by(&source.roles);
                let mut keeper = Keeper::new(Arc::clone(&auth), source, fetcher, settings);
                if !former.is_some_and(|set| keeper.resume(&set.text)) {
                    keeper.fetch().await;
                }
                fetched.push((url, keeper.text()));
                tasks.spawn(keeper.run(asked, requests, stopped.clone()));
            } else {
                let source = Arc::new(source);
                let files = reread(Arc::clone(&auth), source, requests, stopped.clone());
                tasks.spawn(files);
            }
        }
        Self {
            auth,
            reload,
            reloaded,
            fetched,
            tasks,
        }
    }

    /// The key sets that were fetched.
    pub(super) fn fetched(&self) -> impl Iterator<Item = KeySetRecord> {
        self.fetched.iter().filter_map(|(url, text)| {
            let text = text.lock();
            (!text.is_empty()).then(|| KeySetRecord {
                url: url.as_str().into(),
                text: text.as_slice().into(),
            })
        })
    }

    /// The checker of tokens.
    #[must_use]
    pub fn auth(&self) -> &Arc<Auth> {
        &self.auth
    }

    /// Waits for a task that refreshes keys to panic. Without the task, keys would age in silence.
    pub(super) async fn failed(&mut self) -> JoinError {
        loop {
            match self.tasks.join_next().await {
                Some(Err(panic)) => return panic,
                // It was told to end.
                Some(Ok(())) => {}
                None => std::future::pending().await,
            }
        }
    }

    /// Makes every source be read again, soon.
    pub fn reload(&self) {
        self.reload.send_modify(|number| *number += 1);
    }

    /// Waits until every source was read since the last [`Keys::reload`], with or without success.
    pub(super) fn reloaded(&self) -> impl Future<Output = ()> + use<> {
        let number = *self.reload.borrow();
        let tasks = self.reloaded.clone();
        async move {
            for mut task in tasks {
                // A task that has ended reads nothing any more.
                let _ended = task.wait_for(|done| *done >= number).await;
            }
        }
    }
}

/// The requests to read a source again.
struct Requests {
    numbers: watch::Receiver<u64>,
    done: watch::Sender<u64>,
}

impl Requests {
    /// Waits for the next request; returns its number, or `None` if none can follow.
    async fn next(&mut self) -> Option<u64> {
        self.numbers.changed().await.ok()?;
        Some(*self.numbers.borrow_and_update())
    }

    /// Reports that the source was read since this request.
    fn finish(&self, number: u64) {
        self.done.send_replace(number);
    }
}

/// Reads a file again at every request.
async fn reread(
    auth: Arc<Auth>,
    source: Arc<Source>,
    mut requests: Requests,
    mut stopped: watch::Receiver<bool>,
) {
    let setting = source.setting();
    loop {
        let number = tokio::select! {
            request = requests.next() => request,
            () = ended(&mut stopped) => None,
        };
        let Some(number) = number else { return };
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
        requests.finish(number);
    }
}

/// Waits until the node ends.
async fn ended(stopped: &mut watch::Receiver<bool>) {
    let _stopped_or_gone = stopped.wait_for(|stopped| *stopped).await;
}

/// Why a set behind a URL cannot be had.
#[derive(Debug, thiserror::Error)]
enum TryError {
    #[error(transparent)]
    Fetch(ureq::Error),
    #[error(transparent)]
    Set(#[from] crate::auth::KeyError),
}

/// Fetches the keys behind URLs, and drops them: whether a node that starts now would have them.
/// Blocks.
///
/// # Errors
/// [`LoadError`] if a set cannot be fetched or used.
pub fn try_urls(loaded: &Loaded, settings: &Settings) -> Result<(), LoadError> {
    loaded.try_urls(|source, url| -> Result<(), TryError> {
        let fetcher = Fetcher::new(url, settings.jwks_timeout, settings.jwks_bytes_max);
        let text = fetcher.get_now().map_err(TryError::Fetch)?;
        KeySet::from_published_jwks(&text, source.algorithm)?;
        Ok(())
    })
}

fn replace(auth: &Auth, roles: &[Role], keys: KeySet) {
    let keys = Arc::new(keys);
    for role in roles {
        auth.replace(*role, Arc::clone(&keys));
    }
}
