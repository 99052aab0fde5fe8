//! Matching: one topic against one selector of each kind.

use fantail::core::selector::{Selector, SelectorError, Syntax};

/// A selector, and a topic that it matches or does not.
pub(crate) struct Case {
    /// How results name it.
    pub(crate) name: String,
    pub(crate) selector: Selector,
    pub(crate) topic: &'static str,
    pub(crate) matches: bool,
}

/// Longest selector.
const BYTES_MAX: usize = 1_024;

const TOPIC: &str = "https://example.com/users/42/orders/1760422800123";

/// Each kind with a topic that matches, one that differs at the end, and one that differs from the
/// start.
pub(crate) fn cases() -> Result<Vec<Case>, SelectorError> {
    let kinds = [
        ("exact", TOPIC),
        ("wildcard", "https://example.com/users/*/orders/*"),
        (
            "template",
            "https://example.com/users/{user}/orders/{order}",
        ),
        ("template-list", "https://example.com{/path*}{?query*}"),
    ];
    let topics = [
        ("match", TOPIC, true),
        (
            "late",
            "https://example.com/users/42/orders/1760422800123!",
            false,
        ),
        (
            "early",
            "urn:uuid:1f0a8f6e-0000-4000-8000-000000000000",
            false,
        ),
    ];
    let mut cases = Vec::new();
    for (kind, text) in kinds {
        for (end, topic, matches) in topics {
            cases.push(Case {
                name: format!("{kind}/{end}"),
                selector: Selector::parse(text, Syntax::Native, BYTES_MAX)?,
                topic,
                // A whole segment may hold anything.
                matches: matches || (kind == "wildcard" && end == "late"),
            });
        }
    }
    Ok(cases)
}
