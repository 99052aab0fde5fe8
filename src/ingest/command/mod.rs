//! The commands of the ingest port: finds a command in the table, checks that the client may send
//! it, and runs it.
//!
//! The checks follow Redis's order: the command exists, the number of arguments is right, the
//! client has authenticated, the user is allowed. Publications are not run at once but gathered, so
//! that a whole batch of them enters the hub in one call.

mod connection;
mod error;
mod history;
mod info;
mod introspect;
mod publish;
mod pubsub;
mod script;
mod server;
mod spec;
mod table;
mod transaction;
mod xadd;

use std::borrow::Cow;
use std::pin::Pin;
use std::sync::Arc;

use super::Port;
use super::client::Client;
use super::resp::{self, Arg, Reply};
use super::users::User;
use crate::core::budget::{Budget, Charge, Part};
pub(super) use error::CommandError;
pub(super) use publish::Batch;
use publish::{Answer, Publication};
pub(super) use script::Scripts;
pub(super) use spec::Commands;
use spec::{Access, Run};
pub(super) use table::COMMANDS;
use transaction::Transaction;

/// Bytes that an answer may have besides the data of one event, which always fits: its id, its
/// name, lengths.
const FRAMING_BYTES: usize = 64 * 1024;

/// Work for one connection before others have their turn: bytes written, or steps of a match. Some
/// 100 µs.
const TURN_COST: usize = 64 * 1024;

/// The state of a connection that commands use.
pub(super) struct Session {
    /// Its entry in the list of clients.
    pub(super) client: Arc<Client>,
    /// Its user; `None` before it has authenticated.
    pub(super) user: Option<Arc<User>>,
    /// No more commands are read: the connection is closed when everything is answered.
    pub(super) closing: bool,
    /// Commands that it queues and topics that it watches.
    transaction: Transaction,
    /// Bytes that it has sent and queued, in the node's budget.
    pub(super) memory: Charge,
    /// Its unsent replies, in the node's budget.
    pub(super) reply_memory: Charge,
}

impl Session {
    pub(super) fn new(client: Arc<Client>, user: Option<Arc<User>>, budget: &Arc<Budget>) -> Self {
        let mut session = Self {
            client,
            user: None,
            closing: false,
            transaction: Transaction::default(),
            memory: Charge::new(budget, Part::Commands),
            reply_memory: Charge::new(budget, Part::Commands),
        };
        session.set_user(user);
        session
    }

    /// Bytes that it queues and watches.
    pub(super) fn queued_bytes(&self) -> usize {
        self.transaction.bytes()
    }

    /// Whether it has nothing that only its own process could know: queued commands, watched
    /// topics, an end that is near.
    pub(super) fn can_be_carried(&self) -> bool {
        !self.closing && self.transaction.is_over()
    }

    /// Makes `user` the connection's user.
    fn set_user(&mut self, user: Option<Arc<User>>) {
        self.client.about.lock().user = user
            .as_ref()
            .map_or_else(String::new, |user| user.name().to_owned());
        self.user = user;
    }
}

/// The state that a short command may use.
pub(super) struct Context<'a> {
    port: &'a Port,
    session: &'a mut Session,
    reply: &'a mut Reply,
}

/// Runs a command and writes its answer.
type ShortCall = fn(&mut Context<'_>, &[Arg<'_>]) -> Result<(), CommandError>;

/// The same for a command whose work has no small bound: it lets others have their turn in between.
type LongCall = for<'a> fn(&'a mut Context<'_>, &'a [Arg<'_>]) -> LongRun<'a>;
type LongRun<'a> = Pin<Box<dyn Future<Output = Result<(), CommandError>> + Send + 'a>>;

/// How to run a command that publishes nothing.
#[derive(Clone, Copy, Debug)]
enum Call {
    Short(ShortCall),
    Long(LongCall),
}

/// A long reply is charged to the node's budget in steps of this. Shorter ones are not charged.
const REPLY_STEP_BYTES: usize = 4 * 1024;

/// The cost of the work since others last had their turn.
#[derive(Default)]
struct Turn(usize);

impl Turn {
    /// Adds `cost`, and lets others have their turn once it is enough.
    async fn spend(&mut self, cost: usize) {
        self.0 += cost;
        if self.0 >= TURN_COST {
            self.0 = 0;
            tokio::task::yield_now().await;
        }
    }
}

impl Context<'_> {
    /// Refuses an answer that has grown too long since it had `start` bytes.
    fn check_length(&mut self, start: usize) -> Result<(), CommandError> {
        let max = self.port.reply_bytes_max;
        if self.reply.bytes().len() - start > max + FRAMING_BYTES {
            return Err(CommandError::TooLong(max));
        }
        self.charge_reply(self.reply.allocated_bytes())
    }

    /// Takes room for an answer that will have some `bytes`, before any of it is made.
    fn begin_long(&mut self, bytes: usize) -> Result<(), CommandError> {
        if self.reply.is_muted() {
            return Ok(());
        }
        let bytes = bytes.min(self.port.reply_bytes_max + FRAMING_BYTES);
        self.charge_reply(self.reply.bytes().len() + bytes)?;
        if bytes > REPLY_STEP_BYTES {
            self.reply.reserve(bytes);
        }
        Ok(())
    }

    fn charge_reply(&mut self, bytes: usize) -> Result<(), CommandError> {
        let charge = &mut self.session.reply_memory;
        if bytes <= REPLY_STEP_BYTES || bytes <= charge.bytes() {
            return Ok(());
        }
        charge
            .set(bytes.next_multiple_of(REPLY_STEP_BYTES))
            .map_err(|_| CommandError::OutOfMemory)
    }
}

/// Makes an event of a command, if the user may publish it.
type Prepare = for<'b> fn(&Port, &User, &[Arg<'b>]) -> Result<Prepared<'b>, CommandError>;

/// A command that passed the checks.
enum Prepared<'b> {
    /// An event to publish, in a batch with others.
    Publish(Publication<'b>),
    /// An event to publish if its first topic has a history or a subscriber (`NOMKSTREAM`).
    PublishIfKnown(Publication<'b>),
    /// The events of a script, to publish together; at least one.
    PublishAll(Vec<Publication<'b>>),
    /// An answer without an event: that of a script that publishes nothing.
    Constant(Answer),
    /// A command to run.
    Call(Call),
    /// A command to run at once, also within a transaction.
    Immediate(ShortCall),
    /// Runs the queued commands of the transaction.
    Exec,
}

/// Finds the command in `args` (at least its name) and makes every check that is possible before it
/// runs.
fn prepare<'b>(
    port: &Port,
    session: &Session,
    args: &[Arg<'b>],
) -> Result<Prepared<'b>, CommandError> {
    let (place, spec) = port.commands.find(args)?;
    session.client.sent(place);
    if !spec.takes(args.len()) {
        return Err(CommandError::Arity(spec.name));
    }
    match (&session.user, spec.access) {
        (None, Access::Anyone) => {}
        (None, _) => return Err(CommandError::NoAuth),
        (Some(user), Access::Inspector) if !user.may_inspect() => {
            return Err(CommandError::NoPermission {
                user: user.name().to_owned(),
                command: spec.name,
            });
        }
        (Some(_), _) => {}
    }
    match (spec.run, &session.user) {
        (Run::Publish(prepare), Some(user)) => prepare(port, user, args),
        (Run::Publish(_), None) => Err(CommandError::NoAuth),
        (Run::Call(call), _) => Ok(Prepared::Call(Call::Short(call))),
        (Run::Long(call), _) => Ok(Prepared::Call(Call::Long(call))),
        (Run::Immediate(call), _) => Ok(Prepared::Immediate(call)),
        (Run::Exec, _) => Ok(Prepared::Exec),
        (Run::Subcommands, _) => Err(CommandError::Arity(spec.name)),
    }
}

/// Runs the command in `args` (at least its name), or queues it while a transaction is open.
///
/// A publication joins `batch` and is answered with it. Every other command sees the events
/// published before it, and is answered after them.
pub(super) async fn execute<'b>(
    port: &Port,
    session: &mut Session,
    reply: &mut Reply,
    batch: &mut Batch<'b>,
    args: &[Arg<'b>],
) {
    let prepared = prepare(port, session, args);
    if let Ok(Prepared::PublishAll(_) | Prepared::Constant(_)) | Err(_) = prepared {
        // The command may have been a script, which has done its work, and a pipeline may be full
        // of scripts.
        tokio::task::yield_now().await;
    }
    if let Ok(prepared) = &prepared
        && batch.must_come_before(prepared)
    {
        batch.flush(&port.hub, reply).await;
    }
    let outcome = match prepared {
        Ok(Prepared::Publish(publication)) if !session.transaction.is_open() => {
            batch.push(publication, reply.is_muted());
            Ok(())
        }
        Ok(Prepared::PublishAll(publications)) if !session.transaction.is_open() => {
            batch.push_all(publications, reply.is_muted());
            Ok(())
        }
        prepared => {
            batch.flush(&port.hub, reply).await;
            in_order(port, session, reply, batch, prepared, args).await
        }
    };
    if let Err(error) = outcome {
        reply.error(&error.to_string());
    }
    reply.end_command();
}

/// Runs a command that cannot join the events before it; `batch` is empty.
async fn in_order<'b>(
    port: &Port,
    session: &mut Session,
    reply: &mut Reply,
    batch: &mut Batch<'b>,
    prepared: Result<Prepared<'b>, CommandError>,
    args: &[Arg<'b>],
) -> Result<(), CommandError> {
    match prepared {
        Ok(Prepared::Immediate(call)) => {
            run(port, session, reply, Call::Short(call), args).await;
        }
        Ok(Prepared::Exec) => return transaction::exec(port, session, reply).await,
        Err(refusal) if args[0].eq_ignore_ascii_case(b"exec") => {
            return Err(transaction::refuse_exec(session, &refusal));
        }
        prepared if session.transaction.is_open() => {
            return transaction::queue(port, session, reply, prepared, args);
        }
        Ok(Prepared::Call(call)) => run(port, session, reply, call, args).await,
        Ok(Prepared::Publish(publication)) => batch.push(publication, reply.is_muted()),
        Ok(Prepared::PublishAll(publications)) => {
            batch.push_all(publications, reply.is_muted());
        }
        Ok(Prepared::Constant(answer)) => answer.write_constant(reply),
        Ok(Prepared::PublishIfKnown(publication)) => {
            let topic = publication.draft.topics().first();
            let is_known = topic.is_some_and(|topic| publish::is_known(&port.hub, topic));
            // A repeat is answered as the first was, though the topic's history has gone since.
            if is_known || port.hub.is_repeat(&publication.draft) {
                batch.push(publication, reply.is_muted());
            } else {
                reply.null();
            }
        }
        Err(refusal) => return Err(refusal),
    }
    Ok(())
}

/// Runs a command and writes its answer. On an error, the bytes written before it are removed.
async fn run(port: &Port, session: &mut Session, reply: &mut Reply, call: Call, args: &[Arg<'_>]) {
    let written = reply.bytes().len();
    let mut ctx = Context {
        port,
        session,
        reply,
    };
    let outcome = match call {
        Call::Short(call) => call(&mut ctx, args),
        Call::Long(call) => call(&mut ctx, args).await,
    };
    // A long answer that was not charged while it was written is charged here.
    let is_long = ctx.reply.bytes().len() > written + REPLY_STEP_BYTES;
    let outcome = match outcome {
        Ok(()) if is_long => ctx.charge_reply(ctx.reply.allocated_bytes()),
        outcome => outcome,
    };
    if let Err(error) = outcome {
        reply.undo(written);
        let charged = session.reply_memory.bytes();
        // A smaller charge is never refused.
        let _ = session
            .reply_memory
            .set(charged.min(reply.allocated_bytes()));
        reply.error(&error.to_string());
    }
}

/// Whether an argument is a word of the command's syntax, in upper or lower case.
fn is_word(arg: &[u8], word: &str) -> bool {
    arg.eq_ignore_ascii_case(word.as_bytes())
}

/// The text of an argument that must be UTF-8; an error names it as `what`.
fn text<'b>(arg: &Arg<'b>, what: &'static str) -> Result<Cow<'b, str>, CommandError> {
    let not_utf8 = |_| CommandError::NotUtf8(what);
    match arg {
        Cow::Borrowed(bytes) => std::str::from_utf8(bytes)
            .map(Cow::Borrowed)
            .map_err(not_utf8),
        Cow::Owned(bytes) => std::str::from_utf8(bytes)
            .map(|text| Cow::Owned(text.to_owned()))
            .map_err(not_utf8),
    }
}

/// An argument that must be an integer.
fn integer(arg: &Arg<'_>) -> Result<i64, CommandError> {
    resp::integer(arg).ok_or(CommandError::NotInteger)
}
