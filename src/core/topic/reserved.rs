//! The node's own topics: all at and below the path of its Mercure hub, in every spelling.
//!
//! The events of these topics report subscriptions, so no publisher may publish what looks like
//! one. Two readers must not be fooled: a selector, which compares a topic as it is written, and a
//! client that reads a topic as an address and normalises it. So the rule is the widest of both: a
//! topic is refused if one of its readings *passes through* the hub's path.
//! `/.well-known/mercure/../x` begins with that path as it is written, and
//! `/x/../.well-known/mercure` ends there; both pass through it. In doubt a topic is refused:
//! percent-escapes are decoded repeatedly until none is left, in upper or lower case. Readers
//! differ in their handling of empty segments, parameters and escaped slashes, so each variant is
//! tried.

use std::borrow::Cow;

use smallvec::SmallVec;

/// Path of the node's Mercure hub. Topics at and below it are the node's own.
pub const HUB_PATH: &str = "/.well-known/mercure";

/// The segments of [`HUB_PATH`].
const HUB_SEGMENTS: [&[u8]; 2] = [b".well-known", b"mercure"];

/// Whether a topic is at or below the hub's path in one of its readings, on any host.
#[must_use]
pub fn is_reserved(topic: &str) -> bool {
    let bytes = topic.as_bytes();
    // Nearly every topic ends here: an address of the hub contains its name, or characters that
    // could hide it.
    if !has_name(bytes) && !bytes.iter().any(|byte| hides(*byte)) {
        return false;
    }
    // The rest is a query or fragment. An escaped `?` is part of the path.
    let end = memchr::memchr2(b'?', b'#', bytes).unwrap_or(bytes.len());
    let topic = &bytes[..end];
    let plain = decoded(topic, Decoding::Full);
    // A reading that decodes less contains the name only if this one does.
    has_name(&plain)
        && (is_below_hub(&plain)
            || [Decoding::None, Decoding::Once, Decoding::OnceButSlashes]
                .into_iter()
                .any(|decoding| is_below_hub(&decoded(topic, decoding))))
}

/// Bytes that may represent other characters: escapes, bytes that readers drop, and the start of
/// each full-width form.
fn hides(byte: u8) -> bool {
    matches!(byte, b'%' | 0..=b' ' | 0x7f | 0xef)
}

/// Whether the text contains the last segment of the hub's path.
fn has_name(text: &[u8]) -> bool {
    let name = HUB_SEGMENTS[1];
    memchr::memchr2_iter(b'm', b'M', text).any(|at| {
        let candidate = text.get(at..at + name.len());
        candidate.is_some_and(|candidate| candidate.eq_ignore_ascii_case(name))
    })
}

/// How far a reader decodes an address before it finds dots and slashes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Decoding {
    /// Not at all. A backslash is an ordinary character.
    None,
    /// Once, except for slashes (WHATWG URL does so with dots).
    OnceButSlashes,
    /// Once.
    Once,
    /// Until no escape is left, and with full-width forms as their ASCII counterparts (NFKC).
    Full,
}

/// An address as such a reader decodes it, without the control characters and outer spaces that are
/// stripped (WHATWG URL §4.4).
fn decoded(address: &[u8], decoding: Decoding) -> Cow<'_, [u8]> {
    if !address.iter().any(|byte| hides(*byte) || *byte == b'\\') {
        return Cow::Borrowed(address);
    }
    let mut out: Vec<u8> = Vec::with_capacity(address.len());
    // Characters before this were decoded already, and are not part of another escape.
    let mut start = 0;
    for byte in address.iter().filter(|byte| !is_dropped(**byte)) {
        out.push(*byte);
        // A decoded character may complete another escape: `%252e`.
        while let Some((length, character)) = stands_for(&out[start..], decoding) {
            if decoding == Decoding::OnceButSlashes && matches!(character, b'/' | b'\\') {
                start = out.len();
                break;
            }
            out.truncate(out.len() - length);
            if !is_dropped(character) {
                out.push(character);
            }
            if decoding != Decoding::Full {
                start = out.len();
            }
        }
    }
    if matches!(decoding, Decoding::Once | Decoding::Full) {
        for byte in &mut out {
            if *byte == b'\\' {
                *byte = b'/';
            }
        }
    }
    Cow::Owned(out.trim_ascii().to_vec())
}

/// Control characters.
fn is_dropped(byte: u8) -> bool {
    matches!(byte, 0..b' ' | 0x7f)
}

/// The character that the last bytes represent, and the number of these bytes.
fn stands_for(text: &[u8], decoding: Decoding) -> Option<(usize, u8)> {
    match *text {
        [.., b'%', high, low] if decoding != Decoding::None => {
            Some((3, digit(high)? << 4 | digit(low)?))
        }
        // U+FF01 to U+FF5E are `!` to `~`.
        [.., 0xef, 0xbc, last @ 0x81..=0xbf] if decoding == Decoding::Full => {
            Some((3, last - 0x80 + b' '))
        }
        [.., 0xef, 0xbd, last @ 0x80..=0x9e] if decoding == Decoding::Full => {
            Some((3, last - 0x40 + b' '))
        }
        _ => None,
    }
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).map(|digit| digit as u8)
}

/// Whether a decoded address is at or below the hub's path.
fn is_below_hub(address: &[u8]) -> bool {
    let scheme_end = scheme_end(address);
    let rest = &address[scheme_end..];
    let slashes = rest.iter().take_while(|byte| **byte == b'/').count();
    // After a scheme, any number of slashes may precede a host (WHATWG URL §4.4), else two or more.
    let behind_host = (scheme_end > 0 || slashes >= 2).then(|| {
        let rest = &rest[slashes..];
        let end = memchr::memchr(b'/', rest).unwrap_or(rest.len());
        &rest[end..]
    });
    // A relative address, as the hub itself would resolve it.
    let beside_hub = rest.starts_with(b"./");
    let readers = [(false, false), (false, true), (true, false), (true, true)];
    readers.into_iter().any(|(lax_dots, keeps_empty)| {
        let reader = Reader {
            lax_dots,
            keeps_empty,
        };
        // Also without a host, as a path whose first segments are empty.
        reader.passes_through_hub(rest, 0)
            || behind_host.is_some_and(|path| reader.passes_through_hub(path, 0))
            || (beside_hub && reader.passes_through_hub(rest, 1))
    })
}

/// Start of the part after `scheme:`; 0 without a scheme.
fn scheme_end(address: &[u8]) -> usize {
    let Some(colon) = memchr::memchr(b':', address) else {
        return 0;
    };
    let scheme = &address[..colon];
    let is_scheme = scheme.first().is_some_and(u8::is_ascii_alphabetic)
        && scheme
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(byte));
    if is_scheme { colon + 1 } else { 0 }
}

/// How a reader walks along a path.
#[derive(Clone, Copy)]
struct Reader {
    /// Treats a segment as `.` or `..` even with parameters, spaces or more dots after it:
    /// `..;a=b`.
    lax_dots: bool,
    /// Treats an empty segment like any other, which `..` removes. Other readers skip it.
    keeps_empty: bool,
}

impl Reader {
    /// Whether the walk is at the hub's path at any moment, starting after `from` segments of that
    /// path.
    fn passes_through_hub(self, path: &[u8], from: usize) -> bool {
        // For each segment walked, the number of the hub path's segments that all segments so far
        // equal; `OTHERS` if they differ.
        const OTHERS: usize = HUB_SEGMENTS.len() + 1;
        let mut walked: SmallVec<[usize; 64]> = (1..=from).collect();
        for segment in path.split(|byte| *byte == b'/') {
            let so_far = walked.last().copied().unwrap_or(0);
            let step = if self.lax_dots {
                plain_dots(segment)
            } else {
                segment
            };
            match step {
                b"." => {}
                b".." => {
                    walked.pop();
                }
                b"" if self.keeps_empty => walked.push(so_far),
                b"" => {}
                _ => {
                    let next = HUB_SEGMENTS.get(so_far);
                    let goes_on =
                        next.is_some_and(|next| name_of(segment).eq_ignore_ascii_case(next));
                    walked.push(if goes_on { so_far + 1 } else { OTHERS });
                }
            }
            if walked.last() == Some(&HUB_SEGMENTS.len()) {
                return true;
            }
        }
        false
    }
}

/// A segment without the text after its leading dots, if that is only parameters, spaces and dots.
fn plain_dots(segment: &[u8]) -> &[u8] {
    let end = name_end(segment);
    let name = &segment[..end];
    let dots = name.iter().take_while(|byte| **byte == b'.').count();
    let is_plain = name[dots..].iter().all(|byte| matches!(byte, b'.' | b' '));
    match (is_plain, dots) {
        (true, 0..=2) => &segment[..dots],
        // Readers that cut off dots have an empty rest.
        (true, _) => b"",
        (false, _) => segment,
    }
}

/// Start of parameters, or of an escaped query or fragment, in a segment.
fn name_end(segment: &[u8]) -> usize {
    let cut = segment
        .iter()
        .position(|byte| matches!(byte, b';' | b'?' | b'#'));
    cut.unwrap_or(segment.len())
}

/// A segment without the parts that some readers cut off: parameters, an escaped query or fragment,
/// and dots or spaces at its end.
fn name_of(segment: &[u8]) -> &[u8] {
    let name = &segment[..name_end(segment)];
    let last = name.iter().rposition(|byte| !matches!(byte, b'.' | b' '));
    &name[..last.map_or(0, |last| last + 1)]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::core::selector::{Selector, Syntax};

    #[test]
    fn every_spelling_of_the_hubs_path_is_its_own() {
        for topic in [
            "/.well-known/mercure",
            "/.well-known/mercure/",
            "/.well-known/mercure/subscriptions/a/urn%3Auuid%3Ab",
            "/.well-known/mercure?topic=a",
            "/.well-known/mercure#1",
            "/%2ewell-known/mercur%65/subscriptions/a/b",
            "/%2Ewell-known/mercur%65/subscriptions/a/b",
            "/.%77ell-known/%6dercure/subscriptions/a/b",
            "%2F.well-known%2Fmercure",
            "%2f.well-known%2fmercure",
            "/.well-known%2Fmercure/subscriptions",
            "/.well-known%5Cmercure/subscriptions",
            "/%252ewell-known/mercure/subscriptions",
            "/%25252ewell-known/mercure/subscriptions",
            "/%2%65well-known/mercure",
            "/a/../.well-known/./mercure/subscriptions",
            "a/../.well-known/mercure/subscriptions",
            "/a/%2e%2e/.well-known/mercure",
            "/a/.%2E/.well-known/mercure",
            "//host/.well-known/mercure",
            "//.well-known/mercure/subscriptions/a/b",
            "///.well-known///mercure///subscriptions/a/b",
            "https://example.com/.well-known/mercure/subscriptions/a/b",
            "https://example.com./.well-known/mercure/subscriptions/a/b",
            "https://example.com//.well-known//mercure",
            "HTTP://user@example.com:8080/.well-known/mercure",
            "https:/.well-known/mercure",
            "https:.well-known/mercure",
            "https:///.well-known/mercure",
            "https://.well-known/mercure",
            "https%3A//example.com/.well-known/mercure",
            "https:\\\\example.com\\.well-known\\mercure",
            "\\.well-known\\mercure\\subscriptions",
            " /.well-known/mercure",
            "%20/.well-known/mercure%20",
            "/.well-\tknown/mercure",
            "/.well-%0aknown/mercure",
            "/.well-known//mercure",
            "/.well-known/mercure.",
            "/.well-known/mercure../subscriptions",
            "/.well-known./mercure/subscriptions",
            "/.well-known/mercure%20/subscriptions",
            "/.well-known/mercure;v=1/subscriptions",
            "/.well-known/mercure%3Ftopic=a",
            "/.WELL-known/Mercure",
            ".well-known/mercure/subscriptions/a/b",
            "../.well-known/mercure",
            "./mercure/subscriptions/a/b",
        ] {
            assert!(is_reserved(topic), "{topic}");
        }
    }

    #[test]
    fn what_only_some_readers_take_for_the_hubs_path_is_its_own_too() {
        for topic in [
            // An empty segment counts as one, which `..` removes (WHATWG URL).
            "/.well-known//../mercure/subscriptions/a/b",
            "https://a.example/.well-known//../mercure",
            "/.well-known///../../mercure",
            "/a//../../.well-known/mercure",
            // An escaped slash or a backslash is not one before it is decoded.
            "/.well-known/a%2fb/../mercure",
            "/.well-known/a%5Cb/../mercure",
            "/.well-known/a\\b/../mercure",
            "/.well-known/a%252fb/%2e%2e/mercure",
            // A dot that is escaped twice is not a dot to a reader that decodes once.
            "/.well-known/%252e%252e/../mercure",
            "/.well-known/%252e%252e%2f../mercure",
            "/.well-known/a%2fb/%2e%2e/mercure",
            "/.well-known/%2e%2e/../mercure",
            // Dots with parameters or spaces after them.
            "/a/..;/.well-known/mercure",
            "/a/..;x=1/.well-known/mercure",
            "/.;/.well-known/.;x/mercure",
            "/;x/.well-known/;/mercure",
            "/.well-known/..;/../mercure",
            "/a/.. /.well-known/mercure",
            "/a/..%20/.well-known/mercure",
            "/.well-known/.../mercure",
            "/.well-known//..;/mercure",
            "/.well-known/..;//../mercure",
            // A host after one slash, none, or three.
            "https:/a.example/.well-known/mercure",
            " https:/a.example/.well-known/mercure",
            "https:a.example/.well-known/mercure",
            "https:///a.example/.well-known/mercure",
            "///a.example/.well-known/mercure",
            "\\\\a.example\\.well-known\\mercure",
            // Full-width forms, which normalisation (NFKC) turns into ASCII.
            "\u{ff0f}\u{ff0e}well-known\u{ff0f}mercure",
            "/.well-known/\u{ff4d}ercure/subscriptions/a/b",
            "/.well-known/%ef%bd%8dercure",
            "/\u{ff05}2ewell-known/mercure",
            "/%2\u{ff45}well-known/mercure",
            "\u{ff3c}.well-known\u{ff3c}mercure",
            // Control characters are dropped first, also within an escape.
            "/.well-known/%6\tdercure",
            "/.well-known/%6%0adercure",
        ] {
            assert!(is_reserved(topic), "{topic:?}");
        }
    }

    #[test]
    fn a_path_that_leaves_the_hub_again_was_written_below_it() {
        for topic in [
            "/.well-known/mercure/..",
            "/.well-known/mercure/../x",
            "/.well-known/mercure/subscriptions/../..",
            "/.well-known/mercure/subscriptions/../../..",
            "/.well-known/mercure/subscriptions/%2e%2e/%2E%2E",
            "/.well-known/mercure/subscriptions/%252e%252e/%252e%252e",
            "/.well-known/mercure/subscriptions/..%2f..%2f..",
            "/.well-known/mercure/subscriptions\\..\\..",
            "/%2ewell-known/mercure/../../x",
            "https://a.example/.well-known/mercure/subscriptions/../../../x",
        ] {
            assert!(is_reserved(topic), "{topic}");
        }
    }

    #[test]
    fn other_topics_are_not() {
        for topic in [
            "mercure",
            "mercure/subscriptions/a/b",
            "urn:mercure",
            "/mercure",
            "./mercurial",
            "/.well-known/mercurex",
            "/.well-known/mercure-hub",
            "/.well-known",
            "/.well-known/../mercure",
            "/.well-known/%2e%2e/mercure",
            "/.well-known/a/mercure",
            "/.well-known/a/../b/mercure",
            "/a/.well-known/mercure",
            "/\u{ff4d}ercure",
            "\u{ff08}mercure\u{ff09}",
            "https://example.com/?u=/.well-known/mercure",
            "https://example.com/#/.well-known/mercure",
            "https://mercure.example/books/1",
            "https://example.com/a%20b/%C3%A4",
            "100%",
            "news",
            "",
        ] {
            assert!(!is_reserved(topic), "{topic}");
        }
    }

    #[test]
    fn nested_escapes_cost_one_walk() {
        let topic = format!("/%{}2ewell-known/mercure", "25".repeat(100_000));
        assert!(is_reserved(&topic));
        let topic = format!("/a/..{}mercure", "/".repeat(1_000_000));
        assert!(!is_reserved(&topic));
    }

    proptest! {
        #[test]
        fn what_a_selector_of_the_hub_matches_is_refused(
            selector in prop::sample::select(vec![
                "/.well-known/mercure/subscriptions/{topic}/{subscriber}",
                "/.well-known/mercure/subscriptions{/topic}{/subscriber}",
                "/.well-known/mercure{+rest}",
                "/.well-known/mercure/**",
                "/.well-known/mercure/subscriptions/*/*",
            ]),
            rest in "/(subscriptions|[./%a-c]{0,4})/([./%2eF\\\\]{0,6}|\\PC{0,4})/([./%2eF\\\\]{0,6}|\\PC{0,4})",
        ) {
            let topic = format!("{HUB_PATH}{rest}");
            for syntax in [Syntax::Native, Syntax::Mercure] {
                let parsed = Selector::parse(selector, syntax, 1_024).expect("a selector");
                if parsed.matches(&topic) {
                    prop_assert!(is_reserved(&topic), "{} matches {}", selector, topic);
                }
            }
        }

        #[test]
        fn any_topic_is_answered(topic: String) {
            let _ = is_reserved(&topic);
        }
    }
}
