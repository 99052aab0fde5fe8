//! The three sources of settings, read as the program reads them but without a process: no variable
//! is set, no port opened.

/// Every setting at both ends of its bounds, and one step beyond.
mod edges;
/// The forms of the file and of the environment.
mod forms;
mod program;
/// Refusals, word for word.
mod refusals;
/// Every setting from every source, and the order of the sources.
mod sources;
mod tokens;

use std::ffi::OsString;

use super::*;

/// Loads `file` (called `fantail.toml`), `environment` and `args` as the program does.
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

/// The message with which a configuration is refused.
fn refusal(file: &str, environment: &[(&str, &str)], args: &[&str]) -> String {
    load(file, environment, args)
        .expect_err("a configuration that is refused")
        .to_string()
}

/// Loads a real file and nothing else.
fn load_from(path: &Path) -> Result<Settings, ConfigError> {
    super::load(Some(path), [], RawSettings::default())
}
