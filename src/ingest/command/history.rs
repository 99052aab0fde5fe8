//! `XLEN`, `XRANGE`, `XREVRANGE` and `XREAD`: reading a topic's history.
//!
//! An entry has the fields `data`, `event`, `id` (a publisher's own) and `retry`, as they were sent
//! to the streams.

use super::error::CommandError;
use super::{Context, LongRun, Turn, integer, is_word};
use crate::core::event::{EventId, OrderMark};
use crate::core::sse;
use crate::hub::{HistoryRange, Hub, Stored};
use crate::ingest::resp::{Arg, Reply};

/// Cost of reading a topic, and of an entry besides its bytes, in the measure of [`Turn`].
const TOPIC_COST: usize = 1_024;
const ENTRY_COST: usize = 256;

/// A stream entry id in Redis's form: 64 bits of milliseconds and 64 bits of counter, more than an
/// [`EventId`] holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct RedisId {
    ms: u64,
    counter: u64,
}

impl From<EventId> for RedisId {
    fn from(id: EventId) -> Self {
        Self {
            ms: id.unix_ms(),
            counter: id.counter(),
        }
    }
}

impl RedisId {
    const MIN: Self = Self { ms: 0, counter: 0 };
    const MAX: Self = Self {
        ms: u64::MAX,
        counter: u64::MAX,
    };

    fn next(self) -> Option<Self> {
        match self.counter.checked_add(1) {
            Some(counter) => Some(Self { counter, ..self }),
            None => self.ms.checked_add(1).map(|ms| Self { ms, counter: 0 }),
        }
    }

    fn previous(self) -> Option<Self> {
        match self.counter.checked_sub(1) {
            Some(counter) => Some(Self { counter, ..self }),
            None => self.ms.checked_sub(1).map(|ms| Self {
                ms,
                counter: u64::MAX,
            }),
        }
    }

    /// The smallest event id that is not before it; `None` when there is none.
    fn first_event(self) -> Option<EventId> {
        match EventId::from_parts(self.ms, self.counter) {
            Some(id) => Some(id),
            // The counter is too large, so the id means the next millisecond, or the milliseconds
            // are too large.
            None => EventId::from_parts(self.ms.checked_add(1)?, 0),
        }
    }

    /// The largest event id that is not behind it.
    fn last_event(self) -> EventId {
        let last = EventId::new(u64::MAX);
        EventId::from_parts(self.ms, self.counter.min(last.counter())).unwrap_or(last)
    }
}

/// Reads an id of the node in the form for HTTP clients (with its mark, or as a URN), or an id that
/// [`parse_id`] reads. An id of another node is refused.
fn parse_place(
    text: &[u8],
    missing_counter: u64,
    mark: OrderMark,
) -> Result<RedisId, CommandError> {
    let place = str::from_utf8(text)
        .ok()
        .and_then(|text| mark.place_of(text));
    place.map_or_else(|| parse_id(text, missing_counter), |id| Ok(id.into()))
}

/// Reads `<ms>-<n>`, or `<ms>` with `missing_counter`. Redis accepts leading zeros here.
pub(super) fn parse_id(text: &[u8], missing_counter: u64) -> Result<RedisId, CommandError> {
    let number = |digits: &[u8]| {
        // `u64::from_str` would accept a plus sign.
        let plain = digits.iter().all(u8::is_ascii_digit);
        let text = std::str::from_utf8(digits).ok().filter(|_| plain);
        text.and_then(|text| text.parse().ok())
            .ok_or(CommandError::InvalidId)
    };
    let (ms, counter) = match text.iter().position(|&byte| byte == b'-') {
        Some(dash) => (number(&text[..dash])?, number(&text[dash + 1..])?),
        None => (number(text)?, missing_counter),
    };
    Ok(RedisId { ms, counter })
}

/// One end of a range.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Bound {
    Start,
    End,
}

/// Reads an end of a range: `-`, `+`, an id, or `(` and an id that is excluded.
fn parse_bound(text: &[u8], bound: Bound, mark: OrderMark) -> Result<RedisId, CommandError> {
    let (exclusive, id) = match text.strip_prefix(b"(") {
        Some(id) => (true, id),
        None => (false, text),
    };
    let missing_counter = match bound {
        Bound::Start => 0,
        Bound::End => u64::MAX,
    };
    let id = match (id, exclusive) {
        (b"-", false) => RedisId::MIN,
        (b"+", false) => RedisId::MAX,
        _ => parse_place(id, missing_counter, mark)?,
    };
    match (exclusive, bound) {
        (false, _) => Ok(id),
        (true, Bound::Start) => id.next().ok_or(CommandError::Interval("start")),
        (true, Bound::End) => id.previous().ok_or(CommandError::Interval("end")),
    }
}

/// `XLEN topic`
pub(super) fn xlen(ctx: &mut Context<'_>, args: &[Arg<'_>]) -> Result<(), CommandError> {
    // A name that is not UTF-8 is not a topic, so it has no history.
    let length = std::str::from_utf8(&args[1]).map_or(0, |topic| ctx.port.hub.history_len(topic));
    ctx.reply.count(length as u64);
    Ok(())
}

/// `XRANGE topic start end [COUNT n]`
pub(super) fn xrange<'a>(ctx: &'a mut Context<'_>, args: &'a [Arg<'_>]) -> LongRun<'a> {
    Box::pin(range(ctx, args, &args[2], &args[3], false))
}

/// `XREVRANGE topic end start [COUNT n]`
pub(super) fn xrevrange<'a>(ctx: &'a mut Context<'_>, args: &'a [Arg<'_>]) -> LongRun<'a> {
    Box::pin(range(ctx, args, &args[3], &args[2], true))
}

async fn range(
    ctx: &mut Context<'_>,
    args: &[Arg<'_>],
    start: &Arg<'_>,
    end: &Arg<'_>,
    newest_first: bool,
) -> Result<(), CommandError> {
    let mark = ctx.port.hub.mark();
    let start = parse_bound(start, Bound::Start, mark)?;
    let end = parse_bound(end, Bound::End, mark)?;
    let mut count = usize::MAX;
    let mut options = args[4..].iter();
    while let Some(option) = options.next() {
        match options.next() {
            Some(number) if option.eq_ignore_ascii_case(b"count") => {
                count = usize::try_from(integer(number)?).unwrap_or(0);
            }
            _ => return Err(CommandError::Syntax),
        }
    }
    if count == 0 {
        let topic = std::str::from_utf8(&args[1]);
        // As in Redis: a topic that does not exist has no events, and one that exists is not read
        // at all.
        if topic.is_ok_and(|topic| ctx.port.hub.history_len(topic) > 0) {
            ctx.reply.null_array();
        } else {
            ctx.reply.array(0);
        }
        return Ok(());
    }
    let (Ok(topic), Some(first)) = (std::str::from_utf8(&args[1]), start.first_event()) else {
        ctx.reply.array(0);
        return Ok(());
    };
    let ids = (first, end.last_event());
    let range = ctx.port.hub.history_range(topic, ids, count, newest_first);
    let start = ctx.reply.bytes().len();
    if entries(ctx, range, start, &mut Turn::default()).await? == 0 {
        ctx.reply.array(0);
    }
    Ok(())
}

/// `XREAD [COUNT n] STREAMS topic… id…`
///
/// `BLOCK` is refused rather than answered at once: a client that loops on it would turn into a
/// busy loop.
pub(super) fn xread<'a>(ctx: &'a mut Context<'_>, args: &'a [Arg<'_>]) -> LongRun<'a> {
    Box::pin(read(ctx, args))
}

async fn read(ctx: &mut Context<'_>, args: &[Arg<'_>]) -> Result<(), CommandError> {
    let (count, streams) = xread_options(args)?;
    let (topics, ids) = streams.split_at(streams.len() / 2);
    // No event follows the newest one, and the call does not wait.
    let mark = ctx.port.hub.mark();
    let after: Vec<Option<RedisId>> = ids
        .iter()
        .map(|id| match &**id {
            b"$" => Ok(None),
            b">" => Err(CommandError::GroupId),
            id => parse_place(id, 0, mark).map(Some),
        })
        .collect::<Result<_, _>>()?;
    let start = ctx.reply.bytes().len();
    let mut turn = Turn::default();
    let mut topics_found = 0;
    for (topic, after) in topics.iter().zip(after) {
        let first = after.and_then(RedisId::next).and_then(RedisId::first_event);
        let (Some(first), Ok(name)) = (first, std::str::from_utf8(topic)) else {
            continue;
        };
        let ids = (first, EventId::new(u64::MAX));
        let range = ctx.port.hub.history_range(name, ids, count, false);
        turn.spend(TOPIC_COST).await;
        let topic_start = ctx.reply.bytes().len();
        // RESP3 has a map of topics here, RESP2 an array of pairs (not, as elsewhere, a flat one).
        if !ctx.reply.resp3() {
            ctx.reply.array(2);
        }
        ctx.reply.bulk(topic);
        if entries(ctx, range, start, &mut turn).await? == 0 {
            ctx.reply.truncate(topic_start);
        } else {
            topics_found += 1;
        }
    }
    // The number of topics with entries is known last, but is sent first.
    match topics_found {
        0 => ctx.reply.null_array(),
        _ if ctx.reply.resp3() => ctx.reply.map_before(start, topics_found),
        _ => ctx.reply.array_before(start, topics_found),
    }
    Ok(())
}

/// Reads the count, and the topics and ids behind `STREAMS`.
fn xread_options<'a, 'b>(args: &'a [Arg<'b>]) -> Result<(usize, &'a [Arg<'b>]), CommandError> {
    let mut count = usize::MAX;
    let mut at = 1;
    while let Some(option) = args.get(at) {
        let value = args.get(at + 1);
        match value {
            Some(_) if is_word(option, "streams") => {
                let streams = &args[at + 1..];
                return if streams.len().is_multiple_of(2) {
                    Ok((count, streams))
                } else {
                    Err(CommandError::UnbalancedStreams)
                };
            }
            Some(number) if is_word(option, "count") => {
                // Zero and negative numbers mean all, as in Redis.
                count = usize::try_from(integer(number)?)
                    .ok()
                    .filter(|count| *count > 0)
                    .unwrap_or(usize::MAX);
            }
            Some(_) if is_word(option, "block") => return Err(CommandError::Block),
            Some(_) if is_word(option, "group") => return Err(CommandError::GroupOption("GROUP")),
            _ if is_word(option, "noack") => return Err(CommandError::GroupOption("NOACK")),
            _ => return Err(CommandError::Syntax),
        }
        at += 2;
    }
    Err(CommandError::Syntax)
}

/// Writes the entries of a range as Redis does: an array of pairs of id and fields. Returns their
/// number; writes nothing if it is 0. The whole answer began at byte `start`.
///
/// The range is read in portions, so the call holds at most one portion of the history besides the
/// bytes of the answer.
async fn entries(
    ctx: &mut Context<'_>,
    mut range: HistoryRange<'_>,
    start: usize,
    turn: &mut Turn,
) -> Result<usize, CommandError> {
    ctx.begin_long(ctx.port.hub.history_range_bytes(&range))?;
    let entries_start = ctx.reply.bytes().len();
    let mut count = 0;
    loop {
        let portion = ctx.port.hub.history_portion(&mut range);
        if portion.is_empty() {
            break;
        }
        count += portion.len();
        for stored in &portion {
            entry(&ctx.port.hub, ctx.reply, stored);
            ctx.check_length(start)?;
            turn.spend(ENTRY_COST + stored.text.len()).await;
        }
    }
    // The number of entries is known last, but is sent first.
    if count > 0 {
        ctx.reply.array_before(entries_start, count);
    }
    Ok(count)
}

fn entry(hub: &Hub, reply: &mut Reply, stored: &Stored) {
    let id = stored.id.to_string();
    let event = sse::parse(&stored.text);
    // The id on the wire is the node's, with its mark or as a URN, or the publisher's.
    let own_id = event.id.filter(|wire| hub.mark().place_of(wire).is_none());
    let retry = event.retry.map(|ms| ms.to_string());
    let optional = [("event", &event.event), ("id", &own_id), ("retry", &retry)];
    let fields = 1 + optional.iter().filter(|(_, value)| value.is_some()).count();
    reply.array(2);
    reply.bulk(&id);
    reply.array(fields * 2);
    reply.bulk("data");
    reply.bulk(&event.data);
    for (name, value) in optional {
        if let Some(value) = value {
            reply.bulk(name);
            reply.bulk(value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bound(text: &str, bound: Bound) -> Result<(u64, u64), String> {
        parse_bound(text.as_bytes(), bound, OrderMark::default())
            .map(|id| (id.ms, id.counter))
            .map_err(|error| error.to_string())
    }

    #[test]
    fn bounds_are_read_as_in_redis() {
        const MAX: u64 = u64::MAX;
        assert_eq!(bound("-", Bound::Start), Ok((0, 0)));
        assert_eq!(bound("+", Bound::End), Ok((MAX, MAX)));
        assert_eq!(bound("5", Bound::Start), Ok((5, 0)));
        assert_eq!(bound("5", Bound::End), Ok((5, MAX)));
        assert_eq!(bound("05-7", Bound::End), Ok((5, 7)));
        assert_eq!(bound("5-7.000000", Bound::End), Ok((5, 7)));
        assert_eq!(bound("(5-7.000000", Bound::Start), Ok((5, 8)));
        let urn = EventId::ZERO.next(5).marked(OrderMark::default()).urn();
        assert_eq!(bound(&urn, Bound::Start), Ok((5, 0)));
        assert_eq!(bound("(5-7", Bound::Start), Ok((5, 8)));
        assert_eq!(bound("(5-0", Bound::End), Ok((4, MAX)));
        assert_eq!(bound("(5", Bound::End), Ok((5, MAX - 1)));
        let end_of_all = format!("({MAX}-{MAX}");
        assert_eq!(
            bound(&end_of_all, Bound::Start),
            Err("ERR invalid start ID for the interval".into())
        );
        assert_eq!(
            bound("(0-0", Bound::End),
            Err("ERR invalid end ID for the interval".into())
        );
        for bad in [
            "",
            "x",
            "(-",
            "(+",
            "1-",
            "-1",
            "1-2-3",
            "1-2.",
            "1-2.111111",
            "1.000000",
            "01-2.000000",
            "+1",
            "1-+2",
            " 1",
            "18446744073709551616",
        ] {
            let refused = bound(bad, Bound::Start).expect_err("must be refused");
            assert_eq!(
                refused, "ERR Invalid stream ID specified as stream command argument",
                "{bad:?}"
            );
        }
    }

    #[test]
    fn redis_ids_meet_event_ids() {
        let id = |ms, counter| RedisId { ms, counter };
        let event = |ms, counter| EventId::from_parts(ms, counter).expect("fits");
        let last = EventId::new(u64::MAX);
        assert_eq!(id(7, 3).first_event(), Some(event(7, 3)));
        assert_eq!(id(7, 1 << 20).first_event(), Some(event(8, 0)));
        assert_eq!(id(1 << 44, 0).first_event(), None);
        assert_eq!(RedisId::MAX.first_event(), None);
        assert_eq!(id(last.unix_ms(), u64::MAX).first_event(), None);
        assert_eq!(id(7, 3).last_event(), event(7, 3));
        assert_eq!(id(7, u64::MAX).last_event(), event(7, (1 << 20) - 1));
        assert_eq!(RedisId::MAX.last_event(), last);
    }

    #[test]
    fn xread_options_are_read_as_in_redis() {
        let options = |words: &str| {
            let args: Vec<Arg<'_>> = words
                .split(' ')
                .map(|word| word.as_bytes().into())
                .collect();
            xread_options(&args)
                .map(|(count, streams)| (count, streams.len()))
                .map_err(|error| error.to_string())
        };
        assert_eq!(options("xread STREAMS a 0"), Ok((usize::MAX, 2)));
        assert_eq!(options("xread count 5 streams a b 0 0"), Ok((5, 4)));
        assert_eq!(options("xread count -5 streams a 0"), Ok((usize::MAX, 2)));
        for (words, text) in [
            (
                "xread streams a b 0",
                "ERR Unbalanced XREAD list of streams",
            ),
            ("xread count x streams a 0", "ERR value is not an integer"),
            ("xread count 5 foo", "ERR syntax error"),
            ("xread a 0 0", "ERR syntax error"),
            ("xread block 5 streams a $", "ERR BLOCK is not supported"),
            ("xread group g c streams a >", "ERR The GROUP option"),
            ("xread noack streams a >", "ERR The NOACK option"),
            ("xread count 5 streams", "ERR syntax error"),
        ] {
            let refused = options(words).expect_err("must be refused");
            assert!(refused.starts_with(text), "{words}: {refused}");
        }
    }
}
