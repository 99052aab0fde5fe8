//! The configuration file: TOML, one key per setting.
//!
//! Only reads. A value becomes the text that a flag would have, so that file, environment and flags
//! pass the same checks; lists stay lists, and users stay tables.

use std::path::Path;
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeInteger, DeTable, DeValue};

use super::credentials::numbered;
use super::error::{ConfigError, Problem};
use super::given::{Given, RawUser};
use super::kind::Kind;
use super::origin::Origin;
use super::raw::RawSettings;
use super::reason::{Reason, UserFault};
use super::table::{self, Setting};
use super::text_file::read_text;

/// Longest configuration file, in bytes; a wrong path (a log, a device) must not be read for ever.
const FILE_BYTES_MAX: usize = 1 << 20;

/// Reads and parses the file at `path`.
///
/// # Errors
/// [`ConfigError::File`] if it cannot be read; faults *in* it are among the problems of the result.
pub(super) fn read(path: &Path) -> Result<RawSettings, ConfigError> {
    let text = read_text(path, FILE_BYTES_MAX).map_err(|source| ConfigError::File {
        path: path.to_owned(),
        source,
    })?;
    Ok(parse(&path.to_string_lossy(), &text))
}

/// Parses `text`, the content of the file `path`.
pub(super) fn parse(path: &str, text: &str) -> RawSettings {
    let lines = Lines {
        path: path.into(),
        text,
    };
    let mut raw = RawSettings::default();
    match DeTable::parse(text) {
        Ok(table) => {
            for (key, value) in table.get_ref() {
                entry(&mut raw, key.get_ref(), value, lines.at(key.span().start));
            }
        }
        // The error's own form repeats the line, which may hold a password.
        Err(error) => raw.problems.push(Problem::Syntax {
            origin: lines.at(error.span().map_or(0, |span| span.start)),
            message: error.message().replace('\n', ", "),
        }),
    }
    raw
}

fn entry(raw: &mut RawSettings, key: &str, value: &Spanned<DeValue<'_>>, origin: Origin) {
    let Some(setting) = table::find(key) else {
        raw.problems.push(Problem::Unknown {
            origin,
            key: key.to_owned(),
            nearest: table::nearest(key),
        });
        return;
    };
    match given(setting, value.get_ref()) {
        Ok(given) => raw.push(setting, given, origin),
        Err(reason) => raw.problems.push(Problem::Value {
            origin,
            key: setting.key,
            value: format!("({})", value.get_ref().type_str()),
            reason,
            allowed: setting.kind.allowed(),
        }),
    }
}

fn given(setting: &Setting, value: &DeValue<'_>) -> Result<Given, Reason> {
    match (value, &setting.kind) {
        (DeValue::Array(values), Kind::Users(_)) => {
            numbered(values.iter().map(|value| user(value.get_ref()))).map(Given::Users)
        }
        (DeValue::Array(values), _) => values
            .iter()
            .map(|value| scalar(value.get_ref()))
            .collect::<Result<_, _>>()
            .map(Given::Many),
        (value, _) => Ok(Given::from_text(setting.kind.separator(), &scalar(value)?)),
    }
}

fn scalar(value: &DeValue<'_>) -> Result<String, Reason> {
    match value {
        DeValue::String(text) => Ok(text.clone().into_owned()),
        DeValue::Integer(integer) => Ok(decimal(integer)),
        DeValue::Float(float) => Ok(float.as_str().to_owned()),
        DeValue::Boolean(switch) => Ok(switch.to_string()),
        DeValue::Array(_) => Err(Reason::List),
        DeValue::Table(_) => Err(Reason::Table),
        DeValue::Datetime(_) => Err(Reason::Type("date")),
    }
}

/// An integer in decimal. TOML also allows hexadecimal, octal and binary.
fn decimal(integer: &DeInteger<'_>) -> String {
    i128::from_str_radix(integer.as_str(), integer.radix())
        .map_or_else(|_| integer.as_str().to_owned(), |number| number.to_string())
}

fn user(value: &DeValue<'_>) -> Result<RawUser, UserFault> {
    let table = value.as_table().ok_or(UserFault::NotATable)?;
    let is_field = |key: &str| ["name", "password", "publish"].contains(&key);
    if let Some(key) = table.keys().find(|key| !is_field(key.get_ref())) {
        return Err(UserFault::UnknownField(key.get_ref().clone().into_owned()));
    }
    let text = |field| {
        table
            .get(field)
            .and_then(|value| value.get_ref().as_str())
            .map(str::to_owned)
            .ok_or(UserFault::Field(field, "string"))
    };
    let publish = table
        .get("publish")
        .and_then(|value| value.get_ref().as_array())
        .and_then(|globs| {
            let glob = |glob: &Spanned<DeValue<'_>>| glob.get_ref().as_str().map(str::to_owned);
            globs.iter().map(glob).collect()
        })
        .ok_or(UserFault::Field("publish", "list of strings"))?;
    Ok(RawUser {
        name: text("name")?,
        password: text("password")?.into(),
        publish,
    })
}

/// Turns places in the text into lines.
struct Lines<'a> {
    path: Arc<str>,
    text: &'a str,
}

impl Lines<'_> {
    fn at(&self, offset: usize) -> Origin {
        let before = &self.text.as_bytes()[..offset.min(self.text.len())];
        Origin::File {
            path: Arc::clone(&self.path),
            line: 1 + before.iter().filter(|byte| **byte == b'\n').count(),
        }
    }
}
