//! Every failure before the last step leaves the running program as it was.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::node::{Publisher, Upgraded, numbers, publish, reader};
use crate::support::http;
use crate::support::sse::SseStream;

/// A node with a stream and a publisher, each of which goes on over all refusals.
pub(crate) struct Watched {
    pub(crate) upgraded: Upgraded,
    stream: SseStream,
    publisher: Publisher,
}

impl Watched {
    pub(crate) fn start(flags: &[&str]) -> Self {
        let upgraded = Upgraded::start(flags);
        let stream = SseStream::open(upgraded.node.http, "/events/t");
        let publisher = Publisher::resp(&upgraded.node, "t");
        Self {
            upgraded,
            stream,
            publisher,
        }
    }

    /// An upgrade is refused with this reason, also in the log.
    pub(crate) fn refused(&self, reason: &str) {
        let pid = self.upgraded.node.pid();
        let said = self.upgraded.refused();
        assert!(said.contains(reason), "{said}");
        self.upgraded.node.wait_for_log(reason);
        assert_eq!(self.upgraded.node.pid(), pid);
        let status = self.upgraded.status();
        assert!(status["last"]["failed"].is_string(), "{status}");
        assert_eq!(status["running"], false);
        publish(&self.upgraded.node, "elsewhere", "x");
    }

    /// Nothing was lost, and an upgrade works.
    pub(crate) fn end(self) {
        self.upgraded.install_real();
        self.upgraded.upgrade();
        let (count, _) = self.publisher.end();
        let data = reader(self.stream, count)
            .join()
            .expect("nothing is missing");
        assert_eq!(data, numbers(count));
    }
}

#[test]
fn a_program_that_cannot_be_started_is_refused() {
    let watched = Watched::start(&[]);
    watched.upgraded.install(Path::new("/no/such/program"));
    watched.refused("cannot be read");
    let folder = &watched.upgraded.folder;
    let file = folder.path().join("not-executable");
    fs::write(&file, "text").expect("a file");
    watched.upgraded.install(&file);
    watched.refused("cannot be started");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).expect("ours");
    watched.refused("would not start");
    watched.end();
}

#[test]
fn a_program_that_refuses_crashes_hangs_or_says_something_else_is_refused() {
    let watched = Watched::start(&[]);
    for (script, reason) in [
        (
            "echo a wrong setting >&2; exit 1",
            "exit code 1: a wrong setting",
        ),
        ("echo hello", "it is no Fantail"),
        ("exit 0", "it is no Fantail"),
        ("kill -SEGV $$", "signal 11"),
        ("sleep 1000", "did not end within 5 s"),
    ] {
        watched.upgraded.install_script(script);
        watched.refused(reason);
    }
    watched.end();
}

/// A program that is fit at first: it fails in the rehearsal, when everything is frozen.
#[test]
fn a_program_that_fails_when_it_has_the_state_is_refused() {
    let watched = Watched::start(&[]);
    let check = r#"case "$FANTAIL_HANDOVER" in check:*) exec $REAL "$@";; esac"#;
    for (script, reason) in [
        ("echo too new >&2; exit 3", "exit code 3: too new"),
        ("sleep 1000", "did not end within 5 s"),
        ("echo nonsense", "it is no Fantail"),
        // It crashes after it has said that it has adopted everything.
        (r#"$REAL "$@"; kill -KILL $$"#, "signal 9"),
        // It counts one stream too many, or has read another state.
        (
            r#"$REAL "$@" | sed 's/"streams":1/"streams":2/'"#,
            "the next program counts 2 streams",
        ),
        (
            r#"$REAL "$@" | sed 's/"digest":[0-9]*/"digest":7/'"#,
            "has read another state",
        ),
        (
            r#"$REAL "$@"; touch -d '2001-01-01' "$0""#,
            "was changed meanwhile",
        ),
        // It was given another state.
        (
            "FANTAIL_HANDOVER=rehearse:0 exec $REAL \"$@\"",
            "is not open",
        ),
    ] {
        watched
            .upgraded
            .install_script(&format!("{check}\n{script}"));
        watched.refused(reason);
    }
    watched.end();
}

#[test]
fn a_broken_configuration_or_a_taken_address_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("fantail.toml");
    fs::write(&file, "retry = \"1s\"\n").expect("a file");
    let watched = Watched::start(&["--config", file.to_str().expect("text")]);
    fs::write(&file, "retries = \"1s\"\n").expect("a file");
    watched.refused("retries");
    fs::write(&file, "retry = \"2s\"\n").expect("a file");
    watched.end();
}

#[test]
fn an_address_that_another_process_has_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("fantail.toml");
    let text = "ingest_listen = \"127.0.0.1:0\"\nadmin_listen = \"127.0.0.1:0\"\n";
    fs::write(&file, text).expect("a file");
    let other = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = other.local_addr().expect("bound");
    let watched = Watched::start(&["--config", file.to_str().expect("text")]);
    // The flags of the test support name the addresses; the environment of the check cannot.
    let script = format!(
        "shift 7\nexec $REAL serve --config {} --listen {address} --ingest-listen 127.0.0.1:0 --admin-listen 127.0.0.1:0",
        file.display()
    );
    watched.upgraded.install_script(&script);
    watched.refused("cannot listen on");
    drop(other);
    watched.end();
}

/// Each step of the hand-over fails once.
#[test]
fn a_step_that_fails_thaws_the_running_program() {
    let folder = tempfile::tempdir().expect("a folder");
    let link = folder.path().join("fantail");
    std::os::unix::fs::symlink(crate::support::node::PROGRAM, &link).expect("a link");
    let mut command = std::process::Command::new(&link);
    command.env("FAIL_UPGRADES", "1");
    let node = crate::support::node::Node::start_as(command, &[]);
    let upgraded = Upgraded { node, folder };
    let stream = SseStream::open(upgraded.node.http, "/events/t");
    let publisher = Publisher::http(&upgraded.node, "t");
    for step in [
        "Check", "Freeze", "Write", "Pass", "Rehearse", "Compare", "Identify", "Execute",
    ] {
        let said = upgraded.refused();
        assert!(
            said.contains(&format!("the step {step} was made to fail")),
            "{said}"
        );
    }
    upgraded.upgrade();
    let (count, _) = publisher.end();
    let data = reader(stream, count).join().expect("nothing is missing");
    assert_eq!(data, numbers(count));
}

#[test]
fn pages_and_two_at_once_are_refused() {
    let upgraded = Upgraded::start(&[]);
    let node = &upgraded.node;
    let of_a_page = [("Origin", "http://evil.example")];
    let answer = http::request(node.admin, "POST", "/upgrade", &of_a_page, b"");
    assert_eq!(answer.status, 403);
    upgraded.install_script("sleep 2; exit 1");
    let ask = || http::request(node.admin, "POST", "/upgrade", &[], b"");
    std::thread::scope(|scope| {
        let first = scope.spawn(ask);
        crate::support::wait_until("it is checked", || upgraded.status()["running"] == true);
        assert_eq!(ask().status, 409);
        assert_eq!(first.join().expect("no panic").status, 500);
    });
}

/// Without its keys, the next program would refuse every client.
#[test]
fn a_program_that_would_have_no_keys_is_refused() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("http://{}/keys", taken.local_addr().expect("bound"));
    drop(taken);
    let upgraded = Upgraded::start(&["--jwks-url", &url]);
    let reason = upgraded.refused();
    assert!(reason.contains("jwks_url"), "{reason}");
}

#[test]
fn a_state_directory_that_cannot_be_used_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("fantail.toml");
    fs::write(&file, "").expect("a file");
    let watched = Watched::start(&["--config", file.to_str().expect("text")]);
    let text = format!("state_dir = \"{}\"\n", file.display());
    fs::write(&file, text).expect("a file");
    watched.refused("is no directory");
    fs::write(&file, "").expect("a file");
    watched.end();
}
