//! One restart of the server, of each kind.

use std::time::Duration;

use nix::sys::signal::Signal;

use crate::cli::{RestartArgs, RestartKind};
use crate::scenario::session::Session;
use crate::server::{self, Server, ServerError};

/// Restarts the server, again and again.
#[derive(Debug)]
pub(super) struct Restarter {
    kind: RestartKind,
    /// The server, if this program started it.
    server: Option<Server>,
    /// Process id of the server.
    pid: Option<u32>,
    /// The command of an upgrade.
    command: Option<String>,
    /// Longest time for a server to end, or to replace its program.
    patience: Duration,
}

impl Restarter {
    /// Takes the server of the session.
    pub(super) fn new(session: &mut Session, args: &RestartArgs) -> Self {
        let command = args.upgrade_command.as_ref();
        Self {
            kind: args.kind,
            pid: session.server_pid(),
            command: command.map(|text| session.with_ports(text)),
            patience: session.timeout(),
            server: session.take_servers().pop(),
        }
    }

    /// Restarts the server once.
    pub(super) fn restart(&mut self) -> Result<(), ServerError> {
        let patience = self.patience;
        if self.kind == RestartKind::Upgrade {
            return server::upgrade(self.pid, self.command.as_deref(), patience);
        }
        if self.kind == RestartKind::DrainBeside
            && let Some(server) = &mut self.server
        {
            return server.replace(patience);
        }
        let signal = match self.kind {
            RestartKind::Kill => Signal::SIGKILL,
            _ => Signal::SIGTERM,
        };
        if let Some(server) = self.server.take() {
            self.server = Some(server.restart(signal, patience, Duration::ZERO)?);
        }
        Ok(())
    }

    /// The server as it is now.
    pub(super) fn into_server(self) -> Option<Server> {
        self.server
    }
}
