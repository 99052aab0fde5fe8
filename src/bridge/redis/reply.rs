//! Pieces of answers.

use redis::Value;

use super::error::{Error, Refused};

/// The answer to a call, if it is no refusal.
pub(super) fn accepted(value: Value) -> Result<Value, Error> {
    match value {
        Value::ServerError(error) => Err(Error::Refused(Refused::from(error))),
        value => Ok(value),
    }
}

/// The answer to `EXEC`, the last one of a transaction. A call that was refused before says more than
/// the refusal of `EXEC`.
pub(super) fn executed(answers: impl IntoIterator<Item = Value>) -> Result<Value, Error> {
    let mut last = Value::Nil;
    for answer in answers {
        last = accepted(answer)?;
    }
    Ok(last)
}

/// The items of an array; of a map, its keys and values in turn.
pub(super) fn items(value: Value) -> Option<Vec<Value>> {
    match value {
        Value::Array(items) | Value::Set(items) => Some(items),
        Value::Map(pairs) => Some(pairs.into_iter().flat_map(|(k, v)| [k, v]).collect()),
        _ => None,
    }
}

/// The bytes of a text.
pub(super) fn bytes(value: &Value) -> Option<&[u8]> {
    match value {
        Value::BulkString(bytes) => Some(bytes),
        Value::SimpleString(text) => Some(text.as_bytes()),
        Value::Okay => Some(b"OK"),
        _ => None,
    }
}

/// A text.
pub(super) fn text(value: &Value) -> Option<&str> {
    str::from_utf8(bytes(value)?).ok()
}

/// A number that is not negative.
pub(super) fn number(value: &Value) -> Option<u64> {
    match value {
        Value::Int(number) => u64::try_from(*number).ok(),
        other => text(other)?.parse().ok(),
    }
}

/// The value behind a name in a list of names and values.
pub(super) fn field<'v>(items: &'v [Value], name: &str) -> Option<&'v Value> {
    let mut pairs = items.chunks_exact(2);
    pairs.find_map(|pair| (text(&pair[0]) == Some(name)).then_some(&pair[1]))
}

/// The value of a line of `INFO`.
pub(super) fn info_line<'t>(info: &'t str, name: &str) -> Option<&'t str> {
    let mut lines = info.lines();
    lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
}
