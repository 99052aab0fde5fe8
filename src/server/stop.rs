//! The signal to stop.

use tokio::sync::watch;

/// Waits for the signal to stop. A dropped sender counts as one.
pub(crate) async fn stopped(shutdown: &mut watch::Receiver<bool>) {
    let _seen_or_gone = shutdown.wait_for(|stop| *stop).await;
}
