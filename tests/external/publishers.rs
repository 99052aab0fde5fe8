//! Publishers of the Mercure protocol: Symfony's component as Debian ships it, and plain httpx.

use serde_json::{Value, json};

use crate::hub;
use crate::program::Program;
use crate::support::node::Node;
use crate::watcher::{Client, Fired, PYTHON, Report, Watcher};

/// Sends an order and waits for the answer.
fn ask(program: &mut Program, order: &Value) -> Value {
    program.tell(&order.to_string());
    let line = program.line();
    serde_json::from_str(&line).unwrap_or_else(|error| panic!("no report ({error}): {line}"))
}

/// An application that Symfony's component publishes for; it may publish to
/// `https://example.com/{+path}`.
fn symfony(node: &Node, secret: &str) -> Program {
    let url = node.url(hub::PATH);
    Program::start("php", &["tests/php/symfony.php", &url, secret])
}

/// A subscriber that may hear everything.
fn reader(node: &Node) -> Watcher {
    let mut watcher = Watcher::start(Client::Npm);
    let token = hub::token(&["--subscribe", "*"]);
    watcher.order_with_tokens(&hub::stream(node, &["*"]), &["book"], &[&token]);
    assert_eq!(watcher.report(), Report::Open);
    watcher
}

#[test]
fn symfony_publishes() {
    let node = Node::start_with(&hub::FLAGS);
    let mut reader = reader(&node);
    let mut symfony = symfony(&node, hub::SECRET);

    let data = "{\"status\":\"OutOfStock\"}\nü & = + %";
    let topics = ["https://example.com/books/1", "https://example.com/books"];
    let order = json!({"publish": {"topics": topics, "data": data}});
    let id = ask(&mut symfony, &order)["id"].clone();
    let expected = |event: &str, id: &Value, data: &str| Fired {
        event: event.to_owned(),
        id: id.as_str().expect("an id").to_owned(),
        data: data.to_owned(),
    };
    assert_eq!(reader.event(), expected("message", &id, data));

    let own = "urn:uuid:0a7a1d4c-1b1e-4a7e-8f0a-3a1d0b8b4a11";
    let order = json!({"publish": {
        "topics": ["https://example.com/books/2"], "data": "only for readers", "private": true,
        "id": own, "type": "book", "retry": 70
    }});
    let id = ask(&mut symfony, &order)["id"].clone();
    assert_eq!(id, own, "a publisher's id is given back");
    assert_eq!(reader.event(), expected("book", &id, "only for readers"));
}

#[test]
fn symfony_is_told_what_is_refused() {
    let node = Node::start_with(&hub::FLAGS);
    let update = |topic: &str| json!({"publish": {"topics": [topic], "data": "x"}});

    let mut wrong = symfony(&node, "another secret of more than thirty-two bytes");
    let report = ask(&mut wrong, &update("https://example.com/books/1"));
    assert_eq!(report["status"], 401, "{report}");

    let mut symfony = symfony(&node, hub::SECRET);
    let report = ask(&mut symfony, &update("https://example.org/books/1"));
    assert_eq!(report["status"], 403, "{report}");
    assert!(
        report["refused"]
            .as_str()
            .is_some_and(|text| text.contains("may not publish")),
        "{report}"
    );
}

#[test]
fn a_browser_subscribes_with_the_cookie_that_symfony_makes() {
    let flags = [&hub::FLAGS[..], &["--cors-credentials=true"]].concat();
    let (mut page, node) = Watcher::with_node(Client::Chromium, &flags);
    let mut symfony = symfony(&node, hub::SECRET);
    let topic = "https://example.com/users/ada";
    let order = json!({"cookie": {"subscribe": [topic], "publish": [], "page": page.origin}});
    let cookie = ask(&mut symfony, &order)["cookie"].clone();
    page.keep_cookie(cookie.as_str().expect("a cookie"));
    page.order(&hub::stream(&node, &[topic]), &[], true);
    assert_eq!(page.report(), Report::Open);

    let order = json!({"publish": {"topics": [topic], "data": "hello, Ada", "private": true}});
    let id = ask(&mut symfony, &order)["id"].clone();
    let fired = page.event();
    assert_eq!((json!(fired.id), &*fired.data), (id, "hello, Ada"));
}

#[test]
fn httpx_publishes() {
    let node = Node::start_with(&hub::FLAGS);
    let mut reader = reader(&node);
    let url = node.url(hub::PATH);
    let mut httpx = Program::start(PYTHON, &["tests/python/publish.py", &url]);
    let token = hub::token(&["--publish", "news/{section}"]);

    let form = json!({"topic": ["news/sports", "news/local"], "data": "1:0", "private": "on"});
    let report = ask(&mut httpx, &json!({"token": token, "form": form}));
    assert_eq!(report["status"], 200, "{report}");
    let kind = report["type"].as_str().expect("a type");
    assert!(kind.starts_with("text/plain"), "{report}");
    let fired = reader.event();
    assert_eq!(
        (json!(fired.id), &*fired.data),
        (report["body"].clone(), "1:0")
    );

    // One forbidden topic, and nothing is published at all.
    let form = json!({"topic": ["news/sports", "weather"], "data": "2:0"});
    let report = ask(&mut httpx, &json!({"token": token, "form": form}));
    assert_eq!(report["status"], 403, "{report}");
    let form = json!({"topic": "news/sports", "data": "3:0"});
    ask(&mut httpx, &json!({"token": token, "form": form}));
    assert_eq!(reader.event().data, "3:0");
}
