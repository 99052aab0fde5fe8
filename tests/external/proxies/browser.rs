//! Several pages in one browser, each with an `EventSource` (`tests/node/pages.mjs`).

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::json;

use super::recipe::{CERTIFICATE, KEY};
use crate::program::Program;
use crate::watcher::{Fired, Report, chromium, firefox};

/// Which browser.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Chromium,
    Firefox,
}

/// What a page has reported so far.
#[derive(Debug, Default)]
pub(super) struct Page {
    /// Times that its stream was opened.
    pub(super) opened: usize,
    /// Whether it gave up.
    pub(super) dead: bool,
    /// What it heard.
    pub(super) events: Vec<Fired>,
}

/// A browser and its pages.
pub(super) struct Browser {
    kind: Kind,
    program: Program,
    /// Origin of its pages.
    pub(super) origin: String,
    pages: BTreeMap<String, Page>,
}

/// A report of one page.
#[derive(Deserialize)]
struct Told {
    page: String,
    #[serde(flatten)]
    report: Report,
}

impl Browser {
    pub(super) fn start(kind: Kind) -> Self {
        let (name, executable) = match kind {
            Kind::Chromium => ("chromium", chromium()),
            Kind::Firefox => ("firefox", firefox()),
        };
        let executable = executable.to_str().expect("a path of UTF-8");
        let arguments = ["tests/node/pages.mjs", name, executable, CERTIFICATE, KEY];
        let mut program = Program::start("node", &arguments);
        let line = program.line();
        let Ok(Report::Ready {
            origin: Some(origin),
        }) = serde_json::from_str(&line)
        else {
            panic!("{kind:?} said {line}");
        };
        Self {
            kind,
            program,
            origin,
            pages: BTreeMap::new(),
        }
    }

    /// The pages' server sends this cookie with every page that is opened from then on.
    pub(super) fn keep_cookie(&mut self, cookie: &str) {
        self.program.tell(&json!({ "cookie": cookie }).to_string());
    }

    /// Opens a page, at the browser's own origin or at this address, which listens to a stream.
    pub(super) fn open(&mut self, page: &str, at: Option<&str>, url: &str, credentials: bool) {
        let order = json!({
            "page": page, "at": at, "url": url, "names": ["gap"], "withCredentials": credentials,
        });
        self.program.tell(&order.to_string());
        self.pages.insert(page.to_owned(), Page::default());
    }

    /// Reads reports until the condition holds for every page. A page that gives up ends the test,
    /// unless that is waited for.
    pub(super) fn until(&mut self, what: &str, condition: impl Fn(&str, &Page) -> bool) {
        let kind = self.kind;
        while let Some((name, page)) = self
            .pages
            .iter()
            .find(|(name, page)| !condition(name, page))
        {
            assert!(
                !page.dead,
                "the page {name:?} of {kind:?} is dead, waiting for: {what}"
            );
            println!("{kind:?}, page {name:?} waits for {what:?}: {page:?}");
            self.read();
        }
    }

    /// The pages by their names.
    pub(super) fn pages(&self) -> &BTreeMap<String, Page> {
        &self.pages
    }

    /// Forgets the events of all pages.
    pub(super) fn forget_events(&mut self) {
        for page in self.pages.values_mut() {
            page.events.clear();
        }
    }

    /// Counts the openings of all streams from 0 again.
    pub(super) fn forget_openings(&mut self) {
        for page in self.pages.values_mut() {
            page.opened = 0;
        }
    }

    /// Reads one report.
    fn read(&mut self) {
        let line = self.program.line();
        let told: Told = serde_json::from_str(&line)
            .unwrap_or_else(|error| panic!("no report ({error}): {line}"));
        let page = self
            .pages
            .get_mut(&told.page)
            .expect("a page that was opened");
        match told.report {
            Report::Open => page.opened += 1,
            Report::Error { closed, .. } => page.dead |= closed,
            Report::Event(fired) => page.events.push(fired),
            report => panic!("{:?} told {report:?}", told.page),
        }
    }
}
