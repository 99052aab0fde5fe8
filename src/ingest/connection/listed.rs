//! A connection's place in the list of clients.

use std::sync::Arc;

use crate::ingest::Port;

/// A connection's entry in the list of clients, and in the counts. Dropping it removes both.
pub(super) struct Listed {
    port: Arc<Port>,
    id: u64,
    is_ending: bool,
}

impl Listed {
    pub(super) fn new(port: &Arc<Port>, id: u64) -> Self {
        port.hub.node_metrics().ingest_connections.add(1);
        Self {
            port: Arc::clone(port),
            id,
            is_ending: false,
        }
    }

    /// Its client has all of its answers. A freeze does not wait for it.
    pub(super) fn begin_to_end(&mut self) {
        self.is_ending = true;
        self.port.ending.add(1);
    }
}

impl Drop for Listed {
    fn drop(&mut self) {
        self.port.clients.leave(self.id);
        self.port.hub.node_metrics().ingest_connections.sub(1);
        if self.is_ending {
            self.port.ending.sub(1);
        }
    }
}
