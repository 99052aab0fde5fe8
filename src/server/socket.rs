//! A connection's socket: bare until a call on it would block, then registered with tokio.

use std::io;
use std::mem::MaybeUninit;
use std::net::{Shutdown, TcpStream as StdStream};
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use rustix::net::{RecvFlags, SendFlags};
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::turns::Turns;
use crate::once_a_minute::OnceAMinute;

/// Bounds the log lines of connections that the system does not watch.
static REFUSED: OnceAMinute = OnceAMinute::new();

/// Bytes asked of the kernel in one call: hyper's own first buffer, which holds any usual request
/// head.
pub(crate) const RECEIVE_BYTES: usize = 8 * 1024;

/// A connection's socket.
pub(crate) enum Socket {
    /// Unknown to tokio, non-blocking.
    Bare(StdStream),
    Registered(TcpStream),
    /// Registering failed; that call returned the error.
    Gone,
}

fn log_refused(error: &io::Error) {
    if let Some(left_out) = REFUSED.due() {
        tracing::warn!(
            target: "fantail::http",
            left_out,
            %error,
            "a connection was ended, since the system does not watch it; see `fs.epoll.max_user_watches`"
        );
    }
}

impl Socket {
    /// The registered stream. Registers it first if needed.
    fn registered(&mut self) -> io::Result<Pin<&mut TcpStream>> {
        *self = match std::mem::replace(self, Self::Gone) {
            Self::Bare(bare) => {
                Self::Registered(TcpStream::from_std(bare).inspect_err(log_refused)?)
            }
            other => other,
        };
        match self {
            Self::Registered(stream) => Ok(Pin::new(stream)),
            Self::Bare(_) | Self::Gone => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    /// Receives at most `limit` bytes and passes them to `take`. Resolves to their number, 0 at the
    /// end of the stream.
    ///
    /// The bytes pass through the stack: a small copy allows a receive without `unsafe` and, while
    /// nothing has arrived, without a buffer.
    pub(crate) fn poll_receive(
        &mut self,
        turns: &Turns,
        cx: &mut Context<'_>,
        limit: usize,
        take: impl FnOnce(&[u8]),
    ) -> Poll<io::Result<usize>> {
        let mut space = [MaybeUninit::uninit(); RECEIVE_BYTES];
        let space = &mut space[..limit.min(RECEIVE_BYTES)];
        while let Self::Bare(bare) = self {
            let turn = ready!(turns.poll(cx));
            match rustix::net::recv(&*bare, &mut *space, RecvFlags::empty()) {
                Ok(((received, _), _)) => {
                    turn.take();
                    take(received);
                    return Poll::Ready(Ok(received.len()));
                }
                Err(rustix::io::Errno::INTR) => {}
                Err(rustix::io::Errno::AGAIN) => break,
                Err(error) => return Poll::Ready(Err(error.into())),
            }
        }
        let mut buffer = ReadBuf::uninit(space);
        ready!(self.registered()?.poll_read(cx, &mut buffer))?;
        take(buffer.filled());
        Poll::Ready(Ok(buffer.filled().len()))
    }

    pub(crate) fn poll_send(
        &mut self,
        turns: &Turns,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        while let Self::Bare(bare) = self {
            let turn = ready!(turns.poll(cx));
            match rustix::net::send(&*bare, bytes, SendFlags::NOSIGNAL) {
                Ok(sent) => {
                    turn.take();
                    return Poll::Ready(Ok(sent));
                }
                Err(rustix::io::Errno::INTR) => {}
                Err(rustix::io::Errno::AGAIN) => break,
                Err(error) => return Poll::Ready(Err(error.into())),
            }
        }
        self.registered()?.poll_write(cx, bytes)
    }

    /// Sends as many bytes as the kernel accepts at once.
    pub(crate) fn send_now(&self, bytes: &[u8]) {
        let _lost = match self {
            Self::Bare(bare) => SockRef::from(bare).send(bytes),
            Self::Registered(stream) => SockRef::from(stream).send(bytes),
            Self::Gone => Ok(0),
        };
    }

    /// Ends our side.
    pub(crate) fn shutdown(&self) -> io::Result<()> {
        match self {
            Self::Bare(bare) => bare.shutdown(Shutdown::Write),
            Self::Registered(stream) => SockRef::from(stream).shutdown(Shutdown::Write),
            Self::Gone => Ok(()),
        }
    }

    /// Takes the socket out of tokio, if it was registered.
    ///
    /// # Errors
    /// The system refused to take it out of epoll, or registering had failed before.
    pub(crate) fn into_fd(self) -> io::Result<OwnedFd> {
        match self {
            Self::Bare(bare) => Ok(bare.into()),
            Self::Registered(stream) => Ok(stream.into_std()?.into()),
            Self::Gone => Err(io::ErrorKind::NotConnected.into()),
        }
    }
}
