//! The three ways in, driven as the program drives them but without its process: no variable is
//! set, no port opened.

/// Every setting at each end of what it allows, and one step beyond.
mod edges;
/// What the file and the environment may look like.
mod forms;
mod program;
/// What is refused, word for word.
mod refusals;
/// Every setting by every way, and which way wins.
mod sources;
mod tokens;

use std::ffi::OsString;

use super::*;

/// Loads `file` (called `fantail.toml`), `environment` and `args` as the program would.
fn load(file: &str, environment: &[(&str, &str)], args: &[&str]) -> Result<Settings, ConfigError> {
    let environment = environment
        .iter()
        .map(|(name, value)| (OsString::from(name), OsString::from(value)));
    let mut raw = file::parse("fantail.toml", file);
    raw.append(environment::read(environment));
    raw.append(flags_of(args));
    check::check(raw)
}

fn flags_of(args: &[&str]) -> RawSettings {
    let matches = clap::Command::new("fantail")
        .no_binary_name(true)
        .args(flags::args())
        .try_get_matches_from(args)
        .expect("flags that clap accepts");
    flags::read(&matches)
}

/// The message that a configuration is refused with.
fn refusal(file: &str, environment: &[(&str, &str)], args: &[&str]) -> String {
    load(file, environment, args)
        .expect_err("a configuration that is refused")
        .to_string()
}

/// Loads a real file and nothing else.
fn load_from(path: &Path) -> Result<Settings, ConfigError> {
    super::load(Some(path), [], RawSettings::default())
}
