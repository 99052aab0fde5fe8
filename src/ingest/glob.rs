//! Redis's glob patterns: `*`, `?`, `[a-z]`, `[^…]`, `\`.
//!
//! A pattern is compiled once, so that each step of a match is one comparison. Matching goes back to the last star only: it takes at
//! most `length of text` × `length of pattern` steps and no stack, whatever the pattern; it must never be exponential.

use thiserror::Error;

use crate::limits::GLOB_BYTES_MAX;

/// A pattern above [`GLOB_BYTES_MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a pattern of {length} bytes is longer than the {GLOB_BYTES_MAX} that are allowed")]
pub(super) struct GlobTooLong {
    length: usize,
}

/// A compiled pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Glob(Vec<Token>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    /// Any bytes.
    Star,
    /// Any one byte.
    Any,
    /// This byte.
    Byte(u8),
    /// One byte of a set: bit `b % 64` of word `b / 64`.
    Class(Box<[u64; 4]>),
}

impl Glob {
    /// Compiles a pattern.
    pub(super) fn new(pattern: &[u8]) -> Result<Self, GlobTooLong> {
        if pattern.len() > GLOB_BYTES_MAX {
            return Err(GlobTooLong {
                length: pattern.len(),
            });
        }
        let mut tokens = Vec::new();
        let mut rest = pattern;
        while let [byte, tail @ ..] = rest {
            rest = tail;
            tokens.push(match (byte, tail) {
                // Stars in a row are one star.
                (b'*', _) if tokens.last() == Some(&Token::Star) => continue,
                (b'*', _) => Token::Star,
                (b'?', _) => Token::Any,
                (b'[', _) => {
                    let (set, tail) = class(tail);
                    rest = tail;
                    Token::Class(set)
                }
                (b'\\', [escaped, tail @ ..]) => {
                    rest = tail;
                    Token::Byte(*escaped)
                }
                (byte, _) => Token::Byte(*byte),
            });
        }
        Ok(Self(tokens))
    }

    /// Whether the whole of `text` matches.
    pub(super) fn matches(&self, text: &[u8]) -> bool {
        let tokens = &self.0[..];
        let (mut token, mut at) = (0, 0);
        // Where to go on when a comparison fails: behind the last star, one byte of text further than the last try.
        let mut retry: Option<(usize, usize)> = None;
        loop {
            match (tokens.get(token), text.get(at)) {
                (Some(Token::Star), _) => {
                    token += 1;
                    retry = Some((token, at));
                    continue;
                }
                (Some(wanted), Some(&byte)) if wanted.takes(byte) => {
                    token += 1;
                    at += 1;
                    continue;
                }
                (None, None) => return true,
                _ => {}
            }
            match retry {
                Some((behind_star, tried)) if tried < text.len() => {
                    (token, at) = (behind_star, tried + 1);
                    retry = Some((behind_star, at));
                }
                _ => return false,
            }
        }
    }
}

impl Token {
    fn takes(&self, byte: u8) -> bool {
        match self {
            Self::Star => unreachable!("stars are handled where they stand"),
            Self::Any => true,
            Self::Byte(wanted) => *wanted == byte,
            Self::Class(set) => set[usize::from(byte >> 6)] >> (byte & 63) & 1 == 1,
        }
    }
}

/// Reads a class behind its `[`: the bytes it takes, and the pattern behind its `]`. As in Redis a class that does not close ends with
/// the pattern, a range may be given backwards, and `]` always closes.
fn class(mut pattern: &[u8]) -> (Box<[u64; 4]>, &[u8]) {
    let mut set = Box::new([0_u64; 4]);
    let negated = pattern.first() == Some(&b'^');
    if negated {
        pattern = &pattern[1..];
    }
    loop {
        let (first, last, rest) = match pattern {
            [] => break,
            [b'\\', escaped, rest @ ..] => (*escaped, *escaped, rest),
            [b']', rest @ ..] => {
                pattern = rest;
                break;
            }
            [a, b'-', b, rest @ ..] => (*a.min(b), *a.max(b), rest),
            [byte, rest @ ..] => (*byte, *byte, rest),
        };
        for byte in first..=last {
            set[usize::from(byte >> 6)] |= 1 << (byte & 63);
        }
        pattern = rest;
    }
    if negated {
        set.iter_mut().for_each(|word| *word = !*word);
    }
    (set, pattern)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::time::{Duration, Instant};

    fn matches(pattern: &str, text: &str) -> bool {
        Glob::new(pattern.as_bytes())
            .expect("short")
            .matches(text.as_bytes())
    }

    #[test]
    fn patterns_match_as_in_redis() {
        for (pattern, text, expected) in [
            ("", "", true),
            ("", "a", false),
            ("*", "", true),
            ("*", "anything", true),
            ("news.*", "news.", true),
            ("news.*", "news.art", true),
            ("news.*", "new.art", false),
            ("*.art", "news.art", true),
            ("*.art", "news.art.x", false),
            ("a*b*c", "a-b-b-c", true),
            ("a**c", "abc", true),
            ("h?llo", "hello", true),
            ("h?llo", "hllo", false),
            ("h[ae]llo", "hallo", true),
            ("h[ae]llo", "hillo", false),
            ("h[^e]llo", "hallo", true),
            ("h[^e]llo", "hello", false),
            ("h[a-b]llo", "hbllo", true),
            ("h[b-a]llo", "hbllo", true),
            ("h[a-b]llo", "hcllo", false),
            (r"h\?llo", "h?llo", true),
            (r"h\?llo", "hello", false),
            (r"a\", r"a\", true),
            (r"[\]]", "]", true),
            ("[]", "a", false),
            ("[^]", "a", true),
            ("[a", "a", true),
            ("[", "a", false),
            ("[a-]", "b", false),
            ("[a-]", "^", true),
            ("é?", "éa", true),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern:?} {text:?}");
        }
    }

    #[test]
    fn a_hostile_pattern_is_bounded() {
        let pattern = "a*".repeat(GLOB_BYTES_MAX / 2 - 1) + "b";
        let text = "a".repeat(10_000);
        let started = Instant::now();
        assert!(!matches(&pattern, &text));
        assert!(!matches(
            &("*".to_owned() + &"a".repeat(4_000) + "b"),
            &text
        ));
        // 40 million comparisons at the very most; an exponential match would not end.
        assert!(started.elapsed() < Duration::from_secs(20));
        assert!(Glob::new(&vec![b'*'; GLOB_BYTES_MAX + 1]).is_err());
    }

    /// The same rules by plain recursion over the pattern's text.
    fn naive(pattern: &[u8], text: &[u8]) -> bool {
        match pattern {
            [] => text.is_empty(),
            [b'*', rest @ ..] => (0..=text.len()).any(|skip| naive(rest, &text[skip..])),
            [b'?', rest @ ..] => !text.is_empty() && naive(rest, &text[1..]),
            [b'[', rest @ ..] => {
                let Some(&byte) = text.first() else {
                    return false;
                };
                let negated = rest.first() == Some(&b'^');
                let mut at = usize::from(negated);
                let mut found = false;
                while at < rest.len() {
                    if rest[at] == b'\\' && at + 1 < rest.len() {
                        found |= rest[at + 1] == byte;
                        at += 2;
                    } else if rest[at] == b']' {
                        break;
                    } else if at + 2 < rest.len() && rest[at + 1] == b'-' {
                        let (a, b) = (rest[at], rest[at + 2]);
                        found |= (a.min(b)..=a.max(b)).contains(&byte);
                        at += 3;
                    } else {
                        found |= rest[at] == byte;
                        at += 1;
                    }
                }
                let behind = rest.get(at + 1..).unwrap_or_default();
                found != negated && naive(behind, &text[1..])
            }
            [b'\\', escaped, rest @ ..] => text.first() == Some(escaped) && naive(rest, &text[1..]),
            [byte, rest @ ..] => text.first() == Some(byte) && naive(rest, &text[1..]),
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]
        #[test]
        fn compiled_and_naive_agree(pattern in r"[ab*?\[\]\^\\c-]{0,9}", text in r"[abc\]\^-]{0,7}") {
            prop_assert_eq!(matches(&pattern, &text), naive(pattern.as_bytes(), text.as_bytes()));
        }
    }
}
