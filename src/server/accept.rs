//! The accept loop.
//!
//! On a stop, it ends when the kernel's queue is empty ([`Closing`]).
//!
//! Connections are accepted in batches. Each is served inline as far as its first bytes allow; most
//! are streams by then. The loop must survive every error that `accept` can return, and must never
//! spin: out of file descriptors, it waits and tries again.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rustix::io::Errno;
use rustix::net::SocketFlags;
use tokio::io::unix::{AsyncFd, AsyncFdReadyGuard};
use tokio::sync::Semaphore;
use tokio::time::{timeout, timeout_at};

use super::carried::Carried;
use super::connections::{Place, Refused};
use super::listener::Listener;
use super::retry::retry_after_s;
use super::{connection, head};
use crate::backoff::Backoff;
use crate::closing::Closing;
use crate::once_a_minute::OnceAMinute;
use crate::orders::{Order, Orders};

/// Most connections accepted before the first of them is served. A batch empties the kernel's queue
/// in one turn, and a full batch can move to another thread. The bound keeps the wait of the last
/// connection, and of other tasks on this thread, short.
const ACCEPTS_PER_TURN: usize = 32;

/// Bytes of a refused client's request that are read before closing. Unread bytes would make the
/// kernel reset the connection, and the client would lose our answer.
const REFUSED_READ_BYTES: usize = 4 * 1024;

/// One accepted connection.
struct Accepted {
    socket: TcpStream,
    place: Place,
}

/// Accepts connections until the order is another than to serve; returns that. At a stop, the
/// connections that have come before it are accepted, too.
pub(crate) async fn run(
    listener: &Arc<Listener>,
    socket: &AsyncFd<TcpListener>,
    orders: &mut Orders,
) -> Order {
    // A full batch may be served by another thread, so that handshakes use every core. Each thread
    // serves at most one batch, or batches would pile up.
    let workers = tokio::runtime::Handle::current().metrics().num_workers();
    let helpers = Arc::new(Semaphore::new(workers.saturating_sub(1)));
    let order = accept_until_ordered(listener, socket, orders, &helpers).await;
    if order == Order::Stop && !listener.config.shared_socket {
        empty_queue(listener, socket, &helpers).await;
    }
    order
}

async fn accept_until_ordered(
    listener: &Arc<Listener>,
    socket: &AsyncFd<TcpListener>,
    orders: &mut Orders,
    helpers: &Arc<Semaphore>,
) -> Order {
    let mut backoff = Backoff::ACCEPT;
    loop {
        let ready = tokio::select! {
            biased;
            order = orders.interrupted() => return order,
            ready = socket.readable() => ready,
        };
        let mut unplaced = None;
        let accepted = match ready {
            Ok(guard) => tokio::select! {
                biased;
                accepted = accept_ready(listener, guard, &mut unplaced) => accepted,
                // Only a connection that waits for a place is interrupted here.
                order = orders.interrupted() => {
                    if let Some(socket) = unplaced {
                        let carried = Carried::new(socket.into(), Bytes::new(), false, Duration::ZERO);
                        connection::keep(listener, carried);
                    }
                    return order;
                }
            },
            Err(error) => Err((Vec::new(), error)),
        };
        let (batch, pause) = match accepted {
            Ok(batch) => {
                succeeded(&mut backoff, batch.len());
                (batch, None)
            }
            Err((batch, error)) => {
                listener.metrics.accept_errors.add(1);
                (batch, Some(failed(&mut backoff, &error)))
            }
        };
        let full = batch.len() == ACCEPTS_PER_TURN;
        serve_batch(listener, batch, helpers);
        if let Some(pause) = pause {
            tokio::select! {
                order = orders.interrupted() => return order,
                () = tokio::time::sleep(pause) => {}
            }
        } else if full {
            tokio::task::yield_now().await;
        }
    }
}

/// Accepts what the kernel's queue holds, which a close would reset, until it stays empty.
async fn empty_queue(
    listener: &Arc<Listener>,
    socket: &AsyncFd<TcpListener>,
    helpers: &Arc<Semaphore>,
) {
    let mut closing = Closing::begin(socket.get_ref());
    while !closing.is_over(socket.get_ref()) {
        let mut unplaced = None;
        let accepted = accept_batch(listener, socket.get_ref(), &mut unplaced);
        // A connection may wait for its place.
        let (batch, emptied) = match timeout_at(closing.next(), accepted).await {
            Ok(Ok(accepted)) => accepted,
            // Out of descriptors or memory: what waits is lost, as is the listener.
            Ok(Err((batch, _))) => {
                serve_batch(listener, batch, helpers);
                break;
            }
            Err(_elapsed) => continue,
        };
        if !batch.is_empty() {
            closing.accepted();
        }
        serve_batch(listener, batch, helpers);
        if emptied && let Ok(Ok(mut ready)) = timeout_at(closing.next(), socket.readable()).await {
            ready.clear_ready();
        }
    }
    // The last look, immediately before the close.
    let mut unplaced = None;
    let accepted = accept_batch(listener, socket.get_ref(), &mut unplaced);
    if let Ok(Ok((batch, _))) = timeout(Duration::ZERO, accepted).await {
        serve_batch(listener, batch, helpers);
    }
}

/// Accepts what waits at a socket that is ready.
async fn accept_ready(
    listener: &Listener,
    mut socket: AsyncFdReadyGuard<'_, TcpListener>,
    unplaced: &mut Option<TcpStream>,
) -> Result<Vec<Accepted>, (Vec<Accepted>, io::Error)> {
    let (batch, emptied) = accept_batch(listener, socket.get_inner(), unplaced).await?;
    if emptied {
        socket.clear_ready();
    }
    Ok(batch)
}

/// Accepts waiting connections: at most [`ACCEPTS_PER_TURN`], and at most as many as are admitted
/// at once. Returns also whether none is left. An error also carries the connections accepted
/// before it. The one that waits for its place is in `unplaced`.
async fn accept_batch(
    listener: &Listener,
    socket: &TcpListener,
    unplaced: &mut Option<TcpStream>,
) -> Result<(Vec<Accepted>, bool), (Vec<Accepted>, io::Error)> {
    let mut batch = Vec::new();
    for _ in 0..ACCEPTS_PER_TURN.min(listener.connections.admitted_at_once()) {
        match accept_one(socket) {
            Ok((accepted, address)) => {
                *unplaced = Some(accepted);
                let admitted = listener.connections.admit(address).await;
                match (admitted, unplaced.take()) {
                    (Ok(place), Some(socket)) => batch.push(Accepted { socket, place }),
                    (Err(why), Some(socket)) => refuse(listener, &socket, address, why),
                    (_, None) => {}
                }
            }
            Err(Errno::AGAIN) => return Ok((batch, true)),
            Err(error) if is_of_one_connection(error) => {}
            Err(error) => return Err((batch, error.into())),
        }
    }
    Ok((batch, false))
}

/// One `accept4`. The socket is non-blocking and close-on-exec, and inherits the listener's
/// options.
fn accept_one(listener: &TcpListener) -> Result<(TcpStream, IpAddr), Errno> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let (socket, peer) = rustix::net::acceptfrom_with(listener, flags)?;
    let peer = peer
        .and_then(|peer| SocketAddr::try_from(peer).ok())
        .ok_or(Errno::CONNABORTED)?;
    // `::ffff:192.0.2.1` and `192.0.2.1` are one client with one share.
    Ok((TcpStream::from(socket), peer.ip().to_canonical()))
}

/// Whether the error concerns only the connection at the head of the queue, so that the next one
/// may be tried at once. accept(2) asks to treat network errors of the new socket like that.
fn is_of_one_connection(error: Errno) -> bool {
    matches!(
        error,
        Errno::INTR
            | Errno::CONNABORTED
            | Errno::CONNRESET
            | Errno::PROTO
            | Errno::PERM
            | Errno::NETDOWN
            | Errno::NOPROTOOPT
            | Errno::HOSTDOWN
            | Errno::NONET
            | Errno::HOSTUNREACH
            | Errno::OPNOTSUPP
            | Errno::NETUNREACH
    )
}

fn serve_batch(listener: &Arc<Listener>, batch: Vec<Accepted>, helpers: &Arc<Semaphore>) {
    if batch.len() == ACCEPTS_PER_TURN
        && let Ok(helper) = Arc::clone(helpers).try_acquire_owned()
    {
        let listener = Arc::clone(listener);
        tokio::spawn(async move {
            serve_inline(&listener, batch);
            drop(helper);
        });
    } else {
        serve_inline(listener, batch);
    }
}

fn serve_inline(listener: &Arc<Listener>, batch: Vec<Accepted>) {
    for Accepted { socket, place } in batch {
        connection::start(listener, socket, place);
    }
}

/// Answers a client 503 as far as that is possible without waiting, and closes.
fn refuse(listener: &Listener, socket: &TcpStream, client: IpAddr, why: Refused) {
    listener.metrics.refused.add(1);
    tracing::debug!(target: "fantail::http", %client, %why, "connection refused");
    if let Some(left_out) = REFUSED.due() {
        tracing::warn!(target: "fantail::http", left_out, %why, "a connection was refused; `fantail_connections_refused_total` counts them");
    }
    let status = hyper::StatusCode::SERVICE_UNAVAILABLE;
    let answer = head::refusal(status, &why.to_string(), Some(retry_after_s()));
    let _not_there_yet = rustix::net::recv(
        socket,
        &mut [0; REFUSED_READ_BYTES],
        rustix::net::RecvFlags::empty(),
    );
    let _gone = rustix::net::send(socket, &answer, rustix::net::SendFlags::NOSIGNAL);
    let _gone = socket.shutdown(std::net::Shutdown::Write);
}

/// Guard of the log line about refused connections.
static REFUSED: OnceAMinute = OnceAMinute::new();
/// Guard of the log line about failures of `accept`, which can alternate quickly with successes.
static FAILING: OnceAMinute = OnceAMinute::new();
/// Guard of the log line about the end of such failures.
static RECOVERED: OnceAMinute = OnceAMinute::new();

/// Notes a turn that ended with an error; returns the pause.
fn failed(backoff: &mut Backoff, error: &io::Error) -> Duration {
    if let Some(left_out) = FAILING.due() {
        tracing::warn!(target: "fantail::http", %error, left_out, "no connection can be accepted for now; raise the file limit if it is too low");
    }
    backoff.failed()
}

/// Notes a turn without an error. Only a turn that accepted a connection ends the pauses.
fn succeeded(backoff: &mut Backoff, accepted: usize) {
    if accepted > 0 && backoff.succeeded() && RECOVERED.due().is_some() {
        tracing::info!(target: "fantail::http", "connections are accepted again");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_turn_that_accepts_a_connection_ends_the_pauses() {
        let error = io::Error::from(Errno::MFILE);
        let mut backoff = Backoff::ACCEPT;
        let first = failed(&mut backoff, &error);
        succeeded(&mut backoff, 0);
        assert_eq!(failed(&mut backoff, &error), first * 2);
        succeeded(&mut backoff, 1);
        assert_eq!(failed(&mut backoff, &error), first);
    }

    #[test]
    fn running_out_is_not_of_one_connection() {
        for error in [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM] {
            assert!(!is_of_one_connection(error));
        }
        assert!(is_of_one_connection(Errno::CONNABORTED));
    }
}
