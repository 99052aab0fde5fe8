//! Asks the Sentinels who the master is. A master that was replaced may take writes for seconds more,
//! all of which are thrown away: a node must leave it before it says so itself.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::sleep;

use super::shared::Shared;
use crate::bridge::redis::{Connection, Host, masters};

/// Interval of the question.
const ASK_EVERY: Duration = Duration::from_secs(1);

/// Time for which one Sentinel alone cannot send a node back to a server that it has left.
const LEFT_FOR: Duration = Duration::from_secs(60);

/// Runs for ever; does nothing without Sentinels.
pub(super) async fn run(shared: Arc<Shared>) {
    if shared.config.address.sentinel.is_none() {
        return std::future::pending().await;
    }
    let mut current: Option<Host> = None;
    let mut left: Option<(Host, Instant)> = None;
    loop {
        sleep(ASK_EVERY).await;
        let named = masters(&shared.config.address).await;
        let former = left.as_ref().filter(|(_, at)| at.elapsed() < LEFT_FOR);
        let former = former.map(|(host, _)| host);
        let Some(next) = choose(&named, current.as_ref(), former) else {
            continue;
        };
        let (address, key) = (&shared.config.address, &shared.config.stream.key);
        // A server that is not the master yet is no reason to leave another one.
        let Ok(connection) = Connection::connect_to(address, next.clone(), key).await else {
            continue;
        };
        // The same server under another name.
        if current.is_some() && *shared.live.borrow() == Some(connection.server()) {
            continue;
        }
        if let Some(old) = current.replace(next.clone()) {
            tracing::warn!(%old, new = %next, "another server has become the master of the log");
            left = Some((old, Instant::now()));
        }
        shared.master.send_replace(Some(next));
    }
}

/// Another master than the current one, by the answers of the Sentinels. The one that leads a
/// failover knows first, so one answer is enough, unless it names the server that the node has just
/// left: a Sentinel that is cut off from the others names it for long.
fn choose(named: &[Host], current: Option<&Host>, former: Option<&Host>) -> Option<Host> {
    let has_most = |host: &Host| {
        let count = named.iter().filter(|other| *other == host).count();
        2 * count > named.len()
    };
    let is_other = |host: &&Host| Some(*host) != current;
    let mut others = named.iter().filter(is_other);
    others
        .find(|host| has_most(host) || Some(*host) != former)
        .cloned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(name: &str) -> Host {
        Host {
            name: name.to_owned(),
            port: 1,
        }
    }

    #[test]
    fn a_sentinel_that_is_cut_off_does_not_send_a_node_back() {
        let [a, b] = [host("a"), host("b")];
        let choose = |named: &[&Host], current, former| {
            let named: Vec<Host> = named.iter().map(|host| (*host).clone()).collect();
            choose(&named, current, former)
        };
        assert_eq!(choose(&[], Some(&a), None), None);
        assert_eq!(choose(&[&a, &a, &a], None, None), Some(a.clone()));
        assert_eq!(choose(&[&a, &a, &a], Some(&a), None), None);
        assert_eq!(choose(&[&a, &b, &a], Some(&a), None), Some(b.clone()));
        assert_eq!(choose(&[&a, &b, &b], Some(&b), Some(&a)), None);
        assert_eq!(choose(&[&a, &b, &a], Some(&b), Some(&a)), Some(a.clone()));
    }
}
