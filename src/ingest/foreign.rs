//! Detection of other protocols on the ingest port.
//!
//! A web page can make a browser send HTTP to any port, with a body of its choice. An attacker who
//! chooses the address that some server fetches can do the same. To a reader of inline commands
//! each line of it is a command. So a connection that speaks HTTP ends before any byte behind that
//! line is run. TLS is ended before its first line, because a stranger may also choose the content
//! of a ClientHello.

use std::net::SocketAddr;

use tracing::warn;

use super::resp::{Arg, ProtocolError};
use crate::metrics::{Foreign, NodeMetrics};
use crate::once_a_minute::OnceAMinute;

/// Methods of HTTP: RFC 9110, section 9, RFC 5789, and the first word of the preface of HTTP/2. No
/// command here has one of these names.
const METHODS: [&str; 10] = [
    "GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "PRI",
];

/// First bytes of a TLS connection: a handshake record of any version.
const TLS_HANDSHAKE: [u8; 2] = [0x16, 3];

/// The protocol of `input` if it can be recognized before the command is complete. `input` starts
/// with the first byte of a command.
pub(super) fn at_start(input: &[u8]) -> Option<Foreign> {
    input.starts_with(&TLS_HANDSHAKE).then_some(Foreign::Tls)
}

/// The foreign protocol of a command; `bytes` are the whole command, `args` its words.
///
/// `POST` and `Host:` end the connection in any form, as in Redis. In an inline command every
/// method does, and so does a line with the end of a request line: the lines before the first
/// header field must not run either.
pub(super) fn in_command(bytes: &[u8], args: &[Arg<'_>]) -> Option<Foreign> {
    let name = args.first()?;
    let is_http = name.eq_ignore_ascii_case(b"POST")
        || starts_with_host(name)
        || (bytes.first() != Some(&b'*') && is_http_line(bytes));
    is_http.then_some(Foreign::Http)
}

/// The foreign protocol of bytes that could not be read: a request line with a quote in it, or one
/// that is longer than any command.
pub(super) fn in_malformed(bytes: &[u8], error: ProtocolError) -> Option<Foreign> {
    use ProtocolError as Error;
    let inline = matches!(error, Error::InlineTooBig | Error::UnbalancedQuotes);
    (inline && is_http_line(bytes)).then_some(Foreign::Http)
}

/// Whether the first line of `bytes` is a line of HTTP.
fn is_http_line(bytes: &[u8]) -> bool {
    let end = memchr::memchr(b'\n', bytes).unwrap_or(bytes.len());
    let mut words = bytes[..end]
        .split(u8::is_ascii_whitespace)
        .filter(|word| !word.is_empty());
    let Some(first) = words.next() else {
        return false;
    };
    let is_method = METHODS
        .iter()
        .any(|method| first.eq_ignore_ascii_case(method.as_bytes()));
    let is_host = first.eq_ignore_ascii_case(b"host")
        && words
            .clone()
            .next()
            .is_some_and(|word| word.starts_with(b":"));
    is_method || is_host || starts_with_host(first) || words.next_back().is_some_and(is_version)
}

/// `Host:`, also where its value follows without a space.
fn starts_with_host(word: &[u8]) -> bool {
    word.get(..5)
        .is_some_and(|start| start.eq_ignore_ascii_case(b"host:"))
}

/// `HTTP/1.1` and the like.
fn is_version(word: &[u8]) -> bool {
    match word.split_at_checked(5) {
        Some((name, [b'0'..=b'9', rest @ ..])) => {
            name.eq_ignore_ascii_case(b"HTTP/")
                && rest
                    .iter()
                    .all(|byte| byte.is_ascii_digit() || *byte == b'.')
        }
        _ => false,
    }
}

/// Counts and logs connections that were ended for a foreign protocol; at most one line a minute
/// for each protocol.
#[derive(Debug, Default)]
pub(super) struct Log {
    lines: [OnceAMinute; Foreign::ALL.len()],
}

impl Log {
    /// Notes that `client`'s connection is ended.
    pub(super) fn note(&self, foreign: Foreign, client: SocketAddr, metrics: &NodeMetrics) {
        metrics.ingest_foreign[foreign as usize].add(1);
        let Some(left_out) = self.lines[foreign as usize].due() else {
            return;
        };
        match foreign {
            Foreign::Http => warn!(
                %client, left_out,
                "HTTP was spoken to the ingest port: the connection was ended, and nothing behind the first line of HTTP was run. It came \
                 from a web page, a forged request, or a client that takes this port for `listen`"
            ),
            Foreign::Tls => warn!(
                %client, left_out,
                "TLS was spoken to the ingest port, which does not speak it: the connection was ended. Switch TLS off in the client \
                 (redis:// in place of rediss://), or put a TLS proxy in front"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ingest::resp::{Limits, Reader};

    fn spoken(bytes: &[u8]) -> Option<Foreign> {
        let limits = Limits {
            array_max: 16,
            bulk_bytes_max: 1_024,
            command_bytes_max: 1_024,
            authenticated: true,
        };
        let mut args = Vec::new();
        match Reader::default().next(&limits, bytes, &mut args) {
            Ok(Some(length)) => in_command(&bytes[..length], &args),
            Ok(None) => at_start(bytes),
            Err(error) => in_malformed(bytes, error),
        }
    }

    #[test]
    fn every_line_of_http_that_a_browser_or_a_forged_request_begins_with_is_told() {
        for line in [
            "POST / HTTP/1.1\r\n",
            "post\n",
            "\"POST\" / x\r\n",
            "  \tPoSt /\r\n",
            "GET / HTTP/1.1\r\n",
            "GET / HTTP/1.0\r\n",
            "GET /\r\n",
            "GET\r\n",
            "HEAD /x HTTP/1.1\r\n",
            "PUT /x HTTP/1.1\r\n",
            "DELETE /x HTTP/1.1\r\n",
            "CONNECT a:443 HTTP/1.1\r\n",
            "OPTIONS * HTTP/1.1\r\n",
            "TRACE / HTTP/1.1\r\n",
            "patch / HTTP/1.1\r\n",
            "PRI * HTTP/2.0\r\n",
            "FOO / HTTP/1.1\r\n",
            "PUBLISH /news HTTP/1.1\r\n",
            "PUBLISH a b HTTP/3\r\n",
            "GET /it's HTTP/1.1\r\n",
            "FOO /\" HTTP/1.1\r\n",
            "Host: x\r\n",
            "hOST:x\r\n",
            "host :x\r\n",
            "Host \t: x\r\n",
            "'Host:' x\r\n",
            "*1\r\n$4\r\npOsT\r\n",
            "*2\r\n$5\r\nHOST:\r\n$1\r\nx\r\n",
            "*1\r\n$6\r\nHost:x\r\n",
        ] {
            assert_eq!(spoken(line.as_bytes()), Some(Foreign::Http), "{line:?}");
        }
        let long = format!("GET /{} HTTP/1.1\r\n", "x".repeat(100_000));
        assert_eq!(spoken(long.as_bytes()), Some(Foreign::Http));
        let unfinished = &long[..90_000];
        assert_eq!(spoken(unfinished.as_bytes()), Some(Foreign::Http));
    }

    #[test]
    fn commands_are_not_taken_for_http() {
        for line in [
            "",
            "\r\n",
            "PING\r\n",
            "PUBLISH POST Host:\r\n",
            "PUBLISH HTTP/1.1 x\r\n",
            "PUBLISH t \"HTTP/1.1\"\r\n",
            "PUBLISH t HTTP/\r\n",
            "PUBLISH t HTTP/1.1x\r\n",
            "PUBLISH t xHTTP/1.1\r\n",
            "POSTS x\r\n",
            "host x\r\n",
            "hosts: x\r\n",
            "*2\r\n$3\r\nGET\r\n$1\r\n/\r\n",
            "*3\r\n$7\r\nPUBLISH\r\n$1\r\nt\r\n$8\r\nHTTP/1.1\r\n",
            "*2\r\n$4\r\nECHO\r\n$4\r\nPOST\r\n",
            "PUBLISH 'a\r\n",
        ] {
            assert_eq!(spoken(line.as_bytes()), None, "{line:?}");
        }
    }

    #[test]
    fn tls_is_told_by_two_bytes() {
        assert_eq!(spoken(b"\x16\x03"), Some(Foreign::Tls));
        assert_eq!(spoken(b"\x16\x03\x01\x02\x00\x01"), Some(Foreign::Tls));
        assert_eq!(spoken(b"\x16"), None);
        assert_eq!(spoken(b"\x15\x03"), None);
    }
}
