//! Leases: of all that ask for one, one has it, for a time that it may prolong.
//!
//! Whoever was stopped for a while may believe that it still has one. So a holder counts the time from
//! before its question, and must stop before the server forgets the lease. Each taking has a holder of
//! its own, so that a late call for an earlier one changes nothing.

use std::time::Duration;

use redis::Value;

use super::connection::Connection;
use super::error::{Error, Unfit};
use super::reply;

/// Takes a lease that nobody has, or a holder whose name begins in the same way. -1 if the key has a
/// value without an end, which no lease is.
const TAKE: &str = "local held = redis.call('GET', KEYS[1]) if held and redis.call('PTTL', KEYS[1]) == -1 then return -1 end if held and string.sub(held, 1, #ARGV[3]) ~= ARGV[3] then return 0 end redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2]) return 1";

/// Prolongs a lease that this holder has.
const PROLONG: &str = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('PEXPIRE', KEYS[1], ARGV[2]) else return 0 end";

/// Ends a lease that this holder has.
const END: &str = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) else return 0 end";

impl Connection {
    /// Takes a lease if nobody has it, or replaces a holder that begins with `owner`.
    ///
    /// # Errors
    /// [`Unfit::NoLease`] if somebody else has written to the key. Other [`Error`]s: it may have been
    /// taken.
    pub async fn take_lease(
        &mut self,
        key: &str,
        owner: &str,
        holder: &str,
        time: Duration,
    ) -> Result<bool, Error> {
        let mut command = redis::cmd("EVAL");
        command.arg(TAKE).arg(1).arg(key).arg(holder);
        let answer = self.call(command.arg(ms(time)).arg(owner)).await?;
        match answer {
            Value::Int(-1) => Err(Unfit::NoLease {
                key: key.to_owned(),
            }
            .into()),
            answer => Ok(reply::number(&answer) == Some(1)),
        }
    }

    /// Prolongs a lease. False if this holder does not have it.
    ///
    /// # Errors
    /// [`Error`]: it may have been prolonged.
    pub async fn prolong_lease(
        &mut self,
        key: &str,
        holder: &str,
        time: Duration,
    ) -> Result<bool, Error> {
        let mut command = redis::cmd("EVAL");
        command.arg(PROLONG).arg(1).arg(key).arg(holder);
        let answer = self.call(command.arg(ms(time))).await?;
        Ok(reply::number(&answer) == Some(1))
    }

    /// Ends a lease, if this holder has it.
    ///
    /// # Errors
    /// [`Error`]: it may have ended.
    pub async fn end_lease(&mut self, key: &str, holder: &str) -> Result<(), Error> {
        let mut command = redis::cmd("EVAL");
        command.arg(END).arg(1).arg(key).arg(holder);
        self.call(&command).await.map(drop)
    }
}

fn ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
