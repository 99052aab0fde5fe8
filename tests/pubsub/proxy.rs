//! A proxy for TCP that can lose what it is given: it accepts, and forwards nothing.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// What a proxy does with bytes of a server.
#[derive(Default)]
struct State {
    /// Connections up to this number are dead: their sockets are open, and nothing comes out.
    dead_through: AtomicUsize,
    accepted: AtomicUsize,
}

pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    state: Arc<State>,
}

impl Proxy {
    pub(crate) fn to(server: SocketAddr) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let address = listener.local_addr().expect("an address");
        let state = Arc::new(State::default());
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let number = shared.accepted.fetch_add(1, Ordering::SeqCst) + 1;
                if let Ok(server) = TcpStream::connect(server) {
                    forward(number, &client, &server, &shared);
                    forward(number, &server, &client, &shared);
                }
            }
        });
        Self { address, state }
    }

    /// Connections that were accepted.
    pub(crate) fn accepted(&self) -> usize {
        self.state.accepted.load(Ordering::SeqCst)
    }

    /// From now on, the connections up to this number are dead.
    pub(crate) fn kill_through(&self, number: usize) {
        self.state.dead_through.store(number, Ordering::SeqCst);
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://{}", self.address)
    }
}

/// Forwards one direction of a connection on a thread of its own.
fn forward(number: usize, from: &TcpStream, to: &TcpStream, state: &Arc<State>) {
    let mut from = from.try_clone().expect("a socket");
    let mut to = to.try_clone().expect("a socket");
    let state = Arc::clone(state);
    thread::spawn(move || {
        let mut bytes = [0; 16 * 1024];
        while let Ok(count @ 1..) = from.read(&mut bytes) {
            let is_dead = number <= state.dead_through.load(Ordering::SeqCst);
            if !is_dead && to.write_all(&bytes[..count]).is_err() {
                break;
            }
        }
        let is_dead = number <= state.dead_through.load(Ordering::SeqCst);
        if !is_dead {
            let _ = to.shutdown(Shutdown::Both);
        }
    });
}
