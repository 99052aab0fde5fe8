//! What a node asks about the stream, and how a stream begins.
//!
//! The birth of an order is the name of a consumer group of the stream, `fantail:<uuid>`. So it
//! lives and dies with the stream, is replicated with it, is kept when entries are trimmed, and
//! needs no second key.

use redis::{Pipeline, Value};
use uuid::Uuid;

use super::connection::{Connection, is_replica};
use super::error::{Error, Refused, Unfit};
use super::mark::turns_key;
use super::raw_id::RawId;
use super::reply;
use crate::bridge::entry;
use crate::bridge::follow::{Facts, Marker};
use crate::core::event::EventId;

/// Beginning of the name of the group that keeps the birth.
const BIRTH_PREFIX: &str = "fantail:";

/// The same as the transaction in [`Connection::facts`]. A server whose memory is full refuses all that
/// is queued for a transaction, and runs a script that writes nothing.
const FACTS: &str = "\
return {
  redis.pcall('XINFO', 'STREAM', KEYS[1]),
  redis.pcall('XINFO', 'GROUPS', KEYS[1]),
  redis.pcall('HGET', KEYS[2], 'count')
}";

impl Connection {
    /// The state of the stream at one moment. A stream that does not exist has no birth, and
    /// nothing in it.
    ///
    /// A server before version 7 (and some that speak its protocol) counts no `entries-added`:
    /// `added` is `None` then.
    ///
    /// # Errors
    /// [`Error`]; also if the server has become a replica.
    pub async fn facts(&mut self) -> Result<Facts, Error> {
        let mut pipeline = Pipeline::new();
        pipeline.cmd("ROLE");
        pipeline.cmd("MULTI");
        pipeline.cmd("XINFO").arg("STREAM").arg(&self.key);
        pipeline.cmd("XINFO").arg("GROUPS").arg(&self.key);
        pipeline.cmd("HGET").arg(turns_key(&self.key)).arg("count");
        pipeline.cmd("EXEC");
        let mut answers = self.calls(&pipeline).await?.into_iter();
        if answers.next().is_some_and(is_replica) {
            return Err(Error::Replica(self.host().to_string()));
        }
        let executed = match reply::executed(answers) {
            Err(Error::Refused(refused)) if refused.code == "OOM" => {
                let mut command = redis::cmd("EVAL");
                command.arg(FACTS).arg(2);
                command.arg(&self.key).arg(turns_key(&self.key));
                self.call(&command).await?
            }
            executed => executed?,
        };
        let executed = reply::items(executed).unwrap_or_default();
        let Ok([stream, groups, turns]) = <[Value; 3]>::try_from(executed) else {
            return Err(Error::Answer("XINFO"));
        };
        let turns = match &turns {
            Value::Nil => Some(0),
            // No loss could be told.
            Value::ServerError(error) if error.code() == "WRONGTYPE" => {
                let key = turns_key(&self.key);
                return Err(Unfit::NoHash { key }.into());
            }
            turns => reply::number(turns),
        };
        match self.existing(stream)? {
            Some(stream) => self.read_facts(&stream, groups, turns),
            None => Ok(Facts {
                birth: None,
                server: self.server,
                reign: self.reign,
                first: None,
                last: EventId::ZERO,
                added: None,
                length: 0,
                turns,
            }),
        }
    }

    fn read_facts(
        &self,
        stream: &[Value],
        groups: Value,
        turns: Option<u64>,
    ) -> Result<Facts, Error> {
        let number = |name| reply::field(stream, name).and_then(reply::number);
        let last = reply::field(stream, "last-generated-id").and_then(reply::text);
        let last = last.and_then(RawId::parse).ok_or(Error::Answer("XINFO"))?;
        let first = match reply::field(stream, "first-entry") {
            Some(Value::Array(entry)) => entry.first().and_then(reply::text).and_then(RawId::parse),
            _ => None,
        };
        Ok(Facts {
            birth: birth(reply::accepted(groups)?),
            server: self.server,
            reign: self.reign,
            first: first.map(RawId::at_most),
            last: self.readable(last)?,
            added: number("entries-added"),
            length: number("length").ok_or(Error::Answer("XINFO"))?,
            turns,
        })
    }

    /// The fields of `XINFO STREAM`; `None` if the key does not exist.
    fn existing(&self, answer: Value) -> Result<Option<Vec<Value>>, Error> {
        match reply::accepted(answer) {
            Ok(answer) => Ok(Some(reply::items(answer).ok_or(Error::Answer("XINFO"))?)),
            Err(Error::Refused(Refused { text, .. })) if text.contains("no such key") => Ok(None),
            Err(Error::Refused(Refused { code, .. })) if code == "WRONGTYPE" => {
                Err(Unfit::NoStream {
                    key: self.key.clone(),
                }
                .into())
            }
            Err(error) => Err(error),
        }
    }

    /// An id that a node can read. Ids with too high a count in their millisecond are followed by
    /// better ones; those with too high a time are not.
    pub(super) fn readable(&self, id: RawId) -> Result<EventId, Error> {
        if id.is_beyond_time() {
            return Err(Unfit::IdsTooHigh {
                key: self.key.clone(),
                id: id.to_string(),
            }
            .into());
        }
        Ok(id.at_most())
    }

    /// Begins a stream with this birth, if it has none yet. Returns the birth that it has then.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn create(&mut self, birth: u128) -> Result<u128, Error> {
        loop {
            self.call(redis::cmd("WATCH").arg(&self.key)).await?;
            if let Some(existing) = self.facts_watched().await? {
                self.call(&redis::cmd("UNWATCH")).await?;
                return Ok(existing);
            }
            let name = format!("{BIRTH_PREFIX}{}", Uuid::from_u128(birth));
            let mut pipeline = Pipeline::new();
            pipeline.cmd("MULTI");
            let group = pipeline.cmd("XGROUP").arg("CREATE").arg(&self.key);
            group.arg(&name).arg("0").arg("MKSTREAM");
            let marker = pipeline.cmd("XADD").arg(&self.key).arg("*");
            for (name, value) in entry::of_marker(Marker::Birth(birth)) {
                marker.arg(name).arg(value);
            }
            pipeline.cmd("EXEC");
            match reply::executed(self.calls(&pipeline).await?)? {
                // Another node was first, or an application wrote to the stream.
                Value::Nil => {}
                executed => {
                    for answer in reply::items(executed).unwrap_or_default() {
                        reply::accepted(answer)?;
                    }
                    return Ok(birth);
                }
            }
        }
    }

    /// The birth, outside of a transaction: between `WATCH` and `MULTI`.
    async fn facts_watched(&mut self) -> Result<Option<u128>, Error> {
        let mut command = redis::cmd("XINFO");
        command.arg("GROUPS").arg(&self.key);
        let answer = self.link.send_packed_command(&command).await?;
        match self.existing(answer)? {
            Some(groups) => Ok(birth(Value::Array(groups))),
            None => Ok(None),
        }
    }
}

/// The birth among the groups of a stream. `XINFO GROUPS` lists them by their names, so all nodes
/// choose the same.
fn birth(groups: Value) -> Option<u128> {
    let groups = reply::items(groups)?;
    groups.into_iter().find_map(|group| {
        let group = reply::items(group)?;
        let name = reply::text(reply::field(&group, "name")?)?;
        let id = Uuid::try_parse(name.strip_prefix(BIRTH_PREFIX)?).ok()?;
        Some(id.as_u128())
    })
}
