//! The log: text or JSON on standard error, filtered by setting or by `RUST_LOG`.
//!
//! Standard output stays free for what commands print. Started once, by `main`; libraries and tests never start it.

use std::env::{self, VarError};
use std::io::{self, IsTerminal};

use thiserror::Error;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};

use crate::config::{LogFormat, Settings};

/// Target of the lines about traced topics (`trace_topics`): naming a topic is enough to see them, whatever `log_level` is.
pub const TRACE_TARGET: &str = "fantail::traced";

/// The library that speaks HTTP/2. It warns about frames that clients send, a line for each, so it is heard only where a filter names it.
const H2_TARGET: &str = "h2";

/// The variable that wins over the setting.
const RUST_LOG: &str = "RUST_LOG";

/// Why there is no log.
#[derive(Debug, Error)]
pub enum LogError {
    /// `RUST_LOG` is not a filter.
    #[error(
        "RUST_LOG = \"{value}\": {source}; allowed: a level (error, warn, info, debug, trace, off) or a list of target=level"
    )]
    Filter {
        /// What it holds.
        value: String,
        /// What is wrong with it.
        source: ParseError,
    },
    /// `RUST_LOG` is not text.
    #[error("RUST_LOG is not UTF-8")]
    NotUtf8,
    /// The process has a log already.
    #[error("the log is started twice: {0}")]
    Twice(#[from] TryInitError),
}

/// Starts the log of the process.
///
/// # Errors
/// [`LogError`] when `RUST_LOG` is not a filter, or when the process has a log already.
pub fn start(settings: &Settings) -> Result<(), LogError> {
    let rust_log = match env::var(RUST_LOG) {
        Ok(text) => Some(text),
        Err(VarError::NotPresent) => None,
        Err(VarError::NotUnicode(_)) => return Err(LogError::NotUtf8),
    };
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter(settings, rust_log.as_deref())?)
        .with_writer(io::stderr);
    match settings.log_format {
        LogFormat::Text => builder
            .with_ansi(io::stderr().is_terminal())
            .finish()
            .try_init()?,
        // Fields beside the message, not under it: what log collectors search by.
        LogFormat::Json => builder.json().flatten_event(true).finish().try_init()?,
    }
    Ok(())
}

/// `rust_log` when it says anything, else the setting and what traced topics need; without [`H2_TARGET`] unless it is named.
fn filter(settings: &Settings, rust_log: Option<&str>) -> Result<EnvFilter, LogError> {
    let value = match rust_log.filter(|text| !text.trim().is_empty()) {
        Some(text) => text.to_owned(),
        None if settings.trace_topics.is_empty() => settings.log_level.clone(),
        None => format!(
            "{},{TRACE_TARGET}={}",
            settings.log_level,
            LevelFilter::INFO
        ),
    };
    let directives = if names_h2(&value) {
        value.clone()
    } else {
        format!("{value},{H2_TARGET}={}", LevelFilter::OFF)
    };
    EnvFilter::try_new(directives).map_err(|source| LogError::Filter { value, source })
}

fn names_h2(filter: &str) -> bool {
    let mut directives = filter.split(',');
    directives.any(|directive| {
        let rest = directive.trim().strip_prefix(H2_TARGET);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with([':', '=', '[']))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(settings: &Settings, rust_log: Option<&str>) -> String {
        filter(settings, rust_log).expect("a filter").to_string()
    }

    #[test]
    fn rust_log_wins_over_the_setting() {
        let settings = Settings {
            log_level: "warn".to_owned(),
            ..Settings::default()
        };
        assert_eq!(shown(&settings, None), "h2=off,warn");
        assert_eq!(shown(&settings, Some("")), "h2=off,warn");
        assert_eq!(shown(&settings, Some("debug")), "h2=off,debug");
    }

    #[test]
    fn what_clients_send_over_http_2_is_logged_only_when_it_is_named() {
        let settings = Settings::default();
        assert_eq!(shown(&settings, Some("info")), "h2=off,info");
        let other = Some("off,hyper=warn");
        assert_eq!(shown(&settings, other), "hyper=warn,h2=off,off");
        for named in ["h2=debug", "h2", "h2::codec=trace", "h2[span]=info"] {
            assert!(!shown(&settings, Some(named)).contains("off"), "{named}");
        }
    }

    #[test]
    fn a_traced_topic_is_heard_at_any_level() {
        let settings = Settings {
            log_level: "error".to_owned(),
            trace_topics: vec!["orders".to_owned()],
            ..Settings::default()
        };
        assert_eq!(shown(&settings, None), "fantail::traced=info,h2=off,error");
    }

    #[test]
    fn a_bad_rust_log_is_refused_by_its_name_and_value() {
        let error = filter(&Settings::default(), Some("a=b=c")).expect_err("not a filter");
        let message = error.to_string();
        assert!(message.starts_with("RUST_LOG = \"a=b=c\": "), "{message}");
    }
}
