//! Publishes events: one by one, back to back, at a rate, or as fast as the server takes them.
//!
//! One thread and one event loop, however many connections. A rate is *open-loop*: an event's latency counts from when it was due, whether
//! or not the server was ready for it (otherwise a server that stalls would hide its own stall: "coordinated omission").

mod answers;
mod link;
pub(crate) mod recipe;

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use mio::{Events, Interest, Poll, Token};

use crate::latency;
use crate::layout::Layout;
use crate::stamp::{self, Stamp};
use crate::transport::TlsError;
use answers::{AnswerError, Verdict};
use link::{Asked, Link};
use recipe::Recipe;

/// What a link waits for.
const READ_AND_WRITE: Interest = Interest::READABLE.add(Interest::WRITABLE);
/// Longest sleep while events are due by the clock.
const TICK: Duration = Duration::from_millis(1);
/// Events that may wait because the server takes fewer than are due; beyond, a rate is given up.
const BACKLOG_MAX: usize = 1_000_000;
/// Refused events that are put up with: each has to be remembered, since no stream is due it.
const REFUSED_MAX: usize = 1_000_000;
/// Different refusals that are told apart.
const REASONS_MAX: usize = 20;

/// Why publishing ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PublishError {
    /// No connection.
    #[error("--publish: connecting to {address}: {error}")]
    Connect {
        /// Where to.
        address: SocketAddr,
        /// Why.
        error: io::Error,
    },
    /// A connection broke.
    #[error("publishing: {0}")]
    Io(#[from] io::Error),
    /// A connection ended.
    #[error("publishing: the server closed the connection before it answered")]
    Closed,
    /// The answer is none.
    #[error("publishing: {0}")]
    Answer(#[from] AnswerError),
    /// More answers than events.
    #[error("publishing: the server sent an answer to nothing")]
    Unasked,
    /// TLS.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// Nothing is answered.
    #[error("publishing: the server has answered nothing for {0:?}")]
    Silent(Duration),
    /// Next to nothing is taken.
    #[error(
        "publishing: the server has refused {REFUSED_MAX} events; the last of its reasons: {0}"
    )]
    Refused(String),
    /// The numbers of events have run out.
    #[error("publishing: a topic can have {} events in one run", u32::MAX)]
    TooMany,
    /// Too far behind.
    #[error(
        "publishing: the server is {BACKLOG_MAX} events behind the rate; ask for a lower one (--rate)"
    )]
    Behind,
}

/// What became of the events.
#[derive(Clone, Debug)]
pub(crate) struct Published {
    /// Events that the server took.
    pub(crate) taken: u64,
    /// Events that it did not.
    pub(crate) refused: u64,
    /// The numbers of those in the run, from zero.
    pub(crate) refused_events: Vec<u64>,
    /// Its reasons.
    pub(crate) reasons: BTreeMap<String, u64>,
    /// From when an event was due to its answer, in nanoseconds.
    pub(crate) latency: Histogram<u64>,
}

impl Published {
    fn new() -> Self {
        Self {
            taken: 0,
            refused: 0,
            refused_events: Vec::new(),
            reasons: BTreeMap::new(),
            latency: latency::histogram(),
        }
    }

    fn add(&mut self, verdict: Verdict, event: u64, latency: Duration) {
        self.latency.saturating_record(latency.as_nanos() as u64);
        match verdict {
            Verdict::Taken => self.taken += 1,
            Verdict::Refused(text) => {
                self.refused += 1;
                self.refused_events.push(event);
                let known = self.reasons.len() < REASONS_MAX || self.reasons.contains_key(&text);
                let text = if known {
                    text
                } else {
                    "something else".to_owned()
                };
                *self.reasons.entry(text).or_default() += 1;
            }
        }
    }
}

/// Publishes the events of a run, numbered as the layout says.
pub(crate) struct Publisher {
    recipe: Recipe,
    layout: Layout,
    run: u32,
    data_bytes: usize,
    timeout: Duration,
    poll: Poll,
    links: Vec<Link>,
    /// Events offered until now, taken or not.
    events: u64,
    /// Since the last [`Publisher::take`].
    published: Published,
    answered: Instant,
}

impl Publisher {
    /// Opens `connections` connections. With one, events are published in their order; with more, topics stay on their own connection as
    /// long as there are at least as many topics as connections, or the number of topics divides that of connections.
    pub(crate) fn connect(
        recipe: &Recipe,
        layout: &Layout,
        run: u32,
        data_bytes: usize,
        timeout: Duration,
        connections: usize,
    ) -> Result<Self, PublishError> {
        let poll = Poll::new()?;
        let mut links = Vec::new();
        for number in 0..connections {
            let mut link = Link::connect(recipe)?;
            poll.registry()
                .register(link.socket(), Token(number), READ_AND_WRITE)?;
            links.push(link);
        }
        Ok(Self {
            recipe: recipe.clone(),
            layout: layout.clone(),
            run,
            data_bytes,
            timeout,
            poll,
            links,
            events: 0,
            published: Published::new(),
            answered: Instant::now(),
        })
    }

    /// Events offered until now.
    pub(crate) fn events(&self) -> u64 {
        self.events
    }

    /// Goes on where another publisher of the same run ended.
    pub(crate) fn go_on_from(&mut self, events: u64) {
        self.events = events;
    }

    /// What became of the events since the last time.
    pub(crate) fn take(&mut self) -> Published {
        std::mem::replace(&mut self.published, Published::new())
    }

    /// Publishes so many events back to back; returns when all are answered.
    pub(crate) fn burst(&mut self, events: u64) -> Result<(), PublishError> {
        let due = stamp::now();
        for _ in 0..events {
            self.offer(due)?;
        }
        self.answered = Instant::now();
        self.pump_until_answered()
    }

    /// Publishes at a steady rate for a time; `meanwhile` is called all the while, and false from it ends this early. Returns when all
    /// are answered.
    pub(crate) fn at_rate(
        &mut self,
        per_second: f64,
        time: Duration,
        mut meanwhile: impl FnMut(&mut Self) -> bool,
    ) -> Result<(), PublishError> {
        let start = stamp::now();
        let total = (per_second * time.as_secs_f64()).round() as u64;
        let mut offered = 0;
        self.answered = Instant::now();
        while offered < total || stamp::since(start, stamp::now()) < time {
            let elapsed = stamp::since(start, stamp::now()).as_secs_f64();
            let due = total.min((elapsed * per_second).ceil() as u64);
            while offered < due {
                let at = start + (offered as f64 / per_second * 1e9) as u64;
                self.offer(at)?;
                offered += 1;
            }
            self.pump(TICK)?;
            if self.under_way() > BACKLOG_MAX {
                return Err(PublishError::Behind);
            }
            if !meanwhile(self) {
                break;
            }
        }
        self.pump_until_answered()
    }

    /// Publishes as fast as the server takes it, for a time.
    pub(crate) fn full_speed(
        &mut self,
        time: Duration,
        mut meanwhile: impl FnMut(&mut Self),
    ) -> Result<(), PublishError> {
        let start = Instant::now();
        self.answered = start;
        while start.elapsed() < time {
            let due = stamp::now();
            let room: usize = self.links.iter().map(|link| self.room(link)).sum();
            for _ in 0..room {
                self.offer(due)?;
            }
            self.pump(TICK)?;
            meanwhile(self);
        }
        self.pump_until_answered()
    }

    /// Events that a link takes without making one wait.
    fn room(&self, link: &Link) -> usize {
        self.recipe.pipeline.saturating_sub(link.under_way())
    }

    /// Queues the next event.
    fn offer(&mut self, due: u64) -> Result<(), PublishError> {
        let topic = self.layout.topic_of(self.events);
        let number = self.layout.published(topic, self.events) + 1;
        let stamp = Stamp {
            run: self.run,
            topic: topic as u32,
            number: u32::try_from(number).map_err(|_| PublishError::TooMany)?,
            sent: due,
        };
        let event = self.events;
        let link = (event % self.links.len() as u64) as usize;
        self.events += 1;
        let name = self.layout.name(topic);
        self.links[link].offer(
            &self.recipe,
            &name,
            &stamp.data(self.data_bytes),
            Asked { event, due },
        );
        Ok(())
    }

    fn under_way(&self) -> usize {
        self.links.iter().map(Link::under_way).sum()
    }

    fn pump_until_answered(&mut self) -> Result<(), PublishError> {
        while self.under_way() > 0 {
            self.pump(self.timeout)?;
        }
        Ok(())
    }

    /// Sends and receives what there is; waits for more at most so long.
    fn pump(&mut self, wait: Duration) -> Result<(), PublishError> {
        for link in &mut self.links {
            link.send(self.recipe.pipeline)?;
        }
        let mut events = Events::with_capacity(self.links.len().max(16));
        match self.poll.poll(&mut events, Some(wait)) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => result?,
        }
        let before = self.published.taken + self.published.refused;
        for event in &events {
            let number = event.token().0;
            let link = &mut self.links[number];
            let published = &mut self.published;
            link.receive(|verdict, event, latency| published.add(verdict, event, latency))?;
            if link.is_spent() {
                link.reconnect(&self.recipe)?;
                self.poll
                    .registry()
                    .register(link.socket(), Token(number), READ_AND_WRITE)?;
            }
            link.send(self.recipe.pipeline)?;
        }
        if self.published.refused_events.len() > REFUSED_MAX {
            let last = self.published.reasons.keys().last();
            return Err(PublishError::Refused(last.cloned().unwrap_or_default()));
        }
        if self.published.taken + self.published.refused > before || self.under_way() == 0 {
            self.answered = Instant::now();
        } else if self.answered.elapsed() > self.timeout {
            return Err(PublishError::Silent(self.timeout));
        }
        Ok(())
    }
}
