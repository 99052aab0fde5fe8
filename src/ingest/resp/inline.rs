//! Splits an inline command (a line that a person types) into arguments, with Redis's rules of
//! quoting.
//!
//! `"…"` has the escapes `\n \r \t \b \a \xHH`; any other escaped character stands for itself.
//! `'…'` has `\'` only. A quote may open within a word, but after a closing quote the word must
//! end.

use std::borrow::Cow;

use super::Arg;

/// The quotes of a line do not match.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unbalanced;

/// Appends the arguments of `line` to `args`.
pub(super) fn split<'b>(mut line: &'b [u8], args: &mut Vec<Arg<'b>>) -> Result<(), Unbalanced> {
    loop {
        let start = line.iter().position(|byte| !is_space(*byte));
        let Some(start) = start else {
            return Ok(());
        };
        line = &line[start..];
        let end = line
            .iter()
            .position(|byte| ends_word(*byte) || matches!(byte, b'"' | b'\''))
            .unwrap_or(line.len());
        if matches!(line.get(end), Some(b'"' | b'\'')) {
            let (arg, rest) = quoted(line)?;
            args.push(Cow::Owned(arg));
            line = rest;
        } else {
            args.push(Cow::Borrowed(&line[..end]));
            line = &line[end..];
        }
    }
}

/// Whether a byte may stand between words: C's white space.
fn is_space(byte: u8) -> bool {
    ends_word(byte) || matches!(byte, 0x0b | 0x0c)
}

/// Whether a byte ends a word. Within one, a form feed is part of it, as in Redis.
fn ends_word(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

/// Reads one quoted argument from the start of `line`; returns the argument and the rest.
fn quoted(mut line: &[u8]) -> Result<(Vec<u8>, &[u8]), Unbalanced> {
    let mut arg = Vec::new();
    loop {
        let (byte, rest) = match line.split_first() {
            None => return Ok((arg, line)),
            Some((byte, _)) if ends_word(*byte) => return Ok((arg, line)),
            Some(pair) => pair,
        };
        line = match byte {
            // A closing quote ends the word.
            b'"' => return double_quoted(rest, &mut arg).map(|rest| (arg, rest)),
            b'\'' => return single_quoted(rest, &mut arg).map(|rest| (arg, rest)),
            _ => {
                arg.push(*byte);
                rest
            }
        };
    }
}

/// Reads the rest of a `"…"` from `line`.
fn double_quoted<'b>(mut line: &'b [u8], arg: &mut Vec<u8>) -> Result<&'b [u8], Unbalanced> {
    loop {
        line = match line {
            [b'"', rest @ ..] => return word_end(rest),
            [b'\\', b'x', high, low, rest @ ..]
                if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() =>
            {
                arg.push(hex(*high) << 4 | hex(*low));
                rest
            }
            [b'\\', escaped, rest @ ..] => {
                arg.push(match escaped {
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    b'b' => 0x08,
                    b'a' => 0x07,
                    other => *other,
                });
                rest
            }
            [byte, rest @ ..] => {
                arg.push(*byte);
                rest
            }
            [] => return Err(Unbalanced),
        };
    }
}

/// Reads the rest of a `'…'` from `line`.
fn single_quoted<'b>(mut line: &'b [u8], arg: &mut Vec<u8>) -> Result<&'b [u8], Unbalanced> {
    loop {
        line = match line {
            [b'\'', rest @ ..] => return word_end(rest),
            [b'\\', b'\'', rest @ ..] => {
                arg.push(b'\'');
                rest
            }
            [byte, rest @ ..] => {
                arg.push(*byte);
                rest
            }
            [] => return Err(Unbalanced),
        };
    }
}

/// A closing quote must end its word.
fn word_end(rest: &[u8]) -> Result<&[u8], Unbalanced> {
    match rest.first() {
        Some(byte) if !is_space(*byte) => Err(Unbalanced),
        _ => Ok(rest),
    }
}

/// The value of a hexadecimal digit.
fn hex(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        b'a'..=b'f' => digit - b'a' + 10,
        _ => digit - b'A' + 10,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(line: &str, expected: Result<&[&[u8]], Unbalanced>) {
        let mut args = Vec::new();
        let outcome = split(line.as_bytes(), &mut args);
        assert_eq!(
            outcome.map(|()| args.iter().map(|a| &**a).collect::<Vec<_>>()),
            expected.map(<[_]>::to_vec),
            "{line}"
        );
    }

    #[test]
    fn words_quotes_and_escapes_split_as_in_redis() {
        check("", Ok(&[]));
        check(" \t \r", Ok(&[]));
        check("  PING  hello \r", Ok(&[b"PING", b"hello"]));
        check(r#"a "b c" 'd e'"#, Ok(&[b"a", b"b c", b"d e"]));
        check(
            r#""a\x41\n\r\t\b\a\q\"\\""#,
            Ok(&[b"aA\n\r\t\x08\x07q\"\\"]),
        );
        check(r#""\xZZ\x4""#, Ok(&[b"xZZx4"]));
        check(r"'a\'b\n'", Ok(&[b"a'b\\n"]));
        check(r#"a"b"c"#, Err(Unbalanced));
        check(r#"a"b""#, Ok(&[b"ab"]));
        check(r#""" ''"#, Ok(&[b"", b""]));
        for open in [
            r#"""#, "'", r#"a ""#, r#""\"#, r#""\""#, r"'\'", r#""a"b"#, "'a'b",
        ] {
            check(open, Err(Unbalanced));
        }
        check(r"a\n", Ok(&[br"a\n"]));
        check("\x0b\x0ca\x0bb\x0cc d", Ok(&[b"a\x0bb\x0cc", b"d"]));
        check("'a'\x0cb", Ok(&[b"a", b"b"]));
        check("a b\0c '\0'", Ok(&[b"a", b"b\0c", b"\0"]));
    }

    proptest! {
        /// Any bytes, quoted with escapes, are one argument.
        #[test]
        fn whatever_is_quoted_comes_back(bytes in prop::collection::vec(any::<u8>(), 0..50)) {
            let mut line = b"x \"".to_vec();
            for byte in &bytes {
                line.extend_from_slice(format!("\\x{byte:02x}").as_bytes());
            }
            line.push(b'"');
            let mut args = Vec::new();
            prop_assert_eq!(split(&line, &mut args), Ok(()));
            prop_assert_eq!(&*args[1], &bytes[..]);
        }
    }
}
