//! The end of a listening socket that loses no connection.
//!
//! The kernel resets the connections in the accept queue of a socket that is closed. So the
//! listener accepts until the queue is empty, and closes the socket then. Handshakes that begin
//! meanwhile would fill the queue again: a filter makes the kernel drop the packets that begin one
//! (`SYN`). Their clients send them again, a second later, and reach the next process, or are
//! refused. Handshakes that have begun come to their end.
//!
//! What is left: a handshake whose last packet needs longer than [`QUIET`].

use std::os::fd::AsFd;
use std::time::Duration;

use socket2::{SockFilter, SockRef};

/// Time without a new connection after which the queue counts as empty: handshakes that had begun
/// have had this long.
pub(crate) const QUIET: Duration = Duration::from_millis(50);

/// Longest time for which a listener goes on accepting before it is closed.
pub(crate) const LONGEST: Duration = Duration::from_millis(250);

/// Time in which the first request of a connection is answered although its listener has been
/// closed: the client could not know.
pub(crate) const FIRST_REQUEST: Duration = Duration::from_millis(500);

/// Byte of a TCP header that has the flags, and the flags that begin a handshake: `SYN` without
/// `ACK`.
const FLAGS_OFFSET: u32 = 13;
const SYN: u32 = 0x02;
const SYN_ACK: u32 = 0x12;

/// A classic BPF program (`linux/filter.h`) for a listening socket. It sees a packet from its TCP
/// header on; it returns how many bytes of the packet are kept, none of one that begins a
/// handshake.
const DROP_SYN: [SockFilter; 5] = [
    // BPF_LD | BPF_B | BPF_ABS: load the flags.
    SockFilter::new(0x30, 0, 0, FLAGS_OFFSET),
    // BPF_ALU | BPF_AND | BPF_K
    SockFilter::new(0x54, 0, 0, SYN_ACK),
    // BPF_JMP | BPF_JEQ | BPF_K: skip the next line if it is no SYN.
    SockFilter::new(0x15, 0, 1, SYN),
    // BPF_RET | BPF_K
    SockFilter::new(0x06, 0, 0, 0),
    SockFilter::new(0x06, 0, 0, u32::MAX),
];

/// Lets no new handshake begin at a socket that is about to be closed. Where the kernel has no such
/// filters, the window in which a connection can be reset is a little longer.
pub(crate) fn stop_handshakes(socket: &impl AsFd) {
    if let Err(error) = SockRef::from(socket).attach_filter(&DROP_SYN) {
        tracing::debug!(%error, "a listener is closed without a filter for new connections");
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{Ipv4Addr, TcpListener, TcpStream};

    use super::*;

    #[test]
    fn a_socket_that_closes_begins_no_handshake_and_keeps_the_connections_it_has() {
        let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let address = socket.local_addr().expect("bound");
        let mut before = TcpStream::connect(address).expect("it listens");
        stop_handshakes(&socket);
        let long = Duration::from_millis(100);
        let late = TcpStream::connect_timeout(&address, long).expect_err("no handshake");
        assert_eq!(late.kind(), std::io::ErrorKind::TimedOut, "not refused");
        let (mut accepted, _) = socket.accept().expect("it waits in the queue");
        drop(socket);
        before.write_all(b"x").expect("open");
        let mut byte = [0];
        accepted.read_exact(&mut byte).expect("not reset");
        // An accepted socket inherits the filter, which no packet of it meets.
        accepted.write_all(b"y").expect("open");
        before.read_exact(&mut byte).expect("not reset");
        assert_eq!(byte, *b"y");
    }
}
