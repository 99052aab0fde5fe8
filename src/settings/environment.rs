//! The environment: `FANTAIL_` and the setting's key in capitals.
//!
//! An empty variable counts as not set, because compose files and unit files pass "nothing" like
//! that. An unknown one is refused like an unknown key, because a misspelt name would otherwise be
//! ignored in silence.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use super::error::Problem;
use super::given::Given;
use super::origin::Origin;
use super::raw::RawSettings;
use super::reason::Reason;
use super::service_link::is_service_link;
use super::table::{self, PREFIX};

/// Names the configuration file. It is not a setting, because it says where settings are.
const CONFIG: &str = "FANTAIL_CONFIG";

/// The configuration file that the environment names.
pub fn config_file(environment: &[(OsString, OsString)]) -> Option<PathBuf> {
    environment
        .iter()
        .find(|(name, value)| name == CONFIG && !value.is_empty())
        .map(|(_, value)| PathBuf::from(value))
}

/// Selects our variables from `environment`.
pub(super) fn read(environment: impl IntoIterator<Item = (OsString, OsString)>) -> RawSettings {
    let mut raw = RawSettings::default();
    for (name, value) in environment {
        let Some(name) = name.to_str() else { continue };
        let Some(key) = name.strip_prefix(PREFIX) else {
            continue;
        };
        if name != CONFIG && !value.is_empty() {
            variable(&mut raw, name, key, &value);
        }
    }
    raw
}

fn variable(raw: &mut RawSettings, name: &str, key: &str, value: &OsStr) {
    let origin = Origin::Environment(name.to_owned());
    let key = key.to_ascii_lowercase();
    // Compared in full, so that `FANTAIL_listen` is refused on every system, not accepted on some.
    let setting = table::find(&key).filter(|setting| setting.variable() == name);
    match (setting, value.to_str()) {
        (Some(setting), Some(text)) => raw.push(
            setting,
            Given::from_text(setting.kind.separator(), text),
            origin,
        ),
        (Some(setting), None) => raw.problems.push(Problem::Value {
            origin,
            key: setting.key,
            value: "(not UTF-8)".to_owned(),
            reason: Reason::Type("value that is not UTF-8"),
            allowed: setting.kind.allowed(),
        }),
        (None, Some(text)) if is_service_link(&name[PREFIX.len()..], text) => {}
        (None, _) => raw.problems.push(Problem::Unknown {
            origin,
            nearest: nearest(&key),
            key: name.to_owned(),
        }),
    }
}

/// The setting that was probably meant. Other programs' words port, host and address are `listen`
/// here.
fn nearest(key: &str) -> Option<&'static str> {
    let (service, last) = key.rsplit_once('_').unwrap_or(("", key));
    let listener = match (service, last) {
        ("ingest" | "redis", "port" | "host" | "addr" | "address" | "bind") => {
            Some("ingest_listen")
        }
        ("admin" | "metrics", "port" | "host" | "addr" | "address" | "bind") => {
            Some("admin_listen")
        }
        (_, "port" | "host" | "addr" | "address" | "bind") => Some("listen"),
        _ => None,
    };
    listener.or_else(|| table::nearest(key))
}
