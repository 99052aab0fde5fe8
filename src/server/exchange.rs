//! The state shared by the three halves of one HTTP/1 connection.
//!
//! hyper owns the socket ([`super::lazy_stream`]) and the service ([`super::responder`]) while it
//! drives them, so the connection's driver can reach neither. All three share one [`Exchange`]
//! instead. Only the task that polls the connection accesses it, so its flags are relaxed; it must
//! never be shared between connections.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use parking_lot::Mutex;

use super::charge::Charge;
use super::detach::Detach;
use super::socket::Socket;
use super::turns::Turns;
use super::unread::Unread;

/// The event that a connection waits for; it decides how long the wait may last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// The rest of a request head (or the first byte of the first one).
    Head,
    /// The node: a request is being served.
    Service,
    /// The client, which has to read a response.
    Writing,
    /// The next request.
    Idle,
}

/// Flags of one connection.
pub(crate) struct Exchange {
    detach: Mutex<Option<Detach>>,
    /// `detach` is filled. Saves the lock on every other poll.
    wants_detach: AtomicBool,
    /// The socket has accepted all bytes handed to it.
    flushed: AtomicBool,
    /// Bytes arrived that belong to no request yet.
    heard: AtomicBool,
    serving: AtomicBool,
    /// The listener freezes: no new request is read.
    freezing: AtomicBool,
    /// A request was answered before its body was read to the end.
    left_body: AtomicBool,
    /// The unread rest of the body, until the request is answered.
    unread: Mutex<Option<Unread>>,
    /// `unread` is filled. Saves the lock for most requests.
    has_unread: AtomicBool,
    requests: AtomicU32,
    turns: Turns,
    /// Number of calls that wrote something.
    writes: AtomicU32,
    /// The socket, once no further byte is to be sent on it.
    left: Mutex<Option<Socket>>,
    /// Charges of answers that last until all bytes are flushed.
    owed: Mutex<Vec<Arc<Charge>>>,
    /// `owed` is not empty. Saves the lock for most flushes.
    owes: AtomicBool,
}

impl Exchange {
    pub(crate) fn new() -> Self {
        Self {
            detach: Mutex::new(None),
            wants_detach: AtomicBool::new(false),
            flushed: AtomicBool::new(true),
            heard: AtomicBool::new(false),
            serving: AtomicBool::new(false),
            freezing: AtomicBool::new(false),
            left_body: AtomicBool::new(false),
            unread: Mutex::new(None),
            has_unread: AtomicBool::new(false),
            requests: AtomicU32::new(0),
            turns: Turns::new(),
            writes: AtomicU32::new(0),
            left: Mutex::new(None),
            owed: Mutex::new(Vec::new()),
            owes: AtomicBool::new(false),
        }
    }

    /// For a connection that was carried: `asked` if a request was answered on it, `heard` if the
    /// start of another has arrived.
    pub(crate) fn carried(asked: bool, heard: bool) -> Self {
        let exchange = Self::new();
        exchange.requests.store(asked.into(), Ordering::Relaxed);
        exchange.heard.store(heard, Ordering::Relaxed);
        exchange
    }

    /// The turns of its socket.
    pub(crate) fn turns(&self) -> &Turns {
        &self.turns
    }

    /// Socket: bytes were received.
    pub(crate) fn hear(&self) {
        self.heard.store(true, Ordering::Relaxed);
    }

    /// Whether bytes arrived since the last request was read or answered.
    pub(crate) fn heard(&self) -> bool {
        self.heard.load(Ordering::Relaxed)
    }

    /// Socket: the kernel accepted bytes.
    pub(crate) fn note_write(&self) {
        self.writes.fetch_add(1, Ordering::Relaxed);
    }

    /// Number of times that the kernel has accepted bytes; it wraps.
    pub(crate) fn writes(&self) -> u32 {
        self.writes.load(Ordering::Relaxed)
    }

    /// Socket: stores the socket when hyper drops it and does not return it (HTTP/2).
    pub(crate) fn leave(&self, socket: Socket) {
        *self.left.lock() = Some(socket);
    }

    /// The socket that [`Self::leave`] stored.
    pub(crate) fn take_left(&self) -> Option<Socket> {
        self.left.lock().take()
    }

    /// Socket: a write has begun (`false`), or all written bytes were accepted (`true`).
    pub(crate) fn set_flushed(&self, flushed: bool) {
        self.flushed.store(flushed, Ordering::Relaxed);
        if flushed && self.owes.swap(false, Ordering::Relaxed) {
            self.owed.lock().clear();
        }
    }

    /// Body: its last bytes are in hyper's buffer. They keep `charge` until they are flushed.
    pub(crate) fn owe(&self, charge: Arc<Charge>) {
        self.owed.lock().push(charge);
        self.owes.store(true, Ordering::Relaxed);
    }

    /// Whether the socket has accepted all bytes from hyper. hyper flushes its stream only after
    /// the last buffered byte was written, so this is true of hyper's buffer too.
    pub(crate) fn flushed(&self) -> bool {
        self.flushed.load(Ordering::Relaxed)
    }

    /// Service: a request head was read.
    pub(crate) fn begin_request(&self) {
        self.heard.store(false, Ordering::Relaxed);
        self.left_body.store(false, Ordering::Relaxed);
        self.serving.store(true, Ordering::Relaxed);
        self.requests.fetch_add(1, Ordering::Relaxed);
    }

    /// Service: the response was handed to hyper.
    pub(crate) fn end_request(&self) {
        self.heard.store(false, Ordering::Relaxed);
        self.serving.store(false, Ordering::Relaxed);
    }

    /// Service: the handler does not need the rest of a body that has not ended.
    pub(crate) fn leave_unread(&self, unread: Unread) {
        *self.unread.lock() = Some(unread);
        self.has_unread.store(true, Ordering::Relaxed);
    }

    /// Service: the rest of the body that the handler did not read.
    pub(crate) fn take_unread(&self) -> Option<Unread> {
        if !self.has_unread.swap(false, Ordering::Relaxed) {
            return None;
        }
        self.unread.lock().take()
    }

    /// Service: the request is answered, and the rest of its body was not read.
    pub(crate) fn set_left_body(&self) {
        self.left_body.store(true, Ordering::Relaxed);
    }

    /// Whether the last request's body may still be on its way.
    pub(crate) fn left_body(&self) -> bool {
        self.left_body.load(Ordering::Relaxed)
    }

    /// Requests read so far.
    pub(crate) fn requests(&self) -> u32 {
        self.requests.load(Ordering::Relaxed)
    }

    /// Driver: a freeze has begun, or ended.
    pub(crate) fn set_freezing(&self, freezing: bool) {
        self.freezing.store(freezing, Ordering::Relaxed);
    }

    /// Socket: whether bytes of a next request are to stay in the kernel. The rest of a body is
    /// read as always.
    pub(crate) fn reads_nothing(&self) -> bool {
        self.freezing.load(Ordering::Relaxed) && !self.serving.load(Ordering::Relaxed)
    }

    /// Whether a freeze is on and the connection waits for a request or for the rest of its head.
    /// Then it can be taken out of hyper. One whose last request body was left unread cannot: hyper
    /// is about to end it.
    pub(crate) fn can_be_carried(&self) -> bool {
        self.freezing.load(Ordering::Relaxed)
            && matches!(self.phase(), Phase::Head | Phase::Idle)
            && !self.left_body()
    }

    /// Service: asks the driver to take the socket from hyper and pass it to `detach`.
    pub(crate) fn request_detach(&self, detach: Detach) {
        *self.detach.lock() = Some(detach);
        self.wants_detach.store(true, Ordering::Relaxed);
    }

    /// Driver: the stream to detach for, once all bytes are flushed.
    pub(crate) fn take_detach(&self) -> Option<Detach> {
        if !self.wants_detach.load(Ordering::Relaxed) || !self.flushed() {
            return None;
        }
        self.detach.lock().take()
    }

    /// The event that the connection waits for now.
    pub(crate) fn phase(&self) -> Phase {
        if !self.flushed() {
            Phase::Writing
        } else if self.serving.load(Ordering::Relaxed) {
            Phase::Service
        } else if self.heard() || self.requests() == 0 {
            Phase::Head
        } else {
            Phase::Idle
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phases_follow_the_request() {
        let exchange = Exchange::new();
        assert_eq!(exchange.phase(), Phase::Head);
        exchange.hear();
        assert_eq!(exchange.phase(), Phase::Head);
        exchange.begin_request();
        assert_eq!(exchange.phase(), Phase::Service);
        exchange.hear();
        assert_eq!(exchange.phase(), Phase::Service, "bytes of the body");
        exchange.end_request();
        exchange.set_flushed(false);
        assert_eq!(exchange.phase(), Phase::Writing);
        exchange.set_flushed(true);
        assert_eq!(exchange.phase(), Phase::Idle);
        exchange.hear();
        assert_eq!(exchange.phase(), Phase::Head);
    }

    #[test]
    fn a_connection_is_carried_in_a_freeze_and_between_requests_only() {
        let exchange = Exchange::carried(true, false);
        assert_eq!(exchange.phase(), Phase::Idle);
        assert!(!exchange.can_be_carried() && !exchange.reads_nothing());
        exchange.set_freezing(true);
        assert!(exchange.can_be_carried() && exchange.reads_nothing());
        exchange.begin_request();
        assert!(!exchange.can_be_carried());
        assert!(!exchange.reads_nothing(), "its body is read");
        exchange.set_flushed(false);
        exchange.end_request();
        assert!(!exchange.can_be_carried(), "its answer is unsent");
        exchange.set_flushed(true);
        assert!(exchange.can_be_carried());
        exchange.set_left_body();
        assert!(!exchange.can_be_carried(), "hyper ends it");
        let exchange = Exchange::carried(false, true);
        assert_eq!(exchange.phase(), Phase::Head);
    }
}
