//! What a state consists of. Both sides count; the hand-over needs the same result.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::core::desk::DeskRecord;
use crate::core::history::Record;
use crate::plural::Counted;

/// Numbers of records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::node) struct Counts {
    /// Parked streams.
    pub(super) streams: usize,
    /// Topics.
    pub(super) topics: usize,
    /// Kept events, once for each of their topics.
    pub(super) events: usize,
    /// All other records of the desk.
    pub(super) others: usize,
    /// Connections that are no streams.
    pub(super) connections: usize,
}

impl Counts {
    /// Streams and other connections.
    pub(super) fn sockets(&self) -> usize {
        self.streams + self.connections
    }

    /// Counts a record of the desk.
    pub(super) fn add(&mut self, record: &DeskRecord) {
        let count = match record {
            DeskRecord::Store(Record::Topic { .. }) => &mut self.topics,
            DeskRecord::Store(Record::Event { .. }) => &mut self.events,
            _ => &mut self.others,
        };
        *count += 1;
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            streams,
            topics,
            events,
            others,
            connections,
        } = self;
        write!(
            f,
            "{}, {}, {}, {}, {}",
            Counted(*streams, "stream"),
            Counted(*topics, "topic"),
            Counted(*events, "event"),
            Counted(*connections, "connection"),
            Counted(*others, "other"),
        )
    }
}

/// What a child says when it has done its part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Said {
    /// The version of its program.
    pub(super) fantail: String,
    /// What it has built; `None` if it had no state.
    pub(super) adopted: Option<Counts>,
    /// Checksum of the state that it has read.
    pub(super) digest: Option<u32>,
}

#[cfg(test)]
mod tests {
    use super::super::child::{LONGEST, longest_with};
    use super::*;

    /// A rehearsal with many connections had no more time than one with none.
    #[test]
    fn time_for_a_rehearsal_was_given_for_streams_alone() {
        let counts = Counts {
            streams: 30_000,
            connections: 30_000,
            ..Counts::default()
        };
        let more = longest_with(0, counts.sockets()) - LONGEST;
        assert_eq!(more.as_secs(), 3);
    }
}
