//! The real program on free ports, ended when the test is.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;

use rustix::process::{Pid, Signal, kill_process};

use super::http::{self, Response};
use super::{resp, wait_for, wait_until};

/// The program under test.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_fantail");

/// A running `fantail`.
pub(crate) struct Node {
    child: Child,
    said: Arc<Mutex<String>>,
    logged: Arc<Mutex<String>>,
    /// Public listener.
    pub(crate) http: SocketAddr,
    /// Ingest listener.
    pub(crate) ingest: SocketAddr,
    /// Admin listener.
    pub(crate) admin: SocketAddr,
}

impl Node {
    /// A node on its defaults, but for the ports.
    pub(crate) fn start() -> Self {
        Self::start_with(&[])
    }

    /// A node with these flags in addition.
    pub(crate) fn start_with(flags: &[&str]) -> Self {
        Self::start_as(Command::new(PROGRAM), flags)
    }

    /// A node that may open at most `files` files.
    pub(crate) fn start_with_files(files: u32, flags: &[&str]) -> Self {
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("ulimit -n {files} && exec \"$0\" \"$@\"")]);
        shell.arg(PROGRAM);
        Self::start_as(shell, flags)
    }

    /// A node whose files may have at most so many blocks each.
    pub(crate) fn start_with_file_blocks(blocks: u32, flags: &[&str]) -> Self {
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("ulimit -f {blocks} && exec \"$0\" \"$@\"")]);
        shell.arg(PROGRAM);
        Self::start_as(shell, flags)
    }

    /// A node that listens beside another one, which was started with `--reuse-port` as well.
    pub(crate) fn start_beside(other: &Self, flags: &[&str]) -> Self {
        let mut command = Command::new(PROGRAM);
        command.args(["serve", "--reuse-port"]);
        for (flag, address) in [
            ("--listen", other.http),
            ("--ingest-listen", other.ingest),
            ("--admin-listen", other.admin),
        ] {
            command.args([flag, &address.to_string()]);
        }
        Starting::spawn(command, flags).started()
    }

    /// A node whose public listener has this address, for tests that start it again there.
    pub(crate) fn start_at(http: SocketAddr, flags: &[&str]) -> Self {
        let http = http.to_string();
        let flags = [&["--listen", &http], flags].concat();
        Self::begin(&flags).started()
    }

    /// A node that `command` starts; it needs the name of the program only.
    pub(crate) fn start_as(command: Command, flags: &[&str]) -> Self {
        Starting::on_free_ports(command, flags).started()
    }

    /// A node that this command starts, with nothing added.
    pub(crate) fn start_exactly(command: Command) -> Self {
        Starting::spawn(command, &[]).started()
    }

    /// A node that has begun to start.
    pub(crate) fn begin(flags: &[&str]) -> Starting {
        Starting::on_free_ports(Command::new(PROGRAM), flags)
    }

    /// An address of the public listener.
    pub(crate) fn url(&self, target: &str) -> String {
        format!("http://{}{target}", self.http)
    }

    /// Publishes one event over the ingest port; the number of streams it was handed to.
    pub(crate) fn publish(&self, topic: &str, data: &str) -> i64 {
        resp::publish(self.ingest, topic, data)
    }

    /// A `GET` on the admin listener.
    pub(crate) fn admin_get(&self, target: &str) -> Response {
        http::request(self.admin, "GET", target, &[], b"")
    }

    /// The ids of the open streams, at most 1,000.
    pub(crate) fn streams(&self) -> Vec<String> {
        let answer = self.admin_get("/streams?slowest=1000").json();
        let list = answer.as_array().expect("a list of streams").iter();
        list.map(|stream| stream["id"].as_str().expect("an id").to_owned())
            .collect()
    }

    /// Waits until `count` streams are open.
    pub(crate) fn wait_for_streams(&self, count: usize) -> Vec<String> {
        wait_for(&format!("{count} streams are open"), || {
            Some(self.streams()).filter(|streams| streams.len() == count)
        })
    }

    /// Ends a stream as an operator does.
    pub(crate) fn cut(&self, stream: &str) {
        let answer = http::request(
            self.admin,
            "DELETE",
            &format!("/streams/{stream}"),
            &[],
            b"",
        );
        assert_eq!(answer.status, 204, "cutting {stream}: {answer:?}");
    }

    /// The node's standard output so far.
    pub(crate) fn said(&self) -> String {
        self.said.lock().expect("no panic").clone()
    }

    /// The node's log so far.
    pub(crate) fn logged(&self) -> String {
        self.logged.lock().expect("no panic").clone()
    }

    /// Number of the process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends the process a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("the child is ours");
    }

    /// Waits for the process to end by itself, and until all of its output was read.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        let status = wait_for("the node ends", || self.child.try_wait().expect("a child"));
        let outputs = [&self.said, &self.logged];
        // The thread that reads a pipe holds its text until the pipe ends.
        let is_read = || outputs.iter().all(|text| Arc::strong_count(text) == 1);
        wait_until("its output was read", is_read);
        status
    }

    /// Asks the node to end (SIGTERM) and waits until it did.
    pub(crate) fn stop(&mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        self.wait()
    }

    /// Waits until the log holds `text`.
    pub(crate) fn wait_for_log(&self, text: &str) {
        wait_until(&format!("the log holds {text:?}"), || {
            self.logged.lock().expect("no panic").contains(text)
        });
    }
}

/// A `fantail` that has begun to start.
pub(crate) struct Starting {
    child: Option<Child>,
    said: Arc<Mutex<String>>,
    logged: Arc<Mutex<String>>,
}

impl Starting {
    /// Listeners that are not in the flags have free ports.
    fn on_free_ports(mut command: Command, flags: &[&str]) -> Self {
        command.arg("serve");
        for listener in ["--listen", "--ingest-listen", "--admin-listen"] {
            if !flags.contains(&listener) {
                command.args([listener, "127.0.0.1:0"]);
            }
        }
        Self::spawn(command, flags)
    }

    fn spawn(mut command: Command, flags: &[&str]) -> Self {
        // Variables of the developer's shell must not affect the tests.
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            if text.starts_with("FANTAIL_") || text == "RUST_LOG" {
                command.env_remove(&name);
            }
        }
        let mut child = command
            .args(flags)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let said = collect(child.stdout.take().expect("a pipe"));
        let logged = collect(child.stderr.take().expect("a pipe"));
        Self {
            child: Some(child),
            said,
            logged,
        }
    }

    /// Its log so far.
    pub(crate) fn logged(&self) -> String {
        self.logged.lock().expect("no panic").clone()
    }

    /// Waits until it has ended by itself; its status and its whole log.
    pub(crate) fn ended(mut self) -> (ExitStatus, String) {
        let child = self.child.as_mut().expect("it was spawned");
        let status = wait_for("the node ends", || child.try_wait().expect("a child"));
        wait_until("its log was read", || Arc::strong_count(&self.logged) == 1);
        (status, self.logged())
    }

    /// Waits until it serves.
    pub(crate) fn started(mut self) -> Node {
        let [http, ingest, admin] = wait_for("the node says where it listens", || {
            let logged = self.logged();
            let child = self.child.as_mut().expect("it was spawned");
            let ended = child.try_wait().expect("a child");
            assert!(ended.is_none(), "the node ended with {ended:?}: {logged}");
            listeners(&logged)
        });
        Node {
            child: self.child.take().expect("it was spawned"),
            said: Arc::clone(&self.said),
            logged: Arc::clone(&self.logged),
            http,
            ingest,
            admin,
        }
    }
}

impl Drop for Starting {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            eprintln!("--- the node logged:\n{}---", self.logged());
        }
    }
}

/// The addresses of the public, the ingest and the admin listener, once the log has the line, as
/// text or as JSON.
pub(crate) fn listeners(logged: &str) -> Option<[SocketAddr; 3]> {
    let line = logged
        .split_inclusive('\n')
        .find(|line| line.ends_with('\n') && line.contains("serving"))?;
    let address = |name: &str| {
        let text = format!(" {name}=");
        let json = format!("\"{name}\":\"");
        let (_, rest) = line.split_once(&text).or_else(|| line.split_once(&json))?;
        let end = rest.find([' ', '"', '\n']).unwrap_or(rest.len());
        Some(rest[..end].parse().expect("an address"))
    };
    Some([address("http")?, address("ingest")?, address("admin")?])
}

/// Reads a pipe to its end in a thread, so that the node never waits for the test.
fn collect(pipe: impl Read + Send + 'static) -> Arc<Mutex<String>> {
    let text = Arc::new(Mutex::new(String::new()));
    let into = Arc::clone(&text);
    thread::spawn(move || {
        let mut lines = BufReader::new(pipe);
        let mut line = Vec::new();
        while lines
            .read_until(b'\n', &mut line)
            .is_ok_and(|read| read > 0)
        {
            into.lock()
                .expect("no panic")
                .push_str(&String::from_utf8_lossy(&line));
            line.clear();
        }
    });
    text
}
