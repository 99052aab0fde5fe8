//! Publishes events: one by one, back to back, at a rate, or as fast as the server accepts them.
//!
//! One thread and one event loop, however many connections. A rate is *open-loop*: an event's
//! latency counts from when it was due, whether or not the server was ready for it (otherwise a
//! server that stalls would hide its own stall: "coordinated omission").

mod answers;
mod endurance;
pub(crate) mod fate;
mod link;
pub(crate) mod recipe;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::{Events, Poll};

use crate::layout::Layout;
use crate::stamp::{self, Stamp};
use crate::transport::TlsError;
use crate::wire::event_id::EventId;
use answers::{AnswerError, Verdict};
use endurance::AGAIN;
pub(crate) use endurance::Endurance;
use fate::{Failure, Published};
use link::{Asked, Link};
use recipe::{Recipe, Words};

/// How long a connection that is refused is tried again.
const CONNECT_PATIENCE: Duration = Duration::from_secs(10);
/// Longest sleep while events are due by the clock.
const TICK: Duration = Duration::from_millis(1);
/// Events of a burst that are written before they are sent.
const OFFERED_AT_ONCE: u64 = 64;
/// Events that may wait because the server accepts fewer than are due; beyond, a rate is abandoned.
const BACKLOG_MAX: usize = 1_000_000;
/// Refused events that are put up with: each has to be remembered, since no stream is due it.
const REFUSED_MAX: usize = 1_000_000;

/// Why publishing ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PublishError {
    /// No connection.
    #[error("--publish: connecting to {address}: {error}")]
    Connect {
        /// The address.
        address: SocketAddr,
        /// Why.
        error: io::Error,
    },
    /// The name and password are refused.
    #[error("--publish: the server does not take the name and password: {0}")]
    Login(String),
    /// A connection broke.
    #[error("publishing: {0}")]
    Io(#[from] io::Error),
    /// A connection ended.
    #[error("publishing: the server closed the connection before it answered")]
    Closed,
    /// The answer is malformed.
    #[error("publishing: {0}")]
    Answer(#[from] AnswerError),
    /// More answers than events.
    #[error("publishing: the server sent an answer to nothing")]
    Unasked,
    /// TLS.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// No event is answered.
    #[error("publishing: the server has answered nothing for {0:?}")]
    Silent(Duration),
    /// Nearly every event is refused.
    #[error("publishing: the server has refused {REFUSED_MAX} events; most often with: {0}")]
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

/// Publishes the events of a run, numbered by the layout.
pub(crate) struct Publisher {
    layout: Layout,
    run: u32,
    data_bytes: usize,
    timeout: Duration,
    poll: Poll,
    links: Vec<Link>,
    /// Connections that break are made anew.
    endures: Option<Endurance>,
    /// Ids of the events that the server took, topic by topic, by their numbers from one; only kept
    /// by a publisher that endures.
    ids: Vec<Vec<EventId>>,
    /// Events offered so far, accepted or not.
    events: u64,
    /// Counts since the last [`Publisher::take`].
    published: Published,
    /// Numbers of events that the server refused, since the last [`Publisher::take_refused`].
    refused: Vec<u64>,
    /// All of them.
    refused_count: usize,
    answered: Instant,
}

impl Publisher {
    /// Opens `connections` connections, by each of the recipes in turn. With one, events are published in their order; with more,
    /// those of a topic are if the number of connections divides that of topics: only then a topic
    /// stays on its connection.
    pub(crate) fn connect(
        recipes: &[Recipe],
        layout: &Layout,
        run: u32,
        data_bytes: usize,
        timeout: Duration,
        connections: usize,
    ) -> Result<Self, PublishError> {
        let recipes: Vec<_> = recipes.iter().cloned().map(Arc::new).collect();
        let recipes = recipes.iter().cycle().take(connections).cloned();
        Self::over(recipes, layout, run, data_bytes, timeout, None)
    }

    /// Opens a connection by each of the recipes; those that break are made anew.
    pub(crate) fn connect_each(
        recipes: &[Recipe],
        layout: &Layout,
        run: u32,
        data_bytes: usize,
        timeout: Duration,
        endurance: Endurance,
    ) -> Result<Self, PublishError> {
        let recipes = recipes.iter().cloned().map(Arc::new);
        let endures = Some(endurance);
        Self::over(recipes, layout, run, data_bytes, timeout, endures)
    }

    fn over(
        recipes: impl Iterator<Item = Arc<Recipe>>,
        layout: &Layout,
        run: u32,
        data_bytes: usize,
        timeout: Duration,
        endures: Option<Endurance>,
    ) -> Result<Self, PublishError> {
        let poll = Poll::new()?;
        let mut links = Vec::new();
        for (number, recipe) in recipes.enumerate() {
            let patience = timeout.min(CONNECT_PATIENCE);
            let mut link = Link::connect(recipe, patience, endures.is_some())?;
            link.register(poll.registry(), number)?;
            links.push(link);
        }
        Ok(Self {
            endures,
            ids: Vec::new(),
            layout: layout.clone(),
            run,
            data_bytes,
            timeout,
            poll,
            links,
            events: 0,
            published: Published::new(),
            refused: Vec::new(),
            refused_count: 0,
            answered: Instant::now(),
        })
    }

    /// Events offered until now.
    pub(crate) fn events(&self) -> u64 {
        self.events
    }

    /// Continues the numbering of another publisher of the same run.
    pub(crate) fn go_on_from(&mut self, events: u64) {
        self.events = events;
    }

    /// The fate of the events since the last time.
    pub(crate) fn take(&mut self) -> Published {
        std::mem::replace(&mut self.published, Published::new())
    }

    /// The events since the last time that no stream is due, since the server refused them.
    pub(crate) fn take_refused(&mut self) -> Vec<u64> {
        std::mem::take(&mut self.refused)
    }

    /// Ids of the events that the server took, topic by topic, by their numbers from one; zero where
    /// it told none.
    pub(crate) fn ids(&self) -> &[Vec<EventId>] {
        &self.ids
    }

    /// Whether it makes broken connections anew.
    pub(crate) fn endures(&self) -> bool {
        self.endures.is_some()
    }

    /// Gives up: the fate of unanswered events is unknown, so no stream is due them.
    pub(crate) fn abandon(&mut self) {
        for link in &mut self.links {
            self.refused.extend(link.abandon());
        }
    }

    /// Publishes `events` events back to back; returns when all are answered.
    pub(crate) fn burst(&mut self, events: u64) -> Result<(), PublishError> {
        let due = stamp::now();
        self.answered = Instant::now();
        for event in 1..=events {
            self.offer(due)?;
            // Written events are sent while the rest is still being written.
            if event % OFFERED_AT_ONCE == 0 {
                self.pump(Duration::ZERO)?;
            }
        }
        self.answered = Instant::now();
        self.pump_until_answered()
    }

    /// Publishes at a steady rate for a time; `meanwhile` is called all the while, and false from
    /// it ends this early. Returns when all are answered.
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

    /// Publishes as fast as the server accepts, for a time.
    pub(crate) fn full_speed(
        &mut self,
        time: Duration,
        mut meanwhile: impl FnMut(&mut Self),
    ) -> Result<(), PublishError> {
        let start = Instant::now();
        self.answered = start;
        while start.elapsed() < time {
            let due = stamp::now();
            // Events go to the links in turn, so the fullest one decides.
            let room = self.links.iter().map(Self::room).min();
            for _ in 0..room.unwrap_or(0) * self.links.len() {
                self.offer(due)?;
            }
            self.pump(TICK)?;
            meanwhile(self);
        }
        self.pump_until_answered()
    }

    /// Events that a link accepts without making one wait.
    fn room(link: &Link) -> usize {
        link.pipeline().saturating_sub(link.under_way())
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
        let words = Words {
            topic: &name,
            data: &stamp.data(self.data_bytes),
            key: &stamp.key(),
        };
        self.links[link].offer(&words, Asked::new(event, due));
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

    /// Sends and receives as much as possible; waits for more up to `wait`.
    fn pump(&mut self, mut wait: Duration) -> Result<(), PublishError> {
        let before = self.published.settled();
        let refused_before = self.refused.len();
        if let Some(endurance) = self.endures {
            self.mend(endurance)?;
            wait = wait.min(AGAIN);
        }
        for number in 0..self.links.len() {
            if let Err(error) = self.links[number].send() {
                // Answers that came before the end count.
                let received = self.receive(number);
                self.bear(number, received.and(Err(error)))?;
            }
        }
        let mut events = Events::with_capacity(self.links.len().max(16));
        match self.poll.poll(&mut events, Some(wait)) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => result?,
        }
        for event in &events {
            let number = event.token().0;
            if self.is_connected(number)? {
                let received = self.receive(number);
                self.bear(number, received)?;
            }
        }
        self.refused_count += self.refused.len() - refused_before;
        if self.refused_count > REFUSED_MAX {
            let reasons = self.published.reasons.iter();
            let most = reasons.max_by_key(|(_, count)| **count);
            return Err(PublishError::Refused(
                most.map(|(text, _)| text.clone()).unwrap_or_default(),
            ));
        }
        if self.published.settled() > before || self.under_way() == 0 {
            self.answered = Instant::now();
        } else if self.answered.elapsed() > self.timeout {
            return Err(PublishError::Silent(self.timeout));
        }
        Ok(())
    }

    /// Reads the answers on a connection, and sends the events that now fit.
    fn receive(&mut self, number: usize) -> Result<(), PublishError> {
        let link = &mut self.links[number];
        let way = link.way();
        let retries = self.endures.is_some_and(|endurance| endurance.retries);
        let (published, refused, mut again) = (&mut self.published, &mut self.refused, Vec::new());
        let mut taken = Vec::new();
        let result = link.receive(|verdict, (bytes, asked), waited| {
            match &verdict {
                Verdict::Refused(text) if retries => {
                    published.retry(Failure::answered(way, text));
                    again.push((bytes, asked));
                    return;
                }
                Verdict::Refused(_) => refused.push(asked.event),
                Verdict::Taken(id) => taken.extend(id.map(|id| (asked.event, id))),
            }
            published.add(way, verdict, waited);
        });
        if !again.is_empty() {
            link.again(again, AGAIN);
        }
        for (event, id) in taken {
            self.note_id(event, id);
        }
        result?;
        let link = &mut self.links[number];
        if link.is_spent() {
            if self.endures.is_some() {
                link.break_off();
                return Ok(());
            }
            link.reconnect(self.timeout.min(CONNECT_PATIENCE))?;
            link.register(self.poll.registry(), number)?;
        }
        link.send()
    }

    fn note_id(&mut self, event: u64, id: EventId) {
        let topic = self.layout.topic_of(event);
        let place = self.layout.published(topic, event) as usize;
        if self.ids.len() <= topic {
            self.ids.resize_with(topic + 1, Vec::new);
        }
        let ids = &mut self.ids[topic];
        if ids.len() <= place {
            ids.resize(place + 1, EventId::default());
        }
        ids[place] = id;
    }
}
