//! A server behind TLS, with a certificate of the test's own (Debian: openssl).

use std::path::Path;
use std::process::{Command, Stdio};

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

#[test]
fn a_certificate_that_is_trusted_opens_the_channels_and_no_other() {
    let directory = tempfile::tempdir().expect("a directory");
    certificate(directory.path());
    let path = |name| {
        directory
            .path()
            .join(name)
            .to_str()
            .expect("text")
            .to_owned()
    };
    let port = free_address().port().to_string();
    let redis = Redis::empty_with(&[
        "--tls-port",
        &port,
        "--tls-cert-file",
        &path("certificate.pem"),
        "--tls-key-file",
        &path("key.pem"),
        "--tls-ca-cert-file",
        &path("certificate.pem"),
        "--tls-auth-clients",
        "no",
    ]);
    let url = format!("rediss://localhost:{port}");
    let flags = ["--redis-pubsub", &url, "--redis-channels", "in"];
    let mut trusting = Command::new(PROGRAM);
    trusting.env("SSL_CERT_FILE", path("certificate.pem"));
    let node = Node::start_as(trusting, &flags);
    node.wait_for_log("subscribed to Redis channels");
    let mut stream = SseStream::open(node.http, "/events?topic=in");
    redis.publish("in", "over TLS");
    assert_eq!(stream.take_data(1), ["over TLS"]);
    let node = Node::start_with(&flags);
    node.wait_for_log("invalid peer certificate");
}
