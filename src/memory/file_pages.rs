//! Drops pages of the program's file and of its libraries.
//!
//! The start of a process uses code and tables that are not used again. They stay resident as long
//! as the system has free memory. Such a page can be dropped at any time: when it is used again,
//! the kernel maps it from its cache or reads the file.
//!
//! When a page is used, the kernel maps all pages of the surrounding 64 KiB, up to the ends of the
//! mapping ("fault-around"). Used code is often scattered among unused code, so three quarters of
//! the mapped pages are never used. Smaller mappings shorten this range.

use std::ffi::c_void;
use std::ops::Range;
use std::ptr;
use std::sync::Once;

use libc::{PF_W, PT_LOAD, c_int, dl_iterate_phdr, dl_phdr_info};
use rustix::io;
use rustix::mm::{Advice, madvise};
use rustix::param::page_size;

/// Size of the mappings that code and constants are divided into. There are about seven hundred,
/// and each takes 200 bytes in the kernel.
const MAPPING_BYTES: usize = 16 * 1024;

/// Drops the resident pages of code and constants. Pages that cannot be dropped stay.
pub fn release_file_pages() {
    static DIVIDED: Once = Once::new();
    // A failure leaves large mappings, which only cost memory.
    DIVIDED.call_once(|| {
        for_each_segment(&mut |segment| {
            let _ = divide(segment);
        })
    });
    for_each_segment(&mut |segment| {
        let _ = advise(segment, Advice::LinuxDontNeed);
    });
}

/// Divides the mapping of a segment. The kernel never joins mappings with different flags, so every
/// second piece gets a flag that has no effect here: "not in core dumps", which omit pages of files
/// by default anyway.
fn divide(segment: Range<usize>) -> io::Result<()> {
    for start in segment.clone().step_by(2 * MAPPING_BYTES) {
        let end = segment.end.min(start + MAPPING_BYTES);
        advise(start..end, Advice::LinuxDontDump)?;
    }
    Ok(())
}

/// The action on a segment.
type Visit<'a> = &'a mut dyn FnMut(Range<usize>);

/// Visits, rounded to whole pages, every segment of a loaded file that the program can never write
/// to.
fn for_each_segment(mut visit: Visit<'_>) {
    let data = (&raw mut visit).cast::<c_void>();
    // SAFETY: `visit_file` relies only on what `dl_iterate_phdr` promises about its arguments, and
    // does not unwind; `data` lives until it returns.
    unsafe { dl_iterate_phdr(Some(visit_file), data) };
}

/// Visits the segments of one file. The loader's lock is held, so the file stays loaded.
unsafe extern "C" fn visit_file(info: *mut dl_phdr_info, _: usize, data: *mut c_void) -> c_int {
    // SAFETY: `dl_iterate_phdr` passes a valid record, whose table of headers is valid as long as
    // the file is loaded, and the data of `for_each_segment`, which nothing else uses meanwhile.
    let (info, visit) = unsafe { (&*info, &mut *data.cast::<Visit<'_>>()) };
    if info.dlpi_phdr.is_null() {
        return 0;
    }
    // SAFETY: as above.
    let headers =
        unsafe { std::slice::from_raw_parts(info.dlpi_phdr, usize::from(info.dlpi_phnum)) };
    for header in headers {
        if header.p_type == PT_LOAD && header.p_flags & PF_W == 0 {
            visit(pages(
                info.dlpi_addr.wrapping_add(header.p_vaddr),
                header.p_memsz,
            ));
        }
    }
    0
}

/// The whole pages that a segment is mapped to.
fn pages(start: u64, bytes: u64) -> Range<usize> {
    let page = page_size();
    let start = start as usize;
    let end = start.saturating_add(bytes as usize);
    start / page * page..end.saturating_add(page - 1) / page * page
}

fn advise(range: Range<usize>, advice: Advice) -> io::Result<()> {
    let start = ptr::with_exposed_provenance_mut(range.start);
    // SAFETY: the range lies in one segment of a loaded file that the program can never write to,
    // so its pages hold what the file holds. Neither dropping them nor leaving them out of core
    // dumps changes what is read.
    unsafe { madvise(start, range.len(), advice) }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    #[test]
    fn a_segment_is_rounded_to_whole_pages() {
        let page = page_size() as u64;
        assert_eq!(pages(page + 8, 16), page as usize..2 * page as usize);
        assert_eq!(pages(page, page), page as usize..2 * page as usize);
    }

    #[test]
    fn only_segments_that_are_never_written_to_are_visited() {
        static WRITTEN: AtomicUsize = AtomicUsize::new(0);
        let code = release_file_pages as fn() as usize;
        let (mut code_visits, mut data_visits) = (0, 0);
        for_each_segment(&mut |segment| {
            code_visits += usize::from(segment.contains(&code));
            data_visits += usize::from(segment.contains(&(&raw const WRITTEN).addr()));
        });
        assert_eq!((code_visits, data_visits), (1, 0));
    }

    /// Constants and code are the same after their pages were dropped and mapped again.
    #[test]
    fn a_program_goes_on_without_its_file_pages() {
        let before = include_str!("file_pages.rs").to_owned();
        release_file_pages();
        release_file_pages();
        assert_eq!(include_str!("file_pages.rs"), before);
        assert_eq!("still here".to_uppercase(), "STILL HERE");
    }
}
