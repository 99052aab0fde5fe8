//! Which topics are the node's own: all at and below the path of its Mercure hub, however they are spelt.
//!
//! The events of these topics tell who is subscribed, so nobody else may publish what looks like one. Two readers must not be fooled: a selector, which
//! compares a topic as it is written, and a client that reads a topic as an address and normalises it. So the rule is the widest of both:
//! a topic is refused if one of its readings *passes through* the hub's path. `/.well-known/mercure/../x` begins with that path as it is
//! written, and `/x/../.well-known/mercure` ends there; both pass through it. It errs on the side of refusing: percent-escapes are decoded as often as there
//! are any, in any case of letters.

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
    if !may_be_reserved(bytes) {
        return false;
    }
    // What follows is a query or fragment. An escaped `?` is part of the path.
    let end = memchr::memchr2(b'?', b'#', bytes).unwrap_or(bytes.len());
    let address = plain(&bytes[..end]);
    let rest = &address[scheme_end(&address)..];
    // Without its host, and as a path whose first segments are empty.
    let behind_host = rest.strip_prefix(b"//").map(|rest| {
        let end = memchr::memchr(b'/', rest).unwrap_or(rest.len());
        &rest[end..]
    });
    // A relative address, as the hub itself would read it.
    let beside_hub = rest.starts_with(b"./");
    passes_through_hub(rest, &[])
        || behind_host.is_some_and(|path| passes_through_hub(path, &[]))
        || (beside_hub && passes_through_hub(rest, &HUB_SEGMENTS[..1]))
}

/// Nearly every topic ends here: an address of the hub has its name, or characters that could hide it.
fn may_be_reserved(topic: &[u8]) -> bool {
    let hides = |byte: &u8| matches!(byte, b'%' | 0..=b' ' | 0x7f);
    let name = HUB_SEGMENTS[1];
    let has_name = |at: usize| {
        let found = topic.get(at..at + name.len());
        found.is_some_and(|found| found.eq_ignore_ascii_case(name))
    };
    memchr::memchr2_iter(b'm', b'M', topic).any(has_name) || topic.iter().any(hides)
}

/// An address without escapes, backslashes, control characters and outer spaces, which readers of addresses decode, turn over and strip (WHATWG URL §4.4).
fn plain(address: &[u8]) -> Cow<'_, [u8]> {
    let changes = |byte: &u8| matches!(byte, b'%' | b'\\' | 0..=b' ' | 0x7f);
    if !address.iter().any(changes) {
        return Cow::Borrowed(address);
    }
    let mut out: Vec<u8> = Vec::with_capacity(address.len());
    for byte in address {
        out.push(*byte);
        // What an escape stands for may complete another one: `%252e`.
        while let [.., b'%', high, low] = out[..]
            && let (Some(high), Some(low)) = (digit(high), digit(low))
        {
            out.truncate(out.len() - 3);
            out.push(high << 4 | low);
        }
    }
    out.retain(|byte| !matches!(byte, 0..b' ' | 0x7f));
    for byte in &mut out {
        if *byte == b'\\' {
            *byte = b'/';
        }
    }
    Cow::Owned(out.trim_ascii().to_vec())
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).map(|digit| digit as u8)
}

/// Where the part after `scheme:` begins; 0 where there is no scheme.
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

/// Whether the walk along a path, from a base on, is at the hub's path at any moment.
fn passes_through_hub<'a>(path: &'a [u8], base: &[&'a [u8]]) -> bool {
    let mut walked: SmallVec<[&[u8]; 16]> = base.into();
    for segment in path.split(|byte| *byte == b'/') {
        match segment {
            b"" | b"." => {}
            b".." => {
                walked.pop();
            }
            segment => walked.push(name_of(segment)),
        }
        let is_hub = walked.len() == HUB_SEGMENTS.len()
            && walked
                .iter()
                .zip(HUB_SEGMENTS)
                .all(|(found, name)| found.eq_ignore_ascii_case(name));
        if is_hub {
            return true;
        }
    }
    false
}

/// A segment without what some readers cut off: parameters, an escaped query or fragment, and dots or spaces at its end.
fn name_of(segment: &[u8]) -> &[u8] {
    let cut = segment
        .iter()
        .position(|byte| matches!(byte, b';' | b'?' | b'#'));
    let name = &segment[..cut.unwrap_or(segment.len())];
    let last = name.iter().rposition(|byte| !matches!(byte, b'.' | b' '));
    &name[..last.map_or(0, |last| last + 1)]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::selector::{Selector, Syntax};

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
            "/a/.well-known/mercure",
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
