use super::*;
use crate::auth::{Algorithm, Role};

const SECRET: &str = "0123456789abcdef0123456789abcdef";

#[test]
fn keys_have_one_source_and_a_stronger_one_replaces_it() {
    let settings = load(
        &format!("jwt_secret = \"{SECRET}\""),
        &[("FANTAIL_JWKS_URL", "https://id.example/keys")],
        &[],
    )
    .expect("settings");
    let url = KeySource::JwksUrl("https://id.example/keys".to_owned());
    assert_eq!(settings.keys_of(Role::Subscriber), Some((&url, None)));
    assert_eq!(settings.keys_of(Role::Publisher), Some((&url, None)));

    let message = refusal("", &[], &["--jwks-file=a", "--jwt-key-file=b"]);
    assert_eq!(
        message,
        "--jwks-file: `jwt_key_file` and `jwks_file` are both given: give one of them"
    );
}

#[test]
fn publishers_may_have_keys_and_an_algorithm_of_their_own() {
    let settings = load(
        "jwks_url = \"http://localhost:1/keys\"\njwt_algorithm = \"PS256\"",
        &[("FANTAIL_PUBLISHER_JWT_SECRET", SECRET)],
        &[],
    )
    .expect("settings");
    let url = KeySource::JwksUrl("http://localhost:1/keys".to_owned());
    let secret = KeySource::Secret(SECRET.into());
    assert_eq!(
        settings.keys_of(Role::Subscriber),
        Some((&url, Some(Algorithm::Ps256)))
    );
    assert_eq!(settings.keys_of(Role::Publisher), Some((&secret, None)));
    assert_eq!(secret.key(Role::Publisher), "publisher_jwt_secret");
    assert!(!format!("{settings:?} {secret:?}").contains(SECRET));

    let publishers_only = load("", &[("FANTAIL_PUBLISHER_JWT_SECRET", SECRET)], &[]);
    let settings = publishers_only.expect("settings");
    assert_eq!(settings.keys_of(Role::Subscriber), None);
}

#[test]
fn secrets_are_as_long_as_their_algorithm_asks_for_and_never_told() {
    let short = &SECRET[..31];
    let message = refusal("", &[("FANTAIL_JWT_SECRET", short)], &[]);
    assert!(
        message
            .starts_with("`jwt_secret`: the secret has 31 bytes, and HS256 asks for at least 32"),
        "{message}"
    );
    assert!(!message.contains(short), "{message}");
    let message = refusal(
        "jwt_algorithm = \"HS384\"",
        &[("FANTAIL_JWT_SECRET", SECRET)],
        &[],
    );
    assert!(message.contains("HS384 asks for at least 48"), "{message}");
    let message = refusal(
        "jwt_algorithm = \"RS256\"",
        &[("FANTAIL_JWT_SECRET", SECRET)],
        &[],
    );
    assert_eq!(message, "`jwt_secret`: RS256 does not work with a secret");
    for algorithm in ["none", "None", "", "HS1"] {
        let message = refusal(&format!("jwt_algorithm = \"{algorithm}\""), &[], &[]);
        assert!(message.contains("is not one of the words"), "{message}");
    }
    let message = refusal(&format!("jwt_secret = [\"{short}\"]"), &[], &[]);
    assert!(!message.contains(short), "{message}");
}

#[test]
fn an_algorithm_without_keys_is_a_mistake() {
    let message = refusal("publisher_jwt_algorithm = \"ES256\"", &[], &[]);
    assert_eq!(
        message,
        "`publisher_jwt_algorithm` is given without keys that it could be for (such as \
         `publisher_jwt_secret_file`)"
    );
}

#[test]
fn key_sets_come_by_https_or_from_loopback() {
    for url in [
        "https://id.example/keys?a=b",
        "http://127.0.0.1:1/",
        "http://[::1]/k",
        "http://localhost/k",
    ] {
        assert!(load("", &[], &["--jwks-url", url]).is_ok(), "{url}");
    }
    for url in [
        "http://id.example/",
        "ftp://127.0.0.1/",
        "https://",
        "id.example",
        "https://u:p@id.example/",
        "/a",
    ] {
        let message = refusal("", &[], &["--jwks-url", url]);
        assert!(
            message.contains("not a URL that keys may come from"),
            "{message}"
        );
    }
}

#[test]
fn rules_for_topics_are_checked_at_start() {
    let settings = load(
        "topics_from = [\"user/{sub}\", \"role/{realm_access.roles}\", \"all\"]",
        &[],
        &[],
    );
    assert_eq!(settings.expect("settings").topics_from.len(), 3);
    for (rule, fault) in [
        ("user/{sub", "a `{` without its `}`, or the other way round"),
        ("user/sub}", "a `{` without its `}`, or the other way round"),
        (
            "user/{a{b}}",
            "a `{` without its `}`, or the other way round",
        ),
        ("user/{}", "braces without the name of a claim between them"),
        (
            "user/{a..b}",
            "braces without the name of a claim between them",
        ),
        ("{a.b.c.d.e.f.g.h.i}", "a claim more than 8 names deep"),
    ] {
        let message = refusal(&format!("topics_from = [\"{rule}\"]"), &[], &[]);
        assert!(
            message.contains(&format!("`{rule}`: {fault}; allowed: ")),
            "{message}"
        );
    }
}

#[test]
fn a_cookie_has_a_name_that_http_allows() {
    assert!(load("cookie_name = \"__Host-token\"", &[], &[]).is_ok());
    for name in ["a b", "a=b", "a;b", "ä", "a,b"] {
        let message = refusal(&format!("cookie_name = \"{name}\""), &[], &[]);
        assert!(
            message.contains("not a name that a cookie can have"),
            "{message}"
        );
    }
}

#[test]
fn keys_open_the_public_listener() {
    let open = ["--listen", "0.0.0.0:8080"];
    assert!(load("", &[("FANTAIL_JWT_SECRET", SECRET)], &open).is_ok());
    assert!(load("jwks_file = \"/k\"", &[], &open).is_ok());
    let message = refusal("", &[("FANTAIL_PUBLISHER_JWT_SECRET", SECRET)], &open);
    assert!(
        message.contains("anyone there may subscribe: set keys"),
        "{message}"
    );
    let message = refusal("", &[], &open);
    assert!(
        message.contains("may subscribe and publish: set keys"),
        "{message}"
    );
}

#[test]
fn a_token_fits_into_a_request_head() {
    let message = refusal("", &[], &["--token-bytes-max", "64KiB"]);
    assert_eq!(
        message,
        "`header_bytes_max` = 32768 must be at least `token_bytes_max` = 65536: a token is part of \
         the request head"
    );
}
