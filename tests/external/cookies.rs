//! Tokens in cookies: Chromium's `EventSource` with credentials, from a page of another origin on
//! the same site.

use serde_json::json;

use crate::hub;
use crate::support::node::Node;
use crate::watcher::{Client, Report, Watcher};

/// A page, and a node that lets it send cookies and allows anonymous subscribers.
fn page_and_node() -> (Watcher, Node) {
    let flags = [
        &hub::FLAGS[..],
        &["--cors-credentials=true", "--anonymous=true"],
    ]
    .concat();
    Watcher::with_node(Client::Chromium, &flags)
}

/// As an application should set it.
fn cookie(token: &str) -> String {
    format!("mercureAuthorization={token}; Path=/.well-known/mercure; HttpOnly; SameSite=Strict")
}

/// One private and one public event.
fn publish_both(node: &Node) {
    let form = [
        ("topic", "user/ada"),
        ("data", "private"),
        ("private", "on"),
    ];
    hub::publish(node, &form);
    hub::publish(node, &[("topic", "user/ada"), ("data", "public")]);
}

/// A page with the cookie of a token that ends so late, which listens with its credentials or
/// without, and its stream's address; both events have been published.
fn listening(ends_in: &str, with_credentials: bool) -> (Watcher, Node, String) {
    let (mut page, node) = page_and_node();
    let token = hub::token(&["--subscribe", "user/ada", "--exp", ends_in]);
    page.keep_cookie(&cookie(&token));
    let url = hub::stream(&node, &["user/ada"]);
    page.order(&url, &[], with_credentials);
    assert_eq!(page.report(), Report::Open);
    publish_both(&node);
    (page, node, url)
}

#[test]
fn a_page_that_sends_its_cookie_hears_private_events() {
    let (mut page, node, _) = listening("1h", true);
    assert_eq!(page.event().data, "private");
    assert_eq!(page.event().data, "public");

    // It is sent again when the stream is.
    node.cut(&node.wait_for_streams(1)[0]);
    publish_both(&node);
    assert_eq!(page.event().data, "private");
    assert_eq!(page.event().data, "public");
    assert_eq!(page.opened, 2);
}

#[test]
fn a_page_that_keeps_its_cookie_to_itself_hears_public_events_only() {
    let (mut page, _node, _) = listening("1h", false);
    assert_eq!(page.event().data, "public");
}

#[test]
fn a_cookie_that_expires_ends_the_stream_for_good() {
    let (mut page, _node, url) = listening("4s", true);
    assert_eq!(page.event().data, "private");
    assert_eq!(page.event().data, "public");
    // The token's end; then the browser asks again with the same cookie. It does not become
    // anonymous.
    assert_eq!(page.report(), Report::ENDED);
    assert_eq!(page.report(), Report::CLOSED);
    page.order(&url, &[], true);
    assert_eq!(page.report(), Report::CLOSED);
}

#[test]
fn only_pages_of_known_origins_publish_with_a_cookie() {
    let (mut page, node) = page_and_node();
    // Another origin on the same site: the browser sends its cookies along.
    let mut foreign = Watcher::start(Client::Chromium);
    let token = hub::token(&["--publish", "*", "--subscribe", "*", "--exp", "1h"]);
    page.keep_cookie(&cookie(&token));
    foreign.keep_cookie(&cookie(&token));
    page.order(&hub::stream(&node, &["user/ada"]), &[], true);
    assert_eq!(page.report(), Report::Open);

    let url = node.url(hub::PATH);
    let form = json!({"topic": "user/ada", "data": "forged", "private": "on"});
    let refused = Report::Posted {
        status: 403,
        seen: 0,
    };
    foreign.post(&url, &form, "no-cors");
    assert_eq!(foreign.report(), refused);

    let form = json!({"topic": "user/ada", "data": "sent by its own page", "private": "on"});
    page.post(&url, &form, "cors");
    let taken = Report::Posted {
        status: 200,
        seen: 200,
    };
    // Event and answer arrive in either order.
    let mut reports = [page.report(), page.report()];
    reports.sort_by_key(|report| *report != taken);
    assert_eq!(reports[0], taken);
    let Report::Event(fired) = &reports[1] else {
        panic!("{reports:?}");
    };
    assert_eq!(fired.data, "sent by its own page");
}
