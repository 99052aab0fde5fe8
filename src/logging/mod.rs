//! The log: text or JSON on standard error, filtered by setting or by `RUST_LOG`.
//!
//! Standard output stays free for the output of commands. Only `main` starts the log; libraries and
//! tests never do. A log line never makes the node wait and never ends it: see `lines`.

mod filter;
mod lines;
mod panics;

use std::env::{self, VarError};
use std::io::{self, IsTerminal};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use thiserror::Error;
use tracing_subscriber::filter::ParseError;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};

use self::filter::FilterError;
pub use self::filter::{LOG_LEVELS, LogFilter, LogFilterError, TRACE_TARGET};
use self::lines::{LineSink, Lines};

/// Longest wait for the last lines when the process ends.
pub const FLUSH_MAX: Duration = Duration::from_millis(500);

/// The variable that overrides the setting.
const RUST_LOG: &str = "RUST_LOG";

/// The lines of this process; not set in tests and in other programs that use the library.
static LINES: OnceLock<Arc<Lines>> = OnceLock::new();

/// Why the log could not be started.
#[derive(Debug, Error)]
pub enum LogError {
    /// `RUST_LOG` is not a filter.
    #[error(
        "RUST_LOG = \"{value}\": {source}; allowed: a level (error, warn, info, debug, trace, off) or a list of target=level"
    )]
    Filter {
        /// Its value.
        value: String,
        /// Its fault.
        source: ParseError,
    },
    /// `RUST_LOG` is not text.
    #[error("RUST_LOG is not UTF-8")]
    NotUtf8,
    /// The process has a log already.
    #[error("the log is started twice: {0}")]
    Twice(#[from] TryInitError),
    /// The system gives no thread.
    #[error("the log cannot be started: {0}")]
    Thread(io::Error),
}

impl From<FilterError> for LogError {
    fn from(FilterError { value, source }: FilterError) -> Self {
        Self::Filter { value, source }
    }
}

/// Form of a log line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

/// The checked settings of the log.
#[derive(Clone, Debug)]
pub struct LogConfig {
    /// The lines to log, unless `RUST_LOG` overrides it.
    pub filter: LogFilter,
    /// Form of a line.
    pub format: LogFormat,
    /// Most bytes of lines that wait for standard error.
    pub buffer_bytes: usize,
}

impl Default for LogConfig {
    /// The defaults of the settings.
    fn default() -> Self {
        Self {
            filter: LogFilter::default(),
            format: LogFormat::default(),
            buffer_bytes: 1 << 20,
        }
    }
}

/// Checks whether [`start`] would accept `RUST_LOG`, without starting anything.
///
/// # Errors
/// [`LogError`] if it is not a filter.
pub fn check(config: &LogConfig) -> Result<(), LogError> {
    filter::filter(&config.filter, rust_log()?.as_deref())?;
    Ok(())
}

/// Starts the log of the process, including reports of panics.
///
/// # Errors
/// [`LogError`] if `RUST_LOG` is not a filter, or if the process has a log already.
pub fn start(config: &LogConfig) -> Result<(), LogError> {
    let filter = filter::filter(&config.filter, rust_log()?.as_deref())?;
    let lines = Lines::start(io::stderr(), config.buffer_bytes).map_err(LogError::Thread)?;
    let sink = LineSink(Arc::clone(&lines));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(move || sink.clone())
        // It would write them to standard error itself, and panic if that is broken.
        .log_internal_errors(false);
    match config.format {
        LogFormat::Text => builder
            .with_ansi(io::stderr().is_terminal())
            .finish()
            .try_init()?,
        // Fields beside the message, not under it, where log collectors can search them.
        LogFormat::Json => builder.json().flatten_event(true).finish().try_init()?,
    }
    let _ = LINES.set(lines);
    panics::hook();
    Ok(())
}

fn rust_log() -> Result<Option<String>, LogError> {
    match env::var(RUST_LOG) {
        Ok(text) => Ok(Some(text)),
        Err(VarError::NotPresent) => Ok(None),
        Err(VarError::NotUnicode(_)) => Err(LogError::NotUtf8),
    }
}

/// Waits until the lines so far are written, but no longer than `bound`: before the process ends,
/// or executes another program.
pub fn flush(bound: Duration) {
    if let Some(lines) = LINES.get() {
        lines.flush(bound);
    }
}

/// Log lines that were dropped since the process started.
#[must_use]
pub fn dropped() -> u64 {
    LINES.get().map_or(0, |lines| lines.dropped())
}
