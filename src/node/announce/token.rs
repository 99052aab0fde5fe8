//! Finds a command line of `fantail token` whose token this node accepts, by trying it.

use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use crate::auth::{Auth, Role};
use crate::cli::{self, Command};
use crate::clock::unix_time;
use crate::settings::{self, KeySource, RawSettings, Settings};
use crate::token;

use super::shell::{program, quote};

/// How long the token is valid.
const LIFE: &str = "1h";

/// A command that makes a token.
pub(super) struct TokenCommand {
    pub(super) text: String,
    /// It reads the key from variables that the shell must have.
    pub(super) by_environment: bool,
}

/// The data for such a command.
pub(super) struct Maker<'a> {
    pub(super) settings: &'a Settings,
    pub(super) auth: &'a Auth,
    pub(super) config: Option<&'a Path>,
    /// The environment of the process.
    pub(super) environment: Vec<(OsString, OsString)>,
}

impl Maker<'_> {
    /// The command for a role and a topic; `None` if no command can have the key, because it was
    /// given by flag or is a public one.
    pub(super) fn command(&self, role: Role, topic: &str) -> Option<TokenCommand> {
        let mut usual = match role {
            Role::Subscriber => vec!["--subscribe".to_owned(), topic.to_owned()],
            Role::Publisher => vec!["--publish".to_owned(), topic.to_owned()],
        };
        usual.extend(["--exp".to_owned(), LIFE.to_owned()]);
        let ways = self.ways_to_key(role);
        ways.into_iter().find_map(|(mut words, by_environment)| {
            words.extend(usual.iter().cloned());
            let environment: &[_] = if by_environment {
                &self.environment
            } else {
                &[]
            };
            self.is_taken(role, topic, &words, environment).then(|| {
                let words: Vec<String> = words.iter().map(|word| quote(word)).collect();
                TokenCommand {
                    text: format!("{} token {}", program(), words.join(" ")),
                    by_environment,
                }
            })
        })
    }

    /// Flags that may lead to the key of a role; those that do not depend on the shell come first.
    fn ways_to_key(&self, role: Role) -> Vec<(Vec<String>, bool)> {
        let mut ways = Vec::new();
        let absolute = |path: &Path| {
            let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
            path.to_string_lossy().into_owned()
        };
        let (source, algorithm) = match self.settings.keys_of(role) {
            Some((source, algorithm)) => (Some(source), algorithm),
            None => (None, None),
        };
        if let Some(KeySource::SecretFile(path)) = source
            // A pipe was read and is empty.
            && path.is_file()
        {
            let mut words = vec!["--secret-file".to_owned(), absolute(path)];
            if let Some(algorithm) = algorithm {
                words.extend(["--algorithm".to_owned(), algorithm.name().to_owned()]);
            }
            for (name, value) in [
                ("iss", &self.settings.jwt_issuer),
                ("aud", &self.settings.jwt_audience),
            ] {
                if let Some(value) = value {
                    let value = serde_json::Value::from(value.as_str());
                    words.extend(["--claim".to_owned(), format!("{name}={value}")]);
                }
            }
            ways.push((words, false));
        }
        let config = self.config.filter(|path| path.is_file()).map(absolute);
        let config = config.map(|path| vec!["--config".to_owned(), path]);
        ways.extend(config.clone().map(|words| (words, false)));
        ways.push((Vec::new(), true));
        ways.extend(config.map(|words| (words, true)));
        ways
    }

    /// Runs these words as the program would, and checks the token as the node would.
    fn is_taken(
        &self,
        role: Role,
        topic: &str,
        words: &[String],
        environment: &[(OsString, OsString)],
    ) -> bool {
        let line = ["fantail", "token"].into_iter().map(OsString::from);
        let line = line.chain(words.iter().map(OsString::from));
        let Ok(Command::Token(request)) = cli::parse(line) else {
            return false;
        };
        let file = request
            .config
            .clone()
            .or_else(|| settings::config_file(environment));
        let environment = environment.iter().cloned();
        let Ok(settings) = settings::load(file.as_deref(), environment, RawSettings::default())
        else {
            return false;
        };
        let now: Duration = unix_time();
        let Ok(token) = token::make(&request, &settings, now.as_secs()) else {
            return false;
        };
        let Ok(access) = self.auth.verify(role, token.as_bytes(), now) else {
            return false;
        };
        let granted = match role {
            Role::Subscriber => access.subscribe,
            Role::Publisher => access.publish,
        };
        granted.iter().any(|selector| selector.matches(topic))
    }
}
