//! `MULTI`, `EXEC`, `DISCARD`, `WATCH` and `UNWATCH`: several commands as one, all or nothing.
//!
//! A command is checked when it is queued, its event included, so that a bad one is refused before
//! anything is published. `EXEC` passes all events to the hub in one call and then runs the other
//! commands in their order. A transaction must never publish a part of itself.

use std::slice;

use hashbrown::{HashMap, HashSet};

use super::error::CommandError;
use super::publish::{self, Answer, Publication};
use super::{Call, Context, Prepared, Session, run};
use crate::core::event::EventId;
use crate::core::sse::Draft;
use crate::hub::{Hub, NotPublished, Receipt, Watched};
use crate::ingest::Port;
use crate::ingest::TransactionLimits;
use crate::ingest::resp::{Arg, Reply};
use crate::metrics::Source;

/// Commands of a transaction after which other connections have their turn.
const RUN_AT_ONCE_MAX: usize = 64;

/// What a topic of `WATCH` takes in the table beside its name.
const WATCHED_BYTES: usize = size_of::<(Box<str>, EventId)>() + 1;

/// The queued commands and the watched topics of a connection.
#[derive(Default)]
pub(super) struct Transaction {
    /// Between `MULTI` and `EXEC`.
    open: Option<Box<Open>>,
    /// Watched topics, each with the newest event of the node when the watch began.
    watched: HashMap<Box<str>, EventId>,
    /// Bytes of the names of `watched`.
    watched_bytes: usize,
}

/// A transaction between `MULTI` and `EXEC`.
#[derive(Default)]
struct Open {
    queue: Vec<Queued>,
    /// Events of `queue` beyond one per command.
    more_events: usize,
    /// Bytes of memory of `queue`.
    bytes: usize,
    /// A command was refused: `EXEC` will run nothing, and no more is queued.
    aborted: bool,
}

/// A command that waits for `EXEC`.
enum Queued {
    Publish(Publication<'static>),
    PublishIfKnown(Publication<'static>),
    PublishAll(Vec<Publication<'static>>),
    Constant(Answer),
    Call { call: Call, args: Vec<Arg<'static>> },
}

impl Transaction {
    pub(super) fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// Whether nothing is queued or watched.
    pub(super) fn is_over(&self) -> bool {
        self.open.is_none() && self.watched.is_empty()
    }

    /// Makes `EXEC` run nothing, and frees the memory of the queue.
    fn abort(&mut self) {
        if let Some(open) = &mut self.open {
            **open = Open {
                aborted: true,
                ..Open::default()
            };
        }
    }

    /// Bytes that are queued and watched.
    pub(super) fn bytes(&self) -> usize {
        let queued = self.open.as_ref().map_or(0, |open| open.bytes);
        let watched = self.watched.capacity() * WATCHED_BYTES;
        queued + watched + self.watched_bytes
    }

    /// Number of queued commands; `None` outside of a transaction.
    fn queued(&self) -> Option<usize> {
        self.open.as_ref().map(|open| open.queue.len())
    }

    fn queue(&mut self, queued: Queued, limits: TransactionLimits) -> Result<(), CommandError> {
        let Some(open) = self.open.as_mut().filter(|open| !open.aborted) else {
            return Ok(());
        };
        open.bytes += queued.bytes();
        if let Queued::PublishAll(publications) = &queued {
            open.more_events += publications.len().saturating_sub(1);
        }
        let (commands_max, bytes_max) = (limits.commands_max, limits.bytes_max);
        let refused = if open.queue.len() + open.more_events >= commands_max {
            CommandError::too_many(commands_max, "commands")
        } else if open.bytes > bytes_max {
            CommandError::too_many_bytes(bytes_max)
        } else {
            open.queue.push(queued);
            return Ok(());
        };
        self.abort();
        Err(refused)
    }

    fn watch(
        &mut self,
        topic: &str,
        seen: EventId,
        limits: TransactionLimits,
    ) -> Result<(), CommandError> {
        // A second `WATCH` must not hide events after the first.
        if self.watched.contains_key(topic) {
            return Ok(());
        }
        let (count_max, bytes_max) = (limits.commands_max, limits.bytes_max);
        if self.watched.len() >= count_max {
            return Err(CommandError::too_many(count_max, "watched topics"));
        }
        if self.watched_bytes + topic.len() > bytes_max {
            return Err(CommandError::too_many_bytes(bytes_max));
        }
        self.watched_bytes += topic.len();
        self.watched.insert(topic.into(), seen);
        Ok(())
    }
}

impl Session {
    /// Ends its transaction, and with it all watches.
    pub(super) fn end_transaction(&mut self) -> Transaction {
        self.client.queued(None);
        std::mem::take(&mut self.transaction)
    }
}

impl Queued {
    fn bytes(&self) -> usize {
        let content = match self {
            Self::Publish(publication) | Self::PublishIfKnown(publication) => publication.bytes(),
            Self::PublishAll(publications) => publications
                .iter()
                .map(|publication| size_of_val(publication) + publication.bytes())
                .sum(),
            Self::Call { args, .. } => args.iter().map(|arg| size_of_val(arg) + arg.len()).sum(),
            Self::Constant(Answer::Text(text)) => text.len(),
            Self::Constant(_) => 0,
        };
        size_of::<Self>() + content
    }
}

/// `MULTI`
pub(super) fn multi(ctx: &mut Context<'_>, _args: &[Arg<'_>]) -> Result<(), CommandError> {
    let transaction = &mut ctx.session.transaction;
    if transaction.is_open() {
        return Err(CommandError::NestedMulti);
    }
    transaction.open = Some(Box::default());
    ctx.session.client.queued(transaction.queued());
    ctx.reply.ok();
    Ok(())
}

/// `DISCARD`
pub(super) fn discard(ctx: &mut Context<'_>, _args: &[Arg<'_>]) -> Result<(), CommandError> {
    if !ctx.session.transaction.is_open() {
        return Err(CommandError::WithoutMulti("DISCARD"));
    }
    ctx.session.end_transaction();
    ctx.reply.ok();
    Ok(())
}

/// `WATCH topic…`: `EXEC` will run nothing if one of the topics gets an event before.
pub(super) fn watch(ctx: &mut Context<'_>, args: &[Arg<'_>]) -> Result<(), CommandError> {
    if ctx.session.transaction.is_open() {
        return Err(CommandError::WatchInMulti);
    }
    if ctx.port.hub.log().is_some() {
        return Err(CommandError::WatchWithLog);
    }
    let topic_bytes_max = ctx.port.hub.event_limits().topic_bytes_max;
    let seen = ctx.port.hub.head();
    // A name that is not a valid topic never gets an event.
    let is_topic = |name: &&str| name.len() <= topic_bytes_max;
    let names = args[1..].iter().map(|name| std::str::from_utf8(name).ok());
    let topics: Vec<&str> = names.flatten().filter(is_topic).collect();
    // A user may watch a topic only if it may publish to it or may read everything.
    let may_watch = |topic: &&str| {
        let user = ctx.session.user.as_deref();
        user.is_some_and(|user| user.may_inspect() || user.may_publish(topic))
    };
    if !topics.iter().all(may_watch) {
        return Err(CommandError::NoPermissionKey);
    }
    let names: usize = topics.iter().map(|topic| topic.len()).sum();
    let bytes = ctx.session.memory.bytes() + names + topics.len() * WATCHED_BYTES;
    let room = ctx.session.memory.set(bytes);
    room.map_err(|_| CommandError::OutOfMemory)?;
    for topic in topics {
        let limits = ctx.port.transaction;
        ctx.session.transaction.watch(topic, seen, limits)?;
    }
    ctx.reply.ok();
    Ok(())
}

/// `UNWATCH`
pub(super) fn unwatch(ctx: &mut Context<'_>, _args: &[Arg<'_>]) -> Result<(), CommandError> {
    ctx.session.transaction.watched = HashMap::new();
    ctx.session.transaction.watched_bytes = 0;
    ctx.reply.ok();
    Ok(())
}

/// A refused `EXEC` ends its transaction, if there is one. Returns the refusal in the words of
/// `EXEC`.
pub(super) fn refuse_exec(session: &mut Session, refusal: &CommandError) -> CommandError {
    session.end_transaction();
    let text = refusal.to_string();
    // As in Redis: codes other than the general one are kept.
    CommandError::ExecAbortBecause(text.strip_prefix("ERR ").unwrap_or(&text).to_owned())
}

/// Queues a command of an open transaction, unless it is one of those that run at once.
pub(super) fn queue<'b>(
    port: &Port,
    session: &mut Session,
    reply: &mut Reply,
    prepared: Result<Prepared<'b>, CommandError>,
    args: &[Arg<'b>],
) -> Result<(), CommandError> {
    let queued = match prepared {
        Ok(Prepared::Publish(publication)) => Queued::Publish(publication.into_owned()),
        Ok(Prepared::PublishIfKnown(publication)) => {
            Queued::PublishIfKnown(publication.into_owned())
        }
        Ok(Prepared::PublishAll(publications)) => Queued::PublishAll(
            publications
                .into_iter()
                .map(Publication::into_owned)
                .collect(),
        ),
        Ok(Prepared::Constant(answer)) => Queued::Constant(answer),
        Ok(Prepared::Call(call)) => Queued::Call {
            call,
            args: args.iter().map(|arg| arg.to_vec().into()).collect(),
        },
        Err(refusal) => {
            session.transaction.abort();
            session.client.queued(Some(0));
            return Err(refusal);
        }
        Ok(Prepared::Immediate(_) | Prepared::Exec) => {
            unreachable!("run at once, also within a transaction")
        }
    };
    // Charged at once: one read may bring many commands.
    let bytes = session.memory.bytes() + queued.bytes();
    let outcome = match session.memory.set(bytes) {
        Ok(()) => session.transaction.queue(queued, port.transaction),
        Err(_) => {
            session.transaction.abort();
            Err(CommandError::OutOfMemory)
        }
    };
    session.client.queued(session.transaction.queued());
    if outcome.is_ok() {
        reply.simple("QUEUED");
    }
    outcome
}

/// A transaction that publishes nothing for the key of one of its events is aborted.
fn in_words_of_exec(error: NotPublished) -> CommandError {
    match error.into() {
        // With a log, the key may have been used elsewhere after the transaction was checked.
        CommandError::KeyReused(reused) if reused.published() > 0 => {
            CommandError::KeyReusedByOne(reused)
        }
        reused @ CommandError::KeyReused(_) => CommandError::ExecAbortBecause(reused.to_string()),
        other => other,
    }
}

/// `EXEC`: publishes all events of the transaction in one call, then runs its other commands, and
/// answers all of them in order.
pub(super) async fn exec(
    port: &Port,
    session: &mut Session,
    reply: &mut Reply,
) -> Result<(), CommandError> {
    let Some(open) = session.transaction.open.take() else {
        return Err(CommandError::WithoutMulti("EXEC"));
    };
    let watched = session.end_transaction().watched;
    if open.aborted {
        return Err(CommandError::ExecAbort);
    }
    let watched: Vec<Watched> = watched
        .into_iter()
        .map(|(topic, seen)| Watched { topic, seen })
        .collect();
    let mut plan = Plan::new(&port.hub, open.queue);
    let published = port
        .hub
        .publish_unless_changed(Source::Ingest, &mut plan.drafts, &watched)
        .await
        .map_err(in_words_of_exec)?;
    match published {
        Some(receipts) => {
            reply.array(plan.commands);
            answer(port, session, reply, plan.steps, receipts).await;
        }
        None => reply.null_array(),
    }
    Ok(())
}

/// The plan of an `EXEC`: the events, and the answer to each command.
struct Plan {
    drafts: Vec<Draft<'static>>,
    /// Steps in order, at least one per command.
    steps: Vec<Step>,
    commands: usize,
}

enum Step {
    /// One of the events, which have the same order.
    Published(Answer),
    /// It publishes nothing.
    Constant(Answer),
    Run {
        call: Call,
        args: Vec<Arg<'static>>,
    },
}

impl Plan {
    fn new(hub: &Hub, queue: Vec<Queued>) -> Self {
        let unknown = unknown_topics(hub, &queue);
        let mut plan = Self {
            drafts: Vec::with_capacity(queue.len()),
            steps: Vec::with_capacity(queue.len()),
            commands: queue.len(),
        };
        for (place, queued) in queue.into_iter().enumerate() {
            match queued {
                // Its topic is unknown.
                Queued::PublishIfKnown(_) if unknown.contains(&place) => {
                    plan.steps.push(Step::Constant(Answer::Null));
                }
                Queued::Publish(publication) | Queued::PublishIfKnown(publication) => {
                    plan.publish(publication);
                }
                Queued::PublishAll(publications) => {
                    publications
                        .into_iter()
                        .for_each(|publication| plan.publish(publication));
                }
                Queued::Constant(answer) => plan.steps.push(Step::Constant(answer)),
                Queued::Call { call, args } => plan.steps.push(Step::Run { call, args }),
            }
        }
        plan
    }

    fn publish(&mut self, publication: Publication<'static>) {
        self.drafts.push(publication.draft);
        self.steps.push(Step::Published(publication.answer));
    }
}

/// The places of commands with `NOMKSTREAM` whose topic is unknown to the node and to the events
/// before them.
fn unknown_topics(hub: &Hub, queue: &[Queued]) -> HashSet<usize> {
    let mut unknown = HashSet::new();
    if !queue
        .iter()
        .any(|queued| matches!(queued, Queued::PublishIfKnown(_)))
    {
        return unknown;
    }
    let mut published: HashSet<&str> = HashSet::new();
    for (place, queued) in queue.iter().enumerate() {
        let publications = match queued {
            Queued::Publish(publication) | Queued::PublishIfKnown(publication) => {
                slice::from_ref(publication)
            }
            Queued::PublishAll(publications) => publications,
            Queued::Constant(_) | Queued::Call { .. } => continue,
        };
        let topics = publications.iter().flat_map(|event| event.draft.topics());
        let is_known = |topic: &str| published.contains(topic) || publish::is_known(hub, topic);
        if matches!(queued, Queued::PublishIfKnown(event) if !hub.is_repeat(&event.draft))
            && !topics.clone().next().is_some_and(|topic| is_known(topic))
        {
            unknown.insert(place);
        } else {
            published.extend(topics.map(AsRef::as_ref));
        }
    }
    unknown
}

async fn answer(
    port: &Port,
    session: &mut Session,
    reply: &mut Reply,
    steps: Vec<Step>,
    receipts: Vec<Receipt>,
) {
    let mut receipts = receipts.iter();
    let reply_bytes_max = port.reply_bytes_max;
    let start = reply.bytes().len();
    for (place, step) in steps.into_iter().enumerate() {
        match step {
            Step::Published(answer) => {
                if let Some(receipt) = receipts.next() {
                    answer.write(reply, receipt);
                }
            }
            Step::Constant(answer) => answer.write_constant(reply),
            Step::Run { .. } if reply.bytes().len() - start > reply_bytes_max => {
                let error = CommandError::TooLong(reply_bytes_max);
                reply.error(&error.to_string());
            }
            Step::Run { call, args } => run(port, session, reply, call, &args).await,
        }
        if place % RUN_AT_ONCE_MAX == RUN_AT_ONCE_MAX - 1 {
            tokio::task::yield_now().await;
        }
    }
    debug_assert!(receipts.next().is_none(), "an answer an event");
}
