use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use rustix::process::Signal;

use crate::node::{Node, PROGRAM, Text, full_pipe, on_free_ports, serve, terminal};
use crate::support::node::listeners;
use crate::support::{wait_for, wait_until};

/// A node at a terminal whose standard error is this.
fn start(stderr: impl Into<Stdio>) -> Node {
    let (theirs, screen) = terminal();
    let child = serve(&[]).stdout(theirs).stderr(stderr).spawn();
    Node::at_terminal(child.expect("the program starts"), &screen)
}

fn full_disk() -> File {
    let full = File::options().write(true).open("/dev/full");
    full.expect("a device that is full")
}

#[test]
fn a_reader_of_the_log_that_goes_away_ends_nothing() {
    for format in ["text", "json"] {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        let child = serve(&["--log-format", format])
            .stdout(Stdio::null())
            .stderr(writer)
            .spawn()
            .expect("the program starts");
        // `2> >(head -n1)`
        let mut reader = BufReader::new(reader);
        let mut line = String::new();
        while !line.contains("serving") {
            line.clear();
            reader.read_line(&mut line).expect("a line");
        }
        let [http, ingest, admin] = listeners(&line).expect("addresses");
        drop(reader);
        let mut node = Node {
            child,
            http,
            ingest,
            admin,
        };
        wait_until("a line is dropped", || {
            node.provoke_a_line();
            node.dropped_lines() > 0
        });
        node.works();
        assert_eq!(node.stop().code(), Some(0), "{format}");
    }
}

#[test]
fn a_full_disk_under_the_log_ends_nothing() {
    let mut node = start(full_disk());
    // The line about the start is the first.
    wait_until("lines are dropped", || {
        node.provoke_a_line();
        node.dropped_lines() > 1
    });
    node.works();
    assert_eq!(node.stop().code(), Some(0));
}

#[test]
fn a_log_that_reaches_the_largest_size_of_a_file_ends_nothing() {
    let directory = tempfile::tempdir().expect("a directory");
    let log = directory.path().join("log");
    let (theirs, screen) = terminal();
    let mut shell = Command::new("sh");
    // One block, which is 512 or 1,024 bytes.
    shell.args(["-c", "ulimit -f 1 && exec \"$0\" \"$@\"", PROGRAM, "serve"]);
    let child = shell
        .args(on_free_ports())
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .stdin(Stdio::null())
        .stdout(theirs)
        .stderr(File::create(&log).expect("a file"))
        .spawn();
    let mut node = Node::at_terminal(child.expect("a shell"), &screen);
    wait_until("lines are dropped", || {
        node.provoke_a_line();
        node.dropped_lines() > 0
    });
    node.works();
    assert_eq!(node.stop().code(), Some(0));
    assert!(fs::metadata(&log).expect("a file").len() <= 1_024);
}

#[test]
fn nobody_who_reads_the_log_keeps_the_node_waiting() {
    for non_blocking in [false, true] {
        let (_reader, writer) = full_pipe();
        rustix::io::ioctl_fionbio(&writer, non_blocking).expect("a pipe");
        let mut node = start(writer);
        node.provoke_a_line();
        node.works();
        assert_eq!(node.stop().code(), Some(0));
    }
}

#[test]
fn lines_that_a_slow_reader_finds_later_are_whole() {
    let (reader, writer) = full_pipe();
    let mut node = start(writer);
    node.works();
    let log = Text::collect(reader);
    log.wait_for("serving");
    assert_eq!(node.stop().code(), Some(0));
    log.wait_for("drained");
    assert_eq!(log.now().matches('\n').count(), 3, "{}", log.now());
}

#[test]
fn the_last_line_is_written_before_the_node_ends() {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    let child = serve(&[]).stdout(Stdio::null()).stderr(writer).spawn();
    let log = Text::collect(reader);
    let mut node = Node::logging(child.expect("the program starts"), &log);
    assert_eq!(node.stop().code(), Some(0));
    log.wait_for("drained");
}

#[test]
fn closed_standard_streams_are_never_sockets() {
    let mut shell = Command::new("sh");
    let script = "exec \"$0\" \"$@\" <&- >&- 2>&-";
    shell.args(["-c", script, PROGRAM, "serve"]);
    let child = shell
        .args(on_free_ports())
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .spawn()
        .expect("a shell");
    let files = PathBuf::from(format!("/proc/{}/fd", child.id()));
    let target = |number: &str| fs::read_link(files.join(number)).unwrap_or_default();
    let nowhere = "127.0.0.1:0".parse().expect("an address");
    let mut node = Node {
        child,
        http: nowhere,
        ingest: nowhere,
        admin: nowhere,
    };
    // Three listeners, and two ends of the pipe that wakes the runtime for signals.
    wait_for("it listens", || {
        let open = fs::read_dir(&files).ok()?.flatten();
        let sockets = open.filter(|file| {
            let target = fs::read_link(file.path()).unwrap_or_default();
            target.to_string_lossy().starts_with("socket:")
        });
        (sockets.count() >= 5).then_some(())
    });
    for number in ["0", "1", "2"] {
        assert_eq!(target(number), PathBuf::from("/dev/null"), "{number}");
    }
    node.signal(Signal::HUP);
    assert_eq!(node.stop().code(), Some(0));
}

#[test]
fn a_complaint_that_nobody_hears_changes_no_exit_code() {
    for args in [&["--no-such-flag"][..], &["check-config", "/dev/null/x"]] {
        for stderr in [Stdio::from(full_disk()), Stdio::from(closed_pipe())] {
            let status = Command::new(PROGRAM).args(args).stderr(stderr).status();
            assert_eq!(status.expect("it runs").code(), Some(2), "{args:?}");
        }
    }
}

fn closed_pipe() -> std::io::PipeWriter {
    std::io::pipe().expect("a pipe").1
}
