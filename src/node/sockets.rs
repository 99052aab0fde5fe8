//! The listening sockets of a node: inherited ones, and those that it opens.

use std::io;
use std::net::{SocketAddr, TcpListener};

use super::inherited::{Inherited, Listening};
use super::{Addresses, config};
use crate::server::{self, BindError, Options};
use crate::settings::Settings;

/// Most ingest connections that the kernel may hold until they are accepted.
const INGEST_BACKLOG: i32 = 1_024;

/// A listening socket.
pub(super) struct ListenSocket {
    pub(super) socket: TcpListener,
    /// It is another process's, too.
    pub(super) is_shared: bool,
}

/// The sockets of the three listeners.
pub(super) struct Sockets {
    pub(super) public: ListenSocket,
    pub(super) ingest: ListenSocket,
    pub(super) admin: ListenSocket,
    pub(super) addresses: Addresses,
}

impl Sockets {
    /// The socket of the admin listener, which is open first: it is inherited or opened as the
    /// others.
    pub(super) fn open_admin(
        settings: &Settings,
        inherited: &mut Inherited,
    ) -> Result<ListenSocket, BindError> {
        let (address, inherited) = (settings.admin_listen, inherited.admin.take());
        http("admin_listen", address, inherited, settings)
    }

    /// Checks that the other two can be opened: a node that begins with a log opens them when it has read
    /// it all.
    pub(super) fn check(settings: &Settings, inherited: &Inherited) -> Result<(), BindError> {
        let listeners = [
            ("listen", settings.listen, &inherited.http),
            ("ingest_listen", settings.ingest_listen, &inherited.ingest),
        ];
        for (setting, address, inherited) in listeners {
            if inherited.is_none() {
                can_bind(address, settings.reuse_port)
                    .map_err(|source| BindError::new(setting, address, source))?;
            }
        }
        Ok(())
    }

    /// Takes over the inherited sockets, and opens the others at the addresses in the settings.
    pub(super) fn open(
        settings: &Settings,
        inherited: Inherited,
        admin: ListenSocket,
    ) -> Result<Self, BindError> {
        let public = http("listen", settings.listen, inherited.http, settings)?;
        let ingest = ingest(settings, inherited.ingest)?;
        let addresses = Addresses {
            http: local("listen", settings.listen, &public)?,
            ingest: local("ingest_listen", settings.ingest_listen, &ingest)?,
            admin: local("admin_listen", settings.admin_listen, &admin)?,
        };
        Ok(Self {
            public,
            ingest,
            admin,
            addresses,
        })
    }
}

/// Addresses of the listeners in the settings: the public one, ingest, admin.
pub(super) fn configured(settings: &Settings) -> [SocketAddr; 3] {
    [
        settings.listen,
        settings.ingest_listen,
        settings.admin_listen,
    ]
}

/// Whether an address can be listened on.
pub(super) fn can_bind(address: SocketAddr, reuse_port: bool) -> io::Result<()> {
    let options = Options {
        reuse_port,
        backlog: 1,
    };
    server::open(address, options, |_| Ok(())).map(drop)
}

/// The socket of a listener for HTTP.
fn http(
    setting: &'static str,
    address: SocketAddr,
    inherited: Option<Listening>,
    settings: &Settings,
) -> Result<ListenSocket, BindError> {
    let options = config::socket(settings);
    let is_shared = inherited.as_ref().is_some_and(|it| it.is_shared);
    let socket = match inherited {
        Some(listening) => {
            let address = listening.address;
            match server::adopt(setting, address, &listening.socket, &options) {
                // A node with streams goes on rather than end for an option.
                Err(error) if listening.is_handed_over => {
                    let reason = std::error::Error::source(&error).map(ToString::to_string);
                    tracing::error!(%address, setting, reason, "a listener goes on with its former options");
                }
                adopted => adopted?,
            }
            listening.socket
        }
        None => server::bind(setting, address, &options)?,
    };
    Ok(ListenSocket { socket, is_shared })
}

/// The socket of the ingest listener. Its connections set their options themselves.
fn ingest(settings: &Settings, inherited: Option<Listening>) -> Result<ListenSocket, BindError> {
    let address = settings.ingest_listen;
    let options = Options {
        reuse_port: settings.reuse_port,
        backlog: INGEST_BACKLOG,
    };
    let is_shared = inherited.as_ref().is_some_and(|it| it.is_shared);
    let socket = match inherited {
        Some(Listening { socket, .. }) => socket.set_nonblocking(true).map(|()| socket),
        None => server::open(address, options, |_| Ok(())),
    };
    let socket = socket.map_err(|source| BindError::new("ingest_listen", address, source))?;
    Ok(ListenSocket { socket, is_shared })
}

fn local(
    setting: &'static str,
    address: SocketAddr,
    listening: &ListenSocket,
) -> Result<SocketAddr, BindError> {
    let local = listening.socket.local_addr();
    local.map_err(|source| BindError::new(setting, address, source))
}
