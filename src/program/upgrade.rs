//! `fantail upgrade`: asks the admin listener of the running node for an upgrade, and waits for its
//! outcome.

use std::ffi::OsString;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use serde::Deserialize;
use thiserror::Error;

use super::{complain, print, refuse};
use crate::admin::UpgradeStatus;
use crate::plural::Counted;
use crate::settings::{self, RawSettings};

/// How long the command waits.
#[derive(Clone, Copy)]
struct Patience {
    /// For one answer. A check takes five seconds at most.
    answer: Duration,
    /// For a node at whose address no one listens: one that crashed, and is started again.
    absence: Duration,
    /// For the outcome. A rehearsal may take 5 s, a second for each 20 MiB of state, and a second
    /// for each 20,000 streams and connections.
    outcome: Duration,
}

const PATIENCE: Patience = Patience {
    answer: Duration::from_secs(15),
    absence: Duration::from_secs(20),
    outcome: Duration::from_secs(600),
};

/// Pause between two questions.
const ASK_EVERY: Duration = Duration::from_millis(50);

/// Why nothing is known of an upgrade, or why there was none.
#[derive(Debug, Error)]
enum Refused {
    #[error("no answer of the admin listener at {address}: {source}")]
    Answer {
        address: SocketAddr,
        source: Box<ureq::Error>,
    },
    #[error("{0}")]
    Problem(String),
    #[error("the node said nothing of the upgrade for {} s; its log may", .0.as_secs())]
    Silence(Duration),
    #[error("not upgraded, the running program goes on: {0}")]
    Failed(String),
}

/// The answer to a request that was accepted.
#[derive(Deserialize)]
struct Begun {
    number: u64,
}

/// The answer to a request that was refused.
#[derive(Deserialize)]
struct Problem {
    detail: Option<String>,
}

/// Runs the command.
pub(super) fn ask(
    config: Option<PathBuf>,
    environment: Vec<(OsString, OsString)>,
    flags: RawSettings,
) -> ExitCode {
    let file = config.or_else(|| settings::config_file(&environment));
    let address = match settings::load_admin_listen(file.as_deref(), environment, flags) {
        Ok(address) => address,
        Err(error) => return refuse(error),
    };
    match upgraded(reachable(address), PATIENCE) {
        Ok(text) => print(&text),
        Err(error) => {
            complain(error);
            ExitCode::FAILURE
        }
    }
}

/// The address at which a listener is reached from this machine.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

fn upgraded(address: SocketAddr, patience: Patience) -> Result<String, Refused> {
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .timeout_global(Some(patience.answer))
        .http_status_as_error(false)
        .proxy(None)
        .build()
        .into();
    let url = format!("http://{address}/upgrade");
    let no_answer = |source: ureq::Error| Refused::Answer {
        address,
        source: Box::new(source),
    };
    let mut answer = agent.post(&url).send_empty().map_err(no_answer)?;
    let status = answer.status();
    let body = answer.body_mut().read_to_string().map_err(no_answer)?;
    let begun = serde_json::from_str::<Begun>(&body);
    let Ok(Begun { number }) = begun else {
        let problem = serde_json::from_str::<Problem>(&body).ok();
        let detail = problem.and_then(|problem| problem.detail);
        return Err(Refused::Problem(detail.unwrap_or_else(|| {
            format!("the admin listener at {address} answered {status}")
        })));
    };
    let begun = Instant::now();
    let mut heard = begun;
    while heard.elapsed() < patience.absence && begun.elapsed() < patience.outcome {
        // A frozen node lets its clients wait; then it may cut a connection.
        let answer = agent.get(&url).call();
        let body = answer.and_then(|mut answer| answer.body_mut().read_to_string());
        if matches!(body, Ok(_) | Err(ureq::Error::Timeout(_))) {
            heard = Instant::now();
        }
        let status = body.ok().and_then(|body| serde_json::from_str(&body).ok());
        let last = status.and_then(|status: UpgradeStatus| status.last);
        match last.filter(|last| last.number >= number) {
            Some(last) => {
                return match last.failed {
                    Some(reason) => Err(Refused::Failed(reason)),
                    None => Ok(format!(
                        "upgraded from {} to {}: {}, {} and {} moved in {} ms\n",
                        last.from,
                        last.to,
                        Counted(last.streams, "stream"),
                        Counted(last.events, "event"),
                        Counted(last.connections, "connection"),
                        last.pause_ms
                    )),
                };
            }
            None => thread::sleep(ASK_EVERY),
        }
    }
    Err(Refused::Silence(begun.elapsed()))
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};

    use super::*;

    /// Answers a request; without a body, waits until its client has no more patience.
    fn answer(mut connection: TcpStream, body: Option<&str>) {
        let mut request = [0; 4096];
        let length = connection.read(&mut request).expect("a request");
        assert_ne!(length, 0);
        match body {
            Some(body) => write!(
                connection,
                "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                body.len()
            )
            .expect("a client"),
            None => assert_eq!(connection.read(&mut request).expect("an end"), 0),
        }
    }

    /// A large state took longer than the command had patience for.
    #[test]
    fn a_node_that_is_frozen_for_long_was_given_up() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let address = listener.local_addr().expect("bound");
        let patience = Patience {
            answer: Duration::from_millis(500),
            absence: Duration::from_secs(1),
            outcome: Duration::from_secs(60),
        };
        let node = thread::spawn(move || {
            let mut connections = listener
                .incoming()
                .map(|connection| connection.expect("one"));
            let mut next = || connections.next().expect("a client");
            answer(next(), Some(r#"{"number":7}"#));
            for _ in 0..3 {
                answer(next(), None);
            }
            let failed = r#"{"version":"2","attempts":7,"running":false,"last":{"number":7,"failed":"odd",
                "from":"1","to":"2","streams":0,"events":0,"connections":0,"pause_ms":9}}"#;
            answer(next(), Some(failed));
        });
        match upgraded(address, patience) {
            Err(Refused::Failed(reason)) => assert_eq!(reason, "odd"),
            other => panic!("{other:?}"),
        }
        node.join().expect("five requests");
        // Nobody listens any more.
        let gone = upgraded(address, patience);
        assert!(matches!(gone, Err(Refused::Answer { .. })), "{gone:?}");
    }

    #[test]
    fn a_listener_at_any_address_is_asked_on_this_machine() {
        let reached = |text: &str| reachable(text.parse().expect("an address")).to_string();
        assert_eq!(reached("0.0.0.0:9090"), "127.0.0.1:9090");
        assert_eq!(reached("[::]:9090"), "[::1]:9090");
        assert_eq!(reached("192.0.2.1:9"), "192.0.2.1:9");
    }
}
