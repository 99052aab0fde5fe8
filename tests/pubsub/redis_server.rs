//! A `redis-server` of a test's own, which it may kill and start again on the same port.

use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::thread::park_timeout;
use std::time::{Duration, Instant};

use redis::Connection;

use crate::support::DEADLINE;
use crate::support::free_port::free_address;

pub(crate) struct Redis {
    process: Child,
    pub(crate) address: SocketAddr,
    arguments: Vec<String>,
}

impl Redis {
    pub(crate) fn start() -> Self {
        Self::start_with(&[])
    }

    /// A server with these users, as in its configuration.
    pub(crate) fn with_users(users: &[&str]) -> Self {
        let words = users
            .iter()
            .flat_map(|user| ["--user"].into_iter().chain(user.split(' ')));
        Self::start_with(&words.collect::<Vec<_>>())
    }

    pub(crate) fn start_with(arguments: &[&str]) -> Self {
        let arguments: Vec<String> = arguments.iter().map(|&text| text.to_owned()).collect();
        // Another program may use the free port first.
        for _ in 0..10 {
            let address = free_address();
            let mut redis = Self {
                process: spawn(address, &arguments),
                address,
                arguments: arguments.clone(),
            };
            if redis.answers() {
                return redis;
            }
        }
        panic!("redis-server does not start; run it by hand to see why");
    }

    /// Kills it at once, as a crash would.
    pub(crate) fn kill(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }

    /// Starts it again on the same port.
    pub(crate) fn start_again(&mut self) {
        self.process = spawn(self.address, &self.arguments);
        assert!(self.answers(), "redis-server has ended");
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    pub(crate) fn connect(&self) -> Connection {
        let client = redis::Client::open(self.url()).expect("a URL");
        client.get_connection().expect("connects")
    }

    /// Publishes a message; returns the number of subscriptions that it went to.
    pub(crate) fn publish(&self, channel: &str, message: impl AsRef<[u8]>) -> i64 {
        let mut command = redis::cmd("PUBLISH");
        command.arg(channel).arg(message.as_ref());
        command.query(&mut self.connect()).expect("published")
    }

    /// Waits until it answers; false when it has ended.
    fn answers(&mut self) -> bool {
        let started = Instant::now();
        while self.process.try_wait().expect("a process").is_none() {
            let client = redis::Client::open(self.url()).expect("a URL");
            if let Ok(mut connection) = client.get_connection() {
                // An error is an answer, too: it may want a password.
                let answer = redis::cmd("PING").query::<String>(&mut connection);
                if answer.is_ok() || answer.is_err_and(|error| error.code().is_some()) {
                    return true;
                }
            }
            assert!(started.elapsed() < DEADLINE, "redis-server does not answer");
            park_timeout(Duration::from_millis(5));
        }
        false
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.kill();
    }
}

fn spawn(address: SocketAddr, arguments: &[String]) -> Child {
    let port = address.port().to_string();
    Command::new("redis-server")
        .args(["--port", &port, "--bind", "127.0.0.1", "--daemonize", "no"])
        .args(["--save", "", "--appendonly", "no", "--dir", "/tmp"])
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap_or_else(|error| panic!("redis-server: {error} (install redis-server)"))
}
