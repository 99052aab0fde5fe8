//! A node that is upgraded, and clients that watch it.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::support::http::{self, Connection};
use crate::support::node::{Node, PROGRAM};
use crate::support::resp;
use crate::support::sse::SseStream;

/// A node whose program file is a link that can lead elsewhere.
pub(crate) struct Upgraded {
    pub(crate) node: Node,
    pub(crate) folder: TempDir,
}

impl Upgraded {
    pub(crate) fn start(flags: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let link = folder.path().join("fantail");
        symlink(PROGRAM, &link).expect("a link");
        let node = Node::start_as(Command::new(&link), flags);
        Self { node, folder }
    }

    fn link(&self) -> PathBuf {
        self.folder.path().join("fantail")
    }

    /// Lets the program file lead elsewhere, in one step.
    pub(crate) fn install(&self, target: &Path) {
        let next = self.folder.path().join("next");
        symlink(target, &next).expect("a link");
        fs::rename(&next, self.link()).expect("a folder");
    }

    /// Installs a shell script that knows the real program as `$REAL`.
    pub(crate) fn install_script(&self, text: &str) {
        let script = self.folder.path().join("script");
        let mut file = fs::File::create(&script).expect("a file");
        write!(file, "#!/bin/sh\nREAL={PROGRAM}\n{text}\n").expect("room");
        drop(file);
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).expect("ours");
        self.install(&script);
    }

    /// Installs the real program again.
    pub(crate) fn install_real(&self) {
        self.install(Path::new(PROGRAM));
    }

    /// Runs `fantail upgrade`.
    pub(crate) fn ask(&self) -> Output {
        ask(&self.node)
    }

    /// An upgrade that works; what the command says.
    pub(crate) fn upgrade(&self) -> String {
        upgrade(&self.node)
    }

    /// An upgrade that is refused; the reason.
    pub(crate) fn refused(&self) -> String {
        let output = self.ask();
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        errors
    }

    /// The status that the admin listener shows.
    pub(crate) fn status(&self) -> serde_json::Value {
        self.node.admin_get("/upgrade").json()
    }
}

/// Runs `fantail upgrade`.
fn ask(node: &Node) -> Output {
    let mut command = Command::new(PROGRAM);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("FANTAIL_") {
            command.env_remove(&name);
        }
    }
    let address = node.admin.to_string();
    let command = command.args(["upgrade", "--admin-listen", &address]);
    command.output().expect("the program runs")
}

/// An upgrade that works; what the command says.
pub(crate) fn upgrade(node: &Node) -> String {
    let output = ask(node);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}{errors}\n{}", node.logged());
    said
}

/// Publishes numbers to a topic until it is told to end, over one connection that must stay open.
pub(crate) struct Publisher {
    is_over: Arc<AtomicBool>,
    published: Arc<AtomicUsize>,
    thread: JoinHandle<(usize, Duration)>,
}

impl Publisher {
    /// Over the Redis protocol.
    pub(crate) fn resp(node: &Node, topic: &'static str) -> Self {
        let mut client = resp::Client::open(node.ingest);
        Self::start(move |number| {
            client.publish(topic, &number.to_string());
        })
    }

    /// Over HTTP.
    pub(crate) fn http(node: &Node, topic: &'static str) -> Self {
        Self::http_with(node, topic, "")
    }

    /// The same with more fields, as lines.
    pub(crate) fn http_with(node: &Node, topic: &'static str, fields: &str) -> Self {
        let mut connection = Connection::open(node.http);
        let fields = fields.to_owned();
        Self::start(move |number| {
            let data = number.to_string();
            let head = format!(
                "POST /publish/{topic} HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain\r\n{fields}Content-Length: {}\r\n\r\n",
                data.len()
            );
            connection.send(head.as_bytes());
            connection.send(data.as_bytes());
            let answer = connection.response("POST");
            assert_eq!(answer.status, 200, "{answer:?}");
        })
    }

    fn start(mut publish: impl FnMut(usize) + Send + 'static) -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let published = Arc::new(AtomicUsize::new(0));
        let (over, count) = (Arc::clone(&is_over), Arc::clone(&published));
        let thread = thread::spawn(move || {
            let (mut number, mut longest) = (0, Duration::ZERO);
            while !over.load(Ordering::Relaxed) {
                let began = Instant::now();
                publish(number);
                longest = longest.max(began.elapsed());
                number += 1;
                count.store(number, Ordering::Relaxed);
                thread::sleep(Duration::from_millis(2));
            }
            (number, longest)
        });
        Self {
            is_over,
            published,
            thread,
        }
    }

    /// Events so far.
    pub(crate) fn published(&self) -> usize {
        self.published.load(Ordering::Relaxed)
    }

    /// Ends it; returns the number of events, and how long one took at most.
    pub(crate) fn end(self) -> (usize, Duration) {
        self.is_over.store(true, Ordering::Relaxed);
        self.thread.join().expect("no event failed")
    }
}

/// Reads a stream in a thread of its own. It must not end, and its ids must rise.
pub(crate) fn reader(mut stream: SseStream, count: usize) -> JoinHandle<Vec<String>> {
    thread::spawn(move || {
        let mut last = (0_u64, 0_u64);
        let mut data = Vec::new();
        for event in stream.take(count) {
            assert_ne!(event.event, "gap", "{event:?}");
            let id = event.id.split('.').next().expect("an id");
            let (ms, counter) = id.split_once('-').expect("an id");
            let id = (ms.parse().expect("ms"), counter.parse().expect("a counter"));
            assert!(id > last, "{id:?} after {last:?}");
            last = id;
            data.push(event.data);
        }
        data
    })
}

/// `0`, `1`, … as texts.
pub(crate) fn numbers(count: usize) -> Vec<String> {
    (0..count).map(|number| number.to_string()).collect()
}

/// Publishes one event over HTTP.
pub(crate) fn publish(node: &Node, topic: &str, data: &str) {
    let target = format!("/publish/{topic}");
    let fields = [("Content-Type", "text/plain")];
    let answer = http::request(node.http, "POST", &target, &fields, data.as_bytes());
    assert_eq!(answer.status, 200, "{answer:?}");
}
