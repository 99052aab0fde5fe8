use super::*;

fn read(rules: &[&str], claims: Value) -> Result<Access, TokenError> {
    let rule = |rule: &&str| TopicRule::parse(rule, 64).expect("a rule");
    let policy = Policy {
        topics_from: rules.iter().map(rule).collect(),
        ..policy()
    };
    verify(&auth_with(secret(), policy), token(claims))
}

fn topics(rules: &[&str], claims: Value) -> Vec<String> {
    let access = read(rules, claims).expect("valid");
    assert_eq!(access.topics, access.subscribe);
    texts(&access.topics)
        .iter()
        .map(|text| (*text).to_owned())
        .collect()
}

#[test]
fn claims_become_topics() {
    let rules = ["user/{sub}", "role/{roles}"];
    assert_eq!(
        topics(
            &rules,
            json!({"sub": "42", "roles": ["editor", "admin", "admin"]})
        ),
        ["role/admin", "role/editor", "user/42"]
    );
    assert_eq!(
        topics(&rules, json!({"sub": 42, "roles": "one"})),
        ["role/one", "user/42"]
    );
    assert_eq!(topics(&rules, json!({"sub": true})), ["user/true"]);
    assert_eq!(topics(&rules, json!({"roles": []})), [""; 0]);
    assert_eq!(topics(&rules, json!({"roles": null, "sub": null})), [""; 0]);
    assert_eq!(topics(&["everyone"], json!({})), ["everyone"]);
}

#[test]
fn a_claim_is_found_by_its_name_or_by_the_way_to_it() {
    let nested = json!({"realm_access": {"roles": ["a"]}});
    assert_eq!(
        topics(&["role/{realm_access.roles}"], nested.clone()),
        ["role/a"]
    );
    assert_eq!(
        topics(&["role/{realm_access.none}"], nested.clone()),
        [""; 0]
    );
    assert_eq!(topics(&["role/{realm_access.roles.x}"], nested), [""; 0]);
    let named = json!({"https://x.example/roles": ["b"]});
    assert_eq!(
        topics(&["role/{https://x.example/roles}"], named),
        ["role/b"]
    );
}

#[test]
fn several_claims_are_multiplied_within_a_bound() {
    let rules = ["t/{tenant}/r/{roles}"];
    assert_eq!(
        topics(&rules, json!({"tenant": ["a", "b"], "roles": ["x", "y"]})),
        ["t/a/r/x", "t/a/r/y", "t/b/r/x", "t/b/r/y"]
    );
    assert_eq!(topics(&rules, json!({"tenant": ["a", "b"]})), [""; 0]);
    let many = |count: usize| (0..count).map(|n| n.to_string()).collect::<Vec<_>>();
    let found = read(&rules, json!({"tenant": many(50), "roles": many(3)}));
    assert_eq!(found, Err(TokenError::TooManySelectors { max: 100 }));
    let found = read(&["a/{a}", "b/{a}"], json!({"a": many(51)}));
    assert_eq!(found, Err(TokenError::TooManySelectors { max: 100 }));
}

#[test]
fn a_value_never_becomes_a_pattern() {
    for value in ["*", "a*", "**", "{x}", "}", ""] {
        for claims in [json!({"sub": value}), json!({"sub": ["fine", value]})] {
            let error = read(&["user/{sub}"], claims).expect_err("refused");
            assert!(
                error.to_string().starts_with("the token's claim `sub` "),
                "{error}"
            );
        }
    }
    for value in [json!({}), json!([[]]), json!([null]), json!(["a", {}])] {
        assert!(read(&["user/{sub}"], json!({"sub": value})).is_err());
    }
    let long = "hush".repeat(20);
    let error = read(&["user/{sub}"], json!({"sub": long})).expect_err("refused");
    assert_eq!(
        error.to_string(),
        "the token's claim `sub` makes a topic longer than `topic_bytes_max`"
    );
    assert!(read(&["{sub}/{sub}"], json!({"sub": "x".repeat(32)})).is_err());
    // A value that no rule uses is ignored.
    assert!(read(&["user/{sub}"], json!({"sub": "1", "other": "*"})).is_ok());
}

#[test]
fn topics_add_to_what_the_mercure_claim_grants() {
    let claims = json!({"sub": "1", "mercure": {"subscribe": ["user/1", "news"]}});
    let access = read(&["user/{sub}"], claims).expect("valid");
    assert_eq!(texts(&access.topics), ["user/1"]);
    assert_eq!(texts(&access.subscribe), ["news", "user/1"]);
}

#[test]
fn a_rule_may_be_a_pattern_around_values_that_are_literal() {
    let access = read(&["tenant/{tenant}/**"], json!({"tenant": "a+b"})).expect("valid");
    let matches = |topic: &str| access.topics.iter().any(|selector| selector.matches(topic));
    assert!(matches("tenant/a+b/orders/7"));
    assert!(!matches("tenant/a/orders") && !matches("tenant/ab/orders"));
}

#[test]
fn a_value_with_slashes_does_not_make_a_wildcard_of_the_star_beside_it() {
    for rule in [
        "a/{sub}*",
        "a/*{sub}",
        "a/**{sub}/b",
        "{sub}**",
        "a/{b}{c}*/d",
        "a/x{https://a.example/c}y*",
    ] {
        assert_eq!(
            TopicRule::parse(rule, 64),
            Err(RuleError::Wildcard),
            "{rule}"
        );
    }
    for rule in ["a/{sub}/*", "*/{sub}", "a/{sub}/**", "a*/{sub}", "*", "a*"] {
        assert!(TopicRule::parse(rule, 64).is_ok(), "{rule}");
    }
    let found = topics(&["a/{sub}/*"], json!({"sub": "b/c"}));
    assert_eq!(found, ["a/b/c/*"]);
}

#[test]
fn a_topic_that_its_last_text_makes_too_long_is_told_as_that() {
    let fault = |rule: TopicRule, claims: Value, topic_bytes_max: usize| {
        let bounds = crate::auth::rules::Bounds {
            topic_bytes_max,
            selectors_max: 9,
        };
        let error = rule.apply(&object(claims), &bounds, &mut Default::default());
        error.expect_err("refused").to_string()
    };
    let rule = |text| TopicRule::parse(text, 64).expect("a rule");
    assert_eq!(
        fault(rule("{a}/bcdefg"), json!({"a": "x"}), 7),
        "the token's claim `a` makes a topic longer than `topic_bytes_max`"
    );
}
