//! One connection to the server that has the log.

use redis::{Cmd, Pipeline, Value, aio};

use super::address::Host;
use super::error::{Error, Refused};
use super::raw_id::RawId;
use super::reply;

/// A connection to the master of the log's key.
pub struct Connection {
    pub(super) link: aio::MultiplexedConnection,
    pub(super) key: String,
    /// A hash of the server's `run_id`.
    pub(super) server: u64,
    /// The newest entry of the last page.
    pub(super) newest_read: RawId,
    pub(super) host: Host,
    pub(super) client_id: u64,
    pub(super) version: String,
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

    /// Number of this connection at its server.
    #[must_use]
    pub fn client_id(&self) -> u64 {
        self.client_id
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
