//! A log that nobody reads.

use std::fs::OpenOptions;
use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::support::http;
use crate::support::node::{PROGRAM, listeners};
use crate::support::{wait_for, wait_until};

struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Fills the pipe that is the standard error of a process.
fn fill(pid: u32) {
    let mut options = OpenOptions::new();
    // Opened anew, so that the process's own end waits as before.
    let options = options.write(true).custom_flags(libc::O_NONBLOCK);
    let mut pipe = options.open(format!("/proc/{pid}/fd/2")).expect("a pipe");
    for bytes in [4_096, 1] {
        let text = vec![b'x'; bytes];
        let error = loop {
            if let Err(error) = pipe.write_all(&text) {
                break error;
            }
        };
        assert_eq!(error.kind(), ErrorKind::WouldBlock);
    }
}

/// Publishers waited half a second for lines that were not written anyway. A busy machine can make
/// any pause longer, so one short pause is asked for.
#[test]
fn a_log_that_nobody_reads_lengthened_every_pause_by_half_a_second() {
    let mut command = Command::new(PROGRAM);
    command.arg("serve").env_remove("RUST_LOG");
    for listener in ["--listen", "--ingest-listen", "--admin-listen"] {
        command.args([listener, "127.0.0.1:0"]);
    }
    let child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn();
    let mut node = Killed(child.expect("the program starts"));
    let mut log = BufReader::new(node.0.stderr.take().expect("a pipe"));
    let mut logged = String::new();
    let admin = loop {
        assert!(log.read_line(&mut logged).expect("text") > 0, "{logged}");
        if let Some([_, _, admin]) = listeners(&logged) {
            break admin;
        }
    };
    fill(node.0.id());
    let status = || -> Option<Value> {
        let answer = http::request(admin, "GET", "/upgrade", &[], b"").json();
        Some(answer).filter(|status: &Value| status["running"] == false)
    };
    wait_until("an upgrade pauses for less than half a second", || {
        let begun = http::request(admin, "POST", "/upgrade", &[], b"").json();
        let last = wait_for("it is upgraded", || {
            status().filter(|status| status["last"]["number"] == begun["number"])
        });
        let last = &last["last"];
        assert!(last["failed"].is_null(), "{last}");
        last["pause_ms"].as_u64().expect("a time") < 500
    });
    drop(log);
}
