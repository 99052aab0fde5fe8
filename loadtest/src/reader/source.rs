//! Source addresses of connections: an address and port for each, because one address has too few
//! ports for all streams.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use mio::net::TcpStream;
use socket2::{Domain, SockAddr, Socket, Type};

use crate::message::{Job, NodeTarget};

/// Streams that share a source address. Their ports are chosen here, so that the kernel searches
/// none.
const STREAMS_PER_ADDRESS: usize = 1_000;
/// First source port; below the usual ephemeral range and above the usual servers.
const PORT_FIRST: u16 = 20_000;
/// Source addresses tried for one connection before it counts as failed.
const ATTEMPTS: usize = 16;
/// Loopback addresses to choose from, counted from 127.1.0.0: servers use 127.0.x.x.
const LOOPBACK_FIRST: u32 = (127 << 24) | (1 << 16);
/// Number of these addresses; 127.255.x.x is left out for the broadcast address.
const LOOPBACK_COUNT: usize = (1 << 24) - (2 << 16);

/// Makes connections to one node.
#[derive(Debug)]
pub(crate) struct Source {
    /// The server's addresses.
    targets: Vec<SocketAddr>,
    /// Number of the one that is tried first.
    first: usize,
    addresses: Vec<IpAddr>,
    /// First of the loopback addresses of this process and node.
    offset: usize,
    /// Addresses of this process and node are so far apart.
    stride: usize,
    next: usize,
}

impl Source {
    /// Connections to each node of this job.
    pub(crate) fn each(job: &Job) -> Vec<Self> {
        let nodes = job.nodes.iter().enumerate();
        let source = |(node, target): (usize, &NodeTarget)| Self {
            targets: target.endpoint.addresses.clone(),
            first: 0,
            addresses: job.sources.clone(),
            // Every run begins at another address, so that the connections of the last one, which
            // may linger, are not in the way. Two nodes may be one address, so they share none.
            offset: (job.run as usize).wrapping_mul(7_919) + job.process + node * job.processes,
            stride: job.processes * job.nodes.len(),
            next: 0,
        };
        nodes.map(source).collect()
    }

    /// How many addresses the server has.
    pub(crate) fn targets(&self) -> usize {
        self.targets.len()
    }

    /// Number of the next connection's address.
    pub(crate) fn first(&self) -> usize {
        self.first
    }

    /// An address took no connection: the next one is tried before it from now on.
    pub(crate) fn turn_away(&mut self, from: usize) {
        // Streams that were tried at the same time turn away from it once.
        if from == self.first {
            self.first = (from + 1) % self.targets.len().max(1);
        }
    }

    /// Begins to connect. `receive_buffer` bounds the bytes that the kernel accepts for this
    /// connection.
    pub(crate) fn connect(&mut self, receive_buffer: Option<usize>) -> io::Result<TcpStream> {
        let mut attempt = 1;
        loop {
            match self.attempt(receive_buffer) {
                Err(error) if is_taken(&error) && attempt < ATTEMPTS => attempt += 1,
                result => return result,
            }
        }
    }

    fn attempt(&mut self, receive_buffer: Option<usize>) -> io::Result<TcpStream> {
        let target = self.targets.get(self.first).copied();
        let target = target.ok_or(io::ErrorKind::NotFound)?;
        let socket = Socket::new(
            Domain::for_address(target),
            Type::STREAM.nonblocking(),
            None,
        )?;
        // The end of the process resets its connections, so that no run leaves thousands in
        // TIME_WAIT to the next.
        socket.set_linger(Some(Duration::ZERO))?;
        if let Some(bytes) = receive_buffer {
            socket.set_recv_buffer_size(bytes)?;
        }
        if let Some(address) = self.next_address(target) {
            socket.set_reuse_address(true)?;
            socket.bind(&SockAddr::from(address))?;
        }
        match socket.connect(&SockAddr::from(target)) {
            Err(error)
                if error.raw_os_error() != Some(rustix::io::Errno::INPROGRESS.raw_os_error()) =>
            {
                Err(error)
            }
            _ => Ok(TcpStream::from_std(socket.into())),
        }
    }

    /// The next source address, if it is not the kernel's choice.
    fn next_address(&mut self, target: SocketAddr) -> Option<SocketAddr> {
        let n = self.next;
        self.next += 1;
        let port = |n: usize| PORT_FIRST + (n % STREAMS_PER_ADDRESS) as u16;
        if !self.addresses.is_empty() {
            // The kernel chooses the port: other programs use these addresses, too.
            let address = self.addresses[n % self.addresses.len()];
            return Some(SocketAddr::new(address, 0));
        }
        if !target.is_ipv4() || !target.ip().is_loopback() {
            return None;
        }
        let number = self.offset + n / STREAMS_PER_ADDRESS * self.stride;
        let address = LOOPBACK_FIRST + (number % LOOPBACK_COUNT) as u32;
        Some(SocketAddr::new(Ipv4Addr::from(address).into(), port(n)))
    }
}

fn is_taken(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::AddrInUse | io::ErrorKind::AddrNotAvailable
    )
}
