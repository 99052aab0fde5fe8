//! The history file: each call of its writer fails, and the node is killed before each. The next
//! start finds the old file or the new one.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use rustix::process::Signal;
use tempfile::TempDir;

use super::strace::{Fault, Strace, has_fault};
use super::upgraded::publish;
use crate::support::node::{Node, PROGRAM};
use crate::support::sse::SseStream;
use crate::support::{wait_for, wait_until};

/// Calls of the writer, what befalls them, the number of them for one file, and whether the file is
/// written nevertheless.
const FAILS: [(&str, &str, usize, bool); 14] = [
    ("unlink", "error=EACCES", 1, false),
    ("openat", "error=ENOSPC", 1, false),
    ("openat", "error=EMFILE", 1, false),
    ("openat", "error=EINTR", 1, true),
    ("write", "error=ENOSPC", 1, false),
    ("write", "error=EIO", 1, false),
    ("write", "error=EDQUOT", 1, false),
    ("write", "error=EINTR", 1, true),
    ("fsync", "error=EIO", 2, false),
    ("fsync", "error=ENOSPC", 1, false),
    ("fsync", "error=EINTR", 1, true),
    ("rename", "error=EIO", 1, false),
    ("rename", "error=ENOSPC", 1, false),
    ("close", "error=EIO", 2, true),
];

/// Calls before which a node is killed that writes its file, and the number of them.
const KILLED_AT: [(&str, usize); 7] = [
    ("unlink", 2),
    ("openat", 3),
    ("write", 1),
    ("fsync", 3),
    ("rename", 1),
    ("close", 3),
    ("pwrite64", 1),
];

/// A state directory.
struct Home(TempDir);

impl Home {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.path().join("state").join(name)
    }

    fn start_as(&self, command: Command, more: &[&str]) -> Node {
        let directory = self.file("");
        let directory = directory.to_str().expect("text");
        let flags = [
            "--state-dir",
            directory,
            "--shards",
            "1",
            "--io-threads",
            "1",
        ];
        Node::start_as(command, &[&flags, more].concat())
    }

    fn start(&self, more: &[&str]) -> Node {
        self.start_as(Command::new(PROGRAM), more)
    }

    /// Whether the file of a running node has this text.
    fn has_text(&self, text: &str) -> bool {
        let bytes = fs::read(self.file("history-running")).unwrap_or_default();
        bytes
            .windows(text.len())
            .any(|window| window == text.as_bytes())
    }
}

/// The thread that writes the file. It gives itself its name.
fn writer(node: &Node) -> u32 {
    wait_for("it has a thread for its files", || {
        let tasks = fs::read_dir(format!("/proc/{}/task", node.pid())).expect("a process");
        let mut folders = tasks.filter_map(|task| Some(task.ok()?.path()));
        let folder = folders.find(|folder| {
            let name = fs::read_to_string(folder.join("comm"));
            name.is_ok_and(|name| name.trim() == "history")
        })?;
        folder.file_name()?.to_str()?.parse().ok()
    })
}

/// All events of the topic, and how many gaps were told.
fn history(node: &Node) -> (Vec<String>, usize) {
    static CALLS: AtomicUsize = AtomicUsize::new(0);
    let end = format!("end {}", CALLS.fetch_add(1, Ordering::Relaxed));
    let fields = [("Last-Event-ID", "earliest")];
    let mut stream = SseStream::request(node.http, "/events/t", &fields);
    node.wait_for_streams(1);
    publish(node, "t", &end);
    let (mut events, mut gaps) = (Vec::new(), 0);
    loop {
        let event = stream.next().expect("it is open");
        if event.event == "gap" {
            gaps += 1;
        } else if event.data == end {
            return (events, gaps);
        } else if !event.data.starts_with("end ") {
            events.push(event.data);
        }
    }
}

fn failures(node: &Node) -> f64 {
    let page = node.admin_get("/metrics").body;
    let name = "fantail_history_file_failures_total ";
    let value = page.lines().find_map(|line| line.strip_prefix(name));
    value
        .and_then(|value| value.parse().ok())
        .expect("a number")
}

#[test]
fn each_system_call_of_the_writer_fails_and_the_next_file_is_whole() {
    let home = Home::new();
    let began = Instant::now();
    let node = home.start(&["--history-snapshot-interval", "1s"]);
    let mut events = Vec::new();
    let mut add = |text: String| {
        publish(&node, "t", &text);
        events.push(text.clone());
        text
    };
    let first = add("first".to_owned());
    wait_until("there is a file", || home.has_text(&first));
    for (call, what, most, is_written) in FAILS {
        for when in 1..=most {
            let fault = Fault { call, what, when };
            let before = failures(&node);
            let strace = Strace::attach(writer(&node), &fault.options());
            let text = add(format!("with {fault:?}"));
            wait_until(&format!("{fault:?}"), || has_fault(&strace.seen()));
            if is_written {
                wait_until(&format!("written with {fault:?}"), || home.has_text(&text));
            } else {
                wait_until(&format!("counted {fault:?}"), || failures(&node) > before);
            }
            drop(strace);
            // It may be that of a file whose name was not synced.
            let text = add(format!("after {fault:?}"));
            wait_until(&format!("written after {fault:?}"), || home.has_text(&text));
        }
    }
    let logged = node.logged();
    let lines = logged.matches("could not be written").count() as u64;
    let minutes = began.elapsed().as_secs() / 60;
    assert!((1..=minutes + 1).contains(&lines), "{logged}");
    node.signal(Signal::KILL);
    let mut node = node;
    node.wait();
    let node = home.start(&[]);
    assert!(!node.logged().contains("set aside"), "{}", node.logged());
    // The gap after a crash: nothing was lost in it.
    assert_eq!(history(&node), (events, 1));
}

/// Kills a node at a call of its writer; `false` if it was not reached.
fn killed_at(fault: Fault<'_>, is_stopped: bool) -> bool {
    let home = Home::new();
    let mut node = home.start(&[]);
    publish(&node, "t", "old");
    assert!(node.stop().success());
    let interval: &[&str] = match is_stopped {
        true => &[],
        false => &["--history-snapshot-interval", "1s"],
    };
    let mut node = home.start(interval);
    let strace = Strace::attach(writer(&node), &fault.options());
    publish(&node, "t", "new");
    if is_stopped {
        node.signal(Signal::TERM);
    } else {
        wait_until("it is killed, or has a file", || {
            has_fault(&strace.seen()) || home.has_text("new")
        });
        node.signal(Signal::KILL);
    }
    node.wait();
    let is_killed = has_fault(&strace.detach());
    let was_complete = home.file("history-complete").exists();

    let mut node = home.start(&[]);
    let logged = node.logged();
    assert!(!logged.contains("WARN"), "{fault:?}: {logged}");
    assert!(!home.file("history-new").exists(), "{fault:?}: a leftover");
    let (events, gaps) = history(&node);
    match events.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["old"] => assert!(!was_complete, "{fault:?}"),
        ["old", "new"] => {}
        _ => panic!("{fault:?}: a mixture: {events:?}"),
    }
    assert_eq!(gaps, usize::from(!was_complete), "{fault:?}: {events:?}");
    // It is told once, also by the next process.
    assert!(node.stop().success());
    assert_eq!(history(&home.start(&[])), (events, gaps), "{fault:?}");
    is_killed
}

fn kill_at_each(is_stopped: bool) {
    for (call, most) in KILLED_AT {
        let what = "signal=KILL";
        let reached = (1..=most)
            .take_while(|&when| killed_at(Fault { call, what, when }, is_stopped))
            .count();
        println!("killed at {call}: {reached} times");
        assert!(reached > 0, "{call} is not called");
        assert!(
            !is_stopped || reached == most,
            "{call} is called {reached} times"
        );
    }
}

#[test]
fn a_node_that_is_killed_at_any_call_of_its_last_file_leaves_the_old_or_the_new_one() {
    kill_at_each(true);
}

#[test]
fn a_node_that_is_killed_at_any_call_of_a_file_leaves_the_old_or_the_new_one() {
    kill_at_each(false);
}

/// Each of these calls follows the one before it.
fn assert_order(trace: &str, calls: &[&str]) {
    let mut rest = trace;
    for call in calls {
        let at = rest.find(call);
        let at = at.unwrap_or_else(|| panic!("no {call} where it belongs: {trace}"));
        rest = &rest[at + call.len()..];
    }
}

#[test]
fn files_and_names_are_synced_before_anything_relies_on_them() {
    let home = Home::new();
    let mut node = home.start(&[]);
    publish(&node, "t", "old");
    assert!(node.stop().success());
    // A start takes the complete file for its own.
    let trace = home.0.path().join("trace");
    let mut command = Command::new("strace");
    command
        .args(["-DD", "-f", "-qq", "-s", "0", "-y", "-o"])
        .arg(&trace);
    command
        .args(["-e", "trace=rename,fsync,accept4"])
        .arg(PROGRAM);
    let mut node = home.start_as(command, &["--history-snapshot-interval", "1s"]);
    publish(&node, "t", "running");
    wait_until("there is a file", || home.has_text("running"));
    assert!(node.stop().success());
    let directory = home.file("");
    let directory = directory.to_str().expect("text").trim_end_matches('/');
    let of = |name: &str| format!("{directory}/{name}");
    let rename = |from: &str, to: &str| format!("rename(\"{}\", \"{}\"", of(from), of(to));
    // Other threads may interrupt the line of a call.
    let synced = |path: &str| format!("<{path}>");
    let read = || fs::read_to_string(&trace).unwrap_or_default();
    let last = rename("history-new", "history-complete");
    wait_until("the trace is written", || {
        read()
            .split(&last)
            .nth(1)
            .is_some_and(|rest| rest.matches("fsync(").count() >= 2)
    });
    let trace = read();
    assert_order(
        &trace,
        &[
            &rename("history-complete", "history-running"),
            &synced(directory),
            "accept4(",
            &synced(&of("history-new")),
            &rename("history-new", "history-running"),
            &synced(directory),
            &synced(&of("history-new")),
            &last,
            &synced(directory),
            &synced(directory),
        ],
    );
}

/// A file that goes before its successor's name is on disk leaves none.
#[test]
fn the_file_of_a_running_node_goes_after_the_complete_one_is_safe() {
    let home = Home::new();
    let mut node = home.start(&[]);
    publish(&node, "t", "old");
    assert!(node.stop().success());
    let mut node = home.start(&[]);
    publish(&node, "t", "new");
    let options = [
        "-y",
        "-s",
        "0",
        "-e",
        "trace=openat,write,fsync,rename,unlink",
    ];
    let strace = Strace::attach(writer(&node), &options.map(str::to_owned));
    assert!(node.stop().success());
    let trace = strace.detach();
    let (before, after) = trace.split_once("rename(").expect("it is renamed");
    let (_, of_file) = before.split_once("fsync(").expect("the file is synced");
    assert!(of_file.contains("history-new>)"), "{trace}");
    assert!(
        !of_file.contains("write("),
        "written after its sync: {trace}"
    );
    let (synced, rest) = after.split_once("unlink(").expect("the other one goes");
    let is_synced = |text: &str| text.contains("fsync(") && text.contains("/state>)");
    assert!(is_synced(synced), "the name is not synced: {trace}");
    assert!(is_synced(rest), "nor is the end of the other one: {trace}");
}

/// tokio panicked, and the history of a node that was stopped was lost.
#[test]
fn a_node_that_gets_no_thread_at_its_end_writes_its_history() {
    let home = Home::new();
    let mut node = home.start(&[]);
    publish(&node, "t", "last");
    let tasks = format!("/proc/{}/task", node.pid());
    // tokio keeps idle threads for ten seconds. Main, log, I/O, shard and history stay.
    wait_until("no thread is idle", || {
        fs::read_dir(&tasks).is_ok_and(|tasks| tasks.count() == 5)
    });
    let options = [
        "-f",
        "-e",
        "trace=clone3",
        "-e",
        "inject=clone3:error=EAGAIN",
    ];
    let strace = Strace::attach(node.pid(), &options.map(str::to_owned));
    assert!(node.stop().success());
    assert!(has_fault(&strace.detach()), "it asks for a thread");
    assert_eq!(history(&home.start(&[])), (vec!["last".to_owned()], 0));
}
