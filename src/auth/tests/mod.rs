/// Every algorithm, and every way of passing one off as another.
mod algorithms;
/// The grants of claims, and their lifetime.
mod claims;
/// Secrets, PEM texts and key sets.
mod keys;
/// Topics derived from claims.
mod rules;

use serde_json::{Value, json};

use super::*;

/// The secret of the public test suite of Mercure hubs.
const SECRET: &str = "!ChangeThisMercureHubJWTSecretKey!";
const NOW: u64 = 1_700_000_000;
const NOW_TIME: Duration = Duration::from_secs(NOW);

macro_rules! pem {
    ($name:literal) => {
        include_str!(concat!("../../../tests/data/keys/", $name))
    };
}
pub(super) use pem;

fn policy() -> Policy {
    Policy {
        token_bytes_max: 8 << 10,
        selectors_max: 100,
        topic_bytes_max: 64,
        ..Policy::default()
    }
}

fn auth(keys: KeySet) -> Auth {
    auth_with(keys, policy())
}

fn auth_with(keys: KeySet, policy: Policy) -> Auth {
    let auth = Auth::new(policy);
    auth.replace(Role::Subscriber, Arc::new(keys));
    auth
}

fn secret() -> KeySet {
    KeySet::from_secret(SECRET.as_bytes(), None).expect("a key")
}

fn object(value: Value) -> serde_json::Map<String, Value> {
    value.as_object().expect("an object").clone()
}

/// A token with these claims, signed with the secret.
fn token(claims: Value) -> String {
    let key = SigningKey::from_secret(SECRET.as_bytes(), None).expect("a key");
    key.sign(&object(claims)).expect("a token")
}

fn sign_with(
    key: &SigningKey,
    header: &Value,
    claims: &serde_json::Map<String, Value>,
) -> Result<String, SignError> {
    let claims = Value::Object(claims.clone()).to_string();
    key.sign_bytes(header.to_string().as_bytes(), claims.as_bytes())
}

fn token_with(header: Value, claims: Value) -> String {
    let key = SigningKey::from_secret(SECRET.as_bytes(), None).expect("a key");
    sign_with(&key, &header, &object(claims)).expect("a token")
}

fn verify(auth: &Auth, token: impl AsRef<[u8]>) -> Result<Access, TokenError> {
    auth.verify(Role::Subscriber, token.as_ref(), NOW_TIME)
}

fn texts(selectors: &[Selector]) -> Vec<&str> {
    selectors.iter().map(Selector::text).collect()
}

#[test]
fn nothing_of_a_token_is_in_a_debug() {
    let claims = json!({
        "sub": "hush",
        "mercure": {"publish": ["hush"], "subscribe": ["hush"], "payload": "hush"},
        "exp": NOW + 1,
    });
    let policy = Policy {
        topics_from: vec![TopicRule::parse("user/{sub}", 64).expect("a rule")],
        ..policy()
    };
    let access = verify(&auth_with(secret(), policy), token(claims)).expect("valid");
    assert_eq!(
        format!("{access:?}"),
        "Access { publish: 1, subscribe: 2, topics: 1, payload_bytes: Some(6), ends: true }"
    );
}

#[test]
fn without_keys_nothing_is_valid() {
    let auth = Auth::default();
    assert!(!auth.has_keys(Role::Publisher) && !auth.has_keys(Role::Subscriber));
    assert_eq!(verify(&auth, token(json!({}))), Err(TokenError::NoKeys));
    // Keys that have not arrived yet count as keys, but make no token valid.
    auth.replace(Role::Subscriber, Arc::default());
    assert!(auth.has_keys(Role::Subscriber) && !auth.has_keys(Role::Publisher));
    assert_eq!(verify(&auth, token(json!({}))), Err(TokenError::UnknownKey));
}

#[test]
fn roles_have_keys_of_their_own_which_can_be_replaced() {
    let auth = auth(secret());
    let other = KeySet::from_secret(&[7; 32], None).expect("a key");
    auth.replace(Role::Publisher, Arc::new(other));
    let token = token(json!({}));
    assert!(verify(&auth, &token).is_ok());
    let publisher = |auth: &Auth| auth.verify(Role::Publisher, token.as_bytes(), NOW_TIME);
    assert_eq!(publisher(&auth), Err(TokenError::Signature));
    auth.replace(Role::Publisher, Arc::new(secret()));
    assert!(publisher(&auth).is_ok());
}

#[test]
fn a_token_cut_or_changed_anywhere_is_refused() {
    let auth = auth(secret());
    let token = token(json!({"mercure": {"publish": ["*"], "subscribe": ["a", "b"]}, "sub": "42"}));
    assert!(verify(&auth, &token).is_ok());
    for end in 0..token.len() {
        assert!(verify(&auth, &token[..end]).is_err(), "cut at {end}");
        assert!(verify(&auth, &token[end + 1..]).is_err(), "from {end}");
        for bit in 0..8 {
            let mut bytes = token.clone().into_bytes();
            bytes[end] ^= 1 << bit;
            assert!(verify(&auth, &bytes).is_err(), "bit {bit} of byte {end}");
        }
    }
    for form in [
        format!("{token}="),
        format!(" {token}"),
        format!("{token}\n"),
        format!("{token}."),
        format!(".{token}"),
        format!("{token}.{token}"),
        String::new(),
        "..".to_owned(),
        ".".to_owned(),
    ] {
        assert!(verify(&auth, &form).is_err(), "{form}");
    }
}

#[test]
fn an_oversized_token_is_refused_before_it_is_read() {
    let auth = auth(secret());
    let max = policy().token_bytes_max;
    let long = "x".repeat(max + 1);
    assert_eq!(verify(&auth, &long), Err(TokenError::TooLong { max }));
    assert_eq!(verify(&auth, &long[..max]), Err(TokenError::Malformed));
}

#[test]
fn deep_json_is_refused() {
    let auth = auth(secret());
    let deep = (0..1_000).fold(json!(1), |inner, _| json!([inner]));
    assert_eq!(
        verify(&auth, token(json!({"a": deep}))),
        Err(TokenError::Claims)
    );
}

#[test]
fn nothing_secret_is_shown() {
    let auth = auth(secret());
    let shown = format!("{auth:?} {:#?}", secret());
    assert!(!shown.contains("ChangeThis"), "{shown}");
    let claims = json!({"mercure": {"subscribe": [1]}, "x": "hush"});
    let error = verify(&auth, token(claims)).expect_err("a wrong claim");
    assert!(!format!("{error} {error:?}").contains("hush"));
}

#[tokio::test]
async fn a_refresh_waits_for_the_keeper_and_only_where_there_is_one() {
    let auth = Arc::new(auth(secret()));
    auth.refresh(Role::Subscriber).await;
    let mut asked = auth.kept_by(&[Role::Subscriber]);
    auth.refresh(Role::Publisher).await;
    let waits = tokio::spawn({
        let auth = Arc::clone(&auth);
        async move { auth.refresh(Role::Subscriber).await }
    });
    let answer = asked.recv().await.expect("a call");
    assert!(!waits.is_finished());
    answer.send(()).expect("a waiting call");
    waits.await.expect("no panic");
    // A dropped keeper ends every wait.
    drop(asked);
    auth.refresh(Role::Subscriber).await;
}
