//! Questions about the newest entry, and trimming.

use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use super::shared::{QUESTIONS_MAX, Question, Shared};
use crate::bridge::redis::{Connection, Error};
use crate::core::event::EventId;

/// Interval of trimming. Each node trims; the second one finds nothing to do.
const TRIM_EVERY: Duration = Duration::from_secs(60);

/// Runs for ever.
pub(super) async fn run(shared: Arc<Shared>, mut questions: mpsc::Receiver<Question>) {
    let mut connection = None;
    let mut trim_at = Instant::now() + jittered();
    loop {
        let mut asked = Vec::new();
        tokio::select! {
            // The handle has the other end, so it never closes.
            _ = questions.recv_many(&mut asked, QUESTIONS_MAX) => {
                let newest = newest(&shared, &mut connection).await;
                for question in asked {
                    let _ = question.send(newest.clone().map_err(|error| error.to_string()));
                }
            }
            () = sleep_until(trim_at) => {
                trim_at = Instant::now() + jittered();
                if let Err(error) = trim(&shared, &mut connection).await {
                    tracing::warn!("the log could not be trimmed: {error}");
                }
            }
        }
    }
}

fn jittered() -> Duration {
    TRIM_EVERY.mul_f64(1.0 + 0.5 * Rng::new().f64())
}

/// The connection to the server that the tail reads, or to that which has the log now.
async fn connected<'c>(
    shared: &Shared,
    connection: &'c mut Option<Connection>,
) -> Result<&'c mut Connection, Error> {
    let live = *shared.live.borrow();
    let is_old = |connection: &Connection| live.is_some_and(|live| live != connection.server());
    if connection.as_ref().is_none_or(is_old) {
        *connection = Some(shared.connect().await?);
    }
    connection.as_mut().ok_or(Error::Answer("the connection"))
}

async fn newest(shared: &Shared, connection: &mut Option<Connection>) -> Result<EventId, Error> {
    let newest = async { connected(shared, connection).await?.newest().await };
    let newest = newest.await;
    if newest.is_err() {
        *connection = None;
    }
    newest
}

async fn trim(shared: &Shared, connection: &mut Option<Connection>) -> Result<(), Error> {
    let config = &shared.config;
    if (config.age.is_zero() && config.bytes_max == 0) || shared.live.borrow().is_none() {
        return Ok(());
    }
    let trimmed = async {
        let connection = connected(shared, connection).await?;
        if !config.age.is_zero() {
            let age = u64::try_from(config.age.as_millis()).unwrap_or(u64::MAX);
            let oldest = EventId::from_parts(connection.unix_ms().saturating_sub(age), 0);
            connection.trim_below(oldest.unwrap_or_default()).await?;
        }
        if config.bytes_max > 0 {
            connection.trim_to_bytes(config.bytes_max).await?;
        }
        Ok(())
    };
    let trimmed = trimmed.await;
    if trimmed.is_err() {
        *connection = None;
    }
    trimmed
}
