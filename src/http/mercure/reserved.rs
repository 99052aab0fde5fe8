//! Which topics are the hub's own: those at and below its path, however they are spelt.
//!
//! Its events tell who is subscribed, and nobody else may publish what looks like one. A topic is taken for an address if it begins with a
//! slash, a dot or a scheme; whatever stands first in a plain name (`mercure/a`) makes it no address.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use super::PATH;

/// Whether a topic, read as an address, is at or below the hub's path on any host.
pub(in crate::http) fn is_reserved(topic: &str) -> bool {
    // Nearly every topic ends here.
    if !topic.contains("mercure") && !topic.contains('%') {
        return false;
    }
    let Some(path) = path_of(topic) else {
        return false;
    };
    let path = normalised(&path);
    path.strip_prefix(PATH)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The path of an address, still encoded; `None` for what is none.
fn path_of(topic: &str) -> Option<Cow<'_, str>> {
    // As browsers read addresses (WHATWG URL §4.4): without what surrounds them, without tabs and line breaks, a backslash as a slash.
    let topic = topic.trim_matches(|c: char| c <= ' ');
    let topic: Cow<'_, str> = if topic.contains(['\t', '\r', '\n', '\\']) {
        topic
            .replace(['\t', '\r', '\n'], "")
            .replace('\\', "/")
            .into()
    } else {
        topic.into()
    };
    let end = topic.find(['?', '#']).unwrap_or(topic.len());
    let whole = &topic[..end];
    let (starts, rest) = match scheme_end(whole) {
        // Other schemes' addresses have no path (`urn:…`).
        Some(at) => (&['/'][..], &whole[at..]),
        None => (&['/', '.', '%'][..], whole),
    };
    if !rest.starts_with(starts) {
        return None;
    }
    let path = match rest.strip_prefix("//") {
        // What follows is a host, up to the next slash.
        Some(rest) => rest.find('/').map_or("", |slash| &rest[slash..]),
        None => rest,
    };
    if path.starts_with('/') {
        return Some(Cow::Owned(path.to_owned()));
    }
    // Relative to the hub's own address.
    let base = PATH.rfind('/').map_or("/", |slash| &PATH[..=slash]);
    let relative = format!("{base}{path}");
    let rooted = format!("/{path}");
    // A spelling without the first slash is as good as one with it.
    Some(Cow::Owned(if normalised(&rooted).starts_with(PATH) {
        rooted
    } else {
        relative
    }))
}

/// Where the part after `scheme:` begins.
fn scheme_end(address: &str) -> Option<usize> {
    let colon = address.find(':')?;
    let scheme = &address.as_bytes()[..colon];
    let valid = scheme.first().is_some_and(u8::is_ascii_alphabetic)
        && scheme
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(byte));
    valid.then_some(colon + 1)
}

/// A path decoded, and without `.`, `..` and empty segments.
fn normalised(path: &str) -> String {
    let decoded = percent_decode_str(path).decode_utf8_lossy();
    let mut segments: Vec<&str> = Vec::new();
    for segment in decoded.split('/') {
        match segment {
            "" | "." => {}
            ".." => {
                segments.pop();
            }
            segment => segments.push(segment),
        }
    }
    let mut out = String::with_capacity(decoded.len());
    for segment in segments {
        out.push('/');
        out.push_str(segment);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_the_hubs_path_is_its_own() {
        for topic in [
            "/.well-known/mercure",
            "/.well-known/mercure/",
            "/.well-known/mercure/subscriptions/a/urn%3Auuid%3Ab",
            "/.well-known/mercure?topic=a",
            "/.well-known/mercure#1",
            "/%2ewell-known/mercur%65/subscriptions/a/b",
            "%2F.well-known%2Fmercure",
            "/.well-known%2Fmercure/subscriptions",
            "/a/../.well-known/./mercure/subscriptions",
            "/a/%2e%2e/.well-known/mercure",
            "//host/.well-known/mercure",
            "https://example.com/.well-known/mercure/subscriptions/a/b",
            "HTTP://user@example.com:8080/.well-known/mercure",
            "https:/.well-known/mercure",
            "https:\\\\example.com\\.well-known\\mercure",
            " /.well-known/mercure",
            "/.well-\tknown/mercure",
            "/.well-known//mercure",
            ".well-known/mercure/subscriptions/a/b",
            "../.well-known/mercure",
            "./mercure/subscriptions/a/b",
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
            "/.well-known/mercurex",
            "/.well-known",
            "/a/.well-known/mercure",
            "https://example.com/?u=/.well-known/mercure",
            "https://example.com/#/.well-known/mercure",
            "https://.well-known/mercure",
            "100%",
            "news",
            "",
        ] {
            assert!(!is_reserved(topic), "{topic}");
        }
    }
}
