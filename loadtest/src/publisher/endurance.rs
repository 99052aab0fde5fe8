//! A publisher whose connections break, and are made anew.

use std::io;
use std::time::Duration;

use super::fate::Failure;
use super::link::Written;
use super::{PublishError, Publisher};
use crate::stamp;

/// Pause before a connection that broke is made anew.
pub(super) const AGAIN: Duration = Duration::from_millis(50);

/// How a publisher treats connections that break.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Endurance {
    /// Longest time from when an event is due to its answer.
    pub(crate) timeout: Duration,
    /// Events that fail are sent again, until they are taken.
    pub(crate) retries: bool,
}

impl Publisher {
    /// A broken connection ends the run, unless connections are made again: then its unanswered
    /// events have failed.
    pub(super) fn bear(
        &mut self,
        number: usize,
        result: Result<(), PublishError>,
    ) -> Result<(), PublishError> {
        match (result, self.endures) {
            (Err(PublishError::Io(_) | PublishError::Closed), Some(endurance)) => {
                let unanswered = self.links[number].break_off();
                self.fail(number, unanswered, Failure::Reset, endurance);
                Ok(())
            }
            (other, _) => other,
        }
    }

    /// These events have failed: they are sent again, or due to nobody.
    fn fail(&mut self, number: usize, events: Vec<Written>, kind: Failure, endurance: Endurance) {
        let link = &mut self.links[number];
        if endurance.retries {
            events.iter().for_each(|_| self.published.retry(kind));
            link.again(events, AGAIN);
            return;
        }
        let now = stamp::now();
        for (_, asked) in events {
            let waited = stamp::since(asked.due, now);
            self.published.fail(link.way(), kind, waited);
            self.refused.push(asked.event);
        }
    }

    /// Gives up connections without an answer in time, and makes connections anew on which
    /// something is to be sent.
    pub(super) fn mend(&mut self, endurance: Endurance) -> Result<(), PublishError> {
        let since = stamp::now().saturating_sub(endurance.timeout.as_nanos() as u64);
        for number in 0..self.links.len() {
            let link = &mut self.links[number];
            if link.is_overdue(since) {
                let unanswered = link.break_off();
                self.fail(number, unanswered, Failure::Timeout, endurance);
            }
            if !endurance.retries {
                let waiting = self.links[number].take_overdue(since);
                self.fail(number, waiting, Failure::Timeout, endurance);
            }
            let link = &mut self.links[number];
            if link.rests() || !link.is_broken() || link.under_way() == 0 {
                continue;
            }
            let dialled = link.dial(self.poll.registry(), number);
            self.check_dialled(number, dialled, endurance)?;
        }
        Ok(())
    }

    /// A connection that could not be begun is begun to the server's next address. If there is
    /// none, the events that wait for it have failed.
    fn check_dialled(
        &mut self,
        number: usize,
        mut dialled: Result<(), PublishError>,
        endurance: Endurance,
    ) -> Result<(), PublishError> {
        while let Err(PublishError::Io(error)) = &dialled {
            let kind = match error.kind() {
                io::ErrorKind::TimedOut => Failure::Timeout,
                _ => Failure::Refused,
            };
            let link = &mut self.links[number];
            if !link.not_connected() {
                link.rest(AGAIN);
                let waiting = link.take_waiting();
                self.fail(number, waiting, kind, endurance);
                return Ok(());
            }
            dialled = link.dial(self.poll.registry(), number);
        }
        dialled
    }

    /// Whether the connection is there; one that cannot be made is made to another address.
    pub(super) fn is_connected(&mut self, number: usize) -> Result<bool, PublishError> {
        match (self.links[number].connected(), self.endures) {
            (Err(error), Some(endurance)) => {
                self.check_dialled(number, Err(error.into()), endurance)?;
                Ok(false)
            }
            (connected, _) => Ok(connected?),
        }
    }
}
