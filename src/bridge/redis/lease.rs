//! Leases: of all that ask for one, one has it, for a time that it may prolong.
//!
//! Whoever was stopped for a while may believe that it still has one. So a holder counts the time from
//! before its question, and must stop before the server forgets the lease.

use std::time::Duration;

use super::connection::Connection;
use super::error::Error;
use super::reply;

/// Prolongs a lease that this holder has.
const PROLONG: &str = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('PEXPIRE', KEYS[1], ARGV[2]) else return 0 end";

/// Ends a lease that this holder has.
const END: &str = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) else return 0 end";

impl Connection {
    /// Takes a lease if nobody has it.
    ///
    /// # Errors
    /// [`Error`]: it may have been taken.
    pub async fn take_lease(
        &mut self,
        key: &str,
        holder: &str,
        time: Duration,
    ) -> Result<bool, Error> {
        let mut command = redis::cmd("SET");
        command.arg(key).arg(holder).arg("NX").arg("PX");
        let answer = self.call(command.arg(ms(time))).await?;
        Ok(!matches!(answer, redis::Value::Nil))
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
