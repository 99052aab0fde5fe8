//! The public interface of the crate, item by item: it must not grow unnoticed.

use std::time::Duration;

use super::*;
use crate::settings::Settings;

/// All public items of `lib.rs` without the feature `internals`.
const FACE: [&str; 8] = [
    "mod value",
    "crate::core::desk::Receipt",
    "crate::core::event::{EventId, ParseEventIdError}",
    "crate::core::selector::{Selector, SelectorError}",
    "crate::embed::{Event, Hub, Node, NodeError, PublishError}",
    "crate::node::Addresses",
    "crate::settings::{ConfigError, Settings}",
    "crate::program::run_program (hidden)",
];

/// All public methods of the types of this module.
const METHODS: [(&str, &[&str]); 3] = [
    (
        include_str!("event.rs"),
        &["new", "topic", "name", "id", "retry", "private", "key"],
    ),
    (
        include_str!("hub.rs"),
        &[
            "is_closed",
            "is_key_reused",
            "is_unknown",
            "retry_after",
            "publish",
            "publish_all",
            "streams",
            "head",
            "end_streams",
        ],
    ),
    (
        include_str!("node.rs"),
        &[
            "is_settings",
            "start",
            "addresses",
            "hub",
            "failed",
            "drain",
            "stop",
        ],
    ),
];

#[test]
fn the_crate_shows_what_is_listed_here_and_nothing_else() {
    let lines: Vec<&str> = include_str!("../lib.rs").lines().collect();
    let mut face = Vec::new();
    for (number, line) in lines.iter().enumerate() {
        let Some(item) = line.strip_prefix("pub ") else {
            continue;
        };
        let before = number.checked_sub(1).map_or("", |before| lines[before]);
        if before == "#[cfg(feature = \"internals\")]" {
            continue;
        }
        let item = item.trim_start_matches("use ");
        let item = item.trim_end_matches([';', '{', ' ']);
        face.push(match before {
            "#[doc(hidden)]" => format!("{item} (hidden)"),
            _ => item.to_owned(),
        });
    }
    let expected = FACE.map(|item| item.trim_end_matches('}').to_owned());
    let face: Vec<_> = face.iter().map(|item| item.trim_end_matches('}')).collect();
    assert_eq!(face, expected);
}

#[test]
fn the_types_of_the_face_do_what_is_listed_here_and_nothing_else() {
    for (source, expected) in METHODS {
        let methods: Vec<&str> = source
            .lines()
            .filter_map(|line| line.trim_start().strip_prefix("pub "))
            .filter_map(|line| line.trim_start_matches("async ").strip_prefix("fn "))
            .filter_map(|line| line.split('(').next())
            .collect();
        assert_eq!(methods, expected);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_refuses_settings_with_the_words_of_the_file() {
    let settings = Settings {
        shards: 1_000,
        ..Settings::on_free_ports()
    };
    let error = Node::start(settings).await.err().expect("refused");
    assert!(error.is_settings());
    assert!(error.to_string().contains("`shards` = 1000: too large"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_is_published_as_a_whole_or_not_at_all() {
    let settings = Settings {
        shards: 1,
        ..Settings::on_free_ports()
    };
    let node = Node::start(settings).await.expect("free ports");
    let hub = node.hub();
    let good = Event::new("a", "1")
        .topic("b")
        .name("n")
        .retry(Duration::from_secs(1));
    let before = hub.head();
    let refused = hub.publish_all(&[good.clone(), Event::new("", "2")]).await;
    assert!(!refused.expect_err("no topic").is_closed());
    assert_eq!(hub.head(), before);
    let receipts = hub.publish_all(&[good.clone(), good.clone()]).await;
    let receipts = receipts.expect("published");
    assert!(receipts[0].id < receipts[1].id && receipts[1].id == hub.head());
    assert_eq!(hub.publish_all(&[]).await.expect("nothing").len(), 0);

    // An event that a queue hands out twice.
    let keyed = Event::new("a", "3").key("offset 7");
    let first = hub.publish(keyed.clone()).await.expect("published");
    let again = hub.publish(keyed).await.expect("published before");
    assert_eq!((again.id, again.is_repeat), (first.id, true));
    let other = Event::new("a", "4").key("offset 7");
    let refused = hub.publish_all(&[good.clone(), other]).await;
    assert!(refused.expect_err("another event").is_key_reused());
    assert_eq!(hub.head(), first.id);

    node.stop().await;
    let refused = hub.publish(good).await.expect_err("ended");
    assert!(refused.is_closed(), "{refused}");
}
