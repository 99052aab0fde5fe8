//! What a node checks before it follows a log.

use std::borrow::Cow;
use std::time::Duration;

use redis::Pipeline;

use super::connection::{Connection, ServerTime};
use super::error::{Error, Unfit};
use super::reply;
use crate::bridge::follow::Facts;
use crate::core::event::EventId;

/// By how much the newest id may be ahead of the node's clock.
const AHEAD_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// Difference between the clocks of a node and of its server from which on it is told.
const CLOCKS_DIFFER: Duration = Duration::from_secs(60);

/// What is not as it should be, though the log can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Warning {
    /// The server does not show its configuration.
    Hidden,
    /// The log is in memory only.
    NotPersistent,
    /// The server counts no entries, so that a removed one goes unnoticed.
    NotCounted,
    /// The clocks of node and server differ.
    Clocks {
        /// By how much the node's is ahead.
        ahead: Duration,
        /// By how much it is behind.
        behind: Duration,
    },
}

impl Warning {
    /// The line for the log.
    #[must_use]
    pub fn text(self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::Clocks { ahead, behind } => {
                let (by, side) = match ahead.checked_sub(behind) {
                    Some(by) if !by.is_zero() => (by, "ahead of"),
                    _ => (behind, "behind"),
                };
                let by = humantime::format_duration(Duration::from_secs(by.as_secs()));
                return Cow::Owned(format!(
                    "the clock of this node is {by} {side} that of Redis, which gives the events their times: this node keeps a longer or a shorter history than `history_age` says; set the clocks right (NTP)"
                ));
            }
            Self::Hidden => {
                "Redis does not show its configuration (CONFIG GET): make sure that its `maxmemory-policy` is `noeviction` and that it keeps the log on disk"
            }
            Self::NotPersistent => {
                "Redis keeps the log in memory only (`appendonly no`, and no `save`): a restart of Redis loses all events, and every stream is told a gap; set `appendonly yes`"
            }
            Self::NotCounted => {
                "this Redis does not count the entries of a stream (before version 7): events that somebody removes from the log before a node has read them go unnoticed"
            }
        })
    }
}

impl Connection {
    /// Checks that the server does not lose the log by design, that its ids can be followed, and that
    /// the user may do what a node does.
    ///
    /// # Errors
    /// [`Error::Unfit`], or a failure of the calls.
    pub async fn check(&mut self, facts: &Facts, now_unix_ms: u64) -> Result<Vec<Warning>, Error> {
        check_ids(&self.key, facts, now_unix_ms)?;
        self.check_rights().await?;
        let mut pipeline = Pipeline::new();
        for name in ["maxmemory", "maxmemory-policy", "appendonly", "save"] {
            pipeline.cmd("CONFIG").arg("GET").arg(name);
        }
        let answers = self.calls(&pipeline).await?;
        let mut values = Vec::with_capacity(answers.len());
        for answer in answers {
            let items = reply::accepted(answer).ok().and_then(reply::items);
            let value = items.and_then(|items| reply::text(items.get(1)?).map(str::to_owned));
            values.push(value);
        }
        let mut warnings = Vec::new();
        match <[Option<String>; 4]>::try_from(values) {
            Ok([Some(memory), Some(policy), Some(append_only), save]) => {
                if memory != "0" && policy != "noeviction" {
                    return Err(Unfit::Evicts { policy }.into());
                }
                if append_only == "no" && save.is_none_or(|save| save.is_empty()) {
                    warnings.push(Warning::NotPersistent);
                }
            }
            _ => warnings.push(Warning::Hidden),
        }
        if facts.birth.is_some() && facts.added.is_none() {
            warnings.push(Warning::NotCounted);
        }
        warnings.extend(self.time.and_then(|time| clocks(time, now_unix_ms)));
        Ok(warnings)
    }
}

fn check_ids(key: &str, facts: &Facts, now_unix_ms: u64) -> Result<(), Unfit> {
    let ahead = Duration::from_millis(facts.last.unix_ms().saturating_sub(now_unix_ms));
    if ahead <= AHEAD_MAX {
        return Ok(());
    }
    let newest: EventId = facts.last;
    Err(Unfit::IdsAhead {
        key: key.to_owned(),
        id: newest.to_string(),
        by: Duration::from_secs(ahead.as_secs()),
    })
}

fn clocks(server: ServerTime, node_unix_ms: u64) -> Option<Warning> {
    let server = Duration::from_millis(server.unix_ms) + server.at.elapsed();
    let node = Duration::from_millis(node_unix_ms);
    let (ahead, behind) = (node.saturating_sub(server), server.saturating_sub(node));
    (ahead.max(behind) >= CLOCKS_DIFFER).then_some(Warning::Clocks { ahead, behind })
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    /// A node that was an hour ahead began with an empty history, and said nothing.
    #[test]
    fn a_clock_that_is_an_hour_wrong_is_told() {
        let now = 1_800_000_000_000;
        let time = ServerTime {
            unix_ms: now,
            at: Instant::now(),
        };
        let hour = 3_600_000;
        let text = |node| clocks(time, node).map(Warning::text);
        assert_eq!(text(now), None);
        assert_eq!(text(now + 59_000), None);
        let [ahead, behind] = [now + hour + 900, now - hour].map(|node| text(node).expect("told"));
        assert!(ahead.contains("is 1h ahead of that of Redis"), "{ahead}");
        assert!(behind.contains("is 1h behind that of Redis"), "{behind}");
    }
}
