//! `PUBSUB`: topics and their subscribers. Redis's channels are topics here, and shard channels are
//! the same topics.

use super::error::{CommandError, quote};
use super::{Context, LongRun, Turn};
use crate::core::glob::Glob;
use crate::ingest::resp::Arg;

/// Cost of a slice of the table of topics, in the measure of [`Turn`], even if no topic in it has
/// subscribers.
const SLICE_COST: usize = 8 * 1024;

/// Cost of finding one name, in the measure of [`Turn`].
const NAME_COST: usize = 256;

/// `PUBSUB CHANNELS [pattern]`, `PUBSUB SHARDCHANNELS [pattern]`
pub(super) fn channels<'a>(ctx: &'a mut Context<'_>, args: &'a [Arg<'_>]) -> LongRun<'a> {
    Box::pin(list_channels(ctx, args))
}

async fn list_channels(ctx: &mut Context<'_>, args: &[Arg<'_>]) -> Result<(), CommandError> {
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
    ctx.begin_long(ctx.port.channels.bytes())?;
    let start = ctx.reply.bytes().len();
    let mut turn = Turn::default();
    let (mut count, mut next) = (0, Some(0));
    while let Some(from) = next {
        // The lock is held for a slice of the table at a time, so a topic that is created or
        // deleted meanwhile may or may not be listed.
        let (topics, after) = ctx.port.hub.channels(from);
        for (topic, _) in &topics {
            let mut cost = topic.len();
            let is_wanted = glob
                .as_ref()
                .is_none_or(|glob| glob.matches_in(topic.as_bytes(), &mut cost));
            if is_wanted {
                ctx.reply.bulk(topic.as_bytes());
                count += 1;
            }
            turn.spend(cost).await;
        }
        let length = ctx.check_length(start);
        if length.is_err() || after.is_none() {
            ctx.port.channels.learn(ctx.reply.bytes().len() - start);
        }
        length?;
        turn.spend(SLICE_COST).await;
        next = after;
    }
    // The number of names is known last, but is sent first.
    ctx.reply.array_before(start, count);
    Ok(())
}

/// `PUBSUB NUMSUB [topic…]`, `PUBSUB SHARDNUMSUB [topic…]`
pub(super) fn numsub<'a>(ctx: &'a mut Context<'_>, args: &'a [Arg<'_>]) -> LongRun<'a> {
    Box::pin(count_subscribers(ctx, &args[2..]))
}

async fn count_subscribers(ctx: &mut Context<'_>, topics: &[Arg<'_>]) -> Result<(), CommandError> {
    let start = ctx.reply.bytes().len();
    let mut turn = Turn::default();
    ctx.reply.array(topics.len() * 2);
    for topic in topics {
        // A name that is not UTF-8 is not a topic, so it has no subscribers.
        let count = std::str::from_utf8(topic).map_or(0, |topic| ctx.port.hub.subscribers(topic));
        ctx.reply.bulk(topic);
        ctx.reply.count(count);
        ctx.check_length(start)?;
        turn.spend(NAME_COST + topic.len()).await;
    }
    Ok(())
}

/// `PUBSUB NUMPAT`
pub(super) fn numpat(ctx: &mut Context<'_>, _args: &[Arg<'_>]) -> Result<(), CommandError> {
    ctx.reply.count(ctx.port.hub.patterns() as u64);
    Ok(())
}
