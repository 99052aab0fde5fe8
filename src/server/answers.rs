//! The memory of answers that wait for their clients to read them.
//!
//! A list can be a megabyte long, and a client may request a thousand lists and read none. Every
//! long answer is charged to its connection (HTTP/2) and to the node until its last byte was sent.
//! Room for a list is reserved before it is built ([`Answers::begin_list`]), so a refused request
//! costs nothing. A publish call that has begun always gets its receipt.

use std::sync::Arc;

use hyper::{Response, StatusCode};

use super::charge::{Charge, NoRoom};
use super::problem::Problem;
use super::response_body::ResponseBody;
use super::retry::retry_after_s;
use super::room::Room;
use super::transport::Transport;
use crate::core::budget::{Budget, Part};
use crate::core::estimate::Estimate;
use crate::metrics::HttpMetrics;

/// Answers up to this size are not counted, because they cost less than the requests for them.
const UNCOUNTED_BYTES: usize = 4 * 1024;

/// Expected size of a list before the first one was built.
const FIRST_LIST_BYTES: usize = 64 * 1024;

/// Answers whose size is known only once they are built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub(crate) enum List {
    /// A page of the list of topics.
    Topics,
    /// One topic.
    Topic,
    /// A page of a topic's events.
    Events,
    /// A page of the hub's subscriptions.
    Subscriptions,
    /// Open streams, for operators.
    Streams,
    /// The page of metrics.
    Metrics,
}

/// The room of one listener.
pub(crate) struct Answers {
    metrics: Arc<HttpMetrics>,
    all: Arc<Room>,
    budget: Arc<Budget>,
    /// Indexed by [`List`].
    estimates: [Estimate; 6],
}

impl Answers {
    /// Room for `bytes_max` bytes in all, charged to `budget`.
    pub(crate) fn new(bytes_max: usize, budget: Arc<Budget>, metrics: Arc<HttpMetrics>) -> Self {
        let list = || Estimate::new(FIRST_LIST_BYTES);
        Self {
            metrics,
            budget,
            all: Arc::new(Room::new(bytes_max)),
            estimates: [list(), Estimate::new(0), list(), list(), list(), list()],
        }
    }

    /// Reserves room for a list of the expected size, before any of it is built.
    ///
    /// # Errors
    /// The answer to the client if there is no room for its list.
    pub(crate) fn begin_list(
        self: &Arc<Self>,
        list: List,
        transport: &Transport,
    ) -> Result<ListRoom, Problem> {
        let is_full = self.all.is_full()
            || transport
                .answer_room()
                .is_some_and(|room| room.has_refused());
        if is_full {
            self.budget.note_refusal(Part::Answers);
            return Err(self.refuse());
        }
        if self.budget.check(Part::Answers, 0).is_err() {
            return Err(self.refuse());
        }
        let mut room = ListRoom {
            answers: Arc::clone(self),
            list,
            charge: self.begin_charge(transport),
        };
        room.hold(self.estimates[list as usize].bytes())?;
        Ok(room)
    }

    /// The refusal of a call that changes something, or `None` if the call may proceed. Only the
    /// room of the whole listener counts: a client behind a proxy that does not read its lists must
    /// not keep the proxy's other clients from publishing.
    pub(crate) fn refuse_call(&self) -> Option<Problem> {
        self.all.is_full().then(|| {
            self.budget.note_refusal(Part::Answers);
            self.refuse()
        })
    }

    /// Charges a response that is about to be sent, unless it is a list with its own room. A
    /// response that does not fit is refused if that does no harm (`is_safe`: the request changed
    /// nothing).
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
        if bytes <= UNCOUNTED_BYTES || whole.is_charged() {
            return;
        }
        let mut charge = self.begin_charge(transport);
        if !is_safe {
            charge.set_anyway(bytes);
        } else if charge.set(bytes).is_err() {
            *response = self.refuse().into_response();
            return;
        }
        whole.charge(charge, transport.exchange());
    }

    fn begin_charge(&self, transport: &Transport) -> Charge {
        let rooms = [Some(&self.all), transport.answer_room()].map(Option::<&_>::cloned);
        Charge::new(rooms, &self.budget, &self.metrics)
    }

    fn refuse(&self) -> Problem {
        self.metrics.answers_shed.add(1);
        let detail = "too many bytes of answers wait for their clients to read them (`answer_budget_bytes`, \
                      `answer_bytes_per_connection_max`, `memory_budget`)";
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail).retry_after(retry_after_s())
    }
}

/// The room of a list that is being built. Dropping it releases the room.
pub(crate) struct ListRoom {
    answers: Arc<Answers>,
    list: List,
    charge: Charge,
}

impl ListRoom {
    /// Charges a list that has grown to `bytes`. The expected size was charged before.
    ///
    /// # Errors
    /// The answer to the client if the list has no room to grow.
    pub(crate) fn hold(&mut self, bytes: usize) -> Result<(), Problem> {
        if bytes <= UNCOUNTED_BYTES || bytes <= self.charge.bytes() {
            return Ok(());
        }
        self.charge.set(bytes).map_err(|NoRoom| {
            self.estimate().learn(bytes);
            self.answers.refuse()
        })
    }

    /// Charges the size of the finished list's response, until the response was sent.
    pub(crate) fn settle(
        mut self,
        transport: &Transport,
        mut response: Response<ResponseBody>,
    ) -> Response<ResponseBody> {
        let ResponseBody::Full(whole) = response.body_mut() else {
            return response;
        };
        let bytes = whole.len();
        if response.status().is_success() {
            self.estimate().learn(bytes);
        }
        if bytes <= UNCOUNTED_BYTES {
            return response;
        }
        if let Err(NoRoom) = self.charge.set(bytes) {
            return self.answers.refuse().into_response();
        }
        if let ResponseBody::Full(whole) = response.body_mut() {
            whole.charge(self.charge, transport.exchange());
        }
        response
    }

    fn estimate(&self) -> &Estimate {
        &self.answers.estimates[self.list as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::exchange::Exchange;

    const MAX: usize = 256 * 1024;

    fn answers() -> (Arc<Answers>, Arc<Budget>, Transport) {
        let budget = Budget::new(1 << 30);
        let answers = Answers::new(MAX, Arc::clone(&budget), Arc::default());
        let transport = Transport::Socket(Arc::new(Exchange::new()));
        (Arc::new(answers), budget, transport)
    }

    fn of(bytes: usize) -> Response<ResponseBody> {
        Response::new(ResponseBody::full(vec![b'x'; bytes]))
    }

    #[test]
    fn room_for_a_list_is_asked_for_before_it_is_built() {
        let (answers, budget, transport) = answers();
        let begin = || answers.begin_list(List::Topics, &transport);
        let first = begin().expect("room");
        assert_eq!(budget.used(Part::Answers), FIRST_LIST_BYTES);
        let first = first.settle(&transport, of(100 * 1024));
        assert_eq!(budget.used(Part::Answers), 100 * 1024);
        // The second list is expected to be as large as the first, and a third does not fit.
        let second = begin().expect("room");
        assert_eq!(budget.used(Part::Answers), 200 * 1024);
        assert!(begin().is_err());
        assert_eq!(budget.refused(Part::Answers), 1);
        // A small answer releases its room.
        let second = second.settle(&transport, of(100));
        assert_eq!(budget.used(Part::Answers), 100 * 1024);
        assert!(begin().is_ok());
        drop((first, second));
        assert_eq!(budget.used(Part::Answers), 0);
    }

    #[test]
    fn a_list_that_outgrows_its_room_is_refused_and_so_are_the_next() {
        let (answers, budget, transport) = answers();
        let begin = || answers.begin_list(List::Topics, &transport);
        let mut lists = [begin(), begin()].map(|list| list.expect("room"));
        assert!(lists[0].hold(150 * 1024).is_ok());
        assert!(lists[1].hold(150 * 1024).is_err());
        assert_eq!(budget.refused(Part::Answers), 1);
        let [kept, refused] = lists;
        drop(refused);
        assert_eq!(budget.used(Part::Answers), 150 * 1024);
        assert!(begin().is_err(), "nothing of it is built");
        drop(kept);
        assert!(begin().is_ok(), "one alone has room");
    }
}
