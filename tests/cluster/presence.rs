//! Subscribers of several nodes: each start and each end is told once, and all nodes list the same,
//! whether a node is killed, stopped, paused, cut off or upgraded, and whatever its server loses.

use std::collections::{BTreeMap, BTreeSet};

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::failover::Watched;
use crate::nodes::Nodes;
use crate::proxy::Proxy;
use crate::scale::Scale;
use crate::server::{Keeps, Server};
use crate::support::http;
use crate::support::node::Node;
use crate::support::sse::SseStream;
use crate::support::wait_until;

const HUB: &str = "/.well-known/mercure";

const SECRET: &str = "a secret of at least thirty-two bytes";

fn bearer() -> String {
    let all = [
        format!("{HUB}/subscriptions{{/topic}}{{/subscriber}}"),
        format!("{HUB}/subscriptions/{{topic}}/{{subscriber}}"),
        format!("{HUB}/subscriptions"),
    ];
    let claims = json!({ "mercure": { "subscribe": all } });
    let key = jsonwebtoken::EncodingKey::from_secret(SECRET.as_bytes());
    let token = jsonwebtoken::encode(&jsonwebtoken::Header::default(), &claims, &key);
    format!("Bearer {}", token.expect("a token"))
}

/// The subscribers that a node lists, on all pages; `None` while its log is away.
fn try_listed(node: &Node) -> Option<BTreeSet<String>> {
    let mut all = BTreeSet::new();
    let mut target = Some(format!("{HUB}/subscriptions"));
    while let Some(page) = target {
        let answer = list(node, &page);
        if answer.status == 503 {
            return None;
        }
        target = next_page(&answer);
        let json = answer.json();
        let list = json["subscriptions"].as_array().expect("a list").iter();
        all.extend(list.map(|one| one["subscriber"].as_str().expect("an id").to_owned()));
    }
    Some(all)
}

fn listed(node: &Node) -> BTreeSet<String> {
    try_listed(node).expect("the log is there")
}

/// Where a list goes on.
fn next_page(answer: &http::Response) -> Option<String> {
    let fields = answer.head.fields.iter();
    let mut links = fields.filter(|(name, _)| name.eq_ignore_ascii_case("link"));
    links.find_map(|(_, link)| {
        let link = link.strip_suffix("; rel=\"next\"")?;
        Some(link.trim_matches(['<', '>']).to_owned())
    })
}

/// Starts and ends, by their subscriber.
#[derive(Default)]
struct Told {
    starts: BTreeMap<String, usize>,
    ends: BTreeMap<String, usize>,
    topics: BTreeSet<String>,
}

impl Told {
    /// Reads until a marker: a subscriber of its own, which begins now.
    fn read_to_now(&mut self, watcher: &mut SseStream, node: &Node) -> SseStream {
        let topic = format!("marker-{:016x}", fastrand::u64(..));
        let marker = subscribe(node, &topic);
        self.read_until(watcher, |told| told.topics.contains(&topic));
        marker
    }

    fn read_until(&mut self, watcher: &mut SseStream, is_enough: impl Fn(&Self) -> bool) {
        while !is_enough(self) {
            self.read(watcher);
        }
    }

    /// Every end has its start, and none came twice.
    fn check(&self) {
        for (what, told) in [("start", &self.starts), ("end", &self.ends)] {
            assert!(
                told.values().all(|count| *count == 1),
                "a second {what}: {told:?}"
            );
        }
        let unknown = self.ends.keys().find(|one| !self.starts.contains_key(*one));
        assert_eq!(unknown, None, "an end without a start");
    }

    /// Those that began and did not end.
    fn open(&self) -> BTreeSet<String> {
        let open = self
            .starts
            .keys()
            .filter(|one| !self.ends.contains_key(*one));
        open.cloned().collect()
    }

    fn read(&mut self, watcher: &mut SseStream) {
        let event = watcher.next().expect("the stream stays open");
        assert_ne!(event.event, "gap", "{event:?}");
        let json: Value = serde_json::from_str(&event.data).expect("JSON");
        let subscriber = json["subscriber"].as_str().expect("an id").to_owned();
        let told = match json["active"].as_bool() {
            Some(true) => &mut self.starts,
            _ => &mut self.ends,
        };
        *told.entry(subscriber).or_default() += 1;
        let topic = json["topic"].as_str().expect("a topic").to_owned();
        self.topics.insert(topic);
    }
}

/// Nodes that announce subscribers. The folder has to be kept.
fn start(logs: &[String], more: &[&str]) -> (Nodes, tempfile::TempDir) {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("secret");
    std::fs::write(&file, SECRET).expect("a file");
    let file = file.to_str().expect("a path of UTF-8");
    let flags = [
        "--jwt-secret-file",
        file,
        "--anonymous",
        "--mercure-subscriptions",
    ];
    let flags: Vec<&str> = flags.iter().chain(more).copied().collect();
    (Nodes::start(logs, &flags), folder)
}

/// A stream of all starts and ends.
fn watch(node: &Node) -> SseStream {
    let bearer = bearer();
    let fields = [("Authorization", &*bearer)];
    let target = format!("/events?topic={HUB}/subscriptions/%7Btopic%7D/%7Bsubscriber%7D");
    let mut watcher = SseStream::request(node.http, &target, &fields);
    while watcher.cursor.is_empty() {
        assert_eq!(watcher.step(), Some(None));
    }
    watcher
}

fn subscribe(node: &Node, topic: &str) -> SseStream {
    SseStream::open(node.http, &format!("{HUB}?topic={topic}"))
}

fn list(node: &Node, target: &str) -> http::Response {
    let bearer = bearer();
    http::request(
        node.http,
        "GET",
        target,
        &[("Authorization", &*bearer)],
        b"",
    )
}

/// Waits until these nodes list so many subscribers; they list the same.
fn all_list(nodes: &Nodes, indexes: &[usize], count: usize) -> BTreeSet<String> {
    wait_until("all nodes list all", || {
        indexes
            .iter()
            .all(|index| try_listed(nodes.at(*index)).is_some_and(|all| all.len() == count))
    });
    let first = listed(nodes.at(indexes[0]));
    for index in indexes {
        assert_eq!(listed(nodes.at(*index)), first);
    }
    first
}

/// The beats of all nodes, in the order of their rosters.
fn beats(server: &Server) -> BTreeMap<String, String> {
    server.ask(&["HGETALL", "{fantail}:nodes"])
}

/// The beats of all nodes together.
fn counted(server: &Server) -> u64 {
    let beats = beats(server).into_values();
    beats
        .map(|beat| beat.parse::<u64>().expect("a number"))
        .sum()
}

/// Waits until each of so many nodes has counted on.
fn wait_until_all_count(server: &Server, nodes: usize) {
    let before = beats(server);
    wait_until("all nodes count", || {
        let now = beats(server);
        let counts = |(name, beat): (&String, &String)| before.get(name) != Some(beat);
        now.len() == nodes && now.iter().all(counts)
    });
}

/// Key of the roster that has a line that begins with this UUID.
fn roster_of(server: &Server, subscriber: &str) -> (String, String) {
    let id = subscriber.strip_prefix("urn:uuid:").expect("a UUID");
    let mut keys = beats(server).into_keys();
    let found = keys.find_map(|name| {
        let key = format!("{{fantail}}:who:{name}");
        let lines: Vec<String> = server.ask(&["ZRANGE", &key, "0", "-1"]);
        let line = lines.into_iter().find(|line| line.starts_with(id))?;
        Some((key, line))
    });
    found.expect("it is in a roster")
}

#[test]
fn each_subscriber_of_a_killed_node_is_ended_once_and_in_no_list() {
    let count = Scale::or(1, 40, 1).streams;
    let server = Server::start(Keeps::Written, &[]);
    let (mut nodes, _folder) = start(&vec![server.url(); 3], &[]);
    let mut watcher = watch(nodes.at(0));
    let mut told = Told::default();
    let open = |index: usize| SseStream::open(nodes.at(index).http, &format!("{HUB}?topic=a"));
    // Those of the node that dies, and others that stay.
    let dying: Vec<SseStream> = (0..count).map(|_| open(1)).collect();
    let _staying: Vec<SseStream> = (0..5).map(|_| open(2)).collect();
    while told.starts.len() < count + 5 {
        told.read(&mut watcher);
    }
    let before = listed(nodes.at(2));
    let dead: BTreeSet<String> = {
        wait_until("all nodes list all", || {
            (0..3).all(|index| listed(nodes.at(index)).len() == count + 5)
        });
        let all: BTreeSet<String> = told.starts.keys().cloned().collect();
        assert_eq!(all, before);
        all
    };
    drop(dying);
    nodes.kill(1);
    while told.ends.len() < count {
        told.read(&mut watcher);
    }
    wait_until("no list has them", || {
        [0, 2]
            .iter()
            .all(|index| listed(nodes.at(*index)).len() == 5)
    });
    nodes.restart(1);
    assert_eq!(listed(nodes.at(1)).len(), 5);
    // One more start, so that a late second end would have come before it.
    let _last = SseStream::open(nodes.at(1).http, &format!("{HUB}?topic=last"));
    while told.starts.len() < count + 6 {
        told.read(&mut watcher);
    }
    assert_eq!(told.ends.len(), count);
    assert!(told.ends.values().all(|ends| *ends == 1), "{:?}", told.ends);
    assert!(told.ends.keys().all(|one| dead.contains(one)));
}

#[test]
fn a_node_that_is_stopped_ends_each_of_its_subscribers_once() {
    let server = Server::start(Keeps::Written, &[]);
    let (mut nodes, _folder) = start(&vec![server.url(); 2], &[]);
    let mut watcher = watch(nodes.at(0));
    let mut told = Told::default();
    let ending: Vec<SseStream> = (0..30).map(|_| subscribe(nodes.at(1), "a")).collect();
    let _staying = subscribe(nodes.at(0), "b");
    told.read_until(&mut watcher, |told| told.starts.len() == 31);
    nodes.stop(1);
    told.read_until(&mut watcher, |told| told.ends.len() == 30);
    drop(ending);
    all_list(&nodes, &[0], 1);
    wait_until("its roster is gone", || beats(&server).len() == 1);
    nodes.restart(1);
    let _marker = told.read_to_now(&mut watcher, nodes.at(1));
    told.check();
    assert_eq!(told.open(), all_list(&nodes, &[0, 1], 2));
}

/// All nodes die, so nobody is left to tell it: the next one that starts does.
#[test]
fn subscribers_of_nodes_that_died_together_are_ended_by_the_next_one() {
    let server = Server::start(Keeps::Written, &[]);
    let (mut nodes, _folder) = start(&vec![server.url(); 2], &[]);
    let mut watcher = watch(nodes.at(0));
    let mut told = Told::default();
    let _open: Vec<SseStream> = (0..20).map(|n| subscribe(nodes.at(n % 2), "a")).collect();
    told.read_until(&mut watcher, |told| told.starts.len() == 20);
    nodes.kill(0);
    nodes.kill(1);
    nodes.restart(0);
    let bearer = bearer();
    let fields = [
        ("Authorization", &*bearer),
        ("Last-Event-ID", &*watcher.cursor),
    ];
    let target = format!("/events?topic={HUB}/subscriptions/%7Btopic%7D/%7Bsubscriber%7D");
    let mut watcher = SseStream::request(nodes.at(0).http, &target, &fields);
    told.read_until(&mut watcher, |told| told.ends.len() == 20);
    let _marker = told.read_to_now(&mut watcher, nodes.at(0));
    told.check();
    assert_eq!(told.open(), all_list(&nodes, &[0], 1));
    wait_until("their rosters are gone", || beats(&server).len() == 1);
}

/// A pause that is too long is told as an end, and what comes after it as a new subscriber.
#[test]
fn a_node_that_stood_still_for_too_long_tells_its_subscribers_anew() {
    let server = Server::start(Keeps::Written, &[]);
    let (nodes, _folder) = start(&vec![server.url(); 3], &[]);
    let mut watcher = watch(nodes.at(0));
    let mut told = Told::default();
    let paused: Vec<SseStream> = (0..30).map(|_| subscribe(nodes.at(1), "a")).collect();
    let _staying = subscribe(nodes.at(2), "b");
    told.read_until(&mut watcher, |told| told.starts.len() == 31);
    let before = told.open();
    nodes.at(1).signal(Signal::STOP);
    told.read_until(&mut watcher, |told| told.ends.len() == 30);
    all_list(&nodes, &[0, 2], 1);
    nodes.at(1).signal(Signal::CONT);
    // The same streams, with other ids: no id comes back after its end.
    told.read_until(&mut watcher, |told| told.starts.len() == 61);
    told.check();
    let after = all_list(&nodes, &[0, 1, 2], 31);
    assert_eq!(told.open(), after);
    assert_eq!(after.intersection(&before).count(), 1);
    drop(paused);
    told.read_until(&mut watcher, |told| told.ends.len() == 60);
    let _marker = told.read_to_now(&mut watcher, nodes.at(1));
    told.check();
    assert_eq!(told.open(), all_list(&nodes, &[0, 1, 2], 2));
}

#[test]
fn a_node_that_stood_still_for_seconds_keeps_its_subscribers() {
    let server = Server::start(Keeps::Written, &[]);
    let (nodes, _folder) = start(&vec![server.url(); 2], &[]);
    let mut watcher = watch(nodes.at(0));
    let mut told = Told::default();
    let _open: Vec<SseStream> = (0..30).map(|n| subscribe(nodes.at(n % 2), "a")).collect();
    told.read_until(&mut watcher, |told| told.starts.len() == 30);
    nodes.at(1).signal(Signal::STOP);
    // The other node has looked twice: some four seconds.
    let before = counted(&server);
    wait_until("the other node has looked", || {
        counted(&server) >= before + 2
    });
    nodes.at(1).signal(Signal::CONT);
    let before = counted(&server);
    wait_until("both have counted", || counted(&server) >= before + 4);
    let _marker = told.read_to_now(&mut watcher, nodes.at(1));
    told.check();
    assert!(told.ends.is_empty(), "{:?}", told.ends);
    assert_eq!(told.open(), all_list(&nodes, &[0, 1], 31));
}

/// The server stands still for longer than a node may be silent.
#[test]
fn nobody_is_ended_because_the_log_was_away() {
    let mut server = Server::start(Keeps::Written, &[]);
    let more = ["--log-lost-unready", "12s"];
    let (nodes, _folder) = start(&vec![server.url(); 2], &more);
    let mut watcher = watch(nodes.at(0));
    let mut told = Told::default();
    let _open: Vec<SseStream> = (0..30).map(|n| subscribe(nodes.at(n % 2), "a")).collect();
    told.read_until(&mut watcher, |told| told.starts.len() == 30);
    all_list(&nodes, &[0, 1], 30);
    for kills in [false, true] {
        if kills {
            server.kill();
        } else {
            server.pause();
        }
        wait_until("it is away for long", || {
            (0..2).all(|index| !nodes.is_ready(index))
        });
        let answer = list(nodes.at(0), &format!("{HUB}/subscriptions"));
        assert_eq!(answer.status, 503, "{answer:?}");
        assert!(answer.head.field("retry-after").is_some(), "{answer:?}");
        if kills {
            server.restart();
        } else {
            server.resume();
        }
        wait_until("it is back", || (0..2).all(|index| nodes.is_ready(index)));
        wait_until_all_count(&server, 2);
        all_list(&nodes, &[0, 1], 30);
    }
    let _marker = told.read_to_now(&mut watcher, nodes.at(1));
    told.check();
    assert!(told.ends.is_empty(), "{:?}", told.ends);
    assert_eq!(told.open(), all_list(&nodes, &[0, 1], 31));
}

/// A network that is split for a moment, to both of two nodes one after the other.
#[test]
fn a_node_that_is_cut_off_from_the_log_for_seconds_keeps_its_subscribers() {
    let server = Server::start(Keeps::Written, &[]);
    let proxies = [(); 2].map(|()| Proxy::to(server.address()));
    let logs: Vec<String> = proxies.iter().map(Proxy::url).collect();
    let (nodes, _folder) = start(&logs, &[]);
    let mut watcher = watch(nodes.at(0));
    let mut told = Told::default();
    let _open: Vec<SseStream> = (0..30).map(|n| subscribe(nodes.at(n % 2), "a")).collect();
    told.read_until(&mut watcher, |told| told.starts.len() == 30);
    for proxy in &proxies {
        let before = counted(&server);
        proxy.hold(true);
        wait_until("the other node has looked", || {
            counted(&server) >= before + 2
        });
        proxy.release();
        wait_until_all_count(&server, 2);
    }
    let _marker = told.read_to_now(&mut watcher, nodes.at(1));
    told.check();
    assert!(told.ends.is_empty(), "{:?}", told.ends);
    assert_eq!(told.open(), all_list(&nodes, &[0, 1], 31));
}

/// A network that is split: the others take the node for dead, and its streams stay all the time.
#[test]
fn a_node_that_is_cut_off_from_the_log_for_too_long_tells_its_subscribers_anew() {
    let server = Server::start(Keeps::Written, &[]);
    let proxy = Proxy::to(server.address());
    let logs = [server.url(), proxy.url(), server.url()];
    let (nodes, _folder) = start(&logs, &[]);
    let mut watcher = watch(nodes.at(0));
    let mut told = Told::default();
    let mut cut_off: Vec<SseStream> = (0..30).map(|_| subscribe(nodes.at(1), "a")).collect();
    let _staying = subscribe(nodes.at(2), "b");
    told.read_until(&mut watcher, |told| told.starts.len() == 31);
    let before = all_list(&nodes, &[0, 1, 2], 31);
    proxy.hold(true);
    told.read_until(&mut watcher, |told| told.ends.len() == 30);
    all_list(&nodes, &[0, 2], 1);
    // Some leave meanwhile: their ends were told already.
    cut_off.truncate(20);
    proxy.release();
    told.read_until(&mut watcher, |told| told.starts.len() >= 51);
    let after = all_list(&nodes, &[0, 1, 2], 21);
    assert_eq!(after.intersection(&before).count(), 1);
    let _marker = told.read_to_now(&mut watcher, nodes.at(1));
    told.check();
    assert_eq!(told.open(), all_list(&nodes, &[0, 1, 2], 22));
}

/// Sentinels make a replica the master that has all of it.
#[test]
fn a_failover_without_loss_ends_no_subscriber() {
    let watched = Watched::start();
    let (nodes, _folder) = start(&vec![watched.url(); 2], &[]);
    let mut watcher = watch(nodes.at(0));
    let mut told = Told::default();
    let mut open: Vec<SseStream> = (0..30).map(|n| subscribe(nodes.at(n % 2), "a")).collect();
    told.read_until(&mut watcher, |told| told.starts.len() == 30);
    let before = all_list(&nodes, &[0, 1], 30);
    watched.fail_over();
    // Some leave before any node has found the new master.
    open.truncate(20);
    told.read_until(&mut watcher, |told| told.ends.len() == 10);
    let after = all_list(&nodes, &[0, 1], 20);
    assert!(after.is_subset(&before));
    wait_until_all_count(&watched.replica, 2);
    let _marker = told.read_to_now(&mut watcher, nodes.at(1));
    told.check();
    assert_eq!(told.open(), all_list(&nodes, &[0, 1], 21));
}

/// The master dies with the newest starts and ends.
#[test]
fn after_a_failover_with_loss_all_nodes_list_the_open_streams() {
    let mut watched = Watched::start();
    let (nodes, _folder) = start(&vec![watched.url(); 2], &[]);
    let mut open: Vec<SseStream> = (0..30).map(|n| subscribe(nodes.at(n % 2), "a")).collect();
    let kept = all_list(&nodes, &[0, 1], 30);
    wait_until("the replica has them", || {
        let rosters: Vec<String> = watched.replica.ask(&["KEYS", "{fantail}:who:*"]);
        let lines = rosters.iter().map(|key| {
            let count: usize = watched.replica.ask(&["ZCARD", key]);
            count
        });
        lines.sum::<usize>() == 30
    });
    watched.cut_replica();
    open.extend((0..10).map(|n| subscribe(nodes.at(n % 2), "lost")));
    open.drain(..10);
    let lost = all_list(&nodes, &[0, 1], 30);
    assert_eq!(lost.intersection(&kept).count(), 20);
    watched.master.kill();
    watched.wait_for_promotion();
    // Those that are still there keep their ids; ends that were lost are told again.
    wait_until("all nodes list the open streams", || {
        (0..2).all(|index| try_listed(nodes.at(index)).as_ref() == Some(&lost))
    });
    wait_until_all_count(&watched.replica, 2);
    assert_eq!(all_list(&nodes, &[0, 1], 30), lost);
}

/// Another server takes over without the last changes of the rosters.
#[test]
fn what_a_server_has_lost_of_the_rosters_is_told_again() {
    let mut server = Server::start(Keeps::Always, &[]);
    let (nodes, _folder) = start(&vec![server.url(); 2], &[]);
    let mut watcher = watch(nodes.at(0));
    let mut told = Told::default();
    let _kept: Vec<SseStream> = (0..4).map(|n| subscribe(nodes.at(n % 2), "a")).collect();
    let _lost = subscribe(nodes.at(1), "lost");
    told.read_until(&mut watcher, |told| told.topics.contains("lost"));
    told.read_until(&mut watcher, |told| told.starts.len() == 5);
    let of_topic = |topic: &str| {
        let answer = list(nodes.at(0), &format!("{HUB}/subscriptions/{topic}"));
        let listed = &answer.json()["subscriptions"][0]["subscriber"];
        listed.as_str().map(str::to_owned)
    };
    let lost = of_topic("lost").expect("it is listed");
    let (key, line) = roster_of(&server, &lost);
    // Its start is lost, and the end of another one.
    server.ask::<()>(&["ZREM", &key, &line]);
    let ended = "11111111-2222-4333-8444-555555555555";
    server.ask::<()>(&[
        "ZADD",
        &key,
        "0",
        &format!("{ended} {{\"topics\":[\"x\"]}}"),
    ]);
    server.kill();
    server.restart();
    let ended = format!("urn:uuid:{ended}");
    told.read_until(&mut watcher, |told| {
        told.ends.contains_key(&ended) && told.starts.get(&lost) == Some(&2)
    });
    let _marker = told.read_to_now(&mut watcher, nodes.at(1));
    assert_eq!(told.ends.len(), 1, "{:?}", told.ends);
    assert_eq!(told.starts.values().filter(|count| **count == 2).count(), 1);
    assert_eq!(told.open(), all_list(&nodes, &[0, 1], 6));
}

/// The process of the server goes on: only the time of its rule is another one.
#[test]
fn what_a_server_has_lost_as_a_replica_is_told_again() {
    let server = Server::start(Keeps::Written, &[]);
    let other = Server::start(Keeps::Written, &[]);
    let (nodes, _folder) = start(&vec![server.url(); 2], &[]);
    let mut open: Vec<SseStream> = (0..20).map(|n| subscribe(nodes.at(n % 2), "a")).collect();
    all_list(&nodes, &[0, 1], 20);
    other.follow(&server);
    other.ask::<()>(&["REPLICAOF", "NO", "ONE"]);
    open.extend((0..10).map(|n| subscribe(nodes.at(n % 2), "lost")));
    open.drain(..5);
    let before = all_list(&nodes, &[0, 1], 25);
    server.follow(&other);
    server.ask::<()>(&["REPLICAOF", "NO", "ONE"]);
    wait_until("all nodes list the open streams", || {
        (0..2).all(|index| try_listed(nodes.at(index)).as_ref() == Some(&before))
    });
    wait_until_all_count(&server, 2);
    assert_eq!(all_list(&nodes, &[0, 1], 25), before);
}

#[test]
fn subscribers_are_listed_again_after_the_log_has_lost_everything() {
    let server = Server::start(Keeps::Written, &[]);
    let (nodes, _folder) = start(&vec![server.url(); 2], &[]);
    let _open: Vec<SseStream> = (0..20).map(|n| subscribe(nodes.at(n % 2), "a")).collect();
    let before = all_list(&nodes, &[0, 1], 20);
    server.ask::<()>(&["FLUSHALL"]);
    // With other ids: nobody can tell those who saw the first ones.
    wait_until("all are listed again", || {
        (0..2).all(|index| {
            let now = try_listed(nodes.at(index));
            now.is_some_and(|now| now.len() == 20 && now.is_disjoint(&before))
        })
    });
}

/// The program of a node is replaced: its subscribers stay.
#[test]
fn an_upgrade_ends_no_subscriber() {
    let server = Server::start(Keeps::Written, &[]);
    let (nodes, _folder) = start(&vec![server.url(); 2], &[]);
    let mut watcher = watch(nodes.at(0));
    let mut told = Told::default();
    let mut open: Vec<SseStream> = (0..20).map(|n| subscribe(nodes.at(n % 2), "a")).collect();
    told.read_until(&mut watcher, |told| told.starts.len() == 20);
    let before = all_list(&nodes, &[0, 1], 20);
    let names: Vec<String> = beats(&server).into_keys().collect();
    for number in 1..=2 {
        let node = nodes.at(1);
        node.signal(Signal::USR2);
        wait_until("it is upgraded", || {
            let status = node.admin_get("/upgrade").json();
            status["last"]["number"] == number && status["last"]["failed"].is_null()
        });
        wait_until_all_count(&server, 2);
    }
    assert_eq!(beats(&server).into_keys().collect::<Vec<_>>(), names);
    assert_eq!(all_list(&nodes, &[0, 1], 20), before);
    open.truncate(10);
    told.read_until(&mut watcher, |told| told.ends.len() == 10);
    let _marker = told.read_to_now(&mut watcher, nodes.at(1));
    told.check();
    assert_eq!(told.open(), all_list(&nodes, &[0, 1], 11));
}

/// A long list is continued at another node.
#[test]
fn a_list_is_continued_at_any_node() {
    let server = Server::start(Keeps::Written, &[]);
    let (nodes, _folder) = start(&vec![server.url(); 2], &[]);
    let topics: String = (0..99).map(|n| format!("&topic=t{n}")).collect();
    let target = format!("{HUB}?topic=all{topics}");
    let open = |n: usize| SseStream::open(nodes.at(n % 2).http, &target);
    let _open: Vec<SseStream> = (0..110).map(open).collect();
    let of_one_topic = |index: usize| {
        let answer = list(nodes.at(index), &format!("{HUB}/subscriptions/all"));
        let listed = answer.json()["subscriptions"].clone();
        listed.as_array().expect("a list").len()
    };
    wait_until("all are told", || {
        (0..2).all(|index| of_one_topic(index) == 110)
    });
    let mut seen = BTreeSet::new();
    let mut target = format!("{HUB}/subscriptions");
    let mut pages = 0;
    loop {
        let answer = list(nodes.at(pages % 2), &target);
        assert_eq!(answer.status, 200, "{answer:?}");
        let json = answer.json();
        for one in json["subscriptions"].as_array().expect("a list") {
            let id = one["id"].as_str().expect("an id").to_owned();
            assert!(seen.insert(id), "twice: {one}");
        }
        pages += 1;
        match next_page(&answer) {
            Some(next) => target = next,
            None => break,
        }
    }
    assert_eq!(seen.len(), 11_000);
    assert!(pages > 1, "the list was short");
    // One of them, at the node that has it and at the other.
    let one = seen.first().expect("one");
    for index in 0..2 {
        assert_eq!(list(nodes.at(index), one).status, 200);
    }
    let nobody =
        format!("{HUB}/subscriptions/all/urn%3Auuid%3A11111111-2222-4333-8444-555555555555");
    assert_eq!(list(nodes.at(0), &nobody).status, 404);
    for bad in ["7", "x"] {
        let answer = list(nodes.at(0), &format!("{HUB}/subscriptions?after={bad}"));
        assert_eq!(answer.status, 400, "{answer:?}");
    }
}
