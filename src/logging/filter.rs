//! Which lines are logged: by the setting `log_level` or by the variable `RUST_LOG`.
//!
//! A level that names no target concerns the node's own lines only. Libraries log what single frames and packets make them (h2 warns
//! about every unsolicited PING acknowledgement), and a client must not be able to fill the log: of them only errors are logged,
//! unless they are named (`h2=debug`).

use tracing::level_filters::LevelFilter;
use tracing_subscriber::EnvFilter;

use super::{LogError, TRACE_TARGET};
use crate::settings::Settings;

/// What all lines of the node have as the start of their target.
const OWN_TARGETS: &str = "fantail";
/// What is logged of targets that nothing names.
const OTHERS: LevelFilter = LevelFilter::ERROR;

/// `rust_log` when it says anything, else the setting and what traced topics need.
pub(super) fn filter(settings: &Settings, rust_log: Option<&str>) -> Result<EnvFilter, LogError> {
    let value = match rust_log.filter(|text| !text.trim().is_empty()) {
        Some(text) => text.to_owned(),
        // Also where nothing is traced yet: operators may ask for it while the node runs.
        None => format!(
            "{},{TRACE_TARGET}={}",
            settings.log_level,
            LevelFilter::INFO
        ),
    };
    EnvFilter::try_new(of_own_targets(&value)).map_err(|source| LogError::Filter { value, source })
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
    use super::*;

    fn shown(settings: &Settings, rust_log: Option<&str>) -> String {
        filter(settings, rust_log).expect("a filter").to_string()
    }

    fn with_level(log_level: &str) -> Settings {
        Settings {
            log_level: log_level.to_owned(),
            ..Settings::default()
        }
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
        let error = filter(&Settings::default(), Some("a=b=c")).expect_err("not a filter");
        let message = error.to_string();
        assert!(message.starts_with("RUST_LOG = \"a=b=c\": "), "{message}");
    }
}
