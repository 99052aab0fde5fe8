//! What the tests need beyond Rust: looks for it, installs it where that needs no person, else prints the line that does and fails.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::process::{Failure, cargo, command, output, root, run, succeeds};

/// Oldest Node.js that the npm packages of the tests run on (Debian 12 has it).
const NODE_MAJOR_MIN: u32 = 18;

/// A program, the names it goes by, and the Debian package that has it.
struct Tool {
    names: &'static [&'static str],
    package: &'static str,
}

/// Chromium's names are those that `tests/external/browser.rs` looks for.
const TOOLS: [Tool; 6] = [
    Tool {
        names: &["redis-cli"],
        package: "redis-tools",
    },
    Tool {
        names: &["redis-benchmark"],
        package: "redis-tools",
    },
    Tool {
        names: &["curl"],
        package: "curl",
    },
    Tool {
        names: &["chromium", "chromium-browser", "google-chrome"],
        package: "chromium",
    },
    Tool {
        names: &["node"],
        package: "nodejs",
    },
    Tool {
        names: &["npm"],
        package: "npm",
    },
];

/// Makes sure that every check of `cargo xtask test` can run on this machine.
pub(crate) fn ensure() -> Result<(), Failure> {
    rust_components()?;
    debian_packages()?;
    node_version()?;
    npm_packages()
}

fn rust_components() -> Result<(), Failure> {
    for (subcommand, component) in [("fmt", "rustfmt"), ("clippy", "clippy")] {
        if !succeeds(&mut cargo(&[subcommand, "--version"])) {
            return Err(Failure::Missing(format!(
                "`cargo {subcommand}` is missing; install it with:\n\n    rustup component add {component}\n"
            )));
        }
        println!("found {component}");
    }
    Ok(())
}

fn debian_packages() -> Result<(), Failure> {
    let missing = missing_packages();
    if missing.is_empty() {
        return Ok(());
    }
    let line = format!(
        "sudo apt-get install -y --no-install-recommends {}",
        missing.join(" ")
    );
    let Some(prefix) = administrator() else {
        return Err(Failure::Missing(format!(
            "the tests need programs that are not here, and this user may not install them; install them with:\n\n    {line}\n"
        )));
    };
    run(&mut apt_get(prefix, &["update"]))?;
    let mut install = vec!["install", "-y", "--no-install-recommends"];
    install.extend(&missing);
    run(&mut apt_get(prefix, &install))?;
    match missing_packages().as_slice() {
        [] => Ok(()),
        rest => Err(Failure::Missing(format!(
            "installed, but their programs are still not in PATH: {}",
            rest.join(" ")
        ))),
    }
}

/// Packages of the tools that no directory of `PATH` has, each once.
fn missing_packages() -> Vec<&'static str> {
    let mut missing = Vec::new();
    for tool in &TOOLS {
        match tool.names.iter().find_map(|name| in_path(name)) {
            Some(path) => println!("found {}", path.display()),
            None if missing.contains(&tool.package) => {}
            None => missing.push(tool.package),
        }
    }
    missing
}

/// The words that make apt-get work here: none for root, sudo where it asks for no password; `None` where neither is.
fn administrator() -> Option<&'static [&'static str]> {
    in_path("apt-get")?;
    let root = output(&mut command("id", &["--user"])).is_ok_and(|identity| identity.trim() == "0");
    if root {
        return Some(&[]);
    }
    succeeds(&mut command("sudo", &["--non-interactive", "true"]))
        .then_some(&["sudo", "--non-interactive"])
}

fn apt_get(prefix: &[&str], arguments: &[&str]) -> Command {
    // `env` carries the variable through sudo, which would drop it.
    let mut words: Vec<&str> = prefix.to_vec();
    words.extend(["env", "DEBIAN_FRONTEND=noninteractive", "apt-get"]);
    words.extend(arguments);
    command(words[0], &words[1..])
}

fn node_version() -> Result<(), Failure> {
    let version = output(&mut command("node", &["--version"]))?;
    let major = version
        .trim()
        .trim_start_matches('v')
        .split('.')
        .next()
        .and_then(|digits| digits.parse::<u32>().ok());
    match major {
        Some(major) if major >= NODE_MAJOR_MIN => Ok(()),
        _ => Err(Failure::Missing(format!(
            "the tests need Node.js {NODE_MAJOR_MIN} or newer, and `node --version` says {}; put a newer one first in PATH",
            version.trim()
        ))),
    }
}

/// `npm ci` where the installed packages are older than the lock file.
fn npm_packages() -> Result<(), Failure> {
    let directory = root().join("tests/node");
    let installed = modified(&directory.join("node_modules/.package-lock.json"));
    let locked = modified(&directory.join("package-lock.json"));
    if installed.is_some() && installed >= locked {
        println!("found tests/node/node_modules");
        return Ok(());
    }
    run(&mut command(
        "npm",
        &[
            "ci",
            "--prefix",
            "tests/node",
            "--ignore-scripts",
            "--no-audit",
            "--no-fund",
        ],
    ))
}

fn modified(path: &Path) -> Option<std::time::SystemTime> {
    path.metadata().and_then(|meta| meta.modified()).ok()
}

/// The first directory of `PATH` that has a file of that name.
pub(crate) fn in_path(name: &str) -> Option<PathBuf> {
    std::env::split_paths(&std::env::var_os("PATH")?)
        .map(|directory| directory.join(name))
        .find(|path| path.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_is_searched_for_files() {
        assert!(in_path("sh").is_some_and(|path| path.ends_with("sh")));
        assert_eq!(in_path("a program that nobody has"), None);
    }

    #[test]
    fn apt_get_is_never_asked_a_question() {
        let words = |command: Command| -> Vec<String> {
            std::iter::once(command.get_program())
                .chain(command.get_args())
                .map(|word| word.to_string_lossy().into_owned())
                .collect()
        };
        let plain = words(apt_get(&[], &["update"]));
        assert_eq!(
            plain,
            ["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "update"]
        );
        let sudo = words(apt_get(&["sudo", "--non-interactive"], &["update"]));
        assert_eq!(sudo[..2], ["sudo", "--non-interactive"]);
    }
}
