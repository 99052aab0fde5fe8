//! The browser's rules across origins.

use std::collections::BTreeMap;

use serde_json::json;

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

/// A page that fetches across origins learns why it was refused, when to come back, and where a
/// stream begins.
#[test]
fn a_page_may_read_the_fields_that_tell_it_what_to_do() {
    let secret = "--jwt-secret=a-secret-of-at-least-thirty-two-bytes";
    let flags = [secret, "--anonymous", "--max-streams=1"];
    let (mut watcher, node) = Watcher::with_node(Client::Chromium, &flags);
    let is_there = |read: &(u16, BTreeMap<String, Option<String>>), status, field: &str| {
        let value = read.1.get(field).cloned().flatten();
        assert!(read.0 == status && value.is_some(), "{field}: {read:?}");
    };
    let bad = json!({"Authorization": "Bearer x"});
    let refused = watcher.read(&node.url("/events/a"), &bad, &["WWW-Authenticate"]);
    is_there(&refused, 401, "WWW-Authenticate");
    let cursor = json!({"Last-Event-ID": "earliest"});
    let resumed = watcher.read(&node.url("/events/a"), &cursor, &["Last-Event-ID"]);
    is_there(&resumed, 200, "Last-Event-ID");
    node.wait_for_streams(0);
    watcher.open(&node.url("/events/a"), &[]);
    let full = watcher.read(&node.url("/events/a"), &json!({}), &["Retry-After"]);
    is_there(&full, 503, "Retry-After");
    // An answer without anything special may be read as a whole.
    let kept = watcher.read(&node.url("/topics/a/events"), &json!({}), &["Content-Type"]);
    is_there(&kept, 200, "Content-Type");
}
