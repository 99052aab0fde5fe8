use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};

use crate::innocent::Innocent;
use crate::readings::{log_lines, metric};
use crate::support::node::Node;
use crate::support::resp::command;
use crate::support::{DEADLINE, http};

/// The events that every attack here tries to publish, and their topic.
const FORGED: &str = "PUBLISH forged x\r\n";

/// Most lines that an attack may log: the first of its kind, and one more per minute on a slow
/// machine.
const LOG_LINES_MAX: usize = 3;

/// Sends `bytes` and reads until the node ends the connection; returns its answer.
fn converse(to: SocketAddr, bytes: &[u8]) -> String {
    let mut socket = TcpStream::connect_timeout(&to, DEADLINE).expect("the node accepts");
    socket.set_read_timeout(Some(DEADLINE)).expect("a socket");
    // The node may end the connection before it has read everything.
    let _ = socket.write_all(bytes);
    rest(&mut socket)
}

/// The rest of the node's answer before it ends the connection.
fn rest(socket: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    match socket.read_to_end(&mut answer) {
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
        Err(error) => panic!("{error} after {:?}", String::from_utf8_lossy(&answer)),
    }
    String::from_utf8_lossy(&answer).into_owned()
}

/// Events that the node keeps of the topic that is attacked.
fn forged(node: &Node) -> u64 {
    let answer = http::request(node.http, "GET", "/topics/forged", &[], b"").json();
    answer["events"].as_u64().expect("a number")
}

/// A TLS ClientHello whose session id, which a server that was asked before may choose, is
/// `session`.
fn client_hello(session: &[u8]) -> Vec<u8> {
    let mut body = vec![3, 3];
    body.extend([b'r'; 32]);
    body.push(u8::try_from(session.len()).expect("at most 32 bytes"));
    body.extend(session);
    // One cipher suite, no compression, no extensions.
    body.extend([0, 2, 0x13, 1, 1, 0, 0, 0]);
    let length = u8::try_from(body.len()).expect("short");
    let mut record = vec![0x16, 3, 1, 0, length + 4, 1, 0, 0, length];
    record.extend(body);
    record
}

#[test]
fn redis_and_tls_spoken_to_the_http_ports_are_refused_and_do_no_harm() {
    let node = Node::start();
    let innocent = Innocent::join(&node);
    let before = log_lines(&node);
    let foreign: Vec<Vec<u8>> = vec![
        command(&["PUBLISH", "forged", "x"]),
        command(&["AUTH", "secret"]),
        b"PING\r\n".to_vec(),
        FORGED.into(),
        client_hello(b"\r\nPUBLISH forged x\r\n"),
        // The versions of the record that old and new clients send.
        vec![0x16, 3, 3, 2, 0, 1, 0, 1, 0xfc],
        b"EHLO example.com\r\n".to_vec(),
        b"SSH-2.0-OpenSSH_9.6\r\n".to_vec(),
        b"GET /events/forged\r\n\r\n".to_vec(),
        b"RTSP / RTSP/1.0\r\n\r\n".to_vec(),
        vec![0; 64],
        vec![0xff; 64],
    ];
    let mut innocent = innocent.beside(|| {
        for port in [node.http, node.admin] {
            for bytes in &foreign {
                let answer = converse(port, bytes);
                // Refused in words, or without.
                assert!(
                    answer.is_empty() || answer.starts_with("HTTP/1.1 400 Bad Request\r\n"),
                    "{:?} to {port}: {answer}",
                    bytes.escape_ascii().to_string()
                );
            }
        }
    });
    innocent.check(1);
    assert_eq!(forged(&node), 0);
    let logged = log_lines(&node) - before;
    assert!(logged <= LOG_LINES_MAX, "{logged} lines: {}", node.logged());
}

/// Requests that a browser or a server can be made to send to an address of the attacker's choice,
/// each with commands in every part that the attacker controls.
fn forged_requests() -> Vec<Vec<u8>> {
    let array = String::from_utf8(command(&["PUBLISH", "forged", "x"])).expect("text");
    let mut requests = Vec::new();
    for method in [
        "GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "PUBLISH",
    ] {
        for version in ["HTTP/1.1\r\nHost: x", "HTTP/1.0"] {
            for body in [FORGED, &array] {
                requests.push(format!("{method} / {version}\r\n\r\n\r\n{body}"));
            }
        }
    }
    // Line ends in the target, in a field before `Host`, in the name of a method, in a form post of
    // a page, in a file that is sent.
    requests.extend([
        format!("GET /\r\n{FORGED} HTTP/1.1\r\nHost: x\r\n\r\n"),
        format!("GET http://x/\r\n{FORGED}"),
        format!("GET /\n{FORGED}"),
        format!("GET / HTTP/1.1\r\nX: y\r\n{FORGED}Host: x\r\n\r\n"),
        format!("get / HTTP/1.1\r\nhost: x\r\n\r\n{FORGED}"),
        format!("POST / HTTP/1.1\r\nContent-Type: text/plain\r\n\r\na=\r\n{FORGED}"),
        format!("POST /it's HTTP/1.1\r\nHost: x\r\n\r\n{FORGED}"),
        format!(
            "POST /{} HTTP/1.1\r\nHost: x\r\n\r\n{FORGED}",
            "x".repeat(100_000)
        ),
        format!("\r\n\r\nPOST / HTTP/1.1\r\n\r\n{FORGED}"),
        format!("FOO / HTTP/1.1\r\n{FORGED}"),
        format!("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0{FORGED}"),
        format!("GET / HTTP/3\r\n{FORGED}"),
        format!("Host: x\r\n{FORGED}"),
        format!("hOsT:x\r\n{FORGED}"),
        format!("host : x\r\n{FORGED}"),
        format!("*1\r\n$4\r\nPost\r\n{FORGED}"),
        format!("*2\r\n$5\r\nHOST:\r\n$1\r\nx\r\n{FORGED}"),
    ]);
    requests.into_iter().map(String::into_bytes).collect()
}

#[test]
fn http_spoken_to_the_ingest_port_publishes_nothing() {
    let node = Node::start();
    let innocent = Innocent::join(&node);
    let before = log_lines(&node);
    let requests = forged_requests();
    innocent.beside(|| {
        for bytes in &requests {
            let answer = converse(node.ingest, bytes);
            assert_eq!(answer, "", "{}", bytes.escape_ascii());
        }
    });
    assert_eq!(forged(&node), 0);
    let ended = metric(&node, r#"fantail_ingest_foreign_total{protocol="http"}"#);
    assert_eq!(ended, requests.len() as u64);
    let logged = log_lines(&node) - before;
    assert!(logged <= LOG_LINES_MAX, "{logged} lines: {}", node.logged());
    assert!(node.logged().contains("HTTP was spoken to the ingest port"));
}

#[test]
fn tls_spoken_to_the_ingest_port_is_ended_whatever_its_session_id_says() {
    let node = Node::start();
    let innocent = Innocent::join(&node);
    let before = log_lines(&node);
    innocent.beside(|| {
        for _ in 0..20 {
            let hello = client_hello(b"\r\nPUBLISH forged x\r\n");
            assert_eq!(converse(node.ingest, &hello), "");
        }
    });
    assert_eq!(forged(&node), 0);
    let ended = metric(&node, r#"fantail_ingest_foreign_total{protocol="tls"}"#);
    assert_eq!(ended, 20);
    let logged = log_lines(&node) - before;
    assert!(logged <= LOG_LINES_MAX, "{logged} lines: {}", node.logged());
    assert!(node.logged().contains("TLS was spoken to the ingest port"));
}
