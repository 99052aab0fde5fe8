//! The measuring tools run small, so that they cannot rot: `examples/density` against `examples/floor`.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

/// `cargo test` builds the examples before it runs the tests; `cargo test --test density` alone does not.
fn example(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("the path of this test");
    let profile = test.ancestors().nth(2).expect("the profile's directory");
    let program = profile.join("examples").join(name);
    assert!(program.exists(), "first: cargo build --examples");
    program
}

/// The yardstick server, ended with the test.
struct Floor {
    process: Child,
    streams: String,
    ingest: String,
}

impl Floor {
    fn start() -> Self {
        let mut process = Command::new(example("floor"))
            .args(["127.0.0.1:0", "127.0.0.1:0"])
            .stdout(Stdio::piped())
            .spawn()
            .expect("starting the example `floor`");
        let mut lines = BufReader::new(process.stdout.take().expect("its output")).lines();
        let mut address = |name: &str| {
            let line = lines.next().expect("a line").expect("its text");
            let address = line.strip_prefix(name).expect("the name of the address");
            address.trim().to_owned()
        };
        let (streams, ingest) = (address("streams"), address("ingest"));
        Self {
            process,
            streams,
            ingest,
        }
    }

    fn measure(&self, args: &[&str]) -> (bool, String) {
        let output = Command::new(example("density"))
            .args(["--target", &self.streams, "--publish-addr", &self.ingest])
            .args(["--pid", &self.process.id().to_string()])
            .args(args)
            .output()
            .expect("running the example `density`");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        (output.status.success(), text)
    }
}

impl Drop for Floor {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn value(output: &str, name: &str) -> f64 {
    let line = output.lines().find(|line| line.starts_with(name));
    let value = line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok());
    value.unwrap_or_else(|| panic!("{name} is missing in:\n{output}"))
}

#[test]
fn every_stream_of_two_client_processes_gets_every_event() {
    let floor = Floor::start();
    let (success, output) = floor.measure(&[
        "--streams=101",
        "--workers=2",
        "--publish=3",
        "--burst=100",
        "--bursts=2",
    ]);
    assert!(success, "{output}");
    assert_eq!(value(&output, "streams "), 101.0);
    assert_eq!(value(&output, "events_lost"), 0.0);
    assert!(value(&output, "burst_deliveries") > 0.0);
    assert!(value(&output, "connects_per_s") > 0.0);
}

#[test]
fn an_event_on_the_wrong_stream_is_noticed() {
    // The floor knows no topics: streams that asked for one of two topics are sent the events of both.
    let floor = Floor::start();
    let (success, output) =
        floor.measure(&["--streams=10", "--topic=t{i}", "--pool=2", "--publish=2"]);
    assert!(!success, "{output}");
    assert_eq!(value(&output, "foreign_data"), 10.0);
}
