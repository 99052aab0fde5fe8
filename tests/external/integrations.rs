//! Applications of web frameworks that publish with the Redis client that they have, as
//! `docs/INTEGRATIONS.md` shows them.
//!
//! Each is the code of that page and runs by the command that is shown there: requests go in over
//! HTTP, and a stream gets their events.

/// Connections that break before a reply.
mod cutter;
/// The code and the commands of the page.
mod document;
/// Which applications there are.
mod recipes;
/// A running application.
mod shop;
/// The traps of the page.
mod traps;

use std::net::SocketAddr;
use std::process::Command;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::hub;
use crate::program::{Program, run};
use crate::support::free_port::free_address;
use crate::support::node::{Node, PROGRAM};
use crate::support::sse::{SseEvent, SseStream};
use crate::support::wait_until;
use crate::watcher;
use recipes::{
    DJANGO, EXPRESS_IOREDIS, EXPRESS_NODE_REDIS, FASTAPI, FLASK, LARAVEL_PHPREDIS, LARAVEL_PREDIS,
    RAILS, Recipe,
};
use shop::{PASSWORD, SECRET, Shop, USER};

/// Everything that the applications publish to.
const TOPICS: &str = "/events?topic=orders&topic=user/42";

#[test]
fn express_publishes_with_node_redis() {
    publishes(&EXPRESS_NODE_REDIS);
}

#[test]
fn express_publishes_with_ioredis() {
    publishes(&EXPRESS_IOREDIS);
}

#[test]
fn flask_publishes_with_redis_py() {
    publishes(&FLASK);
}

#[test]
fn fastapi_publishes_with_asyncio() {
    publishes(&FASTAPI);
}

#[test]
fn django_publishes_what_was_committed() {
    publishes(&DJANGO);
}

#[test]
fn rails_publishes_what_was_committed() {
    publishes(&RAILS);
}

#[test]
fn laravel_publishes_what_was_committed_with_predis() {
    publishes(&LARAVEL_PREDIS);
}

#[test]
fn laravel_publishes_what_was_committed_with_phpredis() {
    publishes(&LARAVEL_PHPREDIS);
}

/// A node for the applications, as the page starts it; publishers find it at this address.
fn node(ingest: SocketAddr, topics: &str, origins: &str) -> Node {
    let mut command = Command::new(PROGRAM);
    command
        .args(["serve", "--listen", "127.0.0.1:0"])
        .args(["--admin-listen", "127.0.0.1:0"])
        .args(["--ingest-listen", &ingest.to_string()])
        .args(["--jwt-secret", SECRET, "--anonymous"])
        .args(["--ingest-users", &format!("{USER}:{PASSWORD}:{topics}")])
        .args(["--cors-origins", origins, "--cors-credentials"]);
    Node::start_exactly(command)
}

/// Topics that the applications may publish to, and the origin of their pages, as the page has
/// them.
const ALLOWED: &str = "orders,user/*";
const ORIGIN: &str = "http://127.0.0.1:3000";

/// Each event of an application reaches its streams once, none of a rollback does, and the next one
/// after a restart of the node does again.
fn publishes(recipe: &Recipe) {
    let ingest = free_address();
    let mut running = node(ingest, ALLOWED, ORIGIN);
    let shop = Shop::start(recipe, ingest);
    let (token, cookie) = shop.token();
    let bearer = format!("Bearer {token}");
    let authorization = [("Authorization", bearer.as_str())];
    check_cookie(&cookie, &token);
    let pair = cookie.split(';').next().expect("a cookie");
    let mut by_header = SseStream::request(running.http, TOPICS, &authorization);
    let mut by_cookie = SseStream::request(running.http, TOPICS, &[("Cookie", pair)]);
    let mut anonymous = SseStream::open(running.http, TOPICS);
    running.wait_for_streams(3);

    assert_eq!(shop.order(&["tea", "milk"]), 201);
    assert_eq!(shop.order(&["salt", "salt"]), 409, "all or none are stored");
    shop.say("m-1", "hello");
    // It comes behind everything that came twice.
    assert_eq!(shop.order(&["the end"]), 201);
    let expected = [item("tea"), item("milk"), said("hello"), item("the end")];
    for stream in [&mut by_header, &mut by_cookie] {
        let events = stream.take(expected.len());
        assert_eq!(events.iter().map(told).collect::<Vec<_>>(), expected);
        assert_eq!(events[2].id, "m-1", "the publisher's own id");
    }
    let public: Vec<_> = anonymous.take(3).iter().map(told).collect();
    assert_eq!(public, [item("tea"), item("milk"), item("the end")]);

    // A restart that no request notices: connections of a pool are dead.
    end(running);
    running = node(ingest, ALLOWED, ORIGIN);
    if recipe.waits {
        wait_until("the application connects again by itself", || {
            let metrics = running.admin_get("/metrics").body;
            metrics.contains("\nfantail_ingest_connections 1.0\n")
        });
    }
    assert_eq!(shop.order(&["after a restart"]), 201);
    shop.say("m-2", "hello again");
    assert_eq!(shop.order(&["the second end"]), 201);
    let expected = [
        item("after a restart"),
        said("hello again"),
        item("the second end"),
    ];
    assert_eq!(kept(&running, &authorization, expected.len()), expected);

    let refusals = || shop.printed().matches("ECONNREFUSED").count();
    let before = refusals();
    end(running);
    if recipe.waits {
        // An event that is sent before the client notices is lost, and in its log.
        wait_until("the application notices", || refusals() > before);
    }
    assert_eq!(shop.order(&["while it is away"]), 201, "orders are stored");
    let running = node(ingest, ALLOWED, ORIGIN);
    // What an application hears of the restart only by an error (phpredis, redis-py) is over now.
    let mut expected = vec![item("it is back")];
    if recipe.waits {
        expected.insert(0, item("while it is away"));
    }
    assert_eq!(shop.order(&["it is back"]), 201);
    assert_eq!(kept(&running, &authorization, expected.len()), expected);
}

/// Ends a node at once, as a crash does.
fn end(mut node: Node) {
    node.signal(Signal::KILL);
    node.wait();
}

/// The first events of a node that has just started.
fn kept(node: &Node, fields: &[(&str, &str)], count: usize) -> Vec<(String, Value)> {
    let target = format!("{TOPICS}&last_event_id=earliest");
    let mut stream = SseStream::request(node.http, &target, fields);
    stream.take(count).iter().map(told).collect()
}

/// Name and data of an event, as a page sees them.
fn told(event: &SseEvent) -> (String, Value) {
    let data = serde_json::from_str(&event.data).expect("JSON");
    (event.event.clone(), data)
}

fn item(name: &str) -> (String, Value) {
    ("message".to_owned(), json!({ "item": name }))
}

fn said(text: &str) -> (String, Value) {
    ("said".to_owned(), json!({ "text": text }))
}

/// The cookie has the token, for the node alone: no script can read it, no other site sends it.
fn check_cookie(cookie: &str, token: &str) {
    let lower = cookie.to_ascii_lowercase();
    assert!(
        cookie.starts_with(&format!("mercureAuthorization={token};")),
        "{cookie}"
    );
    for attribute in ["httponly", "samesite=strict", "path=/"] {
        assert!(lower.contains(attribute), "no {attribute}: {cookie}");
    }
}

#[test]
fn a_page_subscribes_with_the_cookie_of_its_application() {
    let ingest = free_address();
    // The node has to know the page's origin before it starts.
    let shop = Shop::start(&EXPRESS_NODE_REDIS, ingest);
    let node = node(ingest, ALLOWED, &shop.origin());
    let chromium = watcher::chromium();
    let path = chromium.to_str().expect("a path of UTF-8");
    shop.show_hub(&node.url(""));
    let url = shop.url("/");
    let mut page = Program::start("node", &["tests/node/list.mjs", path, &url, "#orders"]);
    node.wait_for_streams(1);
    assert_eq!(shop.order(&["tea", "milk"]), 201);
    shop.say("m-1", "hello");
    for expected in ["tea", "milk", "hello"] {
        assert_eq!(page.line(), json!({ "item": expected }).to_string());
    }
}

#[test]
fn symfony_publishes_with_its_component() {
    let node = node(free_address(), ALLOWED, ORIGIN);
    let bearer = format!(
        "Bearer {}",
        hub::token_of(SECRET, &["--subscribe", "user/42"])
    );
    let authorization = [("Authorization", bearer.as_str())];
    let mut stream = SseStream::request(node.http, TOPICS, &authorization);
    let mut anonymous = SseStream::open(node.http, TOPICS);
    node.wait_for_streams(2);

    let directory = tempfile::tempdir().expect("a directory");
    document::write(&["Symfony"], directory.path(), 0);
    let code = directory.path().join("src/ShopEvents.php");
    let code = code.to_str().expect("a path of UTF-8");
    let url = node.url(hub::PATH);
    run(
        "php",
        &["tests/php/symfony_shop.php", code, &url, SECRET],
        b"",
    );

    let events = stream.take(3);
    let expected = [item("tea"), said("hello"), item("the end")];
    assert_eq!(events.iter().map(told).collect::<Vec<_>>(), expected);
    assert_eq!(events[1].id, "m-1");
    let public: Vec<_> = anonymous.take(2).iter().map(told).collect();
    assert_eq!(public, [item("tea"), item("the end")]);
}
