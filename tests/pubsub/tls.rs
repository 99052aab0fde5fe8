//! A server behind TLS, with a certificate of the test's own (Debian: openssl).

use std::path::Path;
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::redis_server::Redis;
use crate::support::free_port::free_address;
use crate::support::node::{Node, PROGRAM};
use crate::support::sse::SseStream;

/// Makes a certificate for `localhost`, which is its own authority.
fn certificate(directory: &Path) {
    let made = Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
        ])
        .args([
            "-nodes",
            "-days",
            "2",
            "-subj",
            "/CN=localhost",
            "-keyout",
            "key.pem",
            "-out",
        ])
        .args(["certificate.pem", "-addext", "subjectAltName=DNS:localhost"])
        .args(["-addext", "basicConstraints=critical,CA:FALSE"])
        .current_dir(directory)
        .stderr(Stdio::null())
        .status()
        .unwrap_or_else(|error| panic!("openssl: {error} (install openssl)"));
    assert!(made.success());
}

/// A server that speaks TLS as well, its URL with it, and its certificate.
struct Secured {
    redis: Redis,
    url: String,
    certificate: String,
    _directory: TempDir,
}

impl Secured {
    fn start() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        certificate(directory.path());
        let path = |name| {
            let path = directory.path().join(name);
            path.to_str().expect("text").to_owned()
        };
        let (key, certificate) = (path("key.pem"), path("certificate.pem"));
        let port = free_address().port().to_string();
        let options = [
            ["--tls-port", &port],
            ["--tls-cert-file", &certificate],
            ["--tls-key-file", &key],
            ["--tls-ca-cert-file", &certificate],
            ["--tls-auth-clients", "no"],
        ];
        Self {
            redis: Redis::empty_with(options.as_flattened()),
            url: format!("rediss://localhost:{port}"),
            certificate,
            _directory: directory,
        }
    }

    /// A node that trusts the certificate.
    fn trusting(&self, flags: &[&str]) -> Node {
        let mut command = Command::new(PROGRAM);
        command.env("SSL_CERT_FILE", &self.certificate);
        Node::start_as(command, flags)
    }
}

#[test]
fn a_certificate_that_is_trusted_opens_the_channels_and_no_other() {
    let server = Secured::start();
    let flags = ["--redis-pubsub", &server.url, "--redis-channels", "in"];
    let node = server.trusting(&flags);
    node.wait_for_log("subscribed to Redis channels");
    let mut stream = SseStream::open(node.http, "/events?topic=in");
    server.redis.publish("in", "over TLS");
    assert_eq!(stream.take_data(1), ["over TLS"]);
    let node = Node::start_with(&flags);
    node.wait_for_log("(the variable `SSL_CERT_FILE` names a file");
}

#[test]
fn a_certificate_that_is_trusted_opens_the_log_and_no_other() {
    let server = Secured::start();
    let node = server.trusting(&["--log", &server.url]);
    let mut stream = SseStream::open(node.http, "/events?topic=t");
    let add = ["XADD", "fantail", "*", "topic", "t", "data", "over TLS"];
    server.redis.ask::<String>(&add);
    assert_eq!(stream.take_data(1), ["over TLS"]);
    let listeners = ["--listen", "--ingest-listen", "--admin-listen"];
    let listeners = listeners.map(|flag| [flag, "127.0.0.1:0"]);
    let output = Command::new(PROGRAM)
        .arg("serve")
        .args(listeners.as_flattened())
        .args(["--log", &server.url, "--log-start-timeout", "100ms"])
        .output()
        .expect("the program");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        !output.status.success() && said.contains("invalid peer certificate"),
        "{said}"
    );
}
