//! The state of an HTTP/2 connection: its open requests, and the progress of each answer.
//!
//! hyper and h2 do not report whether a stream makes progress, so the pieces of an answer do: each
//! is counted when it is handed over and when it is sent. A stream whose client reads nothing is
//! given up: it is reset on the wire, and the rest of the connection goes on.

use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use hashbrown::HashMap;
use parking_lot::Mutex;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::Instant;

use super::room::Room;
use crate::shard::wire::BodyQueue;

/// Most long lists built at once for one connection. Further ones wait, so that one client cannot
/// make the node build a thousand of them.
const LISTS_AT_ONCE: usize = 4;

/// The requests of one connection.
pub(crate) struct Activity {
    requests: Mutex<Requests>,
    /// Permits to build a long list.
    lists: Semaphore,
    /// Room for long answers.
    answers: Arc<Room>,
    /// Room for request bodies.
    bodies: Arc<Room>,
}

struct Requests {
    begun: u64,
    open: HashMap<u64, Weak<Flow>>,
    /// Time at which the last open request ended.
    idle_since: Instant,
    /// The request that hyper is about to make a task for.
    newest: Option<Arc<Flow>>,
}

/// Result of giving up the streams whose clients read nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stalled {
    /// Every such stream was given up, or none exists.
    None,
    /// h2 holds all of such a stream's bytes, so only the end of the connection ends the stream.
    Stuck,
}

impl Activity {
    /// A connection whose long answers may take `answer_bytes` and whose request bodies may take
    /// `body_bytes`.
    pub(crate) fn new(now: Instant, answer_bytes: usize, body_bytes: usize) -> Arc<Self> {
        Arc::new(Self {
            requests: Mutex::new(Requests {
                begun: 0,
                open: HashMap::new(),
                idle_since: now,
                newest: None,
            }),
            lists: Semaphore::new(LISTS_AT_ONCE),
            answers: Arc::new(Room::new(answer_bytes)),
            bodies: Arc::new(Room::new(body_bytes)),
        })
    }

    /// Registers a request.
    pub(crate) fn begin(self: &Arc<Self>) -> Arc<Flow> {
        let mut requests = self.requests.lock();
        requests.begun += 1;
        let flow = Arc::new(Flow {
            activity: Arc::clone(self),
            number: requests.begun,
            state: Mutex::default(),
        });
        requests.open.insert(flow.number, Arc::downgrade(&flow));
        let unused = requests.newest.replace(Arc::clone(&flow));
        drop(requests);
        // Dropping it takes the lock.
        drop(unused);
        flow
    }

    /// The newest request, for the task that answers it.
    pub(super) fn take_newest(&self) -> Option<Arc<Flow>> {
        self.requests.lock().newest.take()
    }

    /// Time since which no request is open; `None` while one is.
    pub(super) fn idle_since(&self) -> Option<Instant> {
        let requests = self.requests.lock();
        requests.open.is_empty().then_some(requests.idle_since)
    }

    /// Whether a request is being answered, streams of events left out.
    pub(super) fn is_answering(&self) -> bool {
        // Dropping a flow takes the lock.
        let open: Vec<_> = self.requests.lock().open.values().cloned().collect();
        let mut flows = open.iter().filter_map(Weak::upgrade);
        flows.any(|flow| flow.state.lock().queue.is_none())
    }

    /// Gives up every stream with unsent bytes whose client has read nothing for `time`.
    pub(super) fn give_up_stalled(&self, time: Duration, now: Instant) -> Stalled {
        let open: Vec<_> = self.requests.lock().open.values().cloned().collect();
        let mut stalled = Stalled::None;
        for flow in open.iter().filter_map(Weak::upgrade) {
            if !flow.give_up_if_stalled(time, now) {
                stalled = Stalled::Stuck;
            }
        }
        stalled
    }
}

/// The answer to one request, on its way to the client. It lives as long as its task or a piece of
/// its body.
pub(crate) struct Flow {
    activity: Arc<Activity>,
    number: u64,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Bytes handed to hyper.
    handed: u64,
    /// Bytes of them that were sent or dropped.
    gone: u64,
    /// Value of `gone` at the last check for progress, and the time since which it has not changed.
    seen: Option<(u64, Instant)>,
    given_up: bool,
    /// hyper has ended its task.
    task_ended: bool,
    task: Option<Waker>,
    /// Waker of the body, which waits until every byte handed over is gone.
    body: Option<Waker>,
    /// The queue that a stream's events come from.
    queue: Option<Arc<BodyQueue>>,
}

impl Flow {
    /// The connection's room for long answers.
    pub(crate) fn answer_room(&self) -> &Arc<Room> {
        &self.activity.answers
    }

    /// The connection's room for request bodies.
    pub(crate) fn body_room(&self) -> &Arc<Room> {
        &self.activity.bodies
    }

    /// Waits for a permit to build a long list.
    pub(crate) async fn list_turn(&self) -> Option<SemaphorePermit<'_>> {
        self.activity.lists.acquire().await.ok()
    }

    /// Marks the answer as a stream that a shard writes to `queue`.
    pub(crate) fn feed(&self, queue: &Arc<BodyQueue>) {
        self.state.lock().queue = Some(Arc::clone(queue));
    }

    /// Counts bytes handed to hyper.
    pub(crate) fn hand_over(&self, bytes: usize) {
        self.state.lock().handed += bytes as u64;
    }

    /// Counts bytes that were sent or dropped.
    pub(crate) fn let_go(&self, bytes: usize) {
        let mut state = self.state.lock();
        state.gone += bytes as u64;
        if state.gone == state.handed
            && let Some(body) = state.body.take()
        {
            drop(state);
            body.wake();
        }
    }

    /// Ready when every byte that was handed over is gone.
    pub(crate) fn poll_gone(&self, cx: &Context<'_>) -> Poll<()> {
        let mut state = self.state.lock();
        if state.gone == state.handed {
            return Poll::Ready(());
        }
        state.body = Some(cx.waker().clone());
        Poll::Pending
    }

    /// Task: ready when the stream is to be dropped unfinished.
    pub(super) fn poll_given_up(&self, cx: &Context<'_>) -> Poll<()> {
        let mut state = self.state.lock();
        let cut = state.queue.as_ref();
        if state.given_up || cut.is_some_and(|queue| queue.poll_cut(cx.waker())) {
            return Poll::Ready(());
        }
        if !state
            .task
            .as_ref()
            .is_some_and(|waker| waker.will_wake(cx.waker()))
        {
            state.task = Some(cx.waker().clone());
        }
        Poll::Pending
    }

    /// Task: hyper has handed over everything, or has given up by itself.
    pub(super) fn end_task(&self) {
        let mut state = self.state.lock();
        state.task_ended = true;
        state.task = None;
    }

    /// False if the stream should be given up and cannot be.
    fn give_up_if_stalled(&self, time: Duration, now: Instant) -> bool {
        let mut state = self.state.lock();
        let since = match state.seen {
            Some((gone, since)) if gone == state.gone && gone < state.handed => since,
            _ => now,
        };
        state.seen = Some((state.gone, since));
        if now.saturating_duration_since(since) < time {
            return true;
        }
        state.given_up = true;
        if let Some(queue) = &state.queue {
            queue.give_up();
        }
        let task = state.task.take();
        let can_be_dropped = !state.task_ended;
        drop(state);
        if let Some(task) = task {
            task.wake();
        }
        can_be_dropped
    }
}

impl Drop for Flow {
    fn drop(&mut self) {
        let mut requests = self.activity.requests.lock();
        requests.open.remove(&self.number);
        if requests.open.is_empty() {
            requests.idle_since = Instant::now();
            // Frees the table's memory: many requests may have been open at once.
            requests.open = HashMap::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIME: Duration = Duration::from_secs(30);

    fn begin() -> (Arc<Activity>, Arc<Flow>, Instant) {
        let now = Instant::now();
        let activity = Activity::new(now, 0, 0);
        let flow = activity.begin();
        let newest = activity.take_newest().expect("the same");
        assert!(Arc::ptr_eq(&flow, &newest));
        (activity, flow, now)
    }

    fn is_given_up(flow: &Flow) -> bool {
        let cx = Context::from_waker(Waker::noop());
        flow.poll_given_up(&cx).is_ready()
    }

    #[test]
    fn a_stream_that_takes_nothing_is_given_up_and_one_that_has_nothing_is_not() {
        let (activity, flow, now) = begin();
        let quiet = activity.begin();
        flow.hand_over(10);
        activity.give_up_stalled(TIME, now);
        let before = now + TIME - Duration::from_millis(1);
        assert_eq!(activity.give_up_stalled(TIME, before), Stalled::None);
        assert!(!is_given_up(&flow));
        assert_eq!(activity.give_up_stalled(TIME, now + TIME), Stalled::None);
        assert!(is_given_up(&flow));
        assert!(!is_given_up(&quiet));
    }

    #[test]
    fn a_stream_that_takes_a_byte_now_and_then_is_never_given_up() {
        let (activity, flow, mut now) = begin();
        flow.hand_over(100);
        for _ in 0..99 {
            activity.give_up_stalled(TIME, now);
            now += TIME - Duration::from_secs(1);
            flow.let_go(1);
            assert_eq!(activity.give_up_stalled(TIME, now), Stalled::None);
            assert!(!is_given_up(&flow));
        }
    }

    #[test]
    fn what_hyper_has_no_task_for_is_stuck() {
        let (activity, flow, now) = begin();
        flow.hand_over(10);
        flow.end_task();
        activity.give_up_stalled(TIME, now);
        assert_eq!(activity.give_up_stalled(TIME, now + TIME), Stalled::Stuck);
    }

    #[test]
    fn streams_of_events_are_no_requests_that_a_freeze_waits_for() {
        let (activity, stream, _) = begin();
        stream.feed(&BodyQueue::new());
        assert!(!activity.is_answering());
        let request = activity.begin();
        assert!(activity.is_answering());
        drop((activity.take_newest(), request));
        assert!(!activity.is_answering());
    }

    #[test]
    fn a_connection_is_idle_when_no_answer_is_under_way() {
        let (activity, flow, _) = begin();
        assert_eq!(activity.idle_since(), None);
        let piece = Arc::clone(&flow);
        drop(flow);
        assert_eq!(activity.idle_since(), None);
        drop(piece);
        assert!(activity.idle_since().is_some());
    }
}
