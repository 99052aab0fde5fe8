//! Loads the history of the process before, while health checks are answered.

use std::net::TcpListener;
use std::time::Duration;

use super::parts::Parts;
use super::state_dir::{Past, StateDir};
use super::{ServerError, config};
use crate::admin;
use crate::orders::control;
use crate::settings::Settings;

/// Time for the last answers of the admin listener before the node has started.
const STARTING_GRACE: Duration = Duration::from_millis(100);

/// Loads the history of the process before. The admin listener answers meanwhile: the node is
/// alive, and not ready.
pub(super) async fn load(
    directory: StateDir,
    admin: &TcpListener,
    settings: &Settings,
) -> Result<Past, ServerError> {
    if let Ok(admin) = admin.local_addr() {
        tracing::info!(%admin, "starting: the history is loaded before anything else is served");
    }
    let (control, follower) = control();
    let mut starting = Parts::default();
    if let Ok(admin) = admin.try_clone() {
        // Connections that wait in the queue at the end are the node's.
        let config = config::shared_admin(settings, true);
        starting.start(
            "the admin listener",
            admin::serve_starting(admin, config, follower),
        );
    }
    let loaded = tokio::task::spawn_blocking(move || directory.open()).await;
    control.stop();
    starting.all_ended(STARTING_GRACE).await;
    match loaded {
        Ok(past) => Ok(past?),
        Err(panic) => Err(ServerError::Ended {
            name: "the loading of the history",
            reason: panic.to_string(),
        }),
    }
}
