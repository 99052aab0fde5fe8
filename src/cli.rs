//! The command line: the command, and the settings among its flags.
//!
//! Only parses. `fantail` alone is `fantail serve`, so the flags of `serve` are accepted with and
//! without the word.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::PathBufValueParser;
use clap::{Arg, ArgMatches};

use crate::settings::{RawSettings, flags};
use crate::token;

/// The command of the process.
pub enum Command {
    /// Run the node.
    Serve {
        /// The configuration file that `--config` names.
        config: Option<PathBuf>,
        /// The settings that were given as flags.
        flags: RawSettings,
    },
    /// Ask the running node to let the next version of its program take over.
    Upgrade {
        /// The configuration file that `--config` names.
        config: Option<PathBuf>,
        /// The settings that were given as flags.
        flags: RawSettings,
    },
    /// Check whether this file would be accepted.
    CheckConfig {
        /// The file.
        file: PathBuf,
    },
    /// Make a token.
    Token(Box<token::Request>),
    /// Print the table of settings.
    Settings,
}

/// Reads the command line; the first of `args` is the program's own name.
///
/// # Errors
/// clap's message: a wrong use, but also the texts of `--help` and `--version`. It can print itself
/// and has the exit code.
pub fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Command, clap::Error> {
    let matches = command().try_get_matches_from(args)?;
    Ok(match matches.subcommand() {
        Some(("check-config", matches)) => Command::CheckConfig {
            // Required; clap has refused the command without it.
            file: path(matches, "file").unwrap_or_default(),
        },
        Some(("token", matches)) => Command::Token(Box::new(token::read(matches))),
        Some(("settings", _)) => Command::Settings,
        Some(("upgrade", matches)) => Command::Upgrade {
            config: path(matches, "config"),
            flags: flags::read(matches),
        },
        Some((_, matches)) => serve(matches),
        None => serve(&matches),
    })
}

fn serve(matches: &ArgMatches) -> Command {
    Command::Serve {
        config: path(matches, "config"),
        flags: flags::read(matches),
    }
}

fn path(matches: &ArgMatches, id: &str) -> Option<PathBuf> {
    matches.get_one::<PathBuf>(id).cloned()
}

fn command() -> clap::Command {
    clap::Command::new("fantail")
        .version(env!("CARGO_PKG_VERSION"))
        .about("A Server-Sent Events fan-out node: events in over the Redis protocol or HTTP, out to many open streams")
        .after_help(
            "Without a command it serves. A setting is taken from its flag, else from its environment variable, else from \
             the file, else it has its default. `-h` lists them, `--help` also says what each may be.\n\
             Exit codes: 0 clean, 2 usage or configuration, 1 anything else.",
        )
        .args_conflicts_with_subcommands(true)
        .args(serve_args())
        .subcommand(
            clap::Command::new("serve")
                .about("Run the node (what `fantail` alone does)")
                .args(serve_args()),
        )
        .subcommand(
            clap::Command::new("check-config")
                .about("Say whether `serve --config FILE` would accept this file in this environment, without starting anything")
                .arg(
                    Arg::new("file")
                        .value_name("FILE")
                        .value_parser(PathBufValueParser::new())
                        .required(true)
                        .help("TOML file to check"),
                ),
        )
        .subcommand(
            clap::Command::new("upgrade")
                .about("Let the program file that is in place now take over from the running node, with all its streams; needs the settings of that node, or its `--admin-listen`")
                .args(serve_args()),
        )
        .subcommand(token::command())
        .subcommand(
            clap::Command::new("settings")
                .about("Print every setting as a Markdown table: key, flag, environment, default, what is allowed, meaning"),
        )
}

fn serve_args() -> Vec<Arg> {
    let config = Arg::new("config")
        .long("config")
        .value_name("FILE")
        .value_parser(PathBufValueParser::new())
        .help("TOML file with settings [env: FANTAIL_CONFIG]");
    std::iter::once(config).chain(flags::args()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(args: &[&str]) -> Result<Command, clap::Error> {
        parse(
            std::iter::once("fantail")
                .chain(args.iter().copied())
                .map(OsString::from),
        )
    }

    #[test]
    fn the_command_is_sound() {
        command().debug_assert();
    }

    #[test]
    fn serve_is_what_happens_without_a_command() {
        for args in [
            &[][..],
            &["serve"],
            &["--listen", "127.0.0.1:1"],
            &["serve", "--listen", "127.0.0.1:1"],
        ] {
            assert!(
                matches!(parsed(args), Ok(Command::Serve { config: None, .. })),
                "{args:?}"
            );
        }
        assert!(matches!(
            parsed(&["--config", "a.toml"]),
            Ok(Command::Serve {
                config: Some(_),
                ..
            })
        ));
    }

    #[test]
    fn other_commands_are_read() {
        assert!(matches!(
            parsed(&["check-config", "a.toml"]),
            Ok(Command::CheckConfig { .. })
        ));
        assert!(matches!(
            parsed(&["token", "--subscribe", "a", "--exp", "1h"]),
            Ok(Command::Token(_))
        ));
        assert!(matches!(parsed(&["settings"]), Ok(Command::Settings)));
    }

    #[test]
    fn wrong_use_exits_with_2_and_help_with_0() {
        let code = |args: &[&str]| parsed(args).err().map(|error| error.exit_code());
        assert_eq!(code(&["check-config"]), Some(2));
        assert_eq!(code(&["--no-such-flag"]), Some(2));
        assert_eq!(code(&["--listen"]), Some(2));
        assert_eq!(code(&["--listen", "127.0.0.1:1", "serve"]), Some(2));
        assert_eq!(
            code(&["--listen", "127.0.0.1:1", "--listen", "127.0.0.1:2"]),
            Some(2)
        );
        assert_eq!(code(&["token", "--secret=a", "--key-file=b"]), Some(2));
        assert_eq!(code(&["--help"]), Some(0));
        assert_eq!(code(&["--version"]), Some(0));
    }
}
