//! The only parser of `Content-Type` (RFC 9110 §8.3) and of media types in `Accept`. It follows
//! WHATWG's MIME Sniffing (§4.4): names in any case, quoted values, spaces around.
//!
//! Every body here is UTF-8. A body that is declared in another character set must be refused,
//! never read as UTF-8.

use hyper::header::{self, HeaderMap};
use thiserror::Error;

/// Labels of UTF-8 (WHATWG Encoding §4.2).
const UTF_8: [&str; 6] = [
    "utf-8",
    "utf8",
    "unicode-1-1-utf-8",
    "unicode11utf8",
    "unicode20utf8",
    "x-unicode20utf8",
];

/// Labels of ASCII: WHATWG's, and the other names that IANA lists.
const ASCII: [&str; 10] = [
    "us-ascii",
    "ascii",
    "ansi_x3.4-1968",
    "ansi_x3.4-1986",
    "iso-ir-6",
    "iso_646.irv:1991",
    "iso646-us",
    "us",
    "csascii",
    "cp367",
];

/// The media type that a request declares for its body.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct MediaType {
    /// The text as it was sent, for an answer.
    pub(crate) text: String,
    /// Type and subtype in lower case; empty if there is none, or if several contradict each other.
    pub(crate) essence: String,
    /// The character set, if the node accepts it.
    pub(crate) charset: Result<Charset, OtherCharset>,
}

/// A character set that is a part of UTF-8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Charset {
    /// Declared as UTF-8, or not declared.
    Utf8,
    /// Declared as ASCII: only the first 128 characters may occur.
    Ascii,
}

/// The body is declared to be in another character set.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "bodies are UTF-8 here, and the request says `charset={0}`; send UTF-8, and say so or nothing"
)]
pub(crate) struct OtherCharset(String);

/// The body is not in the character set that it is declared to be in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error(
    "the request says that its body is ASCII, and it is not from byte {at} on; say `charset=utf-8`"
)]
pub(crate) struct NotAscii {
    /// Offset of the first byte outside ASCII, from 0.
    at: usize,
}

impl Charset {
    /// Checks a body, or a part of one, against its declaration. The body's parser checks that it
    /// is UTF-8.
    pub(crate) fn check(self, body: &[u8]) -> Result<(), NotAscii> {
        match self {
            Self::Utf8 => Ok(()),
            Self::Ascii => match body.iter().position(|byte| !byte.is_ascii()) {
                Some(at) => Err(NotAscii { at }),
                None => Ok(()),
            },
        }
    }

    fn of(label: &str) -> Result<Self, OtherCharset> {
        let is_in = |labels: &[&str]| labels.iter().any(|name| label.eq_ignore_ascii_case(name));
        if is_in(&UTF_8) {
            Ok(Self::Utf8)
        } else if is_in(&ASCII) {
            Ok(Self::Ascii)
        } else {
            Err(OtherCharset(label.to_owned()))
        }
    }
}

impl MediaType {
    /// Reads it from the header fields of a request.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let fields: Vec<String> = headers
            .get_all(header::CONTENT_TYPE)
            .iter()
            .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
            .collect();
        let essences = fields.iter().map(|field| essence(field));
        let essence =
            essences.reduce(|first, other| if first == other { first } else { String::new() });
        // A repeated declaration has to be right each time, because the node cannot know which one
        // the sender means.
        let labels = fields.iter().flat_map(|field| charsets(field));
        let charset = labels
            .map(|label| Charset::of(&label))
            .reduce(|first, other| match (first, other) {
                (Ok(Charset::Utf8), Ok(other)) => Ok(other),
                (Ok(first), Ok(_)) => Ok(first),
                (Err(error), _) | (_, Err(error)) => Err(error),
            });
        Self {
            essence: essence.unwrap_or_default(),
            charset: charset.unwrap_or(Ok(Charset::Utf8)),
            text: fields.join(", "),
        }
    }
}

fn essence(field: &str) -> String {
    let end = field.find(';').unwrap_or(field.len());
    field[..end].trim().to_ascii_lowercase()
}

/// The values of a field's parameters `charset`.
fn charsets(field: &str) -> Vec<String> {
    let mut values = Vec::new();
    let mut rest = field.find(';').map_or("", |at| &field[at + 1..]);
    while !rest.is_empty() {
        let end = rest.find([';', '=']).unwrap_or(rest.len());
        let name = rest[..end].trim();
        let (value, behind) = match rest[end..].strip_prefix('=') {
            None => (None, &rest[end..]),
            Some(value) => {
                let (value, behind) = value_of(value);
                (Some(value), behind)
            }
        };
        if let Some(value) = value.filter(|_| name.eq_ignore_ascii_case("charset")) {
            values.push(value);
        }
        // Bytes between a quoted value and the next parameter are ignored.
        rest = behind.find(';').map_or("", |at| &behind[at + 1..]);
    }
    values
}

/// A value, without its quotes, and what follows it.
fn value_of(text: &str) -> (String, &str) {
    let Some(quoted) = text.trim_start().strip_prefix('"') else {
        let end = text.find(';').unwrap_or(text.len());
        return (text[..end].trim().to_owned(), &text[end..]);
    };
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return (value.trim().to_owned(), &quoted[at + 1..]),
            '\\' => value.extend(characters.next().map(|(_, escaped)| escaped)),
            character => value.push(character),
        }
    }
    (value, "")
}

/// Whether the `Accept` of a request names a media type, whatever its weight.
pub(crate) fn accepts(headers: &HeaderMap, essence: &str) -> bool {
    let fields = headers.get_all(header::ACCEPT).iter();
    fields
        .flat_map(|field| field.as_bytes().split(|byte| *byte == b','))
        .filter_map(|range| range.split(|byte| *byte == b';').next())
        .any(|kind| kind.trim_ascii().eq_ignore_ascii_case(essence.as_bytes()))
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn of(fields: &[&str]) -> MediaType {
        let mut headers = HeaderMap::new();
        for field in fields {
            let value = HeaderValue::from_bytes(field.as_bytes()).expect("a value");
            headers.append(header::CONTENT_TYPE, value);
        }
        MediaType::of(&headers)
    }

    fn charset(parameters: &str) -> Option<Charset> {
        of(&[&format!("text/plain{parameters}")]).charset.ok()
    }

    #[test]
    fn labels_of_utf_8_and_ascii_pass_in_every_form() {
        for label in UTF_8 {
            for form in [
                label.to_owned(),
                label.to_uppercase(),
                format!("\"{label}\""),
            ] {
                assert_eq!(charset(&format!(";charset={form}")), Some(Charset::Utf8));
            }
        }
        for label in ASCII {
            assert_eq!(charset(&format!("; charset={label}")), Some(Charset::Ascii));
        }
        for parameters in [
            "",
            ";",
            "; charset",
            " ; CharSet = \"UTF-8\" ",
            ";charset=utf-8;",
            ";;charset=utf-8;;",
            ";format=flowed;charset=utf-8;x=y",
            ";x=\"a;charset=utf-16\";charset=utf-8",
            ";x=\"a\\\";charset=utf-16\"",
            ";charset=\"ut\\f-8\"",
            ";charset=utf-8;charset=UTF8",
            ";charset=\"utf-8\"x;y",
        ] {
            assert_eq!(charset(parameters), Some(Charset::Utf8), "{parameters}");
        }
        // The narrower of two must be found, in any order.
        for both in [
            ";charset=ascii;charset=utf-8",
            ";charset=utf-8;charset=ascii",
        ] {
            assert_eq!(charset(both), Some(Charset::Ascii), "{both}");
        }
    }

    #[test]
    fn another_character_set_is_never_taken_for_utf_8() {
        for parameters in [
            ";charset=utf-16",
            ";charset=UTF-16LE",
            ";charset=latin1",
            ";charset=iso-8859-1",
            ";charset=windows-1252",
            ";charset=",
            ";charset='utf-8'",
            ";charset=utf-8x",
            ";charset=utf-8;charset=utf-16",
            ";charset=utf-16;charset=utf-8",
            ";x=\"a\\\"b\";charset=\"utf-16\"",
            ";charset=\"utf-16",
        ] {
            assert_eq!(charset(parameters), None, "{parameters}");
        }
        assert!(
            of(&["text/plain", "text/plain;charset=utf-16"])
                .charset
                .is_err()
        );
    }

    #[test]
    fn several_types_are_none() {
        assert_eq!(
            of(&["Application/JSON ; charset=x"]).essence,
            "application/json"
        );
        assert_eq!(
            of(&["application/json", "application/JSON"]).essence,
            "application/json"
        );
        assert_eq!(of(&["application/json", "text/plain"]).essence, "");
        assert_eq!(of(&[]).essence, "");
    }

    #[test]
    fn what_is_said_to_be_ascii_has_to_be() {
        assert_eq!(Charset::Ascii.check(b"abc"), Ok(()));
        assert_eq!(
            Charset::Ascii.check("aä".as_bytes()),
            Err(NotAscii { at: 1 })
        );
        assert_eq!(Charset::Utf8.check("aä".as_bytes()), Ok(()));
    }

    proptest! {
        #[test]
        fn any_field_is_answered(field in "\\PC*") {
            let _ = (essence(&field), charsets(&field));
        }
    }
}
