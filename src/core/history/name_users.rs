//! Whether any stream is told the topics of its events.
//!
//! Names cost work and memory for each event. So an event is posted with the names of its topics
//! only while a stream exists that is told them.

use std::sync::Arc;

/// The count of [`NameUser`]s.
#[derive(Debug, Default)]
pub(super) struct NameUsers(Arc<()>);

/// While it exists, events are posted with the names of their topics. A stream that is told topics
/// has one on its way to a shard and while it is parked; a shard with such streams has one.
#[derive(Clone, Debug)]
pub struct NameUser(#[allow(dead_code, reason = "it is only counted")] Arc<()>);

impl NameUsers {
    pub(super) fn add(&self) -> NameUser {
        NameUser(Arc::clone(&self.0))
    }

    pub(super) fn any(&self) -> bool {
        Arc::strong_count(&self.0) > 1
    }
}
