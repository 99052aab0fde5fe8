//! `compare`: one scenario against several servers in turn, interleaved and repeated.

use std::path::{Path, PathBuf};

use clap::Parser;
use serde::Deserialize;

use super::ScenarioError;
use crate::cli::{Cli, CompareArgs};
use crate::console;
use crate::outcome::{Compared, Comparison, Outcome, Reason, SCHEMA};

/// Most rounds.
const ROUNDS_MAX: usize = 1_000;

/// A file that `compare` cannot use.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CompareError {
    /// It cannot be read.
    #[error("{path}: {error}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// The file has the wrong form.
    #[error("{path}: {error}")]
    Toml {
        /// The file.
        path: PathBuf,
        /// The place and the reason.
        error: Box<toml::de::Error>,
    },
    /// Its options are refused.
    #[error("target {name:?}: {error}")]
    Options {
        /// The target.
        name: String,
        /// Why.
        error: Box<clap::Error>,
    },
    /// The scenario measures no server.
    #[error(
        "run.scenario: {0:?} cannot be compared; there are density, fanout, ingest, churn, slow, soak and restart"
    )]
    Scenario(String),
    /// Results are those of the comparison.
    #[error(
        "target {0:?}: --json, --report and --assert cannot be given to one run of a comparison; give --json and --report to compare itself"
    )]
    Output(String),
    /// The file names no target.
    #[error("{0}: no target can be run")]
    Nothing(PathBuf),
    /// The name of no target.
    #[error("--only {0:?}: the file has no target of that name")]
    Only(String),
}

/// The file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    run: Run,
    target: Vec<Target>,
}

/// The run of every target.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Run {
    scenario: String,
    #[serde(default = "one")]
    rounds: usize,
    #[serde(default)]
    arguments: Vec<String>,
}

/// One server.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Target {
    name: String,
    #[serde(default)]
    baseline: bool,
    /// Programs in `PATH`, or files beside this one, without which the target is left out.
    #[serde(default)]
    requires: Vec<String>,
    spawn: Option<String>,
    url: String,
    publish: Option<String>,
    #[serde(default)]
    publish_headers: Vec<String>,
    publish_body: Option<String>,
    #[serde(default)]
    headers: Vec<String>,
    #[serde(default)]
    arguments: Vec<String>,
}

fn one() -> usize {
    1
}

/// Runs it; also returns the targets without a complete round.
pub(crate) fn run(args: &CompareArgs) -> Result<(Comparison, Vec<String>), ScenarioError> {
    let file = read(&args.file)?;
    for only in &args.only {
        if !file.target.iter().any(|target| target.name == *only) {
            return Err(CompareError::Only(only.clone()).into());
        }
    }
    let directory = directory(&args.file);
    let mut comparison = Comparison {
        schema: SCHEMA,
        baseline: String::new(),
        targets: Vec::new(),
        skipped: Vec::new(),
    };
    let mut targets = Vec::new();
    for target in file.target {
        if !args.only.is_empty() && !args.only.contains(&target.name) {
            continue;
        }
        match missing(&target, &directory) {
            Some(what) => comparison.skipped.push(Reason {
                text: format!("{}: {what} is not here", target.name),
                count: 1,
            }),
            None => targets.push(target),
        }
    }
    let rounds = args.rounds.unwrap_or(file.run.rounds).clamp(1, ROUNDS_MAX);
    comparison.targets = targets
        .iter()
        .map(|target| Compared {
            name: target.name.clone(),
            rounds: Vec::new(),
        })
        .collect();
    for round in 0..rounds {
        for turn in 0..targets.len() {
            // In alternating order: a drift over time affects every target alike.
            let number = if round % 2 == 0 {
                turn
            } else {
                targets.len() - 1 - turn
            };
            let target = &targets[number];
            console::err(format_args!(
                "\n== round {} of {rounds}: {}",
                round + 1,
                target.name
            ));
            let outcome = one_run(&file.run, target, &directory, &args.options);
            match outcome {
                Ok(outcome) => comparison.targets[number].rounds.push(outcome),
                Err(error) => {
                    console::err(&error);
                    comparison.skipped.push(Reason {
                        text: format!("{}: {error}", target.name),
                        count: 1,
                    });
                }
            }
        }
    }
    let failed = comparison
        .targets
        .iter()
        .filter(|target| target.rounds.iter().all(|round| round.failure.is_some()))
        .map(|target| target.name.clone())
        .collect();
    comparison
        .targets
        .retain(|target| !target.rounds.is_empty());
    comparison.baseline =
        baseline(&comparison, &targets).ok_or_else(|| CompareError::Nothing(args.file.clone()))?;
    Ok((comparison, failed))
}

/// The target marked as baseline if it was run, or else the first that was run.
fn baseline(comparison: &Comparison, targets: &[Target]) -> Option<String> {
    let ran = |name: &String| comparison.targets.iter().any(|target| target.name == *name);
    let marked = targets
        .iter()
        .find(|target| target.baseline && ran(&target.name));
    let first = targets.iter().find(|target| ran(&target.name));
    marked.or(first).map(|target| target.name.clone())
}

fn read(path: &Path) -> Result<File, CompareError> {
    let text = std::fs::read_to_string(path).map_err(|error| CompareError::Read {
        path: path.to_owned(),
        error,
    })?;
    toml::from_str(&text).map_err(|error| CompareError::Toml {
        path: path.to_owned(),
        error: Box::new(error),
    })
}

fn directory(path: &Path) -> PathBuf {
    let parent = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    let parent = parent.unwrap_or(Path::new("."));
    std::path::absolute(parent).unwrap_or_else(|_| parent.to_owned())
}

/// The first thing that the target needs and that is not there.
fn missing(target: &Target, directory: &Path) -> Option<String> {
    let mut path = std::env::var_os("PATH").unwrap_or_default();
    // Debian's folders of servers, which are not in an ordinary user's PATH.
    path.push(":/usr/sbin:/usr/local/sbin");
    let there = |what: &String| {
        directory.join(what).exists()
            || std::env::split_paths(&path).any(|folder| folder.join(what).is_file())
    };
    target.requires.iter().find(|what| !there(what)).cloned()
}

fn one_run(
    run: &Run,
    target: &Target,
    directory: &Path,
    options: &[String],
) -> Result<Outcome, ScenarioError> {
    let words = words(run, target, directory, options);
    let cli = Cli::try_parse_from(&words).map_err(|error| CompareError::Options {
        name: target.name.clone(),
        error: Box::new(error),
    })?;
    let common = cli.command.common();
    if common.is_some_and(|common| !common.output.is_empty()) {
        return Err(CompareError::Output(target.name.clone()).into());
    }
    super::run(&cli.command, words[1..].to_vec())
        .unwrap_or_else(|| Err(CompareError::Scenario(run.scenario.clone()).into()))
}

/// The target as the command line that a person would type for it.
fn words(run: &Run, target: &Target, directory: &Path, options: &[String]) -> Vec<String> {
    let program = std::env::current_exe().unwrap_or_default();
    let place = |text: &str| {
        let quote = |path: &Path| shell_words::quote(&path.to_string_lossy()).into_owned();
        text.replace("{dir}", &quote(directory))
            .replace("{loadtest}", &quote(&program))
    };
    let mut words = vec!["fantail-loadtest".to_owned(), run.scenario.clone()];
    let mut option = |name: &str, value: &str| words.push(format!("--{name}={value}"));
    option("name", &target.name);
    option("preset", "plain");
    option("url", &target.url);
    if let Some(spawn) = &target.spawn {
        option("spawn", &place(spawn));
    }
    if let Some(publish) = &target.publish {
        option("publish", publish);
    }
    if let Some(body) = &target.publish_body {
        option("publish-body", body);
    }
    target
        .publish_headers
        .iter()
        .for_each(|header| option("publish-header", header));
    target
        .headers
        .iter()
        .for_each(|header| option("header", header));
    words.extend(run.arguments.iter().cloned());
    words.extend(target.arguments.iter().cloned());
    words.extend(options.iter().cloned());
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Command;

    const TEXT: &str = r#"
        [run]
        scenario = "fanout"
        rounds = 3
        arguments = ["--streams", "100"]

        [[target]]
        name = "floor"
        spawn = "{loadtest} floor --listen 127.0.0.1:{http}"
        url = "http://127.0.0.1:{http}/events/{topic}"
        publish = "resp://127.0.0.1:{ingest}"

        [[target]]
        name = "other"
        requires = ["a program that nobody has"]
        url = "http://127.0.0.1:{http}/sub/{topic}"
    "#;

    #[test]
    fn a_target_becomes_a_command_line_that_is_understood() {
        let file: File = toml::from_str(TEXT).expect("the form");
        let words = words(
            &file.run,
            &file.target[0],
            Path::new("/a b"),
            &["--burst=7".to_owned()],
        );
        let cli = Cli::try_parse_from(&words).expect("a command line");
        let Command::Fanout(args) = cli.command else {
            panic!("{words:?}");
        };
        assert_eq!((args.streams, args.burst), (100, 7));
        assert!(
            args.common
                .target
                .spawn
                .expect("a command")
                .ends_with("floor --listen 127.0.0.1:{http}")
        );
    }

    #[test]
    fn the_peers_that_come_with_the_harness_are_understood() {
        let text = include_str!("../../peers/peers.toml");
        let file: File = toml::from_str(text).expect("the form");
        assert!(file.target.iter().any(|target| target.baseline));
        for target in &file.target {
            let words = words(&file.run, target, Path::new("/peers"), &[]);
            if let Err(error) = Cli::try_parse_from(&words) {
                panic!("{}: {error}", target.name);
            }
        }
    }

    #[test]
    fn what_is_not_there_is_named() {
        let file: File = toml::from_str(TEXT).expect("the form");
        assert_eq!(missing(&file.target[0], Path::new(".")), None);
        let what = missing(&file.target[1], Path::new("."));
        assert_eq!(what.as_deref(), Some("a program that nobody has"));
    }

    #[test]
    fn a_misspelt_member_is_refused() {
        let error = toml::from_str::<File>("[run]\nscenrio = \"x\"").expect_err("misspelt");
        assert!(error.to_string().contains("scenrio"), "{error}");
    }
}
