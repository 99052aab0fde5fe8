//! Request bodies, as services read them.
//!
//! Bounds apply to a body's size, to every pause in it and to its time. Nothing here may hold more
//! of it than the caller's bound.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use thiserror::Error;
use tokio::time::Instant;

use super::bodies::Held;
pub(crate) use super::bodies::NoRoom;
use super::config::ServerConfig;
use super::exchange::Exchange;
use super::guard::Fault;
use super::segments::Segments;
use super::socket::RECEIVE_BYTES;
use super::unread::Unread;

/// Why a request body could not be read.
#[derive(Debug, Error)]
pub(crate) enum BodyError {
    /// Larger than it may be.
    #[error("the body is larger than the {max} bytes that `publish_body_bytes_max` allows")]
    TooLarge {
        /// Bytes allowed.
        max: usize,
    },
    /// Other bodies take up the room.
    #[error(transparent)]
    NoRoom(#[from] NoRoom),
    /// The client paused for too long.
    #[error("no byte of the body arrived for {} s (`body_timeout`)", .0.as_secs_f32())]
    Paused(Duration),
    /// It arrived too slowly in all.
    #[error("the body, or one line of NDJSON, took longer than {} s (`body_time_max`)", .0.as_secs_f32())]
    Slow(Duration),
    /// The connection failed, or the body's framing is wrong.
    #[error("the body broke off: {}", reason(.0))]
    Broken(#[from] hyper::Error),
}

/// The guard's fault of the body, or else hyper's error.
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

/// Buffer of a connection that receives a body in pieces: hyper doubles it once.
const RECEIVE_BUFFER_BYTES: usize = 2 * RECEIVE_BYTES;

/// Bounds on how slowly a body may arrive.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    /// Longest pause in it.
    pause_max: Duration,
    /// Longest pause between two lines of a body that is read line by line.
    idle_max: Duration,
    /// Longest time for the whole body, or for one line.
    time_max: Duration,
}

impl Pace {
    pub(crate) fn of(config: &ServerConfig) -> Self {
        Self {
            pause_max: config.body_timeout,
            idle_max: config.body_timeout.max(config.idle_timeout),
            time_max: config.body_time_max,
        }
    }
}

/// Body of a request.
pub(crate) struct RequestBody {
    /// Taken when the rest of the body is left.
    incoming: Option<Incoming>,
    pace: Pace,
    /// The room that the body takes, if any.
    held: Option<Held>,
    /// Deadline of the body, or of the line that has begun; `None` between two lines.
    due: Option<Instant>,
    /// Receives the rest of the body before its end, so that the connection can go on or is closed
    /// gently. HTTP/2 streams need none.
    exchange: Option<Arc<Exchange>>,
    /// More of the body can be expected: not while the client waits for `100 Continue`, and not
    /// after a failure.
    is_coming: bool,
}

impl RequestBody {
    /// Wraps hyper's body as soon as the head has arrived. `awaited`: the client asked with
    /// `Expect: 100-continue` whether to send it.
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

    /// The body is read line by line, and no line has begun: the client may pause longer.
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
            // Unless this succeeds, no more of the body is expected.
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
                // Trailers are ignored.
                Some(frame) => {
                    if let Ok(data) = frame.into_data() {
                        return Ok(Some(data));
                    }
                }
            }
        }
        Ok(None)
    }

    /// Sets the bytes of the body that the caller still holds; more is to come.
    ///
    /// # Errors
    /// There is no room for so many bytes.
    pub(crate) fn hold(&mut self, bytes: usize) -> Result<(), BodyError> {
        // The buffer of an HTTP/1 connection holds bytes of this body alone.
        let buffer = match &self.exchange {
            Some(_) if bytes > RECEIVE_BYTES => RECEIVE_BUFFER_BYTES,
            _ => 0,
        };
        match &mut self.held {
            Some(held) => Ok(held.set(bytes + buffer)?),
            None => Ok(()),
        }
    }

    /// Whether the body is known to have ended.
    fn is_over(&self) -> bool {
        self.incoming.as_ref().is_none_or(Body::is_end_stream)
    }

    /// The whole body, if it has at most `max` bytes. A body that announces more is refused before
    /// the client is asked to send it.
    pub(crate) async fn whole(&mut self, max: usize) -> Result<Bytes, BodyError> {
        let announced = self.incoming.as_ref();
        if announced.is_some_and(|incoming| incoming.size_hint().lower() > max as u64) {
            return Err(BodyError::TooLarge { max });
        }
        self.hold(0)?;
        // Nearly every body arrives in one piece, which is returned without a copy.
        let first = self.chunk().await?.unwrap_or_default();
        if self.is_over() && first.len() <= max {
            self.hold(first.len())?;
            return Ok(first);
        }
        // While waiting for more, the bytes are copied: a piece of one byte would keep the whole
        // receive buffer alive.
        let mut segments = Segments::default();
        let mut next = Some(first);
        while let Some(chunk) = next.take() {
            if segments.len() + chunk.len() > max {
                return Err(BodyError::TooLarge { max });
            }
            self.hold(segments.bytes_with(chunk.len()))?;
            segments.push(&chunk);
            drop(chunk);
            next = self.chunk().await?;
        }
        Ok(segments.join())
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        let left = self.incoming.take();
        if let (Some(incoming), Some(exchange)) = (left, &self.exchange) {
            exchange.leave_unread(Unread {
                incoming,
                is_coming: self.is_coming,
            });
        }
    }
}
