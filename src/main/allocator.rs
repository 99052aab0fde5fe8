//! The program's allocator and its settings.

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
static RESERVE: extern "C" fn() = reserve_first_arena;

extern "C" fn reserve_first_arena() {
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

/// Returns this thread's freed memory to the system.
pub(crate) fn collect() {
    // SAFETY: the allocator is initialized, and its function may be called at any time.
    unsafe { libmimalloc_sys::mi_collect(true) }
}
