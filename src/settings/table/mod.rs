//! The one table of settings: key, meaning, bounds and field.
//!
//! Flags, environment, file, checks, help, `Debug` and the documentation are all made from it. A
//! setting that is not here cannot be given. After a change to a row, `UPDATE_DOCS=1 cargo test
//! --test command_line` updates the documentation.
//!
//! Each file holds the rows of one or two groups. [`GROUPS`] puts them in the order of the
//! documentation.

mod history;
mod http;
mod ingest;
mod listeners;
mod log;
mod redis;
mod setting;
mod shared_log;
mod streams;
mod tokens;

pub(super) use setting::{Group, PREFIX, Setting};

/// Lowest similarity of an unknown key and a setting (1 = equal) for a "did you mean": a letter or
/// two, a missing word.
const LIKENESS_MIN: f64 = 0.85;

/// Every group, in the order of the documentation.
pub(super) static GROUPS: &[Group] = &[
    listeners::LISTENERS,
    listeners::THREADING,
    streams::STREAMS,
    history::HISTORY,
    history::EVENTS,
    http::HTTP,
    tokens::TOKENS,
    ingest::INGEST,
    shared_log::SHARED_LOG,
    redis::REDIS_CHANNELS,
    log::LOG,
];

/// Every setting, in the order of the documentation.
pub(super) fn all() -> impl Iterator<Item = &'static Setting> {
    GROUPS.iter().flat_map(|group| group.settings)
}

/// The setting with this key.
pub(super) fn find(key: &str) -> Option<&'static Setting> {
    all().find(|setting| setting.key == key)
}

/// The key that was probably meant by `key`, which is unknown.
pub(super) fn nearest(key: &str) -> Option<&'static str> {
    all()
        .map(|setting| (strsim::jaro_winkler(key, setting.key), setting.key))
        .filter(|(likeness, _)| *likeness >= LIKENESS_MIN)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, key)| key)
}
