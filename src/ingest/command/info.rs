//! `INFO`: the fields of Redis that clients and tools read, as far as they have a meaning here.
//!
//! Users that only publish see what a client needs in order to work. The activity of others, and
//! the newest id, which rises with every event of theirs, are only for users that may inspect the
//! node.

use std::fmt::Display;
use std::fmt::Write as _;
use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

use super::Context;
use super::connection::REDIS_VERSION;
use super::error::CommandError;
use crate::ingest::resp::Arg;

/// A section of `INFO`.
struct Section {
    name: &'static str,
    /// It is written when the command names no section.
    by_default: bool,
    write: fn(&mut Page<'_, '_>),
}

const fn section(name: &'static str, write: fn(&mut Page<'_, '_>)) -> Section {
    Section {
        name,
        by_default: true,
        write,
    }
}

/// A section of Redis that has no lines here.
const fn empty(name: &'static str, by_default: bool) -> Section {
    Section {
        name,
        by_default,
        write: |_| {},
    }
}

/// Sections in the order in which they are written.
const SECTIONS: &[Section] = &[
    section("Server", server),
    section("Clients", clients),
    section("Memory", memory),
    section("Persistence", persistence),
    section("Stats", stats),
    section("Replication", replication),
    section("CPU", cpu),
    empty("Modules", true),
    empty("Commandstats", false),
    empty("Errorstats", true),
    empty("Latencystats", false),
    section("Cluster", cluster),
    empty("Keyspace", true),
    section("Fantail", fantail),
];

/// The text of an answer.
struct Page<'c, 'p> {
    ctx: &'c Context<'p>,
    /// The user may see the activity of others.
    is_inspector: bool,
    text: String,
}

impl Page<'_, '_> {
    /// A line for every user.
    fn line(&mut self, name: &str, value: impl Display) {
        // Writing to a `String` cannot fail.
        let _ = write!(self.text, "{name}:{value}\r\n");
    }

    /// A line for users that may inspect the node.
    fn inspectors_line(&mut self, name: &str, value: impl Display) {
        if self.is_inspector {
            self.line(name, value);
        }
    }
}

/// `INFO [section…]`
pub(super) fn info(ctx: &mut Context<'_>, args: &[Arg<'_>]) -> Result<(), CommandError> {
    let named = &args[1..];
    let names = |word: &str| {
        named
            .iter()
            .any(|given| given.eq_ignore_ascii_case(word.as_bytes()))
    };
    let everything = names("all") || names("everything");
    let default = named.is_empty() || names("default");
    let user = ctx.session.user.as_ref();
    let mut page = Page {
        is_inspector: user.is_some_and(|user| user.may_inspect()),
        ctx,
        text: String::new(),
    };
    for section in SECTIONS {
        if everything || (default && section.by_default) || names(section.name) {
            if !page.text.is_empty() {
                page.text.push_str("\r\n");
            }
            page.text.push_str(&format!("# {}\r\n", section.name));
            (section.write)(&mut page);
        }
    }
    let text = page.text;
    ctx.reply.verbatim(&text);
    Ok(())
}

fn server(page: &mut Page<'_, '_>) {
    let uptime = page.ctx.port.started.elapsed().as_secs();
    page.line("redis_version", REDIS_VERSION);
    page.line("redis_mode", "standalone");
    page.line("os", std::env::consts::OS);
    page.line("arch_bits", usize::BITS);
    page.line("multiplexing_api", "epoll");
    page.inspectors_line("process_id", std::process::id());
    page.line("tcp_port", page.ctx.session.client.local_address.port());
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    page.line("server_time_usec", now.unwrap_or_default().as_micros());
    page.line("uptime_in_seconds", uptime);
    page.line("uptime_in_days", uptime / 86_400);
}

fn clients(page: &mut Page<'_, '_>) {
    page.inspectors_line("connected_clients", page.ctx.port.clients.count());
    page.inspectors_line("cluster_connections", 0);
    let max = page.ctx.port.room.max;
    page.line("maxclients", max);
    page.inspectors_line("blocked_clients", 0);
    page.inspectors_line("tracking_clients", 0);
}

/// Where Redis reports bytes of its allocator, the node reports the resident memory of the process.
fn memory(page: &mut Page<'_, '_>) {
    if page.is_inspector {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let resident = status_bytes(&status, "VmRSS:");
        let peak = status_bytes(&status, "VmHWM:").max(resident);
        for (name, bytes) in [
            ("used_memory", resident),
            ("used_memory_rss", resident),
            ("used_memory_peak", peak),
        ] {
            page.line(name, bytes);
            page.line(&format!("{name}_human"), human(bytes));
        }
        page.line(
            "used_memory_dataset",
            page.ctx.port.hub.history_size().bytes,
        );
    }
    page.line("maxmemory", 0);
    page.line("maxmemory_human", "0B");
    page.line("maxmemory_policy", "noeviction");
    page.inspectors_line("mem_fragmentation_ratio", "1.00");
    page.line("mem_allocator", "mimalloc");
}

/// A field of `/proc/self/status`, in bytes (the file has KiB); 0 if it is missing.
fn status_bytes(status: &str, field: &str) -> u64 {
    let value = status.lines().find_map(|line| line.strip_prefix(field));
    let kib = value.and_then(|value| value.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or(0) * 1_024
}

/// A size as Redis writes it for people.
fn human(bytes: u64) -> String {
    let mut value = bytes as f64;
    if value < 1_024.0 {
        return format!("{bytes}B");
    }
    let mut units = ["K", "M", "G", "T"].iter();
    let mut unit = "";
    while let Some(next) = units.next().filter(|_| value >= 1_024.0) {
        value /= 1_024.0;
        unit = next;
    }
    format!("{value:.2}{unit}")
}

fn persistence(page: &mut Page<'_, '_>) {
    // Client libraries wait for these to be 0 before they send commands.
    page.line("loading", 0);
    page.line("async_loading", 0);
    page.line("rdb_bgsave_in_progress", 0);
    page.line("rdb_last_bgsave_status", "ok");
    page.line("aof_enabled", 0);
}

fn stats(page: &mut Page<'_, '_>) {
    let port = page.ctx.port;
    let metrics = port.hub.node_metrics();
    for (name, count) in [
        ("total_connections_received", port.clients.accepted()),
        ("total_commands_processed", metrics.ingest_commands.get()),
        ("rejected_connections", metrics.connections_refused()),
        // The node has no keys.
        ("expired_keys", 0),
        ("evicted_keys", 0),
        ("keyspace_hits", 0),
        ("keyspace_misses", 0),
        ("pubsub_patterns", port.hub.patterns() as u64),
    ] {
        page.inspectors_line(name, count);
    }
}

fn replication(page: &mut Page<'_, '_>) {
    page.line("role", "master");
    page.line("connected_slaves", 0);
    page.line("master_failover_state", "no-failover");
}

fn cpu(page: &mut Page<'_, '_>) {
    if !page.is_inspector {
        return;
    }
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let [user, system] = cpu_seconds(&stat);
    page.line("used_cpu_sys", format_args!("{system:.6}"));
    page.line("used_cpu_user", format_args!("{user:.6}"));
}

/// User and system time from `/proc/self/stat`: fields 14 and 15 of proc(5), in ticks.
fn cpu_seconds(stat: &str) -> [f64; 2] {
    // The name, in parentheses, may hold spaces; the third field follows it.
    let behind_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let per_second = rustix::param::clock_ticks_per_second() as f64;
    [14, 15].map(|field: usize| {
        let ticks = behind_name.split_whitespace().nth(field - 3);
        let ticks = ticks.and_then(|ticks| ticks.parse::<u64>().ok());
        ticks.unwrap_or(0) as f64 / per_second
    })
}

fn cluster(page: &mut Page<'_, '_>) {
    page.line("cluster_enabled", 0);
}

fn fantail(page: &mut Page<'_, '_>) {
    let hub = &page.ctx.port.hub;
    page.line("fantail_version", env!("CARGO_PKG_VERSION"));
    page.line("event_id_mark", hub.mark());
    if page.is_inspector {
        let size = hub.history_size();
        page.line("streams", hub.streams());
        page.line("last_event_id", hub.head());
        page.line("history_topics", size.topics);
        page.line("history_events", size.events);
        page.line("history_bytes", size.bytes);
        page.line("idempotency_keys", hub.key_figures().count);
    }
    page.line("draining", u8::from(hub.draining()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_written_as_redis_writes_them() {
        for (bytes, text) in [
            (0, "0B"),
            (1_023, "1023B"),
            (1_024, "1.00K"),
            (1_186_752, "1.13M"),
            (25_276_502_016, "23.54G"),
            (5 << 50, "5120.00T"),
        ] {
            assert_eq!(human(bytes), text);
        }
    }

    #[test]
    fn the_kernels_files_are_read() {
        let status = "Name:\tx\nVmHWM:\t    2048 kB\nVmRSS:\t 1024 kB\n";
        assert_eq!(status_bytes(status, "VmRSS:"), 1 << 20);
        assert_eq!(status_bytes(status, "VmSwap:"), 0);
        let ticks = rustix::param::clock_ticks_per_second();
        let stat = format!("1 (a) b) S 1 1 1 0 -1 0 0 0 0 0 {ticks} {} 0", ticks * 2);
        assert_eq!(cpu_seconds(&stat), [1.0, 2.0]);
        assert_eq!(cpu_seconds(""), [0.0, 0.0]);
    }
}
