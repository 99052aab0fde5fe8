//! A listener that runs out of file descriptors. In a process of its own, because the limit is the
//! process's.

/// Clients that read strictly, and the conditions that tests wait for.
mod support;

use std::fs::File;
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use fantail::api;
use fantail::hub::Hub;
use fantail::node;
use fantail::server;
use fantail::settings::Settings;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use socket2::{Domain, Socket, Type};
use support::http::Connection;
use support::wait_until;

/// More than the test needs, and few enough to use up.
const FILES_MAX: u64 = 256;

/// Failed accepts to wait for: with pauses that double from 5 ms they take at least [`PAUSES`].
const FAILURES: u64 = 5;
const PAUSES: Duration = Duration::from_millis(5 + 10 + 20 + 40);

#[test]
fn the_listener_waits_and_recovers() {
    let limit = Rlimit {
        current: Some(FILES_MAX),
        ..getrlimit(Resource::Nofile)
    };
    setrlimit(Resource::Nofile, limit).expect("a lower limit");

    let settings = Settings::on_free_ports();
    let listener = server::bind("listen", settings.listen, &node::config::socket(&settings))
        .expect("a free port");
    let address = listener.local_addr().expect("an address");
    let api_config = node::config::api(&settings);
    let hub = Hub::start(node::config::hub(&settings), 100).expect("threads");
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    let (_stop, follower) = fantail::orders::control();
    let serving = api::serve(listener, api_config, hub.clone(), Arc::default(), follower);
    runtime.spawn(async { serving.await.expect("a listener") });
    drop(Connection::open(address));
    wait_until("one connection was served", || {
        hub.node_metrics().http.accepted.get() == 1
    });

    // The clients have their descriptors before the last one is used.
    let clients =
        [(); 3].map(|()| Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket"));
    let mut hoard = Vec::new();
    while let Ok(file) = File::open("/dev/null") {
        hoard.push(file);
    }
    let begun = Instant::now();
    let errors = || hub.node_metrics().accept_errors();
    for client in &clients {
        client
            .connect(&address.into())
            .expect("the kernel queues it");
        // A silent client would not be accepted yet.
        client
            .send(b"GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            .expect("open");
    }
    wait_until("accepting failed several times", || errors() >= FAILURES);
    assert!(begun.elapsed() >= PAUSES, "{:?}", begun.elapsed());

    drop(hoard);
    for client in clients {
        let answer = std::io::read_to_string(TcpStream::from(client)).expect("an answer");
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    }
    assert!(errors() < 20, "{} failures are a spin", errors());
    hub.stop();
}
