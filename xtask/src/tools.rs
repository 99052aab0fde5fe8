//! The tools that the tests need beyond Rust: finds each, installs it if that needs no person, or
//! else prints the line that does and fails.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::process::{Failure, cargo, command, output, root, run, succeeds};

/// Oldest Node.js that the npm packages of the tests run on (Debian 12 has it).
const NODE_MAJOR_MIN: u32 = 18;

/// Oldest Python that the packages of the tests run on (Debian 12 has 3.11).
const PYTHON_MIN: &str = "3.10";

/// A virtual environment of Python packages.
struct PythonPackages {
    environment: &'static str,
    /// The list of its packages.
    requirements: &'static str,
    /// A statement that works with them.
    probe: &'static str,
}

/// The clients that the tests drive; `tests/external/watcher.rs` uses the same folder.
const PYTHON_OF_TESTS: PythonPackages = PythonPackages {
    environment: "tests/python/.venv",
    requirements: "tests/python/requirements.txt",
    probe: "import httpx",
};

/// The servers of examples; `examples/demo/apps.mjs` uses the same folder.
const PYTHON_OF_EXAMPLES: PythonPackages = PythonPackages {
    environment: "examples/.venv",
    requirements: "examples/requirements.txt",
    probe: "import flask, redis",
};

/// Something that the tests need, how to see that it is here, and the Debian package that has it.
struct Tool {
    seen: Seen,
    package: &'static str,
}

/// Evidence of a tool.
enum Seen {
    /// A program of one of these names in `PATH`.
    Program(&'static [&'static str]),
    /// These words run and succeed: for tools that are not programs.
    Command(&'static [&'static str]),
}

/// The names of browsers are those in `tests/external/watcher.rs`.
const TOOLS: [Tool; 26] = [
    Tool {
        seen: Seen::Program(&["redis-cli"]),
        package: "redis-tools",
    },
    Tool {
        seen: Seen::Program(&["redis-benchmark"]),
        package: "redis-tools",
    },
    // The tests start one of their own, on a port of its own; whether the package's service runs
    // does not matter to them.
    Tool {
        seen: Seen::Program(&["redis-server"]),
        package: "redis-server",
    },
    Tool {
        seen: Seen::Program(&["strace"]),
        package: "strace",
    },
    Tool {
        seen: Seen::Program(&["curl"]),
        package: "curl",
    },
    Tool {
        seen: Seen::Program(&["chromium", "chromium-browser", "google-chrome"]),
        package: "chromium",
    },
    Tool {
        seen: Seen::Program(&["firefox-esr", "firefox"]),
        package: "firefox-esr",
    },
    // As with redis-server, the tests start their own, whether the packages' services run or not.
    Tool {
        seen: Seen::Program(&["nginx"]),
        package: "nginx",
    },
    Tool {
        seen: Seen::Program(&["haproxy"]),
        package: "haproxy",
    },
    Tool {
        seen: Seen::Program(&["caddy"]),
        package: "caddy",
    },
    Tool {
        seen: Seen::Program(&["node"]),
        package: "nodejs",
    },
    Tool {
        seen: Seen::Program(&["npm"]),
        package: "npm",
    },
    Tool {
        seen: Seen::Program(&["python3"]),
        package: "python3",
    },
    Tool {
        seen: Seen::Command(&["python3", "-c", "import ensurepip, venv"]),
        package: "python3-venv",
    },
    Tool {
        seen: Seen::Program(&["php"]),
        package: "php-cli",
    },
    Tool {
        seen: Seen::Command(&[
            "php",
            "-r",
            "exit(stream_resolve_include_path('Symfony/Component/Mercure/autoload.php') ? 0 : 1);",
        ]),
        package: "php-symfony-mercure",
    },
    Tool {
        seen: Seen::Command(&[
            "php",
            "-r",
            "exit(stream_resolve_include_path('Illuminate/Foundation/Application.php') ? 0 : 1);",
        ]),
        package: "php-laravel-framework",
    },
    Tool {
        seen: Seen::Command(&[
            "php",
            "-r",
            "exit(stream_resolve_include_path('Predis/autoload.php') ? 0 : 1);",
        ]),
        package: "php-predis",
    },
    Tool {
        seen: Seen::Command(&["php", "-r", "exit(extension_loaded('redis') ? 0 : 1);"]),
        package: "php-redis",
    },
    Tool {
        seen: Seen::Command(&["php", "-r", "exit(extension_loaded('pdo_sqlite') ? 0 : 1);"]),
        package: "php-sqlite3",
    },
    Tool {
        seen: Seen::Program(&["rackup"]),
        package: "ruby-rack",
    },
    Tool {
        seen: Seen::Command(&["ruby", "-e", "require 'action_controller/railtie'"]),
        package: "ruby-railties",
    },
    Tool {
        seen: Seen::Command(&["ruby", "-e", "require 'active_record'"]),
        package: "ruby-activerecord",
    },
    Tool {
        seen: Seen::Command(&["ruby", "-e", "require 'sqlite3'"]),
        package: "ruby-sqlite3",
    },
    Tool {
        seen: Seen::Command(&["ruby", "-e", "require 'redis'"]),
        package: "ruby-redis",
    },
    Tool {
        seen: Seen::Command(&["ruby", "-e", "require 'jwt'"]),
        package: "ruby-jwt",
    },
];

/// Debian packages that `cargo xtask cluster` needs.
const OF_CLUSTER: [&str; 4] = ["redis-tools", "redis-server", "python3", "python3-venv"];

/// Makes sure that every check of `cargo xtask test` can run on this machine.
pub(crate) fn ensure() -> Result<(), Failure> {
    rust_components()?;
    debian_packages(|_| true)?;
    node_version()?;
    npm_packages()?;
    python_version()?;
    python_packages(&PYTHON_OF_TESTS)?;
    python_packages(&PYTHON_OF_EXAMPLES)
}

/// What the examples need: Node.js and its packages for all of them, and Python for some. Those are
/// left out without it, and the demo says so.
pub(crate) fn for_examples() -> Result<(), Failure> {
    let missing: Vec<&str> = [("node", "nodejs"), ("npm", "npm")]
        .into_iter()
        .filter(|(program, _)| in_path(program).is_none())
        .map(|(_, package)| package)
        .collect();
    if !missing.is_empty() {
        return Err(Failure::Missing(format!(
            "the examples need programs that are not here; install them with:\n\n    sudo apt-get install -y --no-install-recommends {}\n",
            missing.join(" ")
        )));
    }
    node_version()?;
    npm_packages_of("clients/js")?;
    npm_packages_of("examples")?;
    if let Err(failure) = python_version().and_then(|()| python_packages(&PYTHON_OF_EXAMPLES)) {
        println!("the examples in Python cannot be started: {failure}");
    }
    Ok(())
}

/// What several nodes with one log are tried with: Redis, Valkey, and a client of Redis in Python.
pub(crate) fn for_cluster() -> Result<(), Failure> {
    debian_packages(|package| OF_CLUSTER.contains(&package))?;
    python_version()?;
    python_packages(&PYTHON_OF_TESTS)
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

fn debian_packages(is_needed: impl Fn(&str) -> bool) -> Result<(), Failure> {
    let missing = missing_packages(&is_needed);
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
    match missing_packages(&is_needed).as_slice() {
        [] => Ok(()),
        rest => Err(Failure::Missing(format!(
            "installed, but what they bring is still not found (another python3 or php may be first in PATH): {}",
            rest.join(" ")
        ))),
    }
}

/// Packages of the needed tools that are not here, each once.
fn missing_packages(is_needed: impl Fn(&str) -> bool) -> Vec<&'static str> {
    let mut missing = Vec::new();
    for tool in TOOLS.iter().filter(|tool| is_needed(tool.package)) {
        match find(tool) {
            Some(found) => println!("found {found}"),
            None if missing.contains(&tool.package) => {}
            None => missing.push(tool.package),
        }
    }
    missing
}

/// The tool that was found, in words.
fn find(tool: &Tool) -> Option<String> {
    match tool.seen {
        Seen::Program(names) => names
            .iter()
            .find_map(|name| in_path(name).or_else(|| for_administrators(name)))
            .map(|path| path.display().to_string()),
        Seen::Command(words) => {
            let (program, arguments) = words.split_first()?;
            succeeds(&mut command(program, arguments)).then(|| tool.package.to_owned())
        }
    }
}

/// The words that make apt-get work here: none for root, sudo if it asks for no password; `None`
/// without either.
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

/// Folders with npm packages: the clients that the tests drive, the browser client with its tools, and
/// the examples.
const NPM_FOLDERS: [&str; 3] = ["tests/node", "clients/js", "examples"];

/// Runs `npm ci` where the installed packages are older than the lock file.
fn npm_packages() -> Result<(), Failure> {
    NPM_FOLDERS.into_iter().try_for_each(npm_packages_of)
}

fn npm_packages_of(folder: &str) -> Result<(), Failure> {
    let directory = root().join(folder);
    let installed = modified(&directory.join("node_modules/.package-lock.json"));
    let locked = modified(&directory.join("package-lock.json"));
    if installed.is_some() && installed >= locked {
        println!("found {folder}/node_modules");
        return Ok(());
    }
    run(&mut command(
        "npm",
        &[
            "ci",
            "--prefix",
            folder,
            "--ignore-scripts",
            "--no-audit",
            "--no-fund",
        ],
    ))
}

fn python_version() -> Result<(), Failure> {
    let condition = format!(
        "import sys; sys.exit(sys.version_info < ({}))",
        PYTHON_MIN.replace('.', ", ")
    );
    if succeeds(&mut command("python3", &["-c", &condition])) {
        return Ok(());
    }
    Err(Failure::Missing(format!(
        "the tests need Python {PYTHON_MIN} or newer; put a newer `python3` first in PATH"
    )))
}

/// A virtual environment of the project's own. Made again if its packages are not the listed ones or
/// its Python is gone.
fn python_packages(packages: &PythonPackages) -> Result<(), Failure> {
    let environment = root().join(packages.environment);
    let python = format!("{}/bin/python", packages.environment);
    let wanted = root().join(packages.requirements);
    // A copy of the list, made when all of it was installed.
    let installed = environment.join("requirements.txt");
    let read = |path: &Path| std::fs::read(path).ok();
    if read(&installed) == read(&wanted) && succeeds(&mut command(&python, &["-c", packages.probe]))
    {
        println!("found {}", packages.environment);
        return Ok(());
    }
    run(&mut command(
        "python3",
        &["-m", "venv", "--clear", packages.environment],
    ))?;
    run(&mut command(
        &python,
        &[
            "-m",
            "pip",
            "--no-input",
            "--disable-pip-version-check",
            "install",
            "--quiet",
            // No package runs code of its own while it is installed.
            "--only-binary=:all:",
            "--requirement",
            packages.requirements,
        ],
    ))?;
    std::fs::copy(&wanted, &installed)
        .map(drop)
        .map_err(|error| Failure::File(installed, error))
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

/// A program that Debian keeps out of the `PATH` of most users; `tests/external/program.rs` looks
/// there, too.
fn for_administrators(name: &str) -> Option<PathBuf> {
    Some(Path::new("/usr/sbin").join(name)).filter(|path| path.is_file())
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
    fn what_is_no_program_is_found_by_running_it() {
        let find = |words| {
            let seen = Seen::Command(words);
            find(&Tool {
                seen,
                package: "a-package",
            })
        };
        assert_eq!(find(&["true"]), Some("a-package".to_owned()));
        assert_eq!(find(&["false"]), None);
        assert_eq!(find(&["a program that nobody has"]), None);
    }

    #[test]
    fn what_the_cluster_needs_is_among_the_tools() {
        for package in OF_CLUSTER {
            assert!(
                TOOLS.iter().any(|tool| tool.package == package),
                "{package}"
            );
        }
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
