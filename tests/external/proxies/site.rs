//! A node behind a proxy, with pages that listen, in Chromium and in Firefox.

use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;

use super::answers;
use super::browser::{Browser, Kind as BrowserKind};
use super::proxy::{Kind, Proxy};
use super::recipe::Recipe;
use crate::hub;
use crate::support::free_port::free_address;
use crate::support::node::Node;
use crate::support::wait_until;

/// More than a proxy's time for silence; heartbeats break it.
const QUIET: Duration = Duration::from_secs(4);

/// The page whose stream carries a cookie with a token.
const WITH_COOKIE: &str = "with its cookie";

/// The page that is opened while the node hangs.
const LATE: &str = "opened late";

/// The topics of the pages: a public one, and that of the cookie's bearer.
const PUBLIC: &str = "news/à la carte; 50%?";
const OWN: &str = "user/ada";

/// The node, the proxy and the pages of a test.
pub(super) struct Site {
    kind: Kind,
    node: Node,
    address: SocketAddr,
    flags: Vec<String>,
    /// When the node ended.
    ended: Instant,
    proxy: Proxy,
    browsers: [Browser; 2],
    /// Data of the events since the last start of a round; for the cookie's bearer alone if so
    /// marked.
    published: Vec<(String, bool)>,
}

impl Site {
    /// Starts everything, and waits until each page has its stream.
    pub(super) fn start(recipe: Recipe) -> Self {
        let kinds = [BrowserKind::Chromium, BrowserKind::Firefox];
        let mut browsers = thread::scope(|scope| {
            kinds
                .map(|kind| scope.spawn(move || Browser::start(kind)))
                .map(|browser| browser.join().expect("a browser"))
        });
        let origins = browsers
            .each_ref()
            .map(|browser| &*browser.origin)
            .join(",");
        let mut flags: Vec<String> = hub::FLAGS.map(str::to_owned).to_vec();
        for flag in [
            "--anonymous=true",
            "--cors-credentials=true",
            "--cors-origins",
            &origins,
            "--trusted-proxies",
            "127.0.0.0/8",
            "--heartbeat-interval",
            "1s",
            "--drain-period",
            "200ms",
        ] {
            flags.push(flag.to_owned());
        }
        let address = free_address();
        let node = start_node(address, &flags);
        let kind = recipe.kind;
        let proxy = Proxy::start(recipe, address);

        let token = hub::token(&["--subscribe", OWN, "--exp", "1h"]);
        let cookie =
            format!("mercureAuthorization={token}; Path=/; Secure; HttpOnly; SameSite=Strict");
        let public = proxy.url(&hub::target("/events", &[PUBLIC]));
        let in_path = proxy.url(&format!("/events/{}", hub::encode(PUBLIC)));
        let own = proxy.url(&hub::target(hub::PATH, &[OWN]));
        for browser in &mut browsers {
            browser.keep_cookie(&cookie);
            browser.open("of another origin", None, &in_path, false);
            browser.open(WITH_COOKIE, None, &own, true);
            browser.open("of the same origin", Some(&proxy.url("/")), &public, false);
            browser.until("its stream", |_, page| page.opened > 0);
        }
        stays_open(&node, &proxy);
        Self {
            kind,
            node,
            address,
            flags,
            ended: Instant::now(),
            proxy,
            browsers,
            published: Vec::new(),
        }
    }

    /// Publishes a public and a private event; each page hears those that are for it, once and in
    /// order.
    pub(super) fn every_page_hears(&mut self, data: &str) {
        let private = format!("{data}, private");
        hub::publish(
            &self.node,
            &[("topic", PUBLIC), ("topic", OWN), ("data", data)],
        );
        hub::publish(
            &self.node,
            &[("topic", OWN), ("private", "on"), ("data", &private)],
        );
        self.published.push((data.to_owned(), false));
        self.published.push((private, true));
        for browser in &mut self.browsers {
            browser.until(data, |name, page| {
                let of_all = if name == WITH_COOKIE { 0 } else { 1 };
                let last = &self.published[self.published.len() - 1 - of_all].0;
                page.events.iter().any(|fired| fired.data == *last)
            });
            for (name, page) in browser.pages().iter().filter(|(name, _)| *name != LATE) {
                let heard = page.events.iter().filter(|fired| fired.event == "message");
                let heard: Vec<_> = heard.map(|fired| &*fired.data).collect();
                let published = self.published.iter();
                let expected: Vec<_> = published
                    .filter(|(_, private)| !private || name == WITH_COOKIE)
                    .map(|(data, _)| &**data)
                    .collect();
                assert_eq!(heard, expected, "{name:?}");
            }
        }
    }

    /// Ends the node by this signal.
    pub(super) fn end_the_node(&mut self, signal: Signal) {
        self.node.signal(signal);
        self.node.wait();
        self.ended = Instant::now();
        self.forget_openings();
    }

    /// Starts the node on the same port, this long after its end.
    pub(super) fn start_the_node_after(&mut self, absence: Duration) {
        let ended = self.ended;
        wait_until("the absence is over", || ended.elapsed() >= absence);
        self.node = start_node(self.address, &self.flags);
    }

    /// The node's history ended with its process. So it tells a gap to each client that comes back
    /// with a cursor, and to no other.
    pub(super) fn every_page_has_sent_its_cursor(&mut self) {
        for browser in &mut self.browsers {
            for (name, page) in browser.pages() {
                let gap = page.events.iter().find(|fired| fired.event == "gap");
                let gap = gap.unwrap_or_else(|| panic!("{name:?} was told no gap: {page:?}"));
                let gap: Value = serde_json::from_str(&gap.data).expect("a gap is told in JSON");
                let cursor = gap["from"].as_str();
                assert!(
                    cursor.is_some_and(|cursor| !cursor.is_empty()),
                    "{name:?}: {gap}"
                );
            }
            browser.forget_events();
        }
        self.published.clear();
    }

    /// What the proxy says to those that are no browser, while the node is away.
    pub(super) fn the_proxy_answers_for_the_node(&self) {
        answers::check(&self.proxy, &self.browsers[0].origin);
    }

    /// Waits until each page's stream was opened, and so answered by the proxy, while the node is
    /// away.
    pub(super) fn every_page_is_told_to_come_back(&mut self) {
        for browser in &mut self.browsers {
            browser.until("an answer of the proxy", |_, page| page.opened > 0);
        }
    }

    /// Waits until each page has given up.
    pub(super) fn every_page_is_dead(&mut self) {
        for browser in &mut self.browsers {
            browser.until("its end", |_, page| page.dead);
        }
    }

    /// Stops the node's process: it accepts connections, and does not answer.
    pub(super) fn stop_the_node(&mut self) {
        self.node.signal(Signal::STOP);
        self.forget_openings();
    }

    /// A page that is opened now is told to come back, and so is each whose stream the proxy gave
    /// up.
    pub(super) fn pages_of_a_hanging_node_are_told_to_come_back(&mut self) {
        // It begins with what it cannot have heard.
        let target = hub::target("/events", &[PUBLIC]);
        let url = self.proxy.url(&format!("{target}&last_event_id=earliest"));
        let silent = self.kind.ends_silent_streams();
        for browser in &mut self.browsers {
            browser.open(LATE, None, &url, false);
        }
        for browser in &mut self.browsers {
            browser.until("an answer of the proxy", |name, page| {
                page.opened > 0 || (name != LATE && !silent)
            });
        }
    }

    /// Lets the stopped process go on.
    pub(super) fn continue_the_node(&mut self) {
        self.node.signal(Signal::CONT);
    }

    /// From here on only openings without the node count.
    fn forget_openings(&mut self) {
        for browser in &mut self.browsers {
            browser.forget_openings();
        }
    }
}

/// Pages come back when a proxy gives up a quiet stream of a node that lives; so the node is asked.
/// HTTP/1.1 has timers of its own in some proxies.
fn stays_open(node: &Node, proxy: &Proxy) {
    let streams = node.wait_for_streams(6);
    assert!(
        answers::stays_open(proxy, "/events/quiet", QUIET),
        "a stream over HTTP/1.1 was ended"
    );
    // That stream ends a moment after its client.
    let mut still = node.wait_for_streams(streams.len());
    still.sort();
    let mut streams = streams;
    streams.sort();
    assert_eq!(still, streams, "streams were opened again");
}

fn start_node(address: SocketAddr, flags: &[String]) -> Node {
    let flags: Vec<_> = flags.iter().map(String::as_str).collect();
    Node::start_at(address, &flags)
}
