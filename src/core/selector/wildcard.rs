//! Wildcards for whole segments: `a/*/c`, `a/**`.
//!
//! A segment is the text between two slashes. `*` matches one segment that is not empty; `**`, as
//! the last segment only, matches the whole rest, which must not be empty: `a/**` matches `a/b` and
//! `a/b/c`, neither `a` nor `a/`. Stars anywhere else are literal. Matching walks both texts once
//! and must never go back.

/// Matches one segment.
const ONE: &str = "*";

/// Matches one or more segments, at the end.
const REST: &str = "**";

/// Whether a text has a segment that is a wildcard.
pub(super) fn is_wildcard(text: &str) -> bool {
    let last = text.rsplit('/').next();
    last == Some(REST) || text.split('/').any(|segment| segment == ONE)
}

/// Whether a pattern matches a topic. It always matches its own text.
pub(super) fn matches(pattern: &str, topic: &str) -> bool {
    if pattern == REST {
        return !topic.is_empty();
    }
    let (segments, open) = match pattern.strip_suffix("/**") {
        Some(segments) => (segments, true),
        None => (pattern, false),
    };
    let mut rest = Some(topic);
    for wanted in segments.split('/') {
        let Some(text) = rest else { return false };
        let (segment, behind) = match text.split_once('/') {
            Some((segment, behind)) => (segment, Some(behind)),
            None => (text, None),
        };
        let fits = segment == wanted || (wanted == ONE && !segment.is_empty());
        if !fits {
            return false;
        }
        rest = behind;
    }
    match rest {
        None => !open,
        Some(further) => open && !further.is_empty(),
    }
}

/// The text before the first wildcard.
pub(super) fn prefix(pattern: &str) -> &str {
    let mut start = 0;
    for segment in pattern.split('/') {
        let end = start + segment.len();
        if segment == ONE || (segment == REST && end == pattern.len()) {
            return &pattern[..start];
        }
        start = end + 1;
    }
    pattern
}

/// The text after the last wildcard.
pub(super) fn suffix(pattern: &str) -> &str {
    pieces(pattern).last().unwrap_or_default()
}

/// The texts before, between and after the wildcards.
pub(super) fn pieces(pattern: &str) -> impl Iterator<Item = &str> {
    let (mut from, mut at) = (0, Some(0));
    std::iter::from_fn(move || {
        while let Some(start) = at {
            let slash = pattern[start..].find('/').map(|length| start + length);
            let end = slash.unwrap_or(pattern.len());
            at = slash.map(|slash| slash + 1);
            let segment = &pattern[start..end];
            if segment == ONE || (segment == REST && end == pattern.len()) {
                let piece = &pattern[from..start];
                from = end;
                return Some(piece);
            }
        }
        // Goes on with the rest.
        let rest = pattern.get(from..)?;
        from = pattern.len() + 1;
        Some(rest)
    })
}
