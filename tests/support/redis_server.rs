//! A `redis-server` or `valkey-server` of the test's own, which it kills, stops and starts again.

// Each test binary uses a part of it.
#![allow(dead_code)]

use std::fs::File;
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use redis::FromRedisValue;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::support::free_port::free_address;
use crate::support::{DEADLINE, wait_until};

/// The variable that names another server, such as a `valkey-server`.
const SERVER: &str = "CLUSTER_SERVER";

/// Longest wait for a reply; a stopped server gives none.
const PATIENCE: Duration = Duration::from_secs(5);

/// What outlives a kill.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keeps {
    /// Nothing: a server that starts again is empty.
    Nothing,
    /// An append-only file that is written before each answer, and that the system syncs: everything
    /// that was answered, as long as the machine lives. One that is synced every second has less:
    /// while a sync takes its time, Redis answers for up to two seconds what it has not written yet.
    Written,
    /// The same, and synced before each answer.
    Always,
}

impl Keeps {
    fn arguments(self) -> &'static [&'static str] {
        match self {
            Self::Nothing => &["--appendonly", "no"],
            Self::Written => &["--appendonly", "yes", "--appendfsync", "no"],
            Self::Always => &["--appendonly", "yes", "--appendfsync", "always"],
        }
    }
}

/// The server under test.
pub(crate) fn program() -> String {
    std::env::var(SERVER).unwrap_or_else(|_| "redis-server".to_owned())
}

/// A server, its address and its directory.
pub(crate) struct Server {
    program: String,
    process: Option<Child>,
    address: SocketAddr,
    directory: TempDir,
    arguments: Vec<String>,
}

impl Server {
    /// Starts the server under test on a free port.
    pub(crate) fn start(keeps: Keeps, more: &[&str]) -> Self {
        Self::start_program(&program(), keeps, more)
    }

    /// Starts this program on a free port.
    pub(crate) fn start_program(program: &str, keeps: Keeps, more: &[&str]) -> Self {
        let common = [
            "--bind 127.0.0.1 --daemonize no --maxmemory-policy noeviction",
            "--enable-debug-command local --repl-diskless-sync-delay 0 --repl-timeout 5",
        ];
        let words = common.iter().flat_map(|line| line.split(' '));
        let words = words
            .chain(["--save", ""])
            .chain(keeps.arguments().iter().copied());
        let mut server = Self {
            program: program.to_owned(),
            process: None,
            address: free_address(),
            directory: tempfile::tempdir().expect("a directory"),
            arguments: words
                .chain(more.iter().copied())
                .map(str::to_owned)
                .collect(),
        };
        // Another program may use the free port first.
        for _ in 0..10 {
            if server.try_spawn() {
                return server;
            }
            server.address = free_address();
        }
        panic!("{program} does not start; {}", server.said());
    }

    /// Its address.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The address of its database, as settings have it.
    pub(crate) fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    /// Starts it again, with the same port and files.
    pub(crate) fn restart(&mut self) {
        assert!(self.try_spawn(), "the server ended: {}", self.said());
    }

    /// SIGKILL, and waits until it is gone.
    pub(crate) fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().expect("the child is ours");
            process.wait().expect("a child");
        }
    }

    /// SIGSTOP: sockets stay open, nothing is answered.
    pub(crate) fn pause(&self) {
        self.signal(Signal::STOP);
    }

    /// SIGCONT.
    pub(crate) fn resume(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        let process = self.process.as_ref().expect("it runs");
        kill_process(Pid::from_child(process), signal).expect("the child is ours");
    }

    /// A new connection.
    pub(crate) fn connection(&self) -> redis::Connection {
        connection(self.address).unwrap_or_else(|error| panic!("{}: {error}", self.address))
    }

    /// The reply to a command on a connection of its own.
    pub(crate) fn ask<T: FromRedisValue>(&self, words: &[&str]) -> T {
        ask(&mut self.connection(), words)
    }

    /// Makes it a replica of `master`, and waits until it has everything.
    pub(crate) fn follow(&self, master: &Server) {
        let port = master.address.port().to_string();
        self.ask::<()>(&["REPLICAOF", "127.0.0.1", &port]);
        wait_until("the replica has everything", || {
            let info: String = self.ask(&["INFO", "replication"]);
            info.contains("master_link_status:up")
        });
    }

    /// Whether it says that it is a master.
    pub(crate) fn is_master(&self) -> bool {
        self.has_role("master")
    }

    /// Whether it says that it follows one.
    pub(crate) fn is_replica(&self) -> bool {
        self.has_role("slave")
    }

    /// A server that changes its role closes its connections, and has none for a moment.
    fn has_role(&self, role: &str) -> bool {
        let info = connection(self.address).and_then(|mut connection| {
            try_ask::<String>(&mut connection, &["INFO", "replication"])
        });
        info.is_ok_and(|info| info.contains(&format!("role:{role}")))
    }

    /// Its log so far.
    pub(crate) fn said(&self) -> String {
        std::fs::read_to_string(self.log()).unwrap_or_default()
    }

    fn log(&self) -> std::path::PathBuf {
        self.directory.path().join("server.log")
    }

    /// Starts the process; false if it ends before it answers.
    fn try_spawn(&mut self) -> bool {
        let log = File::options().create(true).append(true).open(self.log());
        let process = Command::new(&self.program)
            .args(["--port", &self.address.port().to_string()])
            .args(&self.arguments)
            .current_dir(self.directory.path())
            .stdin(Stdio::null())
            .stdout(log.expect("a file"))
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| {
                panic!(
                    "{}: {error} (`cargo xtask tools` installs it)",
                    self.program
                )
            });
        let own = format!("\r\nprocess_id:{}\r\n", process.id());
        self.process = Some(process);
        let mut runs = true;
        wait_until("the server answers", || {
            let process = self.process.as_mut().expect("it was spawned");
            runs = process.try_wait().expect("a child").is_none();
            // The port may be a stranger's.
            let info = connection(self.address).ok().and_then(|mut connection| {
                redis::cmd("INFO").query::<String>(&mut connection).ok()
            });
            !runs || info.is_some_and(|info| info.contains(&own))
        });
        runs
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // One that is stopped is killed all the same.
        self.kill();
    }
}

/// Connects, with a bound on every wait.
pub(crate) fn connection(address: SocketAddr) -> redis::RedisResult<redis::Connection> {
    let client = redis::Client::open(format!("redis://{address}"))?;
    let connection = client.get_connection_with_timeout(PATIENCE)?;
    connection.set_read_timeout(Some(PATIENCE))?;
    connection.set_write_timeout(Some(PATIENCE))?;
    Ok(connection)
}

/// The reply to a command.
pub(crate) fn ask<T: FromRedisValue>(connection: &mut redis::Connection, words: &[&str]) -> T {
    try_ask(connection, words).unwrap_or_else(|error| panic!("{words:?}: {error}"))
}

/// The reply to a command, or the error.
pub(crate) fn try_ask<T: FromRedisValue>(
    connection: &mut redis::Connection,
    words: &[&str],
) -> redis::RedisResult<T> {
    let mut command = redis::cmd(words[0]);
    words[1..].iter().for_each(|word| {
        command.arg(word);
    });
    command.query(connection)
}

/// Three Sentinels that watch one master, under the name [`Sentinels::NAME`].
pub(crate) struct Sentinels {
    servers: Vec<Sentinel>,
}

struct Sentinel {
    process: Child,
    address: SocketAddr,
    _directory: TempDir,
}

impl Sentinels {
    /// The name of the master.
    pub(crate) const NAME: &'static str = "fantail";

    /// Starts three, and waits until they know each other and `replicas` of the master.
    pub(crate) fn watch(master: &Server, replicas: usize) -> Self {
        let servers = (0..3).map(|_| Sentinel::start(master.address)).collect();
        let sentinels = Self { servers };
        wait_until("the Sentinels know each other and the replicas", || {
            let knows = |sentinel: &Sentinel, what: &str| -> usize {
                let list = connection(sentinel.address).and_then(|mut connection| {
                    try_ask::<Vec<redis::Value>>(&mut connection, &["SENTINEL", what, Self::NAME])
                });
                list.map_or(0, |list| list.len())
            };
            let mut all = sentinels.servers.iter();
            all.all(|one| knows(one, "sentinels") == 2 && knows(one, "replicas") == replicas)
        });
        sentinels
    }

    /// Their addresses.
    pub(crate) fn addresses(&self) -> Vec<SocketAddr> {
        self.servers
            .iter()
            .map(|sentinel| sentinel.address)
            .collect()
    }

    /// Where all of them say that the master is; `None` as long as they differ.
    pub(crate) fn master(&self) -> Option<SocketAddr> {
        let ask = |sentinel: &Sentinel| -> Option<SocketAddr> {
            let mut connection = connection(sentinel.address).ok()?;
            let words = ["SENTINEL", "get-master-addr-by-name", Self::NAME];
            let address: Vec<String> = try_ask(&mut connection, &words).ok()?;
            address.join(":").parse().ok()
        };
        let answers: Vec<_> = self.servers.iter().map(ask).collect();
        answers[0].filter(|_| answers.iter().all(|other| *other == answers[0]))
    }

    /// Makes them name another master, without a word to the one before.
    pub(crate) fn name(&self, master: &Server) {
        let port = master.address.port().to_string();
        for sentinel in &self.servers {
            let mut connection = connection(sentinel.address).expect("a Sentinel answers");
            let mut tell = |words: &[&str]| ask::<()>(&mut connection, words);
            tell(&["SENTINEL", "REMOVE", Self::NAME]);
            tell(&["SENTINEL", "MONITOR", Self::NAME, "127.0.0.1", &port, "2"]);
        }
    }

    /// `SENTINEL FAILOVER`, as soon as one of them has a replica that it may promote.
    pub(crate) fn failover(&self) {
        wait_until("a Sentinel begins a failover", || {
            let mut connection = connection(self.servers[0].address).expect("a Sentinel answers");
            try_ask::<()>(&mut connection, &["SENTINEL", "FAILOVER", Self::NAME]).is_ok()
        });
    }
}

impl Sentinel {
    fn start(master: SocketAddr) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let address = free_address();
        let name = Sentinels::NAME;
        let lines = [
            format!("port {}", address.port()),
            "bind 127.0.0.1".to_owned(),
            format!(
                "sentinel monitor {name} {} {} 2",
                master.ip(),
                master.port()
            ),
            format!("sentinel down-after-milliseconds {name} 1000"),
            format!("sentinel failover-timeout {name} 6000"),
        ];
        let file = directory.path().join("sentinel.conf");
        std::fs::write(&file, lines.join("\n")).expect("a file");
        let log = File::create(directory.path().join("sentinel.log")).expect("a file");
        let process = Command::new(program())
            .arg(&file)
            .arg("--sentinel")
            .current_dir(directory.path())
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}", program()));
        let sentinel = Self {
            process,
            address,
            _directory: directory,
        };
        wait_until("a Sentinel listens", || {
            TcpStream::connect_timeout(&address, DEADLINE).is_ok()
        });
        sentinel
    }
}

impl Drop for Sentinel {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
