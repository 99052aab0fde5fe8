//! The child's side: all that a start does before it serves.

use std::net::SocketAddr;

use rustix::process::{Signal, set_parent_process_death_signal};
use thiserror::Error;

use crate::hub::{Hub, RestoreError};
use crate::settings::Settings;

use super::super::files::{self, Plan};
use super::super::keys::{self, LoadError, Loaded};
use super::super::state_dir::{StateDir, StateDirError};
use super::super::{config, sockets};
use super::connections::{http_from, resp_from};
use super::counts::{Counts, Said};
use super::handover::Handover;

/// Why this program cannot take over.
#[derive(Debug, Error)]
pub enum RehearsalError {
    /// An address is taken.
    #[error("cannot listen on {address}: {source}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// The system's error.
        source: std::io::Error,
    },
    /// Keys cannot be fetched.
    #[error(transparent)]
    Keys(#[from] LoadError),
    /// The state directory cannot be used.
    #[error(transparent)]
    StateDir(#[from] StateDirError),
    /// The running node orders its events itself.
    #[error(
        "`log` is set, and the running node has none: an upgrade keeps the order of events. Leave `log` out, or stop the node and start it with one"
    )]
    NewLog,
    /// The running node has a log.
    #[error(
        "`log` is not set, and the running node has one: an upgrade keeps the order of events. Set `log`, or stop the node and start it without one"
    )]
    NoLog,
    /// The records do not fit together.
    #[error(transparent)]
    Restore(#[from] RestoreError),
}

/// Makes this process end with its parent: a child that lives on would keep all connections open.
pub fn end_with_parent() {
    // If the system refuses, only a parent that lives ends a child that hangs.
    let _ = set_parent_process_death_signal(Some(Signal::KILL));
}

/// Checks that keys can be fetched, that the addresses in the settings can be listened on, except
/// for those that the running process has, and that the state directory can be used. Returns what
/// to say.
///
/// # Errors
/// [`RehearsalError`]
pub fn check(
    settings: &Settings,
    keys: &Loaded,
    taken: &[SocketAddr],
) -> Result<String, RehearsalError> {
    // A node that takes over has to know the keys at once: clients are connected already.
    keys::try_urls(keys, settings)?;
    can_start(settings, taken)?;
    Ok(said(None, None))
}

fn can_start(settings: &Settings, taken: &[SocketAddr]) -> Result<(), RehearsalError> {
    let wanted = sockets::configured(settings).into_iter();
    for address in wanted.filter(|address| !taken.contains(address)) {
        let bound = sockets::can_bind(address, settings.reuse_port);
        bound.map_err(|source| RehearsalError::Bind { address, source })?;
    }
    // The running process has its lock.
    config::state_dir(settings)
        .map(StateDir::prepare)
        .transpose()?;
    Ok(())
}

/// Builds a node from a state, without using it. Returns what to say.
///
/// # Errors
/// [`RehearsalError`]
pub fn rehearse(settings: Settings, handover: Handover) -> Result<String, RehearsalError> {
    let taken: Vec<_> = handover
        .listeners
        .iter()
        .map(|(record, _)| record.address)
        .collect();
    can_start(&settings, &taken)?;
    // Only a node with a log has a roster there.
    match (handover.node.roster.is_some(), settings.log.is_some()) {
        (false, true) => return Err(RehearsalError::NewLog),
        (true, false) => return Err(RehearsalError::NoLog),
        _ => {}
    }
    let plan = Plan::new(files::raise(), &settings);
    let settings = plan.apply(settings);
    let (counts, digest) = (handover.counts, handover.digest);
    let totals = handover.totals();
    let hub = Hub::start_from(config::hub(&settings), plan.room, handover.desk, &totals)?;
    let streams = hub.restore_streams(handover.streams)?.len();
    let http = handover.http.into_iter();
    let http: Vec<_> = http
        .map(|(record, socket)| http_from(record, socket))
        .collect();
    let resp = handover.resp.into_iter();
    let resp: Vec<_> = resp
        .map(|(record, socket)| resp_from(record, socket))
        .collect();
    let adopted = Counts {
        streams,
        connections: http.len() + resp.len(),
        ..counts
    };
    Ok(said(Some(adopted), Some(digest)))
}

fn said(adopted: Option<Counts>, digest: Option<u32>) -> String {
    let said = Said {
        fantail: env!("CARGO_PKG_VERSION").to_owned(),
        adopted,
        digest,
    };
    // Numbers and a version can always be written.
    serde_json::to_string(&said).unwrap_or_default()
}
