use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;

use rustix::fs::OFlags;
use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use crate::support::node::listeners;
use crate::support::sse::SseStream;
use crate::support::{http, resp, wait_for, wait_until};

/// The program under test.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_fantail");

/// Output of a process, as far as it was read.
#[derive(Clone, Default)]
pub(crate) struct Text(Arc<Mutex<String>>);

impl Text {
    /// Reads to the end, in a thread.
    pub(crate) fn collect(from: impl Read + Send + 'static) -> Self {
        let text = Self::default();
        let into = text.clone();
        thread::spawn(move || {
            let mut lines = BufReader::new(from);
            let mut line = Vec::new();
            // A terminal whose other side is gone is an error, and an end, too.
            while lines
                .read_until(b'\n', &mut line)
                .is_ok_and(|read| read > 0)
            {
                let mut all = into.0.lock().expect("no panic");
                all.push_str(&String::from_utf8_lossy(&line));
                line.clear();
            }
        });
        text
    }

    pub(crate) fn now(&self) -> String {
        self.0.lock().expect("no panic").clone()
    }

    pub(crate) fn wait_for(&self, part: &str) {
        wait_until(&format!("{part:?} is written"), || {
            self.now().contains(part)
        });
    }
}

/// A terminal: the end for a program, and the text that it writes there.
pub(crate) fn terminal() -> (OwnedFd, Text) {
    let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal");
    grantpt(&ours).expect("a terminal");
    unlockpt(&ours).expect("a terminal");
    let name = ptsname(&ours, Vec::new()).expect("a name");
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    let theirs = rustix::fs::open(name, flags, rustix::fs::Mode::empty()).expect("a terminal");
    (theirs, Text::collect(File::from(ours)))
}

/// The command that serves on free ports, without the test's environment.
pub(crate) fn serve(flags: &[&str]) -> Command {
    let mut command = Command::new(PROGRAM);
    command.arg("serve").args(on_free_ports()).args(flags);
    command.env_clear().stdin(Stdio::null());
    command
}

pub(crate) fn on_free_ports() -> [&'static str; 6] {
    [
        "--listen",
        "127.0.0.1:0",
        "--ingest-listen",
        "127.0.0.1:0",
        "--admin-listen",
        "127.0.0.1:0",
    ]
}

/// A running node.
pub(crate) struct Node {
    pub(crate) child: Child,
    pub(crate) http: SocketAddr,
    pub(crate) ingest: SocketAddr,
    pub(crate) admin: SocketAddr,
}

impl Node {
    /// Wraps a node that logs its addresses.
    pub(crate) fn logging(child: Child, log: &Text) -> Self {
        let [http, ingest, admin] = wait_for("the node serves", || listeners(&log.now()));
        Self {
            child,
            http,
            ingest,
            admin,
        }
    }

    /// Wraps a node that prints its addresses on its terminal.
    pub(crate) fn at_terminal(child: Child, screen: &Text) -> Self {
        let line = |name: &str, scheme: &str| -> SocketAddr {
            let found = wait_for("the node serves", || {
                let screen = screen.now();
                let line = screen.lines().find(|line| line.starts_with(name))?;
                Some(line.split_once(scheme)?.1.trim_end().to_owned())
            });
            found.parse().expect("an address")
        };
        Self {
            child,
            http: line("http ", "http://"),
            ingest: line("ingest ", "redis://"),
            admin: line("admin ", "http://"),
        }
    }

    /// Has it log a line.
    pub(crate) fn provoke_a_line(&self) {
        self.signal(Signal::HUP);
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("it runs");
    }

    /// Lines that could not be logged.
    pub(crate) fn dropped_lines(&self) -> u64 {
        let page = http::request(self.admin, "GET", "/metrics", &[], b"").body;
        let line = page
            .lines()
            .find_map(|line| line.strip_prefix("fantail_log_lines_dropped_total "));
        line.and_then(|count| count.parse().ok()).expect("a count")
    }

    /// Publishes an event and receives it.
    pub(crate) fn works(&self) {
        let mut stream = SseStream::open(self.http, "/events/news");
        assert_eq!(resp::publish(self.ingest, "news", "hello"), 1);
        assert_eq!(stream.take_data(1), ["hello"]);
    }

    pub(crate) fn stop(&mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        wait_for("the node ends", || self.child.try_wait().expect("a child"))
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A full pipe whose reader reads nothing.
pub(crate) fn full_pipe() -> (std::io::PipeReader, std::io::PipeWriter) {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    rustix::io::ioctl_fionbio(&writer, true).expect("a pipe");
    while rustix::io::write(writer.as_fd(), &[b'x'; 4_096]).is_ok() {}
    while rustix::io::write(writer.as_fd(), b"x").is_ok() {}
    rustix::io::ioctl_fionbio(&writer, false).expect("a pipe");
    (reader, writer)
}
