use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use fantail::auth::{Auth, KeySet, Policy, Role};
use fantail::core::event::EventId;
use fantail::hub::log::memory::{MemoryLog, MemoryNode};
use fantail::hub::{Hub, HubConfig};
use fantail::node::config;
use fantail::orders::{Control, control};
use fantail::server::{self, Listening};
use fantail::settings::Settings;
use fantail::{admin, api, ingest};
use jsonwebtoken::{EncodingKey, Header, encode};
use tokio::runtime::Runtime;

use crate::support::http::{Connection, Response, request};
use crate::support::resp;
use crate::support::sse::SseStream;
use crate::support::{DEADLINE, wait_until};

pub(crate) const JSON: &str = "application/json";

const SECRET: &[u8] = b"!ChangeThisMercureHubJWTSecretKey!";

/// A busy machine must not make a client be told a gap.
const LONG: Duration = Duration::from_secs(2 * DEADLINE.as_secs());

/// The token of a publisher for every topic, as a header field.
pub(crate) fn bearer() -> String {
    let claims = serde_json::json!({ "mercure": { "publish": ["*"] } });
    let token = encode(
        &Header::default(),
        &claims,
        &EncodingKey::from_secret(SECRET),
    );
    format!("Bearer {}", token.expect("a token"))
}

/// A log and the nodes that share it.
pub(crate) struct Cluster {
    pub(crate) log: MemoryLog,
    pub(crate) nodes: Vec<Node>,
    pub(crate) runtime: Runtime,
}

/// A hub with all its listeners on free ports.
pub(crate) struct Node {
    pub(crate) hub: Hub,
    pub(crate) log: Arc<MemoryNode>,
    pub(crate) http: SocketAddr,
    pub(crate) ingest: SocketAddr,
    pub(crate) admin: SocketAddr,
    listeners: (
        Control<Listening>,
        Control<ingest::Listening>,
        Control<Listening>,
    ),
}

impl Cluster {
    pub(crate) fn of(nodes: usize) -> Self {
        Self::with(nodes, |_| {})
    }

    /// Nodes whose publishers need a token, as of [`bearer`].
    pub(crate) fn guarded(nodes: usize) -> Self {
        let auth = Auth::new(Policy::default());
        let keys = KeySet::from_secret(SECRET, None).expect("a key");
        auth.replace(Role::Publisher, Arc::new(keys));
        Self::start(nodes, &Arc::new(auth), LONG, |_| {})
    }

    /// Nodes at which a client that is ahead waits no longer than `catch_up_max`.
    pub(crate) fn waiting(nodes: usize, catch_up_max: Duration) -> Self {
        Self::start(nodes, &Arc::default(), catch_up_max, |_| {})
    }

    /// Nodes whose settings differ from the defaults by `change`.
    pub(crate) fn with(nodes: usize, change: impl Fn(&mut Settings)) -> Self {
        Self::start(nodes, &Arc::default(), LONG, change)
    }

    fn start(
        nodes: usize,
        auth: &Arc<Auth>,
        catch_up_max: Duration,
        change: impl Fn(&mut Settings),
    ) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("a runtime");
        let log = MemoryLog::default();
        let mut cluster = Self {
            log,
            nodes: Vec::new(),
            runtime,
        };
        for _ in 0..nodes {
            let node = Node::start(&cluster.log, &cluster.runtime, auth, catch_up_max, &change);
            cluster.nodes.push(node);
        }
        cluster
    }

    /// Starts one more node, which reads the log from its beginning.
    pub(crate) fn add(&mut self) {
        self.add_with(|_| {});
    }

    /// The same with settings that differ by `change`.
    pub(crate) fn add_with(&mut self, change: impl Fn(&mut Settings)) {
        let node = Node::start(&self.log, &self.runtime, &Arc::default(), LONG, change);
        self.nodes.push(node);
    }

    /// Two nodes, of which the second is held back, and a cursor that it has not reached: that of the
    /// first of two events in the topic `a`.
    pub(crate) fn one_behind(&self) -> (&Node, &Node, String) {
        let [first, second] = &self.nodes[..] else {
            panic!("two nodes");
        };
        second.log.hold_back(true);
        let cursor = first.publish("a", "1");
        first.publish("a", "2");
        (first, second, cursor)
    }

    /// Waits until all nodes that are not held back have applied everything.
    pub(crate) fn settle(&self) {
        let last = self.log.last();
        for node in &self.nodes {
            wait_until("a node has caught up", || node.hub.head() >= last);
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for node in &self.nodes {
            node.listeners.0.stop();
            node.listeners.1.stop();
            node.listeners.2.stop();
            node.hub.stop();
        }
    }
}

impl Node {
    fn start(
        log: &MemoryLog,
        runtime: &Runtime,
        auth: &Arc<Auth>,
        catch_up_max: Duration,
        change: impl Fn(&mut Settings),
    ) -> Self {
        let mut settings = Settings::on_free_ports();
        settings.shards = 2;
        settings.hosts = vec!["*".parse().expect("any")];
        change(&mut settings);
        let socket = config::socket(&settings);
        let bind = |name, address| server::bind(name, address, &socket).expect("a free port");
        let public = bind("listen", settings.listen);
        let operators = bind("admin_listen", settings.admin_listen);
        let publishers = std::net::TcpListener::bind(settings.ingest_listen).expect("a free port");
        let http = public.local_addr().expect("an address");
        let admin = operators.local_addr().expect("an address");
        let ingest = publishers.local_addr().expect("an address");
        let hub_config = HubConfig {
            catch_up_max,
            ..config::hub(&settings)
        };
        let hub = Hub::start(log.config(hub_config), 1_000).expect("threads");
        let tail = log.join(&hub, runtime.handle());
        let (stop_public, follower) = control();
        let serving = api::serve(
            public,
            config::api(&settings),
            hub.clone(),
            Arc::clone(auth),
            follower,
        );
        runtime.spawn(async { serving.await.expect("a listener") });
        let (stop_ingest, follower) = control();
        let serving = ingest::serve(publishers, config::ingest(&settings), hub.clone(), follower);
        runtime.spawn(async { serving.await.expect("a listener") });
        let (stop_admin, follower) = control();
        let serving = admin::serve(
            operators,
            config::admin(&settings),
            hub.clone(),
            None,
            follower,
        );
        runtime.spawn(async { serving.await.expect("a listener") });
        let presence = hub.clone();
        runtime.spawn(async move { presence.announce().await });
        Self {
            hub,
            log: tail,
            http,
            ingest,
            admin,
            listeners: (stop_public, stop_ingest, stop_admin),
        }
    }

    pub(crate) fn post(&self, target: &str, fields: &[(&str, &str)], body: &str) -> Response {
        request(self.http, "POST", target, fields, body.as_bytes())
    }

    /// Publishes with an idempotency key.
    pub(crate) fn post_keyed(&self, target: &str, key: &str, body: &str) -> Response {
        let fields = [("Content-Type", JSON), ("Idempotency-Key", key)];
        self.post(target, &fields, body)
    }

    /// Publishes `data` as it is; returns the event's id as clients see it.
    pub(crate) fn publish(&self, topic: &str, data: &str) -> String {
        let answer = self.post(&format!("/publish/{topic}"), &[], data);
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()["id"].as_str().expect("an id").to_owned()
    }

    pub(crate) fn subscribe(&self, target: &str) -> SseStream {
        SseStream::open(self.http, target)
    }

    pub(crate) fn resume(&self, target: &str, cursor: &str) -> SseStream {
        SseStream::resume(self.http, target, cursor)
    }

    /// The status that a stream with this cursor is answered with.
    pub(crate) fn status_of(&self, target: &str, cursor: &str) -> u16 {
        let mut connection = Connection::open(self.http);
        let asks = format!("GET {target} HTTP/1.1\r\nHost: a\r\nLast-Event-ID: {cursor}\r\n\r\n");
        connection.send(asks.as_bytes());
        connection.head().status
    }

    /// Sends a command to the ingest port; the first line of its reply.
    pub(crate) fn command(&self, words: &[&str]) -> String {
        let mut client = resp::Client::open(self.ingest);
        client.send(words);
        client.line()
    }

    /// Text and id of all events of a topic, as they are kept.
    pub(crate) fn kept(&self, topic: &str) -> Vec<(EventId, Vec<u8>)> {
        let all = (EventId::ZERO, EventId::new(u64::MAX));
        let mut range = self.hub.history_range(topic, all, usize::MAX, false);
        let mut kept = Vec::new();
        loop {
            let portion = self.hub.history_portion(&mut range);
            if portion.is_empty() {
                return kept;
            }
            let portion = portion.into_iter();
            kept.extend(portion.map(|stored| (stored.id, stored.text.to_vec())));
        }
    }

    /// Waits until this many streams are open.
    pub(crate) fn wait_for_streams(&self, count: usize) {
        wait_until("streams are open", || self.hub.streams() == count);
    }
}
