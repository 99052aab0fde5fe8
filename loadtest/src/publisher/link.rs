//! One connection that events are published on.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::time::Duration;

use super::PublishError;
use super::answers::{Answers, Verdict};
use super::recipe::Recipe;
use crate::dial;
use crate::stamp;
use crate::transport::{TlsClient, Transport, would_wait};

/// Bytes read at once.
const READ_BYTES: usize = 64 * 1024;
/// An event that is not answered.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked {
    /// Its number in the run, from zero.
    pub(crate) event: u64,
    /// When it was due, on the monotonic clock.
    pub(crate) due: u64,
}

/// A connection, what is still to be sent on it, and what is still to be answered.
#[derive(Debug)]
pub(crate) struct Link {
    transport: Transport,
    answers: Answers,
    /// Events that wait for their turn.
    queue: VecDeque<(Vec<u8>, Asked)>,
    out: Vec<u8>,
    sent: usize,
    /// Events that are under way.
    asked: VecDeque<Asked>,
    buffer: Vec<u8>,
    /// The server has ended the connection while nothing was asked.
    ended: bool,
    /// What comes first on a connection was answered, or there is none.
    greeted: bool,
}

impl Link {
    /// Connects; tries for so long where it is refused.
    pub(crate) fn connect(recipe: &Recipe, patience: Duration) -> Result<Self, PublishError> {
        let out = recipe.greeting().to_vec();
        Ok(Self {
            greeted: out.is_empty(),
            transport: transport(recipe, patience)?,
            answers: Answers::new(recipe.is_resp()),
            queue: VecDeque::new(),
            out,
            sent: 0,
            asked: VecDeque::new(),
            buffer: vec![0; READ_BYTES],
            ended: false,
        })
    }

    /// Whether the server ends or has ended the connection, while there is no answer to come.
    pub(crate) fn is_spent(&self) -> bool {
        (self.ended || self.answers.closing()) && self.asked.is_empty()
    }

    /// Gives up; the events that were not answered.
    pub(crate) fn abandon(&mut self) -> Vec<u64> {
        let waiting = self.queue.drain(..).map(|(_, asked)| asked);
        waiting
            .chain(self.asked.drain(..))
            .map(|asked| asked.event)
            .collect()
    }

    /// Goes on over another connection.
    pub(crate) fn reconnect(
        &mut self,
        recipe: &Recipe,
        patience: Duration,
    ) -> Result<(), PublishError> {
        self.transport = transport(recipe, patience)?;
        self.answers = Answers::new(recipe.is_resp());
        self.ended = false;
        self.out.clear();
        self.out.extend_from_slice(recipe.greeting());
        self.greeted = self.out.is_empty();
        self.sent = 0;
        Ok(())
    }

    /// The socket, to register it.
    pub(crate) fn socket(&mut self) -> &mut mio::net::TcpStream {
        self.transport.socket()
    }

    /// Events that are not answered.
    pub(crate) fn under_way(&self) -> usize {
        self.queue.len() + self.asked.len()
    }

    /// Queues an event.
    pub(crate) fn offer(&mut self, recipe: &Recipe, topic: &str, data: &str, asked: Asked) {
        let mut bytes = Vec::new();
        recipe.write(asked.event, topic, data, &mut bytes);
        self.queue.push_back((bytes, asked));
    }

    /// Sends what it can.
    pub(crate) fn send(&mut self, pipeline: usize) -> Result<(), PublishError> {
        if self.ended || self.answers.closing() {
            return Ok(());
        }
        loop {
            while self.asked.len() < pipeline
                && let Some((bytes, asked)) = self.queue.pop_front()
            {
                self.out.extend_from_slice(&bytes);
                self.asked.push_back(asked);
            }
            if self.sent == self.out.len() {
                self.out.clear();
                self.sent = 0;
                return Ok(());
            }
            match self.transport.write(&self.out[self.sent..]) {
                Ok(0) => return Err(PublishError::Closed),
                Ok(size) => self.sent += size,
                Err(error) if would_wait(&error) => return Ok(()),
                Err(error) => return Err(PublishError::Io(error)),
            }
        }
    }

    /// Reads what there is, and gives each answer with its event and the time since that was due.
    pub(crate) fn receive(
        &mut self,
        mut answered: impl FnMut(Verdict, u64, Duration),
    ) -> Result<(), PublishError> {
        let mut verdicts = Vec::new();
        loop {
            match self.transport.read(&mut self.buffer) {
                Ok(0) => {
                    verdicts.extend(self.answers.end());
                    if self.asked.len() > verdicts.len() {
                        return Err(PublishError::Closed);
                    }
                    self.ended = true;
                    break;
                }
                Ok(size) => self.answers.feed(&self.buffer[..size], &mut verdicts)?,
                Err(error) if would_wait(&error) => break,
                // An idle connection that is reset is as good as one that is closed.
                Err(_) if self.asked.is_empty() => {
                    self.ended = true;
                    break;
                }
                Err(error) => return Err(PublishError::Io(error)),
            }
        }
        if !self.greeted && !verdicts.is_empty() {
            self.greeted = true;
            if let Verdict::Refused(text) = verdicts.remove(0) {
                return Err(PublishError::Login(text));
            }
        }
        let now = stamp::now();
        for verdict in verdicts {
            let asked = self.asked.pop_front().ok_or(PublishError::Unasked)?;
            answered(verdict, asked.event, stamp::since(asked.due, now));
        }
        Ok(())
    }
}

fn transport(recipe: &Recipe, patience: Duration) -> Result<Transport, PublishError> {
    let tls = recipe
        .endpoint
        .tls
        .as_ref()
        .map(TlsClient::new)
        .transpose()?;
    let addresses = &recipe.endpoint.addresses;
    let socket = dial::connect(addresses, patience)
        .map_err(|(address, error)| PublishError::Connect { address, error })?;
    socket.set_nodelay(true)?;
    socket.set_nonblocking(true)?;
    let socket = mio::net::TcpStream::from_std(socket);
    Ok(Transport::new(socket, tls.as_ref()).map_err(io::Error::other)?)
}
