//! The program's allocator, and what it is told.

use std::ptr;

use mimalloc::MiMalloc;

/// Streams come and go by the thousand on every thread; mimalloc gives their memory back to the
/// right one.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// Address space that the allocator manages from the start. Its tables grow with it: they take 180
/// KiB for the GiB that it would reserve by itself. It does so once this is full.
const FIRST_ARENA_BYTES: usize = 64 << 20;

/// Runs before the runtime's first allocation.
#[used]
// SAFETY: the loader calls what stands in this section, in the form that it expects, before `main`.
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

/// Returns what this thread has freed to the system.
pub(crate) fn collect() {
    // SAFETY: the allocator is there, and its function may be called at any time.
    unsafe { libmimalloc_sys::mi_collect(true) }
}
