//! The socket of a listener.
//!
//! Options that are the same for every connection are set once, on the listener. Accepted sockets
//! inherit them, so that a connection costs no system call for its options. Nothing here may wait.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::time::Duration;

use rustix::net::sockopt;
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use thiserror::Error;

use super::config::SocketConfig;

/// Most connections that the kernel may hold until they are accepted. The kernel uses the smaller
/// of this and `net.core.somaxconn`, where an operator would set it.
const BACKLOG: i32 = 65_535;

/// Seconds for which the kernel withholds a connection whose client has sent nothing (tcp(7),
/// `TCP_DEFER_ACCEPT`). A connection is accepted together with its request, so a stream needs
/// neither task nor timer; that cuts the cost of a connect by a third. A silent client is accepted
/// that much later, and its `header_timeout` begins then.
const DEFER_ACCEPT_S: libc::c_int = 1;

/// Unanswered keep-alive probes after which a silent peer is dead.
const PROBES: u32 = 3;
/// Keep-alive is counted in whole seconds…
const SECOND: Duration = Duration::from_secs(1);
/// …and the kernel accepts at most this many (tcp(7)).
const KEEPALIVE_MAX: Duration = Duration::from_secs(32_767);

/// Why a listener could not be opened.
#[derive(Debug, Error)]
#[error("cannot listen on {address} (`{setting}`)")]
pub struct BindError {
    setting: &'static str,
    address: SocketAddr,
    source: io::Error,
}

impl BindError {
    /// The address is the value of the setting.
    #[must_use]
    pub fn new(setting: &'static str, address: SocketAddr, source: io::Error) -> Self {
        Self {
            setting,
            address,
            source,
        }
    }
}

/// How a listening socket is opened.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Other sockets may listen at the same address, if they permit it, too.
    pub reuse_port: bool,
    /// Most connections that the kernel may hold until they are accepted.
    pub backlog: i32,
}

/// Opens a socket that listens at an address. `prepare` sets the options that accepted sockets
/// inherit.
///
/// # Errors
/// The system's.
pub fn open(
    address: SocketAddr,
    options: Options,
    prepare: impl FnOnce(&Socket) -> io::Result<()>,
) -> io::Result<TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM.nonblocking().cloexec(),
        Some(Protocol::TCP),
    )?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(options.reuse_port)?;
    prepare(&socket)?;
    socket.bind(&address.into())?;
    socket.listen(options.backlog)?;
    Ok(socket.into())
}

/// Opens a listener for HTTP at `address`, the value of `setting`.
///
/// # Errors
/// [`BindError`] with the address and the system's reason.
pub fn bind(
    setting: &'static str,
    address: SocketAddr,
    config: &SocketConfig,
) -> Result<TcpListener, BindError> {
    let options = Options {
        reuse_port: config.reuse_port,
        backlog: BACKLOG,
    };
    open(address, options, |socket| set_options(socket, config))
        .map_err(|source| BindError::new(setting, address, source))
}

/// Takes over a socket that listens at `address` already; `setting` is the one that would name the
/// address. Its address and the options that must be set before `bind(2)` stay as they are.
///
/// # Errors
/// [`BindError`] with the address and the system's reason.
pub fn adopt(
    setting: &'static str,
    address: SocketAddr,
    socket: &TcpListener,
    config: &SocketConfig,
) -> Result<(), BindError> {
    let adopt = || {
        let socket = SockRef::from(socket);
        socket.set_nonblocking(true)?;
        set_options(&socket, config)?;
        // Only the backlog changes.
        socket.listen(BACKLOG)
    };
    adopt().map_err(|source| BindError::new(setting, address, source))
}

/// Sets the options that accepted sockets inherit.
fn set_options(socket: &Socket, config: &SocketConfig) -> io::Result<()> {
    socket.set_tcp_nodelay(true)?;
    if config.send_buffer_bytes > 0 {
        socket.set_send_buffer_size(config.send_buffer_bytes)?;
    }
    if let Err(error) = defer_accept(socket.as_fd()) {
        // Some kernels do not support it (containers with a kernel of their own). The only loss is
        // speed.
        tracing::debug!(target: "fantail::http", %error, "connections are accepted before their requests have come");
    }
    notice_the_dead(socket, config)
}

/// Makes the kernel end connections whose peer acknowledges nothing for `dead_after`. Behind a cut
/// cable, heartbeats would otherwise vanish into the send buffer until the kernel gives up after a
/// quarter of an hour. Silent peers are probed no more often than heartbeats would be sent.
fn notice_the_dead(socket: &Socket, config: &SocketConfig) -> io::Result<()> {
    let timeout_ms = u32::try_from(config.dead_after.as_millis()).unwrap_or(u32::MAX);
    sockopt::set_tcp_user_timeout(socket, timeout_ms)?;
    sockopt::set_socket_keepalive(socket, true)?;
    sockopt::set_tcp_keepidle(socket, config.probe_after.clamp(SECOND, KEEPALIVE_MAX))?;
    let interval = config.dead_after / PROBES;
    sockopt::set_tcp_keepintvl(socket, interval.clamp(SECOND, KEEPALIVE_MAX))?;
    sockopt::set_tcp_keepcnt(socket, PROBES)?;
    Ok(())
}

/// Makes the kernel withhold connections until their first bytes have arrived. Neither the standard
/// library nor `socket2` nor `rustix` offers this.
fn defer_accept(socket: BorrowedFd<'_>) -> io::Result<()> {
    let seconds = DEFER_ACCEPT_S;
    // SAFETY: the descriptor is open as long as it is borrowed. The option's value is a `c_int`,
    // which the pointer and the length describe; the kernel only reads it during the call.
    let done = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_DEFER_ACCEPT,
            (&raw const seconds).cast(),
            size_of_val(&seconds) as libc::socklen_t,
        )
    };
    match done {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, SocketAddrV4, TcpStream};

    use super::*;

    const ANY: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0));

    const CONFIG: SocketConfig = SocketConfig {
        reuse_port: false,
        send_buffer_bytes: 0,
        dead_after: Duration::from_secs(30),
        probe_after: Duration::from_secs(15),
    };

    #[test]
    fn accepted_sockets_inherit_the_listeners_options() {
        check_options(|config| bind("listen", ANY, config).expect("a free port"));
        check_options(|config| {
            let socket = TcpListener::bind(ANY).expect("a free port");
            let address = socket.local_addr().expect("bound");
            adopt("listen", address, &socket, config).expect("a socket");
            socket
        });
    }

    fn check_options(listener: impl FnOnce(&SocketConfig) -> TcpListener) {
        let config = SocketConfig {
            reuse_port: false,
            send_buffer_bytes: 20_000,
            dead_after: Duration::from_millis(7_500),
            probe_after: Duration::from_secs(9),
        };
        let listener = listener(&config);
        let _client = TcpStream::connect(listener.local_addr().expect("bound")).expect("listening");
        listener.set_nonblocking(false).expect("a socket");
        let (accepted, _) = listener.accept().expect("a connection");
        let accepted = SockRef::from(&accepted);
        assert!(accepted.tcp_nodelay().expect("a socket"));
        let timeout_ms = sockopt::tcp_user_timeout(&*accepted).expect("a socket");
        assert_eq!(timeout_ms, 7_500, "the cut cable");
        assert!(accepted.keepalive().expect("a socket"));
        assert_eq!(
            [
                sockopt::tcp_keepidle(&*accepted).expect("a socket"),
                sockopt::tcp_keepintvl(&*accepted).expect("a socket"),
            ],
            [Duration::from_secs(9), Duration::from_secs(3)]
        );
        assert_eq!(sockopt::tcp_keepcnt(&*accepted).expect("a socket"), PROBES);
        // Linux reports the double, which includes its own bookkeeping (socket(7)).
        assert_eq!(accepted.send_buffer_size().expect("a socket"), 40_000);
    }

    #[test]
    fn a_connection_comes_with_its_first_bytes() {
        use std::io::{Read, Write};

        let listener = bind("listen", ANY, &CONFIG).expect("a free port");
        let address = listener.local_addr().expect("bound");
        let mut client = TcpStream::connect(address).expect("listening");
        let none_yet = listener.accept().map(drop).expect_err("it was silent");
        assert_eq!(none_yet.kind(), io::ErrorKind::WouldBlock);
        client.write_all(b"x").expect("open");
        listener.set_nonblocking(false).expect("a socket");
        let (mut accepted, _) = listener.accept().expect("a connection");
        accepted.set_nonblocking(true).expect("a socket");
        assert_eq!(accepted.read(&mut [0; 2]).expect("it is there"), 1);
    }

    #[test]
    fn two_listeners_share_a_port_only_if_both_are_to() {
        let sharing = SocketConfig {
            reuse_port: true,
            ..CONFIG
        };
        let first = bind("listen", ANY, &sharing).expect("a free port");
        let address = first.local_addr().expect("bound");
        bind("listen", address, &sharing).expect("beside the first");
        bind("listen", address, &CONFIG).expect_err("it does not share");
    }

    #[test]
    fn an_address_in_use_is_named() {
        let first = bind("listen", ANY, &CONFIG).expect("a free port");
        let address = first.local_addr().expect("bound");
        let error = bind("listen", address, &CONFIG)
            .expect_err("taken")
            .to_string();
        assert!(
            error.contains(&address.to_string()) && error.contains("`listen`"),
            "{error}"
        );
    }
}
