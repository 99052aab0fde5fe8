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

/// Time for an answer. A check takes five seconds at most.
const ANSWER_MAX: Duration = Duration::from_secs(15);

/// Time for the outcome, once an upgrade has begun: 2 s for requests in hand, 2 s for HTTP/2
/// streams, 5 s for the rehearsal, and as much again.
const OUTCOME_MAX: Duration = Duration::from_secs(20);

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
    #[error("the node said nothing of the upgrade for {} s", OUTCOME_MAX.as_secs())]
    Silence,
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
    let settings = match settings::load(file.as_deref(), environment, flags) {
        Ok(settings) => settings,
        Err(error) => return refuse(error),
    };
    match upgraded(reachable(settings.admin_listen)) {
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

fn upgraded(address: SocketAddr) -> Result<String, Refused> {
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .timeout_global(Some(ANSWER_MAX))
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
    let deadline = Instant::now() + OUTCOME_MAX;
    while Instant::now() < deadline {
        // While the node is frozen, it accepts no connection; then it may cut one.
        let answer = agent.get(&url).call();
        let body = answer.and_then(|mut answer| answer.body_mut().read_to_string());
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
    Err(Refused::Silence)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_at_any_address_is_asked_on_this_machine() {
        let reached = |text: &str| reachable(text.parse().expect("an address")).to_string();
        assert_eq!(reached("0.0.0.0:9090"), "127.0.0.1:9090");
        assert_eq!(reached("[::]:9090"), "[::1]:9090");
        assert_eq!(reached("192.0.2.1:9"), "192.0.2.1:9");
    }
}
