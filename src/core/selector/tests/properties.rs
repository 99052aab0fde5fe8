//! Properties over random selectors and topics.

use proptest::prelude::*;

use super::*;
use crate::core::selector::without_superfluous;

/// A value of a variable.
#[derive(Clone, Debug)]
enum Value {
    Undefined,
    String(String),
    List(Vec<String>),
    Pairs(Vec<(String, String)>),
}

fn value() -> impl Strategy<Value = Value> {
    let text = "[a-c/=,;&.? é%\u{10FFFF}]{0,4}";
    let key = "[a-c]{1,3}";
    prop_oneof![
        Just(Value::Undefined),
        text.prop_map(Value::String),
        prop::collection::vec(text, 0..4).prop_map(Value::List),
        prop::collection::vec((key, text), 0..4).prop_map(Value::Pairs),
    ]
}

/// An expression and its expansion.
fn expression() -> impl Strategy<Value = (String, String)> {
    let variable = (
        "[ab]",
        prop_oneof![Just(""), Just("*"), Just(":1"), Just(":3")],
        value(),
    );
    let operator = prop_oneof![
        Just(""),
        Just("+"),
        Just("#"),
        Just("."),
        Just("/"),
        Just(";"),
        Just("?"),
        Just("&")
    ];
    (operator, prop::collection::vec(variable, 1..4)).prop_map(|(operator, variables)| {
        let list: Vec<String> = variables
            .iter()
            .map(|(name, modifier, _)| format!("{name}{modifier}"))
            .collect();
        let written: Vec<String> = variables
            .iter()
            .filter_map(|(name, modifier, value)| expand(operator, name, modifier, value))
            .collect();
        let (first, separator) = edges(operator);
        let expansion = if written.is_empty() {
            String::new()
        } else {
            format!("{first}{}", written.join(separator))
        };
        (format!("{{{operator}{}}}", list.join(",")), expansion)
    })
}

fn edges(operator: &str) -> (&str, &str) {
    match operator {
        "" | "+" => ("", ","),
        "#" => ("#", ","),
        "?" => ("?", "&"),
        other => (other, other),
    }
}

/// RFC 6570 §3.2.1, for one variable.
fn expand(operator: &str, name: &str, modifier: &str, value: &Value) -> Option<String> {
    let named = matches!(operator, ";" | "?" | "&");
    let encode = |text: &str| encode(text, matches!(operator, "+" | "#"));
    let with_name = |name: &str, value: String| match (named, value.is_empty(), operator) {
        (false, ..) => value,
        (true, true, ";") => name.to_owned(),
        _ => format!("{name}={value}"),
    };
    let (_, separator) = edges(operator);
    let explode = modifier == "*";
    Some(match value {
        Value::Undefined => return None,
        Value::String(text) => {
            let length = modifier
                .strip_prefix(':')
                .map_or(usize::MAX, |it| it.parse().expect("a number"));
            with_name(name, encode(&text.chars().take(length).collect::<String>()))
        }
        Value::List(list) if list.is_empty() => return None,
        Value::Pairs(pairs) if pairs.is_empty() => return None,
        // A prefix of a list is undefined.
        _ if modifier.starts_with(':') => return None,
        Value::List(list) if explode => {
            let each = list.iter().map(|it| with_name(name, encode(it)));
            each.collect::<Vec<_>>().join(separator)
        }
        Value::List(list) => with_name(
            name,
            list.iter()
                .map(|it| encode(it))
                .collect::<Vec<_>>()
                .join(","),
        ),
        Value::Pairs(pairs) if explode => {
            let each = pairs.iter().map(|(key, value)| match named {
                true => with_name(key, encode(value)),
                false => format!("{}={}", encode(key), encode(value)),
            });
            each.collect::<Vec<_>>().join(separator)
        }
        Value::Pairs(pairs) => {
            let each = pairs
                .iter()
                .map(|(key, value)| format!("{},{}", encode(key), encode(value)));
            with_name(name, each.collect::<Vec<_>>().join(","))
        }
    })
}

fn encode(text: &str, reserved: bool) -> String {
    let mut encoded = String::new();
    for character in text.chars() {
        let kept = character.is_ascii_alphanumeric()
            || "-._~".contains(character)
            || (reserved && ":/?#[]@!$&'()*+,;=".contains(character));
        let mut buffer = [0; 4];
        for byte in character.encode_utf8(&mut buffer).bytes() {
            match kept {
                true => encoded.push(char::from(byte)),
                false => encoded.push_str(&format!("%{byte:02X}")),
            }
        }
    }
    encoded
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn an_expansion_is_matched(
        pieces in prop::collection::vec(("[a-c/.?é]{0,3}", expression()), 1..4),
        end in "[a-c/]{0,2}",
    ) {
        let mut template = String::new();
        let mut expansion = String::new();
        for (literal, (expression, expanded)) in pieces {
            template += &(literal.clone() + &expression);
            expansion += &(literal.replace('é', "%C3%A9") + &expanded);
        }
        template += &end;
        expansion += &end;
        let selector = parse(&template, Syntax::Mercure);
        prop_assert!(selector.matches(&expansion), "{} {}", template, expansion);
        prop_assert!(expansion.starts_with(selector.prefix()));
        prop_assert!(template.starts_with(selector.prefix()));
        prop_assert!(selector.matches(&template));
        for topic in [&expansion, &template] {
            prop_assert!(topic.ends_with(selector.suffix()));
            selector.each_piece(|piece| assert!(topic.contains(piece), "{piece} {topic}"));
        }
    }

    #[test]
    fn superfluous_templates_are_those_that_add_no_topic(
        templates in prop::collection::vec(r"a{0,1}(\{[+#./;?&]{0,1}[ab](:1|:2|\*){0,1}(,[ab](:1|:2|\*){0,1}){0,1}\}[a/]{0,1}){1,2}", 2..6),
        topic in r"([ab]|[=,;/.?&#]|%41){0,6}",
    ) {
        let selectors: Vec<_> = templates.iter().map(|text| parse(text, Syntax::Mercure)).collect();
        let kept = without_superfluous(selectors.clone());
        for topic in templates.iter().chain([&topic]) {
            let before = selectors.iter().any(|selector| selector.matches(topic));
            let after = kept.iter().any(|selector| selector.matches(topic));
            prop_assert_eq!(before, after, "{} {:?}", topic, kept);
        }
    }

    #[test]
    fn templates_match_as_by_trying_all_values(
        template in r"[a/]{0,1}(\{[+#./;?&]{0,1}[ab](:1|:2|\*){0,1}(,[ab](:1|\*){0,1}){0,1}\}[a/=]{0,1}){1,2}",
        topic in r"([ab]|[=,;/.?&#]|é|%C3%A9|%41|%){0,7}",
    ) {
        prop_assert_eq!(
            parse(&template, Syntax::Mercure).matches(&topic),
            oracle::template(&template, &topic) || template == topic,
            "{} {}", template, topic
        );
    }

    #[test]
    fn named_templates_match_as_by_trying_all_values(
        template in r"\{[;?&]a(:1|\*){0,1}(,b(:1|\*){0,1}){0,1}\}",
        topic in r"[;?&](a|b|c|a=|b=|c=)[abé,]{0,2}([;&](a|b|a=|b=)[ab]{0,2}){0,2}",
    ) {
        prop_assert_eq!(
            parse(&template, Syntax::Mercure).matches(&topic),
            oracle::template(&template, &topic),
            "{} {}", template, topic
        );
    }

    #[test]
    fn wildcards_match_as_by_comparing_segments(pattern in r"[ab*/]{0,6}(/\*\*){0,1}", topic in "[ab*/]{1,8}") {
        prop_assume!(!pattern.is_empty() && pattern != "*");
        let selector = parse(&pattern, Syntax::Native);
        let segments: Vec<&str> = pattern.split('/').collect();
        let of_topic: Vec<&str> = topic.split('/').collect();
        let expected = oracle::wildcard(&segments, &of_topic);
        prop_assert_eq!(selector.matches(&topic), expected, "{} {}", pattern, topic);
        prop_assert!(!expected || topic.starts_with(selector.prefix()));
        prop_assert!(selector.matches(&pattern));
    }

    #[test]
    fn any_text_is_read_and_matches_itself(text in r"(\PC|[{}*/+:,%é\x00-\x7f]){1,40}", topic in r"\PC{0,20}") {
        for syntax in [Syntax::Mercure, Syntax::Native] {
            let Ok(selector) = Selector::parse(&text, syntax, BYTES_MAX) else { continue };
            prop_assert!(selector.matches(&text));
            prop_assert!(text.starts_with(selector.prefix()));
            prop_assert!(!selector.matches(&topic) || topic.starts_with(selector.prefix()));
        }
    }
}
