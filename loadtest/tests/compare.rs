//! `compare` and `--spawn` with the real program on both sides: the floor against itself.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use fantail_loadtest::outcome::Comparison;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Two floors and a target that does not exist; two rounds.
const TARGETS: &str = r#"
[run]
scenario = "fanout"
rounds = 2
arguments = ["--streams", "20", "--rate", "0", "--one-at-a-time", "3", "--burst", "10", "--bursts", "2"]

[[target]]
name = "one"
spawn = "{loadtest} floor --listen 127.0.0.1:{http} --ingest-listen 127.0.0.1:{ingest}"
url = "http://127.0.0.1:{http}/events/{topic}"
publish = "resp://127.0.0.1:{ingest}"

[[target]]
name = "two"
baseline = true
spawn = "{loadtest} floor --listen 127.0.0.1:{http} --ingest-listen 127.0.0.1:{ingest} --threads 1"
url = "http://127.0.0.1:{http}/events/{topic}"
publish = "resp://127.0.0.1:{ingest}"

[[target]]
name = "three"
requires = ["a program that nobody has"]
url = "http://127.0.0.1:{http}/events/{topic}"
"#;

fn compare(folder: &Path, text: &str, options: &[&str]) -> Output {
    let file = folder.join("targets.toml");
    fs::write(&file, text).expect("a file");
    Command::new(env!("CARGO_BIN_EXE_fantail-loadtest"))
        .arg("compare")
        .arg(&file)
        .args(options)
        .current_dir(folder)
        .output()
        .expect("the program starts")
}

#[test]
fn servers_are_started_measured_and_set_side_by_side() {
    let folder = tempfile::tempdir().expect("a folder");
    let files = [
        "--json=all.json",
        "--markdown=table.md",
        "--report=page.html",
    ];
    let output = compare(folder.path(), TARGETS, &files);
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );

    let read =
        |name: &str| fs::read_to_string(folder.path().join(name)).expect("the file was written");
    let comparison: Comparison = serde_json::from_str(&read("all.json")).expect("a comparison");
    assert_eq!(comparison.baseline, "two");
    for target in &comparison.targets {
        assert_eq!(target.rounds.len(), 2, "{}", target.name);
        for round in &target.rounds {
            let figure = |name: &str| {
                let figure = round.figures.iter().find(|figure| figure.name == name);
                figure.unwrap_or_else(|| panic!("no {name}")).value
            };
            assert_eq!(
                (figure("lost"), figure("streams"), figure("deliveries")),
                (0.0, 20.0, 460.0)
            );
            // The server was watched: it has a file for each stream, and has used some time.
            assert!(figure("files") > 20.0 && figure("server_cores") > 0.0);
        }
    }
    let skipped = &comparison.skipped[0].text;
    assert_eq!(skipped, "three: a program that nobody has is not here");
    assert!(read("table.md").contains("| one |") && read("page.html").contains("</html>"));
}

#[test]
fn a_server_that_does_not_start_is_said_with_its_own_words() {
    let folder = tempfile::tempdir().expect("a folder");
    let text = TARGETS.replace("--threads 1", "--threads 0");
    let output = compare(folder.path(), &text, &["--only=two"]);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        said.contains("has ended (exit status: 2)") && said.contains("0 is not in 1..=256"),
        "{said}"
    );
}

/// A port without a listener at the moment.
fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("its address").port()
}

#[test]
fn what_listens_already_is_not_taken_for_the_server_that_was_started() {
    let stranger = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = stranger.local_addr().expect("its address");
    let url = format!("--url=http://{address}/events/{{topic}}");
    let output = Command::new(env!("CARGO_BIN_EXE_fantail-loadtest"))
        .args([
            "density",
            "--preset=plain",
            "--events=0",
            "--spawn=true",
            &url,
        ])
        .output()
        .expect("the program starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        said.contains(&format!("something listens on {address} already")),
        "{said}"
    );
}

#[test]
fn an_interrupted_run_leaves_no_server_behind() {
    let (http, ingest) = (free_port(), free_port());
    let program = env!("CARGO_BIN_EXE_fantail-loadtest");
    let mut run = Command::new(program)
        .args(["density", "--preset=plain", "--streams=5", "--hold=10m"])
        .arg(format!("--url=http://127.0.0.1:{http}/events/{{topic}}"))
        .arg(format!("--publish=resp://127.0.0.1:{ingest}"))
        .arg(format!(
            "--spawn={program} floor --listen 127.0.0.1:{http} --ingest-listen 127.0.0.1:{ingest}"
        ))
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let lines = BufReader::new(run.stderr.take().expect("a pipe")).lines();
    let opened = lines
        .map_while(Result::ok)
        .find(|line| line.starts_with("opened 5 of 5"));
    assert!(opened.is_some(), "the streams opened");
    kill(Pid::from_raw(run.id() as i32), Signal::SIGINT).expect("a running program");
    assert_eq!(run.wait().expect("its end").code(), Some(130));
    assert!(
        TcpStream::connect(("127.0.0.1", http)).is_err(),
        "the server is gone"
    );
}
