//! Turns raw settings into checked ones: each value against its bounds, then all of them together.

use std::mem::discriminant;

use super::checked::Settings;
use super::conflict::Conflict;
use super::error::{ConfigError, Problem};
use super::given::Given;
use super::origin::Origin;
use super::raw::{RawSettings, RawValue};
use super::{rules, table};

/// Longest value that an error repeats, in characters.
const SHOWN_CHARS_MAX: usize = 100;

/// Groups of settings of which one source may give at most one.
const ONE_OF: [&[&str]; 4] = [
    &["redis_pubsub_password", "redis_pubsub_password_file"],
    &["ingest_password", "ingest_password_file"],
    &[
        "jwt_secret",
        "jwt_secret_file",
        "jwt_key_file",
        "jwks_file",
        "jwks_url",
    ],
    &[
        "publisher_jwt_secret",
        "publisher_jwt_secret_file",
        "publisher_jwt_key_file",
        "publisher_jwks_file",
        "publisher_jwks_url",
    ],
];

/// Checks all raw settings.
///
/// # Errors
/// [`ConfigError::Refused`] with all problems. The rules between settings are checked only if each
/// setting is valid. Otherwise a default stands in for the invalid value, and a conflict with it
/// would only confuse.
pub(super) fn check(raw: RawSettings) -> Result<Settings, ConfigError> {
    let (settings, problems) = read(raw);
    together(&settings, problems).map(|()| settings)
}

/// Checks each setting, and not the rules between them.
///
/// # Errors
/// [`ConfigError::Refused`] with all problems.
pub(super) fn check_each(raw: RawSettings) -> Result<Settings, ConfigError> {
    let (settings, problems) = read(raw);
    refused(problems).map(|()| settings)
}

/// The settings, with defaults in place of invalid values, and all problems.
fn read(raw: RawSettings) -> (Settings, Vec<Problem>) {
    let mut problems = raw.problems;
    let both = ONE_OF
        .iter()
        .filter_map(|forms| two_forms(&raw.values, forms));
    problems.extend(both.map(Problem::Conflict));

    let mut settings = Settings::default();
    for value in &raw.values {
        if let Err(reason) = value.setting.kind.set(&mut settings, &value.given) {
            problems.push(Problem::Value {
                origin: value.origin.clone(),
                key: value.setting.key,
                value: shown(value),
                reason,
                allowed: value.setting.kind.allowed(),
            });
        }
    }
    (settings, problems)
}

impl Settings {
    /// Checks settings that a program made itself: each against its bounds, then all of them
    /// together, as those of a file are.
    ///
    /// # Errors
    /// [`ConfigError::Refused`] with all problems.
    pub fn check(&self) -> Result<(), ConfigError> {
        // The access to a field is mutable, because writing uses it, too.
        let mut copy = self.clone();
        let problems = table::all().filter_map(|setting| {
            let reason = setting.kind.check(&mut copy).err()?;
            Some(Problem::Value {
                origin: Origin::Program,
                key: setting.key,
                value: setting.kind.show(&mut copy),
                reason,
                allowed: setting.kind.allowed(),
            })
        });
        let problems = problems.collect();
        together(self, problems)
    }
}

/// Applies the rules between settings, unless there are `problems` already.
fn together(settings: &Settings, mut problems: Vec<Problem>) -> Result<(), ConfigError> {
    if problems.is_empty() {
        let conflicts = rules::conflicts(settings);
        problems.extend(conflicts.into_iter().map(Problem::Conflict));
    }
    refused(problems)
}

fn refused(problems: Vec<Problem>) -> Result<(), ConfigError> {
    if problems.is_empty() {
        Ok(())
    } else {
        Err(ConfigError::Refused(problems))
    }
}

/// Finds a setting given in several forms by one source. A stronger source may replace any form by
/// any other, but two forms from one source are ambiguous.
fn two_forms(values: &[RawValue], forms: &[&'static str]) -> Option<Conflict> {
    let of_key = |key: &'static str| values.iter().filter(move |value| value.setting.key == key);
    forms.iter().enumerate().find_map(|(index, second)| {
        of_key(second).find_map(|value| {
            let same_source =
                |other: &&RawValue| discriminant(&other.origin) == discriminant(&value.origin);
            let first = forms[..index]
                .iter()
                .find(|first| of_key(first).any(|other| same_source(&other)))?;
            Some(Conflict::TwoForms {
                origin: value.origin.clone(),
                first,
                second,
            })
        })
    })
}

fn shown(value: &RawValue) -> String {
    let text = match &value.given {
        _ if value.setting.kind.is_secret() => return "(hidden)".to_owned(),
        Given::One(text) => format!("\"{text}\""),
        Given::Many(texts) => format!("{texts:?}"),
        Given::Users(_) => return "(users)".to_owned(),
    };
    match text.char_indices().nth(SHOWN_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}
