//! One connection that events are published on.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use mio::{Interest, Registry, Token};

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

/// A connection, its unsent bytes, and its unanswered events.
pub(crate) struct Link {
    recipe: Arc<Recipe>,
    /// `None` while it is broken.
    transport: Option<Transport>,
    answers: Answers,
    /// Events that wait for their turn.
    queue: VecDeque<(Vec<u8>, Asked)>,
    out: Vec<u8>,
    sent: usize,
    /// Events that are under way.
    asked: VecDeque<Asked>,
    buffer: Vec<u8>,
    /// The server has ended the connection while no request was open.
    ended: bool,
    /// The first bytes of the connection were answered, or there are none.
    greeted: bool,
}

impl Link {
    /// Connects; if refused, tries again for as long as `patience`.
    pub(crate) fn connect(recipe: Arc<Recipe>, patience: Duration) -> Result<Self, PublishError> {
        let out = recipe.greeting().to_vec();
        Ok(Self {
            greeted: out.is_empty(),
            transport: Some(transport(&recipe, patience)?),
            answers: Answers::new(recipe.is_resp()),
            queue: VecDeque::new(),
            out,
            sent: 0,
            asked: VecDeque::new(),
            buffer: vec![0; READ_BYTES],
            ended: false,
            recipe,
        })
    }

    /// Whether the server ends or has ended the connection, with no answer outstanding.
    pub(crate) fn is_spent(&self) -> bool {
        (self.ended || self.answers.closing()) && self.asked.is_empty()
    }

    /// Gives up; returns the unanswered events.
    pub(crate) fn abandon(&mut self) -> Vec<u64> {
        let waiting = self.queue.drain(..).map(|(_, asked)| asked);
        waiting
            .chain(self.asked.drain(..))
            .map(|asked| asked.event)
            .collect()
    }

    /// Continues over another connection; if refused, tries again for as long as `patience`.
    pub(crate) fn reconnect(&mut self, patience: Duration) -> Result<(), PublishError> {
        self.transport = Some(transport(&self.recipe, patience)?);
        self.start();
        Ok(())
    }

    /// The same, with one attempt of bounded length.
    pub(crate) fn reconnect_once(&mut self, patience: Duration) -> Result<(), PublishError> {
        let socket = dial::try_each(&self.recipe.endpoint.addresses, patience);
        self.transport = Some(over(&self.recipe, socket)?);
        self.start();
        Ok(())
    }

    fn start(&mut self) {
        self.answers = Answers::new(self.recipe.is_resp());
        self.ended = false;
        self.out.clear();
        self.out.extend_from_slice(self.recipe.greeting());
        self.greeted = self.out.is_empty();
        self.sent = 0;
    }

    /// The connection is unusable: drops it, and returns the events that were sent and not
    /// answered. Unsent ones stay.
    pub(crate) fn break_off(&mut self) -> Vec<u64> {
        self.transport = None;
        self.out.clear();
        self.sent = 0;
        self.asked.drain(..).map(|asked| asked.event).collect()
    }

    /// Whether it has no connection.
    pub(crate) fn is_broken(&self) -> bool {
        self.transport.is_none()
    }

    /// Events that may be under way on it.
    pub(crate) fn pipeline(&self) -> usize {
        self.recipe.pipeline
    }

    /// Registers the connection's readiness under this number.
    pub(crate) fn register(&mut self, registry: &Registry, number: usize) -> io::Result<()> {
        let Some(transport) = &mut self.transport else {
            return Ok(());
        };
        let both = Interest::READABLE.add(Interest::WRITABLE);
        registry.register(transport.socket(), Token(number), both)
    }

    /// Events that are not answered.
    pub(crate) fn under_way(&self) -> usize {
        self.queue.len() + self.asked.len()
    }

    /// Queues an event.
    pub(crate) fn offer(&mut self, topic: &str, data: &str, asked: Asked) {
        let mut bytes = Vec::new();
        self.recipe.write(asked.event, topic, data, &mut bytes);
        self.queue.push_back((bytes, asked));
    }

    /// Sends as much as possible.
    pub(crate) fn send(&mut self) -> Result<(), PublishError> {
        let Some(transport) = &mut self.transport else {
            return Ok(());
        };
        if self.ended || self.answers.closing() {
            return Ok(());
        }
        loop {
            while self.asked.len() < self.recipe.pipeline
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
            match transport.write(&self.out[self.sent..]) {
                Ok(0) => return Err(PublishError::Closed),
                Ok(size) => self.sent += size,
                Err(error) if would_wait(&error) => return Ok(()),
                Err(error) => return Err(PublishError::Io(error)),
            }
        }
    }

    /// Reads arrived bytes, and passes on each answer with its event and the time since that was
    /// due.
    pub(crate) fn receive(
        &mut self,
        mut answered: impl FnMut(Verdict, u64, Duration),
    ) -> Result<(), PublishError> {
        let mut verdicts = Vec::new();
        let Some(transport) = &mut self.transport else {
            return Ok(());
        };
        loop {
            match transport.read(&mut self.buffer) {
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
    over(recipe, dial::connect(&recipe.endpoint.addresses, patience))
}

fn over(
    recipe: &Recipe,
    socket: Result<TcpStream, (SocketAddr, io::Error)>,
) -> Result<Transport, PublishError> {
    let socket = socket.map_err(|(address, error)| PublishError::Connect { address, error })?;
    let tls = recipe.endpoint.tls.as_ref();
    let tls = tls.map(TlsClient::new).transpose()?;
    socket.set_nodelay(true)?;
    socket.set_nonblocking(true)?;
    let socket = mio::net::TcpStream::from_std(socket);
    Ok(Transport::new(socket, tls.as_ref()).map_err(io::Error::other)?)
}
