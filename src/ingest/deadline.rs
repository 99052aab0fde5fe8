//! Deadlines of a connection: for its authentication, for the rest of a command, for the client to
//! read an answer, and for the pause between commands.
//!
//! Time counts only while the node waits for the client, never while the client waits for the node.

use std::time::Duration;

use tokio::time::Instant;

use super::config::Timeouts;
use crate::metrics::IngestEnd;

/// The end of a wait, and the reason with which the connection ends then.
pub(super) type Deadline = (Instant, IngestEnd);

/// The waits of one connection, with their starts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Waits {
    timeouts: Timeouts,
    /// Time since which it could have authenticated; `None` once it has.
    stranger_since: Option<Instant>,
    /// Time since which the rest of a command is missing; `None` between commands.
    command_since: Option<Instant>,
}

impl Waits {
    pub(super) fn new(timeouts: Timeouts, is_stranger: bool) -> Self {
        Self {
            timeouts,
            stranger_since: is_stranger.then(Instant::now),
            command_since: None,
        }
    }

    /// The same for a connection that was carried, with the times that it has waited:
    /// [`Waits::waited`].
    pub(super) fn carried(
        timeouts: Timeouts,
        is_stranger: bool,
        stranger: Option<Duration>,
        unfinished: Option<Duration>,
    ) -> Self {
        let now = Instant::now();
        let since = |waited: Duration| now.checked_sub(waited).unwrap_or(now);
        Self {
            timeouts,
            stranger_since: is_stranger.then(|| stranger.map_or(now, since)),
            command_since: unfinished.map(since),
        }
    }

    /// Time in which it could have authenticated, and time for which the rest of a command is
    /// missing.
    pub(super) fn waited(&self) -> (Option<Duration>, Option<Duration>) {
        let waited = |since: Option<Instant>| since.map(|since| since.elapsed());
        (waited(self.stranger_since), waited(self.command_since))
    }

    /// Whether it has yet to authenticate.
    pub(super) fn is_stranger(&self) -> bool {
        self.stranger_since.is_some()
    }

    /// Notes that it has authenticated, or has undone that.
    pub(super) fn set_stranger(&mut self, is_stranger: bool) {
        self.stranger_since = is_stranger.then(Instant::now);
    }

    /// Notes the state after a batch: whether a command is `unfinished`, and whether that command
    /// is a new one.
    pub(super) fn set_unfinished(&mut self, unfinished: bool, is_new: bool) {
        if !unfinished {
            self.command_since = None;
        } else if is_new || self.command_since.is_none() {
            self.command_since = Some(Instant::now());
        }
    }

    /// Notes that answers were written: the client may have been slow to read them, and could not
    /// be read meanwhile.
    pub(super) fn wrote(&mut self) {
        if let Some(since) = &mut self.command_since {
            *since = Instant::now();
        }
    }

    /// Time by which bytes must arrive.
    pub(super) fn read_deadline(&self) -> Option<Deadline> {
        let command = self
            .command_since
            .map(|since| (since + self.timeouts.command, IngestEnd::CommandTimeout));
        let idle = self
            .timeouts
            .idle
            .map(|idle| (Instant::now() + idle, IngestEnd::Idle));
        [self.authentication_deadline(), command, idle]
            .into_iter()
            .flatten()
            .min_by_key(|(at, _)| *at)
    }

    /// Time by which some of an answer must be read by the client.
    pub(super) fn write_deadline(&self) -> Deadline {
        let write = (
            Instant::now() + self.timeouts.write,
            IngestEnd::WriteTimeout,
        );
        match self.authentication_deadline() {
            Some(authentication) if authentication.0 < write.0 => authentication,
            _ => write,
        }
    }

    fn authentication_deadline(&self) -> Option<Deadline> {
        let since = self.stranger_since?;
        Some((
            since + self.timeouts.authentication,
            IngestEnd::Unauthenticated,
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMMAND: Duration = Duration::from_secs(60);

    fn waits(is_stranger: bool) -> Waits {
        let timeouts = Timeouts {
            authentication: Duration::from_secs(10),
            command: COMMAND,
            write: Duration::from_secs(30),
            idle: None,
        };
        Waits::new(timeouts, is_stranger)
    }

    #[test]
    fn the_time_of_a_command_does_not_run_while_answers_are_written() {
        let mut waits = waits(false);
        waits.wrote();
        assert_eq!(waits.read_deadline(), None);
        waits.set_unfinished(true, true);
        let began = waits.read_deadline().expect("a deadline");
        let written = Instant::now();
        assert!(began.0 <= written + COMMAND);
        waits.wrote();
        let (at, end) = waits.read_deadline().expect("a deadline");
        assert!(at >= written + COMMAND);
        assert_eq!(end, IngestEnd::CommandTimeout);
    }

    #[test]
    fn a_carried_connection_has_used_its_time() {
        let used = Duration::from_secs(7);
        let timeouts = waits(true).timeouts;
        let waits = Waits::carried(timeouts, true, Some(used), Some(used));
        let (at, end) = waits.read_deadline().expect("a deadline");
        assert_eq!(end, IngestEnd::Unauthenticated);
        assert!(at <= Instant::now() + timeouts.authentication - used);
        let (stranger, unfinished) = waits.waited();
        assert!(stranger >= Some(used) && unfinished >= Some(used));
        let waits = Waits::carried(timeouts, false, Some(used), None);
        assert_eq!(
            waits.read_deadline(),
            None,
            "it need not authenticate any more"
        );
    }

    #[test]
    fn the_time_of_a_stranger_runs_whatever_it_sends_and_takes() {
        let mut waits = waits(true);
        let until = waits.read_deadline().expect("a deadline");
        assert_eq!(until.1, IngestEnd::Unauthenticated);
        waits.set_unfinished(true, true);
        waits.wrote();
        assert_eq!(waits.read_deadline(), Some(until));
        assert_eq!(waits.write_deadline(), until);
        waits.set_stranger(false);
        let (_, end) = waits.read_deadline().expect("a deadline");
        assert_eq!(end, IngestEnd::CommandTimeout);
        assert_eq!(waits.write_deadline().1, IngestEnd::WriteTimeout);
    }
}
