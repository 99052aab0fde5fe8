//! Returns memory to the system that the process no longer needs.
//!
//! An allocator keeps freed memory for its thread, and returns some of it when that thread
//! allocates again. A sleeping thread returns nothing. So the node holds *rounds*: [`begin_round`]
//! announces one, every thread is woken, and each calls [`join_round`] before it sleeps again.
//! Waking the threads is not the job of this module.

mod file_pages;
mod upkeep;

use std::cell::Cell;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

pub use file_pages::release_file_pages;
pub use upkeep::{Reading, Step, Upkeep};

/// Returns the freed memory of the calling thread; depends on the program's allocator.
static COLLECT: OnceLock<fn()> = OnceLock::new();

/// Number of the latest round.
static ROUND: AtomicU32 = AtomicU32::new(0);

thread_local! {
    /// The latest round that this thread took part in.
    static JOINED: Cell<u32> = const { Cell::new(0) };
}

/// Sets the function that returns the freed memory of the calling thread. Without one, rounds do
/// nothing. The first call counts.
pub fn set_collector(collect: fn()) {
    let _ = COLLECT.set(collect);
}

/// Announces a round.
pub fn begin_round() {
    ROUND.fetch_add(1, Ordering::Release);
}

/// Returns the freed memory of this thread, once per round. Costs one load if no round has begun.
pub fn join_round() {
    let round = ROUND.load(Ordering::Acquire);
    // A thread that ends has no cell any more, and its memory is returned anyway.
    let late = JOINED.try_with(|joined| joined.replace(round) != round);
    if late == Ok(true)
        && let Some(collect) = COLLECT.get()
    {
        collect();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;
    use std::thread;

    use super::*;

    static COLLECTIONS: AtomicUsize = AtomicUsize::new(0);

    #[test]
    fn each_thread_collects_once_a_round() {
        set_collector(|| {
            COLLECTIONS.fetch_add(1, Ordering::SeqCst);
        });
        let joined_thrice = || {
            let thread = thread::spawn(|| (0..3).for_each(|_| join_round()));
            thread.join().expect("a thread that joins rounds");
        };
        begin_round();
        joined_thrice();
        joined_thrice();
        assert_eq!(COLLECTIONS.load(Ordering::SeqCst), 2);
    }
}
