//! Takes the state directory, and loads the history of the process before while health checks are
//! answered.

use std::net::TcpListener;
use std::time::Duration;

use tokio::sync::oneshot;

use super::apart::apart_or_here;
use super::parts::Parts;
use super::state_dir::{Locked, Past, StateDir, StateDirError};
use super::{ServerError, config};
use crate::admin;
use crate::orders::control;
use crate::settings::Settings;

/// Time for the last answers of the admin listener before the node has started.
const STARTING_GRACE: Duration = Duration::from_millis(100);

/// Takes the directory as soon as the node before gives it up. Must come before public listening:
/// beside a node that drains, clients would wait in the queues of one that serves nobody yet.
pub(super) async fn lock(
    directory: StateDir,
    admin: &TcpListener,
    settings: &Settings,
) -> Result<Locked, ServerError> {
    if let Ok(admin) = admin.local_addr() {
        tracing::info!(%admin, "starting: the history is loaded before anything else is served");
    }
    while_alive(admin, settings, move || directory.lock()).await
}

/// Loads the history of the process before.
pub(super) async fn load(
    directory: Locked,
    admin: &TcpListener,
    settings: &Settings,
) -> Result<Past, ServerError> {
    while_alive(admin, settings, move || directory.open()).await
}

/// Makes a call that blocks. The admin listener answers meanwhile: the node is alive, and not
/// ready.
async fn while_alive<T: Send + 'static>(
    admin: &TcpListener,
    settings: &Settings,
    call: impl FnOnce() -> Result<T, StateDirError> + Send + 'static,
) -> Result<T, ServerError> {
    let (say, said) = oneshot::channel();
    let called = apart_or_here(move || _ = say.send(call()));
    while_starting(admin, settings, called).await;
    match said.await {
        Ok(called) => Ok(called?),
        Err(_) => Err(ServerError::Ended {
            name: "the loading of the history",
            reason: "it panicked".to_owned(),
        }),
    }
}

/// Waits for something that must come before the node serves. The admin listener answers meanwhile.
pub(super) async fn while_starting<T>(
    admin: &TcpListener,
    settings: &Settings,
    wait: impl Future<Output = T>,
) -> T {
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
    let done = wait.await;
    control.stop();
    starting.all_ended(STARTING_GRACE).await;
    done
}
