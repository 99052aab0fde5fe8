//! A node's life within another program.

use thiserror::Error;

use super::Hub;
use crate::node::{self, Addresses, ServerError};
use crate::settings::{ConfigError, Settings};

/// A running node: its listeners, and the hub behind them.
///
/// It lives on the tokio runtime on which it was started. Dropping it ends everything that it
/// started, and cuts open connections; [`Node::drain`] ends it gracefully. It logs through
/// `tracing`, handles no signals and ends no process.
///
/// ```no_run
/// use fantail::{Event, Node, Settings};
///
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let node = Node::start(Settings::on_free_ports()).await?;
/// println!("curl -N http://{}/events/news", node.addresses().http);
/// node.hub().publish(Event::new("news", "hello")).await?;
/// node.drain().await;
/// # Ok(())
/// # }
/// ```
pub struct Node(node::Node);

/// Why a node did not start, or cannot go on.
#[derive(Debug, Error)]
#[error(transparent)]
pub struct NodeError(#[from] Cause);

#[derive(Debug, Error)]
enum Cause {
    #[error(transparent)]
    Settings(#[from] ConfigError),
    #[error(transparent)]
    Node(#[from] ServerError),
}

impl NodeError {
    /// The settings are refused, so that another attempt with them fails as well.
    #[must_use]
    pub fn is_settings(&self) -> bool {
        matches!(self.0, Cause::Settings(_))
    }
}

impl Node {
    /// Checks the settings, reads the keys of tokens, opens the listeners and starts the shards.
    ///
    /// # Errors
    /// [`NodeError`] if the settings are refused, an address is taken, a key cannot be read or the
    /// system refuses.
    pub async fn start(settings: Settings) -> Result<Self, NodeError> {
        settings.check().map_err(Cause::from)?;
        let node = node::Node::start(settings).await.map_err(Cause::from)?;
        Ok(Self(node))
    }

    /// Addresses of its listeners, with the ports that the system chose for port 0.
    #[must_use]
    pub fn addresses(&self) -> Addresses {
        self.0.addresses()
    }

    /// The hub: for publishing, and for the open streams.
    #[must_use]
    pub fn hub(&self) -> Hub {
        Hub::new(self.0.hub().clone())
    }

    /// Waits for a part of the node to fail. The program should then drain or drop the node, and
    /// start another.
    pub async fn failed(&mut self) -> NodeError {
        Cause::from(self.0.failed().await).into()
    }

    /// Ends the node gracefully. `/readyz` answers 503, and `drain_delay` passes. Then open streams
    /// are told when to reconnect and are closed in even steps over `drain_period`; clients that ask
    /// for a stream are told the same. Then the listeners and the shards end. Returns the number of
    /// streams that had to be cut.
    pub async fn drain(mut self) -> usize {
        self.0.leave_and_drain().await.streams_cut
    }

    /// Ends the node at once, and waits for its threads. Streams are cut; their clients reconnect
    /// by themselves.
    pub async fn stop(mut self) {
        self.0.end_hub().await;
    }
}
