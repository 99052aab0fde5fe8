//! Calls that block, on threads of their own.
//!
//! If the system gives no thread, tokio's `spawn_blocking` panics, which ends the process, or keeps
//! the call for ever.

use std::io;
use std::sync::Arc;
use std::thread;

use parking_lot::Mutex;
use tokio::sync::oneshot;

/// Runs a call on a thread.
///
/// # Errors
/// The system's, if it gives no thread.
pub(super) async fn apart<T: Send + 'static>(
    call: impl FnOnce() -> T + Send + 'static,
) -> io::Result<T> {
    let (say, said) = oneshot::channel();
    thread::Builder::new().spawn(move || _ = say.send(call()))?;
    said.await.map_err(|_| io::Error::other("it panicked"))
}

/// Runs a call on a thread, or in place if the system gives none. A panic there has been reported.
pub(super) async fn apart_or_here(call: impl FnOnce() + Send + 'static) {
    let kept = Arc::new(Mutex::new(Some(call)));
    let once = move || {
        let call = kept.lock().take();
        if let Some(call) = call {
            call();
        }
    };
    if apart(once.clone()).await.is_err() {
        once();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_call_runs_once_and_on_another_thread() {
        let here = thread::current().id();
        let there = apart(|| thread::current().id()).await;
        assert_ne!(there.expect("a thread"), here);
        let (say, said) = oneshot::channel();
        apart_or_here(move || _ = say.send(thread::current().id())).await;
        assert_ne!(said.await.expect("it ran"), here);
    }
}
