//! Ports that are free, and the sockets on which a process listens.

use std::collections::HashSet;
use std::net::{SocketAddr, TcpListener};

use procfs::net::TcpState;
use procfs::process::{FDTarget, Process};

use super::ServerError;
use crate::gauge::Gauge;

/// Three ports for each node without a listener at the moment.
pub(crate) fn free_ports(nodes: usize) -> Result<Vec<[u16; 3]>, ServerError> {
    let listen = || TcpListener::bind("127.0.0.1:0").map_err(ServerError::Port);
    // All are held until all are known, or they could be the same.
    let mut held = Vec::new();
    for _ in 0..nodes {
        held.push([listen()?, listen()?, listen()?]);
    }
    let port = |listener: &TcpListener| {
        let address = listener.local_addr().map_err(ServerError::Port)?;
        Ok(address.port())
    };
    let three =
        |[http, ingest, admin]: &[TcpListener; 3]| Ok([port(http)?, port(ingest)?, port(admin)?]);
    held.iter().map(three).collect()
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
