//! Open files: every connection holds one, so their limit is the first bound that a node meets.
//!
//! The soft limit exists to protect programs that use `select`; this one does not, so it is raised
//! to the hard one, which is the administrator's. Then every listener gets its share, and none may
//! take another's: a crowd on the public listener must not keep an orchestrator from asking for
//! health, nor publishers from publishing.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::core::history::ShardSet;
use crate::hub::Room;
use crate::settings::Settings;

/// Files that the node needs whatever happens: standard streams, listeners, descriptors of the
/// runtime, two key sets being fetched, a connection of each listener that is being refused, files
/// of `/proc` that are being read. At most half of the limit.
const BASE: u64 = 64;
/// Files of one shard: its epoll instance, a second handle of it, and the eventfd that wakes it.
const FILES_PER_SHARD: u64 = 3;
/// Files kept from streams for HTTP connections that are not streams (yet) where `max_connections`
/// names no number: handshakes, publishers, health checks.
const CONNECTIONS: u64 = 1_024;
/// Fewer files than this are rarely meant: it is what systems give programs that use `select`.
const FEW: u64 = 1_024;

/// Parts of what is left for listeners: the admin one gets an eighth at most, ingest a quarter, and
/// the public one the rest.
const ADMIN_PART: u64 = 8;
const INGEST_PART: u64 = 4;
/// A quarter of the public listener's files at most is kept from streams.
const CONNECTIONS_PART: u64 = 4;
/// What the admin and the ingest listener get where their part is less.
const LISTENER_MIN: u64 = 4;

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
/// Never fails: a limit that cannot be raised (`fs.nr_open` was lowered below it) is warned about
/// and stays.
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

/// Who may have how many files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Delivery shards.
    pub shards: usize,
    /// Connections to the admin listener.
    pub admin: usize,
    /// Ingest connections.
    pub ingest: usize,
    /// Streams, and sockets of the public listener.
    pub room: Room,
}

impl Plan {
    /// Shares out `limit`: to each what its settings allow, or its part where the limit is small.
    ///
    /// A node that refused to serve at all under `ulimit -n 64` would help nobody, so everyone gets
    /// something.
    #[must_use]
    pub fn new(limit: FileLimit, settings: &Settings) -> Self {
        let base = BASE.min(limit.soft / 2);
        let shards = match settings.shards {
            0 => {
                let cores = std::thread::available_parallelism();
                // Shards on their own must not use the files up.
                let fit = (limit.soft - base) / INGEST_PART / FILES_PER_SHARD;
                let cores = cores.map_or(1, std::num::NonZero::get);
                (cores.min(ShardSet::SHARDS_MAX) as u64).min(fit.max(1))
            }
            shards => shards as u64,
        };
        let left = (limit.soft - base).saturating_sub(shards * FILES_PER_SHARD);
        let part = |wanted: usize, part: u64| (wanted as u64).min((left / part).max(LISTENER_MIN));
        let admin = part(settings.admin_connections_max, ADMIN_PART);
        let ingest = part(settings.ingest_connections_max, INGEST_PART);
        let public = left.saturating_sub(admin + ingest);
        let connections = match settings.max_connections {
            0 => CONNECTIONS,
            max_connections => max_connections as u64,
        };
        let streams = public - connections.min(public / CONNECTIONS_PART);
        let streams = match settings.max_streams {
            0 => streams,
            max_streams => streams.min(max_streams as u64),
        };
        Self {
            shards: count(shards),
            admin: count(admin),
            ingest: count(ingest),
            room: Room {
                streams: count(streams),
                sockets: count(public),
            },
        }
    }

    /// The settings with what the plan allows in place of what was wished for.
    #[must_use]
    pub fn apply(&self, settings: Settings) -> Settings {
        Settings {
            shards: self.shards,
            admin_connections_max: self.admin,
            ingest_connections_max: self.ingest,
            ..settings
        }
    }

    /// Says what does not fit.
    pub fn warn(&self, limit: FileLimit, settings: &Settings) {
        let streams_max = self.room.streams;
        let files = limit.soft;
        if files < FEW {
            tracing::warn!(
                files,
                streams_max,
                ingest_connections = self.ingest,
                admin_connections = self.admin,
                "the limit on open files leaves room for few streams; raise the hard limit (LimitNOFILE=, ulimit -Hn)"
            );
        }
        if settings.max_streams > streams_max {
            tracing::warn!(
                max_streams = settings.max_streams,
                streams_max,
                "`max_streams` is more than the limit on open files allows; raise the hard limit (LimitNOFILE=, ulimit -Hn)"
            );
        }
    }
}

fn count(files: u64) -> usize {
    usize::try_from(files).unwrap_or(usize::MAX)
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

    fn streams(soft: u64, settings: &Settings) -> usize {
        Plan::new(limit(soft), settings).room.streams
    }

    #[test]
    fn streams_get_what_the_node_does_not_need() {
        let reserve = 64 + 3 * 4 + 64 + 100 + 500;
        assert_eq!(streams(1_000_000, &settings()), 1_000_000 - reserve);
    }

    #[test]
    fn max_streams_only_lowers_it() {
        let few = Settings {
            max_streams: 10,
            ..settings()
        };
        assert_eq!(streams(1_000_000, &few), 10);
        let many = Settings {
            max_streams: 5_000_000,
            ..settings()
        };
        assert!(streams(1_000_000, &many) < 1_000_000);
    }

    #[test]
    fn whatever_the_limit_is_all_shares_together_fit_into_it_and_nobody_gets_nothing() {
        for soft in (56..3_000).chain([20_000, 1 << 20, 1 << 30]) {
            for settings in [
                settings(),
                Settings::default(),
                Settings {
                    shards: 2,
                    max_connections: 100_000,
                    ingest_connections_max: 100_000,
                    admin_connections_max: 1_000,
                    ..Settings::default()
                },
            ] {
                let plan = Plan::new(limit(soft), &settings);
                let files = 3 * plan.shards + plan.admin + plan.ingest + plan.room.sockets;
                let base = BASE.min(soft / 2) as usize;
                assert!(base + files <= soft as usize, "{soft}: {plan:?}");
                assert!(plan.shards > 0 && plan.admin >= 4 && plan.ingest >= 4);
                assert!(plan.room.streams > 0, "{soft}: {plan:?}");
                // What is not for streams is for handshakes.
                assert!(plan.room.streams < plan.room.sockets || plan.room.sockets < 4);
                let applied = plan.apply(settings);
                assert_eq!(Plan::new(limit(soft), &applied), plan, "{soft}");
            }
        }
    }

    #[test]
    fn neither_no_limit_nor_one_of_nothing_overflows() {
        assert!(streams(u64::MAX, &settings()) > 1 << 40);
        assert_eq!(streams(0, &settings()), 0);
    }

    #[test]
    fn raising_ends_at_the_hard_limit() {
        let raised = raise();
        assert_eq!(raised.soft, raised.hard);
        assert_eq!(raise(), raised);
    }
}
