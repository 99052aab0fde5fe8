use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use hyper::Response;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::*;
use crate::core::budget::Budget;
use crate::core::places::{Places, Share};
use crate::orders::{Control, control};
use crate::server::detach::Detach;
use crate::server::outcome::Outcome;
use crate::server::response_body::ResponseBody;
use crate::server::service::Request;

const DEADLINE: Duration = Duration::from_secs(10);

/// A service without topics, hub or tokens: `/stream` is a stream, all else a response.
struct Words;

impl Service for Words {
    fn answer(&self, request: Request) -> Outcome {
        if request.parts.uri.path() != "/stream" {
            return Outcome::Now(Response::new(ResponseBody::full("a response")));
        }
        Outcome::Stream(Detach::new(async |socket| {
            let mut socket = TcpStream::from(socket);
            socket.write_all(b"a stream").expect("room for a few bytes");
        }))
    }
}

fn config() -> ServerConfig {
    let time = DEADLINE;
    ServerConfig {
        shared_socket: false,
        http2: false,
        chunked_bodies: false,
        header_timeout: time,
        idle_timeout: time,
        write_timeout: time,
        body_timeout: time,
        body_time_max: time,
        header_bytes_max: 1_000,
        header_count_max: 10,
        target_bytes_max: 100,
        answer_bytes_max: 1_000,
        answer_bytes_per_connection_max: 1_000,
        body_bytes_max: 1_000,
        body_bytes_per_connection_max: 1_000,
    }
}

fn ask(address: SocketAddr, path: &str) -> String {
    let mut client = TcpStream::connect(address).expect("a connection");
    client.set_read_timeout(Some(DEADLINE)).expect("a socket");
    let request = format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    client.write_all(request.as_bytes()).expect("sending");
    let mut answer = String::new();
    client.read_to_string(&mut answer).expect("an answer");
    answer
}

/// Both kinds of listener: the public one, and the admin listener.
fn limits() -> [Limit; 2] {
    [
        Limit::Refuse {
            connections_max: 3,
            streams: Places::new(1, Share::default()),
        },
        give_way(1),
    ]
}

/// Connections that are quiet give way at once.
fn give_way(connections_max: usize) -> Limit {
    Limit::GiveWay {
        connections_max,
        quiet_min: Duration::ZERO,
        life_max: DEADLINE * 10,
    }
}

fn setup(limit: Limit, service: impl Service) -> Setup {
    let metrics = Arc::new(HttpMetrics::default());
    let budget = Budget::new(usize::MAX);
    let answers = Answers::new(1_000, Arc::clone(&budget), Arc::clone(&metrics));
    Setup {
        config: config(),
        limit,
        metrics,
        answers: Arc::new(answers),
        budget,
        service: Box::new(service),
    }
}

/// A listener that is served.
struct Served {
    address: SocketAddr,
    metrics: Arc<HttpMetrics>,
    control: Control<Listening>,
    serving: JoinHandle<Result<(), ServeError>>,
}

impl Served {
    fn start(limit: Limit, service: impl Service) -> Self {
        Self::serve(listener(), limit, service)
    }

    fn serve(socket: TcpListener, limit: Limit, service: impl Service) -> Self {
        let setup = setup(limit, service);
        let (control, follower) = control();
        Self {
            address: socket.local_addr().expect("bound"),
            metrics: Arc::clone(&setup.metrics),
            control,
            serving: tokio::spawn(serve(socket.into(), setup, follower)),
        }
    }

    /// Stops it and waits for its end.
    async fn stop(self) {
        self.control.stop();
        let ended = timeout(DEADLINE, self.serving).await;
        let ended = ended.expect("no connection is left").expect("no panic");
        ended.expect("a listener");
        assert_eq!(self.metrics.connections.get(), 0);
    }
}

fn listener() -> TcpListener {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn any_service_answers_with_responses_and_with_streams_and_keeps_nothing_of_a_stream() {
    for limit in limits() {
        let served = Served::start(limit, Words);
        let address = served.address;
        let asked = tokio::task::spawn_blocking(move || {
            let response = ask(address, "/");
            assert!(response.ends_with("\r\n\r\na response"), "{response}");
            // No byte of the listener precedes the bytes of the stream's owner.
            assert_eq!(ask(address, "/stream"), "a stream");
            assert_eq!(ask(address, "/stream"), "a stream");
        });
        asked.await.expect("answers");
        let metrics = Arc::clone(&served.metrics);
        served.stop().await;
        assert_eq!(metrics.accepted.get(), 3);
    }
}

/// A client that has sent its request and keeps its connection.
fn client(address: SocketAddr, path: &str) -> TcpStream {
    let mut client = TcpStream::connect(address).expect("a connection");
    client.set_read_timeout(Some(DEADLINE)).expect("a socket");
    let request = format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n");
    client.write_all(request.as_bytes()).expect("sending");
    client
}

/// What a client reads up to the end of the body.
fn answer(client: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    while !answer.ends_with(b"a response") {
        let mut byte = [0];
        client.read_exact(&mut byte).expect("the answer");
        answer.extend(byte);
    }
    String::from_utf8(answer).expect("text")
}

/// A connection that is not served yet looks like one that is quiet: it was asked to give way
/// to the next one of its batch, which waited for it for ever.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_come_together_are_served_one_after_the_other() {
    let socket = listener();
    let address = socket.local_addr().expect("bound");
    // All wait in the kernel before the first is accepted.
    let clients: Vec<_> = (0..5).map(|_| client(address, "/")).collect();
    let served = Served::serve(socket, give_way(1), Words);
    let answered = tokio::task::spawn_blocking(move || {
        for mut client in clients {
            answer(&mut client);
        }
    });
    answered.await.expect("answers");
    served.stop().await;
}

/// The kernel resets what waits in the queue of a listener that is closed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_came_before_the_close_were_reset() {
    for limit in limits() {
        let socket = listener();
        let address = socket.local_addr().expect("bound");
        let clients = [client(address, "/"), client(address, "/")];
        // One has connected and is about to ask.
        let mut silent = TcpStream::connect(address).expect("a connection");
        let served = Served::serve(socket, limit, Words);
        served.control.stop();
        let metrics = Arc::clone(&served.metrics);
        let answered = tokio::task::spawn_blocking(move || {
            for mut client in clients {
                answer(&mut client);
            }
            while metrics.accepted.get() < 3 {
                std::thread::yield_now();
            }
            let request = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
            silent.write_all(request).expect("sending");
            answer(&mut silent);
        });
        answered.await.expect("answers");
        served.stop().await;
        assert!(TcpStream::connect(address).is_err(), "it is closed");
    }
}

/// Answers `/later` when it is told to.
struct Waits {
    begun: Arc<Notify>,
    release: Arc<Notify>,
}

impl Service for Waits {
    fn answer(&self, request: Request) -> Outcome {
        let response = || Response::new(ResponseBody::full("a response"));
        if request.parts.uri.path() != "/later" {
            return Outcome::Now(response());
        }
        self.begun.notify_one();
        let release = Arc::clone(&self.release);
        Outcome::later(async move {
            release.notified().await;
            response()
        })
    }
}

/// A listener with one connection that is being answered, until it is released.
async fn answering(limit: Limit) -> (Served, TcpStream, Arc<Notify>) {
    let (begun, release) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let service = Waits {
        begun: Arc::clone(&begun),
        release: Arc::clone(&release),
    };
    let served = Served::start(limit, service);
    let asking = client(served.address, "/later");
    let begins = timeout(DEADLINE, begun.notified()).await;
    begins.expect("it is being answered");
    (served, asking, release)
}

/// Of two connections, the older is being answered: the quiet one gives way.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_is_being_answered_gave_way() {
    let (served, mut asking, release) = answering(give_way(2)).await;
    let address = served.address;
    let others = tokio::task::spawn_blocking(move || {
        let mut quiet = client(address, "/");
        answer(&mut quiet);
        let answer = ask(address, "/");
        assert!(answer.ends_with("\r\n\r\na response"), "{answer}");
        assert_eq!(quiet.read(&mut [0]).expect("an end"), 0, "it gave way");
    });
    others.await.expect("answers");
    release.notify_one();
    let answered = tokio::task::spawn_blocking(move || answer(&mut asking));
    let answered = answered.await.expect("its answer");
    assert!(!answered.contains("connection: close"), "{answered}");
    served.stop().await;
}

/// A connection that waits for a place at the moment of a freeze was dropped.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_waits_for_a_place_is_kept_over_a_freeze() {
    let (mut served, mut asking, release) = answering(give_way(1)).await;
    let address = served.address;
    let mut waiting = client(address, "/");
    // The kernel's queue is empty once it is accepted.
    let queued = || {
        let table = std::fs::read_to_string("/proc/net/tcp").expect("the kernel's table");
        let own = format!("0100007F:{:04X} 00000000:0000 0A", address.port());
        let line = table.lines().find(|line| line.contains(&own));
        !line.is_some_and(|line| line.contains(":00000000 00:"))
    };
    let started = tokio::time::Instant::now();
    while queued() {
        assert!(started.elapsed() < DEADLINE, "it is not accepted");
        tokio::task::yield_now().await;
    }
    served.control.freeze().await.expect("it serves");
    let kept = served
        .control
        .frozen(|frozen| (frozen.connections.len(), frozen.left));
    assert_eq!(kept, Some((1, 1)));
    served.control.thaw();
    release.notify_one();
    let answered = tokio::task::spawn_blocking(move || {
        answer(&mut asking);
        answer(&mut waiting);
    });
    answered.await.expect("both are answered");
    served.stop().await;
}
