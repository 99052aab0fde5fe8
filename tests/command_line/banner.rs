use std::fs::{self, Permissions};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::node::{Node, PROGRAM, Text, serve, terminal};
use crate::support::http;

const SECRET: &str = "a-secret-of-at-least-thirty-two-bytes";
const KEYS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/keys");

/// Stands in for curl and redis-cli: prints its name, the password it would ask for, and its
/// arguments, each on a line.
const PRINTS_ITSELF: &str =
    "#!/bin/sh\nprintf '%s\\n' \"$(basename \"$0\")\" \"$REDISCLI_AUTH\" \"$@\"\n";

/// A shell's directory of programs, and the commands of one node.
struct Stage {
    directory: TempDir,
    path: String,
}

impl Stage {
    fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        for name in ["curl", "redis-cli"] {
            let file = directory.path().join(name);
            fs::write(&file, PRINTS_ITSELF).expect("a file");
            fs::set_permissions(&file, Permissions::from_mode(0o755)).expect("a file");
        }
        let path = std::env::var("PATH").unwrap_or_default();
        let path = format!("{}:{path}", directory.path().display());
        Self { directory, path }
    }

    /// A file with a name that a shell would split.
    fn write(&self, name: &str, text: &str) -> PathBuf {
        let folder = self.directory.path().join("it's a $HOME");
        fs::create_dir_all(&folder).expect("a directory");
        let path = folder.join(name);
        fs::write(&path, text).expect("a file");
        path
    }

    /// Starts a node at a terminal, and reads the whole banner.
    fn start(&self, flags: &[&str], environment: &[(&str, &str)]) -> (Node, String) {
        let (theirs, screen) = terminal();
        let child = serve(flags)
            .env("PATH", &self.path)
            .envs(environment.iter().copied())
            .current_dir(self.directory.path())
            .stdout(theirs)
            .stderr(Stdio::null())
            .spawn();
        let node = Node::at_terminal(child.expect("the program starts"), &screen);
        screen.wait_for("publish by Redis:");
        (node, screen.now().replace("\r\n", "\n"))
    }

    /// Runs the banner's command for this in a shell with this environment; returns the words that
    /// the program received.
    fn run(&self, banner: &str, what: &str, environment: &[(&str, &str)]) -> Vec<String> {
        let line = banner.lines().find_map(|line| line.strip_prefix(what));
        let line = line.unwrap_or_else(|| panic!("no {what:?} in {banner}"));
        let output = Command::new("sh")
            .args(["-c", line])
            .env_clear()
            .env("PATH", &self.path)
            .envs(environment.iter().copied())
            .current_dir("/")
            .output()
            .expect("a shell");
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(errors, "", "{line}");
        let text = String::from_utf8(output.stdout).expect("UTF-8");
        text.lines().map(str::to_owned).collect()
    }

    /// Does what the printed curl commands would do; returns the statuses of subscribing and of
    /// publishing.
    fn by_http(&self, banner: &str, environment: &[(&str, &str)]) -> [u16; 2] {
        let subscribe = self.run(banner, "subscribe: ", environment);
        let publish = self.run(banner, "publish by HTTP: ", environment);
        assert_eq!(subscribe[..3], ["curl", "", "-N"]);
        assert_eq!(publish[..4], ["curl", "", "-d", "hello"]);
        [
            call("HEAD", &subscribe[3..], b""),
            call("POST", &publish[4..], b"hello"),
        ]
    }
}

/// The request of a curl with these words.
fn call(method: &str, words: &[String], body: &[u8]) -> u16 {
    let (url, fields) = words.split_last().expect("a URL");
    let fields: Vec<_> = fields
        .iter()
        .filter(|word| *word != "-H")
        .map(|field| field.split_once(": ").expect("a field"))
        .collect();
    let rest = url.strip_prefix("http://").expect("a URL");
    let (address, target) = rest.split_once('/').expect("a path");
    let address: SocketAddr = address.parse().expect("an address");
    http::request(address, method, &format!("/{target}"), &fields, body).status
}

#[test]
fn the_commands_of_an_open_node_work() {
    let stage = Stage::new();
    let (node, banner) = stage.start(&[], &[]);
    assert_eq!(stage.by_http(&banner, &[]), [200, 200]);
    let words = stage.run(&banner, "publish by Redis: ", &[]);
    let port = node.ingest.port().to_string();
    let expected = [
        "redis-cli",
        "",
        "-h",
        "127.0.0.1",
        "-p",
        &port,
        "PUBLISH",
        "news",
        "hello",
    ];
    assert_eq!(words, expected);
    assert!(banner.contains("\nroom      "), "{banner}");
}

#[test]
fn the_commands_of_a_node_with_a_secret_work_wherever_the_secret_is() {
    let stage = Stage::new();
    let path = |path: &Path| path.to_string_lossy().into_owned();
    let secret_file = path(&stage.write("secret", &format!("{SECRET}\n")));
    let inline = path(&stage.write("inline.toml", &format!("jwt_secret = \"{SECRET}\"")));
    let named =
        format!("jwt_secret_file = {secret_file:?}\njwt_issuer = \"5\"\njwt_audience = \"a b\"");
    let named = path(&stage.write("named.toml", &named));
    let apart = format!(
        "jwt_secret = \"{SECRET}\"\npublisher_jwt_secret = \"{SECRET}{SECRET}\"\n\
         publisher_jwt_algorithm = \"HS512\"\n"
    );
    let apart = path(&stage.write("apart.toml", &apart));
    let by_variable = [("FANTAIL_JWT_SECRET", SECRET)];
    let by_config = [("FANTAIL_CONFIG", &*inline)];
    // A shell without variables must be enough, unless the secret is in one.
    for (flags, environment, shell) in [
        (&["--config", &*inline][..], &[][..], &[][..]),
        (&[], &by_config, &[]),
        (&["--config", &named], &[], &[]),
        (&["--config", &apart], &[], &[]),
        (&["--jwt-secret-file", &secret_file], &[], &[]),
        (
            &[
                "--jwt-secret-file",
                &secret_file,
                "--jwt-issuer",
                "https://a/",
                "--jwt-audience=7",
            ],
            &[],
            &[],
        ),
        (
            &["--jwt-secret-file", &secret_file, "--anonymous"],
            &[],
            &[],
        ),
        (
            &["--topic-bytes-max", "2", "--jwt-secret-file", &secret_file],
            &[],
            &[],
        ),
        (&[], &by_variable, &by_variable),
    ] {
        let (_node, banner) = stage.start(flags, environment);
        assert!(!banner.contains(SECRET), "{banner}");
        let statuses = stage.by_http(&banner, shell);
        assert_eq!(statuses, [200, 200], "{flags:?} {environment:?}:\n{banner}");
        let needs_shell = banner.contains("in a shell that has the FANTAIL_ variables");
        assert_eq!(needs_shell, !shell.is_empty(), "{banner}");
    }
}

#[test]
fn where_no_command_can_know_the_key_the_banner_says_what_is_missing() {
    let stage = Stage::new();
    let public = format!("{KEYS}/p256.pub.pem");
    for (flags, setting) in [
        (["--jwt-key-file", &*public], "`jwt_key_file`"),
        (["--jwt-secret", SECRET], "`jwt_secret`"),
    ] {
        let (_node, banner) = stage.start(&flags, &[]);
        assert!(!banner.contains(" token --"), "{banner}");
        assert!(!banner.contains(SECRET), "{banner}");
        let note = format!("(TOKEN is a token that {setting} takes");
        assert_eq!(banner.matches(&note).count(), 1, "{banner}");
        let words = stage.run(&banner, "subscribe: ", &[("TOKEN", "given")]);
        assert_eq!(words[3..5], ["-H", "Authorization: Bearer given"]);
    }
}

#[test]
fn the_redis_command_authenticates_and_shows_no_password() {
    let stage = Stage::new();
    let file = stage.write("password", "hush\n");
    let file = file.to_string_lossy();
    let variable = [("FANTAIL_INGEST_PASSWORD", "hush")];
    let redis = |flags: &[&str], environment: &[(&str, &str)]| {
        let (_node, banner) = stage.start(flags, environment);
        assert!(!banner.contains("hush"), "{banner}");
        (
            stage.run(&banner, "publish by Redis: ", environment),
            banner,
        )
    };
    let (words, _) = redis(&[], &variable);
    assert_eq!(words[1], "hush");
    for flags in [
        ["--ingest-password-file", &*file],
        ["--ingest-password", "hush"],
    ] {
        let (words, banner) = redis(&flags, &[]);
        assert_eq!(words[..3], ["redis-cli", "", "--askpass"], "{banner}");
        assert!(banner.contains("asks for the password"), "{banner}");
    }
    // The first user that may publish to the topic.
    let (words, banner) = redis(&["--ingest-users", "a:hush:x*;it's:hush:n*;c:hush:*"], &[]);
    assert_eq!(
        words[..5],
        ["redis-cli", "", "--user", "it's", "--askpass"],
        "{banner}"
    );
    let (_node, banner) = stage.start(&["--ingest-users", "a:hush:x*"], &[]);
    assert!(
        banner.contains("publish by Redis:   as one of `ingest_users`"),
        "{banner}"
    );
}

#[test]
fn what_listens_everywhere_is_tried_by_loopback() {
    let stage = Stage::new();
    let flags = ["--allow-open-http", "--ingest-password", "p"];
    let (theirs, screen) = terminal();
    let mut command = Command::new(PROGRAM);
    command.args([
        "serve",
        "--listen",
        "0.0.0.0:0",
        "--ingest-listen",
        "0.0.0.0:0",
    ]);
    command.args(["--admin-listen", "127.0.0.1:0"]).args(flags);
    let child = command
        .env_clear()
        .stdin(Stdio::null())
        .stdout(theirs)
        .stderr(Stdio::null())
        .spawn();
    let _node = Node::at_terminal(child.expect("it starts"), &screen);
    screen.wait_for("publish by Redis:");
    let banner = screen.now().replace("\r\n", "\n");
    assert!(banner.starts_with("http      http://0.0.0.0:"), "{banner}");
    assert!(banner.contains("curl -N http://127.0.0.1:"), "{banner}");
    assert!(banner.contains(" -h 127.0.0.1 -p "), "{banner}");
    drop(stage);
}

#[test]
fn a_program_outside_of_the_path_is_called_by_its_path() {
    let stage = Stage::new();
    let secret = stage.write("secret", SECRET);
    let secret = secret.to_string_lossy();
    let flags = ["--jwt-secret-file", &*secret];
    let (_node, banner) = stage.start(&flags, &[]);
    assert!(banner.contains(&format!("$({PROGRAM} token ")), "{banner}");
    std::os::unix::fs::symlink(PROGRAM, stage.directory.path().join("fantail")).expect("a link");
    let (_node, banner) = stage.start(&flags, &[]);
    assert!(banner.contains("$(fantail token "), "{banner}");
    assert_eq!(stage.by_http(&banner, &[]), [200, 200]);
}

#[test]
fn where_nobody_looks_there_is_one_log_line_and_no_text_among_json() {
    let (theirs, screen) = terminal();
    let mut child = serve(&[
        "--log-format",
        "json",
        "--jwt-secret",
        SECRET,
        "--anonymous",
    ])
    .stdout(theirs)
    .stderr(Stdio::piped())
    .spawn()
    .expect("the program starts");
    let log = Text::collect(child.stderr.take().expect("a pipe"));
    let mut node = Node::logging(child, &log);
    // Time enough for unwanted lines to arrive.
    for _ in 0..100 {
        assert_eq!(
            http::request(node.admin, "GET", "/readyz", &[], b"").status,
            200
        );
    }
    assert_eq!(node.stop().code(), Some(0));
    log.wait_for("drained");
    assert_eq!(screen.now(), "");
    let lines: Vec<serde_json::Value> = log
        .now()
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    let starts: Vec<_> = lines
        .iter()
        .filter(|line| line["message"] == "serving")
        .collect();
    assert_eq!(starts.len(), 1);
    let start = starts[0];
    assert_eq!(start["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(start["http"], node.http.to_string());
    assert_eq!(start["subscriber_keys"], "jwt_secret");
    assert_eq!(start["publisher_keys"], "jwt_secret");
    assert_eq!(start["ingest_users"], "anyone");
    assert!(start["streams_max"].as_u64() > Some(0), "{start}");
}

#[test]
fn a_log_beside_a_terminal_has_the_line_and_a_terminal_alone_has_not() {
    let (theirs, screen) = terminal();
    let mut child = serve(&[])
        .stdout(theirs)
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let log = Text::collect(child.stderr.take().expect("a pipe"));
    let mut node = Node::logging(child, &log);
    screen.wait_for("publish by Redis:");
    assert_eq!(node.stop().code(), Some(0));

    let (theirs, screen) = terminal();
    let both = theirs.try_clone().expect("a terminal");
    let child = serve(&[]).stdout(theirs).stderr(both).spawn();
    let mut node = Node::at_terminal(child.expect("the program starts"), &screen);
    assert_eq!(node.stop().code(), Some(0));
    screen.wait_for("drained");
    assert!(!screen.now().contains("serving"), "{}", screen.now());
}

#[test]
fn few_files_are_a_warning() {
    for (files, expected) in [(256, true), (1_024, false)] {
        let mut shell = Command::new("sh");
        let script = format!("ulimit -n {files} && exec \"$0\" \"$@\"");
        shell.args(["-c", &script, PROGRAM, "serve"]);
        let mut child = shell
            .args(crate::node::on_free_ports())
            .env_clear()
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("a shell");
        let log = Text::collect(child.stderr.take().expect("a pipe"));
        let _node = Node::logging(child, &log);
        let warned = log.now().contains("WARN") && log.now().contains("limit on open files");
        assert_eq!(warned, expected, "{files}: {}", log.now());
    }
}
