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
    assert_eq!((access.topics.len(), access.ends_unix_ms), (0, None));
}

#[test]
fn the_claim_may_have_a_uri_for_a_name_which_then_wins() {
    let uri = "https://mercure.rocks/";
    let grants = |name: &str| json!({"publish": [name], "subscribe": [name], "payload": name});
    let named = read(json!({uri: grants("a")})).expect("valid");
    assert_eq!(Ok(named.clone()), read(json!({"mercure": grants("a")})));
    // The other claim is not read at all, neither its grants nor its faults.
    for other in [grants("b"), json!({}), json!(5), json!({"publish": 5})] {
        let both = read(json!({"mercure": other, uri: grants("a")}));
        assert_eq!(both, Ok(named.clone()));
    }
    let none = read(json!({"mercure": grants("a"), uri: {}}));
    assert_eq!(none, Ok(Access::default()));
    // A name that only looks similar does not count.
    for name in ["https://mercure.rocks", "http://mercure.rocks/", "Mercure"] {
        assert_eq!(read(json!({name: grants("a")})), Ok(Access::default()));
    }
    for (claim, expected) in [
        (json!(null), "`https://mercure.rocks/` must be an object"),
        (
            json!({"publish": "*"}),
            "`https://mercure.rocks/.publish` must be a list of strings",
        ),
        (
            json!({"subscribe": [1]}),
            "`https://mercure.rocks/.subscribe` must be a list of strings",
        ),
    ] {
        let message = fault(json!({uri: claim}));
        assert_eq!(message, format!("the token's claim {expected}"));
    }
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
    for claim in ["exp", "nbf", "iat"] {
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

/// The end of a token with these claims, read `after_ms` after [`NOW`].
fn ends_at(after_ms: u64, claims: Value) -> Result<Option<u64>, TokenError> {
    let now = NOW_TIME + Duration::from_millis(after_ms);
    let access = auth(secret()).verify(Role::Subscriber, token(claims).as_bytes(), now)?;
    Ok(access.ends_unix_ms)
}

#[test]
fn a_token_is_valid_from_its_beginning_to_its_end_fractions_included() {
    let now = NOW as f64;
    // Made a moment ago, by a clock with fractions.
    let begun = json!({"nbf": now + 0.25, "iat": now + 0.25});
    assert_eq!(ends_at(249, begun.clone()), Err(TokenError::NotYetValid));
    assert_eq!(ends_at(250, begun), Ok(None));
    let ending = json!({"exp": now + 0.75});
    assert_eq!(ends_at(749, ending.clone()), Ok(Some(NOW * 1_000 + 750)));
    assert_eq!(ends_at(750, ending), Err(TokenError::Expired));
    // A fraction of a millisecond does not extend a token's life.
    let ending = json!({"exp": now + 0.7506});
    assert_eq!(ends_at(750, ending), Ok(Some(NOW * 1_000 + 750)));
    let whole = json!({"nbf": NOW, "exp": NOW + 1});
    assert_eq!(ends_at(0, whole.clone()), Ok(Some((NOW + 1) * 1_000)));
    assert_eq!(ends_at(999, whole.clone()), Ok(Some((NOW + 1) * 1_000)));
    assert_eq!(ends_at(1_000, whole), Err(TokenError::Expired));
}

#[test]
fn times_are_numbers_of_any_form_and_size() {
    let ends = |claims: Value| ends_at(0, claims);
    assert_eq!(ends(json!({"exp": NOW})), Err(TokenError::Expired));
    for past in [json!(-5), json!(-1e300), json!(0), json!(-0.0)] {
        assert_eq!(ends(json!({"exp": past})), Err(TokenError::Expired));
        assert_eq!(ends(json!({"nbf": past, "iat": past})), Ok(None));
    }
    for never in [json!(1e300), json!(u64::MAX), json!(i64::MAX)] {
        assert!(ends(json!({"exp": never})).is_ok_and(|end| end >= Some(1 << 62)));
        let early = ends(json!({"nbf": never}));
        assert_eq!(early, Err(TokenError::NotYetValid));
    }
    // As the raw bytes of the token, because a JSON library would write them in its own way.
    let raw = |claims: &str| {
        let key = SigningKey::from_secret(SECRET.as_bytes(), None).expect("a key");
        let token = key.sign_bytes(br#"{"alg":"HS256"}"#, claims.as_bytes());
        let access = verify(&auth(secret()), token.expect("a token"))?;
        Ok(access.ends_unix_ms)
    };
    assert_eq!(
        raw(r#"{"exp":1.7000000015E+9}"#),
        Ok(Some(NOW * 1_000 + 1_500))
    );
    assert_eq!(
        raw(r#"{"exp":17000000015e-1}"#),
        Ok(Some(NOW * 1_000 + 1_500))
    );
    for claims in [
        r#"{"exp":1e999}"#,
        r#"{"exp":NaN}"#,
        r#"{"exp":Infinity}"#,
        r#"{"exp":01}"#,
        r#"{"nbf":-1e999}"#,
    ] {
        assert_eq!(raw(claims), Err(TokenError::Claims), "{claims}");
    }
}

#[test]
fn leeway_helps_at_both_ends() {
    let policy = Policy {
        leeway: Duration::from_millis(10_500),
        ..policy()
    };
    let ends = |claims| read_with(policy.clone(), claims).map(|access| access.ends_unix_ms);
    assert_eq!(ends(json!({"exp": NOW - 10})), Ok(Some(NOW * 1_000 + 500)));
    assert_eq!(ends(json!({"exp": NOW - 11})), Err(TokenError::Expired));
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
