//! Streams and publishers with tokens: they are sent, and they decide which streams hear a private
//! event.

use std::collections::HashSet;

use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde_json::Value;

use crate::faulty::{Fault, Faulty, SECRET};
use crate::harness::Run;

const STREAMS: u64 = 10;
/// Each stream has a topic of its own, and may hear it.
const OWN_TOPIC: &str = r#"--token-claims={"mercure":{"subscribe":["{topic}"]}}"#;

/// One event to each of ten topics, from two client processes.
const DENSITY: [&str; 4] = [
    "density",
    "--streams=10",
    "--topic=user/{i}",
    "--processes=2",
];

fn secret() -> String {
    format!("--token-secret={SECRET}")
}

#[test]
fn every_stream_sends_a_token_of_its_own() {
    let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).expect("a key");
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("key.pem");
    std::fs::write(&file, pair.serialize_pem()).expect("a file");
    let key = format!("--token-key={}", file.display());
    let server = Faulty::start(Fault::None);
    let run = Run::of(
        &server,
        &[&DENSITY[..], &[OWN_TOPIC, &key, "--token-exp=1h"]].concat(),
    );
    assert_eq!(run.figure("streams"), STREAMS, "{}", run.said);
    assert!(
        run.said.contains("made the tokens of 10 streams"),
        "{}",
        run.said
    );

    let public = DecodingKey::from_ec_pem(pair.public_key_pem().as_bytes()).expect("a key");
    // This also checks that `exp` exists, and is in the future.
    let validation = Validation::new(Algorithm::ES256);
    let mut tokens = HashSet::new();
    for request in server.asked() {
        let token = jsonwebtoken::decode::<Value>(request.bearer(), &public, &validation);
        let claims = token.expect("a token that holds").claims;
        let topic = request
            .path
            .strip_prefix("/events?topic=")
            .expect("a topic");
        assert_eq!(claims["mercure"]["subscribe"], serde_json::json!([topic]));
        tokens.insert(request.bearer().to_owned());
    }
    assert_eq!(tokens.len() as u64, STREAMS);
}

#[test]
fn a_token_goes_where_it_is_asked_for() {
    let server = Faulty::start(Fault::None);
    let address = server.address();
    let url = format!("--url=http://{address}/events?{{topics}}&authorization={{token}}");
    let publish = format!("--publish=http://{address}/publish/{{topic}}");
    let run = Run::command(&[
        "density",
        "--streams=2",
        "--preset=plain",
        "--cookie=session={token}",
        r#"--token-claims={"sub":"x"}"#,
        &secret(),
        &url,
        &publish,
    ]);
    assert_eq!(run.figure("streams"), 2, "{}", run.said);
    for request in server.asked() {
        let token = request.cookie.strip_prefix("session=").expect("a cookie");
        assert_eq!(token.split('.').count(), 3);
        let end = format!("&authorization={token}");
        assert!(request.path.ends_with(&end), "{}", request.path);
        assert_eq!(request.authorization, "");
    }
}

#[test]
fn private_events_reach_the_streams_whose_tokens_allow_it() {
    for preset in ["fantail", "mercure"] {
        let server = Faulty::start(Fault::None);
        let more = ["--private", OWN_TOPIC, &secret()];
        let run = Run::preset(preset, &server, &[&DENSITY[..], &more].concat());
        assert_eq!(
            (run.figure("deliveries"), run.figure("lost")),
            (STREAMS, 0),
            "{}",
            run.said
        );
    }
}

#[test]
fn private_events_are_lost_on_streams_that_may_not_hear_them() {
    let claims = r#"--token-claims={"mercure":{"subscribe":["user/1"]}}"#;
    for preset in ["fantail", "mercure"] {
        let server = Faulty::start(Fault::None);
        let more = ["--private", claims, &secret(), "--timeout=1s"];
        let run = Run::preset(preset, &server, &[&DENSITY[..], &more].concat());
        assert_eq!(
            (run.figure("deliveries"), run.figure("lost")),
            (1, STREAMS - 1),
            "{}",
            run.said
        );
    }
}

#[test]
fn publishers_have_a_token_too() {
    let server = Faulty::start(Fault::WantsPublishers);
    let run = Run::preset("mercure", &server, &[&DENSITY[..], &[&secret()]].concat());
    assert_eq!(run.figure("deliveries"), STREAMS, "{}", run.said);
    let asked = server.asked();
    assert!(asked.iter().all(|request| request.authorization.is_empty()));

    let more = [
        r#"--publish-token-claims={"mercure":{"publish":["*"]}}"#,
        &secret(),
    ];
    let run = Run::preset("fantail", &server, &[&DENSITY[..], &more].concat());
    assert_eq!(run.figure("deliveries"), STREAMS, "{}", run.said);

    let run = Run::preset("mercure", &server, &DENSITY);
    assert_eq!(run.figure("events_refused"), STREAMS, "{}", run.said);
    assert_eq!(
        run.reason("publishing was answered 401 Unauthorized"),
        STREAMS
    );
}

#[test]
fn a_secret_is_in_no_result() {
    let server = Faulty::start(Fault::None);
    let folder = tempfile::tempdir().expect("a folder");
    let page = folder.path().join("page.html");
    let report = format!("--report={}", page.display());
    let header = "--publish-header=Authorization: Bearer typed-by-hand";
    let more = [OWN_TOPIC, header, &report, "--token-secret", SECRET];
    let run = Run::of(&server, &[&DENSITY[..], &more].concat());
    let page = std::fs::read_to_string(&page).expect("a page");
    for text in [&run.json, &run.said, &page] {
        assert!(!text.contains(SECRET) && !text.contains("typed-by-hand"));
    }
    assert!(run.json.contains("(hidden)"), "{}", run.json);
    // Nor is a token.
    let asked = server.asked();
    let token = asked.first().expect("a stream").bearer();
    assert!(!token.is_empty() && !run.json.contains(token));
}

#[test]
fn tokens_that_cannot_be_are_refused_with_a_way_out() {
    let url = "--url=http://127.0.0.1:1/events";
    let secret = "--token-secret=x";
    for (words, code, said) in [
        (
            &[OWN_TOPIC] as &[&str],
            2,
            "--token-key <FILE>|--token-secret <TEXT>",
        ),
        (
            &[secret],
            1,
            "there is nothing to sign; give --token-claims",
        ),
        (
            &[secret, "--token-claims={"],
            1,
            "--token-claims \"{\": EOF",
        ),
        (
            &["--cookie=a={token}"],
            1,
            "give --token-claims with --token-key",
        ),
        (
            &[secret, OWN_TOPIC, "--header=Authorization: Bearer x"],
            1,
            "write {token} in it, or leave it out",
        ),
        (
            &[secret, OWN_TOPIC, "--token-algorithm=none"],
            2,
            "there are HS256, HS384",
        ),
        (
            &[
                secret,
                "--publish-token-claims={}",
                "--publish=resp://127.0.0.1:1",
            ],
            1,
            "over the Redis protocol sends no token",
        ),
        (
            &["--token-key=/nowhere", OWN_TOPIC],
            1,
            "--token-key /nowhere: No such file",
        ),
        (
            &[
                "--private",
                "--preset=nchan",
                "--publish=http://127.0.0.1:1",
            ],
            1,
            "--preset nchan has no private events",
        ),
    ] {
        let (found, text) = Run::refused(&[&["density", url], words].concat());
        assert!(
            found == code && text.contains(said),
            "{words:?}: {found}: {text}"
        );
    }
}
