//! One connection to the server that has the log.

use std::hash::{DefaultHasher, Hash, Hasher};

use redis::{Cmd, Pipeline, Value, aio};

use super::address::Host;
use super::connect::{Found, Opened, moved};
use super::error::{Error, Refused};
use super::page::RawId;
use super::reply;

/// A connection to the master of the log's key.
pub struct Connection {
    pub(super) link: aio::MultiplexedConnection,
    pub(super) key: String,
    /// A hash of the server's `run_id`.
    pub(super) server: u64,
    /// The newest entry of the last page.
    pub(super) newest_read: RawId,
    host: Host,
    client_id: u64,
    version: String,
}

impl Connection {
    /// Asks a server who it is, and whether it takes writes to the key.
    pub(super) async fn identify(opened: Opened, key: &str) -> Result<Found, Error> {
        let Opened { host, mut link } = opened;
        let mut pipeline = Pipeline::new();
        pipeline.cmd("CLIENT").arg("ID");
        pipeline.cmd("INFO").arg("server");
        pipeline.cmd("ROLE");
        pipeline.cmd("EXISTS").arg(key);
        let answers = link.send_packed_commands(&pipeline, 0, 4).await?;
        let Ok([id, info, role, exists]) = <[Value; 4]>::try_from(answers) else {
            return Err(Error::Answer("the first calls"));
        };
        if let Some(next) = moved(&exists, &host) {
            return Ok(Found::Moved(next));
        }
        reply::accepted(exists)?;
        if is_replica(role) {
            return Err(Error::Replica(host.to_string()));
        }
        let info = reply::accepted(info)?;
        let info = match &info {
            Value::VerbatimString { text, .. } => text,
            other => reply::text(other).ok_or(Error::Answer("INFO"))?,
        };
        let line = |name| reply::info_line(info, name);
        let mut hasher = DefaultHasher::new();
        // A server that hides it is told apart by its host.
        match line("run_id") {
            Some(run_id) => run_id.hash(&mut hasher),
            None => (&host.name, host.port).hash(&mut hasher),
        }
        let id = reply::number(&reply::accepted(id)?);
        Ok(Found::Here(Self {
            link,
            key: key.to_owned(),
            server: hasher.finish(),
            newest_read: RawId::default(),
            client_id: id.ok_or(Error::Answer("CLIENT ID"))?,
            version: line("redis_version").unwrap_or("(unknown)").to_owned(),
            host,
        }))
    }

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
