//! Pages behind the proxies of `examples/proxies/`: the node goes away and comes back, and every
//! page hears the next event.
//!
//! Each test has one proxy with its recipe, Chromium and Firefox with several pages each, and a
//! node that is ended and started again on the same port.

/// What a proxy answers to curl.
mod answers;
/// Several pages in one browser.
mod browser;
/// A program in the node's place.
mod impostor;
/// A running proxy.
mod proxy;
/// The recipes, with the addresses of a test in them.
mod recipe;
/// A node behind a proxy, with pages that listen.
mod site;

use std::time::Duration;

use impostor::{Deed, Impostor};
use proxy::{Kind, Proxy};
use recipe::Recipe;
use rustix::process::Signal;
use site::Site;

use crate::hub;
use crate::support::free_port::free_address;
use crate::support::node::Node;
use crate::watcher::{Client, Report, Watcher};

/// The node is back as soon as a supervisor starts it again.
const SHORT: Duration = Duration::from_millis(50);

/// Longer than a browser's reconnection delay and a proxy's own attempts.
const LONG: Duration = Duration::from_secs(5);

#[test]
fn behind_nginx_every_page_hears_the_next_event() {
    every_page_hears_the_next_event(Kind::Nginx);
}

#[test]
fn behind_haproxy_every_page_hears_the_next_event() {
    every_page_hears_the_next_event(Kind::Haproxy);
}

#[test]
fn behind_caddy_every_page_hears_the_next_event() {
    every_page_hears_the_next_event(Kind::Caddy);
}

#[test]
fn behind_envoy_every_page_hears_the_next_event() {
    every_page_hears_the_next_event(Kind::Envoy);
}

#[test]
fn behind_traefik_every_page_hears_the_next_event() {
    every_page_hears_the_next_event(Kind::Traefik);
}

fn every_page_hears_the_next_event(kind: Kind) {
    let mut site = Site::start(Recipe::of(kind));
    for (signal, absence) in [
        (Signal::TERM, SHORT),
        (Signal::KILL, SHORT),
        (Signal::KILL, LONG),
    ] {
        site.every_page_hears("before");
        site.end_the_node(signal);
        if absence == LONG {
            site.the_proxy_answers_for_the_node();
            site.every_page_is_told_to_come_back();
        }
        site.start_the_node_after(absence);
        site.every_page_hears("after");
        site.every_page_has_sent_its_cursor();
    }

    site.every_page_hears("before it hangs");
    site.stop_the_node();
    site.pages_of_a_hanging_node_are_told_to_come_back();
    site.continue_the_node();
    site.every_page_hears("after it hung");
}

/// Its requests have preflights, which fail while the node is away.
#[test]
fn a_page_that_sends_its_token_in_a_header_hears_the_next_event() {
    let mut page = Watcher::start(Client::FetchEventSource);
    let origin = page.origin.clone().expect("a page");
    let flags = [&hub::FLAGS[..], &["--cors-origins", &origin]].concat();
    let address = free_address();
    let mut node = Node::start_at(address, &flags);
    let proxy = Proxy::start(Recipe::of(Kind::Nginx), address);
    let token = hub::token(&["--subscribe", "user/ada", "--exp", "1h"]);
    let url = proxy.url(&hub::target(hub::PATH, &["user/ada"]));
    page.order_with_tokens(&url, &[], &[&token]);
    assert_eq!(page.report(), Report::Open);

    node.signal(Signal::KILL);
    node.wait();
    // The cut stream, and at least one attempt without the node.
    for _ in 0..2 {
        while page.report() != Report::ENDED {}
    }
    node = Node::start_at(address, &flags);
    node.wait_for_streams(1);
    let form = [("topic", "user/ada"), ("private", "on"), ("data", "next")];
    hub::publish(&node, &form);
    while page.event().data != "next" {}
}

#[test]
fn a_request_that_the_node_drops_is_answered_by_the_proxy_and_no_post_is_sent_twice() {
    for kind in Kind::ALL {
        let node = Impostor::start(Deed::Drop);
        let proxy = Proxy::start(Recipe::of(kind), node.address);
        println!("{kind:?}");
        answers::of_a_node_that_drops(&proxy);
        assert_eq!(node.requests("POST").len(), 1, "{kind:?}");
    }
}

#[test]
fn a_busy_node_is_a_delay_to_pages_and_its_answer_to_publishers() {
    for kind in Kind::ALL {
        let node = Impostor::start(Deed::Answer(answers::BUSY));
        let proxy = Proxy::start(Recipe::of(kind), node.address);
        println!("{kind:?}");
        answers::of_a_busy_node(&proxy, kind.replaces_answers());
    }
}

#[test]
fn the_node_is_told_the_client_its_cursor_and_its_host() {
    for kind in Kind::ALL {
        let node = Impostor::start(Deed::Answer(answers::STREAM));
        let proxy = Proxy::start(Recipe::of(kind), node.address);
        println!("{kind:?}");
        answers::of_a_stream(&proxy);
        let requests = node.requests("GET");
        let stream = requests.iter().find(|head| head.contains("/events/"));
        let stream = stream.expect("a request for a stream").to_ascii_lowercase();
        // As it was sent: nothing is decoded on the way.
        assert!(stream.starts_with("get /events/a%2fb%3f%23%25%3b?x=%2f http/1.1\r\n"));
        let fields: Vec<&str> = stream.split("\r\n").collect();
        assert!(fields.contains(&"last-event-id: 7"));
        assert!(
            fields.contains(&&*format!("host: {}", proxy.address))
                || fields.contains(&"host: 127.0.0.1")
        );
        // The client's own word of where it is comes before the proxy's, or is gone. (Envoy has
        // an address of the machine for a client on loopback.)
        let forwarded = fields
            .iter()
            .rfind(|field| field.starts_with("x-forwarded-for: "));
        let forwarded = forwarded.expect("X-Forwarded-For");
        assert!(!forwarded.ends_with(answers::CLAIMED), "{forwarded}");
        assert!(
            kind == Kind::Envoy || forwarded.ends_with("127.0.0.1"),
            "{forwarded}"
        );
        assert!(!fields.contains(&"connection: close"));
        // Traefik always adds it; what comes back, it decodes.
        let asks_for_gzip = fields
            .iter()
            .any(|field| field.starts_with("accept-encoding: "));
        assert!(kind == Kind::Traefik || !asks_for_gzip);
    }
}

/// The check of these tests: a recipe that leaves the proxy's own answers as they are.
#[test]
fn without_the_answer_of_its_recipe_a_page_is_dead() {
    let recipe = Recipe::of(Kind::Nginx).without("error_page 502 503 504 = @away;");
    let mut site = Site::start(recipe);
    site.every_page_hears("before");
    site.end_the_node(Signal::KILL);
    site.every_page_is_dead();
}
