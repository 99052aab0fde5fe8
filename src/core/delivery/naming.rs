//! The streams of a shard that are told the topics of their events.

use crate::core::history::NameUser;
use crate::core::sse::Encoding;

/// While a shard has such streams, events are posted to it with the names of their topics.
#[derive(Debug, Default)]
pub(crate) struct Naming {
    streams: usize,
    user: Option<NameUser>,
}

impl Naming {
    /// A stream is adopted. `Some` = it is told topics.
    pub(crate) fn add(&mut self, user: Option<NameUser>) {
        if let Some(user) = user {
            self.streams += 1;
            self.user = Some(user);
        }
    }

    /// A stream of this encoding leaves the shard. If it is told topics, it may go on elsewhere
    /// with the result.
    pub(crate) fn remove(&mut self, encoding: Encoding) -> Option<NameUser> {
        if !encoding.has_topics() {
            return None;
        }
        self.streams -= 1;
        if self.streams == 0 {
            self.user.take()
        } else {
            self.user.clone()
        }
    }
}
