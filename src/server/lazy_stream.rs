//! A TCP stream that joins tokio's epoll only when it has to wait.
//!
//! Most clients send their request right behind the handshake, so a subscription can be read,
//! checked and handed to a shard before tokio registers its socket. That saves two `epoll_ctl`
//! calls, a task and a registration per stream. System calls go to the bare socket until one of
//! them would block; only then does it become a `tokio::net::TcpStream`.
//!
//! The bare socket of a client that sends without end never blocks, so calls on it are budgeted
//! ([`Turns`](super::turns::Turns)), as tokio budgets its own. This module never interprets the
//! bytes that it carries; it only stores those that were read ahead of hyper. A [`Guard`] decides
//! which bytes may pass to hyper.

use std::io;
use std::net::TcpStream as StdStream;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use hyper::rt::{Read, ReadBufCursor, Write};

use super::exchange::Exchange;
use super::guard::{Fault, Guard};
use super::heads::Head;
use super::socket::{self, Socket};

/// The socket of one connection, as hyper sees it.
pub(crate) struct LazyStream {
    socket: Socket,
    /// Bytes read before a protocol was chosen; they are read again first.
    early: BytesMut,
    exchange: Arc<Exchange>,
    guard: Guard,
    /// What the reader holds of an unfinished request head.
    head: Option<Head>,
    /// The reader reached a wrong request head: every request before it is answered.
    at_wrong_head: bool,
}

impl LazyStream {
    /// Wraps a connected, non-blocking socket.
    pub(crate) fn new(socket: StdStream, exchange: Arc<Exchange>) -> Self {
        Self {
            ..Self::again(Socket::Bare(socket), exchange)
        }
    }

    /// Wraps a socket that was left ([`Exchange::leave`]).
    pub(crate) fn again(socket: Socket, exchange: Arc<Exchange>) -> Self {
        Self {
            socket,
            early: BytesMut::new(),
            exchange,
            guard: Guard::None,
            head: None,
            at_wrong_head: false,
        }
    }

    /// Ends our side, and leaves the socket for the task that waits until the client ends its own.
    /// Only for HTTP/2, where hyper does not return the socket.
    fn leave(&mut self) -> io::Result<()> {
        let ended = self.shutdown();
        self.exchange
            .leave(std::mem::replace(&mut self.socket, Socket::Gone));
        ended
    }

    /// From here on, only bytes that `guard` passes are read.
    pub(crate) fn set_guard(&mut self, guard: Guard) {
        self.guard = guard;
    }

    /// From here on, unfinished request heads are charged.
    pub(crate) fn charge_heads(&mut self, head: Head) {
        self.head = Some(head);
    }

    /// The fault of the request head that hyper waits for in vain. The connection's driver answers
    /// it.
    pub(crate) fn wrong_head(&self) -> Option<Fault> {
        let refusal = self.guard.refusal().filter(|_| self.at_wrong_head);
        refusal.map(|refusal| refusal.fault)
    }

    /// Reads ahead: appends bytes from the client to [`Self::early`]. Resolves to their number, 0
    /// at the end of the stream.
    pub(crate) fn poll_read_ahead(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let Self {
            socket,
            early,
            exchange,
            ..
        } = self;
        let received =
            ready!(
                socket.poll_receive(exchange.turns(), cx, socket::RECEIVE_BYTES, |bytes| {
                    early.extend_from_slice(bytes);
                })
            )?;
        if received > 0 {
            exchange.hear();
        }
        Poll::Ready(Ok(received))
    }

    /// Sets bytes that were read before, by another listener.
    pub(crate) fn set_early(&mut self, bytes: &[u8]) {
        self.early = BytesMut::from(bytes);
    }

    /// Bytes that were read ahead and not yet read again.
    pub(crate) fn early(&self) -> &[u8] {
        &self.early
    }

    /// Takes the socket, and the bytes that were read ahead, behind those in `read` that hyper has
    /// read of them.
    ///
    /// # Errors
    /// As [`Self::into_fd`].
    pub(crate) fn into_carried(self, read: Bytes) -> io::Result<(OwnedFd, Bytes)> {
        let unread = if self.early.is_empty() {
            read
        } else {
            [&read[..], &self.early[..]].concat().into()
        };
        Ok((self.socket.into_fd()?, unread))
    }

    /// Receives bytes and drops them. Resolves to their number, 0 at the end of the stream.
    pub(crate) fn poll_discard(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        self.socket
            .poll_receive(self.exchange.turns(), cx, socket::RECEIVE_BYTES, |_| {})
    }

    /// Sends as many bytes as the kernel accepts at once. For a last answer before closing, whose
    /// loss does no harm.
    pub(crate) fn send_now(&self, bytes: &[u8]) {
        self.socket.send_now(bytes);
    }

    /// Ends our side of the connection.
    pub(crate) fn shutdown(&self) -> io::Result<()> {
        self.socket.shutdown()
    }

    /// Takes the socket out of tokio (if it was registered) and drops the bytes that were read
    /// ahead.
    ///
    /// # Errors
    /// The system refused to take it out of epoll, or registering had failed before.
    pub(crate) fn into_fd(self) -> io::Result<OwnedFd> {
        self.socket.into_fd()
    }

    #[cfg(test)]
    fn is_registered(&self) -> bool {
        matches!(self.socket, Socket::Registered(_))
    }
}

impl Read for LazyStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut into: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let Self {
            socket,
            early,
            exchange,
            guard,
            head,
            at_wrong_head,
        } = &mut *self;
        if exchange.reads_nothing() {
            // The driver polls again after a thaw.
            return Poll::Pending;
        }
        let mut passed = 0;
        let received = if guard.refusal().is_some() {
            0
        } else if early.is_empty() {
            let limit = into.remaining();
            ready!(socket.poll_receive(exchange.turns(), cx, limit, |bytes| {
                passed = guard.receive(bytes);
                into.put_slice(&bytes[..passed]);
            }))?
        } else {
            let length = early.len().min(into.remaining());
            passed = guard.receive(&early[..length]);
            into.put_slice(&early[..passed]);
            early.advance(length);
            if early.is_empty() {
                // The connection may live for long; its first bytes need not.
                *early = BytesMut::new();
            }
            length
        };
        if let Some(refusal) = guard.refusal().filter(|_| passed == 0) {
            *at_wrong_head = refusal.in_head;
            if let Guard::Http2(_) = guard {
                if let Some(farewell) = guard.farewell() {
                    self.send_now(&farewell);
                }
                let _gone = self.leave();
            }
            return Poll::Ready(Err(io::Error::new(
                io::ErrorKind::InvalidData,
                refusal.fault,
            )));
        }
        if let Some(head) = head {
            let bytes = guard.head_bytes();
            if bytes == 0 {
                head.end();
            } else if head.set(bytes).is_err() {
                // The next read finds the refusal.
                guard.refuse_head(Fault::NoMemory);
            }
        }
        if received > 0 {
            exchange.hear();
        }
        Poll::Ready(Ok(()))
    }
}

impl Write for LazyStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let Self {
            socket,
            exchange,
            guard,
            ..
        } = &mut *self;
        exchange.set_flushed(false);
        let sent = ready!(socket.poll_send(exchange.turns(), cx, bytes))?;
        exchange.note_write();
        guard.send(&bytes[..sent]);
        Poll::Ready(Ok(sent))
    }

    /// This stream has no buffer to flush. The call means that hyper has written all of its own.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.exchange.set_flushed(true);
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.at_wrong_head {
            // hyper has its answer still to send.
            return Poll::Ready(Ok(()));
        }
        let ended = match self.guard {
            Guard::Http2(_) => self.leave(),
            Guard::None | Guard::Http1(_) => self.shutdown(),
        };
        Poll::Ready(match ended {
            // The client closed first.
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(()),
            done => done,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::io::Write as _;
    use std::net::{Ipv4Addr, TcpListener};
    use std::task::Waker;

    use super::*;

    fn pair() -> (StdStream, LazyStream) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("bind");
        let client = StdStream::connect(listener.local_addr().expect("address")).expect("connect");
        let (server, _) = listener.accept().expect("accept");
        server.set_nonblocking(true).expect("non-blocking");
        (client, LazyStream::new(server, Arc::new(Exchange::new())))
    }

    /// Waits until the kernel has something to read, without reading it.
    fn wait_readable(stream: &LazyStream) {
        let Socket::Bare(bare) = &stream.socket else {
            return;
        };
        bare.set_nonblocking(false).expect("blocking");
        bare.peek(&mut [0]).expect("peek");
        bare.set_nonblocking(true).expect("non-blocking");
    }

    #[test]
    fn what_is_there_already_needs_no_runtime() {
        let (mut client, mut stream) = pair();
        client.write_all(b"GET ").expect("write");
        wait_readable(&stream);
        let mut cx = Context::from_waker(Waker::noop());
        assert!(matches!(
            stream.poll_read_ahead(&mut cx),
            Poll::Ready(Ok(4))
        ));
        assert_eq!(stream.early(), b"GET ");
        assert!(!stream.is_registered());
        stream.into_fd().expect("socket");
    }

    #[tokio::test]
    async fn a_client_that_always_has_more_to_say_does_not_keep_its_thread() {
        let (mut client, mut stream) = pair();
        stream.exchange.turns().enter_task();
        client.write_all(&[0; 8 * 1024]).expect("write");
        wait_readable(&stream);
        // Far below the bytes that wait, far above the bytes of one turn.
        let reads = poll_fn(|cx| {
            for reads in 0..4 * 1024 {
                let mut space = [0; 1];
                let mut buffer = hyper::rt::ReadBuf::new(&mut space);
                if Pin::new(&mut stream)
                    .poll_read(cx, buffer.unfilled())
                    .is_pending()
                {
                    return Poll::Ready(Some(reads));
                }
            }
            Poll::Ready(None)
        })
        .await;
        assert!(reads.is_some_and(|reads| reads > 16), "{reads:?}");
        assert!(!stream.is_registered(), "it did not wait for the client");
        // The task was woken, and has a new turn.
        tokio::task::yield_now().await;
        let next = poll_fn(|cx| stream.poll_discard(cx)).await;
        assert!(next.expect("open") > 0);
    }

    #[tokio::test]
    async fn a_client_that_always_reads_more_does_not_keep_its_thread() {
        let (mut client, mut stream) = pair();
        stream.exchange.turns().enter_task();
        let writes = poll_fn(|cx| {
            for writes in 0..4 * 1024 {
                if Pin::new(&mut stream).poll_write(cx, b"x").is_pending() {
                    return Poll::Ready(Some(writes));
                }
            }
            Poll::Ready(None)
        })
        .await;
        assert!(writes.is_some_and(|writes| writes > 16), "{writes:?}");
        assert!(!stream.is_registered(), "it did not wait for the client");
        io::Read::read_exact(&mut client, &mut [0; 16]).expect("written");
    }

    #[test]
    fn before_it_has_a_task_a_client_gets_a_few_calls() {
        let (mut client, mut stream) = pair();
        client.write_all(&[0; 1024]).expect("write");
        wait_readable(&stream);
        let mut cx = Context::from_waker(Waker::noop());
        let mut reads = 0;
        loop {
            let mut space = [0; 1];
            let mut buffer = hyper::rt::ReadBuf::new(&mut space);
            let read = Pin::new(&mut stream).poll_read(&mut cx, buffer.unfilled());
            if read.is_pending() {
                break;
            }
            reads += 1;
        }
        assert!((2..100).contains(&reads), "{reads}");
        assert!(!stream.is_registered());
    }

    #[tokio::test]
    async fn a_wait_registers_and_bytes_keep_their_order() {
        let (mut client, mut stream) = pair();
        let mut cx = Context::from_waker(Waker::noop());
        assert!(stream.poll_read_ahead(&mut cx).is_pending());
        assert!(stream.is_registered());
        client.write_all(b"hello").expect("write");
        // The no-op waker above must not have swallowed the wake-up.
        let received = poll_fn(|cx| stream.poll_read_ahead(cx)).await;
        assert_eq!(received.expect("read"), 5);
        client.write_all(b" world").expect("write");
        let mut text = Vec::new();
        while text.len() < 11 {
            let mut space = [0; 3];
            let mut buffer = hyper::rt::ReadBuf::new(&mut space);
            poll_fn(|cx| Pin::new(&mut stream).poll_read(cx, buffer.unfilled()))
                .await
                .expect("read");
            text.extend_from_slice(buffer.filled());
        }
        assert_eq!(text, b"hello world");
    }

    #[tokio::test]
    async fn a_full_socket_is_not_flushed() {
        let (_client, mut stream) = pair();
        let exchange = Arc::clone(&stream.exchange);
        exchange.turns().enter_task();
        while !stream.is_registered() {
            poll_fn(|cx| {
                while Pin::new(&mut stream)
                    .poll_write(cx, &[0; 64 * 1024])
                    .is_ready()
                {}
                Poll::Ready(())
            })
            .await;
            tokio::task::yield_now().await;
        }
        assert!(!exchange.flushed());
    }
}
