//! The end of a listening socket that loses no connection.
//!
//! The kernel resets the connections in the accept queue of a socket that is closed. So the
//! listener accepts until no connection comes any more, and closes the socket then. Two means keep
//! new ones away, while handshakes that have begun come to their end:
//!
//! 1. If the port is shared (`SO_REUSEPORT`), a program on the group of sockets makes the kernel
//!    choose another one. A program names a socket by its number, in the order in which they were
//!    bound. The numbers are not known here, so they are tried. A number that no socket has leaves
//!    the choice to the kernel, as before.
//! 2. A filter makes the kernel drop the packets that begin a handshake (`SYN`). Their clients send
//!    them again, a second later, and reach the next process, or are refused.
//!
//! What is left: a handshake whose last packet needs longer than [`QUIET`].

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::time::Duration;

use socket2::{SockFilter, SockRef};
use tokio::time::Instant;

/// Time without a new connection after which the next step is taken: handshakes that had begun have
/// had this long.
const QUIET: Duration = Duration::from_millis(30);

/// Longest time for a step. There are three.
const STEP_MAX: Duration = Duration::from_millis(100);

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

/// A step on the way to the close.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// New connections go to the second socket of the group…
    Second,
    /// …or to the first, if that was this one, or there is no second.
    First,
    /// No handshake begins.
    Filter,
}

/// A listening socket that is about to be closed.
pub(crate) struct Closing {
    step: Step,
    /// The step ends here…
    step_end: Instant,
    /// …or here, if no connection comes before.
    quiet: Instant,
    is_shared_port: bool,
}

impl Closing {
    /// Takes the first step. The caller then accepts, until [`Closing::is_over`].
    pub(crate) fn begin(socket: &impl AsFd) -> Self {
        let is_shared_port = SockRef::from(socket).reuse_port().unwrap_or(false);
        let now = Instant::now();
        let mut closing = Self {
            step: Step::Filter,
            step_end: now,
            quiet: now,
            is_shared_port,
        };
        closing.take(
            if is_shared_port {
                Step::Second
            } else {
                Step::Filter
            },
            socket.as_fd(),
        );
        closing
    }

    /// Time until which to wait for the next connection.
    pub(crate) fn next(&self) -> Instant {
        self.quiet.min(self.step_end)
    }

    /// Notes that a connection was accepted.
    pub(crate) fn accepted(&mut self) {
        self.quiet = Instant::now() + QUIET;
    }

    /// Takes the next step if it is time for it; true once the socket is to be closed.
    pub(crate) fn is_over(&mut self, socket: &impl AsFd) -> bool {
        let now = Instant::now();
        if now < self.next() {
            return false;
        }
        let is_quiet = now >= self.quiet;
        let next = match self.step {
            Step::Second if !is_quiet => Step::First,
            Step::Second | Step::First => Step::Filter,
            Step::Filter => {
                if self.is_shared_port {
                    detach(socket.as_fd());
                }
                return true;
            }
        };
        self.take(next, socket.as_fd());
        false
    }

    fn take(&mut self, step: Step, socket: BorrowedFd<'_>) {
        let taken = match step {
            Step::Second => choose(socket, 1),
            Step::First => choose(socket, 0),
            Step::Filter => SockRef::from(&socket).attach_filter(&DROP_SYN),
        };
        if let Err(error) = taken {
            // The window in which a connection can be reset is a little longer.
            tracing::debug!(?step, %error, "new connections cannot be kept from a listener that closes");
        }
        let now = Instant::now();
        self.step = step;
        self.step_end = now + STEP_MAX;
        self.quiet = now + QUIET;
    }
}

/// Makes the kernel give new connections to the socket of this number in the group of those that
/// share a port. Neither the standard library nor `socket2` nor `rustix` offers this.
fn choose(socket: BorrowedFd<'_>, number: u32) -> io::Result<()> {
    // BPF_RET | BPF_K
    let mut program = [libc::sock_filter {
        code: 0x06,
        jt: 0,
        jf: 0,
        k: number,
    }];
    let program = libc::sock_fprog {
        len: 1,
        filter: program.as_mut_ptr(),
    };
    // SAFETY: the descriptor is open as long as it is borrowed. The option's value is a
    // `sock_fprog`, which the pointer and the length describe. It names one instruction, which
    // lives until the end of the function; the kernel copies it during the call.
    let done = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_ATTACH_REUSEPORT_CBPF,
            (&raw const program).cast(),
            size_of_val(&program) as libc::socklen_t,
        )
    };
    match done {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Removes the program, so that the next processes share the port evenly. Kernels before 5.3 keep
/// it: then a process that starts beside another gets all new connections, or none until the other
/// one ends.
fn detach(socket: BorrowedFd<'_>) {
    let none: libc::c_int = 0;
    // SAFETY: the descriptor is open as long as it is borrowed. The kernel reads no value.
    let _too_old = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_DETACH_REUSEPORT_BPF,
            (&raw const none).cast(),
            size_of_val(&none) as libc::socklen_t,
        )
    };
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
    use std::time::Duration;

    use socket2::{Domain, Socket, Type};

    use super::*;

    /// Runs the steps without accepting.
    fn close(socket: TcpListener) -> TcpListener {
        let mut closing = Closing::begin(&socket);
        while !closing.is_over(&socket) {
            std::thread::yield_now();
        }
        socket
    }

    #[test]
    fn a_socket_that_closes_begins_no_handshake_and_keeps_the_connections_it_has() {
        let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let address = socket.local_addr().expect("bound");
        let mut before = TcpStream::connect(address).expect("it listens");
        let socket = close(socket);
        let long = Duration::from_millis(100);
        let late = TcpStream::connect_timeout(&address, long).expect_err("no handshake");
        assert_eq!(late.kind(), io::ErrorKind::TimedOut, "not refused");
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

    fn shared(address: SocketAddr) -> TcpListener {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        socket.set_reuse_port(true).expect("an option");
        socket.bind(&address.into()).expect("a free port");
        socket.listen(1_000).expect("a socket");
        socket.set_nonblocking(true).expect("a socket");
        socket.into()
    }

    fn accept_all(socket: &TcpListener) -> usize {
        std::iter::from_fn(|| socket.accept().ok()).count()
    }

    /// Connects until the closing socket is closed, and on; returns the connections that each of
    /// the two sockets got.
    fn connect_while(closes: TcpListener, stays: &TcpListener) -> [usize; 2] {
        let address = stays.local_addr().expect("bound");
        let mut clients = Vec::new();
        let mut counts = [0; 2];
        let mut closing = Closing::begin(&closes);
        while !closing.is_over(&closes) {
            let long = Duration::from_millis(900);
            clients.push(TcpStream::connect_timeout(&address, long).expect("not dropped"));
            let accepted = accept_all(&closes);
            if accepted > 0 {
                closing.accepted();
            }
            counts[0] += accepted;
            counts[1] += accept_all(stays);
        }
        counts[0] += accept_all(&closes);
        drop(closes);
        clients.push(TcpStream::connect(address).expect("the other one listens"));
        counts[1] += accept_all(stays);
        assert_eq!(counts[0] + counts[1], clients.len(), "none is lost");
        for client in &mut clients {
            client.write_all(b"x").expect("not reset");
        }
        counts
    }

    #[test]
    fn new_connections_go_to_the_other_socket_of_a_shared_port_whichever_was_first() {
        for closes_second in [false, true] {
            let first = shared((Ipv4Addr::LOCALHOST, 0).into());
            let second = shared(first.local_addr().expect("bound"));
            let (closes, stays) = if closes_second {
                (second, first)
            } else {
                (first, second)
            };
            let address = stays.local_addr().expect("bound");
            let [old, new] = connect_while(closes, &stays);
            assert!(new > 0, "{old} {new}");
            // The program is gone: a third socket gets its share, and no more.
            let third = shared(address);
            let clients: Vec<_> = (0..100).map(|_| TcpStream::connect(address)).collect();
            let counts = [accept_all(&stays), accept_all(&third)];
            assert!(counts.iter().all(|count| *count > 10), "{counts:?}");
            assert_eq!(clients.len(), 100);
        }
    }
}
