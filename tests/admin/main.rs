//! The admin listener over real sockets, with a real hub behind it.

/// The metrics of a scrape, against the documentation.
mod metrics;
/// Requests that a web page makes a browser send.
mod pages;
/// Requests that two servers could read differently.
mod targets;

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use bytes::Bytes;
use fantail::admin;
use fantail::core::event::Event;
use fantail::core::selector::Selector;
use fantail::core::sse::Draft;
use fantail::hub::{Encoding, Hub, Interest, Subscribe};
use fantail::metrics::Source;
use fantail::node;
use fantail::orders::{Control, control};
use fantail::server::{self, Listening, ServeError};
use fantail::settings::Settings;
use fantail::shard::wire::Incoming;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// Far above the time of any step here; a step that takes longer has failed.
const DEADLINE: Duration = Duration::from_secs(10);

/// A hub with an admin listener.
struct Node {
    hub: Hub,
    address: std::net::SocketAddr,
    shutdown: Control<Listening>,
    served: JoinHandle<Result<(), ServeError>>,
}

impl Node {
    async fn start(settings: Settings) -> Self {
        let settings = Settings {
            shards: 2,
            ..settings
        };
        let hub = Hub::start(node::config::hub(&settings), 100).expect("a hub");
        let config = node::config::admin(&settings);
        let socket = node::config::socket(&settings);
        let listener = server::bind("admin_listen", settings.admin_listen, &socket);
        let listener = listener.expect("a free port");
        let address = listener.local_addr().expect("its address");
        let (shutdown, told) = control();
        let served = tokio::spawn(admin::serve(listener, config, hub.clone(), None, told));
        Self {
            hub,
            address,
            shutdown,
            served,
        }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address)
            .await
            .expect("a connection")
    }

    /// Sends a whole request on a connection of its own and reads until the server closes it.
    async fn raw(&self, request: &str) -> Response {
        let mut connection = self.connect().await;
        let sent = connection.write_all(request.as_bytes()).await;
        sent.expect("sending");
        Response::read(&mut connection).await
    }

    async fn request(&self, method: &str, target: &str) -> Response {
        Response::of(self.address, method, target).await
    }

    /// Opens a stream on the hub; returns the client's end.
    async fn stream(&self, topic: &str) -> TcpStream {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
        let listener = listener.expect("a free port");
        let address = listener.local_addr().expect("its address");
        let client = TcpStream::connect(address).await.expect("a connection");
        let (server, _) = listener.accept().await.expect("its other end");
        let server = server.into_std().expect("a plain socket");
        let selectors = vec![Selector::exact(topic)];
        let start = self.hub.resolve(&selectors, &[], None);
        let permit = self.hub.reserve(IpAddr::V4(Ipv4Addr::LOCALHOST));
        let subscribe = Subscribe {
            wire: Incoming::Socket(server.into()),
            encoding: Encoding::BARE,
            head: Bytes::from_static(b"hello\n\n"),
            interest: Interest {
                selectors,
                ..Interest::default()
            },
            start,
        };
        let opened = self.hub.subscribe(permit.expect("a place"), subscribe);
        opened.await.expect("an open stream");
        client
    }

    /// Stops listener and hub; fails if a connection or shard keeps running.
    async fn stop(self) {
        self.shutdown.stop();
        let ended = timeout(DEADLINE, self.served).await;
        let served = ended.expect("an end in time").expect("no panic");
        served.expect("a listener");
        let stopped = tokio::task::spawn_blocking(move || self.hub.stop());
        stopped.await.expect("stopped shards");
    }
}

#[derive(Debug)]
struct Response {
    status: u16,
    head: String,
    body: String,
}

impl Response {
    /// The answer to a request on a connection of its own.
    async fn of(node: std::net::SocketAddr, method: &str, target: &str) -> Self {
        let mut connection = TcpStream::connect(node).await.expect("a connection");
        let request =
            format!("{method} {target} HTTP/1.1\r\nHost: {node}\r\nConnection: close\r\n\r\n");
        let sent = connection.write_all(request.as_bytes()).await;
        sent.expect("sending");
        Self::read(&mut connection).await
    }

    /// Reads until the server closes the connection.
    async fn read(connection: &mut TcpStream) -> Self {
        let mut bytes = Vec::new();
        let read = timeout(DEADLINE, connection.read_to_end(&mut bytes)).await;
        read.expect("an answer in time").expect("reading");
        Self::parse(&bytes)
    }

    fn parse(bytes: &[u8]) -> Self {
        let text = String::from_utf8_lossy(bytes);
        let (head, body) = text.split_once("\r\n\r\n").expect("a response head");
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
        Self {
            status: status.expect("a status"),
            head: head.to_ascii_lowercase(),
            body: body.to_owned(),
        }
    }

    fn header(&self, name: &str) -> Option<&str> {
        let fields = self.head.split("\r\n").filter_map(|l| l.split_once(": "));
        fields.filter(|(n, _)| *n == name).map(|(_, v)| v).next()
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.body).expect("a JSON body")
    }

    /// The sum of a metric over its labels.
    fn metric(&self, name: &str) -> f64 {
        let samples = self.body.lines().filter(|line| {
            let rest = line.strip_prefix(name);
            rest.is_some_and(|rest| rest.starts_with(['{', ' ']))
        });
        let value = |line: &str| line.rsplit(' ').next()?.parse::<f64>().ok();
        let values: Vec<f64> = samples.filter_map(value).collect();
        assert!(!values.is_empty(), "{name} is not in\n{}", self.body);
        values.iter().sum()
    }
}

async fn publish(hub: &Hub, topic: &str, data: &str) {
    let event = Event::new(topic, data);
    let draft = Draft::new(event, hub.event_limits());
    let mut drafts = [draft.expect("a good event")];
    let published = hub.publish(Source::Http, &mut drafts);
    published.await.expect("a running hub");
}

/// Reads from a stream until `text` has arrived.
async fn read_until(stream: &mut TcpStream, text: &str) {
    let mut got = Vec::new();
    let read = async {
        while !String::from_utf8_lossy(&got).contains(text) {
            let n = stream.read_buf(&mut got).await.expect("reading");
            assert!(n > 0, "the stream ended after {got:?}");
        }
    };
    let read = timeout(DEADLINE, read).await;
    read.unwrap_or_else(|_| panic!("{text:?} did not come"));
}

#[tokio::test]
async fn ready_until_it_drains() {
    let node = Node::start(Settings::on_free_ports()).await;
    assert_eq!(node.request("GET", "/healthz").await.status, 200);
    assert_eq!(node.request("GET", "/readyz").await.status, 200);
    node.hub.drain().await;
    assert_eq!(node.request("GET", "/healthz").await.status, 200);
    let response = node.request("GET", "/readyz").await;
    assert_eq!(response.status, 503);
    let media_type = response.header("content-type");
    assert_eq!(media_type, Some("application/problem+json"));
    assert_eq!(response.json()["status"], 503);
    assert_eq!(
        node.request("GET", "/metrics")
            .await
            .metric("fantail_draining"),
        1.0
    );
    node.stop().await;
}

#[tokio::test]
async fn a_scrape_shows_what_happened() {
    let node = Node::start(Settings::on_free_ports()).await;
    let mut streams = vec![node.stream("a").await, node.stream("a").await];
    publish(&node.hub, "a", "news").await;
    for stream in &mut streams {
        read_until(stream, "data: news").await;
    }
    let page = node.request("GET", "/metrics").await;
    assert_eq!(page.status, 200);
    let media_type = page.header("content-type").expect("a media type");
    assert!(media_type.starts_with("text/plain; version=0.0.4"));
    assert_eq!(page.metric("fantail_streams"), 2.0);
    assert_eq!(page.metric("fantail_streams_opened_total"), 2.0);
    assert_eq!(page.metric("fantail_events_in_total"), 1.0);
    assert_eq!(page.metric("fantail_topics"), 1.0);
    assert_eq!(page.metric("fantail_history_events"), 1.0);
    assert!(page.metric("process_resident_memory_bytes") > 0.0);
    // The last write is counted just after the client has read it.
    let counted = async {
        loop {
            let page = node.request("GET", "/metrics").await;
            if page.metric("fantail_deliveries_total") == 2.0
                && page.metric("fantail_publish_to_write_seconds_count") > 0.0
            {
                break;
            }
        }
    };
    timeout(DEADLINE, counted).await.expect("two deliveries");
    node.stop().await;
}

#[tokio::test]
async fn a_stream_is_shown_and_closed() {
    let node = Node::start(Settings::on_free_ports()).await;
    let mut open = node.stream("orders/1").await;
    let mut other = node.stream("orders/2").await;
    read_until(&mut open, "hello").await;
    read_until(&mut other, "hello").await;

    let streams = node.request("GET", "/streams?slowest=1").await.json();
    assert_eq!(streams.as_array().map(Vec::len), Some(1));
    let streams = node.request("GET", "/streams").await.json();
    let streams = streams.as_array().expect("an array");
    assert_eq!(streams.len(), 2);
    let stream = streams.iter().find(|s| s["topics"][0] == "orders/1");
    let stream = stream.expect("the first stream");
    assert_eq!(stream["client"], "127.0.0.1");
    assert_eq!(stream["topic_count"], 1);
    assert_eq!(stream["lag_ms"], 0);
    assert!(stream["bytes"].as_u64().is_some_and(|bytes| bytes >= 7));
    assert!(stream["cursor"].as_str().is_some_and(|c| c.contains('-')));

    let target = format!("/streams/{}", stream["id"].as_str().expect("an id"));
    let origin = format!(
        "DELETE {target} HTTP/1.1\r\nHost: localhost\r\nOrigin: http://localhost\r\nConnection: close\r\n\r\n"
    );
    assert_eq!(node.raw(&origin).await.status, 403);
    assert_eq!(node.request("DELETE", &target).await.status, 204);
    let ended = timeout(DEADLINE, open.read_to_end(&mut Vec::new())).await;
    ended.expect("an end in time").expect("a clean end");
    assert_eq!(node.request("DELETE", &target).await.status, 404);
    publish(&node.hub, "orders/2", "still open").await;
    read_until(&mut other, "still open").await;
    node.stop().await;
}

#[tokio::test]
async fn bad_requests_are_told_why() {
    let settings = Settings {
        request_target_bytes_max: 64,
        ..Settings::on_free_ports()
    };
    let node = Node::start(settings).await;
    let long = format!("/streams?{}", "x".repeat(64));
    let cases = [
        ("GET", "/", 404),
        ("GET", "/streams/1-2-3", 405),
        ("POST", "/metrics", 405),
        ("DELETE", "/streams", 400),
        ("POST", "/streams", 405),
        ("GET", "/topics/a", 405),
        ("DELETE", "/topics/", 400),
        ("DELETE", "/topics/%ff", 400),
        ("POST", "/trace?topic=a", 405),
        ("PUT", "/trace", 400),
        ("PUT", "/trace?topic=", 400),
        ("GET", "/trace?topic=a", 400),
        ("DELETE", "/trace?topics=a", 400),
        ("DELETE", "/streams/", 404),
        ("DELETE", "/streams/nonsense", 404),
        ("DELETE", "/streams/9999-1-1", 404),
        ("GET", "/streams?slowest=0", 400),
        ("GET", "/streams?slowest=1001", 400),
        ("GET", "/streams?fastest=1", 400),
        ("GET", long.as_str(), 414),
    ];
    for (method, target, status) in cases {
        let response = node.request(method, target).await;
        assert_eq!(response.status, status, "{method} {target}");
        let problem = response.json();
        assert_eq!(problem["status"], status, "{method} {target}");
        assert!(
            problem["detail"]
                .as_str()
                .is_some_and(|text| !text.is_empty())
        );
        let allowed = response.header("allow").is_some();
        assert_eq!(allowed, status == 405, "{method} {target}");
    }
    for hosts in ["", "Host: a\r\nHost: b\r\n"] {
        let request = format!("GET /healthz HTTP/1.1\r\n{hosts}Connection: close\r\n\r\n");
        assert_eq!(node.raw(&request).await.status, 400, "{hosts:?}");
    }
    assert_eq!(node.raw("GET /healthz HTTP/1.0\r\n\r\n").await.status, 200);
    let head = node.request("HEAD", "/healthz").await;
    assert_eq!((head.status, head.body.as_str()), (200, ""));
    assert_eq!(node.raw("nonsense\r\n\r\n").await.status, 400);
    node.stop().await;
}

#[tokio::test]
async fn a_slow_request_is_cut_off() {
    let settings = Settings {
        header_timeout: Duration::from_millis(50),
        ..Settings::on_free_ports()
    };
    let node = Node::start(settings).await;
    let mut connection = node.connect().await;
    connection
        .write_all(b"GET /healthz HTTP/1.1\r\nHo")
        .await
        .expect("sending");
    let ended = timeout(DEADLINE, connection.read_to_end(&mut Vec::new())).await;
    ended.expect("an end in time").expect("a clean end");
    node.stop().await;
}

#[tokio::test]
async fn a_health_check_waited_for_connections_that_asked_for_nothing() {
    let settings = Settings {
        admin_connections_max: 5,
        ..Settings::on_free_ports()
    };
    let node = Node::start(settings).await;
    // Silent, in the middle of a head, and kept alive after an answer.
    let whole = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let mut held = Vec::new();
    for _ in 0..20 {
        for sent in ["", "G", "GET /healthz HTTP/1.1\r\nHo", whole] {
            let mut connection = node.connect().await;
            connection
                .write_all(sent.as_bytes())
                .await
                .expect("sending");
            if sent == whole {
                read_until(&mut connection, "ok").await;
            }
            held.push(connection);
        }
    }
    let begun = std::time::Instant::now();
    assert_eq!(node.request("GET", "/healthz").await.status, 200);
    // A quiet connection is cut by `header_timeout`, 10 s, at the earliest.
    assert!(begun.elapsed() < Duration::from_secs(8), "it had to wait");
    // Connections that are kept alive do not hold up the end.
    node.stop().await;
    drop(held);
}
