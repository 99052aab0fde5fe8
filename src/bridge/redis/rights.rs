//! The rights of the node's user.
//!
//! Some are used, and so show, at the start. The others show with the first event, once a minute, or
//! with a loss, when it is too late: a node that may write no marker of a loss is without its log from
//! then on.

use super::connection::Connection;
use super::error::{Error, Unfit};
use super::mark::turns_key;
use super::reply;

/// The commands that the user may not call on these keys. A server before version 7 does not tell.
const LACKING: &str = "\
local lacking = {}
if not redis.acl_check_cmd then return lacking end
for _, command in ipairs({
  {'XADD', KEYS[1], '*', 'name', 'value'},
  {'XREAD', 'STREAMS', KEYS[1], '0'},
  {'XREVRANGE', KEYS[1], '+', '-'},
  {'XLEN', KEYS[1]},
  {'XTRIM', KEYS[1], 'MINID', '0'},
  {'HINCRBY', KEYS[2], 'name', '1'},
  {'HSET', KEYS[2], 'name', 'value'}
}) do
  if not redis.acl_check_cmd(unpack(command)) then lacking[#lacking + 1] = command[1] end
end
return lacking";

impl Connection {
    /// Checks that the user may do what a node does later than at its start.
    ///
    /// # Errors
    /// [`Error::Unfit`], or a failure of the call: scripts are among the rights.
    pub(super) async fn check_rights(&mut self) -> Result<(), Error> {
        let turns = turns_key(&self.key);
        let mut command = redis::cmd("EVAL");
        command.arg(LACKING).arg(2).arg(&self.key).arg(&turns);
        let answer = reply::items(self.call(&command).await?).ok_or(Error::Answer("EVAL"))?;
        let lacking: Vec<&str> = answer.iter().filter_map(reply::text).collect();
        if lacking.is_empty() {
            return Ok(());
        }
        Err(Unfit::Rights {
            commands: lacking.join(", "),
            keys: format!("`{}` and `{turns}`", self.key),
        }
        .into())
    }
}
