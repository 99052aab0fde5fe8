//! The character sets of RFC 6570 (§1.5, §2.1) and RFC 3987.
//!
//! An expansion percent-encodes characters outside ASCII. Topics are often written as IRIs, which
//! contain such characters unencoded, so the unreserved characters of an IRI (`ucschar`) are
//! unreserved here, too. None of them is a separator.

/// A set of ASCII characters: bit `n` is the character `n`.
#[derive(Clone, Copy)]
pub(super) struct Set(u128);

impl Set {
    /// The characters that most operators leave unencoded in a value.
    pub(super) const UNRESERVED: Self =
        Self::of(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~");

    /// The characters that the operators `+` and `#` leave unencoded.
    pub(super) const UNRESERVED_OR_RESERVED: Self =
        Self(Self::UNRESERVED.0 | Self::of(b":/?#[]@").0 | Self::of(b"!$&'()*+,;=").0);

    const fn of(characters: &[u8]) -> Self {
        let mut set = 0;
        let mut at = 0;
        while at < characters.len() {
            set |= 1 << characters[at];
            at += 1;
        }
        Self(set)
    }

    pub(super) const fn with(self, character: u8) -> Self {
        Self(self.0 | Self::of(&[character]).0)
    }

    fn has(self, byte: u8) -> bool {
        byte.is_ascii() && self.0 >> byte & 1 == 1
    }
}

/// The length of the unit of a value that starts at `at`: a character of the set, a percent-encoded
/// triplet, or a `ucschar`; 0 when there is none.
pub(super) fn unit(text: &str, at: usize, set: Set) -> usize {
    let bytes = text.as_bytes();
    match bytes.get(at) {
        None => 0,
        Some(b'%') => triplet(bytes, at).map_or(0, |_| 3),
        Some(&byte) if byte.is_ascii() => usize::from(set.has(byte)),
        Some(_) => {
            let character = text.get(at..).and_then(|rest| rest.chars().next());
            let length = |character: char| character.len_utf8();
            character
                .filter(|character| is_ucschar(*character))
                .map_or(0, length)
        }
    }
}

/// The length of one character above ASCII that is written as several triplets at `at`, or 0.
pub(super) fn encoded_character(bytes: &[u8], at: usize) -> usize {
    let mut decoded = [0; 4];
    for count in 0..decoded.len() {
        let Some(byte) = triplet(bytes, at + 3 * count) else {
            return 0;
        };
        decoded[count] = byte;
        let so_far = &decoded[..=count];
        if count > 0 && std::str::from_utf8(so_far).is_ok_and(|text| text.chars().count() == 1) {
            return 3 * (count + 1);
        }
    }
    0
}

/// The byte of a triplet at `at`.
fn triplet(bytes: &[u8], at: usize) -> Option<u8> {
    let [b'%', high, low] = bytes.get(at..at + 3)? else {
        return None;
    };
    let digit = |byte: &u8| char::from(*byte).to_digit(16);
    u8::try_from(digit(high)? << 4 | digit(low)?).ok()
}

/// Whether a text is a valid literal (RFC 6570 §2.1, with the apostrophe that erratum 6937
/// restores).
pub(super) fn is_literal(text: &str) -> bool {
    let allowed = |(at, character): (usize, char)| match character {
        '%' => triplet(text.as_bytes(), at).is_some(),
        '"' | '<' | '>' | '\\' | '^' | '`' | '{' | '|' | '}' => false,
        _ if character.is_ascii() => character.is_ascii_graphic(),
        _ => is_ucschar(character) || is_private(character),
    };
    text.char_indices().all(allowed)
}

/// Whether a text is a valid variable name (RFC 6570 §2.3): letters, digits, `_` and triplets, with
/// single dots between them.
pub(super) fn is_variable_name(text: &str) -> bool {
    text.split('.').all(|word| {
        let mut rest = word.as_bytes();
        while let Some(&byte) = rest.first() {
            let length = match byte {
                b'%' if triplet(rest, 0).is_some() => 3,
                b'_' => 1,
                _ if byte.is_ascii_alphanumeric() => 1,
                _ => return false,
            };
            rest = &rest[length..];
        }
        !word.is_empty()
    })
}

/// `ucschar` of RFC 3987.
fn is_ucschar(character: char) -> bool {
    match u32::from(character) {
        0xA0..=0xD7FF | 0xF900..=0xFDCF | 0xFDF0..=0xFFEF => true,
        // All planes except the last two; the last two code points of each are not characters.
        code @ 0x1_0000..=0xD_FFFF => code & 0xFFFF <= 0xFFFD,
        code @ 0xE_1000..=0xE_FFFD => code & 0xFFFF <= 0xFFFD,
        _ => false,
    }
}

/// `iprivate` of RFC 3987.
fn is_private(character: char) -> bool {
    matches!(u32::from(character), 0xE000..=0xF8FF | 0xF_0000..=0xF_FFFD | 0x10_0000..=0x10_FFFD)
}
