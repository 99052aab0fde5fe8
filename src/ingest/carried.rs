//! The port at rest: its socket, and connections between two commands.
//!
//! A connection is carried as a descriptor, the bytes that were read and not run, and what its
//! client chose: user, protocol, names, muted replies. Another port, of this process or of the next
//! one, serves it as if nothing had happened. A connection with more state than that (`MULTI`,
//! `WATCH`, unsent replies) must never be carried, and neither must a password.

use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::time::Duration;

use super::resp::Muted;
use super::users::{CarriedUser, Proof};

/// All that a frozen port consists of, and all that a port starts from.
#[derive(Debug)]
pub struct Listening {
    /// The listening socket.
    pub socket: TcpListener,
    /// Connections between two commands.
    pub connections: Vec<Carried>,
    /// Connections that could not be put aside in time. They end with the port, unless it thaws.
    pub left: usize,
    /// Connections accepted so far: the highest `CLIENT ID`.
    pub accepted: u64,
    /// Key of the users' proofs, drawn for this freeze.
    pub proof_key: Proof,
}

impl From<TcpListener> for Listening {
    fn from(socket: TcpListener) -> Self {
        Self {
            socket,
            connections: Vec::new(),
            left: 0,
            accepted: 0,
            proof_key: [0; 32],
        }
    }
}

/// A connection between two commands.
#[derive(Debug)]
pub struct Carried {
    /// The connected socket.
    pub socket: OwnedFd,
    /// Bytes that were read from it and not run: commands, and the start of one.
    pub unread: Vec<u8>,
    /// `CLIENT ID`.
    pub id: u64,
    /// Its user; `None` if it has yet to authenticate.
    pub user: Option<CarriedUser>,
    /// Whether it chose RESP3.
    pub resp3: bool,
    /// Replies that it does not want.
    pub muted: Option<Muted>,
    /// `CLIENT SETNAME`, empty if it has none.
    pub name: String,
    /// `CLIENT SETINFO lib-name`.
    pub library: String,
    /// `CLIENT SETINFO lib-ver`.
    pub library_version: String,
    /// Time since it was accepted.
    pub age: Duration,
    /// Time since it last sent something.
    pub idle: Duration,
    /// Time in which it could have authenticated; `None` once it has.
    pub stranger: Option<Duration>,
    /// Time for which the rest of a command is missing; `None` between commands.
    pub unfinished: Option<Duration>,
}
