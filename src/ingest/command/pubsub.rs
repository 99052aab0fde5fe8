//! `PUBSUB`: who listens to what. Redis's channels are topics here, and shard channels are the same topics.

use super::error::{CommandError, quote};
use super::{Context, REPLY_BYTES_MAX};
use crate::ingest::glob::Glob;
use crate::ingest::resp::Arg;

/// `PUBSUB CHANNELS [pattern]`, `PUBSUB SHARDCHANNELS [pattern]`
pub(super) fn channels(ctx: &mut Context<'_>, args: &[Arg<'_>]) -> Result<(), CommandError> {
    let glob = match &args[2..] {
        [] => None,
        [pattern] => Some(Glob::new(pattern)?),
        _ => {
            return Err(CommandError::SubcommandArguments {
                given: quote(&args[1]),
                container: "PUBSUB",
            });
        }
    };
    // The number of names comes before the names, so they are gathered first: one after the other, and bounded.
    let mut names = String::new();
    let mut lengths = Vec::new();
    let mut too_long = false;
    ctx.port.hub.each_channel(&mut |topic, _| {
        if too_long
            || glob
                .as_ref()
                .is_some_and(|glob| !glob.matches(topic.as_bytes()))
        {
            return;
        }
        too_long = names.len() + topic.len() > REPLY_BYTES_MAX;
        names.push_str(topic);
        lengths.push(topic.len());
    });
    if too_long {
        return Err(CommandError::TooLong(REPLY_BYTES_MAX));
    }
    ctx.reply.array(lengths.len());
    let mut rest = &names[..];
    for length in lengths {
        let (name, behind) = rest.split_at(length);
        ctx.reply.bulk(name);
        rest = behind;
    }
    Ok(())
}

/// `PUBSUB NUMSUB [topic…]`, `PUBSUB SHARDNUMSUB [topic…]`
pub(super) fn numsub(ctx: &mut Context<'_>, args: &[Arg<'_>]) -> Result<(), CommandError> {
    let topics = &args[2..];
    ctx.reply.array(topics.len() * 2);
    for topic in topics {
        // A name that is not UTF-8 is no topic: nobody can have subscribed to it.
        let count = std::str::from_utf8(topic).map_or(0, |topic| ctx.port.hub.subscribers(topic));
        ctx.reply.bulk(topic);
        ctx.reply.count(count);
    }
    Ok(())
}

/// `PUBSUB NUMPAT`
pub(super) fn numpat(ctx: &mut Context<'_>, _args: &[Arg<'_>]) -> Result<(), CommandError> {
    ctx.reply.count(ctx.port.hub.patterns() as u64);
    Ok(())
}
