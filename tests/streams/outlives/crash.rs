//! Killed: what was published after the last file is told as a gap, once, with its range.

use std::time::Duration;

use rustix::process::Signal;

use super::*;
use crate::publisher::Draft;
use crate::support::http::request;

impl Home {
    fn kill(node: &mut Node) {
        node.signal(Signal::KILL);
        node.wait();
    }
}

#[test]
fn what_a_killed_node_lost_is_told_as_one_gap() {
    let home = Home::new(&["--history-snapshot-interval", "3s"]);
    let mut node = home.start();
    let mut publisher = Publisher::open(node.ingest);
    let mut ids: Vec<String> = (0..4)
        .map(|number| publisher.publish("t", &format!("event {number}")))
        .collect();
    ids.push(publisher.publish("other", "kept"));
    wait_for_text(&home.file("history-running"), "kept");
    // These are lost, unless a file is written just now.
    publisher.send(&Draft {
        topics: &["t"],
        data: "lost",
        id: Some("lost-id"),
        ..Draft::default()
    });
    let lost = publisher.id();
    Home::kill(&mut node);
    let file = std::fs::read(home.file("history-running")).expect("a file");
    assert!(
        !file.windows(4).any(|window| window == b"lost"),
        "no file was written since"
    );

    let mut node = home.start();
    assert!(
        node.logged().contains("is_complete=false"),
        "{}",
        node.logged()
    );
    let head = &ids[4];
    let told = all_after(&node, "/events/t", "t", &ids[1]);
    assert_eq!(told[..2], ["event 2", "event 3"]);
    assert_gap_after(head, &told[2]);
    let through = told[2].rsplit("..").next().expect("a range").to_owned();
    assert!(place(&through) > place(&lost), "it covers what was lost");
    assert_eq!(told[3..], ["live"], "and that once");
    // A new stream that begins before the loss passes it, and one that begins behind it does not.
    let told = all_of(&node, "/events/t?last=2", "t", &[]);
    assert_eq!(
        told,
        ["event 3", &*format!("evicted {head}..{through}"), "live"]
    );
    assert_eq!(all_of(&node, "/events/t?last=1", "t", &[]), ["live"]);
    // A page ends before the loss, and the next one tells it.
    let page = |after: &str| {
        let target = format!("/topics/t/events?after={after}");
        request(node.http, "GET", &target, &[], b"").json()
    };
    let (before, behind) = (page(""), page(&ids[3]));
    assert!(before["gap"].is_null(), "{before}");
    assert_eq!(before["events"][3]["data"], "event 3");
    assert_eq!(before["next"], *ids[3]);
    let gap = serde_json::json!({"from": head, "to": through, "reason": "evicted"});
    assert_eq!(behind["gap"], gap);
    let live = behind["events"][0]["data"].as_str();
    assert!(
        live.is_some_and(|data| data.starts_with("live ")),
        "{behind}"
    );
    // A cursor of the dead node, behind the file.
    let told = all_after(&node, "/events/t", "t", &lost);
    assert_eq!(told, [format!("evicted {lost}..{through}"), "live".into()]);
    // An event that nobody knows any more.
    let told = all_after(&node, "/events/t", "t", "lost-id");
    assert_eq!(told[0], format!("unknown lost-id..{through}"));
    assert_eq!(told[1], "event 0");
    // A topic without events, several topics, a pattern.
    let gap = format!("evicted {head}..{through}");
    for (target, topic) in [
        ("/events/quiet", "quiet"),
        ("/events?topic=quiet2&topic=other2", "other2"),
        ("/events?topic=quiet3/%7Bx%7D", "quiet3/1"),
    ] {
        let told = all_after(&node, target, topic, &ids[2]);
        assert_eq!(told, [gap.clone(), "live".into()], "{target}");
    }
    // The hole outlives the next process, too.
    assert_eq!(node.stop().code(), Some(0));
    let node = home.start();
    let told = all_after(&node, "/events/quiet", "quiet", &ids[2]);
    assert_eq!(told, [gap, "live".into()]);
    let told = all_after(&node, "/events/other", "other", &through);
    assert_eq!(told, ["live"], "nothing was lost since");
}

/// A file that was loaded was taken for complete again.
#[test]
fn a_node_that_is_killed_before_its_first_file_has_lost_what_it_published() {
    let home = Home::new(&[]);
    let mut node = home.start();
    let first = Publisher::open(node.ingest).publish("t", "first");
    node.stop();
    let mut node = home.start();
    let lost = Publisher::open(node.ingest).publish("t", "lost");
    assert_eq!(home.histories(), ["history-running"]);
    Home::kill(&mut node);
    let node = home.start();
    let told = all_after(&node, "/events/t", "t", "earliest");
    assert_eq!(told[0], "first");
    assert_gap_after(&first, &told[1]);
    assert_eq!(told[2..], ["live"]);
    let told = all_after(&node, "/events/t", "t", &lost);
    assert_gap_after(&lost, &told[0]);
}

/// Killed at any point of writing: the old file or the new one is found, never a mixture.
#[test]
fn a_node_that_is_killed_while_it_writes_leaves_the_old_or_the_new_file() {
    let flags = [
        "--history-snapshot-interval",
        "1s",
        "--history-events",
        "20000",
    ];
    let home = Home::new(&[&flags[..], &["--history-bytes", "64MiB"]].concat());
    let mut random = fastrand::Rng::with_seed(11);
    let mut next = 0;
    let mut caught = 0;
    for _ in 0..6 {
        // A node that was killed in its first file leaves none.
        let has_file = home.file("history-running").exists();
        let mut node = home.start();
        node.wait_for_log(if has_file {
            "history loaded"
        } else {
            "no history"
        });
        assert!(!node.logged().contains("set aside"), "{}", node.logged());
        let mut publisher = Publisher::open(node.ingest);
        let padding = "x".repeat(1_500);
        let data = (next..next + 2_000).map(|number| format!("{number} {padding}"));
        publisher.publish_all("t", data);
        next += 2_000;
        let writing = home.file("history-new");
        wait_until("a file is being written", || {
            writing.exists() || home.file("history-running").exists() && random.u8(..) == 0
        });
        std::thread::park_timeout(Duration::from_micros(random.u64(..30_000)));
        Home::kill(&mut node);
        caught += usize::from(writing.exists());
    }
    let node = home.start();
    assert!(!node.logged().contains("set aside"), "{}", node.logged());
    assert!(!home.file("history-new").exists(), "leftovers are removed");
    let told = all_after(&node, "/events/t", "t", "earliest");
    // Numbers rise by one, but for what a gap tells. The first files may never have been finished.
    let mut expected = usize::MAX;
    for event in &told[..told.len() - 1] {
        if event.starts_with("evicted ") {
            expected = usize::MAX;
            continue;
        }
        let number: usize = event
            .split(' ')
            .next()
            .and_then(|word| word.parse().ok())
            .expect("a number");
        assert!(
            expected == usize::MAX || number == expected,
            "{number} after {expected}"
        );
        expected = number + 1;
    }
    println!("killed with an unfinished file {caught} times of 6");
}

/// The key of an event that was lost must not swallow its repeat.
#[test]
fn a_lost_event_is_published_again_and_a_kept_one_is_not() {
    let home = Home::new(&["--history-snapshot-interval", "3s"]);
    let mut node = home.start();
    let mut publisher = Publisher::open(node.ingest);
    let keyed = |publisher: &mut Publisher, data: &str| {
        publisher.send(&Draft {
            topics: &["t"],
            data,
            key: Some(data),
            ..Draft::default()
        });
        publisher.id()
    };
    let kept = keyed(&mut publisher, "saved");
    wait_for_text(&home.file("history-running"), "saved");
    let lost = keyed(&mut publisher, "forgotten");
    Home::kill(&mut node);
    let file = std::fs::read(home.file("history-running")).expect("a file");
    assert!(!file.windows(9).any(|window| window == b"forgotten"));

    let node = home.start();
    let mut publisher = Publisher::open(node.ingest);
    assert_eq!(keyed(&mut publisher, "saved"), kept);
    let again = keyed(&mut publisher, "forgotten");
    assert!(place(&again) > place(&lost));
    let told = all_of(&node, "/events/t?last=1", "t", &[]);
    assert_eq!(told, ["forgotten", "live"]);
}
