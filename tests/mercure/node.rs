use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use fantail::api;
use fantail::auth::{Auth, KeySet, Policy, Role};
use fantail::hub::Hub;
use fantail::node;
use fantail::orders::{Control, control};
use fantail::server::{self, Listening};
use fantail::settings::{KeySource, Settings};
use jsonwebtoken::{EncodingKey, Header, encode};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::support::http::{Connection, Response, request};
use crate::support::sse::SseStream;
use crate::support::wait_until;

/// Path of the hub.
pub(crate) const HUB: &str = "/.well-known/mercure";

/// Secret of the tokens of these tests.
pub(crate) const SECRET: &str = "!ChangeThisMercureHubJWTSecretKey!";

/// Type of a publish call to the hub.
pub(crate) const FORM: &str = "application/x-www-form-urlencoded";

/// A hub with a public listener on a free port.
pub(crate) struct Node {
    pub(crate) hub: Hub,
    pub(crate) address: SocketAddr,
    pub(crate) auth: Arc<Auth>,
    pub(crate) runtime: Runtime,
    stop: Control<Listening>,
}

impl Node {
    /// Without any keys.
    pub(crate) fn open() -> Self {
        Self::with_keys(&[], |_| {})
    }

    /// With keys for both roles.
    pub(crate) fn guarded() -> Self {
        Self::with(|_| {})
    }

    /// The same, with settings that differ from the defaults by `change`.
    pub(crate) fn with(change: impl FnOnce(&mut Settings)) -> Self {
        Self::with_keys(&[Role::Publisher, Role::Subscriber], change)
    }

    /// With keys for these roles only.
    pub(crate) fn with_keys(roles: &[Role], change: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = Settings::on_free_ports();
        settings.hosts = vec!["*".parse().expect("any")];
        settings.shards = 2;
        if roles.contains(&Role::Subscriber) {
            settings.jwt_keys = Some(KeySource::Secret(SECRET.into()));
        }
        change(&mut settings);
        let auth = Arc::new(Auth::new(Policy {
            token_bytes_max: settings.token_bytes_max,
            topics_from: settings.topics_from.clone(),
            ..Policy::default()
        }));
        for role in roles {
            let keys = KeySet::from_secret(SECRET.as_bytes(), None).expect("a key");
            auth.replace(*role, Arc::new(keys));
        }
        let listener = server::bind("listen", settings.listen, &node::config::socket(&settings))
            .expect("a free port");
        let address = listener.local_addr().expect("an address");
        let api_config = node::config::api(&settings);
        let hub = Hub::start(node::config::hub(&settings), 1_000).expect("threads");
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("a runtime");
        let (stop, follower) = control();
        let serving = api::serve(
            listener,
            api_config,
            hub.clone(),
            Arc::clone(&auth),
            follower,
        );
        runtime.spawn(async { serving.await.expect("a listener") });
        let presence = hub.clone();
        runtime.spawn(async move { presence.announce().await });
        Self {
            hub,
            address,
            auth,
            runtime,
            stop,
        }
    }

    /// A call without a body.
    pub(crate) fn call(&self, method: &str, target: &str, fields: &[(&str, &str)]) -> Response {
        request(self.address, method, target, fields, b"")
    }

    /// A `GET` with a token.
    pub(crate) fn get(&self, target: &str, token: &str) -> Response {
        self.call("GET", target, &[("Authorization", &bearer(token))])
    }

    /// Publishes a form to the hub with a token.
    pub(crate) fn post(&self, token: &str, form: &str) -> Response {
        let fields = [("Authorization", &*bearer(token)), ("Content-Type", FORM)];
        request(self.address, "POST", HUB, &fields, form.as_bytes())
    }

    /// Publishes to the hub with a token for every topic; returns the event's id.
    pub(crate) fn publish(&self, form: &str) -> String {
        let answer = self.post(&publisher(&["*"]), form);
        assert_eq!(answer.status, 200, "{form}: {answer:?}");
        answer.body
    }

    /// Opens a stream with a token, and reads on until it was primed.
    pub(crate) fn subscribe(&self, target: &str, token: &str) -> SseStream {
        let fields = [("Authorization", &*bearer(token))];
        primed(SseStream::request(self.address, target, &fields))
    }

    /// Opens a stream without a token.
    pub(crate) fn subscribe_anonymously(&self, target: &str) -> SseStream {
        SseStream::open(self.address, target)
    }

    /// Opens a stream without a token from another address of this machine.
    pub(crate) fn subscribe_from(&self, from: IpAddr, target: &str) -> SseStream {
        let mut connection = Connection::open_from(from, self.address);
        let request = format!("GET {target} HTTP/1.1\r\nHost: {}\r\n\r\n", self.address);
        connection.send(request.as_bytes());
        primed(SseStream::read(connection))
    }

    /// Resumes a stream with a token.
    pub(crate) fn resume(&self, target: &str, token: &str, cursor: &str) -> SseStream {
        let fields = [
            ("Authorization", &*bearer(token)),
            ("Last-Event-ID", cursor),
        ];
        SseStream::request(self.address, target, &fields)
    }

    pub(crate) fn wait_for_streams(&self, count: usize) {
        wait_until(&format!("{count} streams are open"), || {
            self.hub.streams() == count
        });
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.stop.stop();
        self.hub.stop();
    }
}

/// Reads on until the stream has its cursor: from then on no published event can be missed.
pub(crate) fn primed(mut stream: SseStream) -> SseStream {
    while stream.cursor.is_empty() {
        assert_eq!(stream.step(), Some(None), "a stream starts with its cursor");
    }
    stream
}

/// A token with these claims, by the key of these tests.
pub(crate) fn token(claims: &Value) -> String {
    sign(&Header::default(), claims, SECRET)
}

/// A token with this header and these claims, by any secret.
pub(crate) fn sign(header: &Header, claims: &Value, secret: &str) -> String {
    encode(header, claims, &EncodingKey::from_secret(secret.as_bytes())).expect("a token")
}

/// A token that may publish to these topics.
pub(crate) fn publisher(topics: &[&str]) -> String {
    token(&json!({ "mercure": { "publish": topics } }))
}

/// A token that may hear private events of these topics.
pub(crate) fn subscriber(topics: &[&str]) -> String {
    token(&json!({ "mercure": { "subscribe": topics } }))
}

pub(crate) fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

/// Seconds since the unix epoch.
pub(crate) fn now_unix_s() -> u64 {
    now_unix_ms() / 1_000
}

/// Milliseconds since the unix epoch.
pub(crate) fn now_unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.expect("a clock that is set").as_millis() as u64
}
