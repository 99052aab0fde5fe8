//! Questions about the newest entry, and trimming.

use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use tokio::sync::mpsc;
use tokio::time::sleep;

use super::contact::oldest;
use super::shared::{QUESTIONS_MAX, Question, Shared};
use crate::bridge::redis::{Connection, Error};
use crate::core::event::EventId;

/// Interval of trimming. Each node trims; the second one finds nothing to do.
const TRIM_EVERY: Duration = Duration::from_secs(60);

/// Runs for ever. Questions do not wait for a trim.
pub(super) async fn run(shared: Arc<Shared>, questions: mpsc::Receiver<Question>) {
    tokio::join!(answers(&shared, questions), trims(&shared));
}

async fn answers(shared: &Shared, mut questions: mpsc::Receiver<Question>) {
    let mut connection = None;
    loop {
        let mut asked = Vec::new();
        // The handle has the other end, so it never closes.
        questions.recv_many(&mut asked, QUESTIONS_MAX).await;
        let newest = newest(shared, &mut connection).await;
        for question in asked {
            let _ = question.send(newest.clone().map_err(|error| error.to_string()));
        }
    }
}

async fn trims(shared: &Shared) {
    loop {
        sleep(jittered()).await;
        // That the log is away is said by others.
        if let Err(error) = trim(shared).await
            && shared.live.borrow().is_some()
        {
            tracing::warn!("the log could not be trimmed: {error}");
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

/// Also a log that this node does not follow: a server that is full takes not even the marker that
/// names it.
async fn trim(shared: &Shared) -> Result<(), Error> {
    let config = &shared.config;
    if config.age.is_zero() && config.bytes_max == 0 {
        return Ok(());
    }
    // Too seldom to keep one for it.
    let mut connection = shared.connect().await?;
    if !config.age.is_zero() {
        let oldest = oldest(connection.earlier_unix_ms(), config.age);
        connection.trim_below(oldest).await?;
    }
    if config.bytes_max > 0 {
        connection.trim_to_bytes(config.bytes_max).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bridge::driver::LogConfig;
    use crate::bridge::driver::membership::Membership;
    use crate::bridge::redis::{Address, Stream};

    /// A server that was full when it became the master was followed by nobody, and stayed full.
    #[tokio::test]
    async fn a_log_that_no_node_could_follow_was_not_trimmed() {
        let config = LogConfig {
            // Nobody listens there.
            address: Address::parse("redis://127.0.0.1:1").expect("an address"),
            stream: Stream {
                key: "fantail".to_owned(),
                events_max: 1,
            },
            bytes_max: 1,
            age: Duration::ZERO,
            queue_bytes: 1,
            timeout: Duration::ZERO,
            start_timeout: Duration::ZERO,
            ack_replicas: 0,
            history_age: Duration::ZERO,
            key_window: Duration::ZERO,
            has_presence: false,
        };
        let (ask, _questions) = mpsc::channel(1);
        let roster = Membership::goes_on(None);
        let shared = Shared::new(config, Arc::default(), EventId::ZERO, ask, roster);
        assert!(trim(&shared).await.is_err(), "it was tried");
    }
}
