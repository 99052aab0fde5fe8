//! Runs other programs: always from the root of the repository, always with their output passed
//! through.

use std::ffi::OsString;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

/// Why a chore did not succeed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The words after `cargo xtask` name no chore.
    Usage(String),
    /// A program could not be started.
    Start(String, io::Error),
    /// A program ended with a status other than 0.
    Status(String, ExitStatus),
    /// A missing tool that cannot be installed here; the text names it, and the line that installs
    /// it.
    Missing(String),
    /// A file or directory of the repository could not be made.
    File(PathBuf, io::Error),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(words) => write!(f, "`{words}` is no chore"),
            Self::Start(command, error) => write!(f, "cannot start `{command}`: {error}"),
            Self::Status(command, status) => write!(f, "`{command}` failed: {status}"),
            Self::Missing(text) => f.write_str(text),
            Self::File(path, error) => write!(f, "{}: {error}", path.display()),
        }
    }
}

/// The root of the repository.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap_or(Path::new("."))
}

/// A program with its arguments, at the root of the repository and without standard input: no chore
/// may wait for a person.
pub(crate) fn command(program: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command
        .args(arguments)
        .current_dir(root())
        .stdin(Stdio::null());
    command
}

/// The cargo that runs this chore, so that every step uses one toolchain.
pub(crate) fn cargo(arguments: &[&str]) -> Command {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let mut command = Command::new(program);
    command
        .args(arguments)
        .current_dir(root())
        .stdin(Stdio::null());
    command
}

/// Prints the command, runs it to its end and fails when it fails.
pub(crate) fn run(command: &mut Command) -> Result<(), Failure> {
    let shown = show(command);
    println!("$ {shown}");
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(Failure::Status(shown, status)),
        Err(error) => Err(Failure::Start(shown, error)),
    }
}

/// Runs the command in silence; whether it could be started and succeeded.
pub(crate) fn succeeds(command: &mut Command) -> bool {
    command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// The command's standard output; its errors are passed through to ours.
pub(crate) fn output(command: &mut Command) -> Result<String, Failure> {
    let shown = show(command);
    match command.stderr(Stdio::inherit()).output() {
        Ok(output) if output.status.success() => {
            Ok(String::from_utf8_lossy(&output.stdout).into_owned())
        }
        Ok(output) => Err(Failure::Status(shown, output.status)),
        Err(error) => Err(Failure::Start(shown, error)),
    }
}

/// The command as a person would type it (the program without its directory).
fn show(command: &Command) -> String {
    let program = Path::new(command.get_program());
    let name = program.file_name().unwrap_or(program.as_os_str());
    let environment = command.get_envs().filter_map(|(key, value)| {
        let value = quoted(&value?.to_string_lossy());
        Some(format!("{}={value}", key.to_string_lossy()))
    });
    let words = std::iter::once(name)
        .chain(command.get_args())
        .map(|word| quoted(&word.to_string_lossy()));
    environment.chain(words).collect::<Vec<_>>().join(" ")
}

/// A word, quoted for a shell.
fn quoted(word: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_=+./:,%@".contains(&byte);
    if !word.is_empty() && word.bytes().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_shown_so_that_it_can_be_pasted() {
        let mut shown = command("/bin/cargo", &["test", "--test", "a*", "it's"]);
        shown.env("FLAGS", "-D warnings");
        assert_eq!(
            show(&shown),
            r"FLAGS='-D warnings' cargo test --test 'a*' 'it'\''s'"
        );
    }
}
