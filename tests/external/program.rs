//! Other programs: run to their end, or read line by line while they run.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::DEADLINE;

/// Time for a program to end by itself once its standard input is closed; a browser needs about a
/// second.
const GRACE: Duration = Duration::from_secs(10);

/// Time between two checks for that.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// Variables that make programs send requests through a proxy.
const PROXIES: [&str; 4] = ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"];

/// Where Debian has programs that are for administrators; not in every user's `PATH`.
/// `xtask/src/tools.rs` looks there, too.
const ADMINISTRATORS: &str = "/usr/sbin";

/// The path of such a program, or else its name.
pub(crate) fn administrators(name: &str) -> String {
    let path = format!("{ADMINISTRATORS}/{name}");
    if std::path::Path::new(&path).is_file() {
        path
    } else {
        name.to_owned()
    }
}

/// A program that connects only to the addresses of the test.
pub(crate) fn command(program: &str) -> Command {
    let mut command = Command::new(program);
    for name in PROXIES {
        command.env_remove(name);
    }
    command
}

/// Runs a program to its end with this standard input; returns its output. Panics if it fails, or
/// takes longer than [`DEADLINE`].
pub(crate) fn run(program: &str, arguments: &[&str], input: &[u8]) -> String {
    let mut child = command("timeout")
        .arg(DEADLINE.as_secs().to_string())
        .arg(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("coreutils are there");
    let mut stdin = child.stdin.take().expect("a pipe");
    let input = input.to_vec();
    // A thread of its own, since the program may answer before it has read everything. It may also
    // not read to the end.
    let writer = thread::spawn(move || drop(stdin.write_all(&input)));
    let output = child.wait_with_output().expect("a child");
    writer.join().expect("no panic");
    let printed = String::from_utf8(output.stdout).expect("UTF-8");
    assert!(
        output.status.success(),
        "{program} {arguments:?}: {}\n{printed}{}\n(`cargo xtask tools` installs what is missing)",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    printed
}

/// A program that runs beside the test. When dropped it has its standard input closed and is waited
/// for.
pub(crate) struct Program {
    name: String,
    child: Child,
    input: Option<ChildStdin>,
    lines: Receiver<String>,
}

impl Program {
    /// Starts it; its errors go to ours.
    pub(crate) fn start(name: &str, arguments: &[&str]) -> Self {
        let mut child = command(name)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| {
                panic!("{name}: {error} (`cargo xtask tools` installs what is missing)")
            });
        let output = BufReader::new(child.stdout.take().expect("a pipe"));
        let (to, lines) = channel();
        thread::spawn(move || {
            // Ends with the program, or when the test no longer listens.
            for line in output.lines().map_while(Result::ok) {
                if to.send(line).is_err() {
                    break;
                }
            }
        });
        Self {
            name: name.to_owned(),
            input: child.stdin.take(),
            child,
            lines,
        }
    }

    /// The next line that it prints.
    pub(crate) fn line(&mut self) -> String {
        self.lines
            .recv_timeout(DEADLINE)
            .unwrap_or_else(|error| panic!("{} printed no further line: {error}", self.name))
    }

    /// Writes it a line.
    pub(crate) fn tell(&mut self, line: &str) {
        let input = self.input.as_mut().expect("not closed yet");
        writeln!(input, "{line}").expect("the program reads");
    }

    /// Ends it at once, for programs that do not end with their standard input.
    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill();
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Its regular end also removes what it started: a browser, its profile.
        self.input = None;
        let end = Instant::now() + GRACE;
        while self.child.try_wait().expect("a child").is_none() {
            if Instant::now() > end {
                self.kill();
            }
            thread::park_timeout(LOOK_AGAIN);
        }
    }
}
