use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Stdio;

use crate::node::{Node, Text, serve};
use crate::run;

const KEYS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/keys");

/// Exit code and errors of `check-config` on a file, and those of `serve` with the same file.
/// Neither prints anything else.
fn checked_and_served(file: &Path, environment: &[(&str, &str)]) -> [(Option<i32>, String); 2] {
    let path = file.to_string_lossy();
    [
        &["check-config", &path][..],
        &["serve", "--listen=127.0.0.1:0", "--config", &path],
    ]
    .map(|args| {
        let (code, out, err) = run(args, environment);
        assert_eq!(out, "", "{args:?}");
        (code, err)
    })
}

#[test]
fn keys_that_cannot_be_used_are_found_before_anything_is_opened() {
    let directory = tempfile::tempdir().expect("a directory");
    let write = |name: &str, text: &str| {
        let path = directory.path().join(name);
        fs::write(&path, text).expect("a file");
        path
    };
    let empty = write("empty", "");
    let short = write("short", "hush");
    let binary = directory.path().join("binary");
    fs::write(&binary, [0xff; 100]).expect("a file");
    let utf16 = directory.path().join("utf16");
    let units = "a text that an editor saved"
        .encode_utf16()
        .flat_map(u16::to_be_bytes);
    let marked: Vec<u8> = [0xfe, 0xff].into_iter().chain(units).collect();
    fs::write(&utf16, marked).expect("a file");
    let large = write("large", &"x".repeat(300 << 10));
    let no_set = write("no-set.json", "{\"keys\": 5}");
    let none_usable = write("none.json", "{\"keys\": [{\"kty\": \"AKP\"}]}");
    let private = Path::new(KEYS).join("rsa.pem");
    let public = Path::new(KEYS).join("rsa.pub.pem");
    let small = Path::new(KEYS).join("rsa-1024.pub.pem");
    let missing = directory.path().join("missing");
    let folder = directory.path().to_owned();
    let no_file = "No such file or directory";
    for (setting, file, reason) in [
        ("jwt_secret_file", &missing, no_file),
        ("jwt_secret_file", &folder, "Is a directory"),
        ("jwt_secret_file", &empty, "the secret has 0 bytes"),
        ("jwt_secret_file", &short, "the secret has 4 bytes"),
        ("jwt_secret_file", &binary, "it is not a text in UTF-8"),
        ("jwt_secret_file", &utf16, "it is UTF-16: save it as UTF-8"),
        (
            "jwt_secret_file",
            &public,
            "this is a PEM text, not a secret",
        ),
        ("jwt_secret_file", &large, "it has more than"),
        ("jwt_key_file", &missing, no_file),
        ("jwt_key_file", &private, "this is a private key"),
        ("jwt_key_file", &small, "an RSA key must have"),
        ("jwt_key_file", &no_set, "no PEM text with a public key"),
        ("jwt_key_file", &large, "it has more than"),
        ("jwt_key_file", &utf16, "it is UTF-16"),
        ("jwks_file", &utf16, "it is UTF-16"),
        ("jwks_file", &missing, no_file),
        ("jwks_file", &no_set, "not a JSON Web Key Set"),
        ("jwks_file", &none_usable, "no key for signatures"),
        (
            "publisher_jwt_secret_file",
            &short,
            "the secret has 4 bytes",
        ),
        ("publisher_jwt_key_file", &private, "this is a private key"),
        ("publisher_jwks_file", &missing, no_file),
    ] {
        let text = format!("{setting} = {:?}", file.display().to_string());
        let config = write("fantail.toml", &text);
        for (code, err) in checked_and_served(&config, &[]) {
            assert_eq!(code, Some(2), "{text}: {err}");
            let start = format!("`{setting}` = {}: ", file.display());
            assert!(err.starts_with(&start) && err.contains(reason), "{err}");
            assert_eq!(err.lines().count(), 1, "{err}");
            assert!(!err.contains("hush"), "{err}");
        }
    }
}

#[test]
fn everything_that_is_wrong_with_keys_and_log_is_told_at_once() {
    let directory = tempfile::tempdir().expect("a directory");
    let config = directory.path().join("fantail.toml");
    let text = "jwks_file = \"/dev/null/a\"\npublisher_jwt_key_file = \"/dev/null/b\"";
    fs::write(&config, text).expect("a file");
    let [(code, err), _] = checked_and_served(&config, &[("RUST_LOG", "a=b=c")]);
    assert_eq!(code, Some(2));
    // Each of them alone is enough.
    let (alone, _, error) = run(&["check-config", "/dev/null"], &[("RUST_LOG", "a=b=c")]);
    assert_eq!(alone, Some(2));
    assert!(error.starts_with("RUST_LOG = "), "{error}");
    let starts = [
        "RUST_LOG = ",
        "`jwks_file` = ",
        "`publisher_jwt_key_file` = ",
    ];
    assert_eq!(err.lines().count(), starts.len(), "{err}");
    for (line, start) in err.lines().zip(starts) {
        assert!(line.starts_with(start), "{err}");
    }
}

#[test]
fn what_else_would_end_a_node_at_its_start_is_a_wrong_configuration() {
    let directory = tempfile::tempdir().expect("a directory");
    let config = directory.path().join("fantail.toml");
    let unreadable = directory.path().join("password");
    fs::write(&unreadable, "hush").expect("a file");
    fs::set_permissions(&unreadable, fs::Permissions::from_mode(0o000)).expect("a file");
    // Root can read every file.
    let is_readable = fs::read(&unreadable).is_ok();
    let glob = "a".repeat(4_097);
    let users =
        format!("ingest_users = [{{name = \"a\", password = \"hush\", publish = [\"{glob}\"]}}]");
    for (text, part) in [
        (
            users,
            "user 1: a glob in `publish` is longer than 4096 bytes",
        ),
        (
            "ingest_password_file = \"/dev/null/x\"".to_owned(),
            "cannot read the file",
        ),
        (
            format!(
                "ingest_password_file = {:?}",
                unreadable.display().to_string()
            ),
            if is_readable {
                ""
            } else {
                "cannot read the file"
            },
        ),
        ("log_level = \"a=b=c\"".to_owned(), "not a log filter"),
    ] {
        if part.is_empty() {
            continue;
        }
        fs::write(&config, &text).expect("a file");
        for (code, err) in checked_and_served(&config, &[]) {
            assert_eq!(code, Some(2), "{err}");
            assert!(err.contains(part) && !err.contains("hush"), "{err}");
        }
    }
    let longest = "a".repeat(4_096);
    let users =
        format!("ingest_users = [{{name = \"a\", password = \"p\", publish = [\"{longest}\"]}}]");
    fs::write(&config, users).expect("a file");
    let (code, _, err) = run(&["check-config", &config.to_string_lossy()], &[]);
    assert_eq!(code, Some(0), "{err}");
}

#[test]
fn a_key_may_come_through_a_pipe_which_is_read_once() {
    let mut child = serve(&["--jwt-secret-file", "/dev/stdin"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut stdin = child.stdin.take().expect("a pipe");
    stdin
        .write_all(b"a-secret-of-at-least-thirty-two-bytes\n")
        .expect("it reads");
    drop(stdin);
    let log = Text::collect(child.stderr.take().expect("a pipe"));
    let mut node = Node::logging(child, &log);
    assert!(log.now().contains("jwt_secret_file"), "{}", log.now());
    assert_eq!(node.stop().code(), Some(0));
}
