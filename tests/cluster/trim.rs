//! Entries that are gone before a node has read them, and logs that are emptied by hand.

use rustix::process::Signal;

use crate::course::KEY;
use crate::id::Id;
use crate::nodes::{Nodes, publish};
use crate::server::{Keeps, Server, ask};
use crate::support::sse::{SseEvent, SseStream};
use crate::support::wait_until;

/// A node, a stream that has heard its first event, and the log.
struct Stage {
    server: Server,
    nodes: Nodes,
    stream: SseStream,
}

impl Stage {
    fn set() -> Self {
        let server = Server::start(Keeps::Written, &[]);
        let nodes = Nodes::start(&[server.url()], &[]);
        let mut stream = SseStream::open(nodes.at(0).http, "/events/news");
        nodes.publish("news", "first");
        assert_eq!(stream.take_data(1), ["first"]);
        Self {
            server,
            nodes,
            stream,
        }
    }

    /// The id of an entry of `news`.
    fn add(&self, data: &str) -> Id {
        let id: String = self
            .server
            .ask(&["XADD", KEY, "*", "topic", "news", "data", data]);
        Id::parse(&id).expect("an id")
    }

    /// The node stands still: all of its threads.
    fn stop_node(&self) {
        let node = self.nodes.at(0);
        node.signal(Signal::STOP);
        let threads = format!("/proc/{}/task", node.pid());
        wait_until("the node stands still", || {
            let threads = std::fs::read_dir(&threads).expect("it runs");
            let mut states = threads.filter_map(|thread| {
                std::fs::read_to_string(thread.ok()?.path().join("stat")).ok()
            });
            states.all(|state| state.contains(") T "))
        });
    }

    fn resume_node(&self) {
        self.nodes.at(0).signal(Signal::CONT);
    }

    /// The next event is a gap; its ends.
    fn gap(&mut self) -> (Id, Id, String) {
        gap(&self.stream.take(1)[0])
    }
}

fn gap(event: &SseEvent) -> (Id, Id, String) {
    assert_eq!(event.event, "gap", "{event:?}");
    let json: serde_json::Value = serde_json::from_str(&event.data).expect("JSON");
    let text = |name: &str| json[name].as_str().expect("text").to_owned();
    let id = |name: &str| Id::parse(&text(name)).unwrap_or_default();
    (id("from"), id("to"), text("reason"))
}

#[test]
fn a_trim_past_a_slow_tail_is_one_gap_with_the_right_end() {
    let mut stage = Stage::set();
    let before = Id::parse(&stage.stream.cursor).expect("an id");
    stage.stop_node();
    let mut pipe = redis::pipe();
    for number in 0..50_000 {
        pipe.cmd("XADD")
            .arg(KEY)
            .arg("MAXLEN")
            .arg("~")
            .arg(10_000)
            .arg("*");
        pipe.arg("topic").arg("news").arg("data").arg(number);
    }
    let ids: Vec<String> = pipe.query(&mut stage.server.connection()).expect("ids");
    let kept: Vec<(String, Vec<String>)> =
        stage.server.ask(&["XRANGE", KEY, "-", "+", "COUNT", "1"]);
    let first = ids
        .iter()
        .position(|id| *id == kept[0].0)
        .expect("it was added");
    stage.resume_node();
    let (from, to, reason) = stage.gap();
    assert!(from <= before, "{from}");
    assert_eq!(reason, "lagged");
    let place = |index: usize| Id::parse(&ids[index]).expect("an id");
    assert!(
        place(first - 1) <= to && to < place(first),
        "{to} and not {}",
        ids[first - 1]
    );
    let data = stage.stream.take_data(50_000 - first);
    let rest: Vec<String> = (first..50_000).map(|number| number.to_string()).collect();
    assert_eq!(data, rest);
}

#[test]
fn entries_that_were_trimmed_by_hand_before_they_were_read_are_told() {
    let mut stage = Stage::set();
    stage.stop_node();
    stage.add("unread");
    let last = stage.add("unread as well");
    let _: i64 = stage.server.ask(&["XTRIM", KEY, "MAXLEN", "0"]);
    let next = stage.add("next");
    stage.resume_node();
    let (_, to, _) = stage.gap();
    assert!(last <= to && to < next, "{to}");
    assert_eq!(stage.stream.take_data(1), ["next"]);
}

#[test]
fn a_log_that_was_trimmed_to_nothing_is_told_without_a_next_entry() {
    let mut stage = Stage::set();
    stage.stop_node();
    let last = stage.add("unread");
    let _: i64 = stage.server.ask(&["XTRIM", KEY, "MAXLEN", "0"]);
    stage.resume_node();
    let (_, to, _) = stage.gap();
    assert!(last <= to, "{to}");
}

#[test]
fn entries_that_were_read_may_be_trimmed_and_deleted() {
    let mut stage = Stage::set();
    let id = stage.nodes.publish("news", "read");
    assert_eq!(stage.stream.take_data(1), ["read"]);
    let place = Id::parse(&id).expect("an id").to_string();
    stage.nodes.publish("news", "between");
    assert_eq!(stage.stream.take_data(1), ["between"]);
    let _: i64 = stage.server.ask(&["XDEL", KEY, &place]);
    let _: i64 = stage.server.ask(&["XTRIM", KEY, "MAXLEN", "1"]);
    stage.nodes.publish("news", "after");
    assert_eq!(stage.stream.take_data(1), ["after"]);
}

#[test]
fn an_entry_that_was_deleted_before_it_was_read_is_told() {
    let mut stage = Stage::set();
    stage.stop_node();
    stage.add("kept");
    let deleted = stage.add("deleted");
    let last = stage.add("last");
    let _: i64 = stage.server.ask(&["XDEL", KEY, &deleted.to_string()]);
    stage.resume_node();
    let mut events = stage.stream.take(2);
    events.push(stage.stream.take(1).remove(0));
    let told = events.iter().find(|event| event.event == "gap");
    let (from, to, _) = gap(told.unwrap_or_else(|| panic!("nothing was told: {events:?}")));
    assert!(from < deleted && deleted <= to, "{events:?}");
    assert!(Id::parse(&events[2].id) >= Some(last), "{events:?}");
}

/// The stream is deleted, or the whole database: the node tells it and goes on.
fn emptied(words: &[&str]) {
    let mut stage = Stage::set();
    let mark = stage
        .stream
        .cursor
        .rsplit('.')
        .next()
        .expect("a mark")
        .to_owned();
    let first = Id::parse(&stage.stream.cursor).expect("an id");
    ask::<redis::Value>(&mut stage.server.connection(), words);
    let (_, to, reason) = stage.gap();
    assert_eq!(reason, "log");
    assert!(first <= to, "{to}");
    let id = stage.nodes.publish("news", "after");
    assert!(Id::parse(&id) > Some(to), "{id} is not above {to}");
    assert!(id.ends_with(&mark), "{id} has another mark than {mark}");
    assert_eq!(stage.stream.take_data(1), ["after"]);
    // A node that starts now has the same order.
    let late = Nodes::start(&[stage.server.url()], &[]);
    let mut stream = SseStream::resume(late.at(0).http, "/events/news", &id);
    assert_eq!(publish(late.at(0), "news", "last").status, 200);
    assert_eq!(stream.take_data(1), ["last"]);
    assert_eq!(stage.stream.take_data(1), ["last"]);
}

#[test]
fn a_deleted_stream_is_told_and_made_again() {
    emptied(&["DEL", KEY]);
}

#[test]
fn a_flushed_server_is_told_and_the_log_is_made_again() {
    emptied(&["FLUSHALL"]);
}

/// A server without a file starts again, empty.
#[test]
fn a_server_that_kept_nothing_is_told() {
    let mut server = Server::start(Keeps::Nothing, &[]);
    let nodes = Nodes::start(&[server.url()], &[]);
    let mut stream = SseStream::open(nodes.at(0).http, "/events/news");
    nodes.publish("news", "first");
    assert_eq!(stream.take_data(1), ["first"]);
    server.kill();
    server.restart();
    let (_, _, reason) = gap(&stream.take(1)[0]);
    assert_eq!(reason, "log");
    nodes.publish("news", "after");
    assert_eq!(stream.take_data(1), ["after"]);
    wait_until("the node is ready", || nodes.is_ready(0));
}
