//! An event of a run.

use std::sync::Arc;

use crate::core::event::EventId;
use crate::core::history::EventTopics;
use crate::core::sse::Frame;

/// An event of a run.
#[derive(Clone, Debug)]
pub(super) struct RunEvent {
    pub(super) id: EventId,
    pub(super) frame: Frame,
    /// Its topics by name, if some stream is told names.
    pub(super) topics: Option<Arc<EventTopics>>,
}
