use fantail::bridge::entry::{Fields, Token, of_record};
use fantail::bridge::redis::{Address, Connection, Stream};
use fantail::hub::log::Record;
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::support::free_port::free_address;
use crate::support::node::Node;
use crate::support::{resp, wait_until};

/// A `redis-server` of the test's own.
pub(crate) struct Server {
    process: Child,
    pub(crate) address: SocketAddr,
    _directory: TempDir,
}

impl Server {
    pub(crate) fn start() -> Self {
        Self::with(&["--appendonly", "yes"])
    }

    /// With these arguments.
    pub(crate) fn with(arguments: &[&str]) -> Self {
        // Another program may use the free port first.
        for _ in 0..10 {
            let address = free_address();
            let mut server = Self::spawn(address, arguments);
            let mut has_ended = false;
            wait_until("the server answers or ends", || {
                has_ended = server.process.try_wait().expect("a child").is_some();
                has_ended || server.answers()
            });
            if !has_ended {
                return server;
            }
        }
        panic!("redis-server does not start; run it by hand to see why");
    }

    fn spawn(address: SocketAddr, arguments: &[&str]) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let port = address.port().to_string();
        let process = Command::new("redis-server")
            .args(["--port", &port, "--bind", "127.0.0.1", "--daemonize", "no"])
            .args(["--save", ""])
            .args(arguments)
            .current_dir(directory.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("redis-server: {error} (install redis-server)"));
        Self {
            process,
            address,
            _directory: directory,
        }
    }

    /// Whether the process behind the port is this one.
    fn answers(&self) -> bool {
        let Ok(client) = redis::Client::open(self.url()) else {
            return false;
        };
        let Ok(mut connection) = client.get_connection() else {
            return false;
        };
        let info: redis::RedisResult<String> =
            redis::cmd("INFO").arg("server").query(&mut connection);
        let own = format!("process_id:{}\r", self.process.id());
        // A server with a password gives none to this one.
        info.is_err() || info.is_ok_and(|info| info.contains(&own))
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    /// Makes one call.
    pub(crate) fn ask<T: redis::FromRedisValue>(&self, words: &[&str]) -> T {
        self.try_ask(words)
            .unwrap_or_else(|error| panic!("{words:?}: {error}"))
    }

    pub(crate) fn try_ask<T: redis::FromRedisValue>(
        &self,
        words: &[&str],
    ) -> redis::RedisResult<T> {
        let client = redis::Client::open(self.url())?;
        let mut connection = client.get_connection()?;
        let mut command = redis::cmd(words[0]);
        for word in &words[1..] {
            command.arg(word);
        }
        command.query(&mut connection)
    }

    /// A node on this log.
    pub(crate) fn node(&self, flags: &[&str]) -> Node {
        Node::start_with(&[&["--log", &self.url()], flags].concat())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
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
