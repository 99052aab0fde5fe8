//! Until the program is replaced, a call that fails leaves everything as it was.

use std::fs;
use std::process::Command;

use rustix::process::Signal;

use super::strace::{Fault, Strace, child_script, has_fault};
use super::upgraded::{Publisher, Upgraded, numbers, publish, reader};
use crate::support::node::{Node, PROGRAM};
use crate::support::sse::SseStream;
use crate::support::wait_until;

/// Calls of the running program's main thread between the request and `execve`, what befalls them,
/// and how many of them at most.
const RUNNING: [(&str, &str, usize); 19] = [
    ("clone3", "error=EAGAIN", 5),
    ("memfd_create", "error=EMFILE", 1),
    ("memfd_create", "error=EINVAL", 1),
    ("fcntl", "error=ENOMEM", 12),
    ("statx", "error=ENOMEM", 3),
    ("openat", "error=EMFILE", 2),
    ("pipe2", "error=ENFILE", 3),
    ("waitid", "error=EINTR", 1),
    ("waitid", "error=ECHILD", 1),
    ("wait4", "error=EINTR", 1),
    ("kill", "error=ESRCH", 1),
    ("lseek", "error=EINVAL", 1),
    ("execve", "error=ENOENT", 1),
    ("execve", "error=EACCES", 1),
    ("execve", "error=ENOMEM", 1),
    ("execve", "error=E2BIG", 1),
    ("execve", "error=ETXTBSY", 1),
    ("prlimit64", "error=EPERM", 2),
    ("clock_nanosleep", "error=EINTR", 1),
];

/// Calls on the file in memory.
const STATE: [(&str, &str, usize); 5] = [
    ("write", "error=ENOSPC", 2),
    ("write", "error=ENOMEM", 2),
    ("write", "error=EINTR", 1),
    ("read", "error=EINTR", 1),
    ("read", "error=EIO", 2),
];

/// Step between the bytes at which the message of a rehearsal is cut. Its parser is tested at each.
const CUT_EVERY: usize = 11;

/// Calls of a child that checks or rehearses, in its main thread.
const CHILD: [(&str, &str, usize); 21] = [
    ("open", "error=EMFILE", 4),
    ("openat", "error=EMFILE", 5),
    ("openat", "error=ENFILE", 1),
    ("getdents64", "error=EIO", 2),
    ("fcntl", "error=ENOMEM", 8),
    ("fcntl", "error=EBADF", 3),
    ("lseek", "error=EINVAL", 2),
    ("read", "error=EIO", 9),
    ("getsockopt", "error=ENOBUFS", 4),
    ("clone3", "error=EAGAIN", 4),
    ("epoll_create1", "error=EMFILE", 2),
    ("eventfd2", "error=ENFILE", 2),
    ("epoll_ctl", "error=ENOSPC", 4),
    ("socketpair", "error=EMFILE", 2),
    ("prctl", "error=EINVAL", 3),
    ("rt_sigprocmask", "error=EINVAL", 2),
    ("prlimit64", "error=EPERM", 3),
    ("statx", "error=EACCES", 3),
    ("write", "error=EPIPE", 2),
    ("write", "error=EIO", 2),
    ("mmap", "error=ENOMEM", 16),
];

/// Calls before which a child is killed; the last one is that after it has said all.
const KILLED_AT: [(&str, usize); 7] = [
    ("mmap", 30),
    ("read", 9),
    ("fcntl", 9),
    ("getsockopt", 4),
    ("clone3", 3),
    ("write", 1),
    ("exit_group", 1),
];

/// A node with a stream, and with publishers over both ways in. All go on over all faults.
struct Watched {
    upgraded: Upgraded,
    streams: [SseStream; 2],
    publishers: [Publisher; 2],
    /// Open descriptors when nothing happens.
    files: usize,
}

impl Watched {
    fn start() -> Self {
        let upgraded = Upgraded::start(&["--shards", "1", "--io-threads", "1"]);
        let node = &upgraded.node;
        let streams =
            ["a", "b"].map(|topic| SseStream::open(node.http, &format!("/events/{topic}")));
        let publishers = [Publisher::resp(node, "a"), Publisher::http(node, "b")];
        publish(node, "elsewhere", "x");
        let mut watched = Self {
            upgraded,
            streams,
            publishers,
            files: 0,
        };
        // Those of the first upgrade stay.
        watched.upgraded.upgrade();
        wait_until("it is quiet", || {
            let before = watched.files;
            watched.files = watched.open_files();
            before == watched.files
        });
        watched
    }

    fn folder(&self, name: &str) -> String {
        format!("/proc/{}/{name}", self.upgraded.node.pid())
    }

    fn open_files(&self) -> usize {
        fs::read_dir(self.folder("fd")).map_or(0, Iterator::count)
    }

    fn children(&self) -> String {
        let task = format!("task/{}/children", self.upgraded.node.pid());
        fs::read_to_string(self.folder(&task)).expect("a process")
    }

    /// Asks for an upgrade. It works, or is refused with a reason; either way all goes on and
    /// nothing is left. Returns the reason of the refusal.
    fn ask(&self, fault: &str) -> Option<String> {
        let (upgraded, pid) = (&self.upgraded, self.upgraded.node.pid());
        let attempts = upgraded.status()["attempts"].as_u64();
        let output = upgraded.ask();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let is_refused = !output.status.success();
        if is_refused {
            let (_, reason) = said.split_once(": ").unwrap_or(("", &said));
            assert!(!reason.trim().is_empty(), "{fault}: {said}");
            upgraded.node.wait_for_log(reason.trim());
        }
        let status = upgraded.status();
        assert_eq!(status["running"], false, "{fault}: {status}");
        let now = status["attempts"].as_u64();
        assert_eq!(now, attempts.map(|number| number + 1), "{fault}");
        assert_eq!(status["last"]["failed"].is_string(), is_refused, "{fault}");
        assert_eq!(upgraded.node.pid(), pid);
        let before = self.publishers.each_ref().map(Publisher::published);
        wait_until(&format!("publishers go on after {fault}"), || {
            let now = self.publishers.each_ref().map(Publisher::published);
            now[0] > before[0] && now[1] > before[1]
        });
        wait_until(&format!("no child is left after {fault}"), || {
            self.children().is_empty()
        });
        wait_until(&format!("no descriptor is left after {fault}"), || {
            self.open_files() <= self.files
        });
        is_refused.then_some(said)
    }

    /// Nothing was lost or doubled, and an upgrade works.
    fn end(self) {
        self.upgraded.install_real();
        self.upgraded.upgrade();
        let counts = self.publishers.map(|publisher| publisher.end().0);
        for (stream, count) in self.streams.into_iter().zip(counts) {
            let data = reader(stream, count).join().expect("nothing is missing");
            assert_eq!(data, numbers(count));
        }
    }
}

/// Lets each of these calls fail once; `more` are further options.
fn each_fails(watched: &Watched, calls: &[(&str, &str, usize)], more: &[&str]) {
    for &(call, what, most) in calls {
        let mut refused = 0;
        let mut injected = 0;
        for when in 1..=most {
            let fault = Fault { call, what, when };
            // The next program is not traced.
            let mut options = vec!["-b".to_owned(), "execve".to_owned()];
            options.extend(fault.options());
            options.extend(more.iter().map(|&option| option.to_owned()));
            let strace = Strace::attach(watched.upgraded.node.pid(), &options);
            let is_refused = watched.ask(&format!("{fault:?}"));
            let trace = strace.detach();
            refused += usize::from(is_refused.is_some());
            if !has_fault(&trace) {
                break;
            }
            injected += 1;
        }
        println!("{call} {what}: {injected} failed, {refused} refused");
        assert!(injected > 0, "{call} is not called");
    }
}

#[test]
fn each_system_call_of_the_running_program_fails_and_nobody_notices() {
    let watched = Watched::start();
    each_fails(&watched, &RUNNING, &[]);
    each_fails(&watched, &STATE, &["-P", "/memfd:fantail-state"]);
    watched.end();
}

fn each_fails_in_child(role: &str) {
    let watched = Watched::start();
    let folder = tempfile::tempdir().expect("a folder");
    let trace = folder.path().join("trace");
    // Whether the fault came, and whether the program was refused for it.
    let ask = |fault: Fault<'_>| {
        let _ = fs::remove_file(&trace);
        let script = child_script(role, &trace, &fault.options());
        watched.upgraded.install_script(&script);
        let reason = watched.ask(&format!("{role} {fault:?}"));
        let reason = reason.expect("all are refused");
        let is_fit = ["exit code 3", "was changed meanwhile"]
            .iter()
            .any(|end| reason.contains(end));
        let trace = fs::read_to_string(&trace).expect("a trace");
        (has_fault(&trace), !is_fit)
    };
    for (call, what, most) in CHILD {
        let (mut injected, mut refused) = (0, 0);
        for when in 1..=most {
            let (is_injected, is_refused) = ask(Fault { call, what, when });
            refused += usize::from(is_refused);
            if !is_injected {
                break;
            }
            injected += 1;
        }
        println!("{role}: {call} {what}: {injected} failed, {refused} refused");
        // A check makes fewer calls.
        assert!(injected > 0 || role == "check", "no {call} in a {role}");
    }
    for (call, most) in KILLED_AT {
        for when in (1..=most).step_by(3) {
            let fault = Fault {
                call,
                what: "signal=KILL",
                when,
            };
            let (is_killed, is_refused) = ask(fault);
            assert_eq!(is_refused, is_killed, "{role} {fault:?}");
            if !is_killed {
                break;
            }
        }
    }
    watched.end();
}

#[test]
fn each_system_call_of_a_check_fails_and_nobody_notices() {
    each_fails_in_child("check");
}

#[test]
fn each_system_call_of_a_rehearsal_fails_and_nobody_notices() {
    each_fails_in_child("rehearse");
}

/// The real program, whose message is changed on its way.
#[test]
fn each_part_of_the_message_of_a_rehearsal_matters() {
    let watched = Watched::start();
    let ask = |filter: &str| {
        let check = "case \"$FANTAIL_HANDOVER\" in check:*) exec \"$REAL\" \"$@\";; esac";
        let script = format!("{check}\n\"$REAL\" \"$@\" | {filter}");
        watched.upgraded.install_script(&script);
        watched.ask(filter).expect("a refusal")
    };
    for count in ["streams", "topics", "events", "others", "connections"] {
        let reason = ask(&format!("sed 's/\"{count}\":[0-9]*/\"{count}\":7777777/'"));
        assert!(reason.contains("7777777"), "{reason}");
    }
    for (filter, reason) in [
        (
            "sed 's/\"adopted\":{[^}]*}/\"adopted\":null/'",
            "counts nothing",
        ),
        (
            "sed 's/\"digest\":[0-9]*/\"digest\":null/'",
            "another state",
        ),
        ("cat - /dev/null && echo junk", "no Fantail"),
        ("tee /dev/stderr && exit 1", "exit code 1"),
        ("tr -d '}'", "no Fantail"),
    ] {
        let said = ask(filter);
        assert!(said.contains(reason), "{filter}: {said}");
    }
    for length in (0..120).step_by(CUT_EVERY) {
        let said = ask(&format!("head -c {length}"));
        assert!(said.contains("no Fantail"), "{length}: {said}");
    }
    watched.end();
}

/// tokio panicked, which ended the node with its streams, or the keys were read again never.
#[test]
fn keys_that_get_no_thread_are_read_again_later() {
    let folder = tempfile::tempdir().expect("a folder");
    let secret = folder.path().join("secret");
    fs::write(&secret, "a secret of at least thirty-two bytes").expect("a file");
    let secret = secret.to_str().expect("text");
    let flags = [
        "--jwt-secret-file",
        secret,
        "--anonymous",
        "--io-threads",
        "1",
    ];
    let mut node = Node::start_as(Command::new(PROGRAM), &flags);
    let options = [
        "-f",
        "-e",
        "trace=clone3",
        "-e",
        "inject=clone3:error=EAGAIN",
    ];
    let strace = Strace::attach(node.pid(), &options.map(str::to_owned));
    node.signal(Signal::HUP);
    node.wait_for_log("keys not read again, the old ones stay");
    assert!(has_fault(&strace.detach()), "it asks for a thread");
    node.signal(Signal::HUP);
    node.wait_for_log("keys read again");
    assert!(node.stop().success());
}
