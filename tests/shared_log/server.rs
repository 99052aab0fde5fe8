use std::net::SocketAddr;
use std::ops::Deref;

use fantail::bridge::entry::{Fields, Token, of_record};
use fantail::bridge::redis::{Address, Connection, Stream};
use fantail::hub::log::Record;

use crate::redis_server::{self, Keeps};
use crate::support::node::Node;
use crate::support::resp;

/// A `redis-server` of the test's own.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    server: redis_server::Server,
}

impl Server {
    pub(crate) fn start() -> Self {
        Self::with_arguments(Keeps::Written, &[])
    }

    /// With these arguments.
    pub(crate) fn with(arguments: &[&str]) -> Self {
        Self::with_arguments(Keeps::Nothing, arguments)
    }

    fn with_arguments(keeps: Keeps, arguments: &[&str]) -> Self {
        let server = redis_server::Server::start(keeps, arguments);
        Self {
            address: server.address(),
            server,
        }
    }

    /// The reply to a command, or the error.
    pub(crate) fn try_ask<T: redis::FromRedisValue>(
        &self,
        words: &[&str],
    ) -> redis::RedisResult<T> {
        redis_server::try_ask(&mut redis_server::connection(self.address)?, words)
    }

    /// A node on this log.
    pub(crate) fn node(&self, flags: &[&str]) -> Node {
        Node::start_with(&[&["--log", &self.url()], flags].concat())
    }
}

impl Deref for Server {
    type Target = redis_server::Server;

    fn deref(&self) -> &Self::Target {
        &self.server
    }
}

/// Publishes an event over the ingest port, with its id as the answer.
pub(crate) fn add(node: &Node, topic: &str, data: &str) -> String {
    let mut connection = resp::Client::open(node.ingest);
    connection.send(&["XADD", topic, "*", "data", data]);
    let _length = connection.line();
    connection.line()
}

/// A connection, as a node has it.
pub(crate) async fn connect(server: &Server) -> Connection {
    let address = Address::parse(&server.url()).expect("an address");
    let connection = Connection::connect(&address, "fantail").await;
    connection.expect("a connection")
}

pub(crate) fn stream() -> Stream {
    Stream {
        key: "fantail".to_owned(),
        events_max: 1_000_000,
    }
}

/// The entry of an event.
pub(crate) fn fields(data: &str) -> Fields {
    let record = Record {
        topics: vec!["t".into()],
        data: data.to_owned(),
        ..Record::default()
    };
    of_record(record, Token { node: 1, number: 2 })
}
