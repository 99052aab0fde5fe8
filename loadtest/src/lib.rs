//! Load tests for Server-Sent Events servers: how many streams, how fast, nothing lost, against
//! anyone.
//!
//! The program `fantail-loadtest` is this library's only user. Of a server it knows only its URL,
//! the way to publish, and its processes.
//!
//! From the bottom up: `wire` decodes, `transport` connects, `reader` holds streams in processes of
//! their own, `crew` leads those, `publisher` publishes, `gauge` reads the usage of processes,
//! `scenario` combines them, and `report` shows the [`outcome`].

mod arguments;
pub mod assertion;
mod cli;
mod console;
mod crew;
mod dial;
mod floor;
mod gauge;
mod latency;
mod layout;
mod message;
pub mod outcome;
mod progress;
mod publisher;
pub mod quantile;
mod reader;
mod recorder;
pub mod report;
#[cfg(test)]
mod sample;
mod scenario;
mod server;
mod stamp;
mod target;
mod template;
mod token;
mod transport;
pub mod units;
mod wire;

use std::path::Path;
use std::process::ExitCode;

use clap::Parser;

use assertion::Assertion;
use cli::shared::OutputArgs;
use cli::{Cli, Command, CompareArgs};
use outcome::Outcome;
use report::ReportError;

/// Runs the program with the arguments of this process. Exit code 0: done, and all assertions hold;
/// 1: an assertion does not hold, no stream could be opened, no event was accepted, or the scenario
/// could not be run; 2: the command line is wrong.
pub fn run() -> ExitCode {
    let command = Cli::parse().command;
    match dispatch(&command) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            console::err(format_args!("fantail-loadtest: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// Whether all assertions hold.
fn dispatch(command: &Command) -> anyhow::Result<bool> {
    match command {
        Command::Reader => return Ok(reader::run().map(|()| true)?),
        Command::Floor(args) => return floor::run(args).map(|()| true),
        _ => server::end_servers_on_interrupt()?,
    }
    if let Command::Compare(args) = command {
        return compare(args);
    }
    let arguments = std::env::args().skip(1).collect();
    match (scenario::run(command, arguments), command.common()) {
        (Some(outcome), Some(common)) => show(&outcome?, &common.output, &command.assertions()),
        _ => Ok(true),
    }
}

/// Writes the files, prints the table, and judges the scenario's own assertions and those of the
/// user; returns whether all hold. A file that cannot be written does not prevent the rest.
fn show(outcome: &Outcome, output: &OutputArgs, own: &[Assertion]) -> anyhow::Result<bool> {
    let written = [
        write(output.json.as_deref(), || report::json::text(outcome)),
        write(output.report.as_deref(), || report::html::outcome(outcome)),
    ];
    console::out(report::table::outcome(outcome));
    let verdicts: Vec<_> = own
        .iter()
        .chain(&output.assert)
        .map(|assertion| assertion.evaluate(outcome))
        .collect();
    for verdict in verdicts.iter().flatten() {
        console::out(verdict);
    }
    console::tell_lost();
    written.into_iter().collect::<Result<(), _>>()?;
    let mut all = outcome.failure.is_none();
    for verdict in verdicts {
        all &= verdict?.held();
    }
    Ok(all)
}

/// Whether every target that was tried has a round that came to its end.
fn compare(args: &CompareArgs) -> anyhow::Result<bool> {
    let (comparison, failed) = scenario::compare::run(args)?;
    let written = [
        write(args.markdown.as_deref(), || {
            Ok(report::comparison::markdown(&comparison))
        }),
        write(args.json.as_deref(), || report::json::text(&comparison)),
        write(args.report.as_deref(), || {
            report::html::comparison(&comparison)
        }),
    ];
    console::out(report::comparison::table(&comparison));
    console::tell_lost();
    written.into_iter().collect::<Result<(), _>>()?;
    for target in &failed {
        console::err(format_args!(
            "fantail-loadtest: {target}: no round came to its end"
        ));
    }
    Ok(failed.is_empty())
}

/// Writes a file, if one is asked for.
fn write(
    path: Option<&Path>,
    text: impl FnOnce() -> Result<String, ReportError>,
) -> Result<(), ReportError> {
    path.map_or(Ok(()), |path| report::write(path, &text()?))
}
