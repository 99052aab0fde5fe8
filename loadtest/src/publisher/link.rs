//! One connection that events are published on.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::{Interest, Registry, Token};

use super::PublishError;
use super::answers::{Answers, Verdict};
use super::fate::Way;
use super::recipe::{Recipe, Words};
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
    /// When it was sent, on the same clock; zero before.
    sent: u64,
}

impl Asked {
    /// An event that is not sent.
    pub(crate) fn new(event: u64, due: u64) -> Self {
        Self {
            event,
            due,
            sent: 0,
        }
    }
}

/// An event with its bytes.
pub(crate) type Written = (Vec<u8>, Asked);

/// A connection, its unsent bytes, and its unanswered events.
pub(crate) struct Link {
    recipe: Arc<Recipe>,
    /// Ids of events are of interest.
    wants_ids: bool,
    /// Nothing is sent, and no connection made, before this.
    rests_until: Option<Instant>,
    /// `None` while it is broken.
    transport: Option<Transport>,
    /// The connection was begun, and is not there yet.
    connecting: bool,
    /// Number of the address to connect to.
    address: usize,
    /// Addresses that took no connection since the last one that did.
    turned_away: usize,
    answers: Answers,
    /// Events that wait for their turn.
    queue: VecDeque<Written>,
    out: Vec<u8>,
    sent: usize,
    /// Events that are under way.
    asked: VecDeque<Written>,
    buffer: Vec<u8>,
    /// The server has ended the connection while no request was open.
    ended: bool,
    /// The first bytes of the connection were answered, or there are none.
    greeted: bool,
}

impl Link {
    /// Connects; if refused, tries again for as long as `patience`.
    pub(crate) fn connect(
        recipe: Arc<Recipe>,
        patience: Duration,
        wants_ids: bool,
    ) -> Result<Self, PublishError> {
        let out = recipe.greeting().to_vec();
        Ok(Self {
            wants_ids,
            rests_until: None,
            connecting: false,
            address: 0,
            turned_away: 0,
            greeted: out.is_empty(),
            transport: Some(transport(&recipe, patience)?),
            answers: Answers::new(recipe.is_resp(), wants_ids),
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
        self.queue
            .drain(..)
            .chain(self.asked.drain(..))
            .map(|(_, asked)| asked.event)
            .collect()
    }

    /// Continues over another connection; if refused, tries again for as long as `patience`.
    pub(crate) fn reconnect(&mut self, patience: Duration) -> Result<(), PublishError> {
        self.transport = Some(transport(&self.recipe, patience)?);
        self.start();
        Ok(())
    }

    /// Begins to connect anew; its readiness is registered under this number.
    pub(crate) fn dial(&mut self, registry: &Registry, number: usize) -> Result<(), PublishError> {
        let addresses = &self.recipe.endpoint.addresses;
        let address = addresses.get(self.address).or(addresses.first()).copied();
        let address = address.ok_or(io::Error::from(io::ErrorKind::NotFound))?;
        let socket = mio::net::TcpStream::connect(address)?;
        self.transport = Some(wrapped(&self.recipe, socket)?);
        self.start();
        self.connecting = true;
        Ok(self.register(registry, number)?)
    }

    /// Whether the connection that was begun is there; an error if it cannot be made.
    pub(crate) fn connected(&mut self) -> io::Result<bool> {
        let Some(transport) = self.transport.as_mut().filter(|_| self.connecting) else {
            return Ok(true);
        };
        let socket = transport.socket();
        if let Some(error) = socket.take_error()? {
            return Err(error);
        }
        match socket.peer_addr() {
            Ok(_) => {
                self.connecting = false;
                self.turned_away = 0;
                socket.set_nodelay(true)?;
                Ok(true)
            }
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The connection that was begun cannot be made; whether there is another address to try.
    pub(crate) fn not_connected(&mut self) -> bool {
        self.transport = None;
        self.connecting = false;
        let addresses = self.recipe.endpoint.addresses.len().max(1);
        self.address = (self.address + 1) % addresses;
        self.turned_away = (self.turned_away + 1) % addresses;
        self.turned_away != 0
    }

    fn start(&mut self) {
        self.answers = Answers::new(self.recipe.is_resp(), self.wants_ids);
        self.ended = false;
        self.connecting = false;
        self.out.clear();
        self.out.extend_from_slice(self.recipe.greeting());
        self.greeted = self.out.is_empty();
        self.sent = 0;
    }

    /// The connection is unusable: drops it, and returns the events that were sent and not
    /// answered. Unsent ones stay.
    pub(crate) fn break_off(&mut self) -> Vec<Written> {
        self.transport = None;
        self.connecting = false;
        self.out.clear();
        self.sent = 0;
        self.asked.drain(..).collect()
    }

    /// The events that wait for a connection that cannot be made.
    pub(crate) fn take_waiting(&mut self) -> Vec<Written> {
        self.queue.drain(..).collect()
    }

    /// Has these events sent again, before all others and after a pause.
    pub(crate) fn again(&mut self, events: Vec<Written>, pause: Duration) {
        for event in events.into_iter().rev() {
            self.queue.push_front(event);
        }
        self.rest(pause);
    }

    /// Makes a pause.
    pub(crate) fn rest(&mut self, pause: Duration) {
        self.rests_until = Some(Instant::now() + pause);
    }

    /// Whether it makes a pause.
    pub(crate) fn rests(&mut self) -> bool {
        let now = Instant::now();
        self.rests_until = self.rests_until.filter(|until| *until > now);
        self.rests_until.is_some()
    }

    /// Whether an event was sent before `since`, and is not answered.
    pub(crate) fn is_overdue(&self, since: u64) -> bool {
        self.asked
            .front()
            .is_some_and(|(_, asked)| asked.sent < since)
    }

    /// The events that were due before `since`, and are not sent.
    pub(crate) fn take_overdue(&mut self, since: u64) -> Vec<Written> {
        let waiting = self.queue.iter();
        let overdue = waiting.take_while(|(_, asked)| asked.due < since).count();
        self.queue.drain(..overdue).collect()
    }

    /// The way in that it is.
    pub(crate) fn way(&self) -> Way {
        match self.recipe.is_resp() {
            true => Way::Resp,
            false => Way::Http,
        }
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
    pub(crate) fn offer(&mut self, words: &Words<'_>, asked: Asked) {
        let mut bytes = Vec::new();
        self.recipe.write(asked.event, words, &mut bytes);
        self.queue.push_back((bytes, asked));
    }

    /// Sends as much as possible.
    pub(crate) fn send(&mut self) -> Result<(), PublishError> {
        let Some(transport) = self.transport.as_mut().filter(|_| !self.connecting) else {
            return Ok(());
        };
        if self.ended || self.answers.closing() || self.rests_until.is_some() {
            return Ok(());
        }
        loop {
            while self.asked.len() < self.recipe.pipeline
                && let Some((bytes, mut asked)) = self.queue.pop_front()
            {
                self.out.extend_from_slice(&bytes);
                asked.sent = stamp::now();
                self.asked.push_back((bytes, asked));
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
        mut answered: impl FnMut(Verdict, Written, Duration),
    ) -> Result<(), PublishError> {
        let mut verdicts = Vec::new();
        let Some(transport) = self.transport.as_mut().filter(|_| !self.connecting) else {
            return Ok(());
        };
        let end = loop {
            match transport.read(&mut self.buffer) {
                Ok(0) => {
                    verdicts.extend(self.answers.end());
                    break Some(PublishError::Closed);
                }
                Ok(size) => self.answers.feed(&self.buffer[..size], &mut verdicts)?,
                Err(error) if would_wait(&error) => break None,
                Err(error) => break Some(PublishError::Io(error)),
            }
        };
        if !self.greeted && !verdicts.is_empty() {
            self.greeted = true;
            if let Verdict::Refused(text) = verdicts.remove(0) {
                return Err(PublishError::Login(text));
            }
        }
        // Answers that came before the end count.
        let now = stamp::now();
        for verdict in verdicts {
            let event = self.asked.pop_front().ok_or(PublishError::Unasked)?;
            let waited = stamp::since(event.1.due, now);
            answered(verdict, event, waited);
        }
        match end {
            Some(error) if !self.asked.is_empty() => Err(error),
            // An idle connection that is reset is as good as one that is closed.
            Some(_) => {
                self.ended = true;
                Ok(())
            }
            None => Ok(()),
        }
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
    socket.set_nodelay(true)?;
    socket.set_nonblocking(true)?;
    wrapped(recipe, mio::net::TcpStream::from_std(socket))
}

fn wrapped(recipe: &Recipe, socket: mio::net::TcpStream) -> Result<Transport, PublishError> {
    let tls = recipe.endpoint.tls.as_ref();
    let tls = tls.map(TlsClient::new).transpose()?;
    Ok(Transport::new(socket, tls.as_ref()).map_err(io::Error::other)?)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::super::recipe::Wishes;
    use super::*;
    use crate::target::{Address, Preset};

    #[test]
    fn every_address_is_tried_wherever_the_last_connection_was() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("its address");
        let url = format!("resp://{address}");
        let parsed = Address::parse("--publish", &url, &["resp"], None).expect("a URL");
        let recipe = Recipe::new(&parsed, Preset::Fantail, &Wishes::default());
        let mut recipe = recipe.expect("a recipe");
        recipe.endpoint.addresses = vec![address; 3];
        let mut link =
            Link::connect(Arc::new(recipe), Duration::from_secs(10), true).expect("a connection");
        for first in 0..3 {
            link.address = first;
            let others = [(); 3].map(|()| link.not_connected());
            assert_eq!(others, [true, true, false], "from {first}");
        }
    }
}
