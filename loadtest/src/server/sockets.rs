//! Ports that are free, and the sockets on which a process listens.

use std::collections::HashSet;
use std::net::{SocketAddr, TcpListener};

use procfs::net::TcpState;
use procfs::process::{FDTarget, Process};

use super::ServerError;
use crate::gauge::Gauge;

/// Three ports without a listener at the moment.
pub(crate) fn free_ports() -> Result<[u16; 3], ServerError> {
    let listen = || TcpListener::bind("127.0.0.1:0").map_err(ServerError::Port);
    // All are held until all are known, or they could be the same.
    let held = [listen()?, listen()?, listen()?];
    let port = |listener: &TcpListener| listener.local_addr().map(|address| address.port());
    Ok([
        port(&held[0]).map_err(ServerError::Port)?,
        port(&held[1]).map_err(ServerError::Port)?,
        port(&held[2]).map_err(ServerError::Port)?,
    ])
}

/// Whether the process, or one that it started, has a listening socket at one of these addresses.
pub(super) fn listens(pid: u32, addresses: &[SocketAddr]) -> bool {
    let pids = Gauge::new(vec![pid]).pids();
    let processes = pids.into_iter().flat_map(Process::new);
    let files = processes.flat_map(|process| process.fd()).flatten();
    let own: HashSet<u64> = files
        .flatten()
        .filter_map(|file| match file.target {
            FDTarget::Socket(inode) => Some(inode),
            _ => None,
        })
        .collect();
    let tables = [procfs::net::tcp(), procfs::net::tcp6()];
    tables.into_iter().flatten().flatten().any(|socket| {
        let port = socket.local_address.port();
        socket.state == TcpState::Listen
            && own.contains(&socket.inode)
            && addresses.iter().any(|address| address.port() == port)
    })
}
