//! Probes: messages that the node publishes to a channel of its own, over a second connection.

use std::pin::pin;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Value};
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use super::channels::PROBE_PREFIX;
use super::lost::Lost;
use super::pace::{Pace, jittered};
use super::server::Server;

/// The channel of this node's probes.
pub(super) fn channel() -> String {
    // Seeded by the system: nodes that start together have different ones.
    format!("{PROBE_PREFIX}{:016x}", fastrand::u64(..))
}

/// The probe that was sent last.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sent {
    /// Its number, from 1; 0 = none was sent.
    pub(super) number: u64,
    pub(super) at: Instant,
}

/// Connects, and publishes probes until something is wrong.
pub(super) async fn run(
    server: &Server,
    pace: Pace,
    channel: &str,
    sent: &watch::Sender<Sent>,
) -> Lost {
    match timeout(pace.connect_timeout, open(server)).await {
        Ok(Ok((connection, driver))) => {
            let driver = pin!(driver);
            // The driver first: it brings the answers whose time may be over.
            tokio::select! {
                biased;
                () = driver => Lost::closed("the connection for probes has ended"),
                lost = publish(connection, pace, channel, sent) => lost,
            }
        }
        Ok(Err(lost)) => lost,
        Err(_) => Lost::silent("the connection for probes was not answered"),
    }
}

async fn open(server: &Server) -> Result<(MultiplexedConnection, impl Future<Output = ()>), Lost> {
    let stream = server.connect().await?;
    // Its own timeouts are short, and ours bound the same.
    let options = AsyncConnectionConfig::new()
        .set_connection_timeout(None)
        .set_response_timeout(None);
    let opened = MultiplexedConnection::new_with_config(server.settings(), stream, options).await;
    opened.map_err(Lost::redis)
}

async fn publish(
    mut connection: MultiplexedConnection,
    pace: Pace,
    channel: &str,
    sent: &watch::Sender<Sent>,
) -> Lost {
    loop {
        let number = sent.borrow().number + 1;
        let at = Instant::now();
        sent.send_replace(Sent { number, at });
        match timeout(pace.probe_timeout, probe(&mut connection, channel, number)).await {
            Ok(Ok(())) => {}
            Ok(Err(lost)) => return lost,
            Err(_) => return Lost::silent("a probe was not answered"),
        }
        tokio::time::sleep(jittered(pace.probe_every)).await;
    }
}

/// Publishes one probe, and asks whether the server is a replica that has lost its master: it would
/// deliver the probe, and no message of the master's.
async fn probe(
    connection: &mut MultiplexedConnection,
    channel: &str,
    number: u64,
) -> Result<(), Lost> {
    let mut publish = redis::cmd("PUBLISH");
    publish.arg(channel).arg(number);
    publish
        .query_async::<i64>(connection)
        .await
        .map_err(Lost::redis)?;
    match redis::cmd("ROLE").query_async::<Value>(connection).await {
        Ok(role) if is_orphan(&role) => Err(Lost::Orphaned(
            "the server is a replica that has lost its master",
        )),
        Ok(_) => Ok(()),
        // Users need no right to ask.
        Err(error) if error.code().is_some() => Ok(()),
        Err(error) => Err(Lost::redis(error)),
    }
}

/// Whether this answer to `ROLE` is that of a replica whose link to its master is down.
fn is_orphan(role: &Value) -> bool {
    let Value::Array(role) = role else {
        return false;
    };
    let is = |place: usize, text: &[u8]| match role.get(place) {
        Some(Value::BulkString(found)) => found == text,
        Some(Value::SimpleString(found)) => found.as_bytes() == text,
        _ => false,
    };
    is(0, b"slave") && !is(3, b"connected")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Value {
        Value::BulkString(text.as_bytes().to_vec())
    }

    #[test]
    fn a_replica_without_its_master_is_an_orphan() {
        let replica = |state| {
            Value::Array(vec![
                text("slave"),
                text("127.0.0.1"),
                Value::Int(6379),
                text(state),
                Value::Int(-1),
            ])
        };
        for (state, is) in [
            ("connect", true),
            ("connecting", true),
            ("sync", true),
            ("connected", false),
        ] {
            assert_eq!(is_orphan(&replica(state)), is, "{state}");
        }
        let master = Value::Array(vec![text("master"), Value::Int(0), Value::Array(vec![])]);
        assert!(!is_orphan(&master));
        assert!(!is_orphan(&Value::Nil));
    }
}
