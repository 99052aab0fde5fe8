//! One connection: turns of reading (`read.rs`) and answering (`answer.rs`).
//!
//! A turn must never read on while answers are unsent or while the hub is full: that is the
//! backpressure. When the port freezes, a connection between two commands is put aside with the
//! bytes that it has not run (`carry.rs`). All others that end are closed by `close.rs`.

mod answer;
mod carry;
mod close;
mod listed;
mod read;

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::sync::Arc;

use bytes::BytesMut;
use thiserror::Error;
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::Port;
use super::client::{Client, Ends};
use super::command::Session;
use super::deadline::Waits;
use super::resp::{Reader, Reply};
use super::users::User;
use crate::closing;
use crate::metrics::IngestEnd;
use crate::orders::{Hand, Order, Orders};
use answer::Left;
use listed::Listed;
use read::READ_BYTES_MIN;

/// Why a connection ended.
#[derive(Debug, Error)]
enum End {
    #[error("the client closed it")]
    Eof,
    #[error("it was closed after a last answer")]
    Answered,
    #[error("it was ended: {}", .0.as_str())]
    Limit(IngestEnd),
    #[error("the node is shutting down")]
    Shutdown,
    #[error("it was put aside")]
    Carried,
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// A connection of the ingest port.
pub(super) struct Connection {
    stream: TcpStream,
    port: Arc<Port>,
    listed: Listed,
    session: Session,
    /// The transaction that is open.
    transaction: Option<Hand>,
    waits: Waits,
    reader: Reader,
    /// Bytes read and not yet decoded; starts with the first byte of a command.
    input: BytesMut,
    reply: Reply,
    /// Room for the next read.
    read_bytes: usize,
    /// Commands of the last batch: the next one is likely to be as large.
    batch_expected: usize,
}

impl Connection {
    /// Adds the connection to the list of clients; returns the stream if the list is full.
    pub(super) fn enter(
        stream: TcpStream,
        address: SocketAddr,
        port: &Arc<Port>,
    ) -> Result<Self, TcpStream> {
        let user = port.users.anonymous();
        let is_stranger = user.is_none();
        let ends = ends(&stream, address);
        let Some(entered) = port.clients.enter(port.room, ends, is_stranger) else {
            return Err(stream);
        };
        if entered.displaced {
            port.tell_of_displaced(address);
        }
        let waits = Waits::new(port.timeouts, is_stranger);
        Ok(Self::new(stream, port, entered.client, user, waits))
    }

    /// A connection of a client that is in the list.
    fn new(
        stream: TcpStream,
        port: &Arc<Port>,
        client: Arc<Client>,
        user: Option<Arc<User>>,
        waits: Waits,
    ) -> Self {
        Self {
            stream,
            port: Arc::clone(port),
            listed: Listed::new(port, client.id),
            session: Session::new(client, user, port.hub.budget()),
            transaction: None,
            waits,
            reader: Reader::default(),
            input: BytesMut::new(),
            reply: Reply::default(),
            read_bytes: READ_BYTES_MIN,
            batch_expected: 0,
        }
    }

    /// Serves the connection to its end, or until it is put aside in a freeze.
    pub(super) async fn run(self, mut orders: Orders) {
        let mut next = Some(self);
        while let Some(mut connection) = next.take() {
            let client = Arc::clone(&connection.session.client);
            let end = tokio::select! {
                biased;
                // Another connection has its place already, so it ends at once, whatever it is
                // doing.
                () = client.displaced.notified() => {
                    connection.port.count_end(IngestEnd::Displaced);
                    return;
                }
                end = connection.serve_and_close(&mut orders) => end,
            };
            if let End::Carried = end {
                let port = Arc::clone(&connection.port);
                // The freeze may be over.
                let back = connection
                    .into_carried()
                    .and_then(|carried| port.keep(carried, &orders));
                next = back.and_then(|carried| Self::resume(carried, &port, &port.proof_key));
            }
        }
    }

    async fn serve(&mut self, orders: &mut Orders) -> Result<Infallible, End> {
        // Only a carried connection begins with bytes.
        let mut left = if self.input.is_empty() {
            Left::NoCommand
        } else {
            Left::More
        };
        let mut latest = None;
        loop {
            if left == Left::NoCommand {
                self.fill(orders).await?;
            }
            left = self.answer().await;
            // Noted before the answer: a client that is sent `OK` can no longer be displaced.
            self.note_stranger()?;
            self.write().await?;
            if self.session.closing {
                return Err(End::Answered);
            }
            self.note_transaction(orders);
            // Checked here too: a client that always sends more never waits in `fill`.
            match orders.current() {
                Order::Serve => {}
                Order::Freeze if !self.session.can_be_carried() => {}
                Order::Freeze => return Err(End::Carried),
                // The commands that had come before are answered.
                Order::Stop => {
                    let now = Instant::now();
                    if now >= *latest.get_or_insert(now + closing::FIRST_REQUEST) {
                        return Err(End::Shutdown);
                    }
                }
            }
        }
    }

    /// An open transaction is a request in hand: a freeze waits for it beforehand.
    fn note_transaction(&mut self, orders: &Orders) {
        if self.session.can_be_carried() {
            self.transaction = None;
        } else if self.transaction.is_none() {
            self.transaction = Some(orders.begin());
        }
    }

    /// Updates the client's state: it may have authenticated, or undone that.
    fn note_stranger(&mut self) -> Result<(), End> {
        let is_stranger = self.session.user.is_none();
        if is_stranger == self.waits.is_stranger() {
            return Ok(());
        }
        self.waits.set_stranger(is_stranger);
        let id = self.session.client.id;
        if self.port.clients.set_stranger(id, is_stranger) {
            Ok(())
        } else {
            Err(End::Limit(IngestEnd::Displaced))
        }
    }
}

fn ends(stream: &TcpStream, address: SocketAddr) -> Ends {
    Ends {
        address,
        local_address: stream.local_addr().unwrap_or(address),
        fd: stream.as_raw_fd(),
    }
}
