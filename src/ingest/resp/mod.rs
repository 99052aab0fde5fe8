//! The Redis serialization protocol as a server needs it: reads requests ([`Reader`]), writes
//! replies ([`Reply`]).
//!
//! Requests are only ever flat arrays of bulk strings or inline commands, so the reader supports
//! nothing else: it never recurses, never reads a byte twice, copies nothing but escaped inline
//! arguments, and checks every length before anything is allocated for it. This module does no I/O
//! and knows no commands; topics, users and events are terms of its callers.

mod error;
mod inline;
mod limits;
mod reader;
mod reply;

pub use error::ProtocolError;
pub use limits::{INLINE_BYTES_MAX, Limits, UNAUTHENTICATED_ARRAY_MAX};
pub use reader::Reader;
pub use reply::{Muted, Reply};

use std::borrow::Cow;

/// One argument of a command: a slice of the read buffer, or owned if an inline command had
/// escapes.
pub type Arg<'b> = Cow<'b, [u8]>;

/// Reads a decimal integer in its one canonical spelling, as Redis does: no plus sign, no leading
/// zeros, no blanks.
#[must_use]
#[inline]
pub fn integer(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [b'0'] => return Some(0),
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    if matches!(digits.first(), None | Some(b'0')) {
        return None;
    }
    // Counted downwards, because the lowest number has no counterpart above zero.
    let number = digits.iter().try_fold(0_i64, |number, digit| {
        let digit = digit.is_ascii_digit().then(|| i64::from(digit - b'0'))?;
        number.checked_mul(10)?.checked_sub(digit)
    })?;
    if negative {
        Some(number)
    } else {
        number.checked_neg()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_have_one_spelling() {
        for (text, value) in [
            ("0", 0),
            ("7", 7),
            ("-7", -7),
            ("10", 10),
            ("9223372036854775807", i64::MAX),
            ("-9223372036854775808", i64::MIN),
        ] {
            assert_eq!(integer(text.as_bytes()), Some(value), "{text}");
        }
        for text in [
            "",
            "-",
            "+1",
            "01",
            "-0",
            "-01",
            " 1",
            "1 ",
            "1.0",
            "0x1",
            "--1",
            "9223372036854775808",
            "99999999999999999999999",
        ] {
            assert_eq!(integer(text.as_bytes()), None, "{text}");
        }
    }
}
