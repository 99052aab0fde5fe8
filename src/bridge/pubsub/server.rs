//! Which server a subscription is made at.

use std::fmt;
use std::time::Duration;

use redis::RedisConnectionInfo;

use super::PubSubConfig;
use super::connect::{self, Stream};
use super::lost::Lost;
use super::pace::jittered;
use crate::bridge::redis::{Address, Host, Login, Named, masters, newest};

/// A server, for both connections of a subscription.
pub(super) struct Server {
    host: Host,
    tls: bool,
    login: Login,
    settings: RedisConnectionInfo,
}

impl Server {
    /// The server of this attempt: of several hosts the next one, of Sentinels the master that they
    /// name.
    pub(super) async fn choose(config: &PubSubConfig, attempt: usize) -> Result<Self, Lost> {
        let address = &config.server;
        let host = match &address.sentinel {
            Some(_) => {
                let named = masters(address).await;
                let named = named.map_err(|error| Lost::closed(&error.to_string()))?;
                let named = newest(named).ok_or(Lost::closed("no Sentinel answers"))?;
                named.host
            }
            None => {
                let host = address.hosts.get(attempt % address.hosts.len().max(1));
                host.cloned().ok_or(Lost::closed("no host is given"))?
            }
        };
        Ok(Self {
            host,
            tls: address.tls,
            settings: settings_of(&address.login),
            login: address.login.clone(),
        })
    }

    /// Opens a connection.
    pub(super) async fn connect(&self) -> Result<Box<dyn Stream>, Lost> {
        let opened = connect::open(&self.host, self.tls).await;
        opened.map_err(|error| Lost::unreachable(&self.host, &error))
    }

    /// User and password, for `AUTH`; empty if there is no password.
    pub(super) fn login(&self) -> Vec<&str> {
        let Some(password) = &self.login.password else {
            return Vec::new();
        };
        let user = self.login.user.as_deref();
        user.into_iter().chain([password.expose()]).collect()
    }

    /// The same for the crate.
    pub(super) fn settings(&self) -> &RedisConnectionInfo {
        &self.settings
    }

    /// Where it is.
    pub(super) fn host(&self) -> &Host {
        &self.host
    }
}

/// Waits until the Sentinels of an address, if there are any, name another master than this one. The
/// former one may be cut off from all others and answer all the same.
pub(super) async fn demoted(address: &Address, host: &Host, every: Duration) -> Lost {
    if address.sentinel.is_none() {
        return std::future::pending().await;
    }
    loop {
        tokio::time::sleep(jittered(every)).await;
        // Sentinels that do not answer prove nothing.
        if let Ok(named) = masters(address).await
            && name_another(&named, host)
        {
            return Lost::Orphaned("the Sentinels name another master");
        }
    }
}

/// Whether all Sentinels that have heard of the latest failover name another master. They may know
/// one by several names.
fn name_another(named: &[Named], host: &Host) -> bool {
    let latest = named.iter().map(|named| named.epoch).max();
    let mut names = named.iter().filter(|named| Some(named.epoch) == latest);
    latest.is_some() && names.all(|named| named.host != *host)
}

/// Channels belong to no database, so none is chosen.
fn settings_of(login: &Login) -> RedisConnectionInfo {
    let mut settings =
        RedisConnectionInfo::default().set_lib_name("fantail", env!("CARGO_PKG_VERSION"));
    if let Some(user) = &login.user {
        settings = settings.set_username(user);
    }
    if let Some(password) = &login.password {
        settings = settings.set_password(password.expose());
    }
    settings
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.host.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(name: &str) -> Host {
        Host {
            name: name.to_owned(),
            port: 6379,
        }
    }

    #[test]
    fn a_master_that_sentinels_know_by_two_names_is_not_left() {
        for (names, is_another) in [
            (vec![], false),
            (vec![("a", 0)], false),
            (vec![("b", 0)], true),
            (vec![("a", 1), ("alias", 1)], false),
            (vec![("alias", 1), ("a", 1)], false),
            // One of them is cut off.
            (vec![("a", 1), ("b", 2)], true),
            (vec![("b", 1), ("a", 2)], false),
        ] {
            let named = names.iter().map(|&(name, epoch)| Named {
                host: host(name),
                epoch,
            });
            let named: Vec<Named> = named.collect();
            assert_eq!(name_another(&named, &host("a")), is_another, "{names:?}");
        }
    }
}
