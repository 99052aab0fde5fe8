//! Which lines are logged: by the setting `log_level` or by the variable `RUST_LOG`.
//!
//! A level that names no target concerns the node's own lines only. Libraries log what single
//! frames and packets make them (h2 warns about every unsolicited PING acknowledgement), and a
//! client must not be able to fill the log: of them only errors are logged, unless they are named
//! (`h2=debug`).

use std::fmt;
use std::str::FromStr;

use thiserror::Error;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;

/// Target of the lines about traced topics (`trace_topics`): naming a topic is enough to see them,
/// whatever `log_level` is.
pub const TRACE_TARGET: &str = "fantail::traced";

/// What all lines of the node have as the start of their target.
const OWN_TARGETS: &str = "fantail";
/// What is logged of targets that nothing names.
const OTHERS: LevelFilter = LevelFilter::ERROR;

/// Levels, by name.
pub const LOG_LEVELS: [&str; 6] = ["error", "warn", "info", "debug", "trace", "off"];

/// A checked filter: a level, or a list of `target=level`.
///
/// Kept as text, because `RUST_LOG` may replace it and levels without a target are completed when
/// the log starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogFilter(String);

/// Why a text is no [`LogFilter`].
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum LogFilterError {
    /// Nothing.
    #[error("is empty")]
    Empty,
    /// A word that is no level.
    #[error("`{0}` is no level")]
    Word(String),
    /// Not the grammar of filters.
    #[error("is not a log filter")]
    Grammar,
}

impl Default for LogFilter {
    fn default() -> Self {
        Self("info".to_owned())
    }
}

impl fmt::Display for LogFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for LogFilter {
    type Err = LogFilterError;

    /// A bare word in a filter is a target for which everything is logged, so a misspelt level
    /// would be taken for one and silence the node; here it must be a level. `RUST_LOG` itself
    /// keeps its own grammar.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.is_empty() {
            return Err(LogFilterError::Empty);
        }
        let is_level = |word: &str| {
            LOG_LEVELS
                .iter()
                .any(|level| word.eq_ignore_ascii_case(level))
        };
        let bare = text
            .split(',')
            .map(str::trim)
            .filter(|part| !part.contains(['=', '[']));
        if let Some(word) = bare.into_iter().find(|word| !is_level(word)) {
            return Err(LogFilterError::Word(word.to_owned()));
        }
        match EnvFilter::try_new(text) {
            Ok(_) => Ok(Self(text.to_owned())),
            Err(_) => Err(LogFilterError::Grammar),
        }
    }
}

/// `rust_log` when it says anything, else the setting and what traced topics need.
pub(super) fn filter(
    setting: &LogFilter,
    rust_log: Option<&str>,
) -> Result<EnvFilter, FilterError> {
    let value = match rust_log.filter(|text| !text.trim().is_empty()) {
        Some(text) => text.to_owned(),
        // Also where nothing is traced yet: operators may ask for it while the node runs.
        None => format!("{setting},{TRACE_TARGET}={}", LevelFilter::INFO),
    };
    EnvFilter::try_new(of_own_targets(&value)).map_err(|source| FilterError { value, source })
}

/// A filter that is none.
#[derive(Debug)]
pub(super) struct FilterError {
    pub(super) value: String,
    pub(super) source: ParseError,
}

/// The same filter, in which levels that name no target concern the node's own.
fn of_own_targets(filter: &str) -> String {
    let directives = filter.split(',').map(|part| {
        let part = part.trim();
        match part.parse::<LevelFilter>() {
            Ok(level) if !part.is_empty() => format!("{OWN_TARGETS}={level}"),
            _ => part.to_owned(),
        }
    });
    std::iter::once(OTHERS.to_string())
        .chain(directives)
        .collect::<Vec<_>>()
        .join(",")
}

#[cfg(test)]
mod tests {
    use super::super::LogError;
    use super::*;

    fn shown(setting: &LogFilter, rust_log: Option<&str>) -> String {
        filter(setting, rust_log).expect("a filter").to_string()
    }

    /// Without the check of the setting: `RUST_LOG` also knows levels by number.
    fn with_level(log_level: &str) -> LogFilter {
        LogFilter(log_level.to_owned())
    }

    #[test]
    fn rust_log_wins_over_the_setting() {
        let settings = with_level("warn");
        assert_eq!(
            shown(&settings, None),
            "fantail::traced=info,fantail=warn,error"
        );
        assert_eq!(shown(&settings, Some("")), shown(&settings, None));
        assert_eq!(shown(&settings, Some("debug")), "fantail=debug,error");
    }

    #[test]
    fn a_traced_topic_is_heard_at_any_level() {
        let filter = shown(&with_level("off"), None);
        assert_eq!(filter, "fantail::traced=info,fantail=off,error");
    }

    #[test]
    fn libraries_are_only_heard_when_they_are_named() {
        for level in ["info", "WARN", "debug", "trace", "3"] {
            let filter = shown(&with_level(level), None);
            assert!(filter.ends_with(",error"), "{filter}");
            assert!(
                filter.starts_with("fantail::traced=info,fantail="),
                "{filter}"
            );
        }
        let named = shown(&with_level("info,h2=debug,fantail::ingest=trace"), None);
        assert_eq!(
            named,
            "fantail::traced=info,fantail::ingest=trace,fantail=info,h2=debug,error"
        );
        assert_eq!(shown(&with_level("info"), Some("h2")), "h2=trace,error");
    }

    #[test]
    fn a_bad_rust_log_is_refused_by_its_name_and_value() {
        let error = filter(&LogFilter::default(), Some("a=b=c")).expect_err("not a filter");
        let message = LogError::from(error).to_string();
        assert!(message.starts_with("RUST_LOG = \"a=b=c\": "), "{message}");
    }
}
