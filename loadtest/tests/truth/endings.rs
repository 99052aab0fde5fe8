//! Runs that measure nothing, and results that cannot be shown: the exit code, and the output that
//! is written all the same.

use std::fs::File;
use std::process::{Command, Stdio};

use fantail_loadtest::outcome::Outcome;

use crate::faulty::{Fault, Faulty};
use crate::harness::Run;

const SMALL: [&str; 4] = [
    "--streams=3",
    "--timeout=2s",
    "--reconnect",
    "--source=127.0.0.1",
];

/// Each scenario as a short run.
const SCENARIOS: [&[&str]; 6] = [
    &["density"],
    &["fanout", "--rate=0", "--burst=0", "--one-at-a-time=2"],
    &["ingest", "--connections=1", "--for=200ms"],
    &["churn", "--for=200ms"],
    &["slow", "--for=200ms"],
    &["soak", "--for=200ms", "--every=100ms"],
];

#[test]
fn a_run_that_opens_no_stream_fails_whatever_it_was_to_be() {
    for words in SCENARIOS {
        let server = Faulty::start(Fault::Answers503(usize::MAX));
        let run = Run::of(&server, &[words, &SMALL].concat());
        assert_eq!(run.code, 1, "{words:?}: {}", run.said);
        let why = "none of 3 streams could be opened; most often: answered 503 Service Unavailable";
        assert!(run.said.contains(why), "{words:?}: {}", run.said);
    }
}

#[test]
fn a_run_that_publishes_no_event_fails_whatever_it_was_to_be() {
    for words in SCENARIOS {
        let server = Faulty::start(Fault::WantsPublishers);
        let run = Run::of(&server, &[words, &SMALL].concat());
        assert_eq!(run.code, 1, "{words:?}: {}", run.said);
        assert!(
            run.said.contains("the server took none of"),
            "{words:?}: {}",
            run.said
        );
        assert!(run.reason("publishing was answered 401 Unauthorized") > 0);
    }
}

/// A run with its result on `out` and its words on `err`; its exit code.
fn run_onto(out: Stdio, err: Stdio, assertion: &str) -> i32 {
    let server = Faulty::start(Fault::None);
    let folder = tempfile::tempdir().expect("a folder");
    let (json, html) = (
        folder.path().join("run.json"),
        folder.path().join("run.html"),
    );
    let origin = format!("http://{}", server.address());
    let status = Command::new(env!("CARGO_BIN_EXE_fantail-loadtest"))
        .args([
            "soak",
            "--streams=3",
            "--for=600ms",
            "--every=200ms",
            "--preset=plain",
        ])
        .args([
            format!("--url={origin}/events?{{topics}}"),
            format!("--publish={origin}/publish/{{topic}}"),
        ])
        .args(["--assert", assertion])
        .arg("--json")
        .arg(&json)
        .arg("--report")
        .arg(&html)
        .stdout(out)
        .stderr(err)
        .status()
        .expect("the program starts");
    let text = std::fs::read_to_string(&json).expect("the result was written");
    let outcome: Outcome = serde_json::from_str(&text).expect("the JSON of an outcome");
    assert_eq!(outcome.failure, None);
    let page = std::fs::read_to_string(&html).expect("the page was written");
    assert!(page.ends_with("</html>\n") || page.trim_end().ends_with("</html>"));
    status.code().expect("an exit code, and no signal")
}

fn full() -> Stdio {
    File::options()
        .write(true)
        .open("/dev/full")
        .expect("a device")
        .into()
}

fn closed_pipe() -> Stdio {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    writer.into()
}

#[test]
fn a_result_that_cannot_be_shown_is_written_and_judged_all_the_same() {
    for output in [full, closed_pipe] {
        assert_eq!(run_onto(output(), Stdio::null(), "lost == 0"), 0);
        assert_eq!(run_onto(output(), output(), "lost == 1"), 1);
        assert_eq!(run_onto(Stdio::null(), output(), "lost == 0"), 0);
    }
}

#[test]
fn a_file_that_cannot_be_written_keeps_nothing_else_from_being_done() {
    let server = Faulty::start(Fault::None);
    let run = Run::of(
        &server,
        &[
            "density",
            "--streams=3",
            "--report=/nonexistent/page.html",
            "--assert=lost == 1",
        ],
    );
    assert_eq!(run.code, 1);
    assert!(
        run.said.contains("assertion failed: lost == 1"),
        "{}",
        run.said
    );
    assert!(run.said.contains("/nonexistent/page.html"), "{}", run.said);
}
