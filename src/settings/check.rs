//! From what was given to what the node gets: each value against its bounds, then all of them together.

use std::mem::discriminant;

use super::raw::{Given, RawValue};
use super::{ConfigError, Conflict, Problem, RawSettings, Settings, rules};

/// Longest value that an error repeats, in characters.
const SHOWN_CHARS_MAX: usize = 100;

/// Settings of which one source gives at most one.
const ONE_OF: [&[&str]; 3] = [
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

/// Checks everything that was given.
///
/// # Errors
/// [`ConfigError::Refused`] with all problems. Rules that concern several settings are only asked when each of them is
/// right: a wrong value stands in for its default, and what it contradicts would only confuse.
pub(super) fn check(raw: RawSettings) -> Result<Settings, ConfigError> {
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
    if problems.is_empty() {
        problems.extend(
            rules::conflicts(&settings)
                .into_iter()
                .map(Problem::Conflict),
        );
    }
    if problems.is_empty() {
        Ok(settings)
    } else {
        Err(ConfigError::Refused(problems))
    }
}

/// One setting in several forms: a stronger source may replace any of them by any other, but one source that gives two does not say which it
/// means.
fn two_forms(values: &[RawValue], forms: &[&'static str]) -> Option<Conflict> {
    let of = |key: &'static str| values.iter().filter(move |value| value.setting.key == key);
    forms.iter().enumerate().find_map(|(index, second)| {
        of(second).find_map(|value| {
            let same_source =
                |other: &&RawValue| discriminant(&other.origin) == discriminant(&value.origin);
            let first = forms[..index]
                .iter()
                .find(|first| of(first).any(|other| same_source(&other)))?;
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
