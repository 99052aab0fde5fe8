//! Between an application and the node: cuts one connection when the node has taken an event, and
//! the application has not had the reply; or holds all replies for a while.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;

/// In the data of the event whose reply is lost.
pub(super) const LOST: &str = "its reply is lost";

/// Largest part that is forwarded at once; commands of the tests are smaller.
const PART_BYTES: usize = 64 * 1024;

/// A listener in front of the node's ingest port. Its threads end with their connections, and the
/// first one with the process.
pub(super) struct Cutter {
    pub(super) address: SocketAddr,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    /// The reply of [`LOST`] was kept back, and its connection cut.
    has_cut: AtomicBool,
    /// A client has sent something.
    has_heard: AtomicBool,
    /// Replies wait.
    holds: Mutex<bool>,
    released: Condvar,
}

impl Cutter {
    /// Starts it in front of this address.
    pub(super) fn start(node: SocketAddr) -> Self {
        Self::start_at((Ipv4Addr::LOCALHOST, 0).into(), node, false)
    }

    /// Starts it at the first address, in front of the second one; it `holds` all replies.
    pub(super) fn start_at(listen: SocketAddr, node: SocketAddr, holds: bool) -> Self {
        let listener = TcpListener::bind(listen).expect("a port");
        let address = listener.local_addr().expect("an address");
        let state = Arc::new(State {
            holds: Mutex::new(holds),
            ..State::default()
        });
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                if let Ok(node) = TcpStream::connect(node) {
                    forward(client, node, &shared);
                }
            }
        });
        Self { address, state }
    }

    /// Whether a connection was cut.
    pub(super) fn has_cut(&self) -> bool {
        self.state.has_cut.load(Ordering::SeqCst)
    }

    /// Whether a client has sent something.
    pub(super) fn has_heard(&self) -> bool {
        self.state.has_heard.load(Ordering::SeqCst)
    }

    /// Lets replies pass.
    pub(super) fn release(&self) {
        *self.state.holds.lock().expect("no panic") = false;
        self.state.released.notify_all();
    }
}

/// Starts the two directions of a connection.
fn forward(client: TcpStream, node: TcpStream, state: &Arc<State>) {
    // From then on, what the node says is a reply that is not passed on.
    let silent = Arc::new(AtomicBool::new(false));
    let (to_client, from_node) = (
        client.try_clone().expect("a socket"),
        node.try_clone().expect("a socket"),
    );
    let (commands, is_silent) = (Arc::clone(state), Arc::clone(&silent));
    thread::spawn(move || {
        pass(client, node, |part| {
            commands.has_heard.store(true, Ordering::SeqCst);
            let lost = part
                .windows(LOST.len())
                .any(|words| words == LOST.as_bytes());
            if lost && !commands.has_cut.swap(true, Ordering::SeqCst) {
                is_silent.store(true, Ordering::SeqCst);
            }
            true
        });
    });
    let replies = Arc::clone(state);
    thread::spawn(move || {
        pass(from_node, to_client, |_| {
            let holds = replies.holds.lock().expect("no panic");
            let wait = replies.released.wait_while(holds, |holds| *holds);
            drop(wait.expect("no panic"));
            !silent.load(Ordering::SeqCst)
        });
    });
}

/// Copies until either side ends, or a part may not pass; then both end.
fn pass(mut from: TcpStream, mut to: TcpStream, mut may_pass: impl FnMut(&[u8]) -> bool) {
    let mut part = vec![0; PART_BYTES];
    while let Ok(count) = from.read(&mut part) {
        if count == 0 || !may_pass(&part[..count]) || to.write_all(&part[..count]).is_err() {
            break;
        }
    }
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}
