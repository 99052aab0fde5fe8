//! The pieces in which a response is sent. Each reports when it is gone.

use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};

use super::activity::Flow;
use super::charge::Charge;
use super::exchange::Exchange;

/// Longest piece of a whole body: the usual largest frame of HTTP/2. Fewer bytes than two pieces
/// are handed over beyond what the client has read.
const PIECE_BYTES: usize = 16 * 1024;

/// A body up to this size is sent in one frame with its end. The end of a larger one waits until
/// the rest was read, because up to then its stream can be reset.
const AT_ONCE_BYTES: usize = 4 * 1024;

/// Bytes on their way to a client.
pub(crate) struct Piece {
    bytes: Bytes,
    /// Counts the bytes when they are gone. HTTP/1 needs none, because its socket reports it.
    flow: Option<Arc<Flow>>,
    /// The charge of the body that it is a part of.
    _charge: Option<Arc<Charge>>,
}

impl Piece {
    /// Hands `bytes` over.
    pub(crate) fn new(bytes: Bytes, flow: Option<&Arc<Flow>>) -> Self {
        Self::charged(bytes, flow, None)
    }

    fn charged(bytes: Bytes, flow: Option<&Arc<Flow>>, charge: Option<Arc<Charge>>) -> Self {
        if let Some(flow) = flow {
            flow.hand_over(bytes.len());
        }
        Self {
            bytes,
            flow: flow.cloned(),
            _charge: charge,
        }
    }
}

impl Buf for Piece {
    fn remaining(&self) -> usize {
        self.bytes.len()
    }

    fn chunk(&self) -> &[u8] {
        &self.bytes
    }

    fn advance(&mut self, count: usize) {
        self.bytes.advance(count);
        if let Some(flow) = &self.flow {
            flow.let_go(count);
        }
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        if let Some(flow) = &self.flow
            && !self.bytes.is_empty()
        {
            flow.let_go(self.bytes.len());
        }
    }
}

/// A body that is complete in memory.
pub(crate) struct Whole {
    /// The unsent rest.
    bytes: Bytes,
    flow: Option<Arc<Flow>>,
    /// The end of the body waits until every byte is gone.
    end_waits: bool,
    /// Its charge, until the last piece is gone.
    charge: Option<Arc<Charge>>,
    /// Over HTTP/1 a piece is gone when hyper has copied it, and its bytes when the socket has
    /// accepted them.
    exchange: Option<Arc<Exchange>>,
}

impl Whole {
    pub(crate) const fn new(bytes: Bytes) -> Self {
        Self {
            bytes,
            flow: None,
            end_waits: false,
            charge: None,
            exchange: None,
        }
    }

    /// Sets the body's charge; `exchange` is that of an HTTP/1 connection.
    pub(crate) fn charge(&mut self, charge: Charge, exchange: Option<&Arc<Exchange>>) {
        self.charge = Some(Arc::new(charge));
        self.exchange = exchange.cloned();
    }

    /// Whether it has a charge.
    pub(crate) fn is_charged(&self) -> bool {
        self.charge.is_some()
    }

    /// The body is sent over HTTP/2.
    pub(crate) fn go_by(&mut self, flow: Arc<Flow>) {
        self.end_waits = self.bytes.len() > AT_ONCE_BYTES;
        self.flow = Some(flow);
    }

    /// Bytes left.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether nothing is left to send, not even the end.
    pub(crate) fn is_over(&self) -> bool {
        self.bytes.is_empty() && !self.end_waits
    }

    /// The next piece; `None` at the end.
    pub(crate) fn poll_piece(&mut self, cx: &Context<'_>) -> Poll<Option<Piece>> {
        if self.bytes.is_empty() {
            if let Some(flow) = self.flow.as_ref().filter(|_| self.end_waits) {
                ready!(flow.poll_gone(cx));
            }
            return Poll::Ready(None);
        }
        let bytes = self.bytes.split_to(self.bytes.len().min(PIECE_BYTES));
        let charge = if self.bytes.is_empty() {
            self.charge.take()
        } else {
            self.charge.clone()
        };
        if let (Some(exchange), Some(charge)) = (&self.exchange, &charge)
            && self.bytes.is_empty()
        {
            exchange.owe(Arc::clone(charge));
        }
        Poll::Ready(Some(Piece::charged(bytes, self.flow.as_ref(), charge)))
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use tokio::time::Instant;

    use super::*;
    use crate::server::activity::Activity;

    #[test]
    fn the_end_of_a_long_body_waits_for_its_bytes() {
        let cx = Context::from_waker(Waker::noop());
        let mut body = Whole::new(Bytes::from(vec![b'x'; PIECE_BYTES + 1]));
        body.go_by(Activity::new(Instant::now(), 0, 0).begin());
        let mut pieces = Vec::new();
        while let Poll::Ready(Some(piece)) = body.poll_piece(&cx) {
            pieces.push(piece);
        }
        assert_eq!(pieces.len(), 2);
        assert!(!body.is_over());
        assert!(body.poll_piece(&cx).is_pending());
        // One piece is sent, the other dropped.
        let mut piece = pieces.pop().expect("two");
        piece.advance(1);
        assert!(body.poll_piece(&cx).is_pending());
        pieces.clear();
        assert!(matches!(body.poll_piece(&cx), Poll::Ready(None)));
    }

    #[test]
    fn a_short_body_is_over_with_its_only_piece() {
        let cx = Context::from_waker(Waker::noop());
        let mut body = Whole::new(Bytes::from_static(b"ok"));
        body.go_by(Activity::new(Instant::now(), 0, 0).begin());
        let piece = body.poll_piece(&cx);
        assert!(matches!(piece, Poll::Ready(Some(piece)) if piece.chunk() == b"ok"));
        assert!(body.is_over());
    }
}
