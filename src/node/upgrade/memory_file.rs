//! The file in memory that has the state. It never reaches a disk.

use std::fs::File;
use std::io::{self, BufWriter, Read, Seek, SeekFrom};
use std::os::fd::{AsRawFd, OwnedFd};

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, fcntl_get_seals, memfd_create};
use rustix::io::{Errno, FdFlags, fcntl_setfd};

use crate::state::Writer;

/// Writes a state into a new file in memory, and seals it: neither this process nor another one can
/// change it afterwards.
pub(super) fn written(
    write: impl FnOnce(&mut Writer<BufWriter<File>>) -> io::Result<()>,
) -> io::Result<File> {
    let mut out = Writer::new(BufWriter::with_capacity(1 << 18, create()?))?;
    write(&mut out)?;
    let file = out
        .finish()?
        .into_inner()
        .map_err(io::IntoInnerError::into_error)?;
    fcntl_add_seals(&file, seals() | SealFlags::SEAL)?;
    Ok(file)
}

/// Systems may refuse files in memory that can be executed (`vm.memfd_noexec`). Kernels before 6.3 do
/// not know the flag.
fn create() -> io::Result<File> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let create = |flags| memfd_create("fantail-state", flags);
    let created = match create(flags | MemfdFlags::NOEXEC_SEAL) {
        Err(Errno::INVAL) => create(flags),
        created => created,
    };
    Ok(created?.into())
}

fn seals() -> SealFlags {
    SealFlags::WRITE | SealFlags::SHRINK | SealFlags::GROW
}

/// Reads a state that was handed over.
///
/// # Errors
/// Those of the system, and if the file is not sealed.
pub(super) fn read(file: OwnedFd) -> io::Result<Vec<u8>> {
    fcntl_setfd(&file, FdFlags::CLOEXEC)?;
    let sealed = fcntl_get_seals(&file)?;
    if !sealed.contains(seals()) {
        return Err(io::Error::other("it is not sealed"));
    }
    let mut file = File::from(file);
    // The offset is shared with all processes that have the file.
    file.seek(SeekFrom::Start(0))?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Checksum of a state.
pub(super) fn digest(file: &File) -> io::Result<u32> {
    let mut file = file;
    file.seek(SeekFrom::Start(0))?;
    let mut hasher = crc32fast::Hasher::new();
    let mut piece = vec![0; 1 << 18];
    loop {
        match file.read(&mut piece)? {
            0 => return Ok(hasher.finalize()),
            read => hasher.update(&piece[..read]),
        }
    }
}

/// Number of a file's descriptor.
pub(super) fn number(file: &File) -> u32 {
    // The system gives no negative ones.
    u32::try_from(file.as_raw_fd()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn a_state_that_was_written_is_read_and_cannot_be_changed() {
        let mut file = written(|_| Ok(())).expect("a file");
        assert!(file.write_all(b"x").is_err());
        assert!(file.set_len(1).is_err());
        let copy = file.try_clone().expect("a handle");
        let bytes = read(copy.into()).expect("sealed");
        assert!(bytes.starts_with(b"FANTAIL\0"));
        assert!(read(file.into()).is_ok(), "a second time");
        let open = memfd_create("open", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING);
        assert!(read(open.expect("a file")).is_err());
    }
}
