//! The node's log, which orders the events of several nodes.
//!
//! A node that begins finds the log, reads its history and catches up before it opens its listeners,
//! so that it never serves a past that it does not have. A node that takes over has streams that wait:
//! it goes on from the newest entry of its former program, and does not wait for the log.

use std::net::TcpListener;
use std::time::Duration;

use tokio::sync::watch;

use super::parts::Parts;
use super::{ServerError, config, past};
use crate::bridge::driver::{Beginning, Driver, LogConfig, contact};
use crate::hub::{Hub, HubConfig, Order, Room};
use crate::settings::Settings;
use crate::state::NodeRecord;

/// Name of the part.
const NAME: &str = "the log";

/// Time for the last events to be written when the node ends.
const GRACE: Duration = Duration::from_secs(1);

/// The tasks between the hub and its log.
pub(super) struct SharedLog {
    parts: Parts,
    stop: watch::Sender<bool>,
}

impl SharedLog {
    /// Finds the log, and makes a hub that has read all of it.
    pub(super) async fn begin(
        log: LogConfig,
        admin: &TcpListener,
        settings: &Settings,
        room: Room,
    ) -> Result<(Hub, Self), ServerError> {
        if let Ok(admin) = admin.local_addr() {
            tracing::info!(%admin, "starting: the log is read before anything else is served");
        }
        past::while_starting(admin, settings, async {
            let contact = contact(&log).await?;
            let order = Order::Log {
                birth: contact.birth,
                floor: contact.floor,
            };
            let config = HubConfig {
                order,
                ..config::hub(settings)
            };
            let hub = Hub::start_with(config, room, None)?;
            let (mut joined, caught_up) = Self::join(log, &hub, Beginning::Fresh(contact));
            tokio::select! {
                () = caught_up => Ok((hub, joined)),
                error = joined.failed() => Err(error),
            }
        })
        .await
    }

    /// Joins the hub of a node that takes over.
    pub(super) fn take_over(log: LogConfig, hub: &Hub, former: &NodeRecord) -> Self {
        let begin = Beginning::At {
            head: hub.head(),
            print: former.log_print,
            roster: former.roster,
        };
        Self::join(log, hub, begin).0
    }

    fn join(
        log: LogConfig,
        hub: &Hub,
        begin: Beginning,
    ) -> (Self, impl Future<Output = ()> + Send + use<>) {
        let (stop, stopped) = watch::channel(false);
        let driver = Driver::new(log, hub, begin, stopped);
        let caught_up = driver.caught_up();
        let mut parts = Parts::default();
        parts.start(NAME, driver.run());
        (Self { parts, stop }, caught_up)
    }

    /// Waits until the node cannot follow the log any more.
    pub(super) async fn failed(&mut self) -> ServerError {
        let (name, reason) = self.parts.ended_early().await;
        ServerError::Ended { name, reason }
    }

    /// Ends the tasks, once what is queued was written.
    pub(super) async fn end(mut self) {
        self.stop.send_replace(true);
        self.parts.all_ended(GRACE).await;
    }
}
