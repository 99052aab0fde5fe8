//! A history that outlives its process: stopped and started again, killed, damaged, and without
//! room on its disk. The nodes are real processes.

mod crash;
mod files;
mod start;
mod stop;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use tempfile::TempDir;

use crate::publisher::Publisher;
use crate::support::node::Node;
use crate::support::sse::{SseEvent, SseStream};
use crate::support::wait_until;

/// A state directory, and the nodes that have it one after the other.
struct Home {
    directory: TempDir,
    flags: Vec<String>,
}

impl Home {
    fn new(flags: &[&str]) -> Self {
        Self {
            directory: tempfile::tempdir().expect("a directory"),
            flags: flags.iter().map(|&flag| flag.into()).collect(),
        }
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("state")
    }

    fn file(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    /// All flags of a node that has it.
    fn flags(&self) -> Vec<String> {
        let directory = self.path().to_string_lossy().into_owned();
        let own = ["--state-dir", &directory, "--shards", "2"].map(str::to_owned);
        own.into_iter().chain(self.flags.iter().cloned()).collect()
    }

    fn start(&self) -> Node {
        let flags = self.flags();
        let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
        Node::start_with(&flags)
    }

    /// The names of its files that may hold a history.
    fn histories(&self) -> Vec<String> {
        let files = std::fs::read_dir(self.path()).expect("a directory");
        let names = files.map(|file| file.expect("a file").file_name());
        let names = names.map(|name| name.into_string().expect("text"));
        let mut names: Vec<_> = names.filter(|name| name.starts_with("history")).collect();
        names.sort();
        names
    }
}

/// Waits until a file holds this text.
fn wait_for_text(path: &Path, text: &str) {
    wait_until(&format!("{} holds {text:?}", path.display()), || {
        let bytes = std::fs::read(path).unwrap_or_default();
        bytes
            .windows(text.len())
            .any(|window| window == text.as_bytes())
    });
}

/// The place of an id in the node's order.
fn place(id: &str) -> (u64, u64) {
    let (place, _) = id.split_once('.').expect("a mark");
    let (ms, number) = place.split_once('-').expect("two numbers");
    (
        ms.parse().expect("a number"),
        number.parse().expect("a number"),
    )
}

/// The data of an event, or the range of a gap with its reason.
fn told(event: SseEvent) -> String {
    if event.event != "gap" {
        return event.data;
    }
    let told: serde_json::Value = serde_json::from_str(&event.data).expect("JSON");
    let word = |name: &str| told[name].as_str().expect("a word").to_owned();
    format!("{} {}..{}", word("reason"), word("from"), word("to"))
}

/// Checks that this is the gap of lost events after an id.
#[track_caller]
fn assert_gap_after(id: &str, told: &str) {
    assert!(told.starts_with(&format!("evicted {id}..")), "{told}");
}

/// Resumes a stream, publishes one more event to its topic, and returns everything up to it. Such
/// events of earlier calls are left out.
fn all_after(node: &Node, target: &str, topic: &str, cursor: &str) -> Vec<String> {
    all_of(node, target, topic, &[("Last-Event-ID", cursor)])
}

fn all_of(node: &Node, target: &str, topic: &str, fields: &[(&str, &str)]) -> Vec<String> {
    static CALLS: AtomicUsize = AtomicUsize::new(0);
    let mark = format!("live {}", CALLS.fetch_add(1, Ordering::Relaxed));
    let mut stream = SseStream::request(node.http, target, fields);
    node.wait_for_streams(1);
    Publisher::open(node.ingest).publish(topic, &mark);
    let events = std::iter::from_fn(|| stream.next()).map(told);
    let before = events.take_while(|event| *event != mark);
    let mut all: Vec<_> = before.filter(|event| !event.starts_with("live ")).collect();
    all.push("live".to_owned());
    drop(stream);
    node.wait_for_streams(0);
    all
}

/// A value of the metrics.
fn metric(node: &Node, name: &str) -> f64 {
    let page = node.admin_get("/metrics").body;
    let line = page.lines().find_map(|line| line.strip_prefix(name));
    let value = line.and_then(|rest| rest.trim().parse().ok());
    value.unwrap_or_else(|| panic!("no {name} in {page}"))
}
