//! Answering: runs the commands of the read buffer in batches, and writes their answers.
//!
//! A batch consists of the complete commands of the buffer, within bounds. Consecutive publications
//! go to the hub in one call.

use bytes::{Buf, BytesMut};
use tokio::io::AsyncWriteExt;
use tokio::time::timeout_at;

use super::{Connection, End};
use crate::core::budget::Part;
use crate::ingest::command::{self, Batch};
use crate::ingest::foreign;
use crate::ingest::resp::{Arg, Limits, ProtocolError, Reader};
use crate::metrics::{Foreign, IngestEnd};

/// Most commands that are run before their answers are written.
const BATCH_COMMANDS_MAX: usize = 512;

/// Bytes of unsent answers after which they are written before the next command is read.
const BATCH_REPLY_BYTES: usize = 64 * 1024;

/// Answers up to this size are not charged to the node's account.
const UNCOUNTED_REPLY_BYTES: usize = 4 * 1024;

/// Rest of the buffer after a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Left {
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

impl Connection {
    /// Executes one batch of the commands in the buffer and gathers their answers.
    pub(super) async fn answer(&mut self) -> Left {
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
                    port.count_end(IngestEnd::ProtocolError);
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
    pub(super) async fn write(&mut self) -> Result<(), End> {
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
