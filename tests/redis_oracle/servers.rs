use std::fmt;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use fantail::settings::{IngestUser, Settings};
use tempfile::TempDir;

use crate::free_port::free_address;
use crate::support::{DEADLINE, Node, command};

/// Ends every conversation: whether the connection still lives, and whether everything before was
/// complete, shows in the answer.
const MARK: &str = "the-end";

/// The password of the default user, if it has one.
pub(crate) const PASSWORD: &str = "secret";

/// A `redis-server` of the test's own.
struct Redis {
    process: Child,
    address: SocketAddr,
    // Its working directory, so that none of its files can be found elsewhere.
    _directory: TempDir,
}

impl Redis {
    fn start(arguments: &[&str]) -> Self {
        // Another program may use the free port first.
        for _ in 0..10 {
            if let Some(redis) = Self::try_start(free_address(), arguments) {
                return redis;
            }
        }
        panic!("redis-server does not start; run it by hand to see why");
    }

    /// `None` if another program has the address.
    fn try_start(address: SocketAddr, arguments: &[&str]) -> Option<Self> {
        let directory = tempfile::tempdir().expect("a directory");
        let port = address.port().to_string();
        let process = Command::new("redis-server")
            .args(["--port", &port, "--bind", "127.0.0.1", "--daemonize", "no"])
            .args(["--save", "", "--appendonly", "no", "--databases", "1"])
            // The limits of a node.
            .args(["--proto-max-bulk-len", "1048576"])
            .args(arguments)
            .current_dir(directory.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("redis-server: {error} (install redis-server)"));
        let mut redis = Self {
            process,
            address,
            _directory: directory,
        };
        redis.answers().then_some(redis)
    }

    /// Waits until it answers; false when it has ended. A connection that is accepted is no
    /// answer: the port may still be a stranger's.
    fn answers(&mut self) -> bool {
        // Where no password is set, the first of these is refused and the second is answered.
        let question = [command(&["AUTH", PASSWORD]), command(&["INFO", "server"])].concat();
        let own = format!("\r\nprocess_id:{}\r\n", self.process.id());
        let started = Instant::now();
        while self.process.try_wait().expect("a process").is_none() {
            if let Ok(mut stream) = TcpStream::connect(self.address) {
                let answer = converse(&mut stream, &question, usize::MAX);
                if String::from_utf8_lossy(&answer).contains(&own) {
                    return true;
                }
            }
            assert!(started.elapsed() < DEADLINE, "redis-server does not answer");
            std::thread::sleep(Duration::from_millis(5));
        }
        false
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// An answer, without the parts that cannot be equal.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Answer(String);

impl Answer {
    pub(crate) fn of(bytes: &[u8]) -> Self {
        let mut lines = Vec::new();
        let text = bytes.escape_ascii().to_string();
        for line in text.split("\\r\\n") {
            let previous = lines.last().map_or("", String::as_str);
            if is_id(line) {
                // The line before has its length.
                lines.pop();
                lines.push("<id>".to_owned());
            } else if line.starts_with("-NOPERM ") {
                // The words are those of Redis 7.2; 7.0 has others.
                lines.push("-NOPERM".to_owned());
            } else if line.starts_with("-NOAUTH HELLO ") {
                lines.push("-NOAUTH HELLO".to_owned());
            } else if line.starts_with(':') && previous == "id" {
                lines.push("<number>".to_owned());
            } else if line.starts_with('$') && previous == "version" {
                lines.push("<length>".to_owned());
            } else if previous == "<length>" {
                lines.push("<version>".to_owned());
            } else {
                lines.push(line.to_owned());
            }
        }
        Self(lines.join(" "))
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Whether a line is an id of now: 13 digits of milliseconds and a number.
fn is_id(line: &str) -> bool {
    let all_digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    line.split_once('-')
        .is_some_and(|(ms, number)| ms.len() == 13 && all_digits(ms) && all_digits(number))
}

/// A redis-server and a node with the same passwords and users.
pub(crate) struct Pair {
    redis: Redis,
    node: Node,
}

impl Pair {
    fn start(redis: &[&str], change: impl FnOnce(&mut Settings)) -> Self {
        Self {
            redis: Redis::start(redis),
            node: Node::with(change),
        }
    }

    /// Without passwords.
    pub(crate) fn open() -> Self {
        Self::start(&[], |_| {})
    }

    /// With a password for the default user.
    pub(crate) fn with_password() -> Self {
        Self::start(&["--requirepass", PASSWORD], |settings| {
            settings.ingest_password = Some(PASSWORD.into());
        })
    }

    /// With a password, and a user `bob` (password `pw`) who only publishes, to `news.*`.
    pub(crate) fn with_user() -> Self {
        let rules = "on >pw resetchannels &news.* ~news.* -@all +@connection -client|list +@transaction +publish +spublish +xadd +info \
                     +time +command";
        let rules: Vec<&str> = ["--requirepass", PASSWORD, "--user", "bob"]
            .into_iter()
            .chain(rules.split_whitespace())
            .collect();
        Self::start(&rules, |settings| {
            settings.ingest_password = Some(PASSWORD.into());
            settings.ingest_users = vec![IngestUser {
                name: "bob".to_owned(),
                password: "pw".into(),
                publish: vec!["news.*".parse().expect("a glob")],
            }];
        })
    }

    /// Both answers, Redis's first.
    pub(crate) fn ask(&self, bytes: &[u8]) -> (Answer, Answer) {
        self.ask_in_pieces(bytes, usize::MAX)
    }

    /// The same, with this many bytes per packet.
    pub(crate) fn ask_in_pieces(&self, bytes: &[u8], piece: usize) -> (Answer, Answer) {
        let talk = |address| Answer::of(&talk(address, bytes, piece));
        (talk(self.redis.address), talk(self.node.address))
    }

    /// The name and version of the redis-server.
    pub(crate) fn version(&self) -> String {
        let answer = talk(self.redis.address, b"INFO server\r\n", usize::MAX);
        let text = String::from_utf8_lossy(&answer).into_owned();
        let version = text.lines().find(|line| line.starts_with("redis_version"));
        version.unwrap_or("a guarded redis-server").to_owned()
    }

    /// Names of all commands of the node, subcommands included.
    pub(crate) fn node_commands(&self) -> Vec<String> {
        let mut names = query::<Vec<String>>(self.node.address, &["COMMAND", "LIST"]);
        let described: Vec<redis::Value> = query(self.node.address, &["COMMAND", "INFO"]);
        for command in &described {
            if let redis::Value::Array(parts) = command
                && let Some(redis::Value::Array(subcommands)) = parts.last()
            {
                names.extend(subcommands.iter().map(name_of));
            }
        }
        names
    }

    /// Both answers to `COMMAND INFO`: arity, flags, places of keys, categories.
    pub(crate) fn describe(&self, name: &str) -> (Vec<String>, Vec<String>) {
        let describe = |address| {
            let described: Vec<redis::Value> = query(address, &["COMMAND", "INFO", name]);
            match &described[..] {
                [redis::Value::Array(parts)] => parts.iter().take(7).map(words).collect(),
                other => vec![format!("{other:?}")],
            }
        };
        (describe(self.redis.address), describe(self.node.address))
    }
}

fn query<T: redis::FromRedisValue>(address: SocketAddr, words: &[&str]) -> T {
    let client = redis::Client::open(format!("redis://{address}")).expect("an address");
    let mut connection = client.get_connection().expect("connects");
    let mut command = redis::cmd(words[0]);
    words[1..].iter().for_each(|word| {
        command.arg(word);
    });
    command.query(&mut connection).expect("an answer")
}

fn name_of(described: &redis::Value) -> String {
    match described {
        redis::Value::Array(parts) => words(&parts[0]),
        other => panic!("no command: {other:?}"),
    }
}

/// A value as sorted words.
fn words(value: &redis::Value) -> String {
    match value {
        redis::Value::Int(number) => number.to_string(),
        redis::Value::BulkString(text) => String::from_utf8_lossy(text).into_owned(),
        redis::Value::SimpleString(text) => text.clone(),
        redis::Value::Array(items) | redis::Value::Set(items) => {
            let mut items: Vec<String> = items.iter().map(words).collect();
            items.sort();
            items.join(" ")
        }
        other => format!("{other:?}"),
    }
}

/// Sends `bytes` and the mark, ends its side, and returns the whole answer.
fn talk(address: SocketAddr, bytes: &[u8], piece: usize) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).expect("connects");
    let end = [
        &b"\r\n"[..],
        &command(&["RESET"]),
        &command(&["PING", MARK]),
    ]
    .concat();
    converse(&mut stream, &[bytes, &end].concat(), piece)
}

/// Sends `bytes`, at most `piece` of them per packet, ends its side, and returns the whole answer.
fn converse(stream: &mut TcpStream, bytes: &[u8], piece: usize) -> Vec<u8> {
    stream.set_nodelay(true).expect("a socket");
    stream.set_read_timeout(Some(DEADLINE)).expect("a socket");
    stream.set_write_timeout(Some(DEADLINE)).expect("a socket");
    for piece in bytes.chunks(piece) {
        // A server that has seen enough may have closed.
        if stream.write_all(piece).is_err() {
            break;
        }
    }
    let _ = stream.shutdown(Shutdown::Write);
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer) {
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
        Err(error) => panic!("{error} after {}", answer.escape_ascii()),
    }
    answer
}

/// A conversation with the stranger was taken for one with Redis.
#[test]
fn a_stranger_on_the_port_is_not_taken_for_redis() {
    let stranger = TcpListener::bind(free_address()).expect("a port");
    let address = stranger.local_addr().expect("an address");
    std::thread::spawn(move || stranger.incoming().for_each(drop));
    assert!(Redis::try_start(address, &[]).is_none());
}
