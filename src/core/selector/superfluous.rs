//! Fewer patterns for the same topics.
//!
//! A client may ask for a thousand templates that match the same topics (`{a}`, `{b}`, …). Each of
//! them would cost time for every event that it matches. Of templates that differ only in
//! irrelevant parts, a stream keeps the widest.

use std::sync::Arc;

use hashbrown::{HashMap, HashSet};

use super::template::{self, Modifier, Part, Style};
use super::{Kind, Selector};

/// The length of a variable without a bound.
const UNBOUNDED: u16 = u16::MAX;

/// Selectors that together match the same topics as these, without templates that another one makes
/// superfluous. Every selector matches its own text; so a superfluous one is kept as the name of
/// that topic.
#[must_use]
pub fn without_superfluous(selectors: Vec<Selector>) -> Vec<Selector> {
    let templates = selectors
        .iter()
        .filter(|selector| selector.kind == Kind::Template);
    if templates.count() < 2 {
        return selectors;
    }
    let mut widest: HashMap<String, (usize, u16)> = HashMap::new();
    let mut shapes = Vec::with_capacity(selectors.len());
    for (number, selector) in selectors.iter().enumerate() {
        if selector.kind != Kind::Template {
            continue;
        }
        let (shape, length) = shape(selector.text());
        let best = widest.entry_ref(&*shape).or_insert((number, length));
        if length > best.1 {
            *best = (number, length);
        }
        shapes.push((number, shape));
    }
    let mut selectors = selectors;
    let mut renamed = false;
    for (number, shape) in shapes {
        if widest.get(&shape).is_some_and(|(best, _)| *best != number) {
            selectors[number].kind = Kind::Exact;
            renamed = true;
        }
    }
    if renamed {
        // The client may have asked for the name, too.
        let mut names = HashSet::new();
        selectors
            .retain(|selector| !selector.is_exact() || names.insert(Arc::clone(&selector.text)));
    }
    selectors
}

/// The part of a template that decides which topics it matches, beside its own text: the template
/// without the names that are not written. If it has a single variable that may be bounded, the
/// bound is returned separately: among templates of one shape, a higher bound matches more topics.
fn shape(text: &str) -> (String, u16) {
    let mut shape = String::with_capacity(text.len());
    let mut lengths = Vec::new();
    for part in template::parts(text) {
        let expression = match part {
            Part::Literal(literal) => {
                shape.push_str(literal);
                continue;
            }
            Part::Expression(expression) => expression,
        };
        shape.push('{');
        shape.push_str(expression.sign);
        let is_named = expression.operator.style != Style::Unnamed;
        for variable in expression.variables().flatten() {
            match variable.modifier {
                Modifier::Explode => shape.push('*'),
                Modifier::None | Modifier::Prefix(_) if is_named => shape.push_str(variable.name),
                Modifier::None | Modifier::Prefix(_) => {}
            }
            match variable.modifier {
                Modifier::Explode => {}
                Modifier::None => lengths.push((shape.len(), UNBOUNDED)),
                Modifier::Prefix(length) => lengths.push((shape.len(), length)),
            }
            shape.push(',');
        }
        shape.push('}');
    }
    if let [(_, length)] = lengths[..] {
        return (shape, length);
    }
    for (at, length) in lengths.into_iter().rev() {
        if length != UNBOUNDED {
            shape.insert_str(at, &format!(":{length}"));
        }
    }
    (shape, UNBOUNDED)
}

#[cfg(test)]
mod tests {
    use super::super::Syntax;
    use super::*;

    fn parse(text: &str) -> Selector {
        Selector::parse(text, Syntax::Native, 1_024).expect("a selector")
    }

    fn patterns(texts: &[&str]) -> Vec<String> {
        let selectors = texts.iter().map(|text| parse(text)).collect();
        let kept = without_superfluous(selectors);
        let patterns = kept.iter().filter(|selector| !selector.is_exact());
        patterns
            .map(|selector| selector.text().to_owned())
            .collect()
    }

    /// Ten streams of a thousand templates each slowed every publisher down to a three-hundredth.
    #[test]
    fn a_thousand_templates_of_the_same_topics_are_one_pattern() {
        let selectors: Vec<_> = (0..1_000)
            .map(|n| parse(&format!("publish/{{id{n}}}")))
            .collect();
        let kept = without_superfluous(selectors);
        assert_eq!(kept.len(), 1_000, "each matches its own text");
        assert_eq!(
            kept.iter().filter(|selector| !selector.is_exact()).count(),
            1
        );
        let lengths: Vec<_> = (1..1_000).map(|n| parse(&format!("{{id:{n}}}"))).collect();
        let kept = without_superfluous(lengths);
        let widest: Vec<_> = kept
            .iter()
            .filter(|selector| !selector.is_exact())
            .collect();
        assert_eq!(widest, [&parse("{id:999}")]);
    }

    #[test]
    fn templates_that_match_other_topics_are_kept() {
        let all = [
            "a/{x}",
            "{x}",
            "{+x}",
            "{x*}",
            "{x}/{y}",
            "{x:3}/{y}",
            "{x}/{y:2}",
            "{?x}",
            "{?y}",
            "{x,y}",
            "{/x}",
            "*",
            "a/*",
        ];
        assert_eq!(patterns(&all), all);
        assert_eq!(patterns(&["{x:2}", "{x}", "{y:9}"]), ["{x}"]);
        assert_eq!(patterns(&["{?x:2}", "{?x}", "{?y}"]), ["{?x}", "{?y}"]);
        assert_eq!(patterns(&["{?x*}", "{?y*}"]), ["{?x*}"]);
    }

    #[test]
    fn a_name_is_not_asked_for_twice() {
        let kept = without_superfluous(vec![parse("{a}"), parse("{b}"), Selector::exact("{b}")]);
        assert_eq!(kept, [parse("{a}"), Selector::exact("{b}")]);
    }
}
