//! The usual subscribing clients, each in its own process (`tests/node/`, `tests/python/`), with
//! orders of what to watch.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;
use serde_json::json;

use crate::program::Program;
use crate::support::node::Node;

/// Names under which Chromium is installed; `xtask/src/tools.rs` uses the same.
const CHROMIUM: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];

/// The same for Firefox.
const FIREFOX: [&str; 2] = ["firefox-esr", "firefox"];

/// The Python of the packages in `tests/python/`, in the place that `cargo xtask tools` uses.
pub(crate) const PYTHON: &str = "tests/python/.venv/bin/python";

/// Whose client.
#[expect(
    clippy::enum_variant_names,
    reason = "a package has this word in its name"
)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Client {
    /// The npm package `eventsource` under Node.js.
    Npm,
    /// Chromium's own `EventSource`, in a page of another origin.
    Chromium,
    /// The npm package `eventsource-client` under Node.js.
    EventsourceClient,
    /// The npm package `@microsoft/fetch-event-source`, in a page of another origin in Chromium.
    FetchEventSource,
    /// The Python package `httpx-sse`.
    HttpxSse,
    /// The Python package `sseclient-py`, on `httpx`.
    SseclientPy,
}

/// A report of a watcher.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub(crate) enum Report {
    /// It accepts orders; its page has this origin.
    Ready {
        /// `None` without a page.
        origin: Option<String>,
    },
    /// A stream is open.
    Open,
    /// A stream ended.
    Error {
        /// Whether for good: else it is opened again.
        closed: bool,
        /// Status of the answer, if there was one and the client reports it.
        status: Option<u16>,
    },
    /// An event was fired.
    Event(Fired),
    /// The page has its cookie.
    Kept,
    /// The page fetched an address.
    Read {
        /// Status of the answer.
        status: u16,
        /// Fields of the answer, as far as the page may read them.
        fields: BTreeMap<String, Option<String>>,
    },
    /// The page sent its form.
    Posted {
        /// Status of the answer.
        status: u16,
        /// The same as the page sees it: 0 if it may not.
        seen: u16,
    },
}

impl Report {
    /// A stream ended, and the client reconnects.
    pub(crate) const ENDED: Self = Self::Error {
        closed: false,
        status: None,
    };
    /// It failed for good, and the client gives no reason.
    pub(crate) const CLOSED: Self = Self::Error {
        closed: true,
        status: None,
    };
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

/// A client in a process of its own.
pub(crate) struct Watcher {
    program: Program,
    /// Origin of the page, if there is one.
    pub(crate) origin: Option<String>,
    /// Times that a stream was opened so far.
    pub(crate) opened: usize,
}

impl Watcher {
    /// Starts the process without watching anything yet.
    pub(crate) fn start(client: Client) -> Self {
        let mut program = match client {
            Client::Npm => Program::start("node", &["tests/node/eventsource.mjs"]),
            Client::EventsourceClient => {
                Program::start("node", &["tests/node/eventsource-client.mjs"])
            }
            Client::Chromium => page("eventsource"),
            Client::FetchEventSource => page("fetch-event-source"),
            Client::HttpxSse => Program::start(PYTHON, &["tests/python/watch.py", "httpx-sse"]),
            Client::SseclientPy => {
                Program::start(PYTHON, &["tests/python/watch.py", "sseclient-py"])
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

    /// Orders a stream whose requests send these tokens, one after the other; the last one serves
    /// for good.
    pub(crate) fn order_with_tokens(&mut self, url: &str, names: &[&str], tokens: &[&str]) {
        let order = json!({"url": url, "names": names, "tokens": tokens});
        self.program.tell(&order.to_string());
    }

    /// Sets a cookie in the page's browser, as its server would: the value of `Set-Cookie`.
    pub(crate) fn keep_cookie(&mut self, cookie: &str) {
        self.program.tell(&json!({ "cookie": cookie }).to_string());
        assert_eq!(self.report(), Report::Kept);
    }

    /// Makes the page send a form, cookies included; the page reports the result. `mode` is that of
    /// `fetch`: `cors`, or `no-cors` for a page that does not need to see the answer.
    pub(crate) fn post(&mut self, url: &str, form: &serde_json::Value, mode: &str) {
        let order = json!({"post": url, "form": form, "mode": mode});
        self.program.tell(&order.to_string());
    }

    /// Makes the page fetch an address; the status of the answer, and those of these fields that the
    /// page may read.
    pub(crate) fn read(
        &mut self,
        url: &str,
        headers: &serde_json::Value,
        fields: &[&str],
    ) -> (u16, BTreeMap<String, Option<String>>) {
        let order = json!({"read": url, "headers": headers, "fields": fields});
        self.program.tell(&order.to_string());
        match self.report() {
            Report::Read { status, fields } => (status, fields),
            report => panic!("nothing was read, but {report:?}"),
        }
    }

    /// Orders a stream and waits until it is open.
    pub(crate) fn open(&mut self, url: &str, names: &[&str]) {
        self.order(url, names, false);
        assert_eq!(self.report(), Report::Open);
    }

    /// Its next report.
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
                Report::Open | Report::Error { closed: false, .. } => {}
                report => panic!("no event, but {report:?}"),
            }
        }
    }
}

/// Chromium with a page that watches by these means.
fn page(watcher: &str) -> Program {
    let chromium = chromium();
    let path = chromium.to_str().expect("a path of UTF-8");
    Program::start("node", &["tests/node/browser.mjs", path, watcher])
}

/// The installed Chromium.
pub(crate) fn chromium() -> PathBuf {
    in_path(&CHROMIUM)
}

/// The installed Firefox.
pub(crate) fn firefox() -> PathBuf {
    in_path(&FIREFOX)
}

fn in_path(names: &[&str]) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .flat_map(|directory| names.iter().map(move |name| directory.join(name)))
        .find(|path| path.is_file())
        .unwrap_or_else(|| panic!("none of {names:?} is in PATH; `cargo xtask tools` installs it"))
}
