//! The ingest port.

use super::super::bounds::{DAY, GIB, HOUR, KIB, MIB, from_to, or_zero, secs};
use super::super::kind::Kind;
use super::setting::{Group, Setting};

pub(super) const INGEST: Group = Group {
    title: "Ingest",
    settings: &[
        Setting {
            key: "ingest_password",
            help: "Password of the default user of the ingest port (better not by flag: other processes see those)",
            kind: Kind::Password(|s| &mut s.ingest_password),
        },
        Setting {
            key: "ingest_password_file",
            help: "File that holds this password",
            kind: Kind::PasswordFile(|s| &mut s.ingest_password),
        },
        Setting {
            key: "ingest_users",
            help: "Named users of the ingest port, each with the topics it may publish to as globs (better not by flag)",
            kind: Kind::Users(|s| &mut s.ingest_users),
        },
        Setting {
            key: "ingest_connections_max",
            help: "Most ingest connections; fewer where the limit on open files is small",
            kind: Kind::Count(from_to(1, 100_000), |s| &mut s.ingest_connections_max),
        },
        Setting {
            key: "ingest_array_max",
            help: "Longest array of one command, in elements",
            kind: Kind::Count(from_to(16, 1 << 20), |s| &mut s.ingest_array_max),
        },
        Setting {
            key: "ingest_bulk_bytes_max",
            help: "Longest bulk string of one command; at least `data_bytes_max`",
            kind: Kind::Bytes(from_to(KIB, 512 * MIB), |s| &mut s.ingest_bulk_bytes_max),
        },
        Setting {
            key: "ingest_transaction_commands_max",
            help: "Most commands between MULTI and EXEC, most topics of WATCH, and most events of one script",
            kind: Kind::Count(from_to(1, 100_000), |s| {
                &mut s.ingest_transaction_commands_max
            }),
        },
        Setting {
            key: "ingest_transaction_bytes_max",
            help: "Memory that the commands between MULTI and EXEC take, or the events of one script",
            kind: Kind::Bytes(from_to(KIB, 512 * MIB), |s| {
                &mut s.ingest_transaction_bytes_max
            }),
        },
        Setting {
            key: "ingest_reply_bytes_max",
            help: "Largest answer to one ingest command; at least `data_bytes_max`",
            kind: Kind::Bytes(from_to(64 * KIB, GIB), |s| &mut s.ingest_reply_bytes_max),
        },
        Setting {
            key: "ingest_unauthenticated_bytes_max",
            help: "Largest command of a connection that has yet to authenticate",
            // The lower bound has room for `AUTH` with the longest name and password.
            kind: Kind::Bytes(from_to(2 * KIB, MIB), |s| {
                &mut s.ingest_unauthenticated_bytes_max
            }),
        },
        Setting {
            key: "ingest_unauthenticated_max",
            help: "Most ingest connections that have yet to authenticate; beyond it the oldest of them is ended for a new one",
            kind: Kind::Count(
                or_zero(from_to(1, 100_000), "half of `ingest_connections_max`"),
                |s| &mut s.ingest_unauthenticated_max,
            ),
        },
        Setting {
            key: "ingest_authentication_timeout",
            help: "Time for an ingest connection to authenticate, where it has to",
            kind: Kind::Time(from_to(secs(1), HOUR), |s| {
                &mut s.ingest_authentication_timeout
            }),
        },
        Setting {
            key: "ingest_command_timeout",
            help: "Time for an ingest command to arrive, from its first byte",
            kind: Kind::Time(from_to(secs(1), HOUR), |s| &mut s.ingest_command_timeout),
        },
        Setting {
            key: "ingest_idle_timeout",
            help: "Time that an ingest connection may be idle",
            kind: Kind::Time(or_zero(from_to(secs(1), DAY), "for ever"), |s| {
                &mut s.ingest_idle_timeout
            }),
        },
    ],
};
