//! Finds the server that takes writes to the key.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::{Duration, Instant};

use redis::{AsyncConnectionConfig, ServerErrorKind};
use redis::{
    Client, ConnectionAddr, IntoConnectionInfo, Pipeline, RedisConnectionInfo, Value, aio,
};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::address::{Address, Host, Login, Sentinel};
use super::advice::advised;
use super::connection::{Connection, ServerTime, is_replica};
use super::error::{Error, words};
use super::raw_id::RawId;
use super::reply;

/// Longest time for a connection to one host.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// Longest time for an answer: above that of a call that waits for entries. A socket that is half
/// open is noticed after it.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(3);

/// Longest time for the answer of a Sentinel: the others have to wait for it.
const ASK_TIMEOUT: Duration = Duration::from_secs(1);

/// Most servers of a Cluster that send the node on to another.
const HOPS_MAX: usize = 5;

/// A connection, and where it leads to.
struct Opened {
    host: Host,
    link: aio::MultiplexedConnection,
}

impl Connection {
    /// Connects to the server that takes writes to `key`.
    ///
    /// # Errors
    /// [`Error`], of the last host that was tried.
    pub async fn connect(address: &Address, key: &str) -> Result<Self, Error> {
        if address.sentinel.is_some() {
            let named = newest(masters(address).await?);
            let named = named.ok_or(Error::Answer("SENTINEL"))?;
            return Self::connect_to(address, named.host, key).await;
        }
        let mut failures = Vec::new();
        for host in &address.hosts {
            match Self::connect_to(address, host.clone(), key).await {
                Ok(connection) => return Ok(connection),
                Err(error) if address.hosts.len() == 1 || error.is_final() => return Err(error),
                Err(error) => failures.push(error.to_string()),
            }
        }
        Err(Error::NoMaster(failures.join("; ")))
    }

    /// Connects to this server, or to the one of its Cluster that has the key.
    ///
    /// # Errors
    /// [`Error`]; also if the server is a replica.
    pub async fn connect_to(address: &Address, host: Host, key: &str) -> Result<Self, Error> {
        let mut host = host;
        for _ in 0..HOPS_MAX {
            let opened = open(&host, address.tls, &address.login, address.database).await?;
            match Self::identify(opened, key).await? {
                Found::Here(connection) => return Ok(connection),
                Found::Moved(next) => host = next,
            }
        }
        Err(Error::NoMaster(format!(
            "the nodes of the Cluster send this node on to each other, without end, for the key `{key}`"
        )))
    }

    /// Asks a server who it is, and whether it takes writes to the key.
    async fn identify(opened: Opened, key: &str) -> Result<Found, Error> {
        let Opened { host, mut link } = opened;
        let mut pipeline = Pipeline::new();
        pipeline.cmd("CLIENT").arg("ID");
        pipeline.cmd("INFO");
        pipeline.cmd("ROLE");
        pipeline.cmd("EXISTS").arg(key);
        let answers = link.send_packed_commands(&pipeline, 0, 4).await?;
        let Ok([id, info, role, exists]) = <[Value; 4]>::try_from(answers) else {
            return Err(Error::Answer("the first calls"));
        };
        if let Some(next) = moved(&exists, &host) {
            return Ok(Found::Moved(next));
        }
        reply::accepted(exists)?;
        if is_replica(role) {
            return Err(Error::Replica(host.to_string()));
        }
        let info = reply::accepted(info)?;
        let info = match &info {
            Value::VerbatimString { text, .. } => text,
            other => reply::text(other).ok_or(Error::Answer("INFO"))?,
        };
        let line = |name| reply::info_line(info, name);
        // A server that hides it is told apart by its host.
        let server = match line("run_id") {
            Some(run_id) => hash(run_id),
            None => hash((&host.name, host.port)),
        };
        // It has another one after it was a replica, but also an hour after its last replica has gone.
        let reign = hash(line("master_replid"));
        let id = reply::number(&reply::accepted(id)?);
        let time = line("server_time_usec").and_then(|time| time.parse::<u64>().ok());
        Ok(Found::Here(Self {
            link,
            key: key.to_owned(),
            server,
            reign,
            newest_read: RawId::default(),
            client_id: id.ok_or(Error::Answer("CLIENT ID"))?,
            version: version(info),
            time: time.map(|time| ServerTime {
                unix_ms: time / 1_000,
                at: Instant::now(),
            }),
            host,
        }))
    }
}

/// The version of a server, by its `INFO`. Valkey says there which Redis it is like, too.
fn version(info: &str) -> String {
    let line = |name| reply::info_line(info, name);
    match (line("valkey_version"), line("redis_version")) {
        (Some(version), _) => format!("{version} (Valkey)"),
        (None, version) => version.unwrap_or("(unknown)").to_owned(),
    }
}

fn hash(value: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

/// Where a key is.
enum Found {
    Here(Connection),
    Moved(Host),
}

/// The host that a refusal of `from` sends a client on to.
fn moved(value: &Value, from: &Host) -> Option<Host> {
    let Value::ServerError(error) = value else {
        return None;
    };
    if error.kind() != Some(ServerErrorKind::Moved) {
        return None;
    }
    let (name, port) = error
        .details()?
        .split_whitespace()
        .nth(1)?
        .rsplit_once(':')?;
    let name = name.trim_matches(['[', ']']);
    Some(Host {
        // A Cluster that knows no name of its own node leaves it out.
        name: if name.is_empty() { &from.name } else { name }.to_owned(),
        port: port.parse().ok()?,
    })
}

/// A master that a Sentinel names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// The master.
    pub host: Host,
    /// The epoch of the Sentinel's configuration: with each failover a higher one.
    pub epoch: u64,
}

/// The answer of the Sentinel that has heard of the latest failover.
#[must_use]
pub fn newest(named: Vec<Named>) -> Option<Named> {
    named.into_iter().max_by_key(|named| named.epoch)
}

/// The masters that the Sentinels of an address name now, one for each Sentinel that answers. One that
/// is cut off from the others names a master of the past.
///
/// # Errors
/// [`Error::NoMaster`] if none of them names one.
pub async fn masters(address: &Address) -> Result<Vec<Named>, Error> {
    let Some(sentinel) = &address.sentinel else {
        return Ok(Vec::new());
    };
    let mut all = JoinSet::new();
    for host in &address.hosts {
        let (address, sentinel, host) = (address.clone(), sentinel.clone(), host.clone());
        all.spawn(async move {
            let asked = timeout(ASK_TIMEOUT, ask(&address, &sentinel, &host)).await;
            asked.unwrap_or_else(|_| {
                Err(Error::Connect {
                    host: host.to_string(),
                    reason: "no answer in time".to_owned(),
                })
            })
        });
    }
    let (mut named, mut failures) = (Vec::new(), Vec::new());
    for answer in all.join_all().await {
        match answer {
            Ok(master) => named.push(master),
            Err(error) => failures.push(error.to_string()),
        }
    }
    if named.is_empty() {
        Err(Error::NoMaster(failures.join("; ")))
    } else {
        Ok(named)
    }
}

/// The master that a Sentinel names.
async fn ask(address: &Address, sentinel: &Sentinel, host: &Host) -> Result<Named, Error> {
    let mut opened = open(host, address.tls, &sentinel.login, 0).await?;
    let service = &sentinel.service;
    let mut pipeline = Pipeline::new();
    let command = pipeline.cmd("SENTINEL").arg("get-master-addr-by-name");
    command.arg(service);
    pipeline.cmd("SENTINEL").arg("master").arg(service);
    let answers = opened.link.send_packed_commands(&pipeline, 0, 2).await?;
    let Ok([place, state]) = <[Value; 2]>::try_from(answers) else {
        return Err(Error::Answer("SENTINEL"));
    };
    let refused = |error: Error| Error::NoMaster(format!("{host}: {error}"));
    let place = match reply::accepted(place).map_err(refused)? {
        Value::Nil => {
            let fault = format!("the Sentinel {host} knows no service `{service}`");
            return Err(Error::NoMaster(fault));
        }
        answer => reply::items(answer).ok_or(Error::Answer("SENTINEL"))?,
    };
    let [name, port] = &place[..] else {
        return Err(Error::Answer("SENTINEL"));
    };
    let place = reply::text(name).zip(reply::number(port));
    let (name, port) = place.ok_or(Error::Answer("SENTINEL"))?;
    let state = reply::items(state).unwrap_or_default();
    let epoch = reply::field(&state, "config-epoch").and_then(reply::number);
    Ok(Named {
        host: Host {
            name: name.to_owned(),
            port: u16::try_from(port).map_err(|_| Error::Answer("SENTINEL"))?,
        },
        epoch: epoch.unwrap_or(0),
    })
}

async fn open(host: &Host, tls: bool, login: &Login, database: i64) -> Result<Opened, Error> {
    let failed = |error: redis::RedisError| {
        let mut reason = advised(&words(&error));
        if tls && error.is_timeout() {
            reason.push_str(" (it may not expect TLS: `redis://`)");
        }
        let host = host.to_string();
        Error::Connect { host, reason }
    };
    let (name, port) = (host.name.clone(), host.port);
    let place = if tls {
        // The crate lets only its URLs make this one.
        let bracketed = format!("rediss://{host}");
        let info = bracketed.as_str().into_connection_info().map_err(failed)?;
        info.addr().clone()
    } else {
        ConnectionAddr::Tcp(name, port)
    };
    let mut settings = RedisConnectionInfo::default()
        .set_db(database)
        .set_lib_name("fantail", env!("CARGO_PKG_VERSION"));
    if let Some(user) = &login.user {
        settings = settings.set_username(user);
    }
    if let Some(password) = &login.password {
        settings = settings.set_password(password.expose());
    }
    let info = place.into_connection_info().map_err(failed)?;
    let client = Client::open(info.set_redis_settings(settings)).map_err(failed)?;
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(CONNECT_TIMEOUT))
        .set_response_timeout(Some(ANSWER_TIMEOUT));
    let link = client.get_multiplexed_async_connection_with_config(&config);
    Ok(Opened {
        link: link.await.map_err(failed)?,
        host: host.clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn valkey_is_told_by_its_own_version() {
        let redis = "# Server\r\nredis_version:7.0.15\r\nrun_id:1\r\n";
        assert_eq!(version(redis), "7.0.15");
        let valkey =
            "# Server\r\nredis_version:7.2.4\r\nserver_name:valkey\r\nvalkey_version:9.1.2\r\n";
        assert_eq!(version(valkey), "9.1.2 (Valkey)");
        assert_eq!(version(""), "(unknown)");
    }
}
