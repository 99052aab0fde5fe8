//! Writes the batches of publishers, one pipeline after the other.
//!
//! While one pipeline is on its way, the next one fills: the busier the node, the larger the
//! pipelines.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use fastrand::Rng;
use tokio::time::{sleep, timeout};

use super::contact::{pause, pauses};
use super::shared::{Shared, not_published, unknown};
use crate::bridge::follow::Marker;
use crate::bridge::redis::{Batch, Connection, Error, Host, REAPED, Refusal};
use crate::core::event::EventId;
use crate::hub::log::AppendError;
use crate::once_a_minute::OnceAMinute;

/// Most entries of a pipeline.
const ENTRIES_MAX: usize = 512;

/// Most bytes of a pipeline, unless one batch has more.
const BYTES_MAX: usize = 1 << 20;

/// Silence of the log after which a node writes a marker, to see whether it comes back.
const TICK_AFTER: Duration = Duration::from_secs(5);

/// Longest time until the tail reads the server that is written to. Then both look for it again.
const SAME_SERVER_WITHIN: Duration = Duration::from_secs(3);

/// Number of an event in its millisecond from which on the log goes on in the next one, before the
/// numbers end.
const COUNTER_HIGH: u64 = 1 << 19;

/// Refusals of a server that is not, or not yet, the right one: the same batch may be written to
/// another, or later.
const PASSING: [&str; 7] = [
    "READONLY",
    "LOADING",
    "MOVED",
    "ASK",
    "TRYAGAIN",
    "CLUSTERDOWN",
    "MASTERDOWN",
];

fn is_passing(refusal: &Refusal) -> bool {
    PASSING.contains(&&*refusal.code)
}

/// A connection that broke while batches may have been on their way.
struct Broken {
    server: u64,
    client_id: u64,
}

/// Why a connection is given up.
enum Stop {
    /// It broke.
    Lost(Error),
    /// The server refuses writes for now.
    Refused(Refusal),
    /// The tail reads another server.
    Elsewhere,
}

/// Runs for ever.
pub(super) async fn run(shared: Arc<Shared>) {
    let mut backoff = pauses();
    let mut broken: Option<Broken> = None;
    loop {
        let config = &shared.config;
        let connected = Connection::connect(&config.address, &config.stream.key).await;
        let mut connection = match connected {
            Ok(connection) => connection,
            Err(error) => {
                shared.note(error.to_string());
                pause(&mut backoff).await;
                continue;
            }
        };
        let served = serve(&shared, &mut connection, &mut broken, &mut backoff).await;
        match served {
            Stop::Lost(error) => {
                shared.metrics.reconnects.add(1);
                shared.note(error.to_string());
                static INTERRUPTED: OnceAMinute = OnceAMinute::new();
                if let Some(left_out) = INTERRUPTED.due() {
                    let server = connection.host();
                    tracing::warn!(%server, left_out, "writes to the log were interrupted: {error}");
                }
            }
            Stop::Refused(refusal) => shared.note(refusal.to_string()),
            Stop::Elsewhere => {}
        }
        // What an earlier connection left is not known before it is found out, so it stays.
        if broken.is_none() {
            broken = Some(Broken {
                server: connection.server(),
                client_id: connection.client_id(),
            });
        }
        drop(connection);
        pause(&mut backoff).await;
    }
}

async fn serve(
    shared: &Shared,
    connection: &mut Connection,
    broken: &mut Option<Broken>,
    backoff: &mut crate::backoff::Backoff,
) -> Stop {
    // Another server's replicas are others.
    shared.confirmed.store(0, Ordering::Release);
    if !is_read(shared, connection).await {
        return Stop::Elsewhere;
    }
    if let Some(old) = broken {
        match find_out(shared, connection, old).await {
            Ok(true) => *broken = None,
            Ok(false) => return Stop::Elsewhere,
            Err(error) => return Stop::Lost(error),
        }
    }
    let mut live = shared.live.subscribe();
    let mut master = shared.master.subscribe();
    loop {
        if shared.elsewhere(connection).is_some() {
            return Stop::Elsewhere;
        }
        let has_waiting = shared.queue(|queue| queue.has_waiting());
        if !has_waiting {
            tokio::select! {
                () = shared.queued.notified() => {}
                () = idle(shared) => match tick(shared, connection).await {
                    Ok(is_written) => has_written(backoff, is_written),
                    Err(stop) => return stop,
                },
                _ = live.changed() => {}
                _ = master.changed() => {}
            }
        }
        // Another server has the log, or the tail is being proved: see `follow`.
        let server = *live.borrow_and_update();
        if server != Some(connection.server()) && !is_read(shared, connection).await {
            return Stop::Elsewhere;
        }
        match write(shared, connection).await {
            Ok(is_written) => has_written(backoff, is_written),
            Err(stop) => return stop,
        }
    }
}

/// A connection serves once it has written something: a server may refuse every write.
fn has_written(backoff: &mut crate::backoff::Backoff, is_written: bool) {
    if is_written {
        backoff.succeeded();
    }
}

/// Waits until the tail has applied all of this server's log. Before that, nothing may be written.
async fn is_read(shared: &Shared, connection: &Connection) -> bool {
    let mut live = shared.live.subscribe();
    let is_same = live.wait_for(|server| *server == Some(connection.server()));
    timeout(SAME_SERVER_WITHIN, is_same).await.is_ok()
}

/// Waits until the log has been silent for a while.
async fn idle(shared: &Shared) {
    loop {
        let silence = shared.last_entry.lock().elapsed();
        let after = TICK_AFTER.mul_f64(1.0 + 0.2 * Rng::new().f64());
        match after.checked_sub(silence) {
            Some(rest) if !rest.is_zero() => sleep(rest).await,
            _ => return,
        }
    }
}

/// Writes a marker, which the tail must bring. Returns whether the server took it: one without room,
/// or without its replicas, takes nothing for now, and tells publishers so, too.
async fn tick(shared: &Shared, connection: &mut Connection) -> Result<bool, Stop> {
    let written = connection.append_marker(Marker::Tick).await;
    *shared.last_entry.lock() = std::time::Instant::now();
    match written {
        Ok(id) => {
            shared.expect(id);
            Ok(true)
        }
        Err(Error::Refused(refusal)) if !is_passing(&refusal) => {
            static REFUSED: OnceAMinute = OnceAMinute::new();
            if let Some(left_out) = REFUSED.due() {
                let server = connection.host();
                tracing::warn!(%server, left_out, "the log takes no events: Redis refuses: {refusal}");
            }
            Ok(false)
        }
        Err(Error::Refused(refusal)) => Err(Stop::Refused(refusal)),
        Err(error) => Err(Stop::Lost(error)),
    }
}

/// Waits until another server is the master. What is on its way to this one may never be answered.
async fn moved(shared: &Shared, host: Host) -> Error {
    let mut master = shared.master.subscribe();
    let is_other = |master: &Option<Host>| master.as_ref().is_some_and(|master| *master != host);
    let other = master.wait_for(is_other).await;
    match other {
        Ok(other) => {
            let other = other.as_ref().map(Host::to_string).unwrap_or_default();
            Error::Lost(format!("Sentinel has made {other} the master"))
        }
        Err(_) => Error::Lost("the node ends".to_owned()),
    }
}

/// Writes what waits. Returns whether the server took something.
async fn write(shared: &Shared, connection: &mut Connection) -> Result<bool, Stop> {
    let sent = shared.queue(|queue| queue.send(ENTRIES_MAX, BYTES_MAX));
    if sent.is_empty() {
        return Ok(false);
    }
    let (numbers, batches): (Vec<u64>, Vec<Batch>) = sent.into_iter().unzip();
    let config = &shared.config;
    let replicas = config.ack_replicas;
    let host = connection.host().clone();
    let written = tokio::select! {
        written = connection.append(&config.stream, &batches, replicas) => written,
        lost = moved(shared, host) => Err(lost),
    };
    let (outcomes, has) = written.map_err(Stop::Lost)?;
    let newest = outcomes.iter().filter_map(|it| it.as_ref().ok()).max();
    let newest = newest.copied();
    if let Some(id) = newest.filter(|_| has >= replicas) {
        // They take everything in order, so they have what was written before as well.
        shared.confirmed.fetch_max(id.get(), Ordering::AcqRel);
    }
    let (mut again, mut refused) = (Vec::new(), None);
    for (number, outcome) in numbers.into_iter().zip(outcomes) {
        match outcome {
            Ok(id) => {
                shared.queue(|queue| {
                    queue.written(number, id);
                    if has >= replicas {
                        queue.confirmed(number);
                    } else {
                        let why = format!(
                            "{has} of {replicas} replicas of Redis have confirmed the events in time (`log_ack_replicas`)"
                        );
                        queue.not_confirmed(number, unknown(why));
                    }
                });
            }
            Err(refusal) if is_passing(&refusal) => {
                again.push(number);
                refused = Some(refusal);
            }
            Err(refusal) if refusal.code == REAPED => {
                shared.queue(|queue| queue.give_up(number, AppendError::Reaped));
            }
            Err(refusal) => {
                let error = not_published(format!("Redis refuses: {refusal}"));
                shared.queue(|queue| queue.give_up(number, error));
            }
        }
    }
    if let Some(id) = newest {
        shared.expect(id);
        make_room(connection, id).await.map_err(Stop::Lost)?;
    }
    match refused {
        Some(refusal) => {
            shared.queue(|queue| queue.send_again(&again));
            Err(Stop::Refused(refusal))
        }
        None => Ok(newest.is_some()),
    }
}

/// Goes on in the next millisecond before the numbers of this one end. That happens if the server's
/// clock stands still, or was set back.
async fn make_room(connection: &mut Connection, id: EventId) -> Result<(), Error> {
    if id.counter() < COUNTER_HIGH {
        return Ok(());
    }
    let next = EventId::from_parts(id.unix_ms() + 1, 0);
    let Some(next) = next else {
        return Ok(());
    };
    // If it is refused, another node has done it.
    connection.append_at(next, Marker::Tick).await.map(drop)
}

/// Finds out what became of the batches of a connection that broke. False if it cannot be known yet.
async fn find_out(
    shared: &Shared,
    connection: &mut Connection,
    old: &Broken,
) -> Result<bool, Error> {
    let in_doubt = shared.queue(|queue| queue.sent());
    if in_doubt.is_empty() {
        return Ok(true);
    }
    if old.server == connection.server() {
        match connection.kill(old.client_id).await {
            Err(Error::Refused(refusal)) if refusal.code == "NOPERM" => {
                static NO_RIGHT: OnceAMinute = OnceAMinute::new();
                if let Some(left_out) = NO_RIGHT.due() {
                    tracing::warn!(
                        left_out,
                        "this node may not end its own old connections (CLIENT KILL: {refusal}): publishers are told that an outcome is unknown where it could be known"
                    );
                }
                let why = "the answer of the log was lost";
                shared.queue(|queue| {
                    let give_up = |number| queue.give_up(number, unknown(why));
                    in_doubt.into_iter().for_each(give_up);
                });
                return Ok(true);
            }
            // It has ended before.
            Ok(()) | Err(Error::Refused(_)) => {}
            Err(error) => return Err(error),
        }
    }
    let newest = connection.newest().await?;
    let mut head = shared.head.subscribe();
    let has_come = head.wait_for(|head| *head >= newest);
    if timeout(shared.config.timeout, has_come).await.is_err() {
        return Ok(false);
    }
    let live = *shared.live.borrow();
    if live != Some(connection.server()) {
        return Ok(false);
    }
    let again = shared.queue(|queue| {
        for number in queue.unconfirmed() {
            let why = "the log has the events; how many replicas of Redis have them is not known, since its answer was lost (`log_ack_replicas`)";
            queue.give_up(number, unknown(why));
        }
        queue.send_again(&in_doubt)
    });
    static AGAIN: OnceAMinute = OnceAMinute::new();
    if again > 0
        && let Some(left_out) = AGAIN.due()
    {
        tracing::info!(
            batches = again,
            left_out,
            "writes whose answer was lost are not in the log, and are made again"
        );
    }
    Ok(true)
}
