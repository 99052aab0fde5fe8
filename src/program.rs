//! The program `fantail`: parses the command line and runs the command.

mod upgrade;

use std::env;
use std::ffi::OsString;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::num::NonZero;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread;
use std::time::SystemTime;

use anyhow::Context;
use tokio::runtime::Runtime;

use crate::backoff;
use crate::cli::{self, Command};
use crate::logging;
use crate::memory::{self, Allocator};
use crate::node::keys::{self, Loaded};
use crate::node::{self, Activated, Handover, Image, Inherited, Outcome, Role, Start};
use crate::settings::{self, RawSettings, Settings};
use crate::state::Port;
use crate::token;

/// The command line or the configuration is wrong: trying again changes nothing.
const EXIT_USAGE: u8 = 2;

/// Runs the program. `collect` returns the calling thread's freed memory to the system; `set_eager`
/// makes freed memory go back at once, or later.
pub fn run_program(collect: fn(), set_eager: fn(bool)) -> ExitCode {
    memory::set_allocator(Allocator { collect, set_eager });
    let environment: Vec<_> = env::vars_os().collect();
    match parse_arguments(collect) {
        Ok(Command::Serve { config, flags }) => serve(config, environment, flags),
        Ok(Command::Upgrade { config, flags }) => upgrade::ask(config, environment, flags),
        Ok(Command::CheckConfig { file }) => check_config(&file, environment),
        Ok(Command::Token(request)) => make_token(&request, environment),
        Ok(Command::Settings) => print(&settings::markdown()),
        Err(usage) => print_usage(&usage),
    }
}

/// Parses the command line on a thread of its own. clap makes thousands of small allocations, and
/// the node's own among them would keep whole pages from being returned. The end of the thread
/// returns them all.
fn parse_arguments(collect: fn()) -> Result<Command, clap::Error> {
    let parse = || cli::parse(env::args_os());
    let command = thread::scope(|scope| {
        let parser = thread::Builder::new().spawn_scoped(scope, parse);
        match parser.map(|thread| thread.join()) {
            Ok(Ok(command)) => command,
            // If no thread can be started, it is parsed here.
            Ok(Err(_)) | Err(_) => parse(),
        }
    });
    // Before other small allocations are placed in the same pages.
    collect();
    command
}

fn serve(
    config: Option<PathBuf>,
    mut environment: Vec<(OsString, OsString)>,
    flags: RawSettings,
) -> ExitCode {
    let role = Role::take(&mut environment);
    let image = Image::current(&environment);
    // Before the first thread starts, and before any file is opened.
    if let Err(error) = node::block_signals() {
        return refuse(format_args!("cannot block signals: {error}"));
    }
    if let Role::Check(_) | Role::Rehearse(_) = role {
        node::end_with_parent();
    }
    let taken = match role {
        Role::Rehearse(descriptor) | Role::TakeOver(descriptor) => {
            Handover::take(descriptor).map(Some)
        }
        Role::Serve | Role::Check(_) => Ok(None),
    };
    let handover = match taken {
        Ok(handover) => handover,
        Err(error) => return refuse(error),
    };
    // A program that takes over has these sockets from the former one.
    let inherited = match role {
        Role::Serve => Inherited::take(),
        _ => Ok(Inherited::default()),
    };
    let inherited = match inherited {
        Ok(inherited) => inherited,
        Err(error) => return refuse(error),
    };
    let file = config.or_else(|| settings::config_file(&environment));
    let mut settings = match settings::load(file.as_deref(), environment, flags) {
        Ok(settings) => settings,
        Err(error) => return refuse(error),
    };
    let passed = passed_addresses(&role, &inherited, handover.as_ref());
    if !passed.is_empty() {
        node::apply_addresses(&passed, &mut settings);
        // The rules on what may be open to whom hold for the sockets' own addresses.
        if let Err(error) = settings.check() {
            return refuse(error);
        }
    }
    let log = node::config::log(&settings);
    // Every fault that a retry would not mend is found before anything is opened.
    let keys = match keys::load(&settings) {
        Ok(keys) => keys,
        Err(error) => return refuse(error),
    };
    let said = match (&role, handover) {
        (Role::Check(addresses), _) => node::check(&settings, &keys, addresses),
        (Role::Rehearse(_), Some(handover)) => {
            // The threads are started, too: the system may have no room for them.
            let runtime = match runtime(&settings) {
                Ok(runtime) => runtime,
                Err(error) => return refuse(format_args!("{error:#}")),
            };
            let said = node::rehearse(settings, handover);
            runtime.shutdown_background();
            said
        }
        (_, handover) => {
            let start = Start {
                image,
                config: file,
                inherited,
                handover,
            };
            return log_and_run(settings, keys, start);
        }
    };
    let log = logging::check(&log);
    match (log, said) {
        (Ok(()), Ok(said)) => print(&format!("{said}\n")),
        (Err(error), _) => refuse(error),
        (_, Err(error)) => refuse(error),
    }
}

/// The addresses of the sockets that the supervisor has passed: to this process, or to the program
/// that it takes over from.
fn passed_addresses(
    role: &Role,
    inherited: &Inherited,
    handover: Option<&Handover>,
) -> Vec<(Port, SocketAddr)> {
    if let Role::Serve = role {
        return inherited.addresses();
    }
    let activated = Activated::of_process();
    let handed_over = handover.into_iter().flat_map(Handover::addresses);
    let all = role.addresses().chain(handed_over);
    all.filter(|(port, _)| activated.has(*port)).collect()
}

fn log_and_run(settings: Settings, keys: Loaded, start: Start) -> ExitCode {
    if let Err(error) = logging::start(&node::config::log(&settings)) {
        return refuse(error);
    }
    let code = match run(settings, keys, start) {
        Ok(Outcome::Drained) => ExitCode::SUCCESS,
        Ok(Outcome::Forced | Outcome::Cut(_)) => ExitCode::FAILURE,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    };
    logging::flush(logging::FLUSH_MAX);
    code
}

/// Starts the I/O threads.
fn runtime(settings: &Settings) -> anyhow::Result<Runtime> {
    let cores = || thread::available_parallelism().map_or(1, NonZero::get);
    let io_threads = NonZero::new(settings.io_threads).map_or_else(cores, NonZero::get);
    let start = || {
        // tokio panics if it gets no first thread, or no sockets for its signals.
        let thread = thread::Builder::new().spawn(|| ())?;
        let _ = thread.join();
        drop(UnixStream::pair()?);
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(io_threads)
            .thread_name("fantail-io")
            .on_thread_park(memory::join_round)
            .enable_all()
            .build()
    };
    backoff::outlast(start).context("cannot start the I/O threads (`io_threads`)")
}

fn run(settings: Settings, keys: Loaded, start: Start) -> anyhow::Result<Outcome> {
    let runtime = runtime(&settings)?;
    let outcome = runtime.block_on(node::run(settings, keys, start));
    // Tasks that still run outlived the drain, or were told to end at once: they must not delay the
    // exit.
    runtime.shutdown_background();
    Ok(outcome?)
}

fn check_config(file: &Path, environment: Vec<(OsString, OsString)>) -> ExitCode {
    let settings = match settings::load(Some(file), environment, RawSettings::default()) {
        Ok(settings) => settings,
        Err(error) => return refuse(error),
    };
    let log = logging::check(&node::config::log(&settings)).map_err(complain);
    let keys = keys::load(&settings).map_err(complain);
    if log.is_err() || keys.is_err() {
        return ExitCode::from(EXIT_USAGE);
    }
    print(&format!("{}: ok\n", file.display()))
}

fn make_token(request: &token::Request, environment: Vec<(OsString, OsString)>) -> ExitCode {
    let file = request
        .config
        .clone()
        .or_else(|| settings::config_file(&environment));
    let settings = match settings::load(file.as_deref(), environment, RawSettings::default()) {
        Ok(settings) => settings,
        Err(error) => return refuse(error),
    };
    for selector in token::misleading(request) {
        complain(format_args!(
            "warning: `{selector}` grants the one topic of exactly this name: in a token only `*` alone and URI templates, such as `a/{{id}}`, are patterns"
        ));
    }
    // A clock before the epoch makes tokens that have expired.
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    match token::make(request, &settings, now.map_or(0, |now| now.as_secs())) {
        Ok(token) => print(&format!("{token}\n")),
        Err(error) => refuse(error),
    }
}

/// The log is not started yet, or is itself the fault.
fn refuse(error: impl std::fmt::Display) -> ExitCode {
    complain(error);
    ExitCode::from(EXIT_USAGE)
}

/// If standard error is closed, the message is lost.
fn complain(error: impl std::fmt::Display) {
    let _ = writeln!(io::stderr(), "{error}");
}

/// clap's output: help and version on standard output, wrong use on standard error.
fn print_usage(usage: &clap::Error) -> ExitCode {
    let printed = usage.print();
    if usage.use_stderr() {
        return ExitCode::from(u8::try_from(usage.exit_code()).unwrap_or(EXIT_USAGE));
    }
    printed_to_stdout(printed.and_then(|()| io::stdout().flush()))
}

fn print(text: &str) -> ExitCode {
    let mut stdout = io::stdout();
    let printed = stdout.write_all(text.as_bytes());
    printed_to_stdout(printed.and_then(|()| stdout.flush()))
}

/// The exit code of a command that only prints.
fn printed_to_stdout(printed: io::Result<()>) -> ExitCode {
    match printed {
        Ok(()) => ExitCode::SUCCESS,
        // `fantail settings | head` closes the pipe once it has enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            complain(format_args!("cannot write to standard output: {error}"));
            ExitCode::FAILURE
        }
    }
}
