//! The world of one seed: servers, nodes, clients, and the dice.

use std::time::{Duration, Instant};

use fastrand::Rng;

use crate::bridge::follow::{Answer, Follower, Start, Step};

use super::client::Client;
use super::judge;
use super::node::Node;
use super::server::{Payload, Server};

pub(super) const BIRTH: u128 = 7;
const STEPS: usize = 600;
/// Steps after which all must be quiet once faults have ceased.
const QUIET_STEPS: usize = 20_000;

/// How often each case was met.
#[derive(Debug, Default)]
pub(super) struct Totals {
    pub(super) events: usize,
    pub(super) answered: usize,
    pub(super) hops: usize,
    pub(super) barriers: usize,
    pub(super) unknown: usize,
    pub(super) starts: usize,
    pub(super) upgrades: usize,
    pub(super) takeovers: usize,
    pub(super) forks: usize,
    pub(super) lost: usize,
    pub(super) excused: usize,
    pub(super) cuts: usize,
    pub(super) removed: usize,
    pub(super) flushes: usize,
    pub(super) ghosts: usize,
    pub(super) breaks: usize,
    pub(super) gaps: usize,
    pub(super) without_gap: usize,
}

impl Totals {
    pub(super) fn assert_all_met(&self) {
        let counts = [
            ("events", self.events),
            ("answered", self.answered),
            ("hops", self.hops),
            ("barriers", self.barriers),
            ("unknown", self.unknown),
            ("starts", self.starts),
            ("upgrades", self.upgrades),
            ("takeovers", self.takeovers),
            ("forks", self.forks),
            ("lost", self.lost),
            ("excused", self.excused),
            ("cuts", self.cuts),
            ("removed", self.removed),
            ("flushes", self.flushes),
            ("ghosts", self.ghosts),
            ("breaks", self.breaks),
            ("gaps", self.gaps),
            ("without_gap", self.without_gap),
        ];
        for (name, count) in counts {
            assert!(count > 0, "no schedule met {name}");
        }
    }
}

/// The faults of a schedule.
#[derive(Debug)]
pub(super) struct Faults {
    pub(super) starts: bool,
    /// Servers that take over have all.
    takeovers: bool,
    /// Servers that take over may have lost entries.
    pub(super) forks: bool,
    pub(super) cuts: bool,
    pub(super) removals: bool,
    pub(super) flushes: bool,
    ghosts: bool,
}

impl Faults {
    /// Whether no client may be told a gap.
    pub(super) fn lose_nothing(&self) -> bool {
        !(self.forks || self.cuts || self.removals || self.flushes)
    }
}

/// A request that comes late.
#[derive(Debug)]
enum Ghost {
    Event(usize, Payload),
    Step(usize, Step<Payload>),
}

pub(super) struct World {
    rng: Rng,
    talks: bool,
    pub(super) faults: Faults,
    base: Instant,
    pub(super) now_ms: u64,
    pub(super) step: u64,
    pub(super) servers: Vec<Server>,
    pub(super) nodes: Vec<Node>,
    /// Lives that have ended.
    pub(super) ended: Vec<Node>,
    pub(super) clients: Vec<Client>,
    ghosts: Vec<Ghost>,
    /// The step at which each event was published.
    pub(super) published: Vec<u64>,
    page: usize,
    totals: Totals,
}

impl World {
    pub(super) fn new(seed: u64, talks: bool) -> Self {
        let mut rng = Rng::with_seed(seed);
        let removals = rng.u32(..8) == 0;
        // What is removed is noticed within a second, while the log is whole: other faults would make
        // the numbers of entries unknown meanwhile. A node that starts does not have what was
        // removed before.
        let mut other = |one_of: u32| !removals && rng.u32(..one_of) == 0;
        let faults = Faults {
            starts: other(2),
            takeovers: other(2),
            forks: other(2),
            cuts: other(3),
            flushes: other(8),
            removals,
            ghosts: rng.bool(),
        };
        let now_ms = 1_000;
        let counts = removals || rng.u32(..4) > 0;
        let mut world = Self {
            talks,
            base: Instant::now(),
            now_ms,
            step: 0,
            servers: vec![Server::new(BIRTH, counts, now_ms)],
            nodes: Vec::new(),
            ended: Vec::new(),
            clients: (0..rng.usize(2..6)).map(Client::new).collect(),
            ghosts: Vec::new(),
            published: Vec::new(),
            page: rng.usize(2..8),
            totals: Totals::default(),
            faults,
            rng,
        };
        for number in 0..world.rng.usize(1..4) {
            let node = world.new_node(1);
            world.nodes.push(node);
            world.say(|| format!("node {number} starts"));
        }
        world.say(|| String::from("begins"));
        world
    }

    fn say(&self, text: impl FnOnce() -> String) {
        if self.talks {
            eprintln!("{:4} {}", self.step, text());
        }
    }

    fn new_node(&mut self, life: u32) -> Node {
        let server = self.servers.len() - 1;
        let floor = self.servers[server].floor();
        let mut node = Node::new(Follower::new(BIRTH, Start::Above(floor)), life, server);
        node.asks_in = self.rng.u32(..3);
        node
    }

    fn now(&self) -> Instant {
        self.base + Duration::from_millis(self.now_ms)
    }

    pub(super) fn run(mut self, totals: &mut Totals) {
        if self.talks {
            eprintln!("{:?}", self.faults);
        }
        for _ in 0..STEPS {
            self.tick();
            self.act();
        }
        self.quiet();
        self.add_to(totals);
    }

    fn add_to(&mut self, totals: &mut Totals) {
        let mut judged = Totals::default();
        judge::check(self, &mut judged);
        let own = &self.totals;
        totals.events += self.published.len();
        totals.hops += own.hops;
        totals.barriers += own.barriers;
        totals.unknown += own.unknown;
        totals.starts += own.starts;
        totals.upgrades += own.upgrades;
        totals.takeovers += own.takeovers;
        totals.forks += own.forks;
        totals.cuts += own.cuts;
        totals.removed += own.removed;
        totals.flushes += own.flushes;
        totals.ghosts += own.ghosts;
        totals.answered += judged.answered;
        totals.lost += judged.lost;
        totals.excused += judged.excused;
        totals.breaks += judged.breaks;
        totals.gaps += judged.gaps;
        totals.without_gap += judged.without_gap;
    }

    fn tick(&mut self) {
        self.step += 1;
        self.now_ms += self.rng.u64(..4) * self.rng.u64(..2);
        if self.rng.u32(..200) == 0 {
            self.now_ms += 1_000;
        }
    }

    fn act(&mut self) {
        match self.rng.u32(..100) {
            0..40 => {
                let number = self.rng.usize(..self.nodes.len());
                self.step_node(number);
            }
            40..58 => self.publish(),
            58..84 => {
                let number = self.rng.usize(..self.clients.len());
                self.step_client(number);
            }
            84..90 => {
                let number = self.rng.usize(..self.clients.len());
                self.hop(number);
            }
            90..92 => self.disconnect(),
            _ => self.fail(),
        }
    }

    /// One of the faults of this schedule.
    fn fail(&mut self) {
        let newest = self.servers.len() - 1;
        match self.rng.u32(..14) {
            0 if self.faults.starts => {
                let number = self.rng.usize(..self.nodes.len());
                if self.nodes[number].is_stale {
                    // Its clients have ids that nobody else can know of.
                    return;
                }
                let life = self.nodes[number].life + 1;
                let node = self.new_node(life);
                self.ended
                    .push(std::mem::replace(&mut self.nodes[number], node));
                self.totals.starts += 1;
                self.say(|| format!("node {number} is killed and starts"));
            }
            1 if self.faults.takeovers => self.take_over(0),
            2 if self.faults.forks => {
                let lost = self.rng.usize(..6);
                self.take_over(lost);
            }
            3 | 4 if self.faults.cuts => {
                let kept = self.rng.usize(..8);
                self.servers[newest].cut(kept);
                self.totals.cuts += 1;
                self.say(|| format!("all but {kept} are cut off"));
            }
            5 | 6 if self.faults.removals => {
                // What is removed after it was read is no loss, and looks like a fork.
                let is_calm = |node: &Node| node.answer.is_none() && node.follower.counts();
                if !self.nodes.iter().all(is_calm) {
                    return;
                }
                let read = self.nodes.iter().map(|node| node.follower.head()).max();
                let nth = self.rng.usize(..8);
                if self.rng.bool() {
                    self.servers[newest].remove_newest_read(read.unwrap_or_default());
                    self.say(|| String::from("the newest entry that was read is removed"));
                } else if self.servers[newest].remove_above(read.unwrap_or_default(), nth) {
                    self.totals.removed += 1;
                    self.say(|| String::from("an entry is removed"));
                }
            }
            7 if self.faults.flushes && self.rng.u32(..4) == 0 => {
                let is_all = self.rng.bool();
                self.servers[newest].flush(is_all);
                self.totals.flushes += 1;
                self.say(|| String::from("the server is emptied"));
            }
            8..10 if !self.ghosts.is_empty() => {
                let number = self.rng.usize(..self.ghosts.len());
                let ghost = self.ghosts.swap_remove(number);
                self.totals.ghosts += 1;
                self.say(|| format!("late: {ghost:?}"));
                let now_ms = self.now_ms;
                match ghost {
                    Ghost::Event(server, payload) => {
                        self.servers[server].append(None, payload, now_ms);
                    }
                    Ghost::Step(server, step) => {
                        drop(ask(&mut self.servers[server], &step, 2, now_ms))
                    }
                }
            }
            10 if self.faults.starts => {
                let number = self.rng.usize(..self.nodes.len());
                // No node that still starts is upgraded. And numbers are small here: those of a log that was
                // deleted may be those of the next one by chance, and a new program has none to compare.
                let may_be_chance = self.faults.flushes && self.faults.cuts;
                if !self.nodes[number].serves || may_be_chance {
                    return;
                }
                self.nodes[number].upgrade();
                self.totals.upgrades += 1;
                self.say(|| format!("node {number} is upgraded"));
            }
            _ => {}
        }
    }

    fn take_over(&mut self, lost: usize) {
        let old = &self.servers[self.servers.len() - 1];
        let lost = lost.min(old.len());
        let behind = self.rng.u64(..10) * self.rng.u64(..2);
        let server = old.successor(lost, behind);
        self.say(|| format!("a server takes over that has lost {lost}, {behind} ms behind"));
        self.totals.takeovers += 1;
        self.totals.forks += usize::from(lost > 0);
        // Where no entries are lost, the old server takes none any more.
        let is_closed = !self.faults.forks;
        for old in &mut self.servers {
            old.is_closed = is_closed;
        }
        self.servers.push(server);
    }

    fn disconnect(&mut self) {
        let number = self.rng.usize(..self.nodes.len());
        self.say(|| format!("node {number} is cut off"));
        self.cut(number);
    }

    /// Cuts a node's connection. What it asked may still be done, now or later.
    fn cut(&mut self, number: usize) {
        self.nodes[number].disconnect();
    }

    fn publish(&mut self) {
        let newest = self.servers.len() - 1;
        let is_foreign = self.rng.u32(..6) == 0;
        let event = self.published.len() as u64;
        if is_foreign {
            // Another program. What it appends before a node has seen the server can not be told
            // from what was lost.
            if !self.servers[newest].is_known {
                return;
            }
            let payload = Payload {
                event: Some(event),
                by: None,
            };
            self.servers[newest].append(None, payload, self.now_ms);
            self.published.push(self.step);
            self.say(|| format!("event {event} of another program"));
            return;
        }
        let number = self.rng.usize(..self.nodes.len());
        let node = &self.nodes[number];
        let Some(server) = node.server.filter(|_| node.follower.live_on().is_some()) else {
            return;
        };
        let payload = Payload {
            event: Some(event),
            by: Some((number, node.life)),
        };
        self.published.push(self.step);
        self.say(|| format!("event {event} by node {number} on server {server}"));
        match self.rng.u32(..12) {
            0 => {}
            1 if self.faults.ghosts => self.ghosts.push(Ghost::Event(server, payload)),
            _ => self.servers[server].append(None, payload, self.now_ms),
        }
    }

    fn step_node(&mut self, number: usize) {
        let newest = self.servers.len() - 1;
        let node = &mut self.nodes[number];
        if node.server.is_none() {
            // It may still find the server that has lost the log.
            let is_late = newest > 0 && self.rng.u32(..8) == 0;
            node.server = Some(if is_late { newest - 1 } else { newest });
        }
        let Some(server) = node.server else {
            return;
        };
        // A server that has lost the log notices it at some time, and closes its connections.
        if server != newest && self.rng.u32(..12) == 0 {
            self.cut(number);
            return;
        }
        if let Some(answer) = self.nodes[number].answer.take() {
            self.say(|| format!("node {number} gets {answer:?}"));
            self.nodes[number].follower.answer(answer);
            return;
        }
        self.ask(number, server);
    }

    fn ask(&mut self, number: usize, server: usize) {
        let (now, now_ms) = (self.now(), self.now_ms);
        let newest = self.servers.len() - 1;
        let node = &mut self.nodes[number];
        let step = node.follower.next(now, now_ms);
        // What it reads there it may do when it is connected to another one.
        node.is_stale |= server != newest;
        if node.does(&step, number) {
            node.follower.answer(Answer::Done);
            if matches!(step, Step::Live { server } if server == newest as u64) {
                node.is_stale = false;
            }
            if let (Step::Live { .. }, server) = (&step, &mut self.servers[server]) {
                server.is_known = true;
            }
            self.say(|| format!("node {number} does {step:?}"));
            return;
        }
        if let Step::NewOrder { .. } = step {
            panic!("there is one order");
        }
        if let Step::Wait { after } = step
            && !self.servers[server].has_above(after)
            && self.rng.bool()
        {
            // Nothing came within the second.
            self.now_ms += self.rng.u64(..20);
        }
        self.say(|| format!("node {number} asks {step:?} of {server}"));
        if self.faults.ghosts && self.rng.u32(..40) == 0 {
            self.ghosts.push(Ghost::Step(server, step));
            self.cut(number);
            return;
        }
        let answer = ask(&mut self.servers[server], &step, self.page, now_ms);
        if self.rng.u32(..60) == 0 {
            self.say(|| format!("node {number}: the reply is lost"));
            self.cut(number);
        } else {
            self.nodes[number].answer = Some(answer);
        }
    }

    fn hop(&mut self, client: usize) {
        let number = self.rng.usize(..self.nodes.len());
        self.clients[client].leave();
        let node = &self.nodes[number];
        let Some(server) = node.server.filter(|_| node.serves) else {
            return;
        };
        if self.servers[server].is_closed {
            return;
        }
        let newest = self.servers[server].last;
        let client = &mut self.clients[client];
        let gaps = client.gaps.len();
        client.open(number, node, newest, self.step);
        self.totals.hops += 1;
        self.totals.barriers += usize::from(client.barrier.is_some());
        self.totals.unknown += usize::from(client.gaps.len() > gaps);
        let text = format!(
            "client {} on node {number} at {:?}",
            client.number, client.cursor
        );
        self.say(|| text);
    }

    /// Returns whether there was anything.
    fn step_client(&mut self, number: usize) -> bool {
        let client = &mut self.clients[number];
        let Some((node, life)) = client.node else {
            return false;
        };
        let node = &self.nodes[node];
        if node.life != life {
            client.leave();
            return false;
        }
        client.step(node)
    }

    /// Faults cease: all nodes read to the end, all clients get what is left.
    fn quiet(&mut self) {
        self.faults.ghosts = false;
        self.ghosts.clear();
        self.say(|| String::from("quiet"));
        let newest = self.servers.len() - 1;
        for node in 0..self.nodes.len() {
            if self.nodes[node].server != Some(newest) {
                self.cut(node);
                self.nodes[node].server = Some(newest);
            }
        }
        for round in 0.. {
            assert!(round < QUIET_STEPS, "it does not come to rest");
            self.now_ms += 1;
            self.step += 1;
            if round % 50 == 0 {
                // So that each node asks for the facts, once everything was read.
                self.now_ms += 1_000;
            }
            for node in 0..self.nodes.len() {
                self.settle(node, newest);
            }
            for client in 0..self.clients.len() {
                if self.clients[client].node.is_none() {
                    self.hop(client);
                }
                self.step_client(client);
            }
            if round > 200 && round % 50 == 49 && self.is_quiet() {
                break;
            }
        }
    }

    fn settle(&mut self, number: usize, server: usize) {
        if let Some(answer) = self.nodes[number].answer.take() {
            self.nodes[number].follower.answer(answer);
            return;
        }
        let (now, now_ms) = (self.now(), self.now_ms);
        let node = &mut self.nodes[number];
        let step = node.follower.next(now, now_ms);
        self.say(|| format!("node {number} {step:?}"));
        let node = &mut self.nodes[number];
        if node.does(&step, number) {
            node.follower.answer(Answer::Done);
        } else {
            let answer = ask(&mut self.servers[server], &step, self.page, now_ms);
            node.answer = Some(answer);
        }
    }

    fn is_quiet(&self) -> bool {
        let last = self.servers[self.servers.len() - 1].last;
        let is_live = |node: &Node| node.follower.live_on().is_some() && node.head == last;
        let has_all = |client: &Client| {
            let Some((node, life)) = client.node else {
                return false;
            };
            let node = &self.nodes[node];
            node.life == life && client.barrier.is_none() && client.cursor == Some(node.head)
        };
        self.nodes.iter().all(is_live) && self.clients.iter().all(has_all)
    }
}

/// What a server answers.
fn ask(server: &mut Server, step: &Step<Payload>, page: usize, now_ms: u64) -> Answer<Payload> {
    match step {
        Step::AskFacts => Answer::Facts(server.facts()),
        Step::AskPage { from } => server.page(*from, page),
        Step::Wait { .. } => Answer::Woken,
        Step::Append { id, marker } => {
            server.mark(*id, *marker, now_ms);
            Answer::Appended
        }
        Step::Create { birth } => {
            server.create(*birth, now_ms);
            Answer::Created
        }
        _ => Answer::Done,
    }
}
