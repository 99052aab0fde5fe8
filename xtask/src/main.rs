//! The project's own chores, run as `cargo xtask <chore>`.
//!
//! This crate depends on nothing, so that it builds in a second on a fresh checkout. It must never
//! skip a check in silence: a missing tool is installed, or the line that installs it is printed
//! and the chore fails.

mod cluster;
mod demo;
mod docs;
mod fuzz;
mod process;
mod steps;
mod tools;

use std::process::ExitCode;

use crate::process::Failure;

const HELP: &str = "\
The chores of the project.

Usage: cargo xtask <CHORE>

Chores:
  test            every check, in the order in which they fail fastest: tools, formatting, clippy, the tests that need
                  nothing but Rust, the browser client and the examples in browsers, the tests with real clients (redis-cli,
                  curl, Node, Python, PHP, Ruby, browsers) and behind proxies, documentation
  demo [PORT]     starts a node and the examples, and prints the address of a page that leads to them (at PORT, or at a free
                  port); Ctrl-C ends all of it
  tools           only looks for what the tests need beyond Rust, and installs it with apt-get, npm and pip when it may
  docs            writes the table of settings and the configurations of proxies in docs/OPERATIONS.md anew
  fuzz [SECONDS]  runs every fuzz target for SECONDS each (default 60); needs a nightly toolchain and cargo-fuzz
  stops [NAME]    prints the longest stop of a node in each row of the table in docs/BENCHMARKS.md (or in those whose name
                  has NAME in it), and of a bare lock
  loom            runs the flags of a shard's mailbox through more interleavings than `test` does: up to three preemptions
  systemd         tests the units of examples/systemd under a real systemd, in namespaces of its own; needs root
  upgrades [N]    N upgrades (default 200) of the release build under publishers, slow readers, clients that come and go, and
                  private events: nothing is lost, doubled or leaked
  simulate [RUNS] runs so many schedules of the simulator (default 100000), optimised and with all assertions
  cluster [--scenario NAME] [--seconds N] [--streams N] [--rate N] [--seed N] [--server PROGRAM]
                  several nodes with one log, each scenario of tests/cluster long and large: nodes, servers and connections that
                  die under streams and publishers, whose every event is compared with the log. PROGRAM is a redis-server, or
                  `valkey`
  help            prints this
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match words.as_slice() {
        [] | ["help" | "--help" | "-h"] => {
            print!("{HELP}");
            Ok(())
        }
        ["test"] => steps::test(),
        ["tools"] => tools::ensure(),
        ["demo"] => demo::demo(None),
        ["demo", port] => demo::demo(Some(port)),
        ["docs"] => docs::operations(),
        ["stops"] => steps::stops(""),
        ["stops", name] => steps::stops(name),
        ["upgrades"] => steps::upgrades("200"),
        ["upgrades", count] => steps::upgrades(count),
        ["loom"] => steps::loom(),
        ["systemd"] => steps::systemd(),
        ["simulate"] => steps::simulate("100000"),
        ["simulate", runs] => steps::simulate(runs),
        ["cluster", words @ ..] => cluster::cluster(words),
        ["fuzz"] => fuzz::run_all("60"),
        ["fuzz", seconds] => fuzz::run_all(seconds),
        _ => Err(Failure::Usage(words.join(" "))),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure @ Failure::Usage(_)) => {
            eprintln!("xtask: {failure}\n\n{HELP}");
            ExitCode::from(2)
        }
        Err(failure) => {
            eprintln!("\nxtask: {failure}");
            ExitCode::FAILURE
        }
    }
}
