//! The filter of log lines: the setting `log_level` or the variable `RUST_LOG`.
//!
//! A level without a target concerns the node's own lines only. Libraries log single frames and
//! packets (h2 warns about every unsolicited PING acknowledgement), and a client must not be able
//! to fill the log. Of libraries only errors are logged, unless a filter names them (`h2=debug`).
//! Of one, not even those: it logs each certificate that it refuses, and hands the error out as well.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;

/// Target of the lines about traced topics (`trace_topics`). Tracing a topic is enough to see them,
/// whatever `log_level` is.
pub const TRACE_TARGET: &str = "fantail::traced";

/// Common prefix of the targets of the node's own lines.
const OWN_TARGETS: &str = "fantail";
/// Level of targets that no filter names.
const OTHERS: LevelFilter = LevelFilter::ERROR;

/// Writes a line for each connection to a server whose certificate is not trusted, as often as that is
/// tried. Whoever connects tells the same.
const REPEATS: &str = "rustls_platform_verifier=off";

/// Levels, by name.
pub const LOG_LEVELS: [&str; 6] = ["error", "warn", "info", "debug", "trace", "off"];

/// A checked filter: a level, or a list of `target=level`.
///
/// Kept as text, because `RUST_LOG` may replace it and levels without a target are completed when
/// the log starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogFilter(String);

/// Why a text is not a [`LogFilter`].
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum LogFilterError {
    /// Nothing.
    #[error("is empty")]
    Empty,
    /// A word that is not a level.
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

    /// In the grammar of filters, a bare word is a target for which everything is logged. So a
    /// misspelt level would count as a target and silence the node; here it must be a level.
    /// `RUST_LOG` keeps its own grammar.
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

/// `rust_log` if it is not empty, else the setting and the target of traced topics.
pub(super) fn filter(
    setting: &LogFilter,
    rust_log: Option<&str>,
) -> Result<EnvFilter, FilterError> {
    let value = match rust_log.filter(|text| !text.trim().is_empty()) {
        Some(text) => text.to_owned(),
        // Even if nothing is traced yet: operators may start a trace while the node runs.
        None => format!("{setting},{TRACE_TARGET}={}", LevelFilter::INFO),
    };
    EnvFilter::try_new(of_own_targets(&value)).map_err(|source| FilterError { value, source })
}

/// An invalid filter.
#[derive(Debug)]
pub(super) struct FilterError {
    pub(super) value: String,
    pub(super) source: ParseError,
}

/// The same filter, with levels without a target limited to the node's own targets.
fn of_own_targets(filter: &str) -> String {
    let directives = filter.split(',').map(|part| {
        let part = part.trim();
        match part.parse::<LevelFilter>() {
            Ok(level) if !part.is_empty() => format!("{OWN_TARGETS}={level}"),
            _ => part.to_owned(),
        }
    });
    [OTHERS.to_string(), REPEATS.to_owned()]
        .into_iter()
        .chain(directives)
        .collect::<Vec<_>>()
        .join(",")
}

#[cfg(test)]
mod tests {
    use super::super::LogError;
    use super::*;

    fn shown(setting: &LogFilter, rust_log: Option<&str>) -> String {
        let shown = filter(setting, rust_log).expect("a filter").to_string();
        shown.replace(&format!("{REPEATS},"), "")
    }

    /// One line for each attempt: some twenty a minute, for as long as the server had it.
    #[test]
    fn a_certificate_that_is_not_trusted_filled_the_log() {
        let info = LogFilter::default();
        let filter = filter(&info, None).expect("a filter").to_string();
        assert!(filter.contains("rustls_platform_verifier=off"), "{filter}");
        let named = with_level("info,rustls_platform_verifier=warn");
        let filter = shown(&named, None);
        assert!(filter.contains("rustls_platform_verifier=warn"), "{filter}");
    }

    /// Without the check of the setting: `RUST_LOG` also accepts levels by number.
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
