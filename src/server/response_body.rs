//! Bodies of responses, as hyper sends them.
//!
//! A response is whole, or it is a stream that a shard feeds through a [`BodyQueue`]. Its pieces
//! report its progress.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use thiserror::Error;

use super::activity::Flow;
use super::piece::{Piece, Whole};
use crate::shard::wire::{BodyQueue, Next};

/// Body of a response.
pub(crate) enum ResponseBody {
    /// Complete in memory.
    Full(Whole),
    /// A stream of events.
    Stream(StreamBody),
}

impl ResponseBody {
    /// No body.
    pub(crate) const fn empty() -> Self {
        Self::Full(Whole::new(Bytes::new()))
    }

    /// A body that is complete in memory.
    pub(crate) fn full(bytes: impl Into<Bytes>) -> Self {
        Self::Full(Whole::new(bytes.into()))
    }

    /// The body is sent over HTTP/2, and `flow` counts its progress.
    pub(crate) fn go_by(&mut self, flow: &Arc<Flow>) {
        match self {
            Self::Full(whole) => whole.go_by(Arc::clone(flow)),
            // Its flow was set when it was opened.
            Self::Stream(_) => {}
        }
    }
}

/// A stream that the node ended in the middle. HTTP/2 resets it, so that its client does not
/// mistake the part for the whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the stream was cut")]
pub(crate) struct Cut;

impl Body for ResponseBody {
    type Data = Piece;
    type Error = Cut;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Piece>, Cut>>> {
        match &mut *self {
            Self::Full(whole) => whole
                .poll_piece(cx)
                .map(|piece| piece.map(|piece| Ok(Frame::data(piece)))),
            Self::Stream(stream) => match stream.queue.poll_next(cx.waker()) {
                Next::Chunk(chunk) => {
                    let piece = Piece::new(chunk, Some(&stream.flow));
                    Poll::Ready(Some(Ok(Frame::data(piece))))
                }
                Next::Pending => Poll::Pending,
                Next::End => Poll::Ready(None),
                Next::Cut => Poll::Ready(Some(Err(Cut))),
            },
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Full(whole) if whole.is_over())
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Full(whole) => SizeHint::with_exact(whole.len() as u64),
            Self::Stream(_) => SizeHint::default(),
        }
    }
}

/// The reading end of a queue that a shard writes to. Dropping it reports to the shard that the
/// client is gone.
pub(crate) struct StreamBody {
    queue: Arc<BodyQueue>,
    flow: Arc<Flow>,
}

impl StreamBody {
    /// The only reading end of `queue`, counted by `flow`.
    pub(crate) fn new(queue: Arc<BodyQueue>, flow: Arc<Flow>) -> Self {
        flow.feed(&queue);
        Self { queue, flow }
    }
}

impl Drop for StreamBody {
    fn drop(&mut self) {
        self.queue.abandon();
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;
    use tokio::time::Instant;

    use super::*;
    use crate::server::activity::Activity;

    fn flow() -> Arc<Flow> {
        Activity::new(Instant::now(), 0, 0).begin()
    }

    #[test]
    fn a_dropped_stream_tells_the_shard() {
        let queue = BodyQueue::new();
        drop(ResponseBody::Stream(StreamBody::new(
            Arc::clone(&queue),
            flow(),
        )));
        assert!(queue.is_abandoned());
    }

    #[tokio::test]
    async fn a_stream_body_ends_after_what_is_queued() {
        let queue = BodyQueue::new();
        let body = ResponseBody::Stream(StreamBody::new(Arc::clone(&queue), flow()));
        queue.write(Bytes::from_static(b"a"));
        queue.write(Bytes::from_static(b"b"));
        queue.finish(true);
        let bytes = body.collect().await.expect("whole").to_bytes();
        assert_eq!(bytes, "ab");
    }

    #[tokio::test]
    async fn a_stream_body_that_was_cut_fails_and_forgets_what_was_queued() {
        let queue = BodyQueue::new();
        let body = ResponseBody::Stream(StreamBody::new(Arc::clone(&queue), flow()));
        queue.write(Bytes::from_static(b"a"));
        queue.finish(false);
        assert_eq!(body.collect().await.map(|_| ()), Err(Cut));
    }
}
