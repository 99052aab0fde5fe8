//! The scenarios, each in a file; `session` has their common parts.

pub(crate) mod ceiling;
pub(crate) mod churn;
pub(crate) mod cluster;
pub(crate) mod compare;
pub(crate) mod density;
pub(crate) mod fanout;
pub(crate) mod ingest;
pub(crate) mod restart;
pub(crate) mod session;
pub(crate) mod slow;
pub(crate) mod soak;

use crate::cli::Command;
use crate::crew::CrewError;
use crate::layout::LayoutError;
use crate::outcome::Outcome;
use crate::publisher::PublishError;
use crate::report::ReportError;
use crate::server::ServerError;
use crate::target::TargetError;
use crate::token::TokenError;

/// Why a scenario could not be run. Faults of streams are not an error but a result.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ScenarioError {
    /// The URLs and their options.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// The topics.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// The client processes.
    #[error(transparent)]
    Crew(#[from] CrewError),
    /// Publishing.
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// The server that was to be started.
    #[error(transparent)]
    Server(#[from] ServerError),
    /// The process to measure is not there.
    #[error("--pid {0}: there is no such process")]
    Pid(u32),
    /// Tokens.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// Options without a meaning here.
    #[error("{0}")]
    Options(&'static str),
    /// Topics that cannot be shared out among publishers.
    #[error(
        "--pool: cluster publishes the topics in turn over its connections, {0} of them; give a multiple of {0}"
    )]
    Pool(usize),
    /// The log of several nodes.
    #[error(transparent)]
    Log(#[from] ceiling::LogError),
    /// A file of the result.
    #[error(transparent)]
    Report(#[from] ReportError),
    /// The file of `compare`.
    #[error(transparent)]
    Compare(#[from] compare::CompareError),
}

/// Runs the scenario of a command; `None` if the command is not a scenario.
pub(crate) fn run(
    command: &Command,
    arguments: Vec<String>,
) -> Option<Result<Outcome, ScenarioError>> {
    Some(match command {
        Command::Density(args) => density::run(args, arguments),
        Command::Fanout(args) => fanout::run(args, arguments),
        Command::Ingest(args) => ingest::run(args, arguments),
        Command::Churn(args) => churn::run(args, arguments),
        Command::Slow(args) => slow::run(args, arguments),
        Command::Soak(args) => soak::run(args, arguments),
        Command::Restart(args) => restart::run(args, arguments),
        Command::Ceiling(args) => ceiling::run(args, arguments),
        Command::Cluster(args) => cluster::run(args, arguments),
        Command::Compare(_) | Command::Floor(_) | Command::Reader => return None,
    })
}

/// Counts to settle at: those requested, ascending and without duplicates, or a third and all of
/// the streams.
pub(crate) fn steps(at: &[usize], streams: usize) -> Vec<usize> {
    let mut steps = if at.is_empty() {
        vec![streams.div_ceil(3), streams]
    } else {
        at.to_vec()
    };
    steps.retain(|step| *step > 0);
    steps.sort_unstable();
    steps.dedup();
    steps
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_ascend_without_doubles() {
        assert_eq!(steps(&[], 9_000), [3_000, 9_000]);
        assert_eq!(steps(&[], 1), [1]);
        assert_eq!(steps(&[30, 10, 30, 0], 5), [10, 30]);
    }
}
