//! The cost of a hostile template, in steps.

use crate::core::selector::matcher::Matcher;
use crate::core::selector::{EXPRESSIONS_MAX, VARIABLES_MAX};

use super::*;

/// Most walks over the topic per variable.
const WALKS_PER_VARIABLE: usize = 6;

/// Counts the steps of a match that cannot end early.
#[track_caller]
fn bounded(template: &str, topic: &str) {
    assert!(!parse(template, Syntax::Mercure).is_exact(), "{template}");
    let mut matcher = Matcher::new(topic);
    matcher.expands(template);
    let bound = (topic.len() + 1) * (template.len() + WALKS_PER_VARIABLE * VARIABLES_MAX);
    assert!(matcher.steps > topic.len(), "it was walked");
    assert!(
        matcher.steps <= bound,
        "{template}: {} steps",
        matcher.steps
    );
}

#[test]
fn a_hostile_template_takes_a_bounded_number_of_steps() {
    let topics = [
        "a".repeat(BYTES_MAX - 1) + "!",
        "a=,;&/.".repeat(BYTES_MAX / 7),
        "%C3%A9".repeat(170),
    ];
    let lists = ["a", "a*", "a:9999", "a,b", "a*,b*", "a:500,b:500"];
    for topic in &topics {
        for operator in ["", "+", "#", ".", "/", ";", "?", "&"] {
            for list in lists {
                let template = format!(
                    "{{+x}}{}",
                    format!("{{{operator}{list}}}").repeat(EXPRESSIONS_MAX - 2)
                );
                bounded(&template, topic);
            }
        }
        bounded(&format!("{{+a}}{}{{+b}}!!", "a".repeat(900)), topic);
    }
}

#[test]
fn many_expressions_cost_one_walk_each() {
    let topic = "a".repeat(BYTES_MAX - 1) + "!";
    for one in ["{a}", "{+a}"] {
        let mut matcher = Matcher::new(&topic);
        matcher.expands(&(one.repeat(EXPRESSIONS_MAX) + "?"));
        assert!(matcher.steps <= (topic.len() + 1) * (EXPRESSIONS_MAX + 2));
    }
}

/// A short match of many variables takes few positions, and most of its time for the sets of them.
/// It was charged 134 steps and took 3 µs, so that a portion held the lock for 16 ms.
#[test]
fn a_match_of_many_variables_was_charged_its_positions_only() {
    let template = "{+a}{b}{c}{d}{e}{f}{g}{h}{i}{j}{k}{l}{m}{n}{o}";
    let steps = |template: &str, topic: &str| {
        let (matches, steps) = parse(template, Syntax::Mercure).matches_in_steps(topic);
        assert!(matches, "{template}");
        steps
    };
    assert!(steps(template, "u/77/x") >= 15 * 4 * 50);
    // A walk costs more for each position than a comparison for each byte.
    let topic = "a".repeat(BYTES_MAX);
    assert!(steps("{a}", &topic) >= 8 * BYTES_MAX);
    assert!(steps(&format!("{}{{a}}", "a".repeat(BYTES_MAX - 3)), &topic) < 8 * BYTES_MAX);
}

#[test]
fn templates_beyond_the_bounds_are_refused() {
    let parse = |text: &str| Selector::parse(text, Syntax::Native, BYTES_MAX);
    assert!(parse(&"{a}".repeat(EXPRESSIONS_MAX)).is_ok());
    assert_eq!(
        parse(&"{a}".repeat(EXPRESSIONS_MAX + 1)),
        Err(SelectorError::TooManyExpressions {
            found: EXPRESSIONS_MAX + 1
        })
    );
    let variables = |count: usize| format!("{{{}}}", vec!["a"; count].join(","));
    assert!(parse(&variables(VARIABLES_MAX)).is_ok());
    assert_eq!(
        parse(&variables(VARIABLES_MAX + 1)),
        Err(SelectorError::TooManyVariables {
            found: VARIABLES_MAX + 1
        })
    );
    assert!(matches!(parse(""), Err(SelectorError::Topic(_))));
    assert!(matches!(
        parse(&"a".repeat(BYTES_MAX + 1)),
        Err(SelectorError::Topic(_))
    ));
    // Without a last brace it is not a template, so it exceeds no bound.
    assert!(parse(&("{a}".repeat(EXPRESSIONS_MAX + 1) + "{")).is_ok_and(|it| it.is_exact()));
}
