//! The parts of a node that run beside each other, with their names.
//!
//! A part must not end before it is told to: a node without one of its parts would still look
//! alive.

use std::convert::Infallible;
use std::fmt::Display;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::timeout;

/// Listeners and background tasks. Dropping it ends them.
#[derive(Default)]
pub(super) struct Parts(JoinSet<Ended>);

/// A part that has ended, and its reason.
struct Ended {
    name: &'static str,
    reason: Option<String>,
}

impl Parts {
    /// Starts a part.
    pub(super) fn start<E: Display>(
        &mut self,
        name: &'static str,
        part: impl Future<Output = Result<(), E>> + Send + 'static,
    ) {
        self.0.spawn(async move {
            let reason = part.await.err().map(|error| error.to_string());
            Ended { name, reason }
        });
    }

    /// Starts a part that can end only when told to, or by a panic.
    pub(super) fn start_infallible(
        &mut self,
        name: &'static str,
        part: impl Future<Output = ()> + Send + 'static,
    ) {
        self.start(name, async move {
            part.await;
            Ok::<(), Infallible>(())
        });
    }

    /// Waits until a part ends; returns its name and the reason.
    pub(super) async fn ended_early(&mut self) -> (&'static str, String) {
        let (name, reason) = match self.0.join_next().await {
            Some(Ok(Ended { name, reason })) => (name, reason),
            Some(Err(panic)) => ("(unknown)", Some(panic.to_string())),
            None => ("(any)", None),
        };
        (
            name,
            reason.unwrap_or_else(|| "it gave no reason".to_owned()),
        )
    }

    /// Waits until all parts have ended, but no longer than `longest`. The runtime's end cuts the
    /// others.
    pub(super) async fn all_ended(&mut self, longest: Duration) {
        let joined = async { while self.0.join_next().await.is_some() {} };
        let _ = timeout(longest, joined).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_part_that_ends_is_named_with_its_reason() {
        let mut parts = Parts::default();
        parts.start_infallible("a listener", std::future::pending());
        parts.start("a watcher", async { Err::<(), _>("no such device") });
        let ended = parts.ended_early().await;
        assert_eq!(ended, ("a watcher", "no such device".to_owned()));
        parts.start_infallible("a keeper", async {});
        let ended = parts.ended_early().await;
        assert_eq!(ended, ("a keeper", "it gave no reason".to_owned()));
    }

    #[tokio::test]
    async fn a_part_that_panics_ends_the_node() {
        let mut parts = Parts::default();
        parts.start_infallible("a task", async { panic!("a defect") });
        let (_, reason) = parts.ended_early().await;
        assert!(reason.contains("a defect"), "{reason}");
    }
}
