use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use socket2::SockRef;

use super::news::{News, Reader};
use crate::source::Wire;

/// Longest wait of one turn.
const TURN: Duration = Duration::from_millis(5);

/// One client: it reconnects, with its cursor, whenever its connection has ended.
struct Client {
    reader: Reader,
    cursor: String,
    link: Option<Link>,
    /// Topic of its own without any event; empty if it has none.
    quiet: String,
}

/// One connection of a client.
struct Link {
    socket: TcpStream,
    wire: Wire,
    /// Unsent bytes.
    request: Vec<u8>,
    /// Ends itself once so much of its request is sent.
    gives_up: bool,
}

/// How a client leaves, or behaves badly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// The socket is closed, whatever has arrived.
    Close,
    /// The connection is reset.
    Reset,
    /// Our side ends; the rest is read to the end.
    HalfClose,
    /// Both sides end.
    Shutdown,
    /// Bytes that are not a request are sent; the stream goes on.
    Garbage,
    /// A second request is sent; the stream goes on.
    Request,
    /// The next connection ends within its request.
    GiveUp,
    /// Two connections of one client at once: the first is left open unread, and closed when the
    /// client leaves.
    Forget,
}

const KINDS: [Kind; 8] = [
    Kind::Close,
    Kind::Reset,
    Kind::HalfClose,
    Kind::Shutdown,
    Kind::Garbage,
    Kind::Request,
    Kind::GiveUp,
    Kind::Forget,
];

/// All clients.
pub(super) struct Fleet {
    to: SocketAddr,
    start: String,
    clients: Vec<Client>,
    /// Connections that are no longer read.
    forgotten: Vec<TcpStream>,
    poll: Poll,
    events: Events,
    random: fastrand::Rng,
    done: [usize; KINDS.len()],
}

impl Fleet {
    /// Connects `count` clients that start from the oldest event.
    pub(super) fn new(
        to: SocketAddr,
        news: &News,
        count: usize,
        mut random: fastrand::Rng,
    ) -> Self {
        let clients = (0..count).map(|number| Client {
            reader: Reader::new(&mut random),
            cursor: String::new(),
            link: None,
            quiet: match random.u8(..3) {
                0 => format!("&topic=quiet/{number}"),
                _ => String::new(),
            },
        });
        let mut fleet = Self {
            to,
            start: news.start.clone(),
            clients: clients.collect(),
            forgotten: Vec::new(),
            poll: Poll::new().expect("a poller"),
            events: Events::with_capacity(1_024),
            random,
            done: [0; KINDS.len()],
        };
        for number in 0..count {
            fleet.connect(number, false);
        }
        fleet
    }

    /// Clients whose stream has begun.
    pub(super) fn open(&self) -> usize {
        let begun = |client: &&Client| {
            let link = client.link.as_ref();
            link.is_some_and(|link| !link.wire.status.is_empty())
        };
        self.clients.iter().filter(begun).count()
    }

    /// Events that clients have not heard yet.
    pub(super) fn missing(&self, news: &News) -> u64 {
        let clients = self.clients.iter();
        clients.map(|client| client.reader.missing(news)).sum()
    }

    /// Every kind of disturbance has happened often.
    pub(super) fn check_kinds(&self) {
        assert!(
            self.done.iter().all(|count| *count > 100),
            "{:?}",
            self.done
        );
    }

    pub(super) fn close(&mut self) {
        self.forgotten.clear();
        for client in &mut self.clients {
            client.link = None;
        }
    }

    /// Turns until `condition` holds.
    pub(super) fn wait_until(
        &mut self,
        deadline: Instant,
        what: &str,
        condition: impl Fn(&Self) -> bool,
    ) {
        while !condition(self) {
            assert!(Instant::now() < deadline, "waited in vain until {what}");
            self.turn();
        }
    }

    /// Sends and reads as much as possible.
    pub(super) fn turn(&mut self) {
        match self.poll.poll(&mut self.events, Some(TURN)) {
            Err(error) if error.kind() == ErrorKind::Interrupted => return,
            polled => polled.expect("a poller"),
        }
        let ready: Vec<usize> = self.events.iter().map(|event| event.token().0).collect();
        for number in ready {
            let client = &mut self.clients[number];
            let Some(link) = &mut client.link else {
                continue;
            };
            let open = link.send().and_then(|()| {
                link.receive(&mut client.cursor, |event| client.reader.hear(&event))
            });
            if let Err(_ended) = open {
                client.link = None;
                self.connect(number, false);
            }
        }
    }

    /// Does something to a client that its node may not like.
    pub(super) fn disturb(&mut self) {
        let number = self.random.usize(..self.clients.len());
        let kind = KINDS[self.random.usize(..KINDS.len())];
        let Some(link) = &mut self.clients[number].link else {
            return;
        };
        self.done[kind as usize] += 1;
        match kind {
            Kind::Close => {}
            Kind::Reset => SockRef::from(&link.socket)
                .set_linger(Some(Duration::ZERO))
                .expect("a socket"),
            Kind::HalfClose | Kind::Shutdown => {
                let how = match kind {
                    Kind::HalfClose => Shutdown::Write,
                    _ => Shutdown::Both,
                };
                // The node may have been faster.
                let _ = link.socket.shutdown(how);
                return;
            }
            Kind::Garbage | Kind::Request => {
                if link.request.is_empty() {
                    link.request = match kind {
                        Kind::Request => {
                            b"GET /events/all HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec()
                        }
                        _ => (0..self.random.usize(1..4_000))
                            .map(|_| self.random.u8(..))
                            .collect(),
                    };
                    // The rest is sent when the socket is writable; an error appears there again.
                    let _ = link.send();
                }
                return;
            }
            Kind::GiveUp => {}
            Kind::Forget => {
                let link = self.clients[number].link.take().expect("it is there");
                self.forget(link.socket);
            }
        }
        self.clients[number].link = None;
        self.connect(number, kind == Kind::GiveUp);
    }

    /// Leaves a connection open, unread; few of them at a time.
    fn forget(&mut self, mut socket: TcpStream) {
        self.poll
            .registry()
            .deregister(&mut socket)
            .expect("registered");
        self.forgotten.push(socket);
        if self.forgotten.len() > 100 {
            let oldest = self.random.usize(..self.forgotten.len());
            self.forgotten.swap_remove(oldest);
        }
    }

    fn connect(&mut self, number: usize, gives_up: bool) {
        let mut socket = TcpStream::connect(self.to).expect("a socket");
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.poll
            .registry()
            .register(&mut socket, Token(number), interest)
            .expect("a poller");
        let client = &self.clients[number];
        let version = if self.random.u8(..10) == 0 {
            "1.0"
        } else {
            "1.1"
        };
        let mut request = format!(
            "GET /events?{}{}&last_event_id={} HTTP/{version}\r\nHost: localhost\r\n",
            client.reader.query(),
            client.quiet,
            self.start
        );
        if !client.cursor.is_empty() {
            request.push_str(&format!("Last-Event-ID: {}\r\n", client.cursor));
        }
        request.push_str("\r\n");
        if gives_up {
            request.truncate(self.random.usize(..request.len()));
        }
        self.clients[number].link = Some(Link {
            socket,
            wire: Wire::http(),
            request: request.into_bytes(),
            gives_up,
        });
    }
}

impl Link {
    /// Sends unsent bytes, as far as possible.
    fn send(&mut self) -> io::Result<()> {
        while !self.request.is_empty() {
            match self.socket.write(&self.request) {
                Ok(sent) => drop(self.request.drain(..sent)),
                Err(error) if would_wait(&error) => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        if self.gives_up {
            return Err(ErrorKind::ConnectionAborted.into());
        }
        Ok(())
    }

    /// Reads arrived bytes; an error at the end.
    fn receive(
        &mut self,
        cursor: &mut String,
        hear: impl FnMut(crate::support::sse::SseEvent),
    ) -> io::Result<()> {
        let mut bytes = Vec::new();
        let mut piece = [0; 16 * 1024];
        let ended = loop {
            match self.socket.read(&mut piece) {
                Ok(0) => break Err(ErrorKind::UnexpectedEof.into()),
                Ok(count) => bytes.extend_from_slice(&piece[..count]),
                Err(error) if would_wait(&error) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        self.wire.feed(&bytes, cursor).into_iter().for_each(hear);
        let status = self.wire.status.as_str();
        assert!(status.is_empty() || status.ends_with(" 200 OK"), "{status}");
        ended
    }
}

fn would_wait(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::WouldBlock | ErrorKind::NotConnected | ErrorKind::Interrupted
    )
}
