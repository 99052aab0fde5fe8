//! The run of a node: it acts on signals, requests for upgrades and clocks, until it has drained.

use std::future::pending;
use std::path::PathBuf;
use std::pin::{Pin, pin};

use tokio::time::{Instant, sleep_until};

use super::inherited::Inherited;
use super::keys::Loaded;
use super::report::Report;
use super::signals::{Signals, Told};
use super::start::Origin;
use super::supervisor::{Supervisor, keep_alive};
use super::take_over::TakeOver;
use super::upgrade::{Handover, Image, Next, Upgrader};
use super::upkeep::NodeUpkeep;
use super::{Node, Outcome, ServerError};
use crate::admin::Upgrades;
use crate::settings::Settings;

/// How a process starts.
pub struct Start {
    /// Its program file.
    pub image: Image,
    /// The configuration file.
    pub config: Option<PathBuf>,
    /// Inherited sockets.
    pub inherited: Inherited,
    /// The state of the program that ran in this process before.
    pub handover: Option<Handover>,
}

/// Runs a node until SIGTERM or SIGINT; it then drains. A second signal ends it at once. The
/// signals must be blocked ([`block_signals`](super::block_signals)).
///
/// # Errors
/// [`ServerError`] if it cannot start, or cannot go on.
pub async fn run(settings: Settings, keys: Loaded, start: Start) -> Result<Outcome, ServerError> {
    let mut signals = Signals::listen().map_err(ServerError::Signals)?;
    let (upgrades, requests) = Upgrades::new();
    let has_taken_over = start.handover.is_some();
    let mut origin = Origin {
        inherited: start.inherited,
        take_over: None,
        upgrades: Some(upgrades.clone()),
    };
    if let Some(handover) = start.handover {
        let mut take_over = TakeOver::new(handover, &settings);
        origin.inherited = take_over.inherited();
        origin.take_over = Some(take_over);
    }
    let node = tokio::select! {
        node = Node::start_with(settings.clone(), keys, origin) => node?,
        // It may take a while to load a history, or to wait for it.
        () = signals.end(), if !has_taken_over => {
            tracing::info!("ended by a signal before it served");
            return Ok(Outcome::Drained);
        }
    };
    if !has_taken_over {
        node.announce(settings, start.config);
    }
    let supervisor = Supervisor::from_environment();
    // Ends with the runtime.
    tokio::spawn(keep_alive(supervisor.clone(), node.hub.clone()));
    let upgrader = Upgrader::new(start.image, upgrades, requests);
    let run = Run::new(node, signals, Some(upgrader), supervisor);
    run.finish().await
}

/// A node that runs.
struct Run {
    node: Node,
    signals: Signals,
    /// `None` = the node is not upgraded, or not any more.
    upgrader: Option<Upgrader>,
    supervisor: Supervisor,
    upkeep: NodeUpkeep,
    report: Report,
    /// Ends when the keys were read again.
    reload: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    /// When the drain begins, once the node was told to end.
    drain_at: Option<Instant>,
}

/// Why a node stops serving as before.
enum Stop {
    /// The drain is due.
    Drain,
    /// One of its parts has ended.
    Failed(ServerError),
    /// A second signal came.
    Forced,
}

impl Run {
    fn new(
        node: Node,
        signals: Signals,
        upgrader: Option<Upgrader>,
        supervisor: Supervisor,
    ) -> Self {
        Self {
            upkeep: NodeUpkeep::new(&node.hub),
            report: Report::begin(&supervisor),
            node,
            signals,
            upgrader,
            supervisor,
            reload: None,
            drain_at: None,
        }
    }

    /// Runs until a signal ends the node, or one of its parts fails. Both drain it.
    async fn finish(mut self) -> Result<Outcome, ServerError> {
        let failure = match self.serve().await {
            Stop::Drain => None,
            Stop::Failed(error) => Some(error),
            Stop::Forced => return Ok(forced()),
        };
        if let Some(error) = &failure {
            tracing::error!("{error}; the node drains and ends");
            self.report.stopping(self.node.drained_by(Instant::now()));
            self.close_upgrader().await;
        }
        let outcome = self.drain().await;
        failure.map_or(Ok(outcome), Err)
    }

    /// Serves until the node is to drain.
    async fn serve(&mut self) -> Stop {
        loop {
            tokio::select! {
                told = self.signals.next() => match told {
                    Told::End if self.drain_at.is_some() => return Stop::Forced,
                    Told::End => self.leave().await,
                    Told::Reload => self.reload(),
                    Told::Upgrade => self.check(),
                },
                () = due(self.drain_at) => return Stop::Drain,
                () = ended(&mut self.reload) => {
                    self.reload = None;
                    self.supervisor.ready();
                }
                () = self.report.next() => self.report.make(&self.node.hub),
                () = self.upkeep.next() => self.upkeep.turn(&self.node.hub),
                error = self.node.failed() => return Stop::Failed(error),
                next = next(&mut self.upgrader) => self.upgrade(next).await,
            }
        }
    }

    async fn drain(&mut self) -> Outcome {
        let hub = self.node.hub.clone();
        let mut drain = pin!(self.node.drain());
        loop {
            tokio::select! {
                drained = &mut drain => return Outcome::from(drained),
                () = self.signals.end() => return forced(),
                () = self.report.next() => self.report.make(&hub),
                () = self.upkeep.next() => self.upkeep.turn(&hub),
            }
        }
    }

    /// The node was told to end.
    async fn leave(&mut self) {
        let begins = self.node.leave();
        self.report.stopping(self.node.drained_by(begins));
        self.drain_at = Some(begins);
        self.close_upgrader().await;
    }

    /// A node that is about to end has nothing to hand over.
    async fn close_upgrader(&mut self) {
        if let Some(upgrader) = self.upgrader.take() {
            upgrader.close().await;
        }
    }

    /// The node was told to read its keys again.
    fn reload(&mut self) {
        self.supervisor.reloading();
        self.node.reload();
        self.reload = Some(Box::pin(self.node.keys.reloaded()));
    }

    /// The node was told to be upgraded.
    fn check(&mut self) {
        match &mut self.upgrader {
            Some(upgrader) => upgrader.check(&self.node, None),
            None => tracing::warn!("the node is about to end and is not upgraded"),
        }
    }

    async fn upgrade(&mut self, next: Next) {
        let Some(upgrader) = &mut self.upgrader else {
            return;
        };
        match next {
            Next::Requested(request) => upgrader.check(&self.node, Some(request)),
            Next::Checked(checked) => {
                self.supervisor.reloading();
                upgrader.hand_over(&mut self.node, checked).await;
                self.supervisor.ready();
            }
        }
    }
}

fn forced() -> Outcome {
    tracing::warn!("ended by a second signal, without draining");
    Outcome::Forced
}

/// Waits for the end of a future, if there is one.
async fn ended(future: &mut Option<Pin<Box<dyn Future<Output = ()> + Send>>>) {
    match future {
        Some(future) => future.await,
        None => pending().await,
    }
}

/// Waits for a time, if there is one.
async fn due(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => pending().await,
    }
}

/// Waits for the next step of an upgrade, if there is an upgrader.
async fn next(upgrader: &mut Option<Upgrader>) -> Next {
    match upgrader {
        Some(upgrader) => upgrader.next().await,
        None => pending().await,
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpStream;
    use std::time::Duration;

    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_part_that_failed_cut_all_streams_without_a_word() {
        let settings = Settings {
            drain_period: Duration::ZERO,
            ..Settings::on_free_ports()
        };
        let mut node = Node::start(settings).await.expect("a node");
        let mut stream = TcpStream::connect(node.addresses.http).expect("it listens");
        let request = b"GET /events/t HTTP/1.1\r\nHost: localhost\r\n\r\n";
        stream.write_all(request).expect("a request");
        let mut start = [0; 12];
        stream.read_exact(&mut start).expect("an answer");
        let reader = std::thread::spawn(move || {
            let mut rest = String::new();
            stream.read_to_string(&mut rest).map(|_| rest)
        });

        let signals = Signals::listen().expect("signals");
        node.parts
            .start("a listener", async { Err::<(), _>("no such device") });
        let run = Run::new(node, signals, None, Supervisor::default());
        let outcome = run.finish().await;
        let error = outcome.expect_err("it cannot go on").to_string();
        assert!(error.contains("a listener: no such device"), "{error}");
        let rest = reader.join().expect("no panic").expect("no reset");
        assert_eq!(rest.matches("retry: ").count(), 1, "{rest}");
        assert!(rest.ends_with("\r\n0\r\n\r\n"), "{rest}");
    }
}
