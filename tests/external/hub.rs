//! A node that checks tokens, the tokens for it, and a publisher of the Mercure protocol.

use std::fmt::Write;
use std::process::Command;

use crate::support::http;
use crate::support::node::Node;

/// The secret of publishers and subscribers.
pub(crate) const SECRET: &str = "!ChangeThisMercureHubJWTSecretKey!";

/// Path of the hub.
pub(crate) const PATH: &str = "/.well-known/mercure";

/// The flags of a node that checks tokens. Clients reconnect at once, so that no test waits for
/// their default delay.
pub(crate) const FLAGS: [&str; 4] = ["--jwt-secret", SECRET, "--retry", "50ms"];

/// A token as `fantail token` makes it.
pub(crate) fn token(arguments: &[&str]) -> String {
    token_of(SECRET, arguments)
}

/// A token that another secret signs.
pub(crate) fn token_of(secret: &str, arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_fantail"))
        .arg("token")
        .args(arguments)
        .env_clear()
        .env("FANTAIL_JWT_SECRET", secret)
        .output()
        .expect("the program starts");
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    text.trim_end().to_owned()
}

/// Publishes a form with a token for every topic; returns the hub's id.
pub(crate) fn publish(node: &Node, form: &[(&str, &str)]) -> String {
    let authorization = format!("Bearer {}", token(&["--publish", "*"]));
    let fields = [
        ("Authorization", authorization.as_str()),
        ("Content-Type", "application/x-www-form-urlencoded"),
    ];
    let body = encode_form(form);
    let answer = http::request(node.http, "POST", PATH, &fields, body.as_bytes());
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.body
}

/// A form on the wire.
fn encode_form(form: &[(&str, &str)]) -> String {
    let pairs = form
        .iter()
        .map(|(name, value)| format!("{}={}", encode(name), encode(value)));
    pairs.collect::<Vec<_>>().join("&")
}

/// A text in an address or a form: everything but letters and digits is encoded.
pub(crate) fn encode(text: &str) -> String {
    text.bytes().fold(String::new(), |mut out, byte| {
        if byte.is_ascii_alphanumeric() {
            out.push(char::from(byte));
        } else {
            write!(out, "%{byte:02X}").expect("memory");
        }
        out
    })
}

/// The address of a stream of the hub.
pub(crate) fn stream(node: &Node, topics: &[&str]) -> String {
    node.url(&target(PATH, topics))
}

/// The target of a request for a stream of these topics.
pub(crate) fn target(path: &str, topics: &[&str]) -> String {
    let topics: Vec<_> = topics.iter().map(|topic| ("topic", *topic)).collect();
    format!("{path}?{}", encode_form(&topics))
}
