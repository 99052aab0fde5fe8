//! The commands of the ingest port: finding one in the table, checking that the client may send it, and running it.
//!
//! The checks come in Redis's order: does it exist, has it the right number of arguments, has the client authenticated, is it allowed
//! to. Publications are not run here but prepared, so that a connection can hand a whole batch of them to the hub.

mod connection;
mod error;
mod history;
mod introspect;
mod publish;
mod pubsub;
mod server;
mod table;
mod xadd;

use std::borrow::Cow;
use std::sync::Arc;

use super::Port;
use super::client::Client;
use super::resp::{self, Arg, Reply};
use super::users::User;
use error::CommandError;
pub(super) use publish::{Batch, Publication};
use table::{Access, COMMANDS, Run};

/// Longest answer of one command, in bytes. Everything but `XREAD` of many topics and lists of a great many topics is far below it.
const REPLY_BYTES_MAX: usize = 64 << 20;

/// What a connection is to the commands.
pub(super) struct Session {
    /// Its entry in the list of clients.
    pub(super) client: Arc<Client>,
    /// Who it is; `None` before it has authenticated.
    pub(super) user: Option<Arc<User>>,
    /// No more commands: the connection is closed when everything is answered.
    pub(super) closing: bool,
}

impl Session {
    pub(super) fn new(client: Arc<Client>, user: Option<Arc<User>>) -> Self {
        let mut session = Self {
            client,
            user: None,
            closing: false,
        };
        session.set_user(user);
        session
    }

    /// Makes it the connection of `user`.
    fn set_user(&mut self, user: Option<Arc<User>>) {
        self.client.about.lock().user = user
            .as_ref()
            .map_or_else(String::new, |user| user.name().to_owned());
        self.user = user;
    }
}

/// What a command that is run at once may touch.
pub(super) struct Context<'a> {
    port: &'a Port,
    session: &'a mut Session,
    reply: &'a mut Reply,
}

/// Runs a command and writes its answer; what it wrote before an error is taken back.
pub(super) type Call = fn(&mut Context<'_>, &[Arg<'_>]) -> Result<(), CommandError>;

/// Makes an event of a command, if the user may publish it.
type Prepare = for<'b> fn(&Port, &User, &[Arg<'b>]) -> Result<Prepared<'b>, CommandError>;

/// A command that passed the checks.
pub(super) enum Prepared<'b> {
    /// To be published, in a batch with others.
    Publish(Publication<'b>),
    /// To be published if its first topic has a history or a subscriber (`NOMKSTREAM`).
    PublishIfKnown(Publication<'b>),
    /// To be run.
    Call(Call),
}

/// Finds the command that `args` (at least its name) are and checks everything that can be checked before it runs.
pub(super) fn prepare<'b>(
    port: &Port,
    session: &Session,
    args: &[Arg<'b>],
) -> Result<Prepared<'b>, CommandError> {
    let (place, spec) = table::find(args)?;
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
        (Run::Call(call), _) => Ok(Prepared::Call(call)),
        (Run::Subcommands, _) => Err(CommandError::Arity(spec.name)),
    }
}

/// Runs what [`prepare`] gave and writes the answer. A publication joins `batch`, which must be empty: its answer comes with the batch.
pub(super) fn run<'b>(
    port: &Port,
    session: &mut Session,
    reply: &mut Reply,
    batch: &mut Batch<'b>,
    prepared: Result<Prepared<'b>, CommandError>,
    args: &[Arg<'b>],
) {
    debug_assert!(batch.is_empty(), "earlier publications are answered first");
    let written = reply.bytes().len();
    let outcome = match prepared {
        Err(error) => Err(error),
        Ok(Prepared::Call(call)) => call(
            &mut Context {
                port,
                session,
                reply,
            },
            args,
        ),
        Ok(Prepared::Publish(publication)) => {
            batch.push(publication);
            Ok(())
        }
        Ok(Prepared::PublishIfKnown(publication)) => {
            if publish::is_known(&port.hub, &args[1]) {
                batch.push(publication);
            } else {
                reply.null();
            }
            Ok(())
        }
    };
    if let Err(error) = outcome {
        reply.truncate(written);
        reply.error(&error.to_string());
    }
}

/// Name of the command at `place` in the table.
pub(super) fn name_of(place: usize) -> Option<&'static str> {
    COMMANDS.get(place).map(|spec| spec.name)
}

/// The text of an argument that must be UTF-8; `what` it is goes into the error.
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
