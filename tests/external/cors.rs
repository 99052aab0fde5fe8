//! The browser's rules across origins.

use crate::support::node::Node;
use crate::watcher::{Client, Report, Watcher};

#[test]
fn a_page_of_another_origin_is_refused_unless_it_is_allowed() {
    let mut watcher = Watcher::start(Client::Chromium);
    let node = Node::start_with(&["--cors-origins", "http://127.0.0.1:1"]);
    watcher.order(&node.url("/events/a"), &[], false);
    // For good: a browser does not ask again.
    assert_eq!(watcher.report(), Report::CLOSED);
}

#[test]
fn any_page_may_read_where_every_origin_is_allowed() {
    let mut watcher = Watcher::start(Client::Chromium);
    let node = Node::start_with(&["--cors-origins", "*"]);
    watcher.open(&node.url("/events/a"), &[]);
    node.wait_for_streams(1);
    node.publish("a", "hello");
    assert_eq!(watcher.event().data, "hello");
}

#[test]
fn an_allowed_page_may_send_cookies_only_where_that_is_set() {
    for (flag, expected) in [
        ("--cors-credentials=true", Report::Open),
        ("--cors-credentials=false", Report::CLOSED),
    ] {
        let (mut watcher, node) = Watcher::with_node(Client::Chromium, &[flag]);
        watcher.order(&node.url("/events/a"), &[], true);
        assert_eq!(watcher.report(), expected, "{flag}");
    }
}
