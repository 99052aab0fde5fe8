//! Open files: every stream holds one, so their limit is the first bound on streams that a node meets.
//!
//! The soft limit exists to protect programs that use `select`; this one does not, so it is raised to the hard one, which
//! is the administrator's.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::config::Settings;

/// Files that the node needs whatever happens: standard streams, listeners, signal and timer descriptors of the runtime,
/// one log or socket that a library opens.
const BASE: u64 = 64;
/// Files of one shard: its epoll instance and the eventfd that wakes it.
const FILES_PER_SHARD: u64 = 2;
/// Files kept for HTTP connections that are not streams (yet) where `max_connections` names no number: handshakes,
/// publishers, health checks.
const CONNECTIONS: u64 = 1_024;
/// Fewer files than this are rarely meant: it is what systems give programs that use `select`.
pub(super) const FEW: u64 = 1_024;
/// Files kept for the admin listener's connections.
const ADMIN_CONNECTIONS: u64 = 64;

/// The limits on open files that the process runs under; `u64::MAX` where the system names none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileLimit {
    /// Files that may be open now.
    pub soft: u64,
    /// Files that the process may allow itself.
    pub hard: u64,
}

/// Raises the soft limit to the hard one and tells what is in force afterwards.
///
/// Never fails: a limit that cannot be raised (`fs.nr_open` was lowered below it) is warned about and stays.
pub fn raise() -> FileLimit {
    let before = getrlimit(Resource::Nofile);
    if before.current != before.maximum {
        let wanted = Rlimit {
            current: before.maximum,
            maximum: before.maximum,
        };
        if let Err(error) = setrlimit(Resource::Nofile, wanted) {
            tracing::warn!(
                soft = before.current,
                hard = before.maximum,
                %error,
                "cannot raise the soft limit on open files to the hard one; see `ulimit -n` and the sysctl fs.nr_open"
            );
        }
    }
    let now = getrlimit(Resource::Nofile);
    FileLimit {
        soft: now.current.unwrap_or(u64::MAX),
        hard: now.maximum.unwrap_or(u64::MAX),
    }
}

/// Most streams that may be open at once: what `limit` leaves after the node's own share, or `max_streams` where that is
/// less.
///
/// The share is what the settings allow besides streams: ingest and HTTP connections, shards. Where the limit is small it
/// takes no more than half of it, since a node that refused to serve at all under `ulimit -n 1024` would help nobody.
pub fn streams_allowed(limit: FileLimit, settings: &Settings) -> usize {
    let room = limit.soft - reserve(limit, settings);
    let room = usize::try_from(room).unwrap_or(usize::MAX);
    match settings.max_streams {
        0 => room,
        max_streams => room.min(max_streams),
    }
}

/// Files kept back for everything that is not a stream.
fn reserve(limit: FileLimit, settings: &Settings) -> u64 {
    let shards = match settings.shards {
        0 => std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        shards => shards,
    };
    let connections = match settings.max_connections {
        0 => CONNECTIONS,
        max_connections => max_connections as u64,
    };
    let wanted = BASE
        + FILES_PER_SHARD * shards as u64
        + ADMIN_CONNECTIONS
        + settings.ingest_connections_max as u64
        + connections;
    wanted.min(limit.soft / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit(soft: u64) -> FileLimit {
        FileLimit { soft, hard: soft }
    }

    fn settings() -> Settings {
        Settings {
            shards: 4,
            ingest_connections_max: 100,
            max_connections: 500,
            ..Settings::default()
        }
    }

    #[test]
    fn streams_get_what_the_node_does_not_need() {
        let reserve = 64 + 2 * 4 + 64 + 100 + 500;
        assert_eq!(
            streams_allowed(limit(1_000_000), &settings()),
            1_000_000 - reserve
        );
    }

    #[test]
    fn max_streams_only_lowers_it() {
        let few = Settings {
            max_streams: 10,
            ..settings()
        };
        assert_eq!(streams_allowed(limit(1_000_000), &few), 10);
        let many = Settings {
            max_streams: 5_000_000,
            ..settings()
        };
        assert!(streams_allowed(limit(1_000_000), &many) < 1_000_000);
    }

    #[test]
    fn a_small_limit_is_shared_in_halves() {
        assert_eq!(streams_allowed(limit(256), &settings()), 128);
        assert_eq!(streams_allowed(limit(0), &settings()), 0);
    }

    #[test]
    fn no_limit_at_all_does_not_overflow() {
        assert!(streams_allowed(limit(u64::MAX), &settings()) > 1 << 40);
    }

    #[test]
    fn raising_ends_at_the_hard_limit() {
        let raised = raise();
        assert_eq!(raised.soft, raised.hard);
        assert_eq!(raise(), raised);
    }
}
