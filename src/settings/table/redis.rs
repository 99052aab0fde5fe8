//! Channels of a Redis server as a source of events.

use super::super::bounds::{KIB, MIB, from_to};
use super::super::kind::Kind;
use super::setting::{Group, Setting};

pub(super) const REDIS_CHANNELS: Group = Group {
    title: "Redis channels",
    settings: &[
        Setting {
            key: "redis_pubsub",
            help: "Redis or Valkey whose channels the node subscribes to (a password better not by flag: other processes see those)",
            kind: Kind::LogAddress(|s| &mut s.redis_pubsub),
        },
        Setting {
            key: "redis_pubsub_password",
            help: "Password of the node's user there, in place of one in the address (better not by flag: other processes see those)",
            kind: Kind::Password(|s| &mut s.redis_pubsub_password),
        },
        Setting {
            key: "redis_pubsub_password_file",
            help: "File that holds this password",
            kind: Kind::PasswordFile(|s| &mut s.redis_pubsub_password),
        },
        Setting {
            key: "redis_channels",
            help: "Channels whose messages become events. A name with `*`, `?`, `[` or `\\` is a pattern as of PSUBSCRIBE",
            kind: Kind::Channels(|s| &mut s.redis_channels),
        },
        Setting {
            key: "redis_topics",
            help: "Topics of channels; a channel that is not listed is its own topic. The first pattern that matches counts, a name before patterns",
            kind: Kind::ChannelTopics(|s| &mut s.redis_topics),
        },
        Setting {
            key: "redis_message_bytes_max",
            help: "Longest message of a channel; a longer one is counted and not published. At least `data_bytes_max`",
            kind: Kind::Bytes(from_to(KIB, 512 * MIB), |s| &mut s.redis_message_bytes_max),
        },
    ],
};
