//! The end of a connection whose client may still be sending.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes};
use hyper::rt::Write;
use tokio::time::Sleep;

use super::lazy_stream::LazyStream;
use super::phase_timer::poll_timer;

/// Closing a connection while its client sends would reset it, and the client might never read our
/// answer. So further bytes are read and dropped for this long…
const LINGER_TIME: Duration = Duration::from_secs(2);
/// …and up to this many bytes: twice the default size of the largest body, for clients that send
/// all of it before they read.
const LINGER_BYTES_MAX: usize = 16 << 20;

/// A connection whose last answer is sent, or about to be, and whose client may still be sending.
pub(crate) struct Linger {
    io: LazyStream,
    /// Unsent rest of the answer. Our side ends after it.
    answer: Bytes,
    bytes_left: usize,
    until: Pin<Box<Sleep>>,
}

impl Linger {
    /// For a connection whose answer is sent.
    pub(crate) fn new(io: LazyStream) -> Self {
        Self::answering(io, Bytes::new())
    }

    /// For a connection whose answer is sent up to `answer`, its rest.
    pub(crate) fn answering(io: LazyStream, answer: Bytes) -> Self {
        Self {
            io,
            answer,
            bytes_left: LINGER_BYTES_MAX,
            until: Box::pin(tokio::time::sleep(LINGER_TIME)),
        }
    }

    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while poll_timer(self.until.as_mut(), cx).is_pending() {
            if !self.answer.is_empty() {
                match ready!(Pin::new(&mut self.io).poll_write(cx, &self.answer)) {
                    Ok(sent) if sent > 0 => self.answer.advance(sent),
                    _ => break,
                }
                if self.answer.is_empty() && self.io.shutdown().is_err() {
                    break;
                }
                continue;
            }
            match ready!(self.io.poll_discard(cx)) {
                Ok(received) if received > 0 && received <= self.bytes_left => {
                    self.bytes_left -= received;
                }
                _ => break,
            }
        }
        Poll::Ready(())
    }
}
