//! A client process: holds its share of the streams in one event loop, without a task or a buffer
//! per stream, and carries out the coordinator's orders.
//!
//! Process `p` of `P` owns the streams `p`, `p + P`, `p + 2P`, …; within the process they are
//! numbered from zero.

mod comings;
pub(crate) mod faults;
mod fleet;
pub(crate) mod gaps;
pub(crate) mod ids;
pub(crate) mod ledger;
mod orders;
mod reading;
mod restless;
mod source;
mod stream;

use std::io::{self, BufRead, Read};
use std::os::fd::AsRawFd;
use std::time::Duration;

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};

use crate::message::{Job, Order};
use crate::template::TemplateError;
use crate::token::TokenError;
use crate::transport::{TlsError, would_wait};
use fleet::Fleet;
use orders::Desk;

/// Standard input's token; the streams' tokens are their numbers.
const CONTROL: Token = Token(usize::MAX);
/// Readiness events read from the kernel at once.
const EVENTS_PER_POLL: usize = 1024;
/// Longest sleep while something is to be done by the clock: pacing, orders that wait, churn,
/// reports.
const TICK: Duration = Duration::from_millis(20);

/// Why a client process cannot go on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WorkerError {
    /// Standard input or output, or the event loop.
    #[error("a client process: {0}")]
    Io(#[from] io::Error),
    /// The coordinator sent an unknown message.
    #[error("a client process was told what it does not understand: {0}")]
    Message(#[from] serde_json::Error),
    /// TLS cannot be set up.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// Tokens cannot be made.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// The URL or a header field.
    #[error(transparent)]
    Template(#[from] TemplateError),
}

/// Holds streams until standard input ends. The first line is the [`Job`], every other an
/// [`Order`].
pub(crate) fn run() -> Result<(), WorkerError> {
    let mut input = io::stdin().lock();
    let mut line = String::new();
    input.read_line(&mut line)?;
    let job: Job = serde_json::from_str(&line)?;
    let mut poll = Poll::new()?;
    rustix::io::ioctl_fionbio(&input, true).map_err(io::Error::from)?;
    poll.registry().register(
        &mut SourceFd(&input.as_raw_fd()),
        CONTROL,
        Interest::READABLE,
    )?;
    let mut fleet = Fleet::new(job, poll.registry().try_clone()?)?;
    let mut desk = Desk::default();
    let mut events = Events::with_capacity(EVENTS_PER_POLL);
    let mut commands = Vec::new();
    // Bytes that were read together with the job raise no readiness event any more.
    if !read_available(&mut input, &mut commands)? {
        return Ok(());
    }
    loop {
        while let Some(end) = memchr::memchr(b'\n', &commands) {
            let line: Vec<u8> = commands.drain(..=end).collect();
            let order: Order = serde_json::from_slice(&line)?;
            desk.take(order, &mut fleet)?;
        }
        fleet.turn();
        desk.answer(&mut fleet)?;
        let timeout = match fleet.unfinished() {
            true => Some(Duration::ZERO),
            false => (desk.busy() || fleet.restless()).then_some(TICK),
        };
        match poll.poll(&mut events, timeout) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            result => result?,
        }
        for event in &events {
            if event.token() != CONTROL {
                let number = event.token().0;
                fleet.ready(number, event.is_readable(), event.is_read_closed());
            } else if !read_available(&mut input, &mut commands)? {
                return Ok(());
            }
        }
    }
}

/// Appends the available bytes of standard input; false at its end.
fn read_available(control: &mut impl Read, into: &mut Vec<u8>) -> io::Result<bool> {
    let mut bytes = [0; 4096];
    loop {
        match control.read(&mut bytes) {
            Ok(0) => return Ok(false),
            Ok(size) => into.extend_from_slice(&bytes[..size]),
            Err(error) if would_wait(&error) => return Ok(true),
            Err(error) => return Err(error),
        }
    }
}
