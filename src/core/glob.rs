//! Redis's glob patterns: `*`, `?`, `[a-z]`, `[^…]`, `\`.
//!
//! A match reads the text once. At each byte it has the set of positions of the pattern that may be
//! reached there, as bits; one shift and two masks advance the set. There is no backtracking, so
//! the time depends on the text alone: one step per byte if the pieces between stars are shorter
//! than 64 tokens, and one more for each further 64. It must never be more.

use std::str::FromStr;

use smallvec::{SmallVec, smallvec};
use thiserror::Error;

use crate::core::limits::GLOB_BYTES_MAX;

/// A pattern that is too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a pattern of {length} bytes is longer than the {max} that are allowed")]
pub struct GlobTooLong {
    length: usize,
    max: usize,
}

/// A compiled pattern. A token consumes one byte of text: a byte, `?` or a class. Position `i` is
/// before token `i`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Glob {
    /// Number of tokens.
    length: usize,
    /// 64-bit words of a set of positions.
    words: usize,
    /// For each byte a set: the tokens that consume it.
    takes: Box<[u64]>,
    /// Positions of the stars.
    stars: Box<[u64]>,
}

impl FromStr for Glob {
    type Err = GlobTooLong;

    fn from_str(pattern: &str) -> Result<Self, Self::Err> {
        Self::new(pattern.as_bytes())
    }
}

enum Token {
    /// This byte.
    Byte(u8),
    /// One byte of a set: bit `b % 64` of word `b / 64`.
    Class(Box<[u64; 4]>),
}

impl Glob {
    /// Compiles a pattern of topics.
    ///
    /// # Errors
    /// [`GlobTooLong`] beyond [`GLOB_BYTES_MAX`].
    pub fn new(pattern: &[u8]) -> Result<Self, GlobTooLong> {
        Self::bounded(pattern, GLOB_BYTES_MAX)
    }

    /// Compiles a pattern of at most `max` bytes.
    ///
    /// # Errors
    /// [`GlobTooLong`].
    pub fn bounded(pattern: &[u8], max: usize) -> Result<Self, GlobTooLong> {
        if pattern.len() > max {
            return Err(GlobTooLong {
                length: pattern.len(),
                max,
            });
        }
        let (tokens, stars_at) = tokens(pattern);
        let words = tokens.len() / 64 + 1;
        let mut takes = vec![0; 256 * words].into_boxed_slice();
        let mut stars = vec![0; words].into_boxed_slice();
        for star in stars_at {
            stars[star / 64] |= 1 << (star % 64);
        }
        for (place, token) in tokens.iter().enumerate() {
            let (word, bit) = (place / 64, 1 << (place % 64));
            match token {
                Token::Byte(byte) => takes[usize::from(*byte) * words + word] |= bit,
                Token::Class(set) => {
                    for byte in (0..256).filter(|byte| set[byte / 64] >> (byte % 64) & 1 == 1) {
                        takes[byte * words + word] |= bit;
                    }
                }
            }
        }
        Ok(Self {
            length: tokens.len(),
            words,
            takes,
            stars,
        })
    }

    /// Whether the whole of `text` matches.
    #[must_use]
    pub fn matches(&self, text: &[u8]) -> bool {
        self.matches_in(text, &mut 0)
    }

    /// The same; adds its number of steps to `steps`: words of positions that were advanced.
    pub fn matches_in(&self, text: &[u8], steps: &mut usize) -> bool {
        // Each token consumes a byte, so a pattern is never longer than its matches.
        if text.len() < self.length {
            return false;
        }
        match self.words {
            1 => {
                *steps += text.len();
                self.matches_in_one_word(text)
            }
            _ => self.matches_in_words(text, steps),
        }
    }

    fn matches_in_one_word(&self, text: &[u8]) -> bool {
        let stars = self.stars[0];
        let end = 1 << self.length;
        let mut at = 1_u64;
        for byte in text {
            if at & stars & end != 0 {
                return true;
            }
            at = ((at & self.takes[usize::from(*byte)]) << 1) | (at & stars);
            if at == 0 {
                return false;
            }
        }
        at & end != 0
    }

    fn matches_in_words(&self, text: &[u8], steps: &mut usize) -> bool {
        let mut at: SmallVec<[u64; 32]> = smallvec![0; self.words];
        let at = &mut at[..];
        at[0] = 1;
        // Words outside of this range are zero.
        let (mut low, mut high) = (0, 0);
        for byte in text {
            let takes = &self.takes[usize::from(*byte) * self.words..][..self.words];
            let mut last_star = None;
            *steps += high - low + 1;
            for word in (low..=high).rev() {
                let moved = at[word] & takes[word];
                let stayed = at[word] & self.stars[word];
                at[word] = moved << 1 | stayed;
                if moved >> 63 == 1 {
                    // The last position is in the last word, and no token leads on from there.
                    at[word + 1] |= 1;
                }
                if stayed != 0 && last_star.is_none() {
                    last_star = Some((word, stayed.ilog2()));
                }
            }
            high = (high + 1).min(self.words - 1);
            if let Some((word, bit)) = last_star {
                // A match from an earlier position is also one from the last star that was reached,
                // because a star consumes any bytes.
                at[low..word].fill(0);
                at[word] &= u64::MAX << bit;
                low = word;
            }
            while at[high] == 0 && high > low {
                high -= 1;
            }
            while at[low] == 0 && low < high {
                low += 1;
            }
            if at[high] == 0 {
                return false;
            }
        }
        at[self.length / 64] >> (self.length % 64) & 1 == 1
    }
}

/// The tokens of a pattern, and the positions of its stars.
fn tokens(pattern: &[u8]) -> (Vec<Token>, Vec<usize>) {
    let (mut tokens, mut stars) = (Vec::new(), Vec::new());
    let mut rest = pattern;
    while let [byte, tail @ ..] = rest {
        rest = tail;
        tokens.push(match (byte, tail) {
            (b'*', _) => {
                stars.push(tokens.len());
                continue;
            }
            (b'?', _) => Token::Class(Box::new([u64::MAX; 4])),
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
    (tokens, stars)
}

/// Reads a class after its `[`: the bytes that it consumes, and the pattern after its `]`. As in
/// Redis, an unclosed class ends with the pattern, a range may be reversed, and `]` always closes.
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
    fn a_pattern_of_many_stars_over_a_long_name_takes_a_step_a_byte() {
        let text = "a".repeat(10_000);
        let steps = |pattern: &str| {
            let glob = Glob::new(pattern.as_bytes()).expect("short");
            let mut steps = 0;
            assert!(!glob.matches_in(text.as_bytes(), &mut steps), "{pattern}");
            steps
        };
        for pattern in [
            "a*b",
            &("a*".repeat(20) + "b"),
            &("a*".repeat(GLOB_BYTES_MAX / 2 - 1) + "b"),
            &("*a?".repeat(GLOB_BYTES_MAX / 3 - 1) + "b"),
            &("[ab]*".repeat(800) + "b"),
            &("*".to_owned() + &"a".repeat(50) + "b*"),
            &("*".to_owned() + &"?".repeat(60) + "b*c"),
        ] {
            // Two if a piece lies in two words.
            assert!(steps(pattern) <= 2 * text.len(), "{pattern}");
        }
        // The one case that costs more: a long piece after a star, a 64th of its length for each
        // byte.
        let long = "*".to_owned() + &"a".repeat(4_000) + "b*";
        assert!(steps(&long) <= text.len() * (4_000 / 64 + 2));
        // A pattern longer than the text, or with another beginning, takes no steps.
        let short = Glob::new(&[b'a'; 100]).expect("short");
        let mut none = 0;
        assert!(!short.matches_in(&[b'a'; 99], &mut none));
        assert_eq!(none, 0);
        assert!(steps(&("b".to_owned() + &"*a".repeat(100))) <= 2);
    }

    #[test]
    fn a_pattern_is_bounded() {
        let stars = |count| Glob::new(&vec![b'*'; count]);
        assert!(stars(GLOB_BYTES_MAX).is_ok_and(|glob| glob.matches(b"x")));
        assert_eq!(
            stars(GLOB_BYTES_MAX + 1).map_err(|error| error.to_string()),
            Err("a pattern of 4097 bytes is longer than the 4096 that are allowed".to_owned())
        );
        assert!(Glob::bounded(b"abc", 2).is_err());
    }

    #[test]
    fn patterns_longer_than_a_word_match_as_short_ones() {
        for length in [62, 63, 64, 65, 127, 128, 129, 300] {
            let text = "x".repeat(length);
            let head = &text[1..];
            for (pattern, expected) in [
                (text.clone(), true),
                (format!("{text}x"), false),
                (format!("{head}y"), false),
                (format!("y{head}"), false),
                (format!("{text}*"), true),
                (format!("*{text}"), true),
                (format!("*{head}*"), true),
                (format!("*{head}y*"), false),
                (format!("{}*x", &text[2..]), true),
                (format!("{text}*x"), false),
                ("?".repeat(length), true),
                ("[^y]*".repeat(length), true),
                ("*?".repeat(length + 1), false),
            ] {
                assert_eq!(matches(&pattern, &text), expected, "{pattern} {length}");
            }
        }
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

        /// The same in several words: the text begins, or ends, with a long literal.
        #[test]
        fn compiled_and_naive_agree_beside_long_literals(
            pattern in r"[ab*?]{0,7}",
            text in r"[ab]{0,7}",
            before in 0_usize..140,
            behind in 0_usize..140,
        ) {
            let expected = naive(pattern.as_bytes(), text.as_bytes());
            let [before, behind] = ["-".repeat(before), "+".repeat(behind)];
            let (pattern, text) = (before.clone() + &pattern + &behind, before + &text + &behind);
            prop_assert_eq!(matches(&pattern, &text), expected);
        }

        /// The same after many stars.
        #[test]
        fn compiled_and_naive_agree_behind_many_stars(
            pattern in r"[ab*?]{0,7}",
            text in r"[ab]{0,7}",
            stars in 60_usize..70,
        ) {
            let pattern = "-*".repeat(stars) + ":" + &pattern;
            let expected = naive(&pattern.as_bytes()[2 * stars + 1..], text.as_bytes());
            prop_assert_eq!(matches(&pattern, &("--".repeat(stars) + ":" + &text)), expected);
        }
    }
}
