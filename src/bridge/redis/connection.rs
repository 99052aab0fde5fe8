//! One connection to the server that has the log.

use std::time::{Duration, Instant};

use redis::{Cmd, Pipeline, Value, aio};

use super::address::Host;
use super::error::{Error, Refused};
use super::raw_id::RawId;
use super::reply;
use crate::clock::unix_ms;

/// By how much a node's clock may be ahead of its server's. Beyond that it is wrong.
const AHEAD_MAX: Duration = Duration::from_secs(10 * 60);

/// What a server's clock said, and when.
#[derive(Clone, Copy, Debug)]
pub(super) struct ServerTime {
    pub(super) unix_ms: u64,
    pub(super) at: Instant,
}

impl ServerTime {
    /// The time of a node's clock, unless that is further ahead of the server's. `since` is the time since
    /// the server's was read.
    fn bound(self, node_unix_ms: u64, since: Duration, ahead_max: Duration) -> u64 {
        let most = u64::try_from((since + ahead_max).as_millis()).unwrap_or(u64::MAX);
        node_unix_ms.min(self.unix_ms.saturating_add(most))
    }
}

/// A connection to the master of the log's key.
pub struct Connection {
    pub(super) link: aio::MultiplexedConnection,
    pub(super) key: String,
    /// A hash of the server's `run_id`.
    pub(super) server: u64,
    /// A hash of the server's `master_replid`.
    pub(super) reign: u64,
    /// The newest entry of the last page.
    pub(super) newest_read: RawId,
    pub(super) host: Host,
    pub(super) client_id: u64,
    pub(super) version: String,
    /// `None` if the server does not tell it.
    pub(super) time: Option<ServerTime>,
}

impl Connection {
    /// Where it leads to.
    #[must_use]
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// The version that the server says it has.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// A hash of the server's `run_id`: another one is another process.
    #[must_use]
    pub fn server(&self) -> u64 {
        self.server
    }

    /// A hash of the server's `master_replid`: another one after it was a replica, and sometimes though
    /// it was none.
    #[must_use]
    pub fn reign(&self) -> u64 {
        self.reign
    }

    /// Number of this connection at its server.
    #[must_use]
    pub fn client_id(&self) -> u64 {
        self.client_id
    }

    /// The time for what a node writes into the log: that of its own clock, unless that is far ahead of
    /// the server's. One wrong clock would move the ids of all nodes for good.
    #[must_use]
    pub fn unix_ms(&self) -> u64 {
        self.unix_ms_ahead(AHEAD_MAX)
    }

    /// The time by which entries are old: that of the earlier clock, the node's or the server's. One wrong
    /// clock would drop what is new.
    #[must_use]
    pub fn earlier_unix_ms(&self) -> u64 {
        self.unix_ms_ahead(Duration::ZERO)
    }

    fn unix_ms_ahead(&self, max: Duration) -> u64 {
        let bound = |time: ServerTime| time.bound(unix_ms(), time.at.elapsed(), max);
        self.time.map_or_else(unix_ms, bound)
    }

    /// Ends another connection of this server. Afterwards, none of its commands is carried out any
    /// more. The server may know no such connection any more.
    ///
    /// # Errors
    /// [`Error`]; a user may lack the right to do so.
    pub async fn kill(&mut self, client_id: u64) -> Result<(), Error> {
        let mut command = redis::cmd("CLIENT");
        command.arg("KILL").arg("ID").arg(client_id);
        self.call(&command).await.map(drop)
    }

    /// Makes one call.
    pub(super) async fn call(&mut self, command: &Cmd) -> Result<Value, Error> {
        reply::accepted(self.link.send_packed_command(command).await?)
    }

    /// Makes several calls in one go; one answer for each, refusals among them.
    pub(super) async fn calls(&mut self, pipeline: &Pipeline) -> Result<Vec<Value>, Error> {
        let count = pipeline.len();
        let answers = self.link.send_packed_commands(pipeline, 0, count).await?;
        if answers.len() == count {
            Ok(answers)
        } else {
            Err(Error::Answer("a pipeline"))
        }
    }
}

/// Whether an answer to `ROLE` is that of a replica. A server that does not tell, tells with its
/// first write.
pub(super) fn is_replica(role: Value) -> bool {
    let items = reply::items(role).unwrap_or_default();
    items
        .first()
        .and_then(reply::text)
        .is_some_and(|role| role != "master")
}

impl Refused {
    /// Whether an explicit id was refused because the stream has a higher one.
    pub(super) fn is_of_id(&self) -> bool {
        self.text.contains("equal or smaller")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_wrong_clock_moved_the_ids_of_all_nodes_for_good() {
        let minute = 60_000;
        let now = 30_000_000 * minute;
        let time = ServerTime {
            unix_ms: now,
            at: Instant::now(),
        };
        let later = Duration::from_secs(60);
        for node in [0, now, now + 11 * minute] {
            assert_eq!(time.bound(node, later, AHEAD_MAX), node);
        }
        for node in [now + 11 * minute + 1, u64::MAX] {
            assert_eq!(time.bound(node, later, AHEAD_MAX), now + 11 * minute);
        }
    }

    /// With `log_age` = 10 minutes, a node that was nine ahead left the log one.
    #[test]
    fn a_node_whose_clock_is_ahead_dropped_what_is_new() {
        let time = ServerTime {
            unix_ms: 1_000_000,
            at: Instant::now(),
        };
        let bound = |node| time.bound(node, Duration::from_secs(60), Duration::ZERO);
        let [behind, ahead] = [bound(1_059_999), bound(1_600_000)];
        assert_eq!([behind, ahead], [1_059_999, 1_060_000]);
    }
}
