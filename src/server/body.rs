//! Bodies: of responses as hyper sends them, of requests as the routes read them.
//!
//! A response is whole, or it is a stream that a shard feeds through a [`BodyQueue`]; its pieces say how far it has gone. A request body is read with a bound on its size,
//! on every pause in it and on its time; nothing here may hold more of it than the caller's bound.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use serde::Serialize;
use thiserror::Error;
use tokio::time::Instant;

use super::bodies::{Held, NoRoom};
use super::exchange::Exchange;
use super::guard::Fault;
use super::h2::Flow;
use super::piece::{Piece, Whole};
use super::unread::Unread;
use crate::settings::Settings;
use crate::shard::sink::{BodyQueue, Next};

/// Body of a response.
pub(crate) enum ResponseBody {
    /// There as a whole.
    Full(Whole),
    /// A stream of events.
    Stream(StreamBody),
}

impl ResponseBody {
    /// No body.
    pub(crate) const fn empty() -> Self {
        Self::Full(Whole::new(Bytes::new()))
    }

    /// A body that is there as a whole.
    pub(crate) fn full(bytes: impl Into<Bytes>) -> Self {
        Self::Full(Whole::new(bytes.into()))
    }

    /// It goes over HTTP/2, and `flow` is to know how far it has gone.
    pub(crate) fn go_by(&mut self, flow: &Arc<Flow>) {
        match self {
            Self::Full(whole) => whole.go_by(Arc::clone(flow)),
            // Opened with it.
            Self::Stream(_) => {}
        }
    }
}

/// A value as JSON with a line end, so that a terminal's next line starts where it should.
pub(crate) fn json_line(value: &impl Serialize) -> Vec<u8> {
    // Strings, numbers and JSON that was parsed before: there is nothing in what is answered that could fail to serialize.
    let mut text = serde_json::to_vec(value).unwrap_or_default();
    text.push(b'\n');
    text
}

/// A stream that the node let go in the middle. HTTP/2 resets it, so that its client does not take what it has for the whole.
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

/// The reading end of a queue that a shard writes to; dropping it tells the shard that the client is gone.
pub(crate) struct StreamBody {
    queue: Arc<BodyQueue>,
    flow: Arc<Flow>,
}

impl StreamBody {
    /// The reading end of `queue`, on its way by `flow`; there must be no other.
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

/// Why a request body could not be read.
#[derive(Debug, Error)]
pub(crate) enum BodyError {
    /// Larger than it may be.
    #[error("the body is larger than the {max} bytes that `publish_body_bytes_max` allows")]
    TooLarge {
        /// Bytes allowed.
        max: usize,
    },
    /// Others take up the room for it.
    #[error(transparent)]
    NoRoom(#[from] NoRoom),
    /// The client paused for too long.
    #[error("no byte of the body arrived for {} s (`body_timeout`)", .0.as_secs_f32())]
    Paused(Duration),
    /// It came byte by byte.
    #[error("the body, or one line of NDJSON, took longer than {} s (`body_time_max`)", .0.as_secs_f32())]
    Slow(Duration),
    /// The connection failed, or the body's framing is wrong.
    #[error("the body broke off: {}", reason(.0))]
    Broken(#[from] hyper::Error),
}

/// What the guard found wrong with the body, or else what hyper says.
fn reason(error: &hyper::Error) -> String {
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        let inner = error
            .downcast_ref::<std::io::Error>()
            .and_then(|error| error.get_ref()?.downcast_ref::<Fault>());
        if let Some(fault) = inner {
            return fault.to_string();
        }
        source = error.source();
    }
    error.to_string()
}

/// How slowly a body may come.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    /// Longest pause in it.
    pause_max: Duration,
    /// Longest pause between two lines of a body that is read line by line.
    idle_max: Duration,
    /// Longest time for all of it, or for one line.
    time_max: Duration,
}

impl Pace {
    pub(crate) fn of(settings: &Settings) -> Self {
        Self {
            pause_max: settings.body_timeout,
            idle_max: settings.body_timeout.max(settings.idle_timeout),
            time_max: settings.body_time_max,
        }
    }
}

/// Body of a request.
pub(crate) struct RequestBody {
    /// Taken when the body is left.
    incoming: Option<Incoming>,
    pace: Pace,
    /// What it takes up, if there is any.
    held: Option<Held>,
    /// When it, or the line that has begun, must have come; `None` between two lines.
    due: Option<Instant>,
    /// Given what is left of the body before its end, so that the connection can go on or is closed gently. HTTP/2 streams need none.
    exchange: Option<Arc<Exchange>>,
    /// More of it can be expected: not while the client waits for `100 Continue`, and not after it failed.
    is_coming: bool,
}

impl RequestBody {
    /// Wraps what hyper gives, as soon as the head has come. `awaited`: the client asked with `Expect: 100-continue` whether to send it.
    pub(crate) fn new(
        incoming: Incoming,
        pace: Pace,
        held: Option<Held>,
        exchange: Option<Arc<Exchange>>,
        awaited: bool,
    ) -> Self {
        Self {
            incoming: Some(incoming).filter(|incoming| !incoming.is_end_stream()),
            pace,
            held,
            due: Some(Instant::now() + pace.time_max),
            exchange,
            is_coming: !awaited,
        }
    }

    /// The body is read line by line, and no line has begun: it may idle.
    pub(crate) fn await_line(&mut self) {
        self.due = None;
    }

    /// A line has begun.
    pub(crate) fn begin_line(&mut self) {
        self.due = Some(Instant::now() + self.pace.time_max);
    }

    /// The next piece; `None` at the end.
    pub(crate) async fn chunk(&mut self) -> Result<Option<Bytes>, BodyError> {
        while let Some(incoming) = &mut self.incoming {
            // Unless this succeeds, nobody should wait for more.
            self.is_coming = false;
            let now = Instant::now();
            let (pause_max, left) = match self.due {
                Some(due) => (self.pace.pause_max, due.saturating_duration_since(now)),
                None => (self.pace.idle_max, Duration::MAX),
            };
            if left.is_zero() {
                return Err(BodyError::Slow(self.pace.time_max));
            }
            let frame = tokio::time::timeout(pause_max.min(left), incoming.frame())
                .await
                .map_err(|_| {
                    if left < pause_max {
                        BodyError::Slow(self.pace.time_max)
                    } else {
                        BodyError::Paused(pause_max)
                    }
                })?
                .transpose()?;
            self.is_coming = true;
            match frame {
                None => self.incoming = None,
                // Trailers say nothing here.
                Some(frame) => {
                    if let Ok(data) = frame.into_data() {
                        return Ok(Some(data));
                    }
                }
            }
        }
        Ok(None)
    }

    /// Of what was given out, `bytes` are still held, and more is to come.
    ///
    /// # Errors
    /// There is no room for so many.
    pub(crate) fn hold(&mut self, bytes: usize) -> Result<(), BodyError> {
        match &mut self.held {
            Some(held) => Ok(held.set(bytes)?),
            None => Ok(()),
        }
    }

    /// Whether the end is known to have come.
    fn is_over(&self) -> bool {
        self.incoming.as_ref().is_none_or(Body::is_end_stream)
    }

    /// The whole body, if it has no more than `max` bytes. One that announces more is refused before it is asked for.
    pub(crate) async fn whole(&mut self, max: usize) -> Result<Bytes, BodyError> {
        let announced = self.incoming.as_ref();
        if announced.is_some_and(|incoming| incoming.size_hint().lower() > max as u64) {
            return Err(BodyError::TooLarge { max });
        }
        self.hold(0)?;
        // Nearly every body comes in one piece, which is handed on as it is.
        let first = self.chunk().await?.unwrap_or_default();
        if self.is_over() && first.len() <= max {
            self.hold(first.len())?;
            return Ok(first);
        }
        // Not so when more has to be waited for: a piece of one byte keeps the whole buffer that it was received in.
        let mut joined = BytesMut::from(&first[..]);
        drop(first);
        while joined.len() <= max {
            self.hold(joined.len())?;
            let Some(chunk) = self.chunk().await? else {
                return Ok(joined.freeze());
            };
            joined.extend_from_slice(&chunk);
        }
        Err(BodyError::TooLarge { max })
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        let left = self.incoming.take();
        if let (Some(incoming), Some(exchange)) = (left, &self.exchange) {
            exchange.leave_unread(Unread::new(incoming, self.is_coming));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::h2::Activity;
    use super::*;

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
