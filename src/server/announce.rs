//! What a node says when it has started: one log line; on a terminal, lines for a person.

use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write};

use crate::auth::Role;
use crate::config::{LogFormat, Settings};

use super::Addresses;
use super::files::FileLimit;

/// What there is to say.
pub(super) struct Announcement<'a> {
    pub(super) addresses: Addresses,
    pub(super) settings: &'a Settings,
    pub(super) limit: FileLimit,
    pub(super) streams_max: usize,
}

impl Announcement<'_> {
    /// Says it where somebody looks: to a person at a terminal, else in the log.
    pub(super) fn make(&self) {
        // Text among the JSON lines of a log would break whatever reads them.
        let to_person = io::stdout().is_terminal() && self.settings.log_format == LogFormat::Text;
        if to_person {
            let banner = self.banner();
            // A terminal can be stopped (Ctrl-S), and must not stop the node. One that is gone reads nothing.
            tokio::task::spawn_blocking(move || {
                let _ = io::stdout().write_all(banner.as_bytes());
            });
        }
        if !(to_person && io::stderr().is_terminal()) {
            self.log();
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
        self.settings
            .keys_of(role)
            .map_or("none", |(source, _)| source.key(role))
    }

    /// Who may publish on the ingest port.
    fn ingest(&self) -> &'static str {
        let settings = self.settings;
        match (&settings.ingest_password, settings.ingest_users.is_empty()) {
            (None, true) => "anyone",
            (Some(_), true) => "password",
            (None, false) => "named",
            (Some(_), false) => "password and named",
        }
    }

    fn banner(&self) -> String {
        let Addresses {
            http,
            ingest,
            admin,
        } = self.addresses;
        let mut text = String::new();
        let mut line = |args: std::fmt::Arguments<'_>| {
            // Writing to a text cannot fail.
            let _ = writeln!(text, "{args}");
        };
        line(format_args!("http      http://{http}"));
        line(format_args!("ingest    redis://{ingest}"));
        line(format_args!("admin     http://{admin}"));
        line(format_args!(
            "room      {} streams ({} files)",
            self.streams_max, self.limit.soft
        ));
        line(format_args!(""));
        // A line that is refused when it is tried would be worse than none.
        let token = |role, flag| match self.settings.keys_of(role) {
            Some(_) => format!("-H \"Authorization: Bearer $(fantail token --{flag} news)\" "),
            None => String::new(),
        };
        let reader = if self.settings.anonymous {
            String::new()
        } else {
            token(Role::Subscriber, "subscribe")
        };
        let writer = token(Role::Publisher, "publish");
        line(format_args!(
            "subscribe:          curl -N {reader}http://{http}/events/news"
        ));
        line(format_args!(
            "publish by HTTP:    curl -d 'hello' {writer}http://{http}/publish/news"
        ));
        line(format_args!(
            "publish by Redis:   redis-cli -h {} -p {} PUBLISH news hello",
            ingest.ip(),
            ingest.port()
        ));
        text
    }
}
