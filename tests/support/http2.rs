//! A client of HTTP/2 with prior knowledge (RFC 9113, section 3.3).

use std::net::SocketAddr;
use std::time::Instant;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http2::{self, SendRequest};
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;

use super::DEADLINE;

/// The requests of one connection.
pub(crate) type Requests = SendRequest<Full<Bytes>>;

/// A socket for a connection of HTTP/2.
pub(crate) async fn socket(to: SocketAddr) -> TcpStream {
    let socket = TcpStream::connect(to).await.expect("the node accepts");
    // The preface and the first request are two writes.
    socket.set_nodelay(true).expect("a socket");
    socket
}

/// A connection over `io`; the runtime drives it.
pub(crate) async fn connect(io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Requests {
    let (requests, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(io))
        .await
        .expect("HTTP/2");
    tokio::spawn(connection);
    requests
}

/// One connection, for tests that wait for each answer.
pub(crate) struct Http2 {
    runtime: Runtime,
    to: SocketAddr,
    requests: Requests,
}

impl Http2 {
    pub(crate) fn open(to: SocketAddr) -> Self {
        let builder = Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build();
        let runtime = builder.expect("a runtime");
        let requests = runtime.block_on(async { connect(socket(to).await).await });
        Self {
            runtime,
            to,
            requests,
        }
    }

    /// Sends a request with this body, and waits for the head of its answer.
    pub(crate) fn send(
        &mut self,
        method: &str,
        target: &str,
        fields: &[(&str, &str)],
        body: &'static str,
    ) -> Response<Incoming> {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("http://{}{target}", self.to));
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::from(body)).expect("a request");
        let answer = self.requests.send_request(request);
        let answer = async { timeout(DEADLINE, answer).await };
        let answer = self.runtime.block_on(answer);
        answer.expect("an answer in time").expect("an answer")
    }

    /// Waits until the node has ended the connection.
    pub(crate) fn wait_for_end(&self) {
        let end = Instant::now() + DEADLINE;
        while !self.requests.is_closed() {
            assert!(Instant::now() < end, "the connection is still open");
            std::thread::park_timeout(super::LOOK_AGAIN);
        }
    }

    /// Reads the body until its text contains `needle`, or to its clean end without one.
    pub(crate) fn read(&self, body: &mut Incoming, needle: Option<&str>) -> String {
        let mut text = String::new();
        while needle.is_none_or(|needle| !text.contains(needle)) {
            let frame = async { timeout(DEADLINE, body.frame()).await };
            let frame = self.runtime.block_on(frame);
            match frame.expect("a frame in time") {
                Some(frame) => {
                    let data = frame.expect("a whole body").into_data().expect("data");
                    text.push_str(std::str::from_utf8(&data).expect("text"));
                }
                None => {
                    assert!(needle.is_none(), "the body ended: {text:?}");
                    break;
                }
            }
        }
        text
    }
}
