//! An upgrade: the next version of the program takes over all streams, listeners and connections
//! within the same process, so that its supervisor and its clients notice nothing.
//!
//! 1. **Check.** The program file is started as a child. It reads the settings and the keys, tries
//!    new addresses, and ends. Nothing has happened yet.
//! 2. **Freeze.** Requests in hand are finished and HTTP/2 streams are ended, while everything is
//!    served. Then the listeners stop accepting, the hub stops publishing, and the shards hand out
//!    their streams.
//! 3. **Rehearse.** The state goes into a sealed file in memory. A child with all descriptors builds
//!    a node from it, uses nothing, says what it has counted, and ends.
//! 4. **Execute.** The process replaces its own program, which takes the state over.
//!
//! **Invariant:** as long as the last step has not succeeded, nothing is lost: a step that fails
//! thaws everything. Two programs never write to a socket: the child of step 3 has ended before
//! step 4.

mod child;
mod connections;
mod counts;
mod descriptors;
mod error;
mod frozen;
mod handover;
mod image;
mod memory_file;
mod rehearse;
mod role;
mod step;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use crate::admin::{UpgradeRefused, UpgradeReport, UpgradeRequest, Upgrades};
use crate::clock::unix_ms;
use crate::hub::Frozen;
use crate::logging;
use crate::state::NodeRecord;

use self::child::ChildError;
pub(super) use self::connections::{http_from, proof, resp_from};
use self::counts::Counts;
use self::error::UpgradeError;
pub use self::handover::{Handover, HandoverError};
use self::image::Identity;
pub use self::image::Image;
pub use self::rehearse::{check, end_with_parent, rehearse};
pub use self::role::Role;
use self::step::Step;
use super::Node;

/// Time that HTTP/2 streams have to send their end. They cannot move.
const BODIES_MAX: Duration = Duration::from_secs(2);

/// Longest wait for the log within the pause. Almost all lines were written before.
const LOG_MAX: Duration = Duration::from_millis(20);

/// Longest wait for the end of a check that is given up. Only a system that starts no process takes
/// as long.
const GIVE_UP_MAX: Duration = Duration::from_secs(1);

/// A program that was checked.
pub(super) struct Checked {
    identity: Identity,
    request: Option<UpgradeRequest>,
}

/// What an [`Upgrader`] waited for.
pub(super) enum Next {
    /// An upgrade was asked for.
    Requested(UpgradeRequest),
    /// A program was checked and is fit.
    Checked(Checked),
}

/// A check that runs.
struct Checking {
    outcome: oneshot::Receiver<Result<Identity, UpgradeError>>,
    /// The request to be answered.
    request: Option<UpgradeRequest>,
    /// Ends its child.
    is_unwanted: Arc<AtomicBool>,
}

/// The upgrades of a running process.
pub(super) struct Upgrader {
    image: Image,
    requests: mpsc::Receiver<UpgradeRequest>,
    upgrades: Upgrades,
    checking: Option<Checking>,
}

impl Upgrader {
    pub(super) fn new(
        image: Image,
        upgrades: Upgrades,
        requests: mpsc::Receiver<UpgradeRequest>,
    ) -> Self {
        Self {
            image,
            requests,
            upgrades,
            checking: None,
        }
    }

    /// Waits for a request of the admin listener, or for the end of a check. Cancelling loses
    /// nothing.
    pub(super) async fn next(&mut self) -> Next {
        loop {
            let checked = async {
                match &mut self.checking {
                    Some(checking) => (&mut checking.outcome).await,
                    None => std::future::pending().await,
                }
            };
            let checked = tokio::select! {
                Some(request) = self.requests.recv() => return Next::Requested(request),
                checked = checked => checked,
            };
            let request = self.checking.take().and_then(|checking| checking.request);
            match checked {
                Ok(Ok(identity)) => return Next::Checked(Checked { identity, request }),
                Ok(Err(error)) => {
                    let reason = self.failed(&error);
                    if let Some(request) = request {
                        let _ = request.send(Err(UpgradeRefused::Unfit(reason)));
                    }
                }
                // A panic ends the process in its own way.
                Err(_) => self.upgrades.change(|status| status.running = false),
            }
        }
    }

    /// Gives up a check, and refuses all requests: the node is about to end. Its child has ended
    /// afterwards.
    pub(super) async fn close(self) {
        let Some(checking) = self.checking else {
            return;
        };
        tracing::warn!("the node is about to end and is not upgraded; the check is given up");
        checking.is_unwanted.store(true, Ordering::Relaxed);
        let _ended = timeout(GIVE_UP_MAX, checking.outcome).await;
        self.upgrades.change(|status| status.running = false);
    }

    /// Starts to check the program file, on a thread of its own. Without a request, the outcome is
    /// only logged.
    pub(super) fn check(&mut self, node: &Node, request: Option<UpgradeRequest>) {
        if self.checking.is_some() {
            let refused = UpgradeRefused::NotNow("an upgrade is under way");
            match request {
                Some(request) => _ = request.send(Err(refused)),
                None => tracing::warn!("an upgrade is under way; the signal is ignored"),
            }
            return;
        }
        tracing::info!(program = %self.image.path().display(), "an upgrade is being checked");
        let (image, addresses) = (self.image.clone(), node.configured.to_vec());
        self.upgrades.change(|status| {
            status.attempts += 1;
            status.running = true;
        });
        let is_unwanted = Arc::new(AtomicBool::new(false));
        let unwanted = Arc::clone(&is_unwanted);
        let (say, mut outcome) = oneshot::channel();
        let path = image.path().to_owned();
        let check = move || _ = say.send(checked(&image, &addresses, &unwanted));
        // Without a thread, tokio panics or keeps the task for ever.
        if let Err(error) = thread::Builder::new().spawn(check) {
            let source = ChildError::Spawn(error);
            let (say, failed) = oneshot::channel();
            let _ = say.send(Err(UpgradeError::Check { path, source }));
            outcome = failed;
        }
        self.checking = Some(Checking {
            outcome,
            request,
            is_unwanted,
        });
    }

    /// Hands over to a program that was checked. Returns only if that fails; then the node serves
    /// as before.
    pub(super) async fn hand_over(&mut self, node: &mut Node, checked: Checked) {
        if let Some(request) = checked.request {
            let _ = request.send(Ok(self.upgrades.status().attempts));
        }
        let Err(error) = self.try_hand_over(node, checked.identity).await;
        self.failed(&error);
    }

    /// Notes a failure; returns the reason.
    fn failed(&self, error: &UpgradeError) -> String {
        let reason = error.to_string();
        tracing::error!("not upgraded, the running program goes on: {reason}");
        self.upgrades.change(|status| {
            status.running = false;
            status.last = Some(UpgradeReport {
                number: status.attempts,
                failed: Some(reason.clone()),
                from: status.version.clone(),
                to: status.version.clone(),
                streams: 0,
                events: 0,
                connections: 0,
                pause_ms: 0,
            });
        });
        reason
    }

    async fn try_hand_over(
        &self,
        node: &mut Node,
        identity: Identity,
    ) -> Result<Infallible, UpgradeError> {
        // Everything is served meanwhile: nobody waits for a slow log, or a slow client.
        logging::flush(logging::FLUSH_MAX);
        node.settle_listeners().await;
        node.hub.dismiss_bodies(BODIES_MAX).await?;
        let began_unix_ms = unix_ms();
        let frozen = node.freeze_listeners().await;
        let result = match frozen {
            Ok(()) => {
                self.with_frozen_listeners(node, identity, began_unix_ms)
                    .await
            }
            Err(error) => Err(error),
        };
        node.thaw_listeners();
        result
    }

    async fn with_frozen_listeners(
        &self,
        node: &mut Node,
        identity: Identity,
        began_unix_ms: u64,
    ) -> Result<Infallible, UpgradeError> {
        step::reach(Step::Freeze)?;
        let frozen = node.hub.freeze().await?;
        let result = self.with_frozen_hub(node, &frozen, identity, began_unix_ms);
        frozen.thaw().await;
        result
    }

    /// Writes, rehearses, and executes. Blocks: nothing else is to happen now.
    fn with_frozen_hub(
        &self,
        node: &Node,
        frozen: &Frozen,
        identity: Identity,
        began_unix_ms: u64,
    ) -> Result<Infallible, UpgradeError> {
        step::reach(Step::Write)?;
        let mut counts = Counts::default();
        let record = NodeRecord {
            program: env!("CARGO_PKG_VERSION").into(),
            written_unix_ms: began_unix_ms,
            generation: self.upgrades.status().attempts,
            ..NodeRecord::default()
        };
        let file = memory_file::written(|out| node.write(record, frozen, out, &mut counts));
        let file = file.map_err(UpgradeError::State)?;
        step::reach(Step::Pass)?;
        let pass = |is_inherited| {
            node.set_inherited(frozen, is_inherited)?;
            descriptors::set_inherited([file.as_fd()], is_inherited)
        };
        let passed = pass(true).map_err(UpgradeError::State);
        let result = passed.and_then(|()| self.rehearse_and_execute(&file, identity, counts));
        // If the system refuses, a later child would have them, too. It ends soon.
        let _ = pass(false);
        result
    }

    fn rehearse_and_execute(
        &self,
        file: &std::fs::File,
        identity: Identity,
        counts: Counts,
    ) -> Result<Infallible, UpgradeError> {
        step::reach(Step::Rehearse)?;
        let path = || self.image.path().to_owned();
        let descriptor = memory_file::number(file);
        let bytes = file.metadata().map_err(UpgradeError::State)?.len();
        let rehearsal = self.image.child(&Role::Rehearse(descriptor));
        // Nothing else happens meanwhile: signals to end wait.
        let is_unwanted = AtomicBool::new(false);
        let said = child::run(
            rehearsal,
            child::longest_with(bytes, counts.sockets()),
            &is_unwanted,
        );
        let said = said.map_err(|source| UpgradeError::Rehearsal {
            path: path(),
            source,
        })?;
        step::reach(Step::Compare)?;
        let digest = memory_file::digest(file).map_err(UpgradeError::State)?;
        if said.digest != Some(digest) {
            return Err(UpgradeError::Digest);
        }
        if said.adopted != Some(counts) {
            let found = said.adopted.map(|counts| counts.to_string());
            return Err(UpgradeError::Counts {
                expected: counts,
                found: found.unwrap_or_else(|| "nothing".to_owned()),
            });
        }
        step::reach(Step::Identify)?;
        let now = self.image.identity().map_err(|source| UpgradeError::File {
            path: path(),
            source,
        })?;
        if now != identity {
            return Err(UpgradeError::Changed(path()));
        }
        step::reach(Step::Execute)?;
        logging::flush(LOG_MAX);
        let source = self.image.execute(&Role::TakeOver(descriptor));
        Err(UpgradeError::Execute {
            path: path(),
            source,
        })
    }
}

/// Checks a program file; returns which one it was.
fn checked(
    image: &Image,
    addresses: &[SocketAddr],
    is_unwanted: &AtomicBool,
) -> Result<Identity, UpgradeError> {
    step::reach(Step::Check)?;
    let path = || image.path().to_owned();
    let identity = image.identity().map_err(|source| UpgradeError::File {
        path: path(),
        source,
    })?;
    let said = child::run(
        image.child(&Role::Check(addresses.to_vec())),
        child::LONGEST,
        is_unwanted,
    );
    said.map_err(|source| UpgradeError::Check {
        path: path(),
        source,
    })?;
    Ok(identity)
}
