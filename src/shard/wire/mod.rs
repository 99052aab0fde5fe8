//! Wires: parked connections in four bytes, and the system calls behind them.
//!
//! A stream's record keeps a `Wire`: two bits for its kind, and thirty for its number. A socket's
//! number is its descriptor; every other kind has a slot in a table, which `Wires` owns.

mod body;
mod plain;
mod wires;

use std::io;
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::net::IpAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd};
use std::sync::Arc;

pub use body::{BODY_QUEUE_BYTES_MAX, BodyQueue, BodySignal, Next, Written};
pub(super) use wires::{Wires, key};

/// A connection on its way to a shard.
pub enum Incoming {
    /// A connected, non-blocking socket.
    Socket(OwnedFd),
    /// A queue drained by a response body (HTTP/2), and the address of its client.
    Body(Arc<BodyQueue>, Option<IpAddr>),
}

/// Bits of the number; those above are the kind of the wire.
const NUMBER_BITS: u32 = 30;

const NUMBER_MAX: u32 = (1 << NUMBER_BITS) - 1;

/// The number is the descriptor of a socket.
const PLAIN: u32 = 0;

/// The number is a slot of the table of bodies.
const BODY: u32 = 1;

/// A parked connection. It owns its socket: dropping it closes the socket. Its slot in a table is
/// freed through [`Wires`].
#[derive(Debug)]
pub(super) struct Wire(u32);

const _: () = assert!(size_of::<Wire>() == 4);

/// The object behind a borrowed wire.
enum Kind<'w> {
    Plain(Socket<'w>),
    Body(u32),
}

/// The object behind a consumed wire.
enum Parts {
    Plain(OwnedFd),
    Body(u32),
}

/// The socket of a borrowed wire.
struct Socket<'w> {
    owner: ManuallyDrop<OwnedFd>,
    wire: PhantomData<&'w Wire>,
}

impl AsFd for Socket<'_> {
    #[inline(always)]
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.owner.as_fd()
    }
}

impl Wire {
    /// Makes a wire of a socket.
    ///
    /// # Errors
    /// The socket, if its descriptor has more than 30 bits.
    fn plain(socket: OwnedFd) -> Result<Self, (OwnedFd, io::Error)> {
        match u32::try_from(socket.as_raw_fd()) {
            Ok(number) if number <= NUMBER_MAX => {
                let _ = socket.into_raw_fd();
                Ok(Self(PLAIN << NUMBER_BITS | number))
            }
            _ => {
                let error = io::Error::other("a descriptor of more than 30 bits");
                Err((socket, error))
            }
        }
    }

    /// Makes a wire of a slot in the table of bodies.
    fn body(slot: u32) -> io::Result<Self> {
        if slot > NUMBER_MAX {
            return Err(io::Error::other("more than 2^30 bodies"));
        }
        Ok(Self(BODY << NUMBER_BITS | slot))
    }

    fn number(&self) -> u32 {
        self.0 & NUMBER_MAX
    }

    #[inline(always)]
    fn kind(&self) -> Kind<'_> {
        match self.owner() {
            Some(owner) => Kind::Plain(Socket {
                owner,
                wire: PhantomData,
            }),
            None => Kind::Body(self.number()),
        }
    }

    fn into_parts(self) -> Parts {
        let wire = ManuallyDrop::new(self);
        match wire.owner() {
            Some(owner) => Parts::Plain(ManuallyDrop::into_inner(owner)),
            None => Parts::Body(wire.number()),
        }
    }

    /// The owner of the socket, if the wire is one. Dropping it must be the last use of the wire.
    #[inline(always)]
    fn owner(&self) -> Option<ManuallyDrop<OwnedFd>> {
        if self.0 >> NUMBER_BITS != PLAIN {
            return None;
        }
        let descriptor = self.number() as i32;
        // SAFETY: the tag is only set by `plain`, which took the descriptor out of its owner, so it
        // is open and has no other owner. The owner made here is dropped in two places only, each
        // of which ends the wire: `into_parts` and `drop`.
        let owner = unsafe { OwnedFd::from_raw_fd(descriptor) };
        Some(ManuallyDrop::new(owner))
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        drop(self.owner().map(ManuallyDrop::into_inner));
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::unix::net::UnixStream;

    use super::*;

    fn wire() -> (Wire, UnixStream) {
        let (ours, theirs) = UnixStream::pair().expect("a pair of sockets");
        (Wire::plain(ours.into()).expect("it fits"), theirs)
    }

    fn is_closed(theirs: &mut UnixStream) -> bool {
        theirs.set_nonblocking(true).expect("non-blocking");
        matches!(theirs.read(&mut [0; 8]), Ok(0))
    }

    #[test]
    fn a_wire_owns_its_socket_until_it_is_taken_apart() {
        let (ours, mut theirs) = wire();
        assert!(matches!(ours.kind(), Kind::Plain(_)));
        assert!(!is_closed(&mut theirs), "a look closes nothing");
        let Parts::Plain(socket) = ours.into_parts() else {
            panic!("a socket");
        };
        assert!(!is_closed(&mut theirs), "the socket has a new owner");
        drop(socket);
        assert!(is_closed(&mut theirs));
    }

    #[test]
    fn a_wire_that_is_dropped_closes_its_socket() {
        let (ours, mut theirs) = wire();
        drop(ours);
        assert!(is_closed(&mut theirs));
    }

    /// A slot mistaken for a descriptor would close an unrelated socket.
    #[test]
    fn a_body_closes_no_descriptor_of_its_number() {
        let (ours, mut theirs) = wire();
        let number = ours.number();
        let body = Wire::body(number).expect("it fits");
        assert!(matches!(body.kind(), Kind::Body(slot) if slot == number));
        drop(body);
        assert!(
            matches!(Wire::body(number).expect("it fits").into_parts(), Parts::Body(slot) if slot == number)
        );
        assert!(!is_closed(&mut theirs));
    }

    #[test]
    fn numbers_have_thirty_bits() {
        assert!(Wire::body(NUMBER_MAX).is_ok());
        assert!(Wire::body(NUMBER_MAX + 1).is_err());
    }
}
