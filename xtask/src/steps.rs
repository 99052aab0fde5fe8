//! `cargo xtask test`: every check of the project, each a function, in the order in which they fail
//! fastest.

use std::time::Instant;

use crate::process::{Failure, cargo, command, output, run};
use crate::tools;

/// A heading and the check under it.
type Step = (&'static str, fn() -> Result<(), Failure>);

const STEPS: [Step; 9] = [
    ("what the tests need beyond Rust", tools::ensure),
    ("formatting", formatting),
    ("clippy, warnings are errors", clippy),
    (
        "the browser client: types, units, package checks",
        browser_client,
    ),
    ("tests that need nothing but Rust", tests),
    (
        "the browser client in Chromium and Firefox",
        client_in_browsers,
    ),
    ("the examples, in Chromium and Firefox", examples),
    (
        "tests with real clients: redis-cli, curl, Node, Python, PHP, Ruby, browsers; behind proxies; several nodes; Redis as a log and as a source",
        external_tests,
    ),
    ("documentation, warnings are errors", documentation),
];

/// Runs every step and stops at the first that fails.
pub(crate) fn test() -> Result<(), Failure> {
    let start = Instant::now();
    for (number, (heading, step)) in STEPS.iter().enumerate() {
        println!("\n=== {}/{}: {heading}", number + 1, STEPS.len());
        let began = Instant::now();
        step()?;
        println!("=== done in {:.1} s", began.elapsed().as_secs_f64());
    }
    println!(
        "\nAll {} steps passed in {:.0} s.",
        STEPS.len(),
        start.elapsed().as_secs_f64()
    );
    Ok(())
}

/// The model of the mailbox's flags. By default `loom` has no bound, and all interleavings take
/// minutes.
pub(crate) fn loom() -> Result<(), Failure> {
    let arguments = ["test", "--package", "fantail", "--lib", "shard::model"];
    run(cargo(&arguments).env("LOOM_MAX_PREEMPTIONS", "3"))
}

/// Schedules of both simulators, from seed 0 on: of one node, and of nodes that follow a log. A seed
/// that fails is printed.
pub(crate) fn simulate(runs: &str) -> Result<(), Failure> {
    if runs.parse::<u64>().is_err() {
        return Err(Failure::Usage(format!("simulate {runs}")));
    }
    let arguments = [
        "test",
        "--package",
        "fantail",
        "--profile",
        "simulate",
        "--lib",
        "--",
        "--nocapture",
        "every_stream_sees_its_events_once",
        "every_client_gets_each_event_once",
    ];
    let mut simulators = cargo(&arguments);
    simulators.env("SIMULATOR_RUNS", runs);
    run(simulators.env("FOLLOW_SEEDS", runs))
}

/// The units of the examples, under a systemd that a test boots.
pub(crate) fn systemd() -> Result<(), Failure> {
    const SYSTEMD: &str = "/lib/systemd/systemd";
    if !std::path::Path::new(SYSTEMD).is_file() {
        return Err(Failure::Missing(format!(
            "{SYSTEMD} is missing; install it with:\n\n    sudo apt-get install -y --no-install-recommends systemd\n"
        )));
    }
    if output(&mut command("id", &["--user"]))?.trim() != "0" {
        return Err(Failure::Missing(
            "a systemd mounts what it manages; run this as root".to_owned(),
        ));
    }
    run(&mut cargo(&[
        "test",
        "--package",
        "fantail",
        "--features",
        "external-tests",
        "--test",
        "external",
        "--",
        "--ignored",
        "--test-threads=1",
        "systemd::",
    ]))
}

/// Upgrades of the program as it is released. `tests/upgrade/soak.rs` reads their number.
pub(crate) fn upgrades(count: &str) -> Result<(), Failure> {
    if count.parse::<u32>().is_err() {
        return Err(Failure::Usage(format!("upgrades {count}")));
    }
    let arguments = [
        "test",
        "--package",
        "fantail",
        "--release",
        "--test",
        "upgrade",
        "--",
        "--include-ignored",
        "--nocapture",
        "--test-threads=1",
        "leaks::",
        "soak::",
    ];
    run(cargo(&arguments).env("UPGRADES", count))
}

fn formatting() -> Result<(), Failure> {
    run(&mut cargo(&["fmt", "--all", "--check"]))
}

/// Everything with every feature, and then the users' build: the crate without its feature
/// `internals`.
fn clippy() -> Result<(), Failure> {
    let all = ["--workspace", "--all-targets", "--all-features"];
    let as_users_build_it = ["--package", "fantail", "--lib", "--bins"];
    for targets in [all.as_slice(), as_users_build_it.as_slice()] {
        let arguments = [&["clippy"], targets, &["--", "-D", "warnings"]].concat();
        run(&mut cargo(&arguments))?;
    }
    Ok(())
}

/// All checks of `clients/js`, which its `package.json` lists.
fn browser_client() -> Result<(), Failure> {
    run(&mut command(
        "npm",
        &["run", "--prefix", "clients/js", "check"],
    ))
}

fn tests() -> Result<(), Failure> {
    // Without stopping, so that one run reports every failure.
    run(&mut cargo(&["test", "--workspace", "--no-fail-fast"]))
}

/// Pages in Chromium and Firefox, with the package as the step of the browser client built it.
fn client_in_browsers() -> Result<(), Failure> {
    let node = built_node(&[])?;
    let arguments = ["run", "--prefix", "clients/js", "test:browser"];
    run(command("npm", &arguments).env("FANTAIL_BIN", node))
}

/// All checks of `examples`, which its `package.json` lists.
fn examples() -> Result<(), Failure> {
    let node = built_node(&[])?;
    let arguments = ["run", "--prefix", "examples", "check"];
    run(command("npm", &arguments).env("FANTAIL_BIN", node))
}

/// Builds the node and returns its path: cargo alone knows the directory in which it builds.
pub(crate) fn built_node(profile: &[&str]) -> Result<String, Failure> {
    let build = ["build", "--package", "fantail", "--bin", "fantail"];
    let as_json = ["--message-format", "json-render-diagnostics"];
    let messages = output(&mut cargo(&[&build, profile, &as_json].concat()))?;
    executable(&messages)
        .ok_or_else(|| Failure::Missing("`cargo build` names no program that it built".to_owned()))
}

/// The last program among cargo's messages, each a line of JSON.
fn executable(messages: &str) -> Option<String> {
    messages.lines().rev().find_map(|line| {
        let (_, rest) = line.split_once(r#""executable":""#)?;
        let (path, _) = rest.split_once('"')?;
        Some(path.replace(r"\\", r"\"))
    })
}

/// Only the test binaries that the feature adds: everything else ran in the step before.
fn external_tests() -> Result<(), Failure> {
    run(&mut cargo(&[
        "test",
        "--package",
        "fantail",
        "--features",
        "external-tests",
        "--no-fail-fast",
        "--test",
        "external*",
        "--test",
        "cluster",
        "--test",
        "pubsub",
        "--test",
        "shared_log",
    ]))
}

fn documentation() -> Result<(), Failure> {
    run(cargo(&["doc", "--workspace", "--no-deps"]).env("RUSTDOCFLAGS", "-D warnings"))
}

/// Measures the longest stops of a node.
pub(crate) fn stops(name: &str) -> Result<(), Failure> {
    run(&mut cargo(&[
        "bench",
        "--package",
        "fantail",
        "--bench",
        "stops",
        "--",
        name,
    ]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_of_the_node_is_what_cargo_says() {
        let messages = [
            r#"{"reason":"compiler-artifact","target":{"name":"fantail"},"executable":null}"#,
            r#"{"reason":"compiler-artifact","executable":"/a/target/debug/fantail","fresh":true}"#,
            r#"{"reason":"build-finished","success":true}"#,
        ];
        let path = executable(&messages.join("\n"));
        assert_eq!(path.as_deref(), Some("/a/target/debug/fantail"));
        assert_eq!(executable(messages[0]), None);
    }
}
