//! Markers that say that the log has turned: another server has it, or it has lost entries.
//!
//! A hash beside the stream counts them, and has the newest marker of a loss: what it tells, and its
//! id. It is written in one script with the marker, so no server has one without the other. It tells
//! a node that was cut off below a marker that there was one. And of several nodes that find one
//! loss, one marks it.

use super::beside;
use super::connection::Connection;
use super::error::Error;
use crate::bridge::entry;
use crate::bridge::follow::Marker;
use crate::core::event::EventId;

/// Appends a marker at an id, or at the next one if that is higher.
const MARK: &str = "\
local function not_above(a, b)
  local ams, an = string.match(a, '(%d+)-(%d+)')
  local bms, bn = string.match(b, '(%d+)-(%d+)')
  if tonumber(ams) ~= tonumber(bms) then return tonumber(ams) < tonumber(bms) end
  return tonumber(an) <= tonumber(bn)
end
local after, through = ARGV[2], ARGV[3]
if after ~= '' then
  local newest = redis.call('HGET', KEYS[2], 'id')
  local told = redis.call('HGET', KEYS[2], 'after')
  if newest and told and not_above(told, after) and not_above(through, newest) then
    return false
  end
end
local fields = {}
for i = 4, #ARGV do fields[#fields + 1] = ARGV[i] end
local id = redis.pcall('XADD', KEYS[1], ARGV[1], unpack(fields))
if type(id) == 'table' then id = redis.call('XADD', KEYS[1], '*', unpack(fields)) end
redis.call('HINCRBY', KEYS[2], 'count', 1)
if after ~= '' then redis.call('HSET', KEYS[2], 'after', after, 'id', id) end
return id";

/// The key of the hash beside a stream.
pub(super) fn turns_key(stream_key: &str) -> String {
    beside(stream_key, "turns")
}

impl Connection {
    /// Appends a marker `term` or `fork`, at this id or above. A `fork` is left out if the newest one
    /// tells as much.
    ///
    /// # Errors
    /// [`Error`]: it may have been appended.
    pub async fn mark(&mut self, id: EventId, marker: Marker) -> Result<(), Error> {
        let mut command = redis::cmd("EVAL");
        let turns = turns_key(&self.key);
        command.arg(MARK).arg(2).arg(&self.key).arg(turns);
        command.arg(id.to_string());
        match marker {
            Marker::Fork { after, through } => {
                command.arg(after.to_string()).arg(through.to_string())
            }
            _ => command.arg("").arg(""),
        };
        for (name, value) in entry::of_marker(marker) {
            command.arg(name).arg(value);
        }
        self.call(&command).await.map(drop)
    }
}
