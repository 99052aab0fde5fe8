//! The program as a process: the output of its commands, their exit codes, and the documentation
//! made from them.

use std::env;
use std::fs;
use std::net::TcpListener;
use std::process::{Command, Output};

use fantail::settings;

/// Clients, and conditions that tests wait for.
#[path = "../support/mod.rs"]
mod support;

/// The banner of a starting node, and whether it is true.
mod banner;
/// Faults that `check-config` finds, and `serve` before it opens anything.
mod checks;
/// The parts of the documentation that are copied into it.
mod document;
/// The example of a program with a node inside.
mod embed;
/// Links from page to page of the documentation.
mod links;
/// Lines that clients cause.
mod log_lines;
/// A running node with the test's own standard streams.
mod node;
/// The configurations of proxies in the documentation.
mod recipes;
/// Standard error that accepts nothing.
mod standard_error;
/// Standard output that accepts nothing.
mod standard_output;
/// The units of systemd in the documentation.
mod units;

/// The lines around the table of settings.
const BEGIN: &str = "<!-- settings: begin (made by `fantail settings`; do not edit) -->\n";
const END: &str = "<!-- settings: end -->\n";

/// Runs the program with an environment of its own.
fn fantail(args: &[&str], environment: &[(&str, &str)]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_fantail"))
        .args(args)
        .env_clear()
        .envs(environment.iter().copied())
        .output()
        .expect("the program to start")
}

/// Exit code, standard output and standard error of a run.
fn run(args: &[&str], environment: &[(&str, &str)]) -> (Option<i32>, String, String) {
    let output = fantail(args, environment);
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    (
        output.status.code(),
        text(output.stdout),
        text(output.stderr),
    )
}

/// Runs `check-config` on a file of this content.
fn check_config(content: &str, environment: &[(&str, &str)]) -> (Option<i32>, String, String) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let file = directory.path().join("fantail.toml");
    fs::write(&file, content).expect("a written file");
    let path = file.to_string_lossy();
    let (code, out, err) = run(&["check-config", &path], environment);
    let short = |text: String| text.replace(&*path, "FILE");
    (code, short(out), short(err))
}

#[test]
fn check_config_accepts_a_good_file() {
    let (code, out, err) = check_config("history_events = 5", &[]);
    assert_eq!((code, &*out, &*err), (Some(0), "FILE: ok\n", ""));
}

#[test]
fn check_config_tells_everything_that_is_wrong_and_exits_with_2() {
    let (code, out, err) = check_config("shards = 999\nhistory = 1", &[("FANTAIL_RETRY", "x")]);
    assert_eq!((code, &*out), (Some(2), ""));
    for line in [
        "FILE:1: `shards` = \"999\": too large; allowed: 1 to 64, or 0: one a core\n",
        "FILE:2: unknown setting `history`",
        "FANTAIL_RETRY: `retry` = \"x\": not a length of time",
    ] {
        assert!(err.contains(line), "{err}");
    }
    assert_eq!(err.lines().count(), 3, "{err}");
}

#[test]
fn check_config_refuses_a_file_that_is_not_there() {
    let (code, _, err) = run(&["check-config", "/dev/null/fantail.toml"], &[]);
    assert_eq!(code, Some(2));
    assert!(
        err.starts_with("/dev/null/fantail.toml: cannot read"),
        "{err}"
    );
}

#[test]
fn serve_refuses_what_check_config_would_and_exits_with_2() {
    let open = "`listen` = 0.0.0.0:8080 is reachable from other machines";
    let bad = "RUST_LOG = \"a=b=c\": ";
    for (args, environment, start) in [
        (&["serve", "--listen", "0.0.0.0:8080"][..], &[][..], open),
        (&["--listen", "0.0.0.0:8080"], &[], open),
        (&[], &[("FANTAIL_LISTEN", "0.0.0.0:8080")], open),
        (
            &[],
            &[("FANTAIL_CONFIG", "/dev/null/x.toml")],
            "/dev/null/x.toml: cannot read",
        ),
        (
            &["--config", "/dev/null/y.toml"],
            &[("FANTAIL_CONFIG", "x.toml")],
            "/dev/null/y.toml:",
        ),
        (&["serve"], &[("RUST_LOG", "a=b=c")], bad),
    ] {
        let (code, out, err) = run(args, environment);
        assert_eq!((code, &*out), (Some(2), ""), "{args:?} {err}");
        assert!(err.starts_with(start), "{err}");
    }
}

#[test]
fn a_port_that_is_taken_exits_with_1_and_the_reason_is_said_once() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let taken = listener.local_addr().expect("an address").to_string();
    for setting in ["listen", "ingest_listen", "admin_listen"] {
        let flag = |name: &str| format!("--{}", name.replace('_', "-"));
        let mut args = vec![flag(setting), taken.clone()];
        for other in ["listen", "ingest_listen", "admin_listen"] {
            if other != setting {
                args.extend([flag(other), "127.0.0.1:0".to_owned()]);
            }
        }
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let (code, _, err) = run(&args, &[]);
        assert_eq!(code, Some(1), "{err}");
        assert!(
            err.contains(&format!("cannot listen on {taken} (`{setting}`): ")),
            "{err}"
        );
        assert_eq!(err.matches("Address already in use").count(), 1, "{err}");
    }
}

#[test]
fn wrong_use_exits_with_2_and_names_the_flag() {
    for args in [
        &["--histroy-events", "5"][..],
        &["serve", "--histroy-events", "5"],
    ] {
        let (code, out, err) = run(args, &[]);
        assert_eq!((code, &*out), (Some(2), ""));
        assert!(err.contains("--histroy-events"), "{err}");
        assert!(err.contains("--history-events"), "{err}");
    }
    assert_eq!(run(&["check-config"], &[]).0, Some(2));
    assert_eq!(run(&["no-such-command"], &[]).0, Some(2));
}

#[test]
fn version_and_help_exit_with_0_and_tell_no_secret() {
    let (code, out, _) = run(&["--version"], &[]);
    let version = concat!("fantail ", env!("CARGO_PKG_VERSION"), "\n");
    assert_eq!((code, &*out), (Some(0), version));

    let secret = [("FANTAIL_INGEST_PASSWORD", "hush")];
    let (code, out, _) = run(&["serve", "--help"], &secret);
    assert_eq!(code, Some(0));
    assert!(
        out.contains("--ingest-password") && !out.contains("hush"),
        "{out}"
    );
    assert!(out.contains("FANTAIL_HEARTBEAT_INTERVAL"), "{out}");
}

#[test]
fn the_documentation_lists_every_setting_as_it_is() {
    let (code, table, _) = run(&["settings"], &[]);
    assert_eq!((code, &*table), (Some(0), &*settings::markdown()));

    document::has(BEGIN, &table, END);
}
