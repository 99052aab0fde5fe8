//! Why a server does not run.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

/// Longest time for a server to begin to listen.
pub(super) const START_PATIENCE: Duration = Duration::from_secs(120);

/// Why a server does not run.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ServerError {
    /// The command is malformed.
    #[error("{flag} {text:?}: {error}")]
    Words {
        /// Its flag.
        flag: &'static str,
        /// The command.
        text: String,
        /// Why.
        error: shell_words::ParseError,
    },
    /// The command is empty.
    #[error("{0}: the command is empty")]
    Empty(&'static str),
    /// It could not be started.
    #[error("starting {program:?}: {error}")]
    Start {
        /// The first word.
        program: String,
        /// Why.
        error: io::Error,
    },
    /// It ended.
    #[error(
        "the server that --spawn started has ended ({status}) before it listened on {address}; it said:\n{output}"
    )]
    Ended {
        /// How.
        status: String,
        /// Its expected address.
        address: SocketAddr,
        /// Its last words.
        output: String,
    },
    /// It does not listen.
    #[error(
        "the server that --spawn started does not listen on {address} after {START_PATIENCE:?}; it said:\n{output}"
    )]
    Silent {
        /// Its expected address.
        address: SocketAddr,
        /// Its output.
        output: String,
    },
    /// A node that was started again does not listen.
    #[error("--start-command: nothing listens on {0} {1:?} after it")]
    NotBack(SocketAddr, Duration),
    /// Another process listens there.
    #[error(
        "--spawn: something listens on {0} already; end it, or write {{http}} and {{ingest}} for free ports"
    )]
    Taken(SocketAddr),
    /// It does not end.
    #[error("the server does not end within {0:?} of its signal; it said:\n{1}")]
    Stays(Duration, String),
    /// It was not replaced.
    #[error("the server's process runs no other program within {0:?} of SIGUSR2; its log says why")]
    NotReplaced(Duration),
    /// Its process is gone.
    #[error("the server's process {0} has ended at SIGUSR2, or was not there")]
    Gone(u32),
    /// A command that the user gave failed.
    #[error("the command of {flag} has failed ({status}); it said:\n{output}")]
    Command {
        /// Its flag.
        flag: &'static str,
        /// How.
        status: String,
        /// Its output.
        output: String,
    },
    /// No free port.
    #[error("finding a free port: {0}")]
    Port(io::Error),
}
