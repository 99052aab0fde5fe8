//! One connection: read, decode, publish and answer, a batch at a time.
//!
//! A turn reads every complete command of the read buffer (within bounds), passes consecutive
//! publications to the hub in one call, and writes all answers at once. It must never read on while
//! answers are unsent or while the hub is full: that is the backpressure. A connection that waits
//! between commands has no buffer at all. When the port freezes, a connection between two commands
//! is put aside with the bytes that it has not run.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, BytesMut};
use thiserror::Error;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until, timeout, timeout_at};
use tracing::debug;

use super::carried::Carried;
use super::client::{About, Before, Ends};
use super::command::{self, Batch, CommandError, Session};
use super::deadline::{Deadline, Waits};
use super::resp::{Arg, Limits, ProtocolError, Reader, Reply};
use super::users::Proof;
use super::{Port, foreign, socket};
use crate::closing;
use crate::core::budget::Part;
use crate::metrics::{Foreign, IngestEnd};
use crate::orders::{Hand, Order, Orders};

/// Most commands that are run before their answers are written.
const BATCH_COMMANDS_MAX: usize = 512;

/// Bytes of unsent answers after which they are written before the next command is read.
const BATCH_REPLY_BYTES: usize = 64 * 1024;

/// Answers up to this size are not charged to the node's account.
const UNCOUNTED_REPLY_BYTES: usize = 4 * 1024;

/// Capacity of a connection's first read, and the least of later reads.
const READ_BYTES_MIN: usize = 16 * 1024;

/// Largest capacity of one read. A busy connection gets more with each read that filled the last;
/// this is some 1,500 small events.
const READ_BYTES_MAX: usize = 256 * 1024;

/// Time for which a closing connection is still read and its bytes are dropped. Closing a socket
/// with unread bytes resets it, and the reset may overtake the last answer, which holds the error.
const LINGER_MAX: Duration = Duration::from_secs(1);
const LINGER_BYTES_MAX: usize = 4 << 20;

/// The same for a connection that the node ends, not the client. Hundreds may be idle, and a
/// shutdown waits for them.
const LINGER_ON_SHUTDOWN_MAX: Duration = Duration::from_millis(100);

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

/// Rest of the buffer after a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Left {
    /// The rest of the buffer, if any, is no complete command.
    NoCommand,
    /// There may be more commands in the buffer.
    More,
}

/// The next item in the buffer.
enum Next {
    /// A command of this many bytes; its arguments have been read.
    Command(usize),
    /// The start of a command.
    Incomplete,
    /// No command, and the start of the next one is unknown.
    Malformed(ProtocolError),
    /// Another protocol. As in Redis, it gets no answer: a page that made a browser send it should
    /// learn nothing.
    Foreign(Foreign),
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
    accepted: Instant,
}

impl Connection {
    /// Adds the connection to the list of clients; returns the stream if the list is full.
    pub(super) fn enter(
        stream: TcpStream,
        address: SocketAddr,
        port: &Arc<Port>,
    ) -> Result<Self, TcpStream> {
        let ends = Ends {
            address,
            local_address: stream.local_addr().unwrap_or(address),
            fd: stream.as_raw_fd(),
        };
        let user = port.users.anonymous();
        let is_stranger = user.is_none();
        let Some(entered) = port.clients.enter(port.room, ends, is_stranger) else {
            return Err(stream);
        };
        if entered.displaced {
            port.tell_of_displaced(address);
        }
        Ok(Self {
            stream,
            port: Arc::clone(port),
            listed: Listed::new(port, entered.client.id),
            session: Session::new(entered.client, user, port.hub.budget()),
            transaction: None,
            waits: Waits::new(port.timeouts, is_stranger),
            reader: Reader::default(),
            input: BytesMut::new(),
            reply: Reply::default(),
            read_bytes: READ_BYTES_MIN,
            batch_expected: 0,
            accepted: Instant::now(),
        })
    }

    /// Goes on with a connection that was put aside, here or elsewhere; `None` if its client is
    /// gone, or may no longer be who it was.
    pub(super) fn resume(carried: Carried, port: &Arc<Port>, proof_key: &Proof) -> Option<Self> {
        let user = match &carried.user {
            None => port.users.anonymous(),
            Some(user) => {
                let Some(known) = port.users.recognize(user, proof_key) else {
                    port.hub.node_metrics().ingest_ended[IngestEnd::UserChanged as usize].add(1);
                    return None;
                };
                Some(known)
            }
        };
        let stream = std::net::TcpStream::from(carried.socket);
        stream.set_nonblocking(true).ok()?;
        let stream = TcpStream::from_std(stream).ok()?;
        let address = stream.peer_addr().ok()?;
        socket::configure(&stream, port.timeouts.write);
        let ends = Ends {
            address,
            local_address: stream.local_addr().unwrap_or(address),
            fd: stream.as_raw_fd(),
        };
        let is_stranger = user.is_none();
        let before = Before {
            id: carried.id,
            age: carried.age,
            idle: carried.idle,
            about: About {
                name: carried.name,
                library: carried.library,
                library_version: carried.library_version,
                user: String::new(),
                resp3: carried.resp3,
            },
        };
        let client = port.clients.adopt(ends, before, is_stranger);
        let mut reply = Reply::default();
        reply.set_resp3(carried.resp3);
        reply.set_muted(carried.muted);
        let (stranger, unfinished) = (carried.stranger, carried.unfinished);
        let now = Instant::now();
        let mut connection = Self {
            stream,
            port: Arc::clone(port),
            listed: Listed::new(port, client.id),
            session: Session::new(client, user, port.hub.budget()),
            transaction: None,
            waits: Waits::carried(port.timeouts, is_stranger, stranger, unfinished),
            reader: Reader::default(),
            input: BytesMut::from(&carried.unread[..]),
            reply,
            read_bytes: READ_BYTES_MIN,
            batch_expected: 0,
            accepted: now.checked_sub(carried.age).unwrap_or(now),
        };
        connection.charge_held();
        Some(connection)
    }

    /// Takes it apart, between two commands; `None` if the system refuses.
    fn into_carried(self) -> Option<Carried> {
        let client = &self.session.client;
        let user = self.session.user.as_ref();
        let (age, idle) = client.ages();
        let (stranger, unfinished) = self.waits.waited();
        let about = std::mem::take(&mut *client.about.lock());
        let carried = Carried {
            user: user.and_then(|user| self.port.users.carry(user, &self.port.proof_key)),
            unread: self.input.to_vec(),
            id: client.id,
            resp3: self.reply.resp3(),
            muted: self.reply.muted(),
            name: about.name,
            library: about.library,
            library_version: about.library_version,
            age,
            idle,
            stranger,
            unfinished,
            socket: self.stream.into_std().ok()?.into(),
        };
        drop(self.listed);
        Some(carried)
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
                    connection.count(IngestEnd::Displaced);
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

    async fn serve_and_close(&mut self, orders: &mut Orders) -> End {
        let Err(end) = self.serve(orders).await;
        debug!(
            client = self.session.client.id,
            "ingest connection ended: {end}"
        );
        if let End::Carried = end {
            return end;
        }
        if let End::Limit(limit) = end {
            self.count(limit);
        }
        self.listed.begin_to_end();
        match end {
            End::Answered => self.linger(LINGER_MAX).await,
            End::Limit(IngestEnd::CommandTimeout) => {
                self.reply
                    .error("ERR the command took too long to arrive (ingest_command_timeout)");
                // The connection ends whether this is read or not.
                let _ = timeout(LINGER_MAX, self.stream.write(self.reply.bytes())).await;
                self.linger(LINGER_ON_SHUTDOWN_MAX).await;
            }
            End::Shutdown | End::Limit(IngestEnd::Idle) => {
                self.linger(LINGER_ON_SHUTDOWN_MAX).await;
            }
            End::Eof | End::Limit(_) | End::Io(_) | End::Carried => {}
        }
        end
    }

    fn count(&self, end: IngestEnd) {
        self.port.hub.node_metrics().ingest_ended[end as usize].add(1);
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

    /// Reads the bytes that have arrived, or waits for some.
    async fn fill(&mut self, orders: &mut Orders) -> Result<(), End> {
        if self.input.is_empty() {
            self.input = BytesMut::new();
            self.reply.release();
        }
        let deadline = self.waits.read_deadline();
        if let Some((at, limit)) = deadline
            && at <= Instant::now()
        {
            // Checked here too: a client that always sends one more byte would never wait below.
            return Err(End::Limit(limit));
        }
        let budget = self.port.hub.budget();
        if self.read_bytes > READ_BYTES_MIN && budget.is_above_mark(Part::Commands) {
            self.read_bytes = READ_BYTES_MIN;
        }
        let can_be_carried = self.session.can_be_carried();
        // A client that has only just come is about to send its first commands.
        let earliest = self.accepted + closing::FIRST_REQUEST;
        let ordered = async {
            if can_be_carried && orders.interrupted().await == Order::Freeze {
                return End::Carried;
            }
            orders.stopped().await;
            sleep_until(earliest).await;
            End::Shutdown
        };
        let (stream, input, room) = (&mut self.stream, &mut self.input, self.read_bytes);
        let read = async {
            // The buffer is only made when there are bytes for it.
            stream.readable().await?;
            input.reserve(room);
            stream.read_buf(input).await
        };
        let count = tokio::select! {
            biased;
            count = read => count?,
            end = ordered => return Err(end),
            limit = reached(deadline) => return Err(End::Limit(limit)),
        };
        if count == 0 {
            return Err(End::Eof);
        }
        if count >= self.read_bytes {
            self.read_bytes = (self.read_bytes * 2).min(READ_BYTES_MAX);
        } else if count < self.read_bytes / 4 {
            self.read_bytes = (self.read_bytes / 2).max(READ_BYTES_MIN);
        }
        self.charge_held();
        Ok(())
    }

    /// Charges the bytes that the connection has sent and queued. They are in memory already;
    /// [`Self::refuse_unfinished`] decides whether they stay.
    fn charge_held(&mut self) {
        let elements = self.reader.allocated_bytes();
        let bytes = self.input.capacity() + elements + self.session.queued_bytes();
        if bytes != self.session.memory.bytes() {
            self.session.memory.set_anyway(bytes);
        }
    }

    /// Ends the connection if the rest of its buffer is the start of a command for which the node
    /// has no memory. Small commands pass as long as there is any.
    fn refuse_unfinished(&mut self) {
        let budget = self.port.hub.budget();
        let bytes = self.input.capacity() + self.reader.allocated_bytes();
        let is_small = bytes <= 2 * READ_BYTES_MIN;
        let part = Part::Commands;
        if budget.is_above_mark(part) && (!is_small || budget.is_spent()) {
            budget.note_refusal(part);
            self.input = BytesMut::new();
            self.reader = Reader::default();
            self.reply.error(&CommandError::OutOfMemory.to_string());
            self.count(IngestEnd::OutOfMemory);
            self.session.closing = true;
        }
    }

    /// Executes one batch of the commands in the buffer and gathers their answers.
    async fn answer(&mut self) -> Left {
        let Self {
            port,
            session,
            reader,
            reply,
            ..
        } = self;
        let input = &self.input[..];
        let mut at = 0;
        // Short answers are never refused. While memory is short, few of them wait.
        let is_short = port.hub.budget().is_above_mark(Part::Commands);
        let reply_max = if is_short {
            UNCOUNTED_REPLY_BYTES
        } else {
            BATCH_REPLY_BYTES
        };
        let mut args: Vec<Arg<'_>> = Vec::new();
        let mut batch = Batch::expecting(self.batch_expected);
        let mut answered = 0;
        let mut left = Left::More;
        session.client.touch();
        while answered < BATCH_COMMANDS_MAX
            && reply.bytes().len() < reply_max
            && !batch.is_full(port.hub.budget())
            && !session.closing
        {
            let limits = match &session.user {
                Some(_) => &port.limits,
                None => &port.stranger_limits,
            };
            match next(reader, limits, &input[at..], &mut args) {
                Next::Command(length) => at += length,
                Next::Incomplete => {
                    left = Left::NoCommand;
                    break;
                }
                Next::Malformed(error) => {
                    batch.flush(&port.hub, reply).await;
                    reply.error(&format!("ERR Protocol error: {error}"));
                    port.hub.node_metrics().ingest_ended[IngestEnd::ProtocolError as usize].add(1);
                    session.closing = true;
                    break;
                }
                Next::Foreign(protocol) => {
                    let client = session.client.address;
                    port.foreign.note(protocol, client, port.hub.node_metrics());
                    session.closing = true;
                    break;
                }
            }
            if args.is_empty() {
                reply.end_command();
                continue;
            }
            answered += 1;
            command::execute(port, session, reply, &mut batch, &args).await;
        }
        batch.flush(&port.hub, reply).await;
        drop(batch);
        drop(args);
        self.batch_expected = answered;
        self.port
            .hub
            .node_metrics()
            .ingest_commands
            .add(answered as u64);
        self.input.advance(at);
        let unfinished = left == Left::NoCommand && !self.input.is_empty();
        self.waits.set_unfinished(unfinished, at > 0);
        if unfinished {
            self.refuse_unfinished();
        } else if self.input.is_empty() {
            self.input = BytesMut::new();
        }
        self.charge_held();
        let reply_bytes = self.reply.allocated_bytes();
        if reply_bytes > UNCOUNTED_REPLY_BYTES || self.session.reply_memory.bytes() > 0 {
            self.session.reply_memory.set_anyway(reply_bytes);
        }
        left
    }

    /// Writes all answers.
    async fn write(&mut self) -> Result<(), End> {
        let mut rest = self.reply.bytes();
        if rest.is_empty() {
            return Ok(());
        }
        while !rest.is_empty() {
            let (at, limit) = self.waits.write_deadline();
            let count = match timeout_at(at, self.stream.write(rest)).await {
                Ok(written) => written?,
                Err(_) => return Err(End::Limit(limit)),
            };
            rest = &rest[count..];
        }
        self.reply.clear();
        if self.session.reply_memory.bytes() > 0 {
            self.session.reply_memory.set_anyway(0);
        }
        self.waits.wrote();
        Ok(())
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

    /// Lets the client read the last answer before the socket is closed.
    async fn linger(&mut self, time_max: Duration) {
        let drain = async {
            self.stream.shutdown().await?;
            let mut dropped = 0;
            let mut bytes = [0; 4096];
            while dropped < LINGER_BYTES_MAX {
                match self.stream.read(&mut bytes).await? {
                    0 => break,
                    count => dropped += count,
                }
            }
            Ok::<_, io::Error>(())
        };
        // The socket is closed now, whether the client ended well or not.
        let _ = timeout(time_max, drain).await;
    }
}

/// A connection's entry in the list of clients, and in the counts. Dropping it removes both.
struct Listed {
    port: Arc<Port>,
    id: u64,
    is_ending: bool,
}

impl Listed {
    fn new(port: &Arc<Port>, id: u64) -> Self {
        port.hub.node_metrics().ingest_connections.add(1);
        Self {
            port: Arc::clone(port),
            id,
            is_ending: false,
        }
    }

    /// Its client has all of its answers. A freeze does not wait for it.
    fn begin_to_end(&mut self) {
        self.is_ending = true;
        self.port.ending.add(1);
    }
}

impl Drop for Listed {
    fn drop(&mut self) {
        self.port.clients.leave(self.id);
        self.port.hub.node_metrics().ingest_connections.sub(1);
        if self.is_ending {
            self.port.ending.sub(1);
        }
    }
}

/// Reads one command from `input`, which starts with its first byte.
fn next<'b>(
    reader: &mut Reader,
    limits: &Limits,
    input: &'b [u8],
    args: &mut Vec<Arg<'b>>,
) -> Next {
    if let Some(protocol) = foreign::at_start(input) {
        return Next::Foreign(protocol);
    }
    match reader.next(limits, input, args) {
        Ok(Some(length)) => match foreign::in_command(&input[..length], args) {
            Some(protocol) => Next::Foreign(protocol),
            None => Next::Command(length),
        },
        Ok(None) => Next::Incomplete,
        Err(error) => match foreign::in_malformed(input, error) {
            Some(protocol) => Next::Foreign(protocol),
            None => Next::Malformed(error),
        },
    }
}

/// Waits for a deadline, if there is one.
async fn reached(deadline: Option<Deadline>) -> IngestEnd {
    match deadline {
        Some((at, limit)) => {
            sleep_until(at).await;
            limit
        }
        None => std::future::pending().await,
    }
}
