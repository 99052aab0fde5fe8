//! Streams as a node has them: TCP over loopback, with the options that the node sets.

use std::io;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;

use fantail::node::files;
use fantail::settings::Settings;
use socket2::SockRef;

/// `count` connections, the node's end first.
pub(crate) fn connect(count: usize) -> io::Result<Vec<(OwnedFd, TcpStream)>> {
    files::raise();
    let settings = Settings::default();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = listener.local_addr()?;
    (0..count)
        .map(|_| {
            let client = TcpStream::connect(address)?;
            let (server, _) = listener.accept()?;
            server.set_nodelay(true)?;
            server.set_nonblocking(true)?;
            SockRef::from(&server).set_send_buffer_size(settings.send_buffer_bytes)?;
            Ok((server.into(), client))
        })
        .collect()
}
