//! Runs the program and reads its result.

use std::process::Command;

use fantail_loadtest::outcome::Outcome;

use crate::faulty::Faulty;

/// A run of the program that has ended.
pub(crate) struct Run {
    /// Exit code.
    pub(crate) code: i32,
    /// Its whole output.
    pub(crate) said: String,
    /// The result as it was written.
    pub(crate) json: String,
    outcome: Outcome,
}

impl Run {
    /// Against a server.
    pub(crate) fn of(server: &Faulty, options: &[&str]) -> Self {
        Self::over("http", server, options)
    }

    /// Against a server, over http or https.
    pub(crate) fn over(scheme: &str, server: &Faulty, options: &[&str]) -> Self {
        let url = format!("--url={scheme}://{}/events?{{topics}}", server.address());
        let publish = format!(
            "--publish={scheme}://{}/publish/{{topic}}",
            server.address()
        );
        Self::command(&[options, &["--preset=plain", &url, &publish]].concat())
    }

    /// With the paths and bodies of a kind of server, over HTTP both ways.
    pub(crate) fn preset(preset: &str, server: &Faulty, options: &[&str]) -> Self {
        let origin = format!("http://{}", server.address());
        let words = [
            format!("--preset={preset}"),
            format!("--url={origin}"),
            format!("--publish={origin}"),
        ];
        let words = words.iter().map(String::as_str);
        Self::command(&options.iter().copied().chain(words).collect::<Vec<_>>())
    }

    /// With just these words.
    pub(crate) fn command(words: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let json = folder.path().join("outcome.json");
        let output = Command::new(env!("CARGO_BIN_EXE_fantail-loadtest"))
            .args(words)
            .arg("--json")
            .arg(&json)
            .output()
            .expect("the program starts");
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said).into_owned();
        let text = std::fs::read_to_string(&json).unwrap_or_else(|_| panic!("no result:\n{said}"));
        Self {
            code: output.status.code().expect("an exit code"),
            outcome: serde_json::from_str(&text).expect("the JSON of an outcome"),
            json: text,
            said,
        }
    }

    /// The output in place of a result, with the exit code.
    pub(crate) fn refused(words: &[&str]) -> (i32, String) {
        let output = Command::new(env!("CARGO_BIN_EXE_fantail-loadtest"))
            .args(words)
            .output()
            .expect("the program starts");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.code().expect("an exit code"), said)
    }

    /// Name of the latency that a bare percentile is of.
    pub(crate) fn first_latency(&self) -> &str {
        self.outcome
            .latencies
            .first()
            .map_or("", |latency| &latency.name)
    }

    /// A figure, rounded.
    pub(crate) fn figure(&self, name: &str) -> u64 {
        let figure = self
            .outcome
            .figures
            .iter()
            .find(|figure| figure.name == name);
        let figure = figure.unwrap_or_else(|| panic!("no figure {name}:\n{}", self.said));
        figure.value.round() as u64
    }

    /// How often something happened.
    pub(crate) fn reason(&self, text: &str) -> u64 {
        let reason = self
            .outcome
            .reasons
            .iter()
            .find(|reason| reason.text == text);
        reason
            .unwrap_or_else(|| panic!("no reason {text:?}:\n{}", self.said))
            .count
    }

    /// How many values a latency is made of.
    pub(crate) fn latency(&self, name: &str) -> u64 {
        let latency = self
            .outcome
            .latencies
            .iter()
            .find(|latency| latency.name == name);
        latency.map_or(0, |latency| latency.count)
    }
}
