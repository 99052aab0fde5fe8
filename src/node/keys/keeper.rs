//! Keeps a key set from a URL fresh.
//!
//! One task fetches, so two fetches never run at once. It fetches by age, on request, and when a
//! token names an unknown key. A stranger can cause the last, so it has a shortest interval of its
//! own.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};

use super::Requests;
use super::fetch::Fetcher;
use super::source::Source;
use crate::auth::{Auth, KeySet, Refresh};
use crate::backoff::Backoff;
use crate::once_a_minute::OnceAMinute;
use crate::settings::Settings;

/// Pause after a first failure; each further one doubles it, up to the age at which the set is
/// fetched again.
const BACKOFF_MIN: Duration = Duration::from_secs(1);

/// The text of the key set in force, for a program that takes over.
pub(super) type Text = Arc<Mutex<Vec<u8>>>;

pub(super) struct Keeper {
    auth: Arc<Auth>,
    source: Source,
    fetcher: Fetcher,
    text: Text,
    max_age: Duration,
    refresh_min: Duration,
    /// Time of the next fetch without a request.
    due: Instant,
    backoff: Backoff,
    /// The last fetch failed, or there was none yet: only then is a success worth a log line.
    waiting: bool,
    /// Time at which a token last caused a fetch.
    caused: Option<Instant>,
    /// Bounds the log lines of each outcome.
    fetched: OnceAMinute,
    failed: OnceAMinute,
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
            text: Text::default(),
            max_age: settings.jwks_max_age,
            refresh_min: settings.jwks_refresh_min,
            due: Instant::now(),
            backoff: Backoff::new(
                BACKOFF_MIN.min(settings.jwks_max_age),
                settings.jwks_max_age,
            ),
            waiting: true,
            caused: None,
            fetched: OnceAMinute::new(),
            failed: OnceAMinute::new(),
        }
    }

    /// The text of the key set in force; empty before the first.
    pub(super) fn text(&self) -> Text {
        Arc::clone(&self.text)
    }

    /// Puts the key set in force that the former program had. It is fetched anew soon. `false` if
    /// it cannot be used.
    pub(super) fn resume(&mut self, text: &[u8]) -> bool {
        let Ok(keys) = KeySet::from_published_jwks(text, self.source.algorithm) else {
            return false;
        };
        self.waiting = false;
        text.clone_into(&mut self.text.lock());
        super::replace(&self.auth, &self.source.roles, keys);
        true
    }

    /// Fetches until it is stopped.
    pub(super) async fn run(
        mut self,
        mut asked: mpsc::Receiver<Refresh>,
        mut requests: Requests,
        mut stopped: watch::Receiver<bool>,
    ) {
        loop {
            // One fetch serves all requests that arrived before it began.
            let mut waiting = Vec::new();
            let mut request = None;
            let fetches = tokio::select! {
                () = sleep_until(self.due) => true,
                next = requests.next() => match next {
                    Some(number) => {
                        request = Some(number);
                        true
                    }
                    None => return,
                },
                Some(first) = asked.recv() => {
                    waiting.push(first);
                    self.may_be_caused()
                }
                () = super::ended(&mut stopped) => return,
            };
            while let Ok(another) = asked.try_recv() {
                waiting.push(another);
            }
            if fetches {
                self.fetch().await;
            }
            if let Some(number) = request {
                requests.finish(number);
            }
            for request in waiting {
                // The caller may have gone.
                let _ = request.send(());
            }
        }
    }

    /// Whether a token may cause a fetch now. If so, it is counted as caused.
    fn may_be_caused(&mut self) -> bool {
        let now = Instant::now();
        let may = self
            .caused
            .is_none_or(|last| now - last >= self.refresh_min);
        if may {
            self.caused = Some(now);
        }
        may
    }

    /// Fetches once. A set that cannot be fetched or used leaves the keys unchanged.
    pub(super) async fn fetch(&mut self) {
        let setting = self.source.setting();
        let fetched = match self.fetcher.get().await {
            Ok(text) => KeySet::from_published_jwks(&text, self.source.algorithm)
                .map(|keys| (keys, text))
                .map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        match fetched {
            Ok((keys, text)) => {
                *self.text.lock() = text;
                let (count, skipped) = (keys.len(), keys.skipped());
                // A provider that is often unavailable must not fill the log whenever a token
                // causes a fetch.
                if self.waiting
                    && let Some(left_out) = self.fetched.due()
                {
                    tracing::info!(setting, keys = count, skipped, left_out, "keys fetched");
                } else {
                    tracing::debug!(setting, keys = count, skipped, "keys fetched");
                }
                self.waiting = false;
                super::replace(&self.auth, &self.source.roles, keys);
                self.backoff.succeeded();
                self.due = Instant::now() + self.max_age;
            }
            Err(reason) => {
                let again = self.backoff.failed();
                let url = self.source.place();
                if let Some(left_out) = self.failed.due() {
                    tracing::warn!(
                        setting,
                        url,
                        ?again,
                        left_out,
                        "keys not fetched, those there are stay: {reason}"
                    );
                } else {
                    tracing::debug!(setting, url, ?again, "keys not fetched: {reason}");
                }
                self.waiting = true;
                self.due = Instant::now() + again;
            }
        }
    }
}
