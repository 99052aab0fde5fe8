use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fantail::bridge::entry::Fields;
use fantail::bridge::follow::Marker;
use fantail::bridge::redis::{Batch, PageSize, Warning};
use fantail::core::event::EventId;

use crate::server::{Server, connect, fields, stream};

const BIRTH: u128 = 0x6ba7_b810_9dad_41d1_80b4_00c0_4fd4_30c8;

fn batch(entries: &[&str]) -> Batch {
    let entries: Vec<Fields> = entries.iter().map(|data| fields(data)).collect();
    entries.into()
}

#[tokio::test]
async fn of_nodes_that_begin_a_stream_at_once_all_have_one_birth() {
    let server = Server::start();
    let missing = connect(&server).await.facts().await.expect("facts");
    assert_eq!((missing.birth, missing.length), (None, 0));
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..8 {
        let mut connection = connect(&server).await;
        tasks.spawn(async move { connection.create(BIRTH + number).await.expect("a birth") });
    }
    let births = tasks.join_all().await;
    assert!(births.iter().all(|birth| *birth == births[0]), "{births:?}");
    let mut connection = connect(&server).await;
    let facts = connection.facts().await.expect("facts");
    assert_eq!((facts.birth, facts.length), (Some(births[0]), 1));
    // The birth is kept when all entries are gone.
    server.ask::<()>(&["XTRIM", "fantail", "MAXLEN", "0"]);
    let facts = connection.facts().await.expect("facts");
    assert_eq!(
        (facts.birth, facts.length, facts.added),
        (Some(births[0]), 0, Some(1))
    );
}

#[tokio::test]
async fn a_stream_that_an_application_has_begun_gets_a_birth_and_keeps_its_entries() {
    let server = Server::start();
    server.ask::<()>(&["XADD", "fantail", "*", "topic", "t"]);
    let mut connection = connect(&server).await;
    assert_eq!(connection.create(BIRTH).await.expect("a birth"), BIRTH);
    let facts = connection.facts().await.expect("facts");
    assert_eq!((facts.birth, facts.length), (Some(BIRTH), 2));
}

#[tokio::test]
async fn batches_are_written_in_order_each_whole_and_come_back() {
    let server = Server::start();
    let mut connection = connect(&server).await;
    let batches = [batch(&["a"]), batch(&["b", "c"]), batch(&["d"])];
    let written = connection.append(&stream(), &batches, 0).await;
    let (outcomes, _) = written.expect("an answer");
    let ids: Vec<EventId> = outcomes
        .into_iter()
        .map(|id| id.expect("written"))
        .collect();
    let mut size = PageSize::default();
    let page = connection
        .page(EventId::ZERO, &mut size)
        .await
        .expect("a page");
    assert!(page.is_end);
    let came: Vec<EventId> = page.entries.iter().map(|entry| entry.id).collect();
    assert_eq!(came.len(), 4);
    assert_eq!(ids, [came[0], came[2], came[3]]);
    assert_eq!(connection.newest().await.expect("an id"), came[3]);
    assert_eq!(
        connection.first_from(came[1]).await.expect("an id"),
        Some(came[1])
    );
}

#[tokio::test]
async fn a_refusal_says_why_for_each_batch() {
    let server = Server::start();
    let mut connection = connect(&server).await;
    server.ask::<()>(&["CONFIG", "SET", "maxmemory", "1"]);
    let batches = [batch(&["a"]), batch(&["b", "c"])];
    let written = connection.append(&stream(), &batches, 0).await;
    let (outcomes, _) = written.expect("an answer");
    for outcome in outcomes {
        assert_eq!(outcome.expect_err("no room").code, "OOM");
    }
    assert_eq!(server.ask::<u64>(&["EXISTS", "fantail"]), 0);
}

#[tokio::test]
async fn a_marker_with_an_id_that_is_not_above_all_others_is_refused() {
    let server = Server::start();
    let mut connection = connect(&server).await;
    let id = EventId::from_parts(1_000, 5).expect("it fits");
    let mut add = async |id| {
        connection
            .append_at(id, Marker::Tick)
            .await
            .expect("an answer")
    };
    assert!(add(id).await);
    assert!(!add(id).await);
    assert!(!add(id.before()).await);
    assert!(add(id.after()).await);
}

#[tokio::test]
async fn a_page_of_ids_that_a_node_cannot_tell_apart_goes_on_behind_them() {
    let server = Server::start();
    for number in 0..40 {
        let id = format!("5-{}", (1 << 20) + number);
        server.ask::<()>(&["XADD", "fantail", &id, "topic", "t"]);
    }
    server.ask::<()>(&["XADD", "fantail", "6-0", "topic", "t"]);
    let mut connection = connect(&server).await;
    let mut size = PageSize::default();
    let from = EventId::from_parts(5, 0).expect("it fits");
    let page = connection.page(from, &mut size).await.expect("a page");
    let ids: Vec<String> = page
        .entries
        .iter()
        .map(|entry| entry.id.to_string())
        .collect();
    assert_eq!(ids, ["5-1048575", "6-0"]);
    assert_eq!(page.passed_over, 39);
}

#[tokio::test]
async fn a_connection_that_another_one_has_ended_writes_nothing_more() {
    let server = Server::start();
    let (mut old, mut new) = (connect(&server).await, connect(&server).await);
    new.kill(old.client_id()).await.expect("it may");
    assert!(old.append(&stream(), &[batch(&["a"])], 0).await.is_err());
    assert_eq!(server.ask::<u64>(&["EXISTS", "fantail"]), 0);
    // The server knows it no more.
    let _ = new.kill(old.client_id()).await;
    assert!(new.facts().await.is_ok());
}

#[tokio::test]
async fn trimming_keeps_what_is_above_the_bound() {
    let server = Server::start();
    let mut connection = connect(&server).await;
    let entries: Vec<String> = (0..1_000).map(|number| number.to_string()).collect();
    let entries: Vec<&str> = entries.iter().map(String::as_str).collect();
    let written = connection.append(&stream(), &[batch(&entries)], 0).await;
    written.expect("an answer").0.remove(0).expect("written");
    let (count, bytes) = connection.size().await.expect("a size");
    assert!(count == 1_000 && bytes > 10_000, "{count} {bytes}");
    connection.trim_to_bytes(bytes / 3).await.expect("trimmed");
    let (count, trimmed) = connection.size().await.expect("a size");
    assert!(count > 150 && trimmed < bytes / 2, "{count} {trimmed}");
    let newest = connection.newest().await.expect("an id");
    connection.trim_below(newest).await.expect("trimmed");
    assert_eq!(connection.newest().await.expect("an id"), newest);
    // What Redis drops at once is more than this.
    connection.trim_to_bytes(1).await.expect("trimmed");
    assert_eq!(connection.newest().await.expect("an id"), newest);
}

/// A call of Redis drops no more than 10,000 entries.
#[tokio::test]
async fn a_bound_that_is_far_exceeded_was_not_kept() {
    let server = Server::start();
    let mut connection = connect(&server).await;
    for round in [0, 1] {
        let batches = vec![batch(&["x"; 1_000]); 25];
        let written = connection.append(&stream(), &batches, 0).await;
        let (outcomes, _) = written.expect("an answer");
        assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
        if round == 0 {
            let newest = connection.newest().await.expect("an id");
            connection.trim_below(newest).await.expect("trimmed");
        } else {
            connection.trim_to_bytes(1).await.expect("trimmed");
        }
        let (count, _) = connection.size().await.expect("a size");
        assert!(count < 1_000, "{count}");
    }
}

/// There was always one more entry to drop, and clients that were ahead of the node were shed meanwhile.
#[tokio::test]
async fn a_trim_of_a_log_that_grows_did_not_end() {
    let server = Server::start();
    let (mut writer, mut connection) = (connect(&server).await, connect(&server).await);
    let batches = vec![batch(&["x"; 1_000]); 2];
    let grows = async {
        loop {
            let written = writer.append(&stream(), &batches, 0).await;
            written.expect("an answer");
        }
    };
    let trims = async {
        let all = EventId::new(u64::MAX);
        while connection.size().await.expect("a size").0 == 0 {}
        connection.trim_below(all).await.expect("trimmed");
        connection.trim_to_bytes(1).await.expect("trimmed");
    };
    let ended = tokio::time::timeout(Duration::from_secs(20), async {
        tokio::select! {
            () = grows => {}
            () = trims => {}
        }
    });
    ended.await.expect("it ends");
}

/// Redis guesses the size of a stream by its oldest entries, unless it is told to measure it.
#[tokio::test]
async fn a_few_large_entries_at_the_beginning_cost_the_log_all_others() {
    let server = Server::start();
    let mut connection = connect(&server).await;
    let large = "x".repeat(100_000);
    let (large, small) = (vec![&*large; 10], vec!["x"; 5_000]);
    let batches = [batch(&large), batch(&small)];
    let written = connection.append(&stream(), &batches, 0).await;
    let (outcomes, _) = written.expect("an answer");
    assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
    let (_, bytes) = connection.size().await.expect("a size");
    assert!(bytes < 3_000_000, "{bytes}");
    // It is enough that some of the large ones go.
    connection
        .trim_to_bytes(bytes - 300_000)
        .await
        .expect("trimmed");
    let (count, trimmed) = connection.size().await.expect("a size");
    assert!(
        count > 4_500 && trimmed <= bytes - 300_000,
        "{count} {trimmed}"
    );
}

#[tokio::test]
async fn a_marker_that_tells_nothing_new_is_not_written() {
    let server = Server::start();
    let mut connection = connect(&server).await;
    connection.create(BIRTH).await.expect("a birth");
    let id = |text: &str| text.parse::<EventId>().expect("an id");
    let fork = |after: &str, through: &str| Marker::Fork {
        after: id(after),
        through: id(through),
    };
    // Far above the clock, so that the ids are as they are given.
    let (low, high) = (id("9000000000000-5"), id("9000000000010-0"));
    let calls = [
        (low, fork("9-9", "10-2"), 1),
        // It begins no lower and is covered, by the numbers in the ids and not by their text.
        (high, fork("10-1", "9000000000000-5"), 1),
        // It begins lower.
        (high, fork("9-8", "10-2"), 2),
        // It goes further.
        (high, fork("10-1", "9000000000010-1"), 3),
        // One of another kind.
        (high, Marker::Term { server: 7 }, 4),
    ];
    for (number, (id, marker, turns)) in calls.into_iter().enumerate() {
        connection.mark(id, marker).await.expect("an answer");
        let facts = connection.facts().await.expect("facts");
        assert_eq!(facts.turns, Some(turns), "call {number}");
        assert_eq!(facts.length, turns + 1, "call {number}");
    }
    let ids: Vec<(String, Vec<String>)> = server.ask(&["XRANGE", "fantail", "9000000000000", "+"]);
    let ids: Vec<&str> = ids.iter().map(|(id, _)| id.as_str()).collect();
    // An id that is taken becomes the next one.
    assert_eq!(
        ids,
        [
            "9000000000000-5",
            "9000000000010-0",
            "9000000000010-1",
            "9000000000010-2"
        ]
    );
}

#[tokio::test]
async fn a_late_call_for_an_earlier_holder_leaves_the_lease_of_the_next_one() {
    let server = Server::start();
    let mut connection = connect(&server).await;
    let (key, time) = ("{fantail}:channels", Duration::from_secs(3_600));
    let mut take = async |owner, holder| {
        let taken = connection.take_lease(key, owner, holder, time).await;
        taken.expect("an answer")
    };
    assert!(take("a.", "a.1").await);
    assert!(!take("b.", "b.1").await);
    // The same node again, such as after its upgrade.
    assert!(take("a.", "a.2").await);
    connection.end_lease(key, "a.1").await.expect("an answer");
    let prolonged = connection.prolong_lease(key, "a.1", time).await;
    assert!(!prolonged.expect("an answer"));
    assert_eq!(server.ask::<String>(&["GET", key]), "a.2");
    connection.end_lease(key, "a.2").await.expect("an answer");
    let taken = connection.take_lease(key, "b.", "b.1", time).await;
    assert!(taken.expect("an answer"));
}

/// Every node waited for its end, and messages came from none.
#[tokio::test]
async fn a_value_without_an_end_is_no_lease_of_another_node() {
    let server = Server::start();
    let mut connection = connect(&server).await;
    let (key, time) = ("{fantail}:channels", Duration::from_secs(3_600));
    for value in ["of somebody else", "a.1"] {
        server.ask::<()>(&["SET", key, value]);
        let taken = connection.take_lease(key, "a.", "a.2", time).await;
        let error = taken.expect_err("no lease").to_string();
        assert!(error.contains(key), "{error}");
        assert_eq!(server.ask::<String>(&["GET", key]), value);
    }
}

#[tokio::test]
async fn a_server_whose_memory_is_full_tells_the_same_facts() {
    let server = Server::start();
    let mut connection = connect(&server).await;
    for begins in [false, true] {
        if begins {
            connection.create(BIRTH).await.expect("a birth");
        }
        let facts = connection.facts().await.expect("facts");
        server.ask::<()>(&["CONFIG", "SET", "maxmemory", "1"]);
        assert_eq!(connection.facts().await.expect("facts"), facts);
        server.ask::<()>(&["CONFIG", "SET", "maxmemory", "0"]);
    }
}

/// What is not as it should be at a server, for a node whose clock is so many milliseconds ahead.
async fn warnings(server: &Server, ahead: i64) -> Vec<Warning> {
    let mut connection = connect(server).await;
    let facts = connection.facts().await.expect("facts");
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("a time");
    let now = u64::try_from(now.as_millis()).expect("a time");
    let now = now.saturating_add_signed(ahead);
    connection.check(&facts, now).await.expect("it can be used")
}

#[tokio::test]
async fn a_node_says_what_is_not_as_it_should_be_at_its_log() {
    const HOUR: i64 = 3_600_000;
    let server = Server::start();
    assert_eq!(warnings(&server, 0).await, []);
    for (ahead, side) in [(HOUR, "ahead of"), (-HOUR, "behind")] {
        let warnings = warnings(&server, ahead).await;
        let [warning @ Warning::Clocks { .. }] = &warnings[..] else {
            panic!("{ahead}: {warnings:?}");
        };
        let text = warning.text();
        assert!(text.contains(side), "{ahead}: {text}");
    }
    let forgetful = Server::with(&[]);
    assert_eq!(warnings(&forgetful, 0).await, [Warning::NotPersistent]);
}
