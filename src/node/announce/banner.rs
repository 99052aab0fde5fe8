//! The lines for a person at a terminal: the node's addresses, and commands to try.
//!
//! A command is printed only if it works with this configuration: a command that fails would be
//! worse than none. Must never print a secret.

use std::env;

use crate::auth::Role;

use super::shell::{quote, reachable};
use super::token::{Maker, TokenCommand};
use super::{Addresses, Announcement};

/// The topic in the commands, cut to `topic_bytes_max`.
const TOPIC: &str = "news";
/// Placeholder in a command for a token that only the person has.
const TOKEN_VARIABLE: &str = "\"Authorization: Bearer $TOKEN\"";
/// Variable that holds the password of the ingest port.
const PASSWORD_VARIABLE: &str = "FANTAIL_INGEST_PASSWORD";

/// Commands, and remarks on them.
#[derive(Default)]
struct Commands {
    lines: Vec<String>,
    notes: Vec<String>,
}

impl Commands {
    fn add(&mut self, what: &str, command: &str) {
        self.lines.push(format!("{what:<20}{command}"));
    }

    fn note(&mut self, note: String) {
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }
}

impl Announcement {
    pub(super) fn banner(&self) -> String {
        let Addresses {
            http,
            ingest,
            admin,
        } = self.addresses;
        let mut commands = Commands::default();
        self.by_http(&mut commands);
        self.by_redis(&mut commands);
        let mut lines = vec![
            format!("http      http://{http}"),
            format!("ingest    redis://{ingest}"),
            format!("admin     http://{admin}"),
            format!(
                "room      {} streams ({} files)",
                self.streams_max, self.limit.soft
            ),
            String::new(),
        ];
        lines.extend(commands.lines);
        lines.extend(commands.notes);
        lines.push(String::new());
        lines.join("\n")
    }

    fn topic(&self) -> &'static str {
        let length = self.settings.event_limits.topic_bytes_max;
        &TOPIC[..length.min(TOPIC.len())]
    }

    fn by_http(&self, commands: &mut Commands) {
        let (http, topic) = (reachable(self.addresses.http), self.topic());
        let reader = if self.settings.anonymous {
            String::new()
        } else {
            self.token(Role::Subscriber, commands)
        };
        let url = quote(&format!("http://{http}/events/{topic}"));
        commands.add("subscribe:", &format!("curl -N {reader}{url}"));
        let writer = self.token(Role::Publisher, commands);
        let url = quote(&format!("http://{http}/publish/{topic}"));
        commands.add("publish by HTTP:", &format!("curl -d hello {writer}{url}"));
    }

    /// The part of a command that sends a token, if the role needs one.
    fn token(&self, role: Role, commands: &mut Commands) -> String {
        let Some(setting) = self.settings.keys_setting(role) else {
            return String::new();
        };
        let maker = Maker {
            settings: &self.settings,
            auth: &self.auth,
            config: self.config.as_deref(),
            environment: env::vars_os().collect(),
        };
        match maker.command(role, self.topic()) {
            Some(TokenCommand {
                text,
                by_environment,
            }) => {
                if by_environment {
                    commands.note(
                        "(in a shell that has the FANTAIL_ variables of this node)".to_owned(),
                    );
                }
                format!("-H \"Authorization: Bearer $({text})\" ")
            }
            None => {
                commands.note(format!(
                    "(TOKEN is a token that `{setting}` takes; docs/AUTH.md says what is in it)"
                ));
                format!("-H {TOKEN_VARIABLE} ")
            }
        }
    }

    fn by_redis(&self, commands: &mut Commands) {
        let (ingest, topic) = (reachable(self.addresses.ingest), self.topic());
        let (host, port) = (ingest.ip(), ingest.port());
        let publish = format!("-h {host} -p {port} PUBLISH {topic} hello");
        let settings = &self.settings;
        let what = "publish by Redis:";
        if let Some(password) = &settings.ingest_password {
            let in_environment =
                env::var(PASSWORD_VARIABLE).is_ok_and(|value| value == password.expose());
            if in_environment {
                let command = format!("REDISCLI_AUTH=\"${PASSWORD_VARIABLE}\" redis-cli {publish}");
                commands.add(what, &command);
                commands
                    .note("(in a shell that has the FANTAIL_ variables of this node)".to_owned());
            } else {
                commands.add(what, &format!("redis-cli --askpass {publish}"));
                commands.note("(redis-cli asks for the password of the ingest port)".to_owned());
            }
            return;
        }
        if settings.ingest_users.is_empty() {
            commands.add(what, &format!("redis-cli {publish}"));
            return;
        }
        let mut users = settings.ingest_users.iter();
        match users.find(|user| user.may_publish(topic)) {
            Some(user) => {
                let name = quote(&user.name);
                let command = format!("redis-cli --user {name} --askpass {publish}");
                commands.add(what, &command);
                commands.note(format!("(redis-cli asks for the password of {name})"));
            }
            None => commands.add(
                what,
                "as one of `ingest_users`, to a topic of its `publish`",
            ),
        }
    }
}
