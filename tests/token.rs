//! `fantail token` as a process, and its tokens before the code that checks them.

use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use fantail::auth::{Access, Auth, KeySet, Policy, Role, TopicRule};

const SECRET: &str = "!ChangeThisMercureHubJWTSecretKey!";
const NOW: Duration = Duration::from_secs(1_700_000_000);
const KEYS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/keys");

/// Exit code, standard output and standard error.
fn run(args: &[&str], environment: &[(&str, &str)]) -> (Option<i32>, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_fantail"))
        .arg("token")
        .args(args)
        .env_clear()
        .envs(environment.iter().copied())
        .output()
        .expect("the program to start");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    (
        output.status.code(),
        text(output.stdout),
        text(output.stderr),
    )
}

/// The output of the program, without its line end.
fn token(args: &[&str], environment: &[(&str, &str)]) -> String {
    let (code, out, err) = run(args, environment);
    assert_eq!((code, &*err), (Some(0), ""), "{args:?}");
    let token = out.strip_suffix('\n').expect("a line");
    assert!(!token.contains(char::is_whitespace), "{out:?}");
    token.to_owned()
}

fn read(keys: KeySet, token: &str) -> Access {
    let auth = Auth::new(Policy {
        topics_from: vec![TopicRule::parse("user/{sub}", 64).expect("a rule")],
        ..Policy::default()
    });
    auth.replace(Role::Subscriber, Arc::new(keys));
    auth.verify(Role::Subscriber, token.as_bytes(), NOW)
        .expect("a valid token")
}

fn secret() -> KeySet {
    KeySet::from_secret(SECRET.as_bytes(), None).expect("a key")
}

#[test]
fn a_token_grants_what_was_asked_for() {
    let environment = [("FANTAIL_JWT_SECRET", SECRET)];
    let args = [
        "--subscribe=a",
        "--subscribe=b,c",
        "--publish=*",
        "--exp=1h",
        "--payload={\"x\": 1}",
        "--claim=sub=42",
        "--claim=name=\u{e4} b",
    ];
    let access = read(secret(), &token(&args, &environment));
    let texts: Vec<_> = access
        .subscribe
        .iter()
        .map(|selector| selector.text())
        .collect();
    assert_eq!(texts, ["a", "b,c", "user/42"]);
    assert_eq!(access.publish[0].text(), "*");
    assert_eq!(access.payload.as_deref(), Some("{\"x\":1}"));
    assert!(
        access
            .ends_unix_ms
            .is_some_and(|end| u128::from(end) > NOW.as_millis() + 3_600_000)
    );
    let access = read(secret(), &token(&[], &environment));
    assert_eq!(access, Access::default());
}

#[test]
fn the_key_comes_from_a_flag_or_else_from_the_settings() {
    let directory = tempfile::tempdir().expect("a directory");
    let write = |name: &str, text: &str| {
        let path = directory.path().join(name);
        std::fs::write(&path, text).expect("a file");
        path.to_string_lossy().into_owned()
    };
    let secret_file = write("secret", &format!("{SECRET}\n"));
    let config = write(
        "fantail.toml",
        &format!("jwt_secret_file = \"{secret_file}\""),
    );
    for (args, environment) in [
        (vec!["--secret", SECRET], vec![]),
        (vec!["--secret-file", &secret_file], vec![]),
        (vec!["--config", &config], vec![]),
        (vec![], vec![("FANTAIL_CONFIG", &*config)]),
        (vec![], vec![("FANTAIL_JWT_SECRET_FILE", &*secret_file)]),
        (
            vec!["--publish=a"],
            vec![("FANTAIL_PUBLISHER_JWT_SECRET", SECRET)],
        ),
        (
            vec!["--secret", SECRET],
            vec![("FANTAIL_JWKS_URL", "https://id.example/keys")],
        ),
    ] {
        read(secret(), &token(&args, &environment));
    }
    for name in ["rsa", "p256", "p384", "p521", "ed25519"] {
        let private = format!("{KEYS}/{name}.pem");
        let public = std::fs::read_to_string(format!("{KEYS}/{name}.pub.pem")).expect("a file");
        let keys = KeySet::from_pem(&public, None).expect("a key");
        read(keys, &token(&["--key-file", &private, "--key-id=k"], &[]));
    }
}

#[test]
fn a_byte_order_mark_or_a_line_end_in_a_file_is_no_part_of_its_key() {
    let directory = tempfile::tempdir().expect("a directory");
    let write = |name: &str, text: &str| {
        let path = directory.path().join(name);
        std::fs::write(&path, text).expect("a file");
        path.to_string_lossy().into_owned()
    };
    let secret_file = write("secret", &format!("\u{feff}{SECRET}\r\n"));
    read(secret(), &token(&["--secret-file", &secret_file], &[]));
    let config = format!("\u{feff}jwt_secret_file = \"{secret_file}\"\n");
    let config = write("fantail.toml", &config);
    read(secret(), &token(&["--config", &config], &[]));
    let longest = "x".repeat(1_024);
    let file = write("longest", &format!("\u{feff}{longest}\r\n"));
    let keys = KeySet::from_secret(longest.as_bytes(), None).expect("a key");
    read(keys, &token(&["--secret-file", &file], &[]));

    let pem = |name: &str| std::fs::read_to_string(format!("{KEYS}/{name}")).expect("a file");
    let private = write("private", &format!("\u{feff}{}", pem("p256.pem")));
    let public = KeySet::from_pem(&pem("p256.pub.pem"), None).expect("a key");
    read(public, &token(&["--key-file", &private], &[]));
}

#[test]
fn what_cannot_be_made_is_told_without_the_key() {
    let own = [("FANTAIL_JWT_SECRET", SECRET)];
    let url = [("FANTAIL_JWKS_URL", "https://id.example/keys")];
    let public = format!("{KEYS}/rsa.pub.pem");
    for (args, environment, start) in [
        (
            &[][..],
            &[][..],
            "no key to sign with: set FANTAIL_JWT_SECRET",
        ),
        (
            &[],
            &url,
            "`jwks_url` has keys that check signatures and cannot make them",
        ),
        (
            &["--publish=a"],
            &url,
            "`jwks_url` has keys that check signatures and cannot make them",
        ),
        (
            &["--secret=hush"],
            &[],
            "the secret has 4 bytes, and HS256 asks for at least 32",
        ),
        (
            &["--exp=soon"],
            &own,
            "--exp: `soon` is not a length of time",
        ),
        (&["--payload={"], &own, "--payload: not JSON: "),
        (&["--claim=sub"], &own, "--claim: `sub` is not name=value"),
        (
            &["--claim=exp=1", "--exp=1h"],
            &own,
            "the claim `exp` is given twice",
        ),
        (&["--subscribe="], &own, "`` is no topic selector: "),
        (
            &["--algorithm=none"],
            &own,
            "--algorithm: `none` is not one of",
        ),
        (
            &["--algorithm=ES256"],
            &own,
            "ES256 does not work with a secret",
        ),
        (&["--key-file=/dev/null/x"], &own, "/dev/null/x: "),
        (
            &["--key-file", &public],
            &own,
            "no PEM text with a private key",
        ),
        (
            &["--publish=a", "--subscribe=a"],
            &[("FANTAIL_PUBLISHER_JWT_SECRET", SECRET)],
            "publishers have other keys than subscribers",
        ),
    ] {
        let (code, out, err) = run(args, environment);
        assert_eq!((code, &*out), (Some(2), ""), "{args:?} {err}");
        assert!(err.starts_with(start), "{err}");
        assert!(!err.contains("hush") && !err.contains(SECRET), "{err}");
    }
}

/// `a/*` was signed without a word, and granted nothing that its maker meant.
#[test]
fn a_wildcard_that_grants_one_topic_only_is_warned_of() {
    let environment = [("FANTAIL_JWT_SECRET", SECRET)];
    for (flag, selector) in [
        ("subscribe", "a/*"),
        ("subscribe", "a/**"),
        ("subscribe", "**"),
        ("subscribe", "*/b"),
        ("subscribe", "a/*/c"),
        ("publish", "te*"),
        ("publish", "a/{x"),
    ] {
        let (code, out, err) = run(&[&format!("--{flag}={selector}")], &environment);
        assert_eq!((code, out.lines().count()), (Some(0), 1), "{selector}");
        let quoted = format!("warning: `{selector}` ");
        assert!(err.starts_with(&quoted), "{selector}: {err}");
        assert_eq!(err.lines().count(), 1, "{selector}: {err}");
    }
    let patterns = ["--subscribe=*", "--publish=a/{x}", "--subscribe=plain"];
    assert!(!token(&patterns, &environment).is_empty());
}
