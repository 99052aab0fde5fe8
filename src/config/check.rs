//! From what was given to what the node gets: each value against its bounds, then all of them together.

use std::mem::discriminant;

use super::raw::{Given, RawValue};
use super::{ConfigError, Conflict, Problem, RawSettings, Settings, rules};

/// Longest value that an error repeats, in characters.
const SHOWN_CHARS_MAX: usize = 100;

/// Checks everything that was given.
///
/// # Errors
/// [`ConfigError::Refused`] with all problems. Rules that concern several settings are only asked when each of them is
/// right: a wrong value stands in for its default, and what it contradicts would only confuse.
pub(super) fn check(raw: RawSettings) -> Result<Settings, ConfigError> {
    let mut problems = raw.problems;
    problems.extend(two_passwords(&raw.values).map(Problem::Conflict));

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

/// Password and password file are one setting in two forms: a stronger source may replace either by either, but one
/// source that gives both does not say which it means.
fn two_passwords(values: &[RawValue]) -> Option<Conflict> {
    let of = |key: &'static str| values.iter().filter(move |value| value.setting.key == key);
    of("ingest_password_file").find_map(|file| {
        of("ingest_password")
            .any(|password| discriminant(&password.origin) == discriminant(&file.origin))
            .then(|| Conflict::TwoPasswords(file.origin.clone()))
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
