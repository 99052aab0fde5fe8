//! A small SSE server with a history, private events, a thread a connection, and one fault of
//! choice.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::SystemTime;

use jsonwebtoken::{DecodingKey, Validation};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::Value;
use socket2::{Domain, Socket, Type};

/// The server's fault. Numbers are those of events, from one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    /// Never sends this event.
    Loses(usize),
    /// Sends this event twice.
    Doubles(usize),
    /// Sends this event after the next one.
    Swaps(usize),
    /// Sends a gap event instead of this one.
    TellsGap(usize),
    /// Refuses this many streams.
    Answers503(usize),
    /// Ends each stream after this many events.
    ClosesAfter(usize),
    /// Accepts connections, and that is all.
    NeverAnswers,
    /// Refuses this event.
    RefusesEvent(usize),
    /// Refuses every event.
    RefusesAll,
    /// Closes the publisher's connection instead of answering this event.
    HangsUp(usize),
    /// Ends each stream after this many events, and accepts none again.
    ClosesForGood(usize),
    /// Sends the events of every topic to every stream.
    IgnoresTopics,
    /// Begins every stream with the next new event.
    ForgetsCursors,
    /// Refuses an event without a token for all topics.
    WantsPublishers,
    /// Knows no cursor from before its start, and reports a gap. This is not a fault.
    Reborn,
    /// The same, but it keeps the events from this one on to itself until it is started again.
    Withholds(usize, Tells),
    /// Like [`Fault::Reborn`], but never answers this event.
    Stalls(usize),
    /// Like [`Fault::Reborn`], but answers this event with 503.
    Unavailable(usize),
    /// Like [`Fault::Reborn`], but answers these many first streams that come back with a `retry:`
    /// and an end.
    SendsAway(usize),
    /// Like [`Fault::Reborn`], but closes the publisher's connection behind each answer of so many.
    ClosesBehind(usize),
    /// Sends interim answers first, as some proxies do. It is no fault.
    HintsFirst,
    /// Sends a gap with such a range instead of this event.
    Skips(usize, Tells),
    /// Sends every event with an id of its own.
    OtherIds,
    /// Publishes this event, and answers it with 503.
    Swallows(usize),
}

/// The range of a gap that a server reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tells {
    /// Everything after the cursor.
    Exactly,
    /// Less: the first event after the cursor is left out.
    TooLittle,
    /// More: some before the cursor, too.
    TooMuch,
}

/// Signs the tokens that this server believes (HS256).
pub(crate) const SECRET: &str = "a secret of the server that does wrong";

/// A running server; its threads end with the test's process.
pub(crate) struct Faulty {
    address: SocketAddr,
    /// Peers of the connections.
    peers: Arc<Mutex<Vec<IpAddr>>>,
    shared: Arc<Shared>,
}

/// The published events, in order.
type Events = Vec<Event>;

struct Event {
    topic: String,
    data: String,
    private: bool,
    /// Its idempotency key, or nothing.
    key: String,
}

/// What nodes of one server share.
#[derive(Default)]
struct Log {
    events: Mutex<Events>,
    published: Condvar,
}

struct Shared {
    fault: Fault,
    /// The id of an event is its number and this.
    base: usize,
    log: Arc<Log>,
    /// Streams, and events that were offered.
    counts: Mutex<(usize, usize)>,
    /// Requests for streams.
    asked: Mutex<Vec<Request>>,
    /// A client had a cursor from before the start.
    is_second: AtomicBool,
}

impl Fault {
    /// Whether the server begins anew at each start.
    fn is_reborn(self) -> bool {
        matches!(
            self,
            Self::Reborn
                | Self::Withholds(..)
                | Self::Stalls(_)
                | Self::Unavailable(_)
                | Self::SendsAway(_)
                | Self::ClosesBehind(_)
        )
    }

    /// The data of the gap after a cursor from before the start.
    fn gap(self, cursor: usize, base: usize) -> String {
        let from = match self {
            Self::Withholds(_, Tells::TooLittle) => cursor + 1,
            Self::Withholds(_, Tells::TooMuch) => cursor - 1,
            _ => cursor,
        };
        format!(r#"{{"from":"{from}-0.old","reason":"unknown","to":"{base}-0.new"}}"#)
    }
}

impl Faulty {
    /// Starts it on a free port.
    pub(crate) fn start(fault: Fault) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        Self::listen(listener, fault, Arc::default(), Shared::serve_plain)
    }

    /// Starts another node of the same server on a free port, with a fault of its own.
    pub(crate) fn beside(&self, fault: Fault) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let log = Arc::clone(&self.shared.log);
        Self::listen(listener, fault, log, Shared::serve_plain)
    }

    /// Starts it there, also beside another one.
    pub(crate) fn start_at(address: SocketAddr, fault: Fault) -> Self {
        let listener = shared_listener(address).expect("the port is still free");
        Self::listen(listener, fault, Arc::default(), Shared::serve_plain)
    }

    /// Starts one that does right, over TLS.
    pub(crate) fn start_tls(config: ServerConfig) -> Self {
        let config = Arc::new(config);
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        Self::listen(
            listener,
            Fault::None,
            Arc::default(),
            move |shared, connection| {
                let session =
                    ServerConnection::new(Arc::clone(&config)).map_err(std::io::Error::other)?;
                shared.serve(StreamOwned::new(session, connection))
            },
        )
    }

    fn listen(
        listener: TcpListener,
        fault: Fault,
        log: Arc<Log>,
        serve: impl Fn(&Shared, TcpStream) -> std::io::Result<()> + Clone + Send + 'static,
    ) -> Self {
        let address = listener.local_addr().expect("its address");
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let shared = Arc::new(Shared {
            fault,
            base: match fault.is_reborn() {
                true => since.expect("a clock").as_micros() as usize,
                false => 0,
            },
            is_second: AtomicBool::new(false),
            log,
            counts: Mutex::default(),
            asked: Mutex::default(),
        });
        let peers = Arc::new(Mutex::default());
        let seen: Arc<Mutex<Vec<IpAddr>>> = Arc::clone(&peers);
        let told = Arc::clone(&shared);
        thread::spawn(move || {
            let mut silent = Vec::new();
            for connection in listener.incoming().flatten() {
                let peer = connection.peer_addr().map(|address| address.ip());
                seen.lock().expect("no panic").extend(peer);
                if fault == Fault::NeverAnswers {
                    silent.push(connection);
                    continue;
                }
                let (shared, serve) = (Arc::clone(&shared), serve.clone());
                // A client that disconnects ends its thread with an error, which is expected.
                thread::spawn(move || serve(&shared, connection));
            }
        });
        Self {
            address,
            peers,
            shared: told,
        }
    }

    /// The requests for streams.
    pub(crate) fn asked(&self) -> Vec<Request> {
        self.shared.asked.lock().expect("no panic").clone()
    }

    /// How many connections came from an address.
    pub(crate) fn connections_from(&self, address: &str) -> usize {
        let address: IpAddr = address.parse().expect("an address");
        let peers = self.peers.lock().expect("no panic");
        peers.iter().filter(|peer| **peer == address).count()
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

/// A listener on a port that others may listen on.
fn shared_listener(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.bind(&address.into())?;
    socket.listen(128)?;
    Ok(socket.into())
}

/// A request, as far as this server cares.
#[derive(Clone, Debug, Default)]
pub(crate) struct Request {
    method: String,
    pub(crate) path: String,
    cursor: Option<usize>,
    pub(crate) authorization: String,
    pub(crate) cookie: String,
    key: String,
    body: String,
}

impl Request {
    /// The token in the field `Authorization`.
    pub(crate) fn bearer(&self) -> &str {
        self.authorization.strip_prefix("Bearer ").unwrap_or("")
    }

    /// The topics that the token allows to do so, if it is believed.
    fn granted(&self, what: &str) -> Vec<String> {
        let key = DecodingKey::from_secret(SECRET.as_bytes());
        let mut validation = Validation::default();
        validation.required_spec_claims.clear();
        let token = jsonwebtoken::decode::<Value>(self.bearer(), &key, &validation);
        let topics = token.map(|token| token.claims["mercure"][what].clone());
        let topics = topics
            .ok()
            .and_then(|topics| serde_json::from_value(topics).ok());
        topics.unwrap_or_default()
    }

    /// The event of a publishing request: a form, JSON, or data whose topic is in the path.
    fn event(&self) -> Event {
        let pair = |name: &str| {
            let pairs = url::form_urlencoded::parse(self.body.as_bytes());
            let mut found = pairs.filter(|(key, _)| key == name);
            found.next().map(|(_, value)| value.into_owned())
        };
        let json: Value = serde_json::from_str(&self.body).unwrap_or_default();
        let text = |name: &str| json[name].as_str().unwrap_or_default().to_owned();
        if let Some(topic) = self.path.strip_prefix("/publish/") {
            Event {
                topic: topic.to_owned(),
                data: self.body.clone(),
                private: false,
                key: self.key.clone(),
            }
        } else if self.path == "/publish" {
            Event {
                topic: text("topic"),
                data: text("data"),
                private: json["private"] == true,
                key: self.key.clone(),
            }
        } else {
            Event {
                topic: pair("topic").unwrap_or_default(),
                data: pair("data").unwrap_or_default(),
                private: pair("private").as_deref() == Some("on"),
                key: self.key.clone(),
            }
        }
    }
}

impl Shared {
    fn serve_plain(&self, connection: TcpStream) -> std::io::Result<()> {
        let served = self.serve(&connection);
        if matches!(self.fault, Fault::ClosesBehind(_)) {
            // Requests that nobody reads would reset the connection, and take the answers along
            // that the client has not read yet.
            connection.shutdown(Shutdown::Write)?;
            (&connection).read_to_end(&mut Vec::new())?;
        }
        served
    }

    fn serve(&self, connection: impl Read + Write) -> std::io::Result<()> {
        let mut connection = BufReader::new(connection);
        while let Some(request) = read_request(&mut connection)? {
            if self.fault == Fault::HintsFirst {
                let hints = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\n";
                let (first, rest) = hints.split_at(hints.len() - 9);
                for part in [first, rest] {
                    connection.get_mut().write_all(part.as_bytes())?;
                    connection.get_mut().flush()?;
                }
            }
            if request.method == "GET" {
                return self.stream(connection.get_mut(), &request);
            }
            self.publish(connection.get_mut(), &request)?;
        }
        Ok(())
    }

    fn publish(
        &self,
        connection: &mut (impl Read + Write),
        request: &Request,
    ) -> std::io::Result<()> {
        let number = {
            let mut counts = self.counts.lock().expect("no panic");
            counts.1 += 1;
            counts.1
        };
        if self.fault == Fault::HangsUp(number) {
            return Err(std::io::ErrorKind::ConnectionAborted.into());
        }
        if self.fault == Fault::RefusesEvent(number) || self.fault == Fault::RefusesAll {
            return connection
                .write_all(b"HTTP/1.1 429 Too Many Requests\r\nContent-Length: 0\r\n\r\n");
        }
        if self.fault == Fault::WantsPublishers && request.granted("publish") != ["*"] {
            return connection.write_all(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n");
        }
        if self.fault == Fault::Unavailable(number) {
            return connection
                .write_all(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n");
        }
        if self.fault == Fault::Stalls(number) {
            // Until the client has enough of it.
            connection.read_to_end(&mut Vec::new())?;
            return Ok(());
        }
        let mut events = self.log.events.lock().expect("no panic");
        let is_repeat = |event: &Event| !request.key.is_empty() && event.key == request.key;
        let place = events.iter().position(is_repeat).unwrap_or_else(|| {
            events.push(request.event());
            self.log.published.notify_all();
            events.len() - 1
        });
        let id = format!("{}-0", self.base + place + 1);
        drop(events);
        if self.fault == Fault::Swallows(number) {
            return connection
                .write_all(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n");
        }
        let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        connection.write_all(format!("{head}{:x}\r\n{id}\r\n0\r\n\r\n", id.len()).as_bytes())?;
        match self.fault {
            Fault::ClosesBehind(every) if number.is_multiple_of(every) => {
                Err(std::io::ErrorKind::ConnectionAborted.into())
            }
            _ => Ok(()),
        }
    }

    fn stream(&self, connection: &mut impl Write, request: &Request) -> std::io::Result<()> {
        self.asked.lock().expect("no panic").push(request.clone());
        let granted = request.granted("subscribe");
        let number = {
            let mut counts = self.counts.lock().expect("no panic");
            counts.0 += 1;
            counts.0
        };
        let refused = match self.fault {
            Fault::Answers503(streams) => number <= streams,
            Fault::ClosesForGood(_) => request.cursor.is_some(),
            _ => false,
        };
        if refused {
            return connection
                .write_all(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n");
        }
        if matches!(self.fault, Fault::SendsAway(streams) if request.cursor.is_some() && number <= streams)
        {
            let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n";
            return connection.write_all(format!("{head}retry: 30\n\n").as_bytes());
        }
        let topics: Vec<&str> = request
            .path
            .split(['?', '&'])
            .filter_map(|pair| pair.strip_prefix("topic="))
            .collect();
        let mut next = match request.cursor {
            Some(cursor) if self.fault != Fault::ForgetsCursors => cursor,
            _ => self.log.events.lock().expect("no panic").len(),
        };
        let mut gap = String::new();
        if self.fault.is_reborn()
            && let Some(cursor) = request.cursor
        {
            next = next.checked_sub(self.base).unwrap_or_else(|| {
                self.is_second.store(true, Ordering::Relaxed);
                let data = self.fault.gap(cursor, self.base);
                gap = format!("event: gap\ndata: {data}\n\n");
                0
            });
        }
        let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n";
        connection
            .write_all(format!("{head}retry: 20\nid: {}\n\n{gap}", self.base + next).as_bytes())?;
        let mut sent = 0;
        loop {
            let text = self.next_events(&mut next, &topics, &granted);
            connection.write_all(text.as_bytes())?;
            sent += text.matches("data:").count();
            if matches!(self.fault, Fault::ClosesAfter(most) | Fault::ClosesForGood(most) if sent >= most)
            {
                return Ok(());
            }
        }
    }

    /// Waits for events from `next` on, and returns the text of the first one (of two that are
    /// swapped) and its intended treatment.
    fn next_events(&self, next: &mut usize, topics: &[&str], granted: &[String]) -> String {
        let mut events = self.log.events.lock().expect("no panic");
        loop {
            let is_first = !self.is_second.load(Ordering::Relaxed);
            let enough = match self.fault {
                Fault::Withholds(from, _) if is_first => *next + 1 < from && *next < events.len(),
                Fault::Swaps(number) if *next + 1 == number => *next + 1 < events.len(),
                _ => *next < events.len(),
            };
            if enough {
                break;
            }
            events = self.log.published.wait(events).expect("no panic");
        }
        let text = |index: usize| {
            let Event {
                topic,
                data,
                private,
                ..
            } = &events[index];
            let mine = (self.fault == Fault::IgnoresTopics || topics.contains(&topic.as_str()))
                && (!private || granted.contains(topic));
            let id = self.base + index + 1;
            let mark = match self.fault {
                Fault::OtherIds => ".other",
                _ => "",
            };
            if mine {
                format!("id: {id}{mark}\ndata: {data}\n\n")
            } else {
                String::new()
            }
        };
        let index = *next;
        let number = index + 1;
        *next += 1;
        match self.fault {
            Fault::Loses(lost) if lost == number => String::new(),
            Fault::Doubles(doubled) if doubled == number => text(index).repeat(2),
            Fault::Skips(missing, tells) if missing == number => {
                let from = match tells {
                    Tells::TooLittle => number - 2,
                    _ => number - 1,
                };
                let data = format!(
                    r#"{{"from":"{from}-0","reason":"log","to":"{}-0"}}"#,
                    from + 1
                );
                format!("event: gap\ndata: {data}\n\n")
            }
            Fault::TellsGap(missing) if missing == number => "event: gap\ndata: {}\n\n".to_owned(),
            Fault::Swaps(swapped) if swapped == number => {
                *next += 1;
                text(index + 1) + &text(index)
            }
            _ => text(index),
        }
    }
}

fn read_request(input: &mut BufReader<impl Read>) -> std::io::Result<Option<Request>> {
    let mut line = String::new();
    if input.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut words = line.split(' ').map(str::to_owned);
    let mut request = Request {
        method: words.next().unwrap_or_default(),
        path: words.next().unwrap_or_default(),
        ..Request::default()
    };
    let mut length = 0;
    loop {
        line.clear();
        input.read_line(&mut line)?;
        let Some((name, value)) = line.split_once(':') else {
            break;
        };
        match name.to_ascii_lowercase().as_str() {
            // The mark behind a dot is none of the place.
            "last-event-id" => {
                let place = value.trim().split('.').next().unwrap_or_default();
                request.cursor = place.parse().ok();
            }
            "idempotency-key" => value.trim().clone_into(&mut request.key),
            "authorization" => value.trim().clone_into(&mut request.authorization),
            "cookie" => value.trim().clone_into(&mut request.cookie),
            "content-length" => length = value.trim().parse().unwrap_or(0),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    input.read_exact(&mut body)?;
    request.body = String::from_utf8_lossy(&body).into_owned();
    Ok(Some(request))
}
