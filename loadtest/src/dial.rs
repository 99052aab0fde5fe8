//! Which of a server's addresses to connect to, and for how long to try.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// An attempt gets so much of a start before the next address is tried as well (RFC 8305 §5).
const HEAD_START: Duration = Duration::from_millis(250);
/// Longest wait for one address while there are others.
const ATTEMPT_PATIENCE: Duration = Duration::from_secs(2);
/// Pause before a refused connect is tried again.
const PAUSE: Duration = Duration::from_millis(50);

/// Moves the address to the front to which a connection opens first. With a single address, or if
/// none accepts a connection, nothing changes.
pub(crate) fn prefer_reachable(addresses: &mut [SocketAddr]) {
    if addresses.len() < 2 {
        return;
    }
    let (say, reached) = mpsc::channel();
    let mut first = None;
    for (number, address) in addresses.iter().copied().enumerate() {
        let say = say.clone();
        std::thread::spawn(move || {
            if TcpStream::connect_timeout(&address, ATTEMPT_PATIENCE).is_ok() {
                // The second one is not waited for.
                let _ = say.send(number);
            }
        });
        first = reached.recv_timeout(HEAD_START).ok();
        if first.is_some() {
            break;
        }
    }
    drop(say);
    // Ends when the last attempt has.
    if let Some(number) = first.or_else(|| reached.recv().ok()) {
        addresses[..=number].rotate_right(1);
    }
}

/// Connects to the first address that accepts a connection. If all refuse, tries again for as long
/// as `patience`: a server that is starting accepts connections in a moment.
pub(crate) fn connect(
    addresses: &[SocketAddr],
    patience: Duration,
) -> Result<TcpStream, (SocketAddr, io::Error)> {
    let start = Instant::now();
    loop {
        let (address, error) = match try_each(addresses, patience) {
            Ok(socket) => return Ok(socket),
            Err(failed) => failed,
        };
        if !is_refusal(&error) || start.elapsed() + PAUSE > patience {
            return Err((address, error));
        }
        std::thread::sleep(PAUSE);
    }
}

/// Connects to the first address that accepts a connection; the error is that of the last one.
pub(crate) fn try_each(
    addresses: &[SocketAddr],
    patience: Duration,
) -> Result<TcpStream, (SocketAddr, io::Error)> {
    let mut failed = None;
    for (number, address) in addresses.iter().enumerate() {
        let is_last = number + 1 == addresses.len();
        let patience = if is_last {
            patience
        } else {
            patience.min(ATTEMPT_PATIENCE)
        };
        match TcpStream::connect_timeout(address, patience.max(PAUSE)) {
            Ok(socket) => return Ok(socket),
            Err(error) => failed = Some((*address, error)),
        }
    }
    let nowhere = SocketAddr::from(([0, 0, 0, 0], 0));
    Err(failed.unwrap_or((nowhere, io::ErrorKind::NotFound.into())))
}

/// Whether the address has no listener now.
pub(crate) fn is_refusal(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionReset
    )
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    fn address(of: &TcpListener) -> SocketAddr {
        of.local_addr().expect("an address")
    }

    /// An address without a listener.
    fn nobody() -> SocketAddr {
        address(&TcpListener::bind("127.0.0.1:0").expect("a port"))
    }

    #[test]
    fn the_address_that_takes_connections_comes_first() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let (here, first, second) = (address(&listener), nobody(), nobody());
        let mut addresses = [first, second, here];
        prefer_reachable(&mut addresses);
        assert_eq!(addresses, [here, first, second]);
        let mut none = [first, second];
        prefer_reachable(&mut none);
        assert_eq!(none, [first, second]);
    }

    #[test]
    fn every_address_is_tried() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let socket = connect(&[nobody(), address(&listener)], Duration::from_secs(10));
        assert!(socket.is_ok());
        let (_, error) =
            try_each(&[nobody(), nobody()], Duration::from_secs(10)).expect_err("nobody");
        assert!(is_refusal(&error), "{error}");
    }

    #[test]
    fn a_refused_connect_is_tried_again_for_a_while() {
        let there = nobody();
        let listening = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(200));
            TcpListener::bind(there).expect("the port is still free")
        });
        assert!(connect(&[there], Duration::from_secs(10)).is_ok());
        drop(listening.join());
        assert!(connect(&[there], Duration::from_millis(120)).is_err());
    }
}
