//! Commands about the node: `TIME`, the few settings that clients read from Redis, and clusters,
//! which do not exist here.

use super::Context;
use super::error::CommandError;
use super::introspect::NAME_PATTERN_BYTES_MAX;
use crate::clock::unix_time;
use crate::core::glob::Glob;
use crate::ingest::resp::Arg;

/// `TIME`
pub(super) fn time(ctx: &mut Context<'_>, _args: &[Arg<'_>]) -> Result<(), CommandError> {
    let now = unix_time();
    ctx.reply.array(2);
    ctx.reply.bulk(now.as_secs().to_string());
    ctx.reply.bulk(now.subsec_micros().to_string());
    Ok(())
}

/// `CONFIG GET pattern…`: the settings that clients read when they connect, by Redis's names.
pub(super) fn config_get(ctx: &mut Context<'_>, args: &[Arg<'_>]) -> Result<(), CommandError> {
    let port = ctx.port;
    let idle = port.timeouts.idle.unwrap_or_default();
    let settings = [
        ("appendonly", "no".to_owned()),
        ("cluster-enabled", "no".to_owned()),
        ("databases", "1".to_owned()),
        ("maxclients", port.room.max.to_string()),
        ("maxmemory", "0".to_owned()),
        ("notify-keyspace-events", String::new()),
        ("port", ctx.session.client.local_address.port().to_string()),
        ("proto-max-bulk-len", port.limits.bulk_bytes_max.to_string()),
        ("save", String::new()),
        ("timeout", idle.as_secs().to_string()),
    ];
    // Names in the answer's spelling: as in Redis, a name without wildcards is repeated as it was
    // written.
    let mut wanted: Vec<(&[u8], &str)> = Vec::new();
    for pattern in &args[2..] {
        let is_name = !pattern.iter().any(|byte| b"*?[".contains(byte));
        let glob = Glob::bounded(&pattern.to_ascii_lowercase(), NAME_PATTERN_BYTES_MAX)?;
        for (name, value) in &settings {
            let matches = glob.matches(name.as_bytes());
            if matches
                && !wanted
                    .iter()
                    .any(|(shown, _)| shown.eq_ignore_ascii_case(name.as_bytes()))
            {
                let shown = if is_name {
                    &pattern[..]
                } else {
                    name.as_bytes()
                };
                wanted.push((shown, value));
            }
        }
    }
    ctx.reply.map(wanted.len());
    for (name, value) in wanted {
        ctx.reply.bulk(name);
        ctx.reply.bulk(value);
    }
    Ok(())
}

/// `CLUSTER …`, `READONLY`, `READWRITE`, `ASKING`: clients send these to detect a cluster.
pub(super) fn no_cluster(_ctx: &mut Context<'_>, _args: &[Arg<'_>]) -> Result<(), CommandError> {
    Err(CommandError::NoCluster)
}
