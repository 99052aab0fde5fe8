//! Returns memory that the process no longer needs to the system.
//!
//! An allocator keeps freed memory for its threads. [`release_unused`] returns what no thread keeps
//! to itself; one thread of the node calls it again and again, so that no other has to. A sleeping
//! thread returns nothing. Therefore the node runs *rounds*: [`begin_round`] announces a round,
//! every thread is woken, and each thread calls [`join_round`] before it sleeps again. This module
//! does not wake the threads.

mod file_pages;
mod pressure;
mod upkeep;

use std::cell::Cell;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

pub use file_pages::release_file_pages;
pub use pressure::{Filling, Pressure, Relief};
pub use upkeep::{Reading, Step, Upkeep};

/// The allocator of the program.
#[derive(Clone, Copy, Debug)]
pub struct Allocator {
    /// Returns the freed memory of the calling thread, and what no thread keeps to itself.
    pub collect: fn(),
    /// Makes freed memory return to the system at once (`true`) or later (`false`).
    pub set_eager: fn(bool),
}

static ALLOCATOR: OnceLock<Allocator> = OnceLock::new();

/// Whether the allocator returns freed memory at once.
static IS_EAGER: AtomicBool = AtomicBool::new(false);

/// Number of the latest round.
static ROUND: AtomicU32 = AtomicU32::new(0);

thread_local! {
    /// The latest round that this thread took part in.
    static JOINED: Cell<u32> = const { Cell::new(0) };
}

/// Sets the allocator. Rounds do nothing without one. Only the first call has an effect.
pub fn set_allocator(allocator: Allocator) {
    let _ = ALLOCATOR.set(allocator);
}

/// Makes the allocator return freed memory at once (`true`) or later (`false`).
pub fn set_eager(is_eager: bool) {
    if IS_EAGER.swap(is_eager, Ordering::Relaxed) != is_eager
        && let Some(allocator) = ALLOCATOR.get()
    {
        (allocator.set_eager)(is_eager);
    }
}

/// Returns what no thread keeps to itself. Takes 10 ms for 100 MiB.
pub fn release_unused() {
    if let Some(allocator) = ALLOCATOR.get() {
        (allocator.collect)();
    }
}

/// Announces a round.
pub fn begin_round() {
    ROUND.fetch_add(1, Ordering::Release);
}

/// Returns the freed memory of this thread, once per round. Costs one load if no round has begun.
pub fn join_round() {
    let round = ROUND.load(Ordering::Acquire);
    // A thread that is ending no longer has the cell, and its memory is returned anyway.
    let late = JOINED.try_with(|joined| joined.replace(round) != round);
    if late == Ok(true)
        && let Some(allocator) = ALLOCATOR.get()
    {
        (allocator.collect)();
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
        set_allocator(Allocator {
            collect: || {
                COLLECTIONS.fetch_add(1, Ordering::SeqCst);
            },
            set_eager: |_| {},
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
