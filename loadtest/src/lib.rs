//! Load tests for Server-Sent Events servers: how many streams, how fast, nothing lost, against anyone.
//!
//! The program `fantail-loadtest` is this library's one user. It knows nothing of a server but its URL, how to publish, and its processes.
//!
//! From the bottom up: `wire` decodes, `transport` connects, `reader` holds streams in processes of their own, `crew` leads those,
//! `publisher` publishes, `gauge` reads what processes use, `scenario` puts them together, and `report` shows the [`outcome`].

mod arguments;
pub mod assertion;
mod cli;
mod crew;
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

use cli::shared::OutputArgs;
use cli::{Cli, Command, CompareArgs};
use outcome::Outcome;

/// Runs the program with the arguments of this process. Exit code 0: done, and all assertions hold; 1: an assertion does not hold, or the
/// scenario could not be run; 2: the command line is wrong.
pub fn run() -> ExitCode {
    let command = Cli::parse().command;
    match dispatch(&command) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("fantail-loadtest: {error:#}");
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
        return compare(args).map(|()| true);
    }
    let arguments = std::env::args().skip(1).collect();
    match (scenario::run(command, arguments), command.common()) {
        (Some(outcome), Some(common)) => show(&outcome?, &common.output),
        _ => Ok(true),
    }
}

/// Prints the table, writes the files, and judges the assertions.
fn show(outcome: &Outcome, output: &OutputArgs) -> anyhow::Result<bool> {
    println!("{}", report::table::outcome(outcome));
    if let Some(path) = &output.json {
        report::write(path, &report::json::text(outcome)?)?;
    }
    if let Some(path) = &output.report {
        report::write(path, &report::html::outcome(outcome)?)?;
    }
    let mut all = outcome.failure.is_none();
    for assertion in &output.assert {
        let verdict = assertion.evaluate(outcome)?;
        println!("{verdict}");
        all &= verdict.held();
    }
    Ok(all)
}

fn compare(args: &CompareArgs) -> anyhow::Result<()> {
    let comparison = scenario::compare::run(args)?;
    println!("{}", report::comparison::table(&comparison));
    let write = |path: &Option<std::path::PathBuf>,
                 text: &dyn Fn() -> Result<String, report::ReportError>| {
        path.as_deref()
            .map_or(Ok(()), |path: &Path| report::write(path, &text()?))
    };
    write(&args.markdown, &|| {
        Ok(report::comparison::markdown(&comparison))
    })?;
    write(&args.json, &|| report::json::text(&comparison))?;
    write(&args.report, &|| report::html::comparison(&comparison))?;
    Ok(())
}
