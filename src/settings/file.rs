//! The configuration file: TOML, one key a setting.
//!
//! Only reads. A value becomes the text that a flag would carry, so that file, environment and flags are checked by the
//! same words; lists stay lists, and users stay tables.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeInteger, DeTable, DeValue};

use super::credentials::numbered;
use super::kind::Kind;
use super::raw::{Given, RawUser};
use super::table::{self, Setting};
use super::{ConfigError, Origin, Problem, RawSettings, Reason, UserFault};
use crate::bom;

/// Longest configuration file, in bytes; a wrong path (a log, a device) must not be read for ever.
const FILE_BYTES_MAX: usize = 1 << 20;

/// Length of a byte order mark.
const BOM_BYTES: usize = 3;

/// Byte order marks of UTF-16, which some editors and shells write.
const UTF16_BOMS: [[u8; 2]; 2] = [[0xff, 0xfe], [0xfe, 0xff]];

/// Reads a whole text file of at most `bytes_max` bytes, a byte order mark not counted.
pub(crate) fn read_text(path: &Path, bytes_max: usize) -> io::Result<String> {
    let mut bytes = Vec::new();
    File::open(path)?
        .take((bytes_max + BOM_BYTES) as u64 + 1)
        .read_to_end(&mut bytes)?;
    let text = bom::skip(&bytes);
    if text.len() > bytes_max {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            format!("it has more than {bytes_max} bytes"),
        ));
    }
    if UTF16_BOMS.iter().any(|mark| text.starts_with(mark)) {
        return Err(not_text("it is UTF-16: save it as UTF-8"));
    }
    let text = std::str::from_utf8(text);
    text.map(str::to_owned)
        .map_err(|_| not_text("it is not a text in UTF-8"))
}

fn not_text(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

/// Reads and parses the file at `path`.
///
/// # Errors
/// [`ConfigError::File`] when it cannot be read; what is wrong *in* it is among the problems of the result.
pub(super) fn read(path: &Path) -> Result<RawSettings, ConfigError> {
    let text = read_text(path, FILE_BYTES_MAX).map_err(|source| ConfigError::File {
        path: path.to_owned(),
        source,
    })?;
    Ok(parse(&path.to_string_lossy(), &text))
}

/// Parses `text`, which stands in the file called `path`.
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
        // The error's own form repeats the line, and with it perhaps a password.
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
        (value, _) => Ok(Given::from_text(setting, &scalar(value)?)),
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

/// TOML also writes integers in hexadecimal, octal and binary.
fn decimal(integer: &DeInteger<'_>) -> String {
    i128::from_str_radix(integer.as_str(), integer.radix())
        .map_or_else(|_| integer.as_str().to_owned(), |number| number.to_string())
}

fn user(value: &DeValue<'_>) -> Result<RawUser, UserFault> {
    let table = value.as_table().ok_or(UserFault::NotATable)?;
    let known = |key: &str| ["name", "password", "publish"].contains(&key);
    if let Some(key) = table.keys().find(|key| !known(key.get_ref())) {
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
