//! What the admin listener knows of upgrades: it asks for one, and shows how the last one ended.
//!
//! The answer to a request cannot wait for the upgrade: all requests are finished before it begins.
//! So a request is accepted once the next program has been checked, and its outcome is asked for.

use std::sync::Arc;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot};

/// How an upgrade ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpgradeReport {
    /// Number of the attempt. The first one of a node is 1.
    pub number: u64,
    /// Why the old program goes on; `None` if the new one took over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed: Option<String>,
    /// The version that was running.
    pub from: String,
    /// The version that is running now.
    pub to: String,
    /// Streams that moved.
    pub streams: usize,
    /// Events that moved.
    pub events: usize,
    /// Connections that are no streams, and moved.
    pub connections: usize,
    /// Time for which publishers waited.
    pub pause_ms: u64,
}

/// The upgrades of a node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpgradeStatus {
    /// The version that is running.
    pub version: String,
    /// Attempts so far.
    pub attempts: u64,
    /// Whether one is under way.
    pub running: bool,
    /// The last one.
    pub last: Option<UpgradeReport>,
}

/// Why an upgrade was not begun.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UpgradeRefused {
    /// One is under way, or the node is about to end.
    NotNow(&'static str),
    /// The next program was checked and cannot take over.
    Unfit(String),
}

/// A request. Its answer is the number of the attempt that begins.
pub type UpgradeRequest = oneshot::Sender<Result<u64, UpgradeRefused>>;

/// Asks for upgrades, and has their status. Cheap to clone.
#[derive(Clone)]
pub struct Upgrades {
    requests: mpsc::Sender<UpgradeRequest>,
    status: Arc<Mutex<UpgradeStatus>>,
}

impl Upgrades {
    /// The upgrades of a node, and the requests that it has to answer.
    #[must_use]
    pub fn new() -> (Self, mpsc::Receiver<UpgradeRequest>) {
        let (requests, receiver) = mpsc::channel(1);
        let status = UpgradeStatus {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            ..UpgradeStatus::default()
        };
        let upgrades = Self {
            requests,
            status: Arc::new(Mutex::new(status)),
        };
        (upgrades, receiver)
    }

    /// The status now.
    #[must_use]
    pub fn status(&self) -> UpgradeStatus {
        self.status.lock().clone()
    }

    /// Changes the status.
    pub fn change(&self, change: impl FnOnce(&mut UpgradeStatus)) {
        change(&mut self.status.lock());
    }

    /// Asks for an upgrade. Returns its number once it is about to begin.
    ///
    /// # Errors
    /// [`UpgradeRefused`] if it does not begin.
    pub async fn ask(&self) -> Result<u64, UpgradeRefused> {
        // The node looks for requests again when it has ended, and waits for those in hand before.
        if self.status.lock().running {
            return Err(UNDER_WAY);
        }
        let (request, answer) = oneshot::channel();
        match self.requests.try_send(request) {
            Ok(()) => {}
            Err(mpsc::error::TrySendError::Full(_)) => return Err(UNDER_WAY),
            Err(mpsc::error::TrySendError::Closed(_)) => return Err(ENDS),
        }
        answer.await.unwrap_or(Err(ENDS))
    }
}

const ENDS: UpgradeRefused = UpgradeRefused::NotNow("the node is shutting down");

const UNDER_WAY: UpgradeRefused = UpgradeRefused::NotNow("an upgrade is under way");

#[cfg(test)]
mod tests {
    use super::*;

    /// The upgrade waited two seconds for the request, then cut its connection; or the request
    /// began another upgrade when the first had failed.
    #[tokio::test]
    async fn a_request_during_an_upgrade_is_refused_at_once() {
        let (upgrades, mut requests) = Upgrades::new();
        upgrades.change(|status| status.running = true);
        assert_eq!(upgrades.ask().await, Err(UNDER_WAY));
        assert!(requests.try_recv().is_err());
        upgrades.change(|status| status.running = false);
        let answered = async {
            let request = requests.recv().await.expect("a request");
            request.send(Ok(7)).expect("it waits");
        };
        let (asked, ()) = tokio::join!(upgrades.ask(), answered);
        assert_eq!(asked, Ok(7));
    }
}
