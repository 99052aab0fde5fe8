//! The memory of answers that wait for their clients to read them.
//!
//! A list can be a megabyte, and a client may ask for a thousand of them and read none. Every long
//! answer is charged to its connection (HTTP/2) and to the node until its last byte was sent.
//! Without room, a request whose answer may be long is answered 503 before it has any effect. A
//! publish call that has begun always gets its receipt.

use std::sync::Arc;

use hyper::{Response, StatusCode};

use super::charge::Charge;
use super::problem::Problem;
use super::response_body::ResponseBody;
use super::retry::retry_after_s;
use super::room::Room;
use super::transport::Transport;
use crate::core::budget::{self, Budget, Part};
use crate::metrics::HttpMetrics;

/// Answers up to this size are not counted: they cost less than the request that asked for them.
const UNCOUNTED_BYTES: usize = 4 * 1024;

/// The room of one listener.
pub(crate) struct Answers {
    metrics: Arc<HttpMetrics>,
    all: Arc<Room>,
    budget: Arc<Budget>,
}

impl Answers {
    /// Room for `bytes_max` in all, charged to `budget`.
    pub(crate) fn new(bytes_max: usize, budget: Arc<Budget>, metrics: Arc<HttpMetrics>) -> Self {
        Self {
            metrics,
            budget,
            all: Arc::new(Room::new(bytes_max)),
        }
    }

    /// The refusal of a list on this connection, or `None` if it may be built.
    pub(crate) fn refuse_list(&self, transport: &Transport) -> Option<Problem> {
        let is_full = transport.answer_room();
        let is_full = is_full.is_some_and(|room| room.has_refused());
        let is_full = is_full || self.all.is_full() || self.budget.check(Part::Answers, 0).is_err();
        is_full.then(|| self.refuse())
    }

    /// The refusal of a call that changes something, or `None` if it may go on. Only the room of
    /// the whole listener counts: a client behind a proxy that reads no lists must not keep the
    /// proxy's other clients from publishing.
    pub(crate) fn refuse_call(&self) -> Option<Problem> {
        self.all.is_full().then(|| self.refuse())
    }

    /// Charges a response that is about to be sent. A response that does not fit is refused if that
    /// does no harm (`is_safe`: the request changed nothing).
    pub(crate) fn charge(
        &self,
        transport: &Transport,
        is_safe: bool,
        response: &mut Response<ResponseBody>,
    ) {
        let ResponseBody::Full(whole) = response.body_mut() else {
            return;
        };
        let bytes = whole.len();
        if bytes <= UNCOUNTED_BYTES {
            return;
        }
        let rooms = [Some(&self.all), transport.answer_room()];
        let mut charge = Charge {
            bytes,
            rooms: [None, None],
            memory: budget::Charge::new(&self.budget, Part::Answers),
            counted: None,
        };
        for (room, charged) in rooms.into_iter().zip(&mut charge.rooms) {
            let Some(room) = room else { continue };
            if !is_safe {
                room.take_anyway(bytes);
            } else if !room.take(bytes) {
                *response = self.refuse().into_response();
                return;
            }
            *charged = Some(Arc::clone(room));
        }
        if !is_safe {
            charge.memory.set_anyway(bytes);
        } else if charge.memory.set(bytes).is_err() {
            *response = self.refuse().into_response();
            return;
        }
        self.metrics.answer_bytes.add(bytes as u64);
        charge.counted = Some(Arc::clone(&self.metrics));
        whole.charge(charge, transport.exchange());
    }

    fn refuse(&self) -> Problem {
        self.metrics.answers_shed.add(1);
        let detail = "too many bytes of answers wait for their clients to read them (`answer_budget_bytes`, \
                      `answer_bytes_per_connection_max`, `memory_budget`)";
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail).retry_after(retry_after_s())
    }
}
