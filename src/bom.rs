//! The byte order mark that some editors and tools put before a UTF-8 text.
//!
//! It is not part of the text. Every reader of a whole file or a whole JSON body skips it: a secret
//! with a mark would be another secret, and parsers refuse a JSON text with one (RFC 8259 §8.1 lets
//! them ignore it).

/// U+FEFF in UTF-8.
const MARK: &[u8] = "\u{feff}".as_bytes();

/// `text` without a byte order mark at its start. Only one is skipped: a second is text.
#[must_use]
pub fn skip(text: &[u8]) -> &[u8] {
    text.strip_prefix(MARK).unwrap_or(text)
}

/// The same for a `str`.
#[must_use]
pub fn skip_in(text: &str) -> &str {
    text.strip_prefix('\u{feff}').unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_mark_in_front_is_no_part_of_the_text() {
        for (text, expected) in [
            ("", ""),
            ("a", "a"),
            ("\u{feff}", ""),
            ("\u{feff}a\u{feff}", "a\u{feff}"),
            ("\u{feff}\u{feff}a", "\u{feff}a"),
            (" \u{feff}a", " \u{feff}a"),
        ] {
            assert_eq!(skip_in(text), expected);
            assert_eq!(skip(text.as_bytes()), expected.as_bytes());
        }
    }
}
