//! `cargo xtask fuzz`: every fuzz target for a while, from the seeds in `fuzz/seeds` and the finds
//! of earlier runs.

use std::path::Path;

use crate::process::{Failure, command, root, run, succeeds};

/// Targets under `fuzz/fuzz_targets`; a unit test keeps the list complete.
const TARGETS: [&str; 13] = [
    "channel_message",
    "channel_wire",
    "idempotency_key",
    "last_event_id",
    "log_entry",
    "origin",
    "publish_json",
    "request",
    "resp",
    "roster_line",
    "selector",
    "state",
    "token",
];

/// Runs each target for `seconds`.
pub(crate) fn run_all(seconds: &str) -> Result<(), Failure> {
    if seconds.parse::<u32>().is_err() {
        return Err(Failure::Usage(format!("fuzz {seconds}")));
    }
    if !succeeds(&mut command("cargo", &["+nightly", "fuzz", "--version"])) {
        return Err(Failure::Missing(
            "fuzzing needs a nightly toolchain and cargo-fuzz; install them with:\n\n    \
             rustup toolchain install nightly && cargo install cargo-fuzz\n"
                .to_owned(),
        ));
    }
    for target in TARGETS {
        println!("\n=== {target}");
        fuzz_one(target, seconds)?;
    }
    Ok(())
}

fn fuzz_one(target: &str, seconds: &str) -> Result<(), Failure> {
    // libFuzzer writes its finds into the first directory and only reads the others.
    let corpus = Path::new("fuzz/corpus").join(target);
    std::fs::create_dir_all(root().join(&corpus))
        .map_err(|error| Failure::File(corpus.clone(), error))?;
    let seeds = format!("fuzz/seeds/{target}");
    let time = format!("-max_total_time={seconds}");
    let corpus = corpus.to_string_lossy();
    run(&mut command(
        "cargo",
        &[
            "+nightly", "fuzz", "run", target, &corpus, &seeds, "--", &time,
        ],
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_target_is_run() {
        let mut found: Vec<String> = std::fs::read_dir(root().join("fuzz/fuzz_targets"))
            .expect("the repository has fuzz targets")
            .map(|entry| {
                let path = entry.expect("a readable entry").path();
                path.file_stem()
                    .expect("a name")
                    .to_string_lossy()
                    .into_owned()
            })
            .collect();
        found.sort();
        let mut listed = TARGETS.map(str::to_owned);
        listed.sort();
        assert_eq!(found, listed);
    }
}
