//! A proxy between a node and a Redis, which delays, holds and cuts.

// Each test binary uses a part of it.
#![allow(dead_code)]

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// Pieces of a reply that may be on their way; a delay holds no more than this.
const PIECES: usize = 4096;

/// Bytes of a piece.
const PIECE: usize = 16 * 1024;

/// A listener that forwards to one server.
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    target: Mutex<SocketAddr>,
    /// How long replies are on their way.
    delay_ms: AtomicU64,
    /// New connections are closed at once.
    refuses: AtomicBool,
    /// New connections are held from the beginning.
    holds: AtomicBool,
    /// Bytes of replies until the connection that brings them is cut; `u64::MAX` for never.
    until_cut: AtomicU64,
    links: Mutex<Vec<Arc<Link>>>,
    accepted: AtomicUsize,
    ends: AtomicBool,
}

/// A client's connection and the one to the server.
struct Link {
    client: TcpStream,
    server: TcpStream,
    held: Mutex<bool>,
    changed: Condvar,
    is_cut: AtomicBool,
}

impl Link {
    fn hold(&self, is_held: bool) {
        *self.held.lock().expect("no panic") = is_held;
        self.changed.notify_all();
    }

    /// Waits while the link is held.
    fn pass(&self) {
        let mut held = self.held.lock().expect("no panic");
        while *held && !self.is_cut.load(Ordering::Relaxed) {
            held = self.changed.wait(held).expect("no panic");
        }
    }

    fn cut(&self) {
        self.is_cut.store(true, Ordering::Relaxed);
        // Either may have ended by itself.
        let _ = self.client.shutdown(Shutdown::Both);
        let _ = self.server.shutdown(Shutdown::Both);
        self.changed.notify_all();
    }
}

impl Proxy {
    /// Listens on a free port.
    pub(crate) fn to(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let shared = Arc::new(Shared {
            target: Mutex::new(target),
            delay_ms: AtomicU64::new(0),
            refuses: AtomicBool::new(false),
            holds: AtomicBool::new(false),
            until_cut: AtomicU64::new(u64::MAX),
            links: Mutex::default(),
            accepted: AtomicUsize::new(0),
            ends: AtomicBool::new(false),
        });
        let accepts = Arc::clone(&shared);
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                if accepts.ends.load(Ordering::Relaxed) {
                    break;
                }
                accepts.accept(client);
            }
        });
        Self { address, shared }
    }

    /// The address as settings have it.
    pub(crate) fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    /// New connections go to another server.
    pub(crate) fn aim(&self, target: SocketAddr) {
        *self.shared.target.lock().expect("no panic") = target;
    }

    /// Replies take this long from now on.
    pub(crate) fn delay(&self, delay: Duration) {
        let ms = delay.as_millis() as u64;
        self.shared.delay_ms.store(ms, Ordering::Relaxed);
    }

    /// Nothing passes any more, in either direction, and nothing is closed: a cut cable. New
    /// connections are accepted if `new_too`, and held as well.
    pub(crate) fn hold(&self, new_too: bool) {
        let links = self.shared.links.lock().expect("no panic");
        self.shared.holds.store(new_too, Ordering::Relaxed);
        links.iter().for_each(|link| link.hold(true));
    }

    /// Holds this many of the connections, the oldest ones.
    pub(crate) fn hold_first(&self, count: usize) {
        self.links()
            .iter()
            .take(count)
            .for_each(|link| link.hold(true));
    }

    /// Holds the connections of which the server sees one of these addresses.
    pub(crate) fn hold_those(&self, seen: &[SocketAddr]) -> usize {
        let links = self.links();
        let chosen = links.iter().filter(|link| {
            let address = link.server.local_addr();
            address.is_ok_and(|address| seen.contains(&address))
        });
        chosen.map(|link| link.hold(true)).count()
    }

    /// What was held goes on.
    pub(crate) fn release(&self) {
        let links = self.shared.links.lock().expect("no panic");
        self.shared.holds.store(false, Ordering::Relaxed);
        links.iter().for_each(|link| link.hold(false));
    }

    /// Cuts all connections.
    pub(crate) fn cut(&self) {
        self.links().iter().for_each(|link| link.cut());
    }

    /// Cuts the connection that brings the client the last of these bytes of replies, behind it.
    pub(crate) fn cut_after(&self, bytes: u64) {
        self.shared.until_cut.store(bytes, Ordering::Relaxed);
    }

    /// Whether new connections are closed at once.
    pub(crate) fn refuse(&self, refuses: bool) {
        self.shared.refuses.store(refuses, Ordering::Relaxed);
    }

    /// Connections that were accepted so far.
    pub(crate) fn accepted(&self) -> usize {
        self.shared.accepted.load(Ordering::Relaxed)
    }

    /// Connections that are open.
    pub(crate) fn open(&self) -> usize {
        self.links().len()
    }

    fn links(&self) -> Vec<Arc<Link>> {
        self.shared.links.lock().expect("no panic").clone()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.ends.store(true, Ordering::Relaxed);
        // Wakes the listener.
        let _ = TcpStream::connect(self.address);
        self.cut();
    }
}

impl Shared {
    fn accept(self: &Arc<Self>, client: TcpStream) {
        self.accepted.fetch_add(1, Ordering::Relaxed);
        if self.refuses.load(Ordering::Relaxed) {
            return;
        }
        let target = *self.target.lock().expect("no panic");
        // A server that is away: the client's connection ends.
        let Ok(server) = TcpStream::connect_timeout(&target, Duration::from_secs(5)) else {
            return;
        };
        for socket in [&client, &server] {
            socket.set_nodelay(true).expect("a socket");
        }
        let mut links = self.links.lock().expect("no panic");
        if *self.target.lock().expect("no panic") != target {
            return;
        }
        let link = Arc::new(Link {
            client,
            server,
            held: Mutex::new(self.holds.load(Ordering::Relaxed)),
            changed: Condvar::new(),
            is_cut: AtomicBool::new(false),
        });
        links.push(Arc::clone(&link));
        drop(links);
        let upward = Arc::clone(&link);
        thread::spawn(move || upward.forward_requests());
        let (to, pieces) = sync_channel(PIECES);
        let (reader, shared) = (Arc::clone(&link), Arc::clone(self));
        thread::spawn(move || {
            let mut piece = [0; PIECE];
            while let Ok(count @ 1..) = (&reader.server).read(&mut piece) {
                let delay = Duration::from_millis(shared.delay_ms.load(Ordering::Relaxed));
                if to
                    .send((Instant::now() + delay, piece[..count].to_vec()))
                    .is_err()
                {
                    break;
                }
            }
        });
        let shared = Arc::clone(self);
        thread::spawn(move || {
            shared.forward_replies(&link, &pieces);
            link.cut();
            let mut links = shared.links.lock().expect("no panic");
            links.retain(|other| !Arc::ptr_eq(other, &link));
        });
    }

    /// Writes the pieces when they are due, until the link is cut or one side has ended.
    fn forward_replies(&self, link: &Link, pieces: &Receiver<(Instant, Vec<u8>)>) {
        while let Ok((due, mut piece)) = pieces.recv() {
            // The only sleep that stands for itself: it is the delay.
            thread::sleep(due.saturating_duration_since(Instant::now()));
            link.pass();
            let left = self.until_cut.load(Ordering::Relaxed);
            let is_last = left <= piece.len() as u64;
            if is_last {
                self.until_cut.store(u64::MAX, Ordering::Relaxed);
                piece.truncate(left as usize);
            } else if left < u64::MAX {
                let left = left - piece.len() as u64;
                self.until_cut.store(left, Ordering::Relaxed);
            }
            if (&link.client).write_all(&piece).is_err() || is_last {
                break;
            }
        }
    }
}

impl Link {
    fn forward_requests(&self) {
        let mut piece = [0; PIECE];
        while let Ok(count @ 1..) = (&self.client).read(&mut piece) {
            self.pass();
            if (&self.server).write_all(&piece[..count]).is_err() {
                break;
            }
        }
        self.cut();
    }
}
