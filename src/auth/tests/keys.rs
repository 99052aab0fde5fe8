use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::*;

fn jwks(keys: Value) -> Result<KeySet, KeyError> {
    KeySet::from_jwks(json!({"keys": keys}).to_string().as_bytes(), None)
}

fn oct(secret: &[u8], more: Value) -> Value {
    let mut key = json!({"kty": "oct", "k": URL_SAFE_NO_PAD.encode(secret)});
    for (name, value) in object(more) {
        key[&name] = value;
    }
    key
}

fn signed(secret: &[u8], header: Value) -> String {
    let key = SigningKey::from_secret(secret, None).expect("a key");
    sign_with(&key, &header, &object(json!({}))).expect("a token")
}

#[test]
fn a_public_key_is_not_taken_for_a_secret() {
    for text in [
        "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA\n",
        "\n -----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n",
        "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEI\n",
    ] {
        let error = KeySet::from_secret(text.as_bytes(), None).expect_err("no secret");
        assert_eq!(error, KeyError::PemSecret);
        assert!(SigningKey::from_secret(text.as_bytes(), None).is_err());
    }
}

#[test]
fn secrets_are_as_long_as_the_hash() {
    for (algorithm, min) in [
        (None, 32),
        (Some(Algorithm::Hs256), 32),
        (Some(Algorithm::Hs384), 48),
        (Some(Algorithm::Hs512), 64),
    ] {
        let secret = vec![7; min];
        assert!(KeySet::from_secret(&secret, algorithm).is_ok());
        let error = KeySet::from_secret(&secret[1..], algorithm).expect_err("too short");
        assert!(matches!(error, KeyError::ShortSecret { .. }), "{error}");
        assert!(SigningKey::from_secret(&secret[1..], algorithm).is_err());
    }
    for (name, algorithm) in &ALGORITHMS[3..] {
        let error = KeySet::from_secret(&[7; 64], Some(*algorithm)).expect_err("no secret");
        assert_eq!(
            error.to_string(),
            format!("{name} does not work with a secret")
        );
    }
}

#[test]
fn public_keys_come_in_every_usual_form() {
    for (text, algorithm) in [
        (pem!("rsa.pub.pem"), Algorithm::Rs256),
        (pem!("rsa.pkcs1.pub.pem"), Algorithm::Rs256),
        (pem!("rsa.cert.pem"), Algorithm::Rs256),
        (pem!("p256.pub.pem"), Algorithm::Es256),
        (pem!("p256.cert.pem"), Algorithm::Es256),
        (pem!("p384.pub.pem"), Algorithm::Es384),
        (pem!("p384.cert.pem"), Algorithm::Es384),
        (pem!("p521.pub.pem"), Algorithm::Es512),
        (pem!("p521.cert.pem"), Algorithm::Es512),
        (pem!("ed25519.pub.pem"), Algorithm::EdDsa),
        (pem!("ed25519.cert.pem"), Algorithm::EdDsa),
    ] {
        let keys = KeySet::from_pem(text, None).expect("a key");
        assert_eq!((keys.len(), keys.keys[0].algorithm), (1, algorithm));
    }
    let several = [pem!("rsa.pub.pem"), "# old\n", pem!("p256.pub.pem")].concat();
    assert_eq!(KeySet::from_pem(&several, None).expect("keys").len(), 2);
}

#[test]
fn keys_that_are_none_are_refused() {
    for text in [pem!("rsa.pem"), pem!("p256.pem"), pem!("ed25519.pem")] {
        assert_eq!(
            KeySet::from_pem(text, None).expect_err("private"),
            KeyError::Private
        );
    }
    let error = KeySet::from_pem(pem!("rsa-1024.pub.pem"), None).expect_err("small");
    assert_eq!(error, KeyError::RsaSize);
    for text in [
        "",
        "hello",
        "-----BEGIN PUBLIC KEY-----",
        "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
    ] {
        assert_eq!(
            KeySet::from_pem(text, None).expect_err("no key"),
            KeyError::Pem
        );
    }
    let public = pem!("p256.pub.pem");
    let error = KeySet::from_pem(public, Some(Algorithm::Es384)).expect_err("another curve");
    assert_eq!(error.to_string(), "ES384 does not work with a key on P-256");
    for end in (0..public.len()).step_by(7) {
        assert!(
            KeySet::from_pem(&public[..end], None).is_err(),
            "cut at {end}"
        );
    }
}

#[test]
fn private_keys_sign_for_what_they_are() {
    for (private, public, name) in [
        (pem!("rsa.pem"), pem!("rsa.pub.pem"), "RS256"),
        (pem!("p256.pem"), pem!("p256.pub.pem"), "ES256"),
        (pem!("p384.pem"), pem!("p384.pub.pem"), "ES384"),
        (pem!("p521.pem"), pem!("p521.pub.pem"), "ES512"),
        (pem!("ed25519.pem"), pem!("ed25519.pub.pem"), "EdDSA"),
    ] {
        let signing = SigningKey::from_pem(private, None).expect(name);
        let token = signing.sign(&object(json!({}))).expect(name);
        let keys = KeySet::from_pem(public, None).expect(name);
        assert!(verify(&auth(keys), token).is_ok(), "{name}");
        assert!(SigningKey::from_pem(public, None).is_err(), "{name}");
    }
    let wrong = SigningKey::from_pem(pem!("p256.pem"), Some(Algorithm::Es384));
    assert!(matches!(wrong.err(), Some(SignError::Refused("ES384"))));
}

#[test]
fn a_key_is_chosen_by_its_name() {
    let (a, b) = ([1; 32], [2; 32]);
    let named = jwks(json!([
        oct(&a, json!({"kid": "a"})),
        oct(&b, json!({"kid": "b"}))
    ]));
    let named = auth(named.expect("keys"));
    let check =
        |auth: &Auth, secret: &[u8], header: Value| verify(auth, signed(secret, header)).map(drop);
    assert_eq!(
        check(&named, &a, json!({"alg": "HS256", "kid": "a"})),
        Ok(())
    );
    assert_eq!(
        check(&named, &b, json!({"alg": "HS256", "kid": "b"})),
        Ok(())
    );
    let wrong = check(&named, &a, json!({"alg": "HS256", "kid": "b"}));
    assert_eq!(wrong, Err(TokenError::Signature));
    let unknown = check(&named, &a, json!({"alg": "HS256", "kid": "c"}));
    assert_eq!(unknown, Err(TokenError::UnknownKey));
    let unfit = check(&named, &a, json!({"alg": "HS384", "kid": "a"}));
    assert_eq!(unfit, Err(TokenError::Algorithm));
    // Without a name, all fitting keys are tried.
    assert_eq!(check(&named, &b, json!({"alg": "HS256"})), Ok(()));
    assert_eq!(
        check(&named, &[3; 32], json!({"alg": "HS256"})),
        Err(TokenError::Signature)
    );
    // A key without a name is tried for every name.
    let mixed = jwks(json!([oct(&a, json!({})), oct(&b, json!({"kid": "b"}))]));
    let mixed = auth(mixed.expect("keys"));
    assert_eq!(
        check(&mixed, &a, json!({"alg": "HS256", "kid": "x"})),
        Ok(())
    );
    let unknown = check(&mixed, &[3; 32], json!({"alg": "HS256", "kid": "x"}));
    assert_eq!(unknown, Err(TokenError::UnknownKey));
    let plain = auth(KeySet::from_secret(&a, None).expect("a key"));
    assert_eq!(
        check(&plain, &a, json!({"alg": "HS256", "kid": "x"})),
        Ok(())
    );
    assert_eq!(
        check(&plain, &b, json!({"alg": "HS256", "kid": "x"})),
        Err(TokenError::Signature)
    );
}

#[test]
fn a_token_without_a_name_is_tried_against_every_key_of_the_largest_set() {
    let secret = |n: usize| [n as u8; 32];
    let keys = (0..KEYS_MAX).map(|n| oct(&secret(n), json!({"kid": n.to_string()})));
    let set = jwks(json!(keys.collect::<Vec<_>>())).expect("keys");
    let auth = auth(set);
    for n in 0..KEYS_MAX {
        let token = signed(&secret(n), json!({"alg": "HS256"}));
        assert!(verify(&auth, token).is_ok(), "key {n}");
    }
    let other = signed(&secret(KEYS_MAX), json!({"alg": "HS256"}));
    assert_eq!(verify(&auth, other), Err(TokenError::Signature));
}

#[test]
fn a_secret_that_anyone_may_fetch_is_no_key() {
    let ed25519 = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
    let public = json!({"kty": "OKP", "crv": "Ed25519", "x": ed25519});
    let read = |keys: Value| {
        let text = json!({"keys": keys}).to_string();
        KeySet::from_published_jwks(text.as_bytes(), None)
    };
    let set = read(json!([oct(&[1; 32], json!({})), public])).expect("a key");
    assert_eq!((set.len(), set.skipped()), (1, 1));
    let token = signed(&[1; 32], json!({"alg": "HS256"}));
    assert_eq!(verify(&auth(set), token), Err(TokenError::Algorithm));
    let none = read(json!([oct(&[1; 32], json!({}))])).expect_err("nothing");
    assert_eq!(none, KeyError::NoneUsable { skipped: 1 });
}

#[test]
fn a_key_set_is_read_for_what_can_be_used() {
    let secret = [9; 64];
    let usable = oct(&secret, json!({"alg": "HS512"}));
    let set = jwks(json!([
        usable,
        oct(&secret, json!({"use": "enc"})),
        oct(&secret, json!({"key_ops": ["sign"]})),
        oct(&secret, json!({"alg": "RSA-OAEP"})),
        oct(&secret, json!({"alg": "RS256"})),
        oct(&secret, json!({"alg": "none"})),
        oct(&secret, json!({"kid": 5})),
        oct(&secret[..31], json!({})),
        {"kty": "EC", "crv": "secp256k1", "x": "AA", "y": "AA"},
        {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"},
        {"kty": "OKP", "crv": "X25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"},
        {"kty": "OKP", "crv": "Ed25519", "x": "AA"},
        {"kty": "RSA", "n": URL_SAFE_NO_PAD.encode([255; 128]), "e": "AQAB"},
        {"kty": "RSA", "n": URL_SAFE_NO_PAD.encode([255; 256]), "e": "AQ"},
        {"kty": "RSA", "n": URL_SAFE_NO_PAD.encode([255; 256])},
        {"kty": "AKP"},
        {},
        "text",
    ]))
    .expect("a key");
    assert_eq!((set.len(), set.skipped()), (1, 17));
    assert_eq!(set.keys[0].algorithm, Algorithm::Hs512);
    let unusable = jwks(json!([{}])).expect_err("nothing");
    assert_eq!(unusable, KeyError::NoneUsable { skipped: 1 });
    assert_eq!(
        jwks(json!([])).expect_err("nothing"),
        KeyError::NoneUsable { skipped: 0 }
    );
    for text in ["", "[]", "{}", "{\"keys\": {}}", "null"] {
        let error = KeySet::from_jwks(text.as_bytes(), None).expect_err("no set");
        assert_eq!(error, KeyError::NotAKeySet);
    }
}

#[test]
fn members_that_are_null_are_not_there() {
    let secret = [9; 64];
    let ed25519 = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
    let nulls = ["kid", "alg", "use", "key_ops", "x5c", "crv", "y", "n"];
    let with_nulls = |mut key: Value| {
        for name in nulls {
            if key.get(name).is_none() {
                key[name] = json!(null);
            }
        }
        key
    };
    let set = jwks(json!([
        with_nulls(oct(&secret, json!({}))),
        with_nulls(json!({"kty": "OKP", "crv": "Ed25519", "x": ed25519})),
    ]));
    let set = set.expect("keys");
    assert_eq!((set.len(), set.skipped()), (2, 0));
    assert!(set.keys.iter().all(|key| key.id.is_none()));
    // A required member is missing.
    for name in ["kty", "crv", "x"] {
        let mut key = json!({"kty": "OKP", "crv": "Ed25519", "x": ed25519});
        key[name] = json!(null);
        assert!(jwks(json!([key])).is_err(), "{name}");
    }
    let token = signed(&secret, json!({"alg": "HS256", "kid": null}));
    assert!(verify(&auth(set), token).is_ok());
}

#[test]
fn only_keys_that_can_be_used_count() {
    let secret = [9; 64];
    let foreign = [
        json!({"kty": "RSA", "use": "enc", "n": "AA", "e": "AQAB"}),
        json!({"kty": "AKP", "alg": "ML-DSA-44"}),
        json!({"kty": "EC", "crv": "secp256k1", "x": "AA", "y": "AA"}),
        json!(null),
    ];
    let mut keys: Vec<Value> = foreign
        .iter()
        .cycle()
        .take(KEYS_MAX * 10)
        .cloned()
        .collect();
    keys.push(oct(&secret, json!({"kid": "good"})));
    let set = jwks(json!(keys)).expect("a key");
    assert_eq!((set.len(), set.skipped()), (1, KEYS_MAX * 10));
    let token = signed(&secret, json!({"alg": "HS256", "kid": "good"}));
    assert!(verify(&auth(set), token).is_ok());

    keys.extend(vec![oct(&secret, json!({})); KEYS_MAX - 1]);
    assert_eq!(jwks(json!(keys)).expect("keys").len(), KEYS_MAX);
    keys.push(oct(&secret, json!({})));
    assert_eq!(jwks(json!(keys)).expect_err("too many"), KeyError::TooMany);
}

#[test]
fn a_byte_order_mark_is_no_part_of_a_key_set() {
    let set = json!({"keys": [oct(&[9; 32], json!({}))]});
    let text = format!("\u{feff}{set}");
    assert!(KeySet::from_jwks(text.as_bytes(), None).is_ok());
    let twice = format!("\u{feff}{text}");
    let error = KeySet::from_jwks(twice.as_bytes(), None).expect_err("no JSON");
    assert_eq!(error, KeyError::NotAKeySet);
}

#[test]
fn an_rsa_key_of_a_set_does_what_it_says_or_what_is_usual() {
    // The public key of tests/data/keys/rsa.pem, as `n` and `e`.
    let parsed =
        jsonwebtoken::EncodingKey::from_rsa_pem(pem!("rsa.pem").as_bytes()).expect("a key");
    let public = jsonwebtoken::jwk::Jwk::from_encoding_key(&parsed, jsonwebtoken::Algorithm::RS256);
    let public = serde_json::to_value(public.expect("a key").algorithm).expect("JSON");
    let with = |alg: Option<&str>| {
        let mut key = public.clone();
        if let Some(alg) = alg {
            key["alg"] = json!(alg);
        }
        json!({"keys": [key]}).to_string()
    };
    for (own, configured, expected) in [
        (None, None, Algorithm::Rs256),
        (None, Some(Algorithm::Ps384), Algorithm::Ps384),
        (Some("PS256"), Some(Algorithm::Ps384), Algorithm::Ps256),
        (Some("RS512"), None, Algorithm::Rs512),
    ] {
        let set = KeySet::from_jwks(with(own).as_bytes(), configured).expect("a key");
        let signing = SigningKey::from_pem(pem!("rsa.pem"), Some(expected)).expect("a key");
        let token = signing.sign(&object(json!({}))).expect("a token");
        assert!(verify(&auth(set), token).is_ok(), "{expected:?}");
    }
    let unfit = KeySet::from_jwks(with(None).as_bytes(), Some(Algorithm::Es256));
    assert!(unfit.is_err());
}
