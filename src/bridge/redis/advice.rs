//! What an operator may do about a failure, by the words of the system, of TLS and of Redis.

/// Words of a failure, and what may be wrong.
const ADVICE: [(&str, &str); 11] = [
    (
        "certificate not valid for name",
        "the address has to have a name of the certificate",
    ),
    ("certificate expired", "renew it, or set the clock right"),
    // Of an authority that is not trusted; there are several words for it.
    (
        "invalid peer certificate",
        "the variable `SSL_CERT_FILE` names a file with the certificates that this node trusts",
    ),
    // Large or small, as the system or a library says it.
    ("roken pipe", ENDED),
    ("reset by peer", ENDED),
    ("authentication failed", "check user and password"),
    ("WRONGPASS", "check user and password"),
    ("NOAUTH", "no password is set"),
    (
        "NOPERM",
        "`ACL LOG` of Redis says which right the user lacks, and the manual lists those that a node needs",
    ),
    ("unknown command 'SENTINEL'", NO_SENTINEL),
    // As servers before version 7 say it.
    ("unknown command `SENTINEL`", NO_SENTINEL),
];

const NO_SENTINEL: &str = "it is no Sentinel, whose usual port is 26379";

/// A server that has ended a connection before it answered.
const ENDED: &str = "the server has ended the connection at once: its `protected-mode` may refuse this host, or it may expect TLS (`rediss://`)";

/// The words of a failure to connect or of a refusal, and what an operator may do about it.
#[must_use]
pub fn advised(said: &str) -> String {
    let said = said.trim_end();
    match ADVICE.iter().find(|(words, _)| said.contains(words)) {
        Some((_, advice)) => format!("{said} ({advice})"),
        None => said.to_owned(),
    }
}
