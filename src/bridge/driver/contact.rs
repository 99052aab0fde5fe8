//! The first contact of a node with its log.

use std::time::{Duration, Instant};

use fastrand::Rng;
use thiserror::Error;
use tokio::time::sleep;

use super::LogConfig;
use crate::backoff::Backoff;
use crate::bridge::redis::{Connection, Error};
use crate::clock::unix_ms;
use crate::core::event::EventId;
use crate::once_a_minute::OnceAMinute;

/// What the first contact found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Contact {
    /// The birth of the log's order.
    pub birth: u128,
    /// The node's history begins above this id.
    pub floor: EventId,
}

/// Why a node cannot start with its log.
#[derive(Debug, Error)]
pub enum ContactError {
    /// The log cannot be used as it is.
    #[error("`log` = {address}: {error}")]
    Unfit {
        /// Its address, without password.
        address: String,
        /// What is wrong.
        error: Error,
    },
    /// It did not answer in time.
    #[error("`log` = {address} cannot be used within `log_start_timeout`: {error}")]
    Away {
        /// Its address, without password.
        address: String,
        /// The last failure.
        error: Error,
    },
}

/// Pauses between attempts to connect.
pub(super) fn pauses() -> Backoff {
    use std::time::Duration;
    Backoff::new(Duration::from_millis(50), Duration::from_secs(2))
}

/// Waits after a failure: for half of the pause at least, so that nodes do not all come at once.
pub(super) async fn pause(backoff: &mut Backoff) {
    let pause = backoff.failed();
    let share = 0.5 + 0.5 * Rng::new().f64();
    sleep(pause.mul_f64(share)).await;
}

/// Connects to the log, checks it, and begins it if there is none. Tries again until
/// `start_timeout`.
///
/// # Errors
/// [`ContactError`].
pub async fn contact(config: &LogConfig) -> Result<Contact, ContactError> {
    let end = Instant::now() + config.start_timeout;
    let mut backoff = pauses();
    // The reason may be another one after a while.
    let waiting = OnceAMinute::new();
    loop {
        let error = match attempt(config).await {
            Ok(contact) => return Ok(contact),
            Err(error) => error,
        };
        let address = config.address.to_string();
        if error.is_final() {
            return Err(ContactError::Unfit { address, error });
        }
        if Instant::now() >= end {
            return Err(ContactError::Away { address, error });
        }
        if let Some(left_out) = waiting.due() {
            tracing::warn!(log = %config.address, left_out, "waiting for the log: {error}");
        }
        pause(&mut backoff).await;
    }
}

/// The lowest id of an entry that is no older than `age` at this time.
pub(super) fn oldest(unix_ms: u64, age: Duration) -> EventId {
    let age_ms = u64::try_from(age.as_millis()).unwrap_or(u64::MAX);
    EventId::from_parts(unix_ms.saturating_sub(age_ms), 0).unwrap_or_default()
}

async fn attempt(config: &LogConfig) -> Result<Contact, Error> {
    let key = &config.stream.key;
    let mut connection = Connection::connect(&config.address, key).await?;
    let mut facts = connection.facts().await?;
    for warning in connection.check(&facts, unix_ms()).await? {
        tracing::warn!(log = %config.address, "{}", warning.text());
    }
    let birth = match facts.birth {
        Some(birth) => birth,
        None => {
            let birth = connection.create(uuid::Uuid::new_v4().as_u128()).await?;
            facts = connection.facts().await?;
            birth
        }
    };
    let history = oldest(unix_ms(), config.history_age);
    // Without the keys that all others have, a repeat would be an event on this node alone. They are
    // counted by the log's ids and not by this node's clock.
    let keys = oldest(facts.last.unix_ms(), config.key_window);
    let first = match connection.first_from(history.min(keys)).await? {
        Some(first) => Some(first),
        // The newest one is read, however old: what comes next is known to follow it.
        None => Some(connection.newest().await?).filter(|newest| *newest > EventId::ZERO),
    };
    let floor = first.map_or(facts.last, EventId::before);
    tracing::info!(
        log = %config.address,
        server = %connection.host(),
        version = connection.version(),
        key,
        entries = facts.length,
        "found the log"
    );
    Ok(Contact { birth, floor })
}
