//! Asks the Sentinels who the master is. A master that was replaced may take writes for seconds more,
//! all of which are thrown away: a node must leave it before it says so itself.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use super::shared::Shared;
use crate::bridge::redis::{Connection, Host, Named, masters, newest};

/// Interval of the question.
const ASK_EVERY: Duration = Duration::from_secs(1);

/// Runs for ever; does nothing without Sentinels.
pub(super) async fn run(shared: Arc<Shared>) {
    let (address, key) = (&shared.config.address, &shared.config.stream.key);
    if address.sentinel.is_none() {
        return std::future::pending().await;
    }
    let mut current: Option<Named> = None;
    loop {
        sleep(ASK_EVERY).await;
        // That no Sentinel answers is no reason to leave a server.
        let named = masters(address).await.unwrap_or_default();
        let Some(next) = choose(named, current.as_ref()) else {
            continue;
        };
        // Nor is a server that is not the master yet.
        let Ok(connection) = Connection::connect_to(address, next.host.clone(), key).await else {
            continue;
        };
        // The same server under another name.
        if current.is_some() && *shared.live.borrow() == Some(connection.server()) {
            continue;
        }
        let host: Host = next.host.clone();
        if let Some(old) = current.replace(next) {
            tracing::warn!(old = %old.host, new = %host, "another server has become the master of the log");
        }
        shared.master.send_replace(Some(host));
    }
}

/// Another master than the current one, if the Sentinels name one: by the latest configuration that
/// any of them has, or by all that answer, whose epochs may have begun anew.
fn choose(named: Vec<Named>, current: Option<&Named>) -> Option<Named> {
    let are_of_one_mind =
        named.len() > 1 && named.windows(2).all(|pair| pair[0].host == pair[1].host);
    let next = newest(named)?;
    let Some(current) = current else {
        return Some(next);
    };
    let is_later = next.epoch > current.epoch || are_of_one_mind;
    (next.host != current.host && is_later).then_some(next)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &str, epoch: u64) -> Named {
        let host = Host {
            name: name.to_owned(),
            port: 1,
        };
        Named { host, epoch }
    }

    #[test]
    fn the_latest_failover_counts_whoever_has_heard_of_it() {
        let [old, new] = [named("a", 3), named("b", 4)];
        assert_eq!(choose(vec![], Some(&old)), None);
        assert_eq!(choose(vec![old.clone()], None), Some(old.clone()));
        assert_eq!(choose(vec![old.clone(), old.clone()], Some(&old)), None);
        let first = vec![old.clone(), new.clone(), old.clone()];
        assert_eq!(choose(first, Some(&old)), Some(new.clone()));
        // Two were cut off.
        let stale = vec![old.clone(), new.clone(), old.clone()];
        assert_eq!(choose(stale, Some(&new)), None);
        // They were set up anew.
        let anew = vec![named("c", 0), named("c", 0)];
        assert_eq!(choose(anew, Some(&new)), Some(named("c", 0)));
    }
}
