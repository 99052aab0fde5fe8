//! Runs a future in a test, and counts the turns that it leaves to others.

use std::pin::pin;
use std::task::{Context, Poll, Waker};

/// The output of a future that only ever yields, and how often it yielded.
pub(crate) fn run<T>(future: impl Future<Output = T>) -> (T, usize) {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    let mut turns = 0;
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return (output, turns);
        }
        turns += 1;
    }
}
