//! The next program, from `execve` until it serves. It cannot go back: it outlasts what passes, loses
//! at most the one connection that the fault befalls, or ends with a reason.

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;

use super::strace::{Fault, detach_from, has_fault, take_over_script};
use super::upgraded::Upgraded;
use crate::support::sse::SseStream;
use crate::support::{DEADLINE, http, wait_for, wait_until};

/// The worst that may follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Worst {
    /// Nothing is lost.
    Nothing,
    /// One connection or stream is closed.
    OneLost,
    /// tokio panics: it got no first thread or no sockets, just after both could be had.
    Panic,
    /// The process ends with a reason.
    End,
}

/// Calls of a thread of the next program, what befalls them, the number of them, and the worst that
/// may follow.
const CALLS: [(&str, &str, usize, Worst); 20] = [
    ("open", "error=EMFILE", 4, Worst::Nothing),
    ("open", "error=ENFILE", 4, Worst::Nothing),
    ("getdents64", "error=ENOMEM", 2, Worst::Nothing),
    ("clone3", "error=EAGAIN", 7, Worst::Panic),
    ("epoll_create1", "error=EMFILE", 3, Worst::Nothing),
    ("eventfd2", "error=ENFILE", 3, Worst::Nothing),
    ("socketpair", "error=EMFILE", 2, Worst::Panic),
    ("signalfd4", "error=ENOMEM", 1, Worst::Nothing),
    ("setsockopt", "error=ENOMEM", 16, Worst::Nothing),
    ("setsockopt", "error=EPERM", 3, Worst::Nothing),
    ("listen", "error=EADDRINUSE", 2, Worst::Nothing),
    // The call of a shard is for a stream, some of the I/O threads are for connections.
    ("epoll_ctl", "error=ENOMEM", 8, Worst::OneLost),
    ("epoll_ctl", "error=ENOSPC", 8, Worst::OneLost),
    ("prctl", "error=EINVAL", 3, Worst::Nothing),
    // Calls that fail only if the system is broken. The program cannot know what it has.
    ("getdents64", "error=EIO", 2, Worst::End),
    ("fcntl", "error=ENOMEM", 12, Worst::End),
    ("lseek", "error=EINVAL", 2, Worst::End),
    ("getsockopt", "error=ENOBUFS", 4, Worst::End),
    ("getsockname", "error=ENOBUFS", 4, Worst::End),
    ("getpeername", "error=ENOBUFS", 3, Worst::OneLost),
];

/// A node that is upgraded once, with a client of each kind.
struct Run {
    upgraded: Upgraded,
    stream: SseStream,
    resp: TcpStream,
    http: TcpStream,
}

impl Run {
    fn start() -> Self {
        let upgraded = Upgraded::start(&["--shards", "1", "--io-threads", "1"]);
        let node = &upgraded.node;
        let connect = |address| {
            let socket = TcpStream::connect(address).expect("it listens");
            socket.set_read_timeout(Some(DEADLINE)).expect("a socket");
            socket
        };
        let (resp, http) = (connect(node.ingest), connect(node.http));
        let stream = SseStream::open(node.http, "/events/t");
        let mut run = Self {
            upgraded,
            stream,
            resp,
            http,
        };
        assert!(run.publish_resp("0") && run.publish_http("1"));
        assert_eq!(run.stream.take_data(2), ["0", "1"]);
        run
    }

    /// Publishes over the connection that was there before; `false` if it was closed.
    fn publish_resp(&mut self, data: &str) -> bool {
        let command = format!("PUBLISH t {data}\r\n");
        is_answered(&mut self.resp, &command, b":")
    }

    fn publish_http(&mut self, data: &str) -> bool {
        let length = data.len();
        let request = format!(
            "POST /publish/t HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\n\r\n{data}"
        );
        is_answered(&mut self.http, &request, b"HTTP/1.1 200")
    }

    /// Asks for an upgrade; `false` if the process has ended.
    fn upgrade(&self, fault: &str) -> bool {
        let admin = self.upgraded.node.admin;
        let answer = http::request(admin, "POST", "/upgrade", &[], b"");
        assert_eq!(answer.status, 202, "{fault}: {answer:?}");
        let status = || {
            let mut socket = TcpStream::connect(admin)?;
            let request = "GET /upgrade HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
            socket.set_read_timeout(Some(DEADLINE))?;
            socket.write_all(request.as_bytes())?;
            let mut answer = String::new();
            socket.read_to_string(&mut answer).map(|_| answer)
        };
        wait_for(&format!("the outcome of {fault}"), || match status() {
            Ok(answer) => answer.contains("\"number\":1").then_some(true),
            // A frozen listener accepts in the kernel.
            Err(error) => (error.kind() == ErrorKind::ConnectionRefused).then_some(false),
        })
    }

    /// The worst that has happened.
    fn outcome(mut self, fault: &str) -> Worst {
        if !self.upgrade(fault) {
            return self.ended(fault);
        }
        detach_from(self.upgraded.node.pid());
        let status = self.upgraded.status();
        assert!(status["last"]["failed"].is_null(), "{fault}: {status}");
        let taken = [self.publish_resp("2"), self.publish_http("3")];
        // A stream that was ended has been told when to come back.
        let mut fresh = SseStream::open(self.upgraded.node.http, "/events/t");
        super::upgraded::publish(&self.upgraded.node, "t", "last");
        assert_eq!(fresh.take_data(1), ["last"], "{fault}");
        let heard: Vec<String> = std::iter::from_fn(|| self.stream.next())
            .map(|event| event.data)
            .take_while(|data| data != "last")
            .collect();
        let lives = self.stream.cursor == fresh.cursor;
        let expected: Vec<&str> = ["2", "3"]
            .into_iter()
            .zip(taken)
            .filter_map(|(data, taken)| taken.then_some(data))
            .collect();
        if lives {
            assert_eq!(heard, expected, "{fault}");
        } else {
            assert!(self.stream.retry.is_some(), "{fault}: cut without a word");
        }
        let lost = [lives, taken[0], taken[1]];
        match lost.into_iter().filter(|lives| !lives).count() {
            0 => {}
            1 => return self.lost(fault, lives, taken[0]),
            _ => panic!("{fault}: more than one is lost: {lost:?}"),
        }
        self.upgraded.install_real();
        self.upgraded.upgrade();
        Worst::Nothing
    }

    /// One is lost: it was counted, and logged.
    fn lost(self, fault: &str, stream_lives: bool, resp_lives: bool) -> Worst {
        let metrics = self.upgraded.node.admin_get("/metrics").body;
        let has = |line: &str| metrics.lines().any(|given| given == line);
        if !stream_lives {
            assert!(
                has("fantail_streams_turned_away_total{shard=\"0\"} 1"),
                "{fault}: {metrics}"
            );
            self.upgraded.node.wait_for_log("a stream was turned away");
        } else if fault.contains("epoll_ctl") {
            self.upgraded.node.wait_for_log("a connection was ended");
        }
        if !resp_lives && fault.contains("epoll_ctl") {
            let line = "fantail_ingest_ended_total{reason=\"system_error\"} 1";
            assert!(has(line), "{fault}: {metrics}");
        }
        self.upgraded.install_real();
        self.upgraded.upgrade();
        Worst::OneLost
    }

    /// The process has ended, and says why.
    fn ended(mut self, fault: &str) -> Worst {
        let status = self.upgraded.node.wait();
        let logged = self.upgraded.node.logged();
        let last = logged.lines().last().unwrap_or_default();
        let panics = [
            "OS can't spawn worker thread",
            "failed to create UnixStream",
        ];
        if panics.iter().any(|panic| last.contains(panic)) {
            return Worst::Panic;
        }
        assert!(matches!(status.code(), Some(1 | 2)), "{fault}: {status:?}");
        let has_reason = last.contains("os error") || last.contains("is not what the state says");
        assert!(has_reason, "{fault}: {logged}");
        Worst::End
    }
}

fn is_answered(socket: &mut TcpStream, request: &str, answer: &[u8]) -> bool {
    if socket.write_all(request.as_bytes()).is_err() {
        return false;
    }
    let mut read = [0; 4_096];
    match socket.read(&mut read) {
        Ok(0) | Err(_) => false,
        Ok(length) => {
            let text = String::from_utf8_lossy(&read[..length]).into_owned();
            assert!(read.starts_with(answer), "{request}: {text}");
            true
        }
    }
}

fn each_fails(calls: &[(&str, &str, usize, Worst)]) {
    let folder = tempfile::tempdir().expect("a folder");
    let trace = folder.path().join("trace");
    for &(call, what, most, worst) in calls {
        let mut outcomes = Vec::new();
        for when in 1..=most {
            let _ = fs::remove_file(&trace);
            let fault = Fault { call, what, when };
            let mut options = vec!["-f".to_owned()];
            options.extend(fault.options());
            let run = Run::start();
            run.upgraded
                .install_script(&take_over_script(&trace, &options));
            let fault = format!("{fault:?}");
            let outcome = run.outcome(&fault);
            assert!(outcome <= worst, "{fault}: {outcome:?}");
            let read = || fs::read_to_string(&trace).unwrap_or_default();
            wait_until("the trace is written", || !read().is_empty());
            if !has_fault(&read()) {
                break;
            }
            outcomes.push(outcome);
        }
        println!("{call} {what}: {outcomes:?}");
        assert!(!outcomes.is_empty(), "{call} is not called");
    }
}

#[test]
fn a_shortage_in_the_next_program_passes_and_costs_at_most_one_connection() {
    each_fails(&CALLS[..11]);
}

#[test]
fn what_the_next_program_cannot_go_on_without_ends_it_with_a_reason() {
    each_fails(&CALLS[11..]);
}

/// One call that failed for a moment ended the history on disk until the next start.
#[test]
fn a_shortage_of_descriptors_did_not_pass_for_the_state_directory() {
    for name in ["lock", "newest-id"] {
        let folder = tempfile::tempdir().expect("a folder");
        let (state, trace) = (folder.path().join("state"), folder.path().join("trace"));
        let mut upgraded = Upgraded::start(&["--state-dir", state.to_str().expect("text")]);
        let file = state.join(name).display().to_string();
        let fault = Fault {
            call: "openat",
            what: "error=EMFILE",
            when: 1,
        };
        let mut options = ["-f", "-P", &file].map(str::to_owned).to_vec();
        options.extend(fault.options());
        upgraded.install_script(&take_over_script(&trace, &options));
        upgraded.upgrade();
        detach_from(upgraded.node.pid());
        let read = || fs::read_to_string(&trace).unwrap_or_default();
        wait_until("the trace is written", || !read().is_empty());
        assert!(has_fault(&read()), "{name} is not opened: {}", read());
        super::upgraded::publish(&upgraded.node, "t", "x");
        assert!(upgraded.node.stop().success());
        let is_kept = state.join("history-complete").exists();
        assert!(is_kept, "{name}: {}", upgraded.node.logged());
    }
}
