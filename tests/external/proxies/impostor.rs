//! A program in the node's place, which does with each request what a node does at its worst.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use socket2::SockRef;

use crate::support::DEADLINE;

/// What it does when it has read a request.
#[derive(Clone, Copy, Debug)]
pub(super) enum Deed {
    /// Resets the connection.
    Drop,
    /// Answers with these bytes, and closes the connection.
    Answer(&'static str),
}

/// It listens until it is dropped.
pub(super) struct Impostor {
    pub(super) address: SocketAddr,
    requests: Arc<Mutex<Vec<String>>>,
    ends: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Impostor {
    pub(super) fn start(deed: Deed) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let address = listener.local_addr().expect("a port");
        let requests = Arc::new(Mutex::new(Vec::new()));
        let ends = Arc::new(AtomicBool::new(false));
        let thread = thread::spawn({
            let (requests, ends) = (Arc::clone(&requests), Arc::clone(&ends));
            move || {
                for socket in listener.incoming() {
                    if ends.load(Ordering::Acquire) {
                        break;
                    }
                    let request = serve(socket.expect("a connection"), deed);
                    requests.lock().expect("no panic").push(request);
                }
            }
        });
        Self {
            address,
            requests,
            ends,
            thread: Some(thread),
        }
    }

    /// The requests of this method so far.
    pub(super) fn requests(&self, method: &str) -> Vec<String> {
        let requests = self.requests.lock().expect("no panic");
        let of_method = |request: &&String| request.starts_with(&format!("{method} "));
        requests.iter().filter(of_method).cloned().collect()
    }
}

impl Drop for Impostor {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Release);
        // Its thread waits for a connection.
        let _ = TcpStream::connect(self.address);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// Reads one request, does the deed, and returns the request.
fn serve(mut socket: TcpStream, deed: Deed) -> String {
    let mut request = Vec::new();
    let mut part = [0; 4096];
    socket.set_read_timeout(Some(DEADLINE)).expect("a socket");
    while !complete(&request) {
        match socket.read(&mut part) {
            Ok(count) if count > 0 => request.extend_from_slice(&part[..count]),
            _ => break,
        }
    }
    match deed {
        Deed::Drop => {
            let linger = SockRef::from(&socket).set_linger(Some(Duration::ZERO));
            linger.expect("a socket");
        }
        Deed::Answer(answer) => drop(socket.write_all(answer.as_bytes())),
    }
    String::from_utf8_lossy(&request).into_owned()
}

/// Whether all of a request was read, its body included.
fn complete(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request).to_ascii_lowercase();
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return false;
    };
    if head.contains("\r\ntransfer-encoding: chunked") {
        return body.ends_with("0\r\n\r\n");
    }
    let length = head
        .split("\r\n")
        .find_map(|field| field.strip_prefix("content-length: "));
    body.len() >= length.map_or(0, |digits| digits.parse().expect("a length"))
}
