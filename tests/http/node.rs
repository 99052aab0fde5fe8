use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use fantail::api::{self, ApiConfig};
use fantail::hub::Hub;
use fantail::node;
use fantail::orders::{Control, control};
use fantail::server::{self, Carried, Listening};
use fantail::settings::Settings;
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

use crate::support::frozen::Freezing;
use crate::support::http::{Connection, Response, request};
use crate::support::sse::SseStream;
use crate::support::{DEADLINE, wait_until};

/// Streams that a node of these tests has room for, unless a test sets another number.
const STREAMS_MAX: usize = 1_000;

/// Names that tests call a node by.
const HOSTS: [&str; 3] = ["a", "node", "x"];

/// A hub with a public listener on a free port.
pub(crate) struct Node {
    pub(crate) hub: Hub,
    pub(crate) address: SocketAddr,
    pub(crate) runtime: Runtime,
    stop: Control<Listening>,
    served: Option<JoinHandle<()>>,
    config: ApiConfig,
}

impl Node {
    pub(crate) fn start() -> Self {
        Self::with(|_| {})
    }

    /// A node whose settings differ from the defaults by `change`.
    pub(crate) fn with(change: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = Settings::on_free_ports();
        settings.shards = 2;
        settings.hosts = HOSTS.map(|name| name.parse().expect(name)).into();
        change(&mut settings);
        let streams_max = match settings.max_streams {
            0 => STREAMS_MAX,
            count => count,
        };
        let listener = server::bind("listen", settings.listen, &node::config::socket(&settings))
            .expect("a free port");
        let address = listener.local_addr().expect("an address");
        let api_config = node::config::api(&settings);
        let hub = Hub::start(node::config::hub(&settings), streams_max).expect("threads");
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("a runtime");
        let (stop, follower) = control();
        let config = api_config.clone();
        let serving = api::serve(listener, api_config, hub.clone(), Arc::default(), follower);
        let served = runtime.spawn(async { serving.await.expect("a listener") });
        Self {
            hub,
            address,
            runtime,
            stop,
            served: Some(served),
            config,
        }
    }

    pub(crate) fn connect(&self) -> Connection {
        Connection::open(self.address)
    }

    /// Sends `text` on a connection of its own and reads one response.
    pub(crate) fn raw(&self, text: &str) -> Response {
        let mut connection = self.connect();
        connection.send(text.as_bytes());
        connection.response("GET")
    }

    pub(crate) fn get(&self, target: &str) -> Response {
        request(self.address, "GET", target, &[], b"")
    }

    pub(crate) fn post(&self, target: &str, kind: &str, body: &str) -> Response {
        let fields = [("Content-Type", kind)];
        request(self.address, "POST", target, &fields, body.as_bytes())
    }

    /// Publishes `data` as it is.
    pub(crate) fn publish(&self, topic: &str, data: &str) -> serde_json::Value {
        let answer = self.post(&format!("/publish/{topic}"), "text/plain", data);
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()
    }

    pub(crate) fn subscribe(&self, target: &str) -> SseStream {
        SseStream::open(self.address, target)
    }

    pub(crate) fn wait_for_streams(&self, count: usize) {
        wait_until(&format!("{count} streams are open"), || {
            self.hub.streams() == count
        });
    }

    /// Waits until this many connections are open that are not streams.
    pub(crate) fn wait_for_connections(&self, count: u64) {
        wait_until(&format!("{count} connections are open"), || {
            self.hub.node_metrics().http.connections.get() == count
        });
    }

    /// Makes the listener stop.
    pub(crate) fn stop(&self) {
        self.stop.stop();
    }

    /// Waits until serving has ended; panics if it does not.
    pub(crate) fn wait_served(&mut self) {
        let served = self.served.take().expect("waited once");
        let ended = self
            .runtime
            .block_on(async { tokio::time::timeout(DEADLINE, served).await });
        ended.expect("serving ends").expect("no panic");
    }
}

impl Freezing for Node {
    type Listening = Listening;

    fn control(&mut self) -> (&mut Control<Listening>, &Runtime) {
        (&mut self.stop, &self.runtime)
    }

    /// A new listener goes on with the descriptors and the bytes of the frozen one.
    fn hand_over(&mut self) {
        let mut released = self.stop.release().expect("it is frozen");
        let connections = released.connections.drain(..);
        released.connections = connections
            .map(|old| Carried::new(old.socket, old.unread, old.asked, old.waited))
            .collect();
        let (stop, follower) = control();
        let hub = self.hub.clone();
        let serving = api::serve(released, self.config.clone(), hub, Arc::default(), follower);
        let served = self
            .runtime
            .spawn(async { serving.await.expect("a listener") });
        self.stop = stop;
        self.served = Some(served);
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.stop();
        self.hub.stop();
    }
}

/// Short enough to wait for, long enough for a loaded machine to do its part before.
pub(crate) const SHORT: Duration = Duration::from_millis(300);
