//! Marks of orders: the order that an id belongs to.
//!
//! An [`EventId`] is a place in *one* order: that of a node since its start. Another node, or this
//! one after a restart, has another order, in which the same id is the place of another event, or
//! of none. So an id that a client sends back carries the mark of its order.

use std::fmt;

use super::{EventId, URN_PREFIX};

/// Letters and digits of a mark: those of Crockford's base 32 in lower case. None needs an escape
/// in a URL, and no two look alike.
const DIGITS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// Characters of a mark: 30 bits.
const TEXT_BYTES: usize = 6;

/// Bits of a mark's text.
const TEXT_BITS: u32 = 30;

/// Bits of a URN that identify the order.
const URN_BITS: u32 = 54;

/// Digits in each group of a UUID's text.
const UUID_GROUPS: [usize; 5] = [8, 4, 4, 4, 12];

/// Separator between an id and its mark.
const SEPARATOR: u8 = b'.';

/// Identifies one order of ids: 54 bits, drawn when the order begins.
///
/// An id's [URN](MarkedId::urn) has all of them, its [text](MarkedId) the upper 30.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OrderMark {
    bits: u64,
    text: [u8; TEXT_BYTES],
}

impl Default for OrderMark {
    fn default() -> Self {
        Self::new(0)
    }
}

impl OrderMark {
    /// The mark with the lowest 54 of these bits.
    #[must_use]
    pub const fn new(bits: u64) -> Self {
        let bits = bits & ((1 << URN_BITS) - 1);
        let mut upper = bits >> (URN_BITS - TEXT_BITS);
        let mut text = [0; TEXT_BYTES];
        let mut at = TEXT_BYTES;
        while at > 0 {
            at -= 1;
            text[at] = DIGITS[upper as usize & 31];
            upper >>= 5;
        }
        Self { bits, text }
    }

    /// The mark of the order of a log, whose birth is a random number of 128 bits. All nodes of the
    /// log have the same, and so has a node that starts again.
    #[must_use]
    pub const fn of_birth(birth: u128) -> Self {
        // In a UUID of version 4, bits 62, 63 and 76 to 79 are constant.
        Self::new((birth >> 80) as u64 ^ (birth as u64) << 6)
    }

    /// All bits, for a snapshot.
    #[must_use]
    pub fn bits(self) -> u64 {
        self.bits
    }

    /// The place of a text in this order, if it is an id in either form. Any other text is `None`,
    /// also an id of another order.
    #[must_use]
    pub fn place_of(self, text: &str) -> Option<EventId> {
        if text.starts_with(URN_PREFIX) {
            return EventId::from_urn(text, self);
        }
        let id = text.strip_suffix(str::from_utf8(&self.text).ok()?)?;
        id.strip_suffix(char::from(SEPARATOR))?.parse().ok()
    }

    /// Whether a text has the form of this order's ids, as text or as a URN. Unlike a
    /// [place](Self::place_of), it may have numbers out of range, leading zeros, or letters in
    /// upper case.
    #[must_use]
    pub fn claims(self, text: &str) -> bool {
        if let Some(prefix) = text.get(..URN_PREFIX.len())
            && prefix.eq_ignore_ascii_case(URN_PREFIX)
        {
            return self.claims_uuid(&text[URN_PREFIX.len()..]);
        }
        let Some((id, mark)) = text.rsplit_once(char::from(SEPARATOR)) else {
            return false;
        };
        let is_number =
            |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        let numbers = id.split_once('-');
        mark.as_bytes().eq_ignore_ascii_case(&self.text)
            && numbers.is_some_and(|(ms, counter)| is_number(ms) && is_number(counter))
    }

    /// Whether a UUID has the version, the variant and the lower bits of this order's.
    fn claims_uuid(self, uuid: &str) -> bool {
        let groups = uuid.split('-').map(str::len);
        if !groups.eq(UUID_GROUPS) || !uuid.bytes().all(|b| b == b'-' || b.is_ascii_hexdigit()) {
            return false;
        }
        let hex: String = uuid.split('-').collect();
        let Ok(bits) = u128::from_str_radix(&hex, 16) else {
            return false;
        };
        let (version, variant) = (bits >> 76 & 0xf, bits >> 62 & 0b11);
        let mark = bits & ((1 << URN_BITS) - 1);
        (version, variant, mark) == (7, 0b10, u128::from(self.bits))
    }
}

impl fmt::Display for OrderMark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(str::from_utf8(&self.text).unwrap_or_default())
    }
}

/// An id with the mark of its order, written `<ms>-<n>.<mark>`. Clients receive this form, and send
/// it back as a cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MarkedId {
    /// The place in the order.
    pub id: EventId,
    /// The order.
    pub mark: OrderMark,
}

impl MarkedId {
    /// Longest text form in bytes.
    pub const TEXT_BYTES_MAX: usize = EventId::TEXT_BYTES_MAX + 1 + TEXT_BYTES;

    /// Length of the form of [`MarkedId::urn`] in bytes.
    pub const URN_BYTES: usize = URN_PREFIX.len() + 36;

    /// The id as a URN: a UUID of version 7 (RFC 9562 §5.7) whose timestamp is the id's and whose
    /// random bits are its counter and the mark. So it is unique among nodes, and can be read back
    /// without being stored.
    #[must_use]
    pub fn urn(self) -> String {
        let (id, mark) = (self.id, self.mark.bits);
        let counter = id.counter();
        let (ms, high, low) = (id.unix_ms(), counter >> 8, counter & 0xff);
        format!(
            "{URN_PREFIX}{:08x}-{:04x}-7{high:03x}-{:04x}-{:012x}",
            ms >> 16,
            ms & 0xffff,
            0x8000 | low << 6 | mark >> 48,
            mark & 0xffff_ffff_ffff,
        )
    }

    /// Calls `put` with the pieces of the text form, last one first: frames are written backwards.
    pub(crate) fn each_piece_backwards(self, mut put: impl FnMut(&[u8])) {
        let mut digits = itoa::Buffer::new();
        put(&self.mark.text);
        put(&[SEPARATOR]);
        put(digits.format(self.id.counter()).as_bytes());
        put(b"-");
        put(digits.format(self.id.unix_ms()).as_bytes());
    }

    /// Appends the text form to `out`.
    pub fn write_to(self, out: &mut Vec<u8>) {
        self.id.write_to(out);
        out.push(SEPARATOR);
        out.extend_from_slice(&self.mark.text);
    }
}

impl fmt::Display for MarkedId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}{}", self.id, char::from(SEPARATOR), self.mark)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_mark_follows_the_id() {
        let id = EventId::from_parts(1_700_000_000_000, 3).expect("fits");
        let mark = OrderMark::new(0b00001_00010_00011_11111_00000_01010 << 24);
        assert_eq!(id.marked(mark).to_string(), "1700000000000-3.123z0a");
        assert_eq!(
            id.marked(OrderMark::default()).to_string(),
            "1700000000000-3.000000"
        );
    }

    #[test]
    fn a_logs_birth_gives_all_its_nodes_one_mark() {
        let birth = 0x6ba7_b810_9dad_41d1_80b4_00c0_4fd4_30c8;
        let mark = OrderMark::of_birth(birth);
        assert_eq!(mark, OrderMark::of_birth(birth));
        for bit in (0..48).chain(80..128) {
            assert_ne!(mark, OrderMark::of_birth(birth ^ 1 << bit), "bit {bit}");
        }
    }

    #[test]
    fn only_the_one_spelling_with_the_orders_own_mark_is_a_place() {
        let mark = OrderMark::new(u64::MAX);
        assert_eq!(mark.place_of("0-0.zzzzzz"), Some(EventId::ZERO));
        for other in [
            "",
            "zzzzzz",
            ".zzzzzz",
            "0-0",
            "0-0.",
            "0-0.zzzzz",
            "0-0.zzzzzzz",
            "0-0.ZZZZZZ",
            "0-0.zzzzz0",
            "0-0zzzzzz",
            "0-0..zzzzzz",
            "00-0.zzzzzz",
            "0-0.zzzzzz.zzzzzz",
            " 0-0.zzzzzz",
            "0-0.zzzzzz ",
            "0.zzzzzz",
            "0-0~zzzzzz",
            "0-1048576.zzzzzz",
        ] {
            assert_eq!(mark.place_of(other), None, "{other:?}");
        }
    }

    #[test]
    fn an_id_of_this_order_is_claimed_whatever_its_numbers_and_its_case() {
        let mark = OrderMark::new(u64::MAX);
        for id in [
            "0-0.zzzzzz",
            "01-0.zzzzzz",
            "1-00.zzzzzz",
            "0-1048576.zzzzzz",
            "99999999999999-5.zzzzzz",
            "18446744073709551616-0.zzzzzz",
            "0-18446744073709551616.zzzzzz",
            "1-0.ZZZZZZ",
            "1-0.zZzzzz",
            "urn:uuid:00000000-0000-7000-bfff-ffffffffffff",
            "urn:uuid:ffffffff-ffff-7fff-bfff-ffffffffffff",
            "URN:UUID:FFFFFFFF-FFFF-7FFF-BFFF-FFFFFFFFFFFF",
        ] {
            assert!(mark.claims(id), "{id:?}");
        }
        for id in [
            "",
            "0-0",
            "0-0.zzzzz0",
            "0-0.zzzzzzz",
            "-0.zzzzzz",
            "0-.zzzzzz",
            "+1-0.zzzzzz",
            "1--0.zzzzzz",
            "1-0-0.zzzzzz",
            "1-0x.zzzzzz",
            "1-0..zzzzzz",
            "\u{661}-0.zzzzzz",
            "urn:uuid:00000000-0000-4000-bfff-ffffffffffff",
            "urn:uuid:00000000-0000-7000-ffff-ffffffffffff",
            "urn:uuid:00000000-0000-7000-bfff-fffffffffffe",
            "urn:uuid:000000000000-7000-bfff-ffff-ffffffff",
            "urn:uuid:+0000000-0000-7000-bfff-ffffffffffff",
            "urn:uuid:00000000-0000-7000-bfff-ffffffffffff-",
            "urn:uuid",
            "urn:uuid\u{e9}",
        ] {
            assert!(!mark.claims(id), "{id:?}");
        }
    }

    proptest! {
        #[test]
        fn every_place_of_an_order_is_claimed_by_it(word: u64, bits: u64) {
            let mark = OrderMark::new(bits);
            let id = EventId::new(word).marked(mark);
            for text in [id.to_string(), id.urn()] {
                prop_assert!(mark.claims(&text));
                prop_assert!(mark.claims(&text.to_uppercase()));
            }
        }

        #[test]
        fn an_id_is_read_back_in_its_own_order_only(word: u64, bits: u64, other: u64) {
            let (id, mark, other) = (EventId::new(word), OrderMark::new(bits), OrderMark::new(other));
            let text = id.marked(mark).to_string();
            prop_assert!(text.len() <= MarkedId::TEXT_BYTES_MAX);
            prop_assert_eq!(mark.place_of(&text), Some(id));
            prop_assert_eq!(mark.place_of(&id.to_string()), None);
            if mark.text != other.text {
                prop_assert_eq!(other.place_of(&text), None);
            }
            let mut written = Vec::new();
            id.marked(mark).write_to(&mut written);
            prop_assert_eq!(&written, text.as_bytes());
            let mut backwards = Vec::new();
            id.marked(mark).each_piece_backwards(|piece| backwards.splice(..0, piece.iter().copied()).for_each(drop));
            prop_assert_eq!(backwards, written);
        }

        #[test]
        fn a_urn_is_read_back_in_its_own_order_only(word: u64, bits: u64, other: u64) {
            let (id, mark, other) = (EventId::new(word), OrderMark::new(bits), OrderMark::new(other));
            let urn = id.marked(mark).urn();
            prop_assert_eq!(urn.len(), MarkedId::URN_BYTES);
            prop_assert_eq!(mark.place_of(&urn), Some(id));
            if mark != other {
                prop_assert_eq!(other.place_of(&urn), None);
            }
            prop_assert_eq!(mark.place_of(&urn.to_uppercase()), None);
        }

        #[test]
        fn urns_rise_with_their_ids(one: u64, two: u64, bits: u64) {
            let mark = OrderMark::new(bits);
            let urn = |word| EventId::new(word).marked(mark).urn();
            prop_assert_eq!(one.cmp(&two), urn(one).cmp(&urn(two)));
        }
    }
}
