use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::Empty;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use socket2::{Domain, SockRef, Socket, Type};

use crate::kernel::cpu_time;
use crate::node::Node;
use crate::publisher::Publisher;
use crate::support::http::{Connection, Response, request};
use crate::support::node::Node as Program;
use crate::support::sse::SseStream;
use crate::support::wait_until;

const EVENT_SOURCE: (&str, &str) = ("Accept", "text/event-stream");

/// Checks that a stream was refused in the words of an `EventSource`.
fn check_shed(answer: &Response) {
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.head.field("content-type"), Some("text/event-stream"));
    let retry = answer.body.strip_prefix("retry: ");
    let retry = retry.and_then(|rest| rest.strip_suffix("\n\n"));
    let ms: Option<u64> = retry.and_then(|ms| ms.parse().ok());
    assert!(
        ms.is_some_and(|ms| (3_000..=15_000).contains(&ms)),
        "{answer:?}"
    );
}

/// Checks that a stream was refused in the words of any other client.
fn check_refused(answer: &Response, status: u16, setting: &str) {
    assert_eq!(answer.status, status, "{answer:?}");
    assert_eq!(
        answer.head.field("content-type"),
        Some("application/problem+json")
    );
    assert!(answer.body.contains(setting), "{answer:?}");
    let seconds = answer.head.field("retry-after").map(str::parse);
    assert!(matches!(seconds, Some(Ok(3..=15u64))), "{answer:?}");
}

#[test]
fn one_stream_more_than_there_are_places_is_shed_and_each_end_gives_its_place_back() {
    let node = Node::with(|settings| settings.max_streams = 3);
    let subscribe = || node.subscribe("/events/t");
    let mut streams = vec![subscribe(), subscribe(), subscribe()];
    let get = |fields: &[(&str, &str)]| request(node.at.http, "GET", "/events/t", fields, b"");
    let check_full = || {
        check_refused(&get(&[]), 503, "max_streams");
        check_shed(&get(&[EVENT_SOURCE]));
        assert_eq!(node.hub.streams(), 3);
    };
    check_full();
    // Neither a bad request nor a `HEAD` takes a place.
    assert_eq!(
        request(node.at.http, "GET", "/events", &[], b"").status,
        400
    );
    assert_eq!(
        request(node.at.http, "HEAD", "/events/t", &[], b"").status,
        200
    );

    let reset = |stream: SseStream| {
        let socket = SockRef::from(stream.connection().socket());
        socket.set_linger(Some(Duration::ZERO)).expect("a socket");
        None
    };
    let cut_by_operator = |stream| {
        let some = node.runtime.block_on(node.hub.slowest(1));
        let target = format!("/streams/{}", some[0].id);
        let answer = request(node.at.admin, "DELETE", &target, &[], b"");
        assert_eq!(answer.status, 204, "{answer:?}");
        Some(stream)
    };
    let close = |_stream| None;
    // The rest after an end stays open on the client's side.
    let ends: [&dyn Fn(SseStream) -> Option<SseStream>; 3] = [&close, &reset, &cut_by_operator];
    for end in ends {
        let _open = end(streams.pop().expect("three"));
        node.wait_for_streams(2);
        streams.push(subscribe());
        check_full();
    }
}

#[test]
fn over_http2_streams_are_bounded_and_shed_alike() {
    let node = Node::with(|settings| settings.max_streams = 1);
    let _stream = node.subscribe("/events/t");
    let statuses = node.runtime.block_on(async {
        let socket = tokio::net::TcpStream::connect(node.at.http).await;
        let io = TokioIo::new(socket.expect("accepted"));
        let connected = http2::handshake(TokioExecutor::new(), io).await;
        let (mut client, connection) = connected.expect("HTTP/2");
        tokio::spawn(connection);
        let mut statuses = Vec::new();
        for accept in ["*/*", "text/event-stream"] {
            let request = hyper::Request::get("http://localhost/events/t").header("accept", accept);
            let request = request.body(Empty::<Bytes>::new()).expect("a request");
            let answer = client.send_request(request).await.expect("an answer");
            statuses.push(answer.status().as_u16());
        }
        statuses
    });
    assert_eq!(statuses, [503, 200]);
    assert_eq!(node.hub.streams(), 1);
}

/// A connection from another address of this machine.
fn connect_from(from: [u8; 4], to: SocketAddr) -> Connection {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    socket
        .bind(&SocketAddr::from((from, 0)).into())
        .expect("loopback");
    socket.connect(&to.into()).expect("the node accepts");
    Connection::over(socket.into())
}

#[test]
fn an_address_has_its_share_of_connections_and_streams_together() {
    let node = Node::with(|settings| settings.max_connections_per_address = 3);
    let idle = |count: u64| {
        wait_until("connections are where they should be", || {
            node.hub.node_metrics().http.connections.get() == count
        });
    };
    let healthz = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let ask = |mut connection: Connection| {
        connection.send(healthz);
        connection.response("GET")
    };
    // The first address keeps a stream while the second one asks for its own share.
    let mut kept = Vec::new();
    for from in [[127, 0, 0, 1], [127, 0, 0, 2]] {
        let connect = || connect_from(from, node.at.http);
        let mut streams: Vec<SseStream> = (0..2)
            .map(|_| {
                let mut connection = connect();
                connection.send(b"GET /events/t HTTP/1.1\r\nHost: localhost\r\n\r\n");
                let stream = SseStream::read(connection);
                idle(0);
                stream
            })
            .collect();
        let third = connect();
        idle(1);
        check_refused(&ask(connect()), 503, "max_connections_per_address");
        drop(third);
        idle(0);
        assert_eq!(ask(connect()).status, 200);
        idle(0);

        // A stream that ends frees its share, too.
        let third = connect();
        idle(1);
        let before = node.hub.streams();
        drop(streams.pop());
        wait_until("the stream is gone", || node.hub.streams() < before);
        assert_eq!(ask(connect()).status, 200);
        drop(third);
        idle(0);
        kept.extend(streams);
    }
    assert_eq!(node.hub.streams(), 2);
}

#[test]
fn a_stream_has_as_many_topics_as_allowed_and_not_one_more() {
    let node = Node::start();
    let max = node.hub.event_limits().topics_per_stream_max;
    let target = |count: usize| {
        let topics: Vec<String> = (1..=count)
            .map(|number| format!("topic={number}"))
            .collect();
        format!("/events?{}", topics.join("&"))
    };
    let mut stream = node.subscribe(&target(max));
    let mut doubled = node.subscribe(&format!("{}&topic=1&topic={max}", target(max)));
    let refused = request(node.at.http, "GET", &target(max + 1), &[EVENT_SOURCE], b"");
    assert_eq!(refused.status, 400, "{refused:?}");
    assert!(
        refused.body.contains("topics_per_stream_max"),
        "{refused:?}"
    );
    let mut publisher = node.publisher();
    for topic in ["1", "17", &max.to_string()] {
        publisher.publish(topic, topic);
    }
    publisher.publish(&(max + 1).to_string(), "for nobody");
    for stream in [&mut stream, &mut doubled] {
        assert_eq!(stream.take_data(3), ["1", "17", &max.to_string()]);
    }
    drop((stream, doubled));
    node.wait_for_streams(0);
    wait_until("their topics are given back", || {
        node.hub.subscribers("17") == 0
    });
}

/// With more clients than files, no listener dies or spins, open streams go on, and new clients are
/// served as soon as there is room again.
#[test]
fn with_more_clients_than_files_a_node_refuses_and_recovers() {
    const FILES: u32 = 96;
    const WATCHED: Duration = Duration::from_secs(1);
    let node = Program::start_with_files(FILES, &["--shards", "2", "--io-threads", "2"]);
    let mut stream = SseStream::open(node.http, "/events/t");
    let mut publisher = Publisher::open(node.ingest);
    let crowd: Vec<TcpStream> = (0..2 * FILES)
        .map(|_| TcpStream::connect(node.http).expect("the kernel queues it"))
        .collect();
    for mut one in &crowd {
        // A silent one would not be accepted yet; one that was refused may be gone.
        let _ = one.write_all(b"G");
    }
    let refused = || {
        let page = node.admin_get("/metrics").body;
        let line = page
            .lines()
            .find_map(|line| line.strip_prefix("fantail_connections_refused_total "));
        line.expect("a metric").parse::<f64>().expect("a number") > 0.0
    };
    wait_until("some are refused", refused);

    let (begun, used) = (Instant::now(), cpu_time(node.pid()));
    while begun.elapsed() < WATCHED {
        publisher.publish("t", "still here");
        assert_eq!(stream.take_data(1), ["still here"]);
        thread::park_timeout(WATCHED / 20);
    }
    let used = cpu_time(node.pid()) - used;
    assert!(
        used < begun.elapsed() / 3,
        "{used:?} in {:?}",
        begun.elapsed()
    );

    drop(crowd);
    wait_until("there is room again", || {
        request(node.http, "GET", "/healthz", &[], b"").status == 200
    });
    assert_eq!(node.admin_get("/healthz").status, 200);
    assert_eq!(node.publish("t", "again"), 1);
    assert_eq!(stream.take_data(1), ["again"]);
    SseStream::open(node.http, "/events/t");
}
