//! The address of a log, as it is written in the settings.
//!
//! | form | what it is |
//! |---|---|
//! | `redis://[user:password@]host[:port][/database]` | one server, or the first node of a Cluster: a `MOVED` is followed |
//! | `redis://host1,host2,host3` | the first of these that takes writes to the key: nodes of a Cluster, or servers of which one is the master |
//! | `redis+sentinel://[user:password@]host1,host2,host3/service[/database]` | the master that these Sentinels name |
//! | `rediss://`, `rediss+sentinel://` | the same over TLS |
//!
//! `valkey` may be written for `redis`. Reserved characters of a user or password are written as
//! `%XX`. Sentinels with a password of their own: `?sentinel_user=…&sentinel_password=…`.

use std::fmt;

use percent_encoding::percent_decode_str;
use thiserror::Error;

use crate::secret::Secret;

/// Longest address, in bytes.
const BYTES_MAX: usize = 4_096;

/// Most hosts of an address.
const HOSTS_MAX: usize = 32;

/// Port of a server.
const PORT: u16 = 6379;

/// Port of a Sentinel.
const SENTINEL_PORT: u16 = 26379;

/// A user and a password; either may be missing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Login {
    /// The user; `None` = the default one.
    pub user: Option<String>,
    /// Its password.
    pub password: Option<Secret>,
}

/// A host and a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// A name, or an address without brackets.
    pub name: String,
    /// The port.
    pub port: u16,
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.name.contains(':') {
            write!(f, "[{}]:{}", self.name, self.port)
        } else {
            write!(f, "{}:{}", self.name, self.port)
        }
    }
}

/// The Sentinels' part of an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sentinel {
    /// Name of the service (the master's name in Sentinel).
    pub service: String,
    /// Login at the Sentinels.
    pub login: Login,
}

/// Where the log is. `Debug` and `Display` show no password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// Servers, or Sentinels.
    pub hosts: Vec<Host>,
    /// Login at the servers.
    pub login: Login,
    /// Number of the database.
    pub database: i64,
    /// Connections use TLS, also those to Sentinels.
    pub tls: bool,
    /// The hosts are Sentinels.
    pub sentinel: Option<Sentinel>,
}

/// Why a text is no address of a log. Repeats no part of it that may be a password.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum AddressError {
    /// Its scheme is none of the known ones.
    #[error(
        "it must begin with redis://, rediss:// (TLS), redis+sentinel:// or rediss+sentinel:// (or valkey in place of redis)"
    )]
    Scheme,
    /// It is too long.
    #[error("it is longer than {BYTES_MAX} bytes")]
    TooLong,
    /// It names no host, or too many.
    #[error("it must name 1 to {HOSTS_MAX} hosts, with commas between them")]
    Hosts,
    /// A host or a port has the wrong form.
    #[error("host number {0} is not host or host:port (an IPv6 address in brackets)")]
    Host(usize),
    /// User or password are not valid text.
    #[error("user or password are not valid (write reserved characters as %XX)")]
    Login,
    /// The database is no number.
    #[error("the database after the host must be a number from 0 to 1000000")]
    Database,
    /// The service of the Sentinels is missing.
    #[error(
        "the name of the Sentinels' service is missing: redis+sentinel://host1,host2,host3/service"
    )]
    Service,
    /// A user of the Sentinels without a password.
    #[error(
        "it has `sentinel_user` without `sentinel_password`, so that the node would be the Sentinels' default user (any password will do for a user with `nopass`)"
    )]
    SentinelPassword,
    /// A parameter that is not known.
    #[error(
        "it has a parameter other than `sentinel_user` and `sentinel_password`, which addresses of Sentinels may have"
    )]
    Parameter,
    /// It has a fragment.
    #[error("it has a fragment (`#…`); certificates are always checked")]
    Fragment,
}

impl Address {
    /// Reads an address.
    ///
    /// # Errors
    /// [`AddressError`].
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        if text.len() > BYTES_MAX {
            return Err(AddressError::TooLong);
        }
        let (scheme, rest) = text.split_once("://").ok_or(AddressError::Scheme)?;
        let (tls, is_sentinel) = match scheme {
            "redis" | "valkey" => (false, false),
            "rediss" | "valkeys" => (true, false),
            "redis+sentinel" | "valkey+sentinel" => (false, true),
            "rediss+sentinel" | "valkeys+sentinel" => (true, true),
            _ => return Err(AddressError::Scheme),
        };
        if rest.contains('#') {
            return Err(AddressError::Fragment);
        }
        let (rest, query) = match rest.split_once('?') {
            Some((rest, query)) => (rest, query),
            None => (rest, ""),
        };
        let (authority, path) = match rest.split_once('/') {
            Some((authority, path)) => (authority, path.trim_end_matches('/')),
            None => (rest, ""),
        };
        let (login, hosts) = match authority.rsplit_once('@') {
            Some((login, hosts)) => (read_login(login)?, hosts),
            None => (Login::default(), authority),
        };
        let (service, database) = match path.split_once('/') {
            _ if !is_sentinel => (None, path),
            Some((service, database)) => (Some(service), database),
            None => (Some(path), ""),
        };
        let own = read_query(query)?;
        let sentinel = match service {
            Some("") => return Err(AddressError::Service),
            Some(service) => Some(Sentinel {
                service: decoded(service).ok_or(AddressError::Service)?,
                login: own,
            }),
            None if own != Login::default() => return Err(AddressError::Parameter),
            None => None,
        };
        let port = if is_sentinel { SENTINEL_PORT } else { PORT };
        Ok(Self {
            hosts: read_hosts(hosts, port)?,
            login,
            database: read_database(database)?,
            tls,
            sentinel,
        })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tls = if self.tls { "s" } else { "" };
        let sentinel = self.sentinel.as_ref().map_or("", |_| "+sentinel");
        write!(f, "redis{tls}{sentinel}://")?;
        if let Some(user) = &self.login.user {
            write!(f, "{user}@")?;
        }
        for (number, host) in self.hosts.iter().enumerate() {
            let comma = if number == 0 { "" } else { "," };
            write!(f, "{comma}{host}")?;
        }
        if let Some(sentinel) = &self.sentinel {
            write!(f, "/{}", sentinel.service)?;
        }
        if self.database == 0 {
            Ok(())
        } else {
            write!(f, "/{}", self.database)
        }
    }
}

fn decoded(text: &str) -> Option<String> {
    let text = percent_decode_str(text).decode_utf8().ok()?;
    (!text.contains('\0')).then(|| text.into_owned())
}

fn read_login(text: &str) -> Result<Login, AddressError> {
    let part = |text: &str| match text {
        "" => Ok(None),
        text => decoded(text).map(Some).ok_or(AddressError::Login),
    };
    let (user, password) = text.split_once(':').unwrap_or((text, ""));
    Ok(Login {
        user: part(user)?,
        password: part(password)?.map(Secret::from),
    })
}

fn read_query(query: &str) -> Result<Login, AddressError> {
    let mut login = Login::default();
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        match &*name {
            "sentinel_user" => login.user = Some(value.into_owned()),
            "sentinel_password" => login.password = Some(value.into_owned().into()),
            _ => return Err(AddressError::Parameter),
        }
    }
    if login.user.is_some() && login.password.is_none() {
        return Err(AddressError::SentinelPassword);
    }
    Ok(login)
}

fn read_hosts(text: &str, port: u16) -> Result<Vec<Host>, AddressError> {
    let hosts: Vec<&str> = text.split(',').collect();
    if text.is_empty() || hosts.len() > HOSTS_MAX {
        return Err(AddressError::Hosts);
    }
    let read = |(number, host): (usize, &&str)| {
        read_host(host, port).ok_or(AddressError::Host(number + 1))
    };
    hosts.iter().enumerate().map(read).collect()
}

fn read_host(text: &str, port: u16) -> Option<Host> {
    let (name, port_text) = match text.strip_prefix('[') {
        Some(rest) => {
            let (name, rest) = rest.split_once(']')?;
            name.parse::<std::net::Ipv6Addr>().ok()?;
            (name, (!rest.is_empty()).then(|| rest.strip_prefix(':')))
        }
        None => match text.split_once(':') {
            Some((name, port)) => (name, Some(Some(port))),
            None => (text, None),
        },
    };
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':');
    if name.is_empty() || !name.chars().all(is_allowed) {
        return None;
    }
    let port = match port_text {
        None => port,
        Some(text) => text?.parse().ok().filter(|port| *port != 0)?,
    };
    Some(Host {
        name: name.to_owned(),
        port,
    })
}

fn read_database(text: &str) -> Result<i64, AddressError> {
    match text {
        "" => Ok(0),
        text if text.bytes().all(|byte| byte.is_ascii_digit()) => {
            let number = text.parse().ok().filter(|number| *number <= 1_000_000);
            number.ok_or(AddressError::Database)
        }
        _ => Err(AddressError::Database),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        Address::parse(text).expect("an address").to_string()
    }

    #[test]
    fn every_form_is_read_and_shown_without_its_password() {
        for (text, expected) in [
            ("redis://h", "redis://h:6379"),
            ("valkey://h:1/3", "redis://h:1/3"),
            ("rediss://u:p%40w@h/", "rediss://u@h:6379"),
            ("redis://:pw@[::1]:7000/0", "redis://[::1]:7000"),
            ("redis://a,b:2,[::1]", "redis://a:6379,b:2,[::1]:6379"),
            (
                "redis+sentinel://u:pw@a,b:1/the%20master/2?sentinel_password=x",
                "redis+sentinel://u@a:26379,b:1/the master/2",
            ),
            ("rediss+sentinel://a/m", "rediss+sentinel://a:26379/m"),
        ] {
            assert_eq!(shown(text), expected, "{text}");
            let debug = format!("{:?}", Address::parse(text));
            assert!(!debug.contains("pw") && !debug.contains("p@w"), "{debug}");
        }
        let address = Address::parse("redis://u:p%40w@h").expect("an address");
        let password = address.login.password.expect("a password");
        assert_eq!(password.expose(), "p@w");
    }

    #[test]
    fn each_fault_is_named() {
        for (text, error) in [
            ("", AddressError::Scheme),
            ("h:6379", AddressError::Scheme),
            ("http://h", AddressError::Scheme),
            ("redis://", AddressError::Hosts),
            ("redis://u:p@", AddressError::Hosts),
            ("redis://a,,b", AddressError::Host(2)),
            ("redis://a:0", AddressError::Host(1)),
            ("redis://a:x", AddressError::Host(1)),
            ("redis://a:65536", AddressError::Host(1)),
            ("redis://[::1", AddressError::Host(1)),
            ("redis://[::1]x", AddressError::Host(1)),
            ("redis://a b", AddressError::Host(1)),
            ("redis://h/x", AddressError::Database),
            ("redis://h/-1", AddressError::Database),
            ("redis://h/1/2", AddressError::Database),
            ("redis://h?db=1", AddressError::Parameter),
            ("redis://h?sentinel_password=a", AddressError::Parameter),
            (
                "redis+sentinel://h/m?sentinel_user=a",
                AddressError::SentinelPassword,
            ),
            ("redis+sentinel://h", AddressError::Service),
            ("redis+sentinel://h/", AddressError::Service),
            ("redis+sentinel://h//2", AddressError::Service),
            ("redis://h#insecure", AddressError::Fragment),
            ("redis://%ff:p@h", AddressError::Login),
            ("redis://u:%00@h", AddressError::Login),
        ] {
            assert_eq!(Address::parse(text), Err(error), "{text}");
        }
        let long = format!("redis://{}", "h".repeat(BYTES_MAX));
        assert_eq!(Address::parse(&long), Err(AddressError::TooLong));
    }
}
