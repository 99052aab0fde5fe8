//! Sources of token keys: URLs that fail and recover, and files that are read again.

mod support;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use fantail::auth::{Auth, Role, SigningKey, TokenError};
use fantail::node::{Node, ServerError};
use fantail::settings::{KeySource, Settings};
use rustix::process::Signal;
use serde_json::{Map, Value, json};

use support::http::Connection;
use support::node::{Node as Program, PROGRAM};
use support::supervisor::Supervisor;
use support::wait_until;

const NOW: Duration = Duration::from_secs(1_700_000_000);

/// Delay of a slow provider: several times the shortest time between two fetches.
const LATE: Duration = Duration::from_millis(400);

/// An answer of the server of key sets.
#[derive(Clone)]
enum Answer {
    /// The keys of these names.
    Keys(&'static [u8]),
    /// A whole response.
    Raw(String),
    /// The keys of these names, after a while.
    Late(&'static [u8]),
    /// The keys of these names, up to so many requests in all; then silence.
    KeysUpTo(usize, &'static [u8]),
    /// No answer, while the connection stays open.
    Silence,
}

/// A server of one key set, whose answer can be changed, and which counts the requests.
struct Provider {
    address: SocketAddr,
    answer: Arc<Mutex<Answer>>,
    asked: Arc<AtomicUsize>,
}

impl Provider {
    fn start(answer: Answer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let provider = Self {
            address: listener.local_addr().expect("an address"),
            answer: Arc::new(Mutex::new(answer)),
            asked: Arc::default(),
        };
        let (answer, asked) = (Arc::clone(&provider.answer), Arc::clone(&provider.asked));
        thread::spawn(move || {
            let mut silent = Vec::new();
            for socket in listener.incoming() {
                let mut socket = socket.expect("a connection");
                let mut head = Vec::new();
                let mut byte = [0];
                while !head.ends_with(b"\r\n\r\n") && socket.read(&mut byte).is_ok_and(|n| n > 0) {
                    head.push(byte[0]);
                }
                let number = asked.fetch_add(1, Ordering::SeqCst) + 1;
                let answer = answer.lock().expect("no panic").clone();
                match answer {
                    Answer::KeysUpTo(last, _) if number > last => silent.push(socket),
                    Answer::Keys(names) | Answer::KeysUpTo(_, names) => {
                        let body = key_set(names);
                        let length = body.len();
                        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n");
                        let _ = socket.write_all((head + &body).as_bytes());
                    }
                    Answer::Late(names) => {
                        thread::sleep(LATE);
                        let body = key_set(names);
                        let length = body.len();
                        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n");
                        let _ = socket.write_all((head + &body).as_bytes());
                    }
                    Answer::Raw(text) => drop(socket.write_all(text.as_bytes())),
                    Answer::Silence => silent.push(socket),
                }
            }
        });
        provider
    }

    fn answers(&self, answer: Answer) {
        *self.answer.lock().expect("no panic") = answer;
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    /// A node whose tokens it has the keys of.
    fn node(&self, change: impl FnOnce(&mut Settings)) -> Running {
        let mut settings = Settings::on_free_ports();
        settings.shards = 1;
        settings.drain_period = Duration::ZERO;
        settings.jwt_keys = Some(KeySource::JwksUrl(format!("http://{}/keys", self.address)));
        change(&mut settings);
        Running::start(settings).expect("a node")
    }
}

/// A node in this process.
struct Running {
    runtime: tokio::runtime::Runtime,
    node: Node,
}

impl Running {
    fn start(settings: Settings) -> Result<Self, ServerError> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("a runtime");
        let node = runtime.block_on(Node::start(settings))?;
        Ok(Self { runtime, node })
    }

    fn verify(&self, name: u8) -> Result<(), TokenError> {
        let token = token(name);
        let auth = self.node.auth();
        auth.verify(Role::Subscriber, token.as_bytes(), NOW)
            .map(drop)
    }

    fn refresh(&self) {
        self.runtime
            .block_on(self.node.auth().refresh(Role::Subscriber));
    }

    /// Asks for newer keys until that has reached the provider.
    fn refresh_for_certain(&self, provider: &Provider) {
        let before = provider.asked();
        wait_until("the provider is asked", || {
            self.refresh();
            provider.asked() > before
        });
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _drained = self.runtime.block_on(self.node.drain());
    }
}

/// The seed of an Ed25519 key (RFC 8032 §5.1.5).
fn seed(name: u8) -> [u8; 32] {
    [name; 32]
}

fn key_set(names: &[u8]) -> String {
    let key = |name: &u8| {
        let kid = char::from(*name).to_string();
        let pair = Ed25519KeyPair::from_seed_unchecked(&seed(*name)).expect("a key");
        let x = URL_SAFE_NO_PAD.encode(pair.public_key());
        json!({"kty": "OKP", "crv": "Ed25519", "kid": kid, "x": x})
    };
    json!({"keys": names.iter().map(key).collect::<Vec<Value>>()}).to_string()
}

/// A token of the key of this name, which is in its header.
fn token(name: u8) -> String {
    // PKCS #8 (RFC 8410 §7): all that stands before the seed.
    let head = b"\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20";
    let text = STANDARD.encode([&head[..], &seed(name)].concat());
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{text}\n-----END PRIVATE KEY-----\n");
    let signing = SigningKey::from_pem(&pem, None).expect("a key");
    let signed = signing.with_key_id(&char::from(name).to_string());
    signed.sign(&Map::new()).expect("a token")
}

#[test]
fn keys_are_fetched_once_and_again_for_a_name_that_is_unknown() {
    let provider = Provider::start(Answer::Keys(b"a"));
    let running = provider.node(|settings| settings.jwks_refresh_min = Duration::from_secs(3_600));
    assert_eq!(provider.asked(), 1);
    for _ in 0..100 {
        assert_eq!(running.verify(b'a'), Ok(()));
    }
    assert_eq!(running.verify(b'b'), Err(TokenError::UnknownKey));
    assert_eq!(provider.asked(), 1);

    provider.answers(Answer::Keys(b"bc"));
    running.refresh();
    assert_eq!(provider.asked(), 2);
    assert_eq!(running.verify(b'b'), Ok(()));
    assert_eq!(running.verify(b'a'), Err(TokenError::UnknownKey));
    // Publishers have the same keys unless they have their own.
    let auth: &Auth = running.node.auth();
    assert!(
        auth.verify(Role::Publisher, token(b'c').as_bytes(), NOW)
            .is_ok()
    );

    // Further requests are answered with the current keys.
    for _ in 0..50 {
        running.refresh();
    }
    assert_eq!(provider.asked(), 2);
}

#[test]
fn many_who_ask_at_once_cause_one_fetch() {
    let provider = Provider::start(Answer::Keys(b"a"));
    let running = provider.node(|settings| settings.jwks_refresh_min = Duration::from_secs(3_600));
    provider.answers(Answer::Keys(b"b"));
    let auth = running.node.auth();
    running.runtime.block_on(async {
        let refresh = || {
            let auth = Arc::clone(auth);
            tokio::spawn(async move { auth.refresh(Role::Subscriber).await })
        };
        let all: Vec<_> = (0..100).map(|_| refresh()).collect();
        for one in all {
            one.await.expect("no panic");
        }
    });
    assert_eq!(running.verify(b'b'), Ok(()));
    assert_eq!(provider.asked(), 2);
}

#[test]
fn many_who_wait_for_a_slow_provider_are_served_by_one_fetch() {
    let provider = Provider::start(Answer::Keys(b"a"));
    let running = provider.node(|settings| settings.jwks_refresh_min = Duration::from_millis(100));
    provider.answers(Answer::Late(b"b"));
    let auth = running.node.auth();
    running.runtime.block_on(async {
        let refresh = || {
            let auth = Arc::clone(auth);
            tokio::spawn(async move { auth.refresh(Role::Subscriber).await })
        };
        let all: Vec<_> = (0..100).map(|_| refresh()).collect();
        for one in all {
            one.await.expect("no panic");
        }
    });
    assert_eq!(running.verify(b'b'), Ok(()));
    // Those that arrived during the first fetch may have caused another, all together.
    let asked = provider.asked();
    assert!((2..=3).contains(&asked), "{asked} fetches");
}

#[test]
fn the_last_good_keys_stay_whatever_the_provider_says() {
    let provider = Provider::start(Answer::Keys(b"a"));
    let running = provider.node(|settings| {
        settings.jwks_refresh_min = Duration::from_millis(100);
        settings.jwks_timeout = Duration::from_millis(200);
        settings.jwks_bytes_max = 1_024;
    });
    let with = |head: &str, body: &str| {
        let length = body.len();
        Answer::Raw(format!(
            "HTTP/1.1 {head}\r\ncontent-length: {length}\r\n\r\n{body}"
        ))
    };
    let secret = URL_SAFE_NO_PAD.encode([b'b'; 32]);
    let secrets = json!({"keys": [{"kty": "oct", "kid": "b", "k": secret}]}).to_string();
    let padded = key_set(b"b") + &" ".repeat(1_024);
    let elsewhere = Provider::start(Answer::Keys(b"b"));
    let location = format!("302 Found\r\nlocation: http://{}/", elsewhere.address);
    for answer in [
        with("500 Internal Server Error", &key_set(b"b")),
        with("404 Not Found", ""),
        with("200 OK", "<html>"),
        with("200 OK", "{\"keys\": []}"),
        with("200 OK", "{\"keys\": [{\"kty\": \"XYZ\"}]}"),
        // A secret that anyone may fetch.
        with("200 OK", &secrets),
        with("200 OK", &padded),
        with(&location, ""),
        Answer::Raw("HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n{".to_owned()),
        Answer::Raw(String::new()),
        Answer::Silence,
    ] {
        provider.answers(answer);
        running.refresh_for_certain(&provider);
        assert_eq!(running.verify(b'a'), Ok(()));
        assert_eq!(running.verify(b'b'), Err(TokenError::UnknownKey));
    }
    assert_eq!(elsewhere.asked(), 0);
    provider.answers(Answer::Keys(b"b"));
    running.refresh_for_certain(&provider);
    assert_eq!(running.verify(b'b'), Ok(()));
}

#[test]
fn a_node_starts_without_its_provider_and_tries_again_by_itself() {
    let provider = Provider::start(Answer::Silence);
    let running = provider.node(|settings| settings.jwks_timeout = Duration::from_millis(100));
    assert!(running.node.auth().has_keys(Role::Subscriber));
    assert_eq!(running.verify(b'a'), Err(TokenError::UnknownKey));
    provider.answers(Answer::Keys(b"a"));
    wait_until("the keys are there", || running.verify(b'a').is_ok());
}

#[test]
fn keys_are_fetched_anew_when_they_are_old() {
    let provider = Provider::start(Answer::Keys(b"a"));
    let running = provider.node(|settings| settings.jwks_max_age = Duration::from_secs(1));
    provider.answers(Answer::Keys(b"b"));
    wait_until("the new keys are there", || running.verify(b'b').is_ok());
}

#[test]
fn a_file_without_keys_is_told_by_its_setting_at_start() {
    let directory = tempfile::tempdir().expect("a directory");
    let missing = directory.path().join("missing");
    let empty = directory.path().join("empty");
    std::fs::write(&empty, "hush").expect("a file");
    for (source, setting) in [
        (
            KeySource::SecretFile(missing.clone()),
            "publisher_jwt_secret_file",
        ),
        (
            KeySource::PemFile(missing.clone()),
            "publisher_jwt_key_file",
        ),
        (KeySource::JwksFile(missing), "publisher_jwks_file"),
        (
            KeySource::SecretFile(empty.clone()),
            "publisher_jwt_secret_file",
        ),
        (KeySource::PemFile(empty.clone()), "publisher_jwt_key_file"),
        (KeySource::JwksFile(empty), "publisher_jwks_file"),
    ] {
        let mut settings = Settings::on_free_ports();
        settings.publisher_jwt_keys = Some(source);
        let error = Running::start(settings).err().expect("no node").to_string();
        let start = format!("`{setting}` = {}", directory.path().display());
        assert!(
            error.starts_with(&start) && !error.contains("hush"),
            "{error}"
        );
    }
}

/// `systemctl reload` returns when the new keys are in force, and not before.
#[test]
fn a_reload_is_reported_as_done_once_the_keys_are_there() {
    let provider = Provider::start(Answer::Keys(b"a"));
    let supervisor = Supervisor::new();
    let mut command = Command::new(PROGRAM);
    command.env("NOTIFY_SOCKET", supervisor.name());
    let url = format!("http://{}/keys", provider.address);
    let node = Program::start_as(command, &["--publisher-jwks-url", &url]);
    supervisor.wait_for("READY=1");
    let asked = provider.asked.load(Ordering::SeqCst);
    provider.answers(Answer::Late(b"b"));
    node.signal(Signal::HUP);
    let reloading = supervisor.wait_for("RELOADING=1");
    let ready = supervisor.wait_for("READY=1");
    assert_eq!(provider.asked.load(Ordering::SeqCst), asked + 1);
    assert!(
        ready.at - reloading.at >= LATE,
        "{:?}",
        ready.at - reloading.at
    );
    // A source that fails ends the reload as well: the old keys stay.
    provider.answers(Answer::Raw("HTTP/1.1 500 No\r\n\r\n".to_owned()));
    node.signal(Signal::HUP);
    supervisor.wait_for("RELOADING=1");
    supervisor.wait_for("READY=1");
}

/// Requests waited for the provider in the middle of an upgrade.
#[test]
fn a_program_that_takes_over_has_the_keys_of_the_former_one() {
    let provider = Provider::start(Answer::Keys(b"a"));
    let url = format!("http://{}/keys", provider.address);
    let flags = ["--jwks-url", &url, "--jwks-timeout", "1m"];
    let node = Program::start_with(&flags);
    // The check of the upgrade is answered, its program is not.
    provider.answers(Answer::KeysUpTo(provider.asked() + 1, b"a"));
    node.signal(Signal::USR2);
    node.wait_for_log("upgraded: this program has taken over");
    let mut stream = Connection::open(node.http);
    let token = token(b'a');
    let request = format!(
        "GET /events/news HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\nAuthorization: Bearer {token}\r\n\r\n"
    );
    stream.send(request.as_bytes());
    assert_eq!(stream.head().status, 200);
    // It fetches them anew by itself.
    wait_until("the provider is asked again", || provider.asked() > 2);
}

#[test]
fn sighup_reads_files_again_and_streams_stay() {
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    let mut write = |secret: &str| {
        file.as_file_mut().set_len(0).expect("a file");
        std::fs::write(file.path(), secret).expect("a file");
        file.path().to_string_lossy().into_owned()
    };
    let path = write("the-first-secret-of-thirty-two-bytes\n");
    let mut node = Program::start_with(&["--publisher-jwt-secret-file", &path]);
    let mut stream = Connection::open(node.http);
    stream
        .send(b"GET /events/news HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n");
    assert_eq!(stream.head().status, 200);

    write("the-second-secret-of-thirty-two-bytes\n");
    node.signal(Signal::HUP);
    node.wait_for_log("keys read again");
    write("too-short");
    node.signal(Signal::HUP);
    node.wait_for_log("the old ones stay");
    let log = node.logged();
    assert!(log.contains("HS256 asks for at least 32"), "{log}");
    assert!(
        !log.contains("secret-of") && !log.contains("too-short"),
        "{log}"
    );

    node.wait_for_streams(1);
    node.publish("news", "still here");
    let mut text = String::new();
    while !text.contains("still here") {
        let chunk = stream.chunk().expect("an open stream");
        text.push_str(&String::from_utf8_lossy(&chunk));
    }
    drop(stream);
    assert!(node.stop().success());
}
