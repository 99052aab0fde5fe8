//! The traps of the page: a prefix, a refusal, a reply that is lost.

use std::fs;
use std::iter;

use serde_json::Value;

use super::cutter::{Cutter, LOST};
use super::recipes::{ALL, LARAVEL_PHPREDIS, LARAVEL_PREDIS};
use super::shop::{SECRET, Shop};
use super::{ALLOWED, ORIGIN, TOPICS, item, node, told};
use crate::hub;
use crate::support::free_port::free_address;
use crate::support::http;
use crate::support::node::Node;
use crate::support::sse::SseStream;
use crate::support::wait_until;

/// The trap, and the two ways out of it that the page shows or warns of.
#[test]
fn the_prefix_of_laravel_goes_to_another_topic_without_an_error() {
    const WITHOUT: &str = "'options' => ['prefix' => ''],";
    for (recipe, change, reaches) in [
        (&LARAVEL_PREDIS, "", "laravel_database_orders"),
        (&LARAVEL_PHPREDIS, "", "laravel_database_orders"),
        (&LARAVEL_PREDIS, "'prefix' => '',", "orders"),
        (
            &LARAVEL_PHPREDIS,
            "'prefix' => '',",
            "laravel_database_orders",
        ),
        (&LARAVEL_PHPREDIS, WITHOUT, "orders"),
    ] {
        let ingest = free_address();
        let node = node(ingest, "*", ORIGIN);
        let shop = Shop::start_changed(recipe, ingest, |directory| {
            let file = directory.join("config/database.php");
            let config = fs::read_to_string(&file).expect("a configuration");
            assert!(config.contains(WITHOUT), "{config}");
            fs::write(file, config.replace(WITHOUT, change)).expect("a configuration");
        });
        assert_eq!(shop.order(&["tea"]), 201);
        assert_eq!(topics(&node), [reaches], "{:?}: {change}", recipe.headings);
        assert!(!shop.printed().contains("ERROR"), "no error is told");
    }
}

/// The topics that have events.
fn topics(node: &Node) -> Vec<String> {
    let bearer = format!("Bearer {}", hub::token_of(SECRET, &["--subscribe", "*"]));
    let fields = [("Authorization", bearer.as_str())];
    let answer = http::request(node.http, "GET", "/topics", &fields, b"").json();
    let topics = answer["topics"].as_array().expect("topics").iter();
    let name = |topic: &Value| topic["topic"].as_str().expect("a name").to_owned();
    topics.map(name).collect()
}

/// A topic that the application may not publish to, and an event that cannot be: both are errors in
/// its log, and its own work is done.
#[test]
fn an_event_that_is_refused_is_in_the_log_of_the_application() {
    for recipe in ALL {
        let ingest = free_address();
        let _node = node(ingest, "user/*", ORIGIN);
        let shop = Shop::start(recipe, ingest);
        let logs = |text: &str| {
            let what = format!("{:?} logs {text:?}", recipe.headings);
            wait_until(&what, || shop.printed().contains(text));
        };
        assert_eq!(shop.order(&["tea"]), 201);
        logs("No permissions to access a ");
        shop.say("", "hello");
        logs("`id` must not be empty");
    }
}

/// The node has taken the event, and the application cannot know it: the event comes once, or twice
/// where the table of the page says so.
#[test]
fn an_event_whose_reply_is_lost_comes_as_often_as_the_page_says() {
    for recipe in ALL {
        let ingest = free_address();
        let node = node(ingest, ALLOWED, ORIGIN);
        let cutter = Cutter::start(ingest);
        let shop = Shop::start(recipe, cutter.address);
        let mut stream = SseStream::open(node.http, TOPICS);
        assert_eq!(shop.order(&["before"]), 201);
        assert_eq!(shop.order(&[LOST]), 201);
        wait_until("the reply is lost", || cutter.has_cut());
        assert_eq!(shop.order(&["the end"]), 201);
        let times = if recipe.resends { 2 } else { 1 };
        let names = iter::once("before").chain(iter::repeat_n(LOST, times));
        let expected: Vec<_> = names.chain(["the end"]).map(item).collect();
        let events: Vec<_> = stream.take(expected.len()).iter().map(told).collect();
        assert_eq!(events, expected, "{:?}", recipe.headings);
    }
}

/// While a client connects, its newest event must not overtake those that wait.
#[test]
fn events_that_wait_for_the_node_are_published_in_their_order() {
    for recipe in ALL.into_iter().filter(|recipe| recipe.waits) {
        let (away, ingest) = (free_address(), free_address());
        let node = node(ingest, ALLOWED, ORIGIN);
        let mut stream = SseStream::open(node.http, TOPICS);
        let shop = Shop::start(recipe, away);
        assert_eq!(shop.order(&["first"]), 201);
        let gate = Cutter::start_at(away, ingest, true);
        wait_until("the application connects", || gate.has_heard());
        assert_eq!(shop.order(&["second"]), 201);
        gate.release();
        let events: Vec<_> = stream.take(2).iter().map(told).collect();
        assert_eq!(
            events,
            ["first", "second"].map(item),
            "{:?}",
            recipe.headings
        );
    }
}
