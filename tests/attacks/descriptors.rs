//! A crowd of silent connections, more than the node may have files.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::innocent::Innocent;
use crate::readings::{log_lines, metric, open_files};
use crate::support::http::Connection;
use crate::support::node::Node;
use crate::support::{DEADLINE, resp, wait_until};

/// Limits on open files to try: those of a careless service, and of a shell.
const FILES: [u32; 3] = [64, 256, 1_024];

/// Connections beyond the limit.
const MORE: u32 = 100;

/// Most lines that an attack may log: the first of its kind, and one more per minute on a slow
/// machine.
const LOG_LINES_MAX: usize = 3;

/// The bytes of a member of the crowd: none, the start of a request, or of HTTP/2 (whose
/// connections need a file each, too).
const BEGINNINGS: [&[u8]; 4] = [
    b"",
    b"G",
    b"GET /events/a HTTP/1.1\r\nHost: a",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0",
];

/// The clients are in this process, and need files of their own.
fn raise_own_limit() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        ..limit
    };
    setrlimit(Resource::Nofile, raised).expect("up to the hard limit");
}

/// Opens `count` nearly silent connections, and keeps them.
fn crowd(to: SocketAddr, count: u32) -> Vec<TcpStream> {
    let beginnings = BEGINNINGS.iter().cycle();
    beginnings
        .take(count as usize)
        .map(|beginning| {
            let mut socket =
                TcpStream::connect_timeout(&to, DEADLINE).expect("the kernel queues it");
            // It may have been refused and closed already.
            let _ = socket.write_all(beginning);
            socket
        })
        .collect()
}

/// Sends a request to the public listener while it is full: it answers, or at least closes.
fn knock(node: &Node) {
    let mut socket =
        TcpStream::connect_timeout(&node.http, DEADLINE).expect("the kernel queues it");
    socket.set_read_timeout(Some(DEADLINE)).expect("a socket");
    let _ =
        socket.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    let mut answer = Vec::new();
    match socket.read_to_end(&mut answer) {
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
        Err(error) => panic!("no answer: {error}"),
    }
}

#[test]
fn silent_connections_took_the_files_of_the_other_listeners() {
    raise_own_limit();
    for files in FILES {
        let node = Node::start_with_files(files, &["--shards", "2", "--io-threads", "2"]);
        let mut innocent = Innocent::join(&node);
        for port in [node.http, node.ingest, node.admin] {
            let before = log_lines(&node);
            let mut attackers = Vec::new();
            innocent = innocent.beside(|| {
                attackers = crowd(port, files + MORE);
                if port != node.admin {
                    wait_until("some are refused", || {
                        metric(&node, "fantail_connections_refused_total ") > 0
                    });
                }
                // New ones are served as well.
                if port != node.ingest {
                    assert_eq!(resp::publish(node.ingest, "another", "x"), 0);
                }
                if port == node.http {
                    knock(&node);
                } else {
                    let mut other = Connection::open(node.http);
                    other.send(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n");
                    assert_eq!(other.response("GET").status, 200);
                }
                assert_eq!(node.admin_get("/readyz").status, 200);
                assert!(open_files(&node) < files as usize, "none was left");
            });
            assert_eq!(metric(&node, "fantail_accept_errors_total "), 0);
            let logged = log_lines(&node) - before;
            assert!(logged <= LOG_LINES_MAX, "{logged} lines: {}", node.logged());

            drop(attackers);
            wait_until("there is room for streams again", || {
                let mut connection = Connection::open(node.http);
                connection.send(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n");
                connection.response("GET").status == 200
            });
            wait_until("there is room for publishers again", || {
                metric(&node, "fantail_ingest_connections ") == 1
            });
        }
        innocent.check(1);
    }
}

#[test]
fn streams_were_opened_until_no_file_was_left_for_anyone() {
    raise_own_limit();
    let files = 256;
    let node = Node::start_with_files(files, &["--shards", "2", "--io-threads", "2"]);
    let mut innocent = Innocent::join(&node);
    let mut streams = Vec::new();
    innocent = innocent.beside(|| {
        for _ in 0..files {
            let mut socket =
                TcpStream::connect_timeout(&node.http, DEADLINE).expect("the kernel queues it");
            let _ = socket.write_all(b"GET /events/a HTTP/1.1\r\nHost: localhost\r\n\r\n");
            streams.push(socket);
        }
        wait_until("some are shed", || {
            metric(&node, "fantail_streams_shed_total ") > 0
        });
        assert_eq!(resp::publish(node.ingest, "another", "x"), 0);
        knock(&node);
    });
    assert_eq!(metric(&node, "fantail_accept_errors_total "), 0);
    innocent.check(1);
}
