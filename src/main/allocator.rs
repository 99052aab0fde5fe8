//! The program's allocator and its settings.

use std::ffi::c_long;
use std::ptr;

use mimalloc::MiMalloc;

/// Streams open and close by the thousand on every thread; mimalloc returns their memory to the
/// right one.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// Address space that the allocator manages from the start. Its tables grow with it: for the GiB
/// that it would reserve by itself they take 180 KiB. It reserves that once this space is full.
const FIRST_ARENA_BYTES: usize = 64 << 20;

/// Runs before the runtime's first allocation.
#[used]
// SAFETY: the loader calls the functions in this section, in this form, before `main`.
#[unsafe(link_section = ".init_array")]
static PREPARE: extern "C" fn() = prepare;

extern "C" fn prepare() {
    set_eager(false);
    // SAFETY: the allocator initializes itself on its first call. Without this space it reserves
    // its own.
    unsafe {
        libmimalloc_sys::mi_reserve_os_memory_ex(
            FIRST_ARENA_BYTES,
            true,
            false,
            false,
            ptr::null_mut(),
        );
    }
}

/// mimalloc's number of the option `purge_delay`; its crate names only some.
const PURGE_DELAY: libmimalloc_sys::mi_option_t = 15;

/// Longer than the pause of the thread that calls [`collect`] again and again. After this delay, any
/// thread that allocates would return what all threads have freed: 10 ms for 100 MiB, also while it
/// holds a lock.
const PURGE_DELAY_MS: c_long = 3_600_000;

/// Makes freed memory go back to the system at once, or when a thread calls [`collect`]. Until then
/// it is likely to be used again.
pub(crate) fn set_eager(is_eager: bool) {
    let delay_ms = if is_eager { 0 } else { PURGE_DELAY_MS };
    // SAFETY: the options are plain numbers that may be set at any time.
    unsafe { libmimalloc_sys::mi_option_set(PURGE_DELAY, delay_ms) }
}

/// Returns this thread's freed memory to the system, and what all threads have given back to the
/// allocator.
pub(crate) fn collect() {
    // SAFETY: the allocator is initialized, and its function may be called at any time.
    unsafe { libmimalloc_sys::mi_collect(true) }
}
