//! The two `EventSource`s that matter, each in its own process (`tests/node/`), told what to watch.

use std::path::PathBuf;

use serde::Deserialize;
use serde_json::json;

use crate::program::Program;
use crate::support::node::Node;

/// Names under which Chromium is installed; `xtask/src/tools.rs` looks for the same.
const CHROMIUM: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];

/// Whose `EventSource`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Client {
    /// The npm package `eventsource` under Node.js.
    Npm,
    /// Chromium's own, in a page of another origin.
    Chromium,
}

/// What a watcher says.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub(crate) enum Report {
    /// It takes orders; its page has this origin.
    Ready {
        /// `None` where there is no page.
        origin: Option<String>,
    },
    /// A stream is open.
    Open,
    /// A stream ended.
    Error {
        /// Whether for good: else it is opened again.
        closed: bool,
    },
    /// An event was fired.
    Event(Fired),
}

/// An event as an application gets it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct Fired {
    /// Its type.
    pub(crate) event: String,
    /// `lastEventId`.
    pub(crate) id: String,
    /// Its data.
    pub(crate) data: String,
}

/// An `EventSource` in a process of its own.
pub(crate) struct Watcher {
    program: Program,
    /// Origin of the page, where there is one.
    pub(crate) origin: Option<String>,
    /// Times that a stream was opened so far.
    pub(crate) opened: usize,
}

impl Watcher {
    /// Starts the process, but watches nothing yet.
    pub(crate) fn start(client: Client) -> Self {
        let mut program = match client {
            Client::Npm => Program::start("node", &["tests/node/eventsource.mjs"]),
            Client::Chromium => {
                let chromium = chromium();
                let path = chromium.to_str().expect("a path of UTF-8");
                Program::start("node", &["tests/node/browser.mjs", path])
            }
        };
        let line = program.line();
        let Ok(Report::Ready { origin }) = serde_json::from_str(&line) else {
            panic!("{client:?} said {line}");
        };
        Self {
            program,
            origin,
            opened: 0,
        }
    }

    /// A watcher, and a node that allows its page; the node has `flags` in addition.
    pub(crate) fn with_node(client: Client, flags: &[&str]) -> (Self, Node) {
        let watcher = Self::start(client);
        let mut flags = flags.to_vec();
        if let Some(origin) = &watcher.origin {
            flags.extend(["--cors-origins", origin]);
        }
        let node = Node::start_with(&flags);
        (watcher, node)
    }

    /// Orders a stream, with listeners for these event names beside `message`.
    pub(crate) fn order(&mut self, url: &str, names: &[&str], with_credentials: bool) {
        let order = json!({"url": url, "names": names, "withCredentials": with_credentials});
        self.program.tell(&order.to_string());
    }

    /// Orders a stream and waits until it is open.
    pub(crate) fn open(&mut self, url: &str, names: &[&str]) {
        self.order(url, names, false);
        assert_eq!(self.report(), Report::Open);
    }

    /// The next thing that it says.
    pub(crate) fn report(&mut self) -> Report {
        let line = self.program.line();
        let report = serde_json::from_str(&line);
        let report = report.unwrap_or_else(|error| panic!("no report ({error}): {line}"));
        if report == Report::Open {
            self.opened += 1;
        }
        report
    }

    /// The next event; streams that end and are opened again are passed over.
    pub(crate) fn event(&mut self) -> Fired {
        loop {
            match self.report() {
                Report::Event(fired) => return fired,
                Report::Open | Report::Error { closed: false } => {}
                report => panic!("no event, but {report:?}"),
            }
        }
    }
}

/// The installed Chromium.
fn chromium() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .flat_map(|directory| CHROMIUM.map(|name| directory.join(name)))
        .find(|path| path.is_file())
        .unwrap_or_else(|| {
            panic!("none of {CHROMIUM:?} is in PATH; `cargo xtask tools` installs it")
        })
}
