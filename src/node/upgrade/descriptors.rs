//! Descriptors that pass from one program to the next within a process, or to a child.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use rustix::fs::{Dir, Mode, OFlags, open};
use rustix::io::{FdFlags, fcntl_setfd};
use rustix::net::SocketType;
use rustix::net::sockopt;
use thiserror::Error;

use crate::backoff;

/// Standard input, output and error.
const STANDARD: u32 = 3;

/// What a descriptor of a state has to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A TCP socket that listens.
    Listening,
    /// A stream socket that was connected. Its client may have gone meanwhile.
    Connected,
    /// A file. Its user checks which one it is.
    File,
}

/// A descriptor that cannot be taken over.
#[derive(Debug, Error)]
pub enum DescriptorError {
    /// The system does not list them.
    #[error("the open descriptors cannot be listed (`/proc/self/fd`): {0}")]
    List(io::Error),
    /// It is not open, or is named twice, or is a standard stream.
    #[error("the descriptor {0} is not open, or is named twice")]
    Missing(u32),
    /// It is something else.
    #[error("the descriptor {number} is not what the state says: {found}")]
    Kind {
        /// Its number.
        number: u32,
        /// What it is.
        found: String,
    },
}

/// The descriptors that were open when the program started, and that nothing owns yet.
pub(super) struct Unowned(HashSet<u32>);

impl Unowned {
    /// Must be called before the program opens anything.
    pub(super) fn list() -> Result<Self, DescriptorError> {
        backoff::outlast(Self::try_to_list).map_err(DescriptorError::List)
    }

    fn try_to_list() -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = open("/proc/self/fd", flags, Mode::empty())?;
        let own = u32::try_from(folder.as_raw_fd()).ok();
        let mut numbers = HashSet::new();
        for entry in Dir::new(folder)? {
            let entry = entry?;
            let number = entry.file_name().to_str().ok();
            let number = number.and_then(|number| number.parse().ok());
            numbers.extend(number.filter(|number| *number >= STANDARD && Some(*number) != own));
        }
        Ok(Self(numbers))
    }

    /// Takes a descriptor over. It is not inherited by children from now on.
    pub(super) fn take(&mut self, number: u32, kind: Kind) -> Result<OwnedFd, DescriptorError> {
        let is_unowned = self.0.remove(&number);
        let descriptor = i32::try_from(number).ok().filter(|_| is_unowned);
        let descriptor = descriptor.ok_or(DescriptorError::Missing(number))?;
        // SAFETY: it was open when the program started, before anything was opened, and nothing
        // else owns it: it is taken out of the set, so that this happens once for each number.
        let owned = unsafe { OwnedFd::from_raw_fd(descriptor) };
        let checked = check(owned.as_fd(), kind);
        checked.map_err(|found| DescriptorError::Kind { number, found })?;
        let closed = fcntl_setfd(&owned, FdFlags::CLOEXEC);
        closed.map_err(|error| DescriptorError::Kind {
            number,
            found: error.to_string(),
        })?;
        Ok(owned)
    }

    /// Closes the sockets that are left: a connection that nobody owns would stay open for ever.
    /// Others may be the supervisor's, such as a lock. Returns how many were closed.
    pub(super) fn close_sockets(self) -> usize {
        let is_socket = |number: &u32| {
            let target = fs::read_link(format!("/proc/self/fd/{number}"));
            target.is_ok_and(|target| target.to_string_lossy().starts_with("socket:"))
        };
        let sockets: Vec<u32> = self.0.into_iter().filter(is_socket).collect();
        for number in &sockets {
            let closed = i32::try_from(*number).map(nix::unistd::close);
            // Nothing can be done about one that is not closed.
            let _ = closed;
        }
        sockets.len()
    }
}

/// Checks what a descriptor is; the error says what.
fn check(descriptor: BorrowedFd<'_>, kind: Kind) -> Result<(), String> {
    if kind == Kind::File {
        return Ok(());
    }
    let of = sockopt::socket_type(descriptor).map_err(|_| "no socket".to_owned())?;
    if of != SocketType::STREAM {
        return Err("a socket that is no stream".to_owned());
    }
    let listens = sockopt::socket_acceptconn(descriptor).map_err(|error| error.to_string())?;
    match (kind, listens) {
        (Kind::Listening, false) => Err("a socket that does not listen".to_owned()),
        (Kind::Connected, true) => Err("a socket that listens".to_owned()),
        _ => Ok(()),
    }
}

/// Lets the next program have these, or keeps them from it.
pub(super) fn set_inherited<'f>(
    descriptors: impl IntoIterator<Item = BorrowedFd<'f>>,
    is_inherited: bool,
) -> io::Result<()> {
    let flags = if is_inherited {
        FdFlags::empty()
    } else {
        FdFlags::CLOEXEC
    };
    for descriptor in descriptors {
        fcntl_setfd(descriptor, flags)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, TcpListener, UdpSocket};
    use std::os::fd::IntoRawFd;

    use super::*;

    fn only(number: i32) -> Unowned {
        Unowned(HashSet::from([number as u32]))
    }

    #[test]
    fn a_descriptor_is_taken_once_and_only_as_what_it_is() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let number = listener.try_clone().expect("a handle").into_raw_fd();
        let mut unowned = only(number);
        let taken = unowned
            .take(number as u32, Kind::Listening)
            .expect("it listens");
        let twice = unowned.take(number as u32, Kind::Listening);
        assert!(matches!(twice, Err(DescriptorError::Missing(_))));
        drop(taken);
        let number = listener.into_raw_fd();
        let refused = only(number).take(number as u32, Kind::Connected);
        assert!(matches!(refused, Err(DescriptorError::Kind { .. })));
        let datagrams = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let number = datagrams.into_raw_fd();
        let refused = only(number).take(number as u32, Kind::Connected);
        assert!(matches!(refused, Err(DescriptorError::Kind { .. })));
    }

    #[test]
    fn all_open_descriptors_are_listed_without_the_listing_itself() {
        let file = tempfile::tempfile().expect("a file");
        let unowned = Unowned::list().expect("a list");
        assert!(unowned.0.contains(&(file.as_raw_fd() as u32)));
        assert!(unowned.0.iter().all(|number| *number >= STANDARD));
    }
}
