//! The announcement of a started node: one log line; on a terminal, lines for a person.

mod banner;
mod shell;
mod token;

use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;

use crate::auth::{Auth, Role};
use crate::settings::{LogFormat, Settings};

use super::Addresses;
use super::files::FileLimit;

/// The content of the announcement.
pub(super) struct Announcement {
    pub(super) addresses: Addresses,
    pub(super) settings: Settings,
    pub(super) auth: Arc<Auth>,
    /// The configuration file.
    pub(super) config: Option<PathBuf>,
    pub(super) limit: FileLimit,
    pub(super) streams_max: usize,
}

impl Announcement {
    /// Writes it to a terminal if a person is there, else to the log.
    pub(super) fn make(self) {
        // Text among the JSON lines of a log would break their parsers.
        let to_person = io::stdout().is_terminal() && self.settings.log_format == LogFormat::Text;
        if !(to_person && io::stderr().is_terminal()) {
            self.log();
        }
        if to_person {
            // It reads files, and a terminal can be stopped (Ctrl-S): neither may stop the node.
            let write = move || {
                // A closed terminal is no error.
                let _ = io::stdout().write_all(self.banner().as_bytes());
            };
            if let Err(error) = thread::Builder::new().spawn(write) {
                tracing::warn!(%error, "the system gives no thread: nothing is announced here");
            }
        }
    }

    fn log(&self) {
        let Addresses {
            http,
            ingest,
            admin,
        } = self.addresses;
        tracing::info!(
            version = env!("CARGO_PKG_VERSION"),
            %http,
            %ingest,
            %admin,
            subscriber_keys = self.keys(Role::Subscriber),
            publisher_keys = self.keys(Role::Publisher),
            anonymous = self.settings.anonymous,
            ingest_users = self.ingest(),
            streams_max = self.streams_max,
            files = self.limit.soft,
            "serving"
        );
    }

    /// The setting that names the keys of a role.
    fn keys(&self, role: Role) -> &'static str {
        self.settings.keys_setting(role).unwrap_or("none")
    }

    /// The clients that may publish on the ingest port.
    fn ingest(&self) -> &'static str {
        let settings = &self.settings;
        match (&settings.ingest_password, settings.ingest_users.is_empty()) {
            (None, true) => "anyone",
            (Some(_), true) => "password",
            (None, false) => "named",
            (Some(_), false) => "password and named",
        }
    }
}
