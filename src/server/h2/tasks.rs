//! The tasks in which hyper answers the requests of an HTTP/2 connection. Each can be ended from
//! outside.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use hyper::rt::Executor;

use crate::server::activity::Activity;

/// hyper's executor for one connection.
#[derive(Clone)]
pub(super) struct Tasks(pub(super) Arc<Activity>);

impl<F> Executor<F> for Tasks
where
    F: Future<Output = ()> + Send + 'static,
{
    /// hyper calls this for a request right after the service has begun it, in the same poll.
    fn execute(&self, answer: F) {
        let Some(flow) = self.0.take_newest() else {
            tokio::spawn(answer);
            return;
        };
        tokio::spawn(async move {
            {
                let mut answer = pin!(answer);
                // Dropping it unfinished makes h2 reset the stream (RST_STREAM, CANCEL) and free
                // its memory.
                poll_fn(|cx| match answer.as_mut().poll(cx) {
                    Poll::Ready(()) => Poll::Ready(()),
                    Poll::Pending => flow.poll_given_up(cx),
                })
                .await;
            }
            flow.end_task();
        });
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use tokio::sync::oneshot;
    use tokio::time::Instant;

    use super::*;
    use crate::shard::wire::BodyQueue;

    #[tokio::test]
    async fn a_stream_that_is_cut_is_dropped_though_nobody_reads_it() {
        let activity = Activity::new(Instant::now(), 0, 0);
        let queue = BodyQueue::new();
        activity.begin().feed(&queue);
        let (held, dropped) = oneshot::channel::<()>();
        Tasks(activity).execute(async move {
            let _held = held;
            pending::<()>().await;
        });
        tokio::task::yield_now().await;
        queue.finish(false);
        assert!(dropped.await.is_err(), "it has been dropped");
    }
}
