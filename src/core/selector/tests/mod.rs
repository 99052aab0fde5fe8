//! Selectors against the examples of RFC 6570, naive matchers, and hostile texts.

mod bounds;
mod oracle;
mod properties;
mod rfc6570;

use super::{Selector, SelectorError, Syntax};

/// Longer than all texts of these tests.
const BYTES_MAX: usize = 1_024;

fn parse(text: &str, syntax: Syntax) -> Selector {
    Selector::parse(text, syntax, BYTES_MAX).expect("a selector")
}

#[track_caller]
fn check(text: &str, topic: &str, native: bool, mercure: bool) {
    for (syntax, expected) in [(Syntax::Native, native), (Syntax::Mercure, mercure)] {
        let selector = parse(text, syntax);
        assert_eq!(
            selector.matches(topic),
            expected,
            "{syntax:?} {text:?} {topic:?}"
        );
        assert!(selector.matches(text), "{text:?} matches itself");
        assert!(text.starts_with(selector.prefix()));
        assert!(!expected || topic.starts_with(selector.prefix()));
    }
}

#[test]
fn the_star_matches_everything() {
    for topic in ["a", "*", "a/b", "é", "https://example.com/{id}"] {
        check("*", topic, true, true);
    }
    assert_eq!(parse("*", Syntax::Mercure), parse("*", Syntax::Native));
    assert!(!Selector::exact("*").matches("a"));
    assert!(Selector::exact("*").is_exact());
}

#[test]
fn wildcards_stand_for_whole_segments_on_the_native_api() {
    for (text, topic, expected) in [
        ("a/*/c", "a/b/c", true),
        ("a/*/c", "a/é{}/c", true),
        ("a/*/c", "a//c", false),
        ("a/*/c", "a/b/b/c", false),
        ("a/*/c", "a/b", false),
        ("a/*/c", "a/b/c/", false),
        ("a/*", "a/b", true),
        ("a/*", "a/", false),
        ("a/*", "a", false),
        ("*/b", "a/b", true),
        ("/*", "/a", true),
        ("/*", "a", false),
        ("a/*/", "a/b/", true),
        ("a/**", "a/b", true),
        ("a/**", "a/b/c", true),
        ("a/**", "a//", true),
        ("a/**", "a/", false),
        ("a/**", "a", false),
        ("a/**", "ab/c", false),
        ("**", "a/b", true),
        ("/**", "/a", true),
        ("/**", "/", false),
        ("a/*/**", "a/b/c", true),
        ("a/*/**", "a/b", false),
        // Stars that are not a whole segment, or not at the end, are literal.
        ("a*b", "acb", false),
        ("a/**/c", "a/b/c", false),
        ("*/**/c", "a/**/c", true),
        ("*/**/c", "a/b/c", false),
        ("a{b/*", "a{b/c", true),
    ] {
        check(text, topic, expected, false);
    }
}

#[test]
fn a_text_is_a_template_before_it_is_a_wildcard() {
    check("a/*/{id}", "a/*/1", true, true);
    check("a/*/{id}", "a/b/1", false, false);
    check("{a}/**", "b/c", false, false);
    check("{a}/**", "b/**", true, true);
}

#[test]
fn a_broken_template_is_exact() {
    for text in [
        "a{b",
        "a}b",
        "{",
        "}",
        "{}",
        "{a|}",
        "{a}{",
        "{a}}",
        "{{a}}",
        "{a{b}}",
        "{a b}",
        "{+}",
        "{=a}",
        "{,a}",
        "{a,}",
        "{a,,b}",
        "{!a}",
        "{@a}",
        "{|a}",
        "{a:}",
        "{a:0}",
        "{a:01}",
        "{a:10000}",
        "{a:1*}",
        "{a*:1}",
        "{a**}",
        "{a:+1}",
        "{a-b}",
        "{.}",
        "{..a}",
        "{a.}",
        "{a..b}",
        "{a%4}",
        "{é}",
        "a b{c}",
        "%{a}",
        "%4{a}",
        "<{a}",
        "\"{a}",
        "\n{a}",
        "\u{80}{a}",
        "\u{FDD0}{a}",
    ] {
        for syntax in [Syntax::Native, Syntax::Mercure] {
            let selector = parse(text, syntax);
            assert!(selector.is_exact(), "{text:?}");
            assert_eq!(selector, Selector::exact(text));
        }
    }
    for text in [
        "{a}",
        "{a:1}",
        "{a:9999}",
        "{a*}",
        "{+a.b_c}",
        "{%41}",
        "it's{a}",
        "%41{a}",
        "é{a}",
        "{a}\u{E000}",
    ] {
        assert!(!parse(text, Syntax::Mercure).is_exact(), "{text:?}");
    }
}

#[test]
fn a_template_matches_what_it_expands_to() {
    const BOOK: &str = "https://example.com/books/{id}";
    for (text, topic, expected) in [
        (BOOK, "https://example.com/books/1", true),
        (BOOK, "https://example.com/books/", true),
        (BOOK, "https://example.com/books/a,b", true),
        (BOOK, "https://example.com/books/%2Fx", true),
        (BOOK, "https://example.com/books/1/x", false),
        (BOOK, "https://example.com/books/a?b", false),
        (BOOK, "https://example.com/books/a b", false),
        (BOOK, "https://example.com/books/100%", false),
        (BOOK, "https://example.com/books/%2", false),
        (BOOK, "https://example.com/books", false),
        (BOOK, "https://example.org/books/1", false),
        ("{+path}", "a/b?c#d", true),
        ("{+path}", "a b", false),
        ("a{/b}", "a", true),
        ("a{/b}", "a/b", true),
        ("a{/b}", "a/b/c", false),
        ("a{/b*}", "a/b/c", true),
        ("a{/b*}", "a/b=1/c=2", true),
        ("a{/b*}", "a/b=1/c", false),
        ("a{/b,c}", "a/b/c", true),
        ("a{/b,c}", "a/b/c/d", false),
        ("a{.b}", "a.b", true),
        ("a{.b}", "ab", false),
        ("a{#b}", "a#b/c", true),
        ("a{#b}", "ab", false),
        ("a{?b}", "a", true),
        ("a{?b}", "a?b=1,2", true),
        ("a{?b}", "a?b", false),
        ("a{?b}", "a?c=1", false),
        ("a{?b,c}", "a?c=1", true),
        ("a{?b,c}", "a?c=1&b=1", false),
        ("a{?b,c}", "a&b=1", false),
        ("a{?b*}", "a?x=1&y=", true),
        ("a{?b*}", "a?x", false),
        ("a{;b}", "a;b", true),
        ("a{;b}", "a;b=1", true),
        ("a{;b}", "a;c", false),
        ("a{;b*}", "a;x;y=1", true),
        ("{a:3}", "abc", true),
        ("{a:3}", "abcd", false),
        ("{a:3}b", "abcb", true),
        ("{a:1}", "%C3%A9", true),
        ("{a:1}", "%C3%A9e", false),
        ("{a:1}", "a,b", false),
        ("{a:1}", "é", true),
        ("{a}", "zoë", true),
        ("{a}", "\u{80}", false),
        ("é/{a}", "é/1", true),
        ("é/{a}", "%C3%A9/1", true),
        ("é/{a}", "%C3%AA/1", false),
        ("{a}/é", "1/%C3%A9", true),
        // Values of one variable may differ.
        ("{a}/{a}", "1/2", true),
    ] {
        check(text, topic, expected, expected);
    }
}

#[test]
fn equal_selectors_mean_the_same() {
    let wildcard = parse("a/*", Syntax::Native);
    let exact = parse("a/*", Syntax::Mercure);
    assert_ne!(wildcard, exact);
    assert!(wildcard.matches("a/b") && !exact.matches("a/b"));
    assert_eq!(exact, Selector::exact("a/*"));
    assert_eq!(parse("{a}", Syntax::Native), parse("{a}", Syntax::Mercure));
}

#[test]
fn the_prefix_ends_where_topics_may_differ() {
    for (text, prefix) in [
        ("a/b", "a/b"),
        ("*", ""),
        ("a/*/c", "a/"),
        ("a/**", "a/"),
        ("**", ""),
        ("a*b/c/*", "a*b/c/"),
        ("*/**/c", ""),
        ("https://example.com/{id}", "https://example.com/"),
        ("{+a}b", ""),
        ("a/é/{id}", "a/"),
    ] {
        assert_eq!(parse(text, Syntax::Native).prefix(), prefix, "{text:?}");
    }
}

#[test]
fn a_selector_is_made_again_from_its_parts_and_from_no_others() {
    for text in ["*", "a", "a/*", "**", "a/{b}", "a/{b", "{+b}c"] {
        for syntax in [Syntax::Native, Syntax::Mercure] {
            let selector = Selector::parse(text, syntax, 100).expect("a selector");
            let (kind, text) = selector.parts();
            assert_eq!(Selector::from_parts(kind, text), Some(selector.clone()));
        }
        let exact = Selector::exact(text);
        assert_eq!(Selector::from_parts('e', text), Some(exact));
    }
    let long = format!("{}/*", "x".repeat(crate::core::limits::TOPIC_BYTES_CEILING));
    let expressions = "{a}".repeat(crate::core::selector::EXPRESSIONS_MAX + 1);
    for (kind, text) in [
        ('e', ""),
        ('a', "a"),
        ('a', "**"),
        ('t', "a"),
        ('t', "a/{b"),
        ('t', &expressions),
        ('w', "a"),
        ('w', "a/b"),
        ('w', &long),
        ('x', "a"),
    ] {
        assert_eq!(Selector::from_parts(kind, text), None, "{kind} {text}");
    }
}
