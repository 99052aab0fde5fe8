use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::*;

/// A private key, its public half in two forms, and its algorithms; the first is the default.
const PAIRS: [(&str, [&str; 2], &[Algorithm]); 5] = [
    (
        pem!("rsa.pem"),
        [pem!("rsa.pub.pem"), pem!("rsa.cert.pem")],
        &[
            Algorithm::Rs256,
            Algorithm::Rs384,
            Algorithm::Rs512,
            Algorithm::Ps256,
            Algorithm::Ps384,
            Algorithm::Ps512,
        ],
    ),
    (
        pem!("p256.pem"),
        [pem!("p256.pub.pem"), pem!("p256.cert.pem")],
        &[Algorithm::Es256],
    ),
    (
        pem!("p384.pem"),
        [pem!("p384.pub.pem"), pem!("p384.cert.pem")],
        &[Algorithm::Es384],
    ),
    (
        pem!("p521.pem"),
        [pem!("p521.pub.pem"), pem!("p521.cert.pem")],
        &[Algorithm::Es512],
    ),
    (
        pem!("ed25519.pem"),
        [pem!("ed25519.pub.pem"), pem!("ed25519.cert.pem")],
        &[Algorithm::EdDsa],
    ),
];
const LONG_SECRET: [u8; 64] = [42; 64];

/// Every algorithm with a key that checks it and one that signs with it.
fn everything() -> Vec<(Algorithm, KeySet, SigningKey)> {
    let mut all = Vec::new();
    for algorithm in [Algorithm::Hs256, Algorithm::Hs384, Algorithm::Hs512] {
        let keys = KeySet::from_secret(&LONG_SECRET, Some(algorithm)).expect("a key");
        let signing = SigningKey::from_secret(&LONG_SECRET, Some(algorithm)).expect("a key");
        all.push((algorithm, keys, signing));
    }
    for (private, [public, _], algorithms) in PAIRS {
        for algorithm in algorithms {
            let keys = KeySet::from_pem(public, Some(*algorithm)).expect("a key");
            let signing = SigningKey::from_pem(private, Some(*algorithm)).expect("a key");
            all.push((*algorithm, keys, signing));
        }
    }
    assert_eq!(all.len(), ALGORITHMS.len());
    all
}

#[test]
fn each_algorithm_is_valid_with_its_key_and_with_no_other() {
    let all = everything();
    let claims = object(json!({"mercure": {"subscribe": ["a"]}}));
    for (algorithm, _, signing) in &all {
        let token = signing.sign(&claims).expect("a token");
        for (other, keys, _) in &all {
            let found = verify(&auth(keys.clone()), &token);
            if other == algorithm {
                assert_eq!(texts(&found.expect("valid").subscribe), ["a"]);
            } else {
                assert_eq!(
                    found,
                    Err(TokenError::Algorithm),
                    "{algorithm:?} by {other:?}"
                );
            }
        }
    }
}

#[test]
fn a_header_that_lies_about_its_algorithm_gains_nothing() {
    let all = everything();
    for (algorithm, keys, _) in &all {
        for (_, _, signing) in &all {
            let header = json!({"alg": algorithm.name()});
            let token = sign_with(signing, &header, &object(json!({}))).expect("a token");
            let own = signing.sign(&object(json!({}))).expect("a token");
            let is_own = verify(&auth(keys.clone()), own).is_ok();
            assert_eq!(
                verify(&auth(keys.clone()), token).is_ok(),
                is_own,
                "{algorithm:?}"
            );
        }
    }
}

#[test]
fn a_public_key_is_not_a_secret() {
    for (_, publics, algorithms) in PAIRS {
        for public in publics {
            let keys = KeySet::from_pem(public, Some(algorithms[0])).expect("a key");
            let auth = auth(keys);
            for secret in [public, public.trim_end()] {
                let token = forged(secret, "HS256");
                assert_eq!(verify(&auth, token), Err(TokenError::Algorithm));
                let token = forged(secret, algorithms[0].name());
                assert_eq!(verify(&auth, token), Err(TokenError::Signature));
            }
        }
    }
}

/// A token signed with HMAC-SHA-256, whatever its header says. The keys of this crate refuse such a
/// secret.
fn forged(secret: &str, algorithm: &str) -> String {
    let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let header = json!({"alg": algorithm}).to_string();
    let message = format!("{}.{}", encode(header.as_bytes()), encode(b"{}"));
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let signature = hmac::sign(&key, message.as_bytes());
    format!("{message}.{}", encode(signature.as_ref()))
}

#[test]
fn none_is_no_algorithm() {
    let auth = auth(secret());
    for name in ["none", "None", "NONE", "nOnE", "", "HS1", "hs256", "HS256 "] {
        let token = token_with(json!({"alg": name}), json!({}));
        assert_eq!(verify(&auth, &token), Err(TokenError::Algorithm), "{name}");
        let (message, _) = token.rsplit_once('.').expect("three parts");
        assert_eq!(
            verify(&auth, format!("{message}.")),
            Err(TokenError::Algorithm)
        );
        assert_eq!(verify(&auth, message), Err(TokenError::Malformed));
    }
    let token = token(json!({}));
    let (message, _) = token.rsplit_once('.').expect("three parts");
    assert_eq!(
        verify(&auth, format!("{message}.")),
        Err(TokenError::Signature)
    );
}

#[test]
fn headers_that_ask_for_more_are_refused() {
    let auth = auth(secret());
    let refused = |header| verify(&auth, token_with(header, json!({}))).expect_err("refused");
    let critical = TokenError::Critical;
    assert_eq!(
        refused(json!({"alg": "HS256", "crit": ["exp"], "exp": 1})),
        critical
    );
    assert_eq!(refused(json!({"alg": "HS256", "crit": []})), critical);
    assert_eq!(refused(json!({"alg": "HS256", "crit": null})), critical);
    assert_eq!(refused(json!({"alg": "HS256", "b64": false})), critical);
    for header in [
        json!({}),
        json!([]),
        json!(["HS256"]),
        json!("HS256"),
        json!({"alg": null}),
        json!({"alg": 5}),
        json!({"alg": ["HS256"]}),
        json!({"alg": "HS256", "kid": 5}),
    ] {
        assert_eq!(refused(header.clone()), TokenError::Malformed, "{header}");
    }
    // A key in the token's header is ignored.
    let header =
        json!({"alg": "HS256", "typ": "JWT", "jku": "http://x", "jwk": {"kty": "oct", "k": "AA"}});
    assert!(verify(&auth, token_with(header, json!({}))).is_ok());
}

#[test]
fn the_examples_of_the_standards_are_valid() {
    let check = |set: Value, token: &str| {
        let keys = KeySet::from_jwks(json!({"keys": [set]}).to_string().as_bytes(), None);
        verify(&auth(keys.expect("a key")), token)
    };
    // RFC 7515, A.1; its claim `exp` is of 2011.
    let expired = check(
        json!({"kty": "oct", "k": "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"}),
        "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
    );
    assert_eq!(expired, Err(TokenError::Expired));
    // RFC 7515, A.3.
    let expired = check(
        json!({"kty": "EC", "crv": "P-256", "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}),
        "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q",
    );
    assert_eq!(expired, Err(TokenError::Expired));
    // RFC 7515, A.4 and RFC 8037, A.4 sign a text that is not JSON, so they only differ from wrong
    // signatures by the error.
    let p521 = json!({"kty": "EC", "crv": "P-521",
        "x": "AekpBQ8ST8a8VcfVOTNl353vSrDCLLJXmPk06wTjxrrjcBpXp5EOnYG_NjFZ6OvLFV1jSfS9tsz4qUxcWceqwQGk",
        "y": "ADSmRA43Z1DSNx_RvcLI87cdL07l6jQyyBXMoxVg_l2Th-x3S1WDhjDly79ajL4Kkd0AZMaZmh9ubmf63e3kyMj2"});
    let signature = "AdwMgeerwtHoh-l192l60hp9wAHZFVJbLfD_UxMi70cwnZOYaRI1bKPWROc-mZZqwqT2SI-KGDKB34XO0aw_7XdtAG8GaSwFKdCAPZgoXD2YBJZCPEX3xKpRwcdOO8KpEHwJjyqOgzDO7iKvU8vcnwNrmxYbSW9ERBXukOXolLzeO_Jn";
    let signed = |text: &str| format!("eyJhbGciOiJFUzUxMiJ9.{text}.{signature}");
    assert_eq!(
        check(p521.clone(), &signed("UGF5bG9hZA")),
        Err(TokenError::Claims)
    );
    assert_eq!(
        check(p521, &signed("UGF5bG9hZB")),
        Err(TokenError::Malformed)
    );
    let ed25519 =
        json!({"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"});
    let signature =
        "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
    let signed = |text: &str| format!("eyJhbGciOiJFZERTQSJ9.{text}.{signature}");
    let text = "RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc";
    assert_eq!(
        check(ed25519.clone(), &signed(text)),
        Err(TokenError::Claims)
    );
    assert_eq!(check(ed25519, &signed("e30")), Err(TokenError::Signature));
}
