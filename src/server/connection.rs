//! The first moments of a connection: the choice of its protocol, and whether it needs a task.

use std::future::poll_fn;
use std::net::TcpStream as StdStream;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use tokio::time::{Instant, sleep_until};

use super::carried::Carried;
use super::connections::Place;
use super::driver::Driver;
use super::exchange::Exchange;
use super::h2;
use super::lazy_stream::LazyStream;
use super::listener::Listener;
use crate::closing;
use crate::orders::{Order, Orders};

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
                tokio::spawn(drive(Arc::clone(listener), driver));
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

/// Serves a connection that was accepted before, by this listener or another, in a task of its own.
/// It is dropped if its client is gone.
///
/// Must be called within a tokio runtime.
pub(crate) fn resume(listener: &Arc<Listener>, carried: Carried) {
    let Carried {
        socket,
        unread,
        asked,
        waited,
        place,
    } = carried;
    let socket = StdStream::from(socket);
    let place = place.or_else(|| {
        let peer = socket.peer_addr().ok()?;
        Some(listener.connections.adopt(peer.ip().to_canonical()))
    });
    let Some(mut place) = place else {
        return;
    };
    place.unsettle();
    let now = Instant::now();
    let since = now.checked_sub(waited).unwrap_or(now);
    let exchange = Arc::new(Exchange::carried(asked, !unread.is_empty()));
    exchange.turns().enter_task();
    let mut io = LazyStream::new(socket, Arc::clone(&exchange));
    io.set_early(&unread);
    if asked {
        let driver = Driver::new(listener, io, exchange, place, since);
        tokio::spawn(drive(Arc::clone(listener), driver));
    } else {
        tokio::spawn(wait_and_serve(
            Arc::clone(listener),
            io,
            exchange,
            place,
            since,
        ));
    }
}

/// Keeps a connection until the end of the freeze. It is served at once if that has come.
pub(crate) fn keep(listener: &Arc<Listener>, carried: Carried) {
    if let Some(back) = listener.keep(carried) {
        resume(listener, back);
    }
}

async fn drive(listener: Arc<Listener>, driver: Driver) {
    if let Some(carried) = driver.run().await {
        keep(&listener, carried);
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
    let mut orders = listener.orders.clone();
    let (http2, header_timeout) = (listener.config.http2, listener.config.header_timeout);
    let decided = tokio::time::timeout_at(accepted + header_timeout, decide(&mut io, http2));
    let protocol = tokio::select! {
        biased;
        decided = decided => decided,
        order = interrupted(&mut orders, accepted) => {
            if order == Order::Freeze
                && let Ok((socket, unread)) = io.into_carried(Bytes::new())
            {
                let carried = Carried::new(socket, unread, false, accepted.elapsed());
                keep(&listener, carried.with_place(place));
            }
            // The client has asked for nothing yet, so it is owed no answer.
            return;
        }
    };
    match protocol {
        Ok(Some(Protocol::Http2)) => h2::serve(listener, io, exchange, place, accepted).await,
        Ok(Some(_)) => {
            let driver = Driver::new(&listener, io, exchange, place, accepted);
            drive(listener, driver).await;
        }
        // The client is gone, or too slow.
        Ok(None) | Err(_) => {}
    }
}

/// Waits for an order other than to serve. At a stop, a client that has only just come is about to
/// ask.
async fn interrupted(orders: &mut Orders, accepted: Instant) -> Order {
    let order = orders.interrupted().await;
    if order == Order::Stop {
        sleep_until(accepted + closing::FIRST_REQUEST).await;
    }
    order
}

/// Reads ahead until the protocol is known; `None` when the client is gone.
async fn decide(io: &mut LazyStream, http2: bool) -> Option<Protocol> {
    loop {
        match Protocol::of(io.early(), http2) {
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
