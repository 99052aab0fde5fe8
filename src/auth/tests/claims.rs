use super::*;

fn read(claims: Value) -> Result<Access, TokenError> {
    verify(&auth(secret()), token(claims))
}

fn read_with(policy: Policy, claims: Value) -> Result<Access, TokenError> {
    verify(&auth_with(secret(), policy), token(claims))
}

fn fault(claims: Value) -> String {
    let error = read(claims).expect_err("a wrong claim");
    assert!(matches!(error, TokenError::Claim { .. }), "{error:?}");
    error.to_string()
}

#[test]
fn the_mercure_claim_grants() {
    let access = read(json!({"mercure": {
        "publish": ["b", "a", "a"],
        "subscribe": ["*", "a"],
        "payload": {"user": [1, "x y"]},
    }}))
    .expect("valid");
    assert_eq!(texts(&access.publish), ["a", "b"]);
    let mut subscribe = texts(&access.subscribe);
    subscribe.sort_unstable();
    assert_eq!(subscribe, ["*", "a"]);
    assert!(access.subscribe.is_sorted());
    assert_eq!(access.payload.as_deref(), Some(r#"{"user":[1,"x y"]}"#));
    assert_eq!((access.topics.len(), access.ends_unix_s), (0, None));
}

#[test]
fn without_it_a_token_is_valid_and_grants_nothing() {
    for claims in [
        json!({}),
        json!({"mercure": {}}),
        json!({"mercure": {"publish": null, "subscribe": null, "payload": null}}),
        json!({"mercure": {"publish": [], "subscribe": []}}),
    ] {
        assert_eq!(read(claims), Ok(Access::default()));
    }
    let payload = |value: Value| {
        read(json!({"mercure": {"payload": value}}))
            .expect("valid")
            .payload
    };
    assert_eq!(payload(json!("a")).as_deref(), Some("\"a\""));
    assert_eq!(payload(json!(false)).as_deref(), Some("false"));
}

#[test]
fn claims_of_the_wrong_type_are_errors() {
    let list = "must be a list of strings";
    for (mercure, expected) in [
        (json!({"publish": "*"}), format!("`mercure.publish` {list}")),
        (
            json!({"publish": ["a", 1]}),
            format!("`mercure.publish` {list}"),
        ),
        (
            json!({"subscribe": {"a": 1}}),
            format!("`mercure.subscribe` {list}"),
        ),
        (
            json!({"subscribe": [""]}),
            "`mercure.subscribe` holds a text that is no topic selector".to_owned(),
        ),
        (
            json!({"subscribe": ["x".repeat(65)]}),
            "`mercure.subscribe` holds a text that is no topic selector".to_owned(),
        ),
    ] {
        assert_eq!(
            fault(json!({"mercure": mercure})),
            format!("the token's claim {expected}")
        );
    }
    for mercure in [json!(null), json!([]), json!("*"), json!(1)] {
        let message = fault(json!({"mercure": mercure}));
        assert_eq!(message, "the token's claim `mercure` must be an object");
    }
    for claim in ["exp", "nbf"] {
        for value in [json!("1"), json!(null), json!([1]), json!(true), json!({})] {
            let message = fault(json!({claim: value}));
            assert_eq!(
                message,
                format!("the token's claim `{claim}` must be a number of seconds")
            );
        }
    }
    fault(json!({"iss": 5}));
    fault(json!({"aud": 5}));
    fault(json!({"aud": ["a", 5]}));
}

#[test]
fn a_token_ends_to_the_second() {
    let ends = |claims: Value| read(claims).map(|access| access.ends_unix_s);
    assert_eq!(ends(json!({"exp": NOW + 1})), Ok(Some(NOW + 1)));
    assert_eq!(ends(json!({"exp": NOW})), Err(TokenError::Expired));
    assert_eq!(ends(json!({"exp": NOW as f64 + 1.9})), Ok(Some(NOW + 1)));
    assert_eq!(
        ends(json!({"exp": NOW as f64 + 0.9})),
        Err(TokenError::Expired)
    );
    assert_eq!(ends(json!({"exp": -5})), Err(TokenError::Expired));
    assert_eq!(ends(json!({"exp": 0})), Err(TokenError::Expired));
    assert_eq!(ends(json!({"exp": 1e300})), Ok(Some(u64::MAX)));
    assert_eq!(ends(json!({"exp": u64::MAX})), Ok(Some(u64::MAX)));
    assert_eq!(ends(json!({"nbf": NOW})), Ok(None));
    assert_eq!(ends(json!({"nbf": NOW + 1})), Err(TokenError::NotYetValid));
    assert_eq!(
        ends(json!({"nbf": NOW as f64 + 0.1})),
        Err(TokenError::NotYetValid)
    );
    assert_eq!(ends(json!({"nbf": -1})), Ok(None));
}

#[test]
fn leeway_helps_at_both_ends() {
    let policy = Policy {
        leeway_s: 10,
        ..policy()
    };
    let ends = |claims| read_with(policy.clone(), claims).map(|access| access.ends_unix_s);
    assert_eq!(ends(json!({"exp": NOW - 9})), Ok(Some(NOW + 1)));
    assert_eq!(ends(json!({"exp": NOW - 10})), Err(TokenError::Expired));
    assert_eq!(ends(json!({"nbf": NOW + 10})), Ok(None));
    assert_eq!(ends(json!({"nbf": NOW + 11})), Err(TokenError::NotYetValid));
}

#[test]
fn issuer_and_audience_are_what_is_wanted() {
    let policy = Policy {
        issuer: Some("https://id.example".to_owned()),
        audience: Some("fantail".to_owned()),
        ..policy()
    };
    let check = |iss: Value, aud: Value| {
        let claims = json!({"iss": iss, "aud": aud});
        read_with(policy.clone(), claims).map(drop)
    };
    let iss = || json!("https://id.example");
    assert_eq!(check(iss(), json!("fantail")), Ok(()));
    assert_eq!(check(iss(), json!(["x", "fantail"])), Ok(()));
    assert_eq!(check(iss(), json!(["x"])), Err(TokenError::Audience));
    assert_eq!(check(iss(), json!([])), Err(TokenError::Audience));
    assert_eq!(check(iss(), json!("Fantail")), Err(TokenError::Audience));
    assert_eq!(
        check(json!("https://id.example/"), json!("fantail")),
        Err(TokenError::Issuer)
    );
    assert_eq!(
        read_with(policy.clone(), json!({"aud": "fantail"})),
        Err(TokenError::Issuer)
    );
    assert_eq!(
        read_with(policy, json!({"iss": "https://id.example"})),
        Err(TokenError::Audience)
    );
    assert!(read(json!({"iss": "anyone", "aud": "anything"})).is_ok());
}

#[test]
fn selectors_are_counted_together() {
    let names = |count: usize| (0..count).map(|n| format!("t{n}")).collect::<Vec<_>>();
    let with = |publish, subscribe| {
        read(json!({"mercure": {"publish": names(publish), "subscribe": names(subscribe)}}))
    };
    assert!(with(50, 50).is_ok());
    let too_many = Err(TokenError::TooManySelectors { max: 100 });
    assert_eq!(with(50, 51), too_many);
    assert_eq!(with(101, 0), too_many);
    assert_eq!(
        read(json!({"mercure": {"publish": vec!["a"; 101]}})),
        too_many
    );
}

#[test]
fn equal_lists_are_shared() {
    let access = read(json!({"mercure": {"publish": ["a", "b"], "subscribe": ["b", "a"]}}));
    let access = access.expect("valid");
    assert!(Arc::ptr_eq(&access.publish, &access.subscribe));
}
