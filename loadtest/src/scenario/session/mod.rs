//! The common parts of all scenarios: a server, streams, a publisher, and their figures.

mod attempts;
mod gaps;
mod nodes;
mod opening;
mod place;
mod publishing;
mod result;
mod seen;
mod setup;
mod tokens;

use std::net::SocketAddr;
use std::time::Duration;

use super::ScenarioError;
use crate::cli::shared::{Common, TargetArgs};
use crate::console;
use crate::crew::{self, Crew};
use crate::gauge::{Gauge, Memory, Stopwatch, Stretch};
use crate::layout::Layout;
use crate::message::{Job, NodeTarget, Sample};
use crate::publisher::Publisher;
use crate::publisher::recipe::Recipe;
use crate::recorder::Recorder;
use crate::server::Server;
use crate::target::TargetError;

pub(crate) use attempts::note_published;
pub(crate) use nodes::NodeArgs;
use place::Place;
pub(crate) use publishing::FullSpeed;
pub(crate) use result::Timeline;
pub(crate) use seen::Seen;
use setup::{by_way, check_topics, place_token, stream_headers};
use tokens::{Tokens, make_tokens};

/// A scenario's additions to the common part.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Plan {
    /// Streams to open at most.
    pub(crate) streams: usize,
    /// Streams that end reconnect.
    pub(crate) reconnect: bool,
    /// They do not once they are answered with anything but a stream.
    pub(crate) event_source: bool,
    /// They stay away for exactly as long as they are told.
    pub(crate) obeys_retry: bool,
    /// Nodes are compared.
    pub(crate) compares_nodes: bool,
    /// Share of slow streams.
    pub(crate) slow_share: f64,
    /// Their receive buffer, in bytes.
    pub(crate) slow_buffer: usize,
}

/// A run in progress.
pub(crate) struct Session {
    target: TargetArgs,
    timeout: Duration,
    rate: Option<f64>,
    run: u32,
    nodes: Vec<NodeArgs>,
    /// Where each takes streams.
    stream_addresses: Vec<SocketAddr>,
    compares_nodes: bool,
    /// Ways in, the usual one first: each with one recipe or more.
    ways: Vec<Vec<Recipe>>,
    pub(crate) layout: Layout,
    pub(crate) crew: Crew,
    pub(crate) gauge: Gauge,
    pub(crate) recorder: Recorder,
    publisher: Option<Publisher>,
    /// Memory without any stream.
    empty: Memory,
    /// Nodes are killed, and the CPU time that they used with them.
    cpu_is_lost: bool,
    /// CPU time of everything that was measured.
    total: Stretch,
    open: usize,
    /// Opening times of streams; shown last, because `--assert 'p99 < …'` is about deliveries.
    opening: Vec<(u64, u64)>,
    /// Events that the server took, and that it did not.
    taken: u64,
    refused: u64,
    /// Events that were unanswered when the connection broke.
    failed: u64,
    /// Dropped last: everything else speaks to it.
    servers: Vec<Server>,
}

impl Session {
    /// Starts the server if that is asked for, and the client processes.
    pub(crate) fn start(
        scenario: &str,
        common: &Common,
        plan: Plan,
        arguments: Vec<String>,
    ) -> Result<Self, ScenarioError> {
        let per_process = crew::streams_per_process()?;
        let load = &common.load;
        let target = common.target.clone();
        let layout = Layout::new(&target.topic, target.topics, target.pool, plan.streams)?;
        let tokens = Tokens::new(&common.tokens, &target, &layout)?;
        let mut places = Place::all(&target, tokens.publish.as_ref())?;
        let mut headers = stream_headers(&target)?;
        let paths: Vec<&str> = places.iter().map(Place::path).collect();
        place_token(&paths, &mut headers, tokens.streams.is_some())?;
        for path in paths {
            check_topics(path, &headers, &layout)?;
        }
        let mut recipes = places.iter().flat_map(|place| &place.recipes);
        if common.tokens.publish_token_claims.is_some() && recipes.all(Recipe::is_resp) {
            return Err(TargetError::RespToken.into());
        }
        let servers = places.iter().filter_map(|place| place.spawn().transpose());
        let servers: Vec<Server> = servers.collect::<Result<_, _>>()?;
        places.iter_mut().for_each(Place::prefer_reachable);
        let roots = match servers.is_empty() {
            true => target.pid.clone(),
            false => servers.iter().map(Server::pid).collect(),
        };
        let run = fastrand::u32(1..);
        let processes = load
            .processes
            .max(plan.streams.div_ceil(per_process))
            .max(1);
        if load.processes == 0 && processes > 1 {
            console::err(format_args!(
                "{processes} client processes, since one may open {per_process} files"
            ));
        }
        let job = Job {
            process: 0,
            processes,
            run,
            nodes: places.iter().map(Place::target).collect(),
            headers,
            tokens: tokens.streams,
            layout: layout.clone(),
            sources: load.source.clone(),
            connecting: load.connecting,
            timeout_ms: load.timeout.as_millis() as u64,
            no_prime: target.no_prime,
            reconnect: load.reconnect || plan.reconnect,
            event_source: plan.event_source,
            obeys_retry: plan.obeys_retry,
            compares_nodes: plan.compares_nodes,
            gap_event: target.gap_event.clone(),
            slow_share: plan.slow_share,
            slow_buffer_bytes: plan.slow_buffer,
        };
        let urls: Vec<&str> = places.iter().map(|place| &*place.node.url).collect();
        let name = target.name.clone().unwrap_or_else(|| urls.join(", "));
        let first = |node: &NodeTarget| node.endpoint.addresses.first().copied();
        let stream_addresses = job.nodes.iter().filter_map(first).collect();
        let gauge = Gauge::new(roots);
        if let Some(pid) = gauge.missing() {
            return Err(ScenarioError::Pid(pid));
        }
        let mut crew = Crew::start(&job)?;
        if job.tokens.is_some() {
            make_tokens(&mut crew, plan.streams)?;
        }
        Ok(Self {
            timeout: load.timeout,
            rate: load.connect_rate,
            run,
            ways: by_way(places.iter().flat_map(|place| place.recipes.clone())),
            nodes: places.into_iter().map(|place| place.node).collect(),
            stream_addresses,
            compares_nodes: plan.compares_nodes,
            layout,
            crew,
            empty: gauge.settled(),
            gauge,
            recorder: Recorder::new(scenario, &name, arguments),
            publisher: None,
            cpu_is_lost: false,
            total: Stretch::default(),
            open: 0,
            opening: Vec::new(),
            taken: 0,
            refused: 0,
            failed: 0,
            target,
            servers,
        })
    }

    /// How many ways in there will be to a node.
    pub(crate) fn ways_of(target: &TargetArgs) -> usize {
        match target.publish.len() {
            0 => target.preset.publish_urls("", "", 0).len().max(1),
            ways => ways,
        }
    }

    /// Process id of the first node.
    pub(crate) fn server_pid(&self) -> Option<u32> {
        let started = self.servers.first().map(Server::pid);
        started.or(self.target.pid.first().copied())
    }

    /// The nodes of the server.
    pub(crate) fn nodes(&self) -> &[NodeArgs] {
        &self.nodes
    }

    /// An address of each node for streams.
    pub(crate) fn stream_addresses(&self) -> impl Iterator<Item = SocketAddr> {
        self.stream_addresses.iter().copied()
    }

    /// The text with the ports of the first node in place of `{http}`, `{ingest}` and `{admin}`.
    pub(crate) fn with_ports(&self, text: &str) -> String {
        let first = self.nodes.first();
        first.map_or_else(|| text.to_owned(), |node| node.fill(text))
    }

    /// The nodes that were started, to start them again.
    pub(crate) fn take_servers(&mut self) -> Vec<Server> {
        std::mem::take(&mut self.servers)
    }

    /// Nodes will be killed: their CPU time is no figure of this run.
    pub(crate) fn lose_cpu(&mut self) {
        self.cpu_is_lost = true;
    }

    /// Measures these nodes from now on, and ends them at the end.
    pub(crate) fn use_servers(&mut self, servers: Vec<Server>) {
        self.gauge = Gauge::new(servers.iter().map(Server::pid).collect());
        self.servers = servers;
    }

    /// Time without any progress after which something counts as failed.
    pub(crate) fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Streams that are open.
    pub(crate) fn streams(&self) -> usize {
        self.open
    }

    /// Deliveries until now.
    pub(crate) fn deliveries(&self) -> u64 {
        self.crew.progress().received
    }

    /// Begins a stretch of CPU time.
    pub(crate) fn watch(&self) -> Stopwatch {
        Stopwatch::start(&self.gauge, &self.crew.pids())
    }

    /// Ends it; reports if the load generator was the limit in this phase.
    pub(crate) fn stop(&mut self, watch: Stopwatch, phase: &str) -> Stretch {
        let stretch = watch.stop(&self.gauge, &self.crew.pids());
        self.total.add(&stretch);
        self.doubt_generator(&stretch, phase);
        stretch
    }

    /// Latencies since the last time.
    pub(crate) fn sample(&mut self) -> Result<Sample, ScenarioError> {
        Ok(self.crew.sample()?)
    }
}
