//! The rosters: the announced subscribers of each node, and which nodes live.
//!
//! | key | type | what |
//! |---|---|---|
//! | `{fantail}:nodes` | hash | for each node, by the name of its roster, its beat: a number that it counts up while it lives, or `ended` |
//! | `{fantail}:who:<name>` | sorted set, all scores 0 | its subscribers: UUID, space, JSON |
//!
//! A subscriber's start and its line are written by one script, and so are its end and the removal of
//! the line. The script of a node refuses if the node is not among those that live; that of a reaper
//! refuses if the node is not marked as ended. So of a node and its reapers, one tells an end.
//!
//! No time of the server decides: it may stand still, or be replaced by one with another clock. A
//! node is dead when its beat did not change while another node watched it.
//!
//! A sorted set, and not a hash, because a place in it means the same after a failover.

use redis::{Cmd, Value};
use uuid::Uuid;

use super::Stream;
use super::beside;
use super::connection::Connection;
use super::error::Error;
use super::raw_id::RawId;
use super::reply;
use crate::bridge::entry::Fields;
use crate::core::event::EventId;
use crate::core::presence::RosterChange;

/// In the place of the beat of a node that is dead, or has ended.
const ENDED: &str = "ended";

/// Code of the refusal of a dead node's writes.
pub const REAPED: &str = "REAPED";

/// Appends entries and changes a roster, if its node lives. `KEYS`: the stream, the nodes, the
/// roster. `ARGV`: name, `MAXLEN`, number of changes, for each its UUID and its line (empty: it is
/// removed), then for each entry the number of its fields and values, and these.
///
/// The entries come first: what Redis refuses, it refuses before anything is written.
const ANNOUNCE: &str = r"
local beat = redis.call('HGET', KEYS[2], ARGV[1])
if not beat or beat == 'ended' then
  return redis.error_reply('REAPED this node was taken for dead')
end
local first = 4 + 2 * tonumber(ARGV[3])
local at, last = first, false
while at <= #ARGV do
  local count = tonumber(ARGV[at])
  last = redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[2], '*', unpack(ARGV, at + 1, at + count))
  at = at + count + 1
end
for at = 4, first - 1, 2 do
  redis.call('ZREMRANGEBYLEX', KEYS[3], '[' .. ARGV[at], '(' .. ARGV[at] .. '!')
  if ARGV[at + 1] ~= '' then
    redis.call('ZADD', KEYS[3], 0, ARGV[at + 1])
  end
end
return last";

/// Appends the ends of subscribers of a node that has ended, of those that are still in its roster.
/// `ARGV`: name, `MAXLEN`, then for each subscriber the beginning of its line, the number of its
/// entries, and for each the number of its fields and values, and these.
const REAP: &str = r"
if redis.call('HGET', KEYS[2], ARGV[1]) ~= 'ended' then
  return {0, false}
end
local at, ended, last = 3, 0, false
while at <= #ARGV do
  local id, entries = ARGV[at], tonumber(ARGV[at + 1])
  at = at + 2
  local is_there = redis.call('ZREMRANGEBYLEX', KEYS[3], '[' .. id, '(' .. id .. '!') > 0
  if is_there then
    ended = ended + 1
  end
  for _ = 1, entries do
    local count = tonumber(ARGV[at])
    if is_there then
      last = redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[2], '*', unpack(ARGV, at + 1, at + count))
    end
    at = at + count + 1
  end
end
if redis.call('EXISTS', KEYS[3]) == 0 then
  redis.call('HDEL', KEYS[2], ARGV[1])
end
return {ended, last}";

/// Counts the beat of a node up. 0 if it does not live.
const BEAT: &str = r"
local beat = redis.call('HGET', KEYS[1], ARGV[1])
if not beat or beat == 'ended' then
  return 0
end
redis.call('HINCRBY', KEYS[1], ARGV[1], 1)
return 1";

/// Marks a node as ended if its beat is still `ARGV[2]`.
const DEPOSE: &str = r"
if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then
  return 0
end
redis.call('HSET', KEYS[1], ARGV[1], 'ended')
return 1";

/// A node leaves: what is left in its roster is told by others.
const LEAVE: &str = r"
if redis.call('EXISTS', KEYS[2]) == 0 then
  return redis.call('HDEL', KEYS[1], ARGV[1])
end
return redis.call('HSET', KEYS[1], ARGV[1], 'ended')";

/// A change of a roster, which belongs to the entries of a batch.
#[derive(Clone, Debug)]
pub struct RosterWrite {
    /// Name of the roster.
    pub name: u64,
    /// The changes.
    pub changes: Vec<RosterChange>,
}

impl RosterWrite {
    /// Estimated bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let changes = self.changes.iter().map(|change| match change {
            RosterChange::Enters { line, .. } => size_of::<RosterChange>() + line.len(),
            RosterChange::Leaves { .. } => size_of::<RosterChange>(),
        });
        changes.sum()
    }
}

/// The beat of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Beat {
    /// It lives, or did when it last counted.
    Counted(String),
    /// It is dead or has left, and its subscribers are to be ended.
    Ended,
}

/// A subscriber to end, with the entries that tell it.
#[derive(Clone, Debug)]
pub struct End {
    /// Its line.
    pub line: Vec<u8>,
    /// None if the line cannot be read: then it is removed.
    pub entries: Vec<Fields>,
}

fn roster_key(stream: &str, name: u64) -> String {
    beside(stream, &format!("who:{name:016x}"))
}

/// The call that appends entries and changes a roster.
pub(super) fn announce(stream: &Stream, entries: &[Fields], roster: &RosterWrite) -> Cmd {
    let name = roster.name;
    let mut command = redis::cmd("EVAL");
    command.arg(ANNOUNCE).arg(3).arg(&stream.key);
    command.arg(beside(&stream.key, "nodes"));
    command.arg(roster_key(&stream.key, name));
    command.arg(format!("{name:016x}")).arg(stream.events_max);
    command.arg(roster.changes.len());
    for change in &roster.changes {
        let (id, line) = match change {
            RosterChange::Enters { id, line } => (id, &**line),
            RosterChange::Leaves { id } => (id, ""),
        };
        command.arg(id.hyphenated().to_string()).arg(line);
    }
    add_entries(&mut command, entries);
    command
}

fn add_entries(command: &mut Cmd, entries: &[Fields]) {
    for fields in entries {
        command.arg(2 * fields.len());
        for (name, value) in fields {
            command.arg(*name).arg(&value[..]);
        }
    }
}

impl Connection {
    fn script(&self, script: &str, name: u64, has_roster: bool) -> Cmd {
        let mut command = redis::cmd("EVAL");
        command.arg(script).arg(if has_roster { 2 } else { 1 });
        command.arg(beside(&self.key, "nodes"));
        if has_roster {
            command.arg(roster_key(&self.key, name));
        }
        command.arg(format!("{name:016x}"));
        command
    }

    /// Begins a node's roster.
    ///
    /// # Errors
    /// [`Error`]: it may have begun.
    pub async fn join(&mut self, name: u64) -> Result<(), Error> {
        let mut command = redis::cmd("HSETNX");
        command.arg(beside(&self.key, "nodes"));
        command.arg(format!("{name:016x}")).arg(1);
        self.call(&command).await.map(drop)
    }

    /// Says that a node lives. False if it was taken for dead.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn beat(&mut self, name: u64) -> Result<bool, Error> {
        let answer = self.call(&self.script(BEAT, name, false)).await?;
        Ok(reply::number(&answer) == Some(1))
    }

    /// A node ends. If it has subscribers left, other nodes tell their ends.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn leave(&mut self, name: u64) -> Result<(), Error> {
        self.call(&self.script(LEAVE, name, true)).await.map(drop)
    }

    /// Marks a node as ended, if its beat is still this one.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn depose(&mut self, name: u64, beat: &str) -> Result<bool, Error> {
        let mut command = self.script(DEPOSE, name, false);
        let answer = self.call(command.arg(beat)).await?;
        Ok(reply::number(&answer) == Some(1))
    }

    /// The nodes, in the order of their names.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn nodes(&mut self) -> Result<Vec<(u64, Beat)>, Error> {
        let mut command = redis::cmd("HGETALL");
        command.arg(beside(&self.key, "nodes"));
        let answer = self.call(&command).await?;
        let items = reply::items(answer).ok_or(Error::Answer("HGETALL"))?;
        let pairs = items.chunks_exact(2);
        let mut nodes: Vec<(u64, Beat)> = pairs
            .filter_map(|pair| {
                let name = u64::from_str_radix(reply::text(&pair[0])?, 16).ok()?;
                let beat = match reply::text(&pair[1])? {
                    ENDED => Beat::Ended,
                    beat => Beat::Counted(beat.to_owned()),
                };
                Some((name, beat))
            })
            .collect();
        nodes.sort_unstable_by_key(|(name, _)| *name);
        Ok(nodes)
    }

    /// The next lines of a roster, in the order of their UUIDs.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn lines(
        &mut self,
        name: u64,
        after: Option<Uuid>,
        count: usize,
    ) -> Result<Vec<Vec<u8>>, Error> {
        let mut command = redis::cmd("ZRANGEBYLEX");
        command.arg(roster_key(&self.key, name));
        match after {
            // Above all lines that begin with it and a space.
            Some(after) => command.arg(format!("({}!", after.hyphenated())),
            None => command.arg("-"),
        };
        command.arg("+").arg("LIMIT").arg(0).arg(count);
        lines(self.call(&command).await?)
    }

    /// The line of a subscriber, if it is in one of these rosters.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn line(&mut self, names: &[u64], id: Uuid) -> Result<Option<Vec<u8>>, Error> {
        if names.is_empty() {
            return Ok(None);
        }
        let mut pipeline = redis::Pipeline::new();
        let id = id.hyphenated();
        for name in names {
            let command = pipeline.cmd("ZRANGEBYLEX");
            command.arg(roster_key(&self.key, *name));
            command.arg(format!("[{id}")).arg(format!("({id}!"));
        }
        for answer in self.calls(&pipeline).await? {
            let mut found = lines(reply::accepted(answer)?)?;
            if let Some(line) = found.pop() {
                return Ok(Some(line));
            }
        }
        Ok(None)
    }

    /// Tells ends of a node that has ended. Returns the number of those that were still to be told,
    /// and the id of the last entry.
    ///
    /// # Errors
    /// [`Error`]: they may have been told. To be called again.
    pub async fn reap(
        &mut self,
        stream: &Stream,
        name: u64,
        ends: &[End],
    ) -> Result<(usize, Option<EventId>), Error> {
        let mut command = redis::cmd("EVAL");
        command.arg(REAP).arg(3).arg(&stream.key);
        command.arg(beside(&stream.key, "nodes"));
        command.arg(roster_key(&stream.key, name));
        command.arg(format!("{name:016x}")).arg(stream.events_max);
        for end in ends {
            let id = end.line.split(|byte| *byte == b' ').next();
            let id = id.unwrap_or_default();
            command.arg(id).arg(end.entries.len());
            add_entries(&mut command, &end.entries);
        }
        let answer = reply::items(self.call(&command).await?).unwrap_or_default();
        let count = answer.first().and_then(reply::number);
        let count = count.ok_or(Error::Answer("EVAL"))?;
        let last = answer.get(1).and_then(reply::text).and_then(RawId::parse);
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        Ok((count, last.map(RawId::at_most)))
    }
}

fn lines(answer: Value) -> Result<Vec<Vec<u8>>, Error> {
    let items = reply::items(answer).ok_or(Error::Answer("ZRANGEBYLEX"))?;
    let lines = items.iter().filter_map(reply::bytes);
    Ok(lines.map(<[u8]>::to_vec).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_in_the_slot_of_their_stream() {
        assert_eq!(roster_key("fantail", 10), "{fantail}:who:000000000000000a");
        assert_eq!(beside("a{b}c", "nodes"), "a{b}c:nodes");
    }
}
