//! The first moments of a connection: the choice of its protocol, and whether it needs a task.

use std::future::poll_fn;
use std::net::TcpStream as StdStream;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::connections::Place;
use super::driver::Driver;
use super::exchange::Exchange;
use super::h2;
use super::lazy_stream::LazyStream;
use super::listener::Listener;
use super::stop::stopped;
use crate::closing;

/// The protocol, as far as a client's first bytes decide it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Protocol {
    Http1,
    Http2,
    /// Undecided: they could still become the preface of HTTP/2.
    Open,
}

impl Protocol {
    /// Reads the protocol from a connection's first bytes. `http2`: the listener speaks HTTP/2.
    fn of(bytes: &[u8], http2: bool) -> Self {
        if http2 {
            Self::told_by(bytes)
        } else {
            Self::Http1
        }
    }

    fn told_by(bytes: &[u8]) -> Self {
        if bytes.starts_with(h2::PREFACE) {
            Self::Http2
        } else if h2::PREFACE.starts_with(bytes) {
            Self::Open
        } else {
            Self::Http1
        }
    }
}

/// Serves an accepted, non-blocking socket: inline as far as possible, then in a task of its own.
///
/// Must be called within a tokio runtime.
pub(crate) fn start(listener: &Arc<Listener>, socket: StdStream, place: Place) {
    let exchange = Arc::new(Exchange::new());
    let mut io = LazyStream::new(socket, Arc::clone(&exchange));
    let mut cx = Context::from_waker(Waker::noop());
    if let Poll::Ready(Ok(0) | Err(_)) = io.poll_read_ahead(&mut cx) {
        return;
    }
    let accepted = Instant::now();
    match Protocol::of(io.early(), listener.config.http2) {
        Protocol::Http1 => {
            let mut driver = Driver::new(listener, io, exchange, place, accepted);
            if !driver.poll_inline() {
                tokio::spawn(driver.run());
            }
        }
        Protocol::Http2 => {
            exchange.turns().enter_task();
            tokio::spawn(h2::serve(
                Arc::clone(listener),
                io,
                exchange,
                place,
                accepted,
            ));
        }
        Protocol::Open => {
            exchange.turns().enter_task();
            tokio::spawn(wait_and_serve(
                Arc::clone(listener),
                io,
                exchange,
                place,
                accepted,
            ));
        }
    }
}

/// Serves a connection once its first bytes have come.
async fn wait_and_serve(
    listener: Arc<Listener>,
    mut io: LazyStream,
    exchange: Arc<Exchange>,
    place: Place,
    accepted: Instant,
) {
    let mut shutdown = listener.shutdown.clone();
    let header_timeout = listener.config.header_timeout;
    let protocol = tokio::select! {
        biased;
        decided = tokio::time::timeout_at(accepted + header_timeout, decide(&mut io)) => decided,
        // The client has asked for nothing yet, so it is owed no answer. One that has only just
        // come is about to ask.
        () = stopped_after(&mut shutdown, accepted + closing::FIRST_REQUEST) => return,
    };
    match protocol {
        Ok(Some(Protocol::Http2)) => h2::serve(listener, io, exchange, place, accepted).await,
        Ok(Some(_)) => {
            Driver::new(&listener, io, exchange, place, accepted)
                .run()
                .await
        }
        // The client is gone, or too slow.
        Ok(None) | Err(_) => {}
    }
}

/// Waits for the signal to stop, and until `earliest`.
async fn stopped_after(shutdown: &mut watch::Receiver<bool>, earliest: Instant) {
    stopped(shutdown).await;
    sleep_until(earliest).await;
}

/// Reads ahead until the protocol is known; `None` when the client is gone.
async fn decide(io: &mut LazyStream) -> Option<Protocol> {
    loop {
        match Protocol::told_by(io.early()) {
            Protocol::Open => {
                let received = poll_fn(|cx| io.poll_read_ahead(cx)).await;
                received.ok().filter(|&received| received > 0)?;
            }
            protocol => return Some(protocol),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_preface_is_told_from_its_first_difference() {
        assert_eq!(Protocol::told_by(b""), Protocol::Open);
        for length in 1..h2::PREFACE.len() {
            assert_eq!(Protocol::told_by(&h2::PREFACE[..length]), Protocol::Open);
        }
        assert_eq!(Protocol::told_by(h2::PREFACE), Protocol::Http2);
        assert_eq!(
            Protocol::told_by(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0"),
            Protocol::Http2
        );
        for other in ["G", "PO", "PRI * HTTP/1.1", "PRI * HTTP/2.0\r\n\r\nSN"] {
            assert_eq!(
                Protocol::told_by(other.as_bytes()),
                Protocol::Http1,
                "{other}"
            );
        }
    }
}
