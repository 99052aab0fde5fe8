//! Naive matchers: they try every assignment of values, by plain recursion. Exponential, so for
//! short texts only.

/// The continuation after a piece: called with each rest of the topic that the piece can leave.
type Then<'a> = &'a dyn Fn(&str) -> bool;

/// Whether a well-formed template of ASCII literals matches.
pub(super) fn template(text: &str, topic: &str) -> bool {
    let Some(brace) = text.find('{') else {
        return text == topic;
    };
    let (literal, rest) = text.split_at(brace);
    let (inner, behind) = rest[1..].split_once('}').expect("well-formed");
    let Some(topic) = topic.strip_prefix(literal) else {
        return false;
    };
    let (operator, list) = match inner.split_at(1) {
        (operator @ ("+" | "#" | "." | "/" | ";" | "?" | "&"), list) => (operator, list),
        _ => ("", inner),
    };
    let list: Vec<&str> = list.split(',').collect();
    variables(operator, &list, true, topic, &|rest| template(behind, rest))
}

fn variables(operator: &str, list: &[&str], first: bool, topic: &str, then: Then<'_>) -> bool {
    let Some((variable, others)) = list.split_first() else {
        return then(topic);
    };
    // Undefined.
    if variables(operator, others, first, topic, then) {
        return true;
    }
    let lead = if first {
        first_of(operator)
    } else {
        separator(operator)
    };
    topic.strip_prefix(lead).is_some_and(|topic| {
        defined(operator, variable, topic, &|rest| {
            variables(operator, others, false, rest, then)
        })
    })
}

fn defined(operator: &str, variable: &str, topic: &str, then: Then<'_>) -> bool {
    let named = matches!(operator, ";" | "?" | "&");
    let string = |max: usize, topic: &str, then: Then<'_>| characters(operator, max, topic, then);
    let listed =
        |topic: &str, then: Then<'_>| members(topic, ",", &|t, n| string(usize::MAX, t, n), then);
    if let Some(name) = variable.strip_suffix('*') {
        let separator = separator(operator);
        let pair = |topic: &str, then: Then<'_>| {
            string(usize::MAX, topic, &|rest| {
                value(operator, rest, &|t, n| string(usize::MAX, t, n), then)
            })
        };
        let member = |topic: &str, then: Then<'_>| match topic.strip_prefix(name) {
            Some(rest) if named => value(operator, rest, &|t, n| string(usize::MAX, t, n), then),
            None if named => false,
            _ => string(usize::MAX, topic, then),
        };
        return members(topic, separator, &pair, then) || members(topic, separator, &member, then);
    }
    let (name, max) = match variable.split_once(':') {
        Some((name, length)) => (name, length.parse().expect("a number")),
        None => (variable, usize::MAX),
    };
    let plain = |topic: &str, then: Then<'_>| {
        string(max, topic, then) || (max == usize::MAX && listed(topic, then))
    };
    if !named {
        return plain(topic, then);
    }
    topic
        .strip_prefix(name)
        .is_some_and(|rest| value(operator, rest, &plain, then))
}

/// The text after a name.
fn value(
    operator: &str,
    topic: &str,
    plain: &dyn Fn(&str, Then<'_>) -> bool,
    then: Then<'_>,
) -> bool {
    let unnamed_or_query = operator != ";";
    (!unnamed_or_query && then(topic))
        || topic
            .strip_prefix('=')
            .is_some_and(|rest| plain(rest, then))
}

/// One member, and any number of others after separators.
fn members(
    topic: &str,
    separator: &str,
    one: &dyn Fn(&str, Then<'_>) -> bool,
    then: Then<'_>,
) -> bool {
    one(topic, &|rest| {
        then(rest)
            || rest
                .strip_prefix(separator)
                .is_some_and(|rest| members(rest, separator, one, then))
    })
}

/// Up to `max` characters of a value.
fn characters(operator: &str, max: usize, topic: &str, then: Then<'_>) -> bool {
    if then(topic) {
        return true;
    }
    let Some(character) = topic.chars().next().filter(|_| max > 0) else {
        return false;
    };
    let reserved = matches!(operator, "+" | "#") && ":/?#[]@!$&'()*+,;=".contains(character);
    let plain = character.is_ascii_alphanumeric() || "-._~é".contains(character) || reserved;
    let next = |length: usize| characters(operator, max - 1, &topic[length..], then);
    if plain {
        return next(character.len_utf8());
    }
    let triplet = topic.len() >= 3
        && character == '%'
        && topic.as_bytes()[1..3].iter().all(u8::is_ascii_hexdigit);
    (triplet && next(3)) || (topic.starts_with("%C3%A9") && next(6))
}

/// Whether a wildcard pattern matches: `*` as any text without slashes, `**` as any text.
pub(super) fn wildcard(pattern: &[&str], topic: &[&str]) -> bool {
    match (pattern, topic) {
        ([], []) => true,
        (["**"], further) => !further.is_empty() && *further != [""],
        (["*", pattern @ ..], [segment, topic @ ..]) => {
            !segment.is_empty() && wildcard(pattern, topic)
        }
        ([literal, pattern @ ..], [segment, topic @ ..]) => {
            literal == segment && wildcard(pattern, topic)
        }
        _ => false,
    }
}

fn first_of(operator: &str) -> &str {
    match operator {
        "+" => "",
        other => other,
    }
}

fn separator(operator: &str) -> &str {
    match operator {
        "" | "+" | "#" => ",",
        "?" => "&",
        other => other,
    }
}
