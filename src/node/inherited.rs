//! Listening sockets that the process was started with: socket activation by systemd
//! (`sd_listen_fds(3)`) or another supervisor that follows it.
//!
//! A socket is for the listener that its name (`FileDescriptorName=`) says: `http`, `ingest` or
//! `admin`. A single socket with another name is for the public listener. The supervisor keeps the
//! sockets open: connections that come while no node runs wait for the next one.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd, FromRawFd, OwnedFd};

use rustix::net::{AddressFamily, SocketType, sockopt};
use thiserror::Error;

use crate::settings::Settings;
use crate::state::Port;

/// Why the inherited sockets cannot be used.
#[derive(Debug, Error)]
pub enum InheritedError {
    /// The variables contradict themselves, or name descriptors that are not open.
    #[error("LISTEN_FDS, LISTEN_FDNAMES: {0}")]
    Variables(io::Error),
    /// Several sockets, and one of them has a name of no listener.
    #[error(
        "the inherited socket {descriptor} has the name {name:?} (LISTEN_FDNAMES), which is no listener: of several sockets each is called \
         `http`, `ingest` or `admin` (`FileDescriptorName=` in its unit)"
    )]
    Name {
        /// The descriptor.
        descriptor: i32,
        /// Its name.
        name: String,
    },
    /// Two sockets for one listener.
    #[error(
        "two inherited sockets are called `{0}` (LISTEN_FDNAMES), and a listener has one; for IPv4 and IPv6, use one with `BindIPv6Only=both`"
    )]
    Twice(&'static str),
    /// The descriptor is something else.
    #[error(
        "the inherited descriptor {descriptor} ({name}) is {what}, not a TCP socket that listens"
    )]
    Kind {
        /// The descriptor.
        descriptor: i32,
        /// The listener that it is for.
        name: &'static str,
        /// What it is.
        what: String,
    },
}

/// A socket that listens, and its address.
#[derive(Debug)]
pub(super) struct Listening {
    pub(super) socket: TcpListener,
    pub(super) address: SocketAddr,
    /// It is another process's, too.
    pub(super) is_shared: bool,
    /// The former program of this process has set its options.
    pub(super) is_handed_over: bool,
}

/// The inherited sockets, by listener.
#[derive(Debug, Default)]
pub struct Inherited {
    pub(super) http: Option<Listening>,
    pub(super) ingest: Option<Listening>,
    pub(super) admin: Option<Listening>,
}

impl Inherited {
    /// Takes the sockets that the environment names. To be called once in a process, before it
    /// opens files.
    ///
    /// # Errors
    /// [`InheritedError`]
    pub fn take() -> Result<Self, InheritedError> {
        let named = sd_notify::listen_fds_with_names().map_err(InheritedError::Variables)?;
        let single = named.len() == 1;
        let mut inherited = Self::default();
        for (descriptor, name) in named {
            let (listener, name) = match port_of(&name, single) {
                Some(Port::Public) => (&mut inherited.http, "http"),
                Some(Port::Ingest) => (&mut inherited.ingest, "ingest"),
                Some(Port::Admin) => (&mut inherited.admin, "admin"),
                None => return Err(InheritedError::Name { descriptor, name }),
            };
            // SAFETY: the descriptor was passed to this process for its own use, and
            // `listen_fds_with_names` has seen that it is open. Nothing else owns it: the process
            // has opened no file of this number, and this is called once.
            let socket = unsafe { OwnedFd::from_raw_fd(descriptor) };
            let listening = check(socket).map_err(|what| InheritedError::Kind {
                descriptor,
                name,
                what,
            })?;
            if listener.replace(listening).is_some() {
                return Err(InheritedError::Twice(name));
            }
        }
        Ok(inherited)
    }

    /// Their addresses.
    #[must_use]
    pub fn addresses(&self) -> Vec<(Port, SocketAddr)> {
        let listeners = [
            (Port::Public, &self.http),
            (Port::Ingest, &self.ingest),
            (Port::Admin, &self.admin),
        ];
        let inherited = listeners.into_iter();
        let addresses = inherited.filter_map(|(port, it)| Some((port, it.as_ref()?.address)));
        addresses.collect()
    }
}

/// The listeners whose sockets the supervisor passed to this process. The variables stay over an
/// upgrade. The children of an upgrade have them, too, with the number of their parent.
#[derive(Debug, PartialEq, Eq)]
pub struct Activated(Vec<Port>);

impl Activated {
    /// Those of this process, or of its parent.
    #[must_use]
    pub fn of_process() -> Self {
        let own = std::process::id();
        let parent = std::os::unix::process::parent_id();
        Self::from_variables([own, parent], |name| std::env::var(name).ok())
    }

    fn from_variables(pids: [u32; 2], variable: impl Fn(&str) -> Option<String>) -> Self {
        let number = |name| variable(name)?.parse::<usize>().ok();
        let is_for = |pid| pids.iter().any(|own| usize::try_from(*own) == Ok(pid));
        let count = match number("LISTEN_PID") {
            Some(pid) if is_for(pid) => number("LISTEN_FDS").unwrap_or(0),
            _ => 0,
        };
        let names = variable("LISTEN_FDNAMES").unwrap_or_default();
        let names = names.split(':').take(count);
        Self(names.filter_map(|name| port_of(name, count == 1)).collect())
    }

    /// Whether the socket of this listener is the supervisor's, too.
    #[must_use]
    pub fn has(&self, port: Port) -> bool {
        self.0.contains(&port)
    }
}

/// The listener that a socket of this name is for.
fn port_of(name: &str, is_single: bool) -> Option<Port> {
    match name {
        "http" => Some(Port::Public),
        "ingest" => Some(Port::Ingest),
        "admin" => Some(Port::Admin),
        _ if is_single => Some(Port::Public),
        _ => None,
    }
}

/// Puts the addresses of inherited sockets into the settings, in place of those that would be bound.
pub fn apply_addresses(addresses: &[(Port, SocketAddr)], settings: &mut Settings) {
    for (port, address) in addresses {
        let setting = match port {
            Port::Public => &mut settings.listen,
            Port::Ingest => &mut settings.ingest_listen,
            Port::Admin => &mut settings.admin_listen,
        };
        *setting = *address;
    }
}

/// Checks that a descriptor is a TCP socket that listens; the error says what it is.
fn check(socket: OwnedFd) -> Result<Listening, String> {
    let fd = socket.as_fd();
    let kind = sockopt::socket_type(fd).map_err(|_| "no socket".to_owned())?;
    if kind != SocketType::STREAM {
        return Err("a datagram socket, or one of another kind".to_owned());
    }
    let family = sockopt::socket_domain(fd).map_err(|error| error.to_string())?;
    if family != AddressFamily::INET && family != AddressFamily::INET6 {
        return Err("a socket of another family than IPv4 and IPv6".to_owned());
    }
    if !sockopt::socket_acceptconn(fd).map_err(|error| error.to_string())? {
        return Err("a connected or closed socket (`Accept=yes` in its unit?)".to_owned());
    }
    let socket = TcpListener::from(socket);
    let address = socket.local_addr().map_err(|error| error.to_string())?;
    Ok(Listening {
        socket,
        address,
        is_shared: true,
        is_handed_over: false,
    })
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, TcpStream, UdpSocket};
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn only_a_tcp_socket_that_listens_is_taken() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let address = listener.local_addr().expect("bound");
        let client = TcpStream::connect(address).expect("it listens");
        let folder = tempfile::tempdir().expect("a folder");
        let unix = UnixListener::bind(folder.path().join("socket")).expect("a path");
        let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let file = std::fs::File::open("/dev/null").expect("it is there");
        for (wrong, what) in [
            (OwnedFd::from(client), "connected"),
            (unix.into(), "another family"),
            (udp.into(), "datagram"),
            (file.into(), "no socket"),
        ] {
            let error = check(wrong).expect_err(what);
            assert!(error.contains(what), "{error}");
        }
        assert_eq!(check(listener.into()).expect("right").address, address);
    }

    #[test]
    fn the_sockets_of_a_process_are_known_to_its_children_and_to_no_other_process() {
        let activated = |pids, names: Option<&str>, count: &str| {
            let names = names.map(str::to_owned);
            let count = count.to_owned();
            Activated::from_variables(pids, move |name| match name {
                "LISTEN_PID" => Some("7".to_owned()),
                "LISTEN_FDS" => Some(count.clone()),
                _ => names.clone(),
            })
        };
        let all = Activated(vec![Port::Admin, Port::Public, Port::Ingest]);
        assert_eq!(activated([7, 1], Some("admin:http:ingest"), "3"), all);
        let public = Activated(vec![Port::Public]);
        assert_eq!(activated([9, 7], Some("fantail.socket"), "1"), public);
        assert_eq!(activated([9, 7], None, "1"), public);
        let none = Activated(Vec::new());
        assert_eq!(activated([9, 8], Some("http"), "1"), none);
        assert_eq!(activated([7, 1], Some("http"), "0"), none);
        assert_eq!(Activated::from_variables([7, 1], |_| None), none);
    }
}
