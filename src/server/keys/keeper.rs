//! Keeps a key set fresh that comes from a URL.
//!
//! One task fetches, so two fetches never run at once. It fetches by age, when it is told to, and when a token names a key that is unknown: the last
//! is what a stranger can cause, so it has a shortest interval of its own.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};

use super::Source;
use super::fetch::Fetcher;
use crate::auth::{Auth, KeySet, Refresh};
use crate::config::Settings;

/// Wait after a first failure; each further one doubles it, up to the age at which the set is fetched anew.
const BACKOFF_MIN: Duration = Duration::from_secs(1);

pub(super) struct Keeper {
    auth: Arc<Auth>,
    source: Source,
    fetcher: Fetcher,
    max_age: Duration,
    refresh_min: Duration,
    /// When to fetch without being asked.
    due: Instant,
    backoff: Duration,
    /// Whether the last fetch failed, or there was none yet: only then is a success news.
    waiting: bool,
    /// When a token last caused a fetch.
    caused: Option<Instant>,
}

impl Keeper {
    pub(super) fn new(
        auth: Arc<Auth>,
        source: Source,
        fetcher: Fetcher,
        settings: &Settings,
    ) -> Self {
        Self {
            auth,
            source,
            fetcher,
            max_age: settings.jwks_max_age,
            refresh_min: settings.jwks_refresh_min,
            due: Instant::now(),
            backoff: BACKOFF_MIN,
            waiting: true,
            caused: None,
        }
    }

    /// Fetches until it is stopped.
    pub(super) async fn run(
        mut self,
        mut asked: mpsc::Receiver<Refresh>,
        mut reloaded: watch::Receiver<()>,
        mut stopped: watch::Receiver<bool>,
    ) {
        loop {
            tokio::select! {
                () = sleep_until(self.due) => self.fetch().await,
                reload = reloaded.changed() => match reload {
                    Ok(()) => self.fetch().await,
                    Err(_) => return,
                },
                Some(waiting) = asked.recv() => {
                    self.fetch_for_token().await;
                    // Whoever asked may have gone.
                    let _ = waiting.send(());
                }
                () = super::ended(&mut stopped) => return,
            }
        }
    }

    async fn fetch_for_token(&mut self) {
        let now = Instant::now();
        if self
            .caused
            .is_none_or(|last| now - last >= self.refresh_min)
        {
            self.caused = Some(now);
            self.fetch().await;
        }
    }

    /// Fetches once. What cannot be fetched or used leaves the keys as they are.
    pub(super) async fn fetch(&mut self) {
        let setting = self.source.setting();
        let fetched = match self.fetcher.get().await {
            Ok(text) => KeySet::from_published_jwks(&text, self.source.algorithm)
                .map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        match fetched {
            Ok(keys) => {
                let (count, skipped) = (keys.len(), keys.skipped());
                if self.waiting {
                    tracing::info!(setting, keys = count, skipped, "keys fetched");
                } else {
                    tracing::debug!(setting, keys = count, skipped, "keys fetched");
                }
                self.waiting = false;
                super::replace(&self.auth, &self.source.roles, keys);
                self.backoff = BACKOFF_MIN;
                self.due = Instant::now() + self.max_age;
            }
            Err(reason) => {
                let again = self.backoff.min(self.max_age);
                let url = self.source.place();
                tracing::warn!(
                    setting,
                    url,
                    ?again,
                    "keys not fetched, those there are stay: {reason}"
                );
                self.waiting = true;
                self.backoff = (self.backoff * 2).min(self.max_age.max(BACKOFF_MIN));
                self.due = Instant::now() + again;
            }
        }
    }
}
