//! Commands about the node: `INFO`, `TIME`, and the few settings that clients ask Redis for.

use std::fmt::Write as _;
use std::time::{SystemTime, UNIX_EPOCH};

use super::Context;
use super::connection::REDIS_VERSION;
use super::error::CommandError;
use super::introspect::NAME_PATTERN_BYTES_MAX;
use crate::ingest::glob::Glob;
use crate::ingest::resp::Arg;

/// A section of `INFO`: its name, and what writes its lines.
type Section = (&'static str, fn(&Context<'_>, &mut String));

/// Sections in the order in which they are written.
const SECTIONS: &[Section] = &[
    ("Server", server),
    ("Clients", clients),
    ("Persistence", persistence),
    ("Stats", stats),
    ("Replication", replication),
    ("Cluster", cluster),
    ("Keyspace", |_, _| {}),
    ("Fantail", fantail),
];

/// `INFO [section…]`
pub(super) fn info(ctx: &mut Context<'_>, args: &[Arg<'_>]) -> Result<(), CommandError> {
    let named = &args[1..];
    let is_wanted = |name: &str| {
        named.is_empty()
            || named.iter().any(|given| {
                [name, "default", "all", "everything"]
                    .iter()
                    .any(|word| given.eq_ignore_ascii_case(word.as_bytes()))
            })
    };
    let mut text = String::new();
    for (name, write) in SECTIONS {
        if is_wanted(name) {
            if !text.is_empty() {
                text.push_str("\r\n");
            }
            text.push_str(&format!("# {name}\r\n"));
            write(ctx, &mut text);
        }
    }
    ctx.reply.verbatim(&text);
    Ok(())
}

fn line(text: &mut String, name: &str, value: impl std::fmt::Display) {
    // Writing to a `String` cannot fail.
    let _ = write!(text, "{name}:{value}\r\n");
}

fn server(ctx: &Context<'_>, text: &mut String) {
    let uptime = ctx.port.started.elapsed().as_secs();
    line(text, "redis_version", REDIS_VERSION);
    line(text, "redis_mode", "standalone");
    line(text, "os", std::env::consts::OS);
    line(text, "arch_bits", usize::BITS);
    line(text, "multiplexing_api", "epoll");
    line(text, "process_id", std::process::id());
    line(text, "tcp_port", ctx.session.client.local_address.port());
    line(text, "server_time_usec", unix_time().as_micros());
    line(text, "uptime_in_seconds", uptime);
    line(text, "uptime_in_days", uptime / 86_400);
}

fn clients(ctx: &Context<'_>, text: &mut String) {
    line(text, "connected_clients", ctx.port.clients.count());
    line(
        text,
        "maxclients",
        ctx.port.hub.settings().ingest_connections_max,
    );
    line(text, "blocked_clients", 0);
}

fn persistence(_: &Context<'_>, text: &mut String) {
    // Client libraries wait for this to be 0 before they send anything.
    line(text, "loading", 0);
}

fn stats(ctx: &Context<'_>, text: &mut String) {
    let metrics = ctx.port.hub.node_metrics();
    line(
        text,
        "total_connections_received",
        ctx.port.clients.accepted(),
    );
    line(
        text,
        "total_commands_processed",
        metrics.ingest_commands.get(),
    );
    line(
        text,
        "rejected_connections",
        metrics.connections_refused.get(),
    );
    line(text, "pubsub_patterns", 0);
}

fn replication(_: &Context<'_>, text: &mut String) {
    line(text, "role", "master");
    line(text, "connected_slaves", 0);
}

fn cluster(_: &Context<'_>, text: &mut String) {
    line(text, "cluster_enabled", 0);
}

fn fantail(ctx: &Context<'_>, text: &mut String) {
    let hub = &ctx.port.hub;
    let size = hub.history_size();
    line(text, "fantail_version", env!("CARGO_PKG_VERSION"));
    line(text, "streams", hub.streams());
    line(text, "last_event_id", hub.head());
    line(text, "history_topics", size.topics);
    line(text, "history_events", size.events);
    line(text, "history_bytes", size.bytes);
    line(text, "draining", u8::from(hub.draining()));
}

/// `TIME`
pub(super) fn time(ctx: &mut Context<'_>, _args: &[Arg<'_>]) -> Result<(), CommandError> {
    let now = unix_time();
    ctx.reply.array(2);
    ctx.reply.bulk(now.as_secs().to_string());
    ctx.reply.bulk(now.subsec_micros().to_string());
    Ok(())
}

fn unix_time() -> std::time::Duration {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
}

/// `CONFIG GET pattern…`: the settings that clients ask for when they connect, by Redis's names.
pub(super) fn config_get(ctx: &mut Context<'_>, args: &[Arg<'_>]) -> Result<(), CommandError> {
    let globs: Result<Vec<_>, _> = args[2..]
        .iter()
        .map(|pattern| Glob::bounded(&pattern.to_ascii_lowercase(), NAME_PATTERN_BYTES_MAX))
        .collect();
    let globs = globs?;
    let settings = ctx.port.hub.settings();
    let known = [
        ("appendonly", "no".to_owned()),
        ("cluster-enabled", "no".to_owned()),
        ("databases", "1".to_owned()),
        ("maxclients", settings.ingest_connections_max.to_string()),
        ("maxmemory", "0".to_owned()),
        ("notify-keyspace-events", String::new()),
        ("port", ctx.session.client.local_address.port().to_string()),
        (
            "proto-max-bulk-len",
            settings.ingest_bulk_bytes_max.to_string(),
        ),
        ("save", String::new()),
        (
            "timeout",
            settings.ingest_idle_timeout.as_secs().to_string(),
        ),
    ];
    let wanted: Vec<_> = known
        .iter()
        .filter(|(name, _)| globs.iter().any(|glob| glob.matches(name.as_bytes())))
        .collect();
    ctx.reply.map(wanted.len());
    for (name, value) in wanted {
        ctx.reply.bulk(name);
        ctx.reply.bulk(value);
    }
    Ok(())
}
