//! Commands about the connection itself: its user, its protocol, its name.

use super::error::{CommandError, quote};
use super::spec::Commands;
use super::{Context, LongRun, Turn, integer, is_word};
use crate::ingest::client::{About, Client, Clients};
use crate::ingest::resp::{self, Arg};
use crate::once_a_minute::OnceAMinute;

/// Version of Redis whose behaviour clients may rely on. Clients read it to choose the commands
/// that they send.
pub(super) const REDIS_VERSION: &str = "7.2.0";

/// Longest name, library name and library version of a client, in bytes: they are kept for each
/// connection.
const NAME_BYTES_MAX: usize = 256;

/// Connections read from the list of clients per lock.
const CLIENTS_PER_PORTION: usize = 256;

/// `PING [message]`
pub(super) fn ping(ctx: &mut Context<'_>, args: &[Arg<'_>]) -> Result<(), CommandError> {
    match args {
        [_] => ctx.reply.simple("PONG"),
        [_, message] => ctx.reply.bulk(message),
        _ => return Err(CommandError::Arity("ping")),
    }
    Ok(())
}

/// `ECHO message`
pub(super) fn echo(ctx: &mut Context<'_>, args: &[Arg<'_>]) -> Result<(), CommandError> {
    ctx.reply.bulk(&args[1]);
    Ok(())
}

/// `AUTH [username] password`
pub(super) fn auth(ctx: &mut Context<'_>, args: &[Arg<'_>]) -> Result<(), CommandError> {
    let users = &ctx.port.users;
    let user = match args {
        [_, password] => users.authenticate_default(password),
        [_, name, password] => users.authenticate(name, password),
        _ => return Err(CommandError::Syntax),
    };
    let user = user.inspect_err(|_| log_refused(ctx))?;
    ctx.session.set_user(Some(user));
    ctx.reply.ok();
    Ok(())
}

/// Logs a wrong password. Neither the password nor the name is logged: the name may be a password
/// in the wrong place.
fn log_refused(ctx: &Context<'_>) {
    static REFUSED: OnceAMinute = OnceAMinute::new();
    let client = ctx.session.client.address;
    tracing::debug!(%client, "AUTH refused on the ingest port");
    if let Some(left_out) = REFUSED.due() {
        tracing::warn!(%client, left_out, "AUTH was refused on the ingest port: a wrong name or password");
    }
}

/// `HELLO [version [AUTH username password] [SETNAME name]]`
pub(super) fn hello(ctx: &mut Context<'_>, args: &[Arg<'_>]) -> Result<(), CommandError> {
    let resp3 = match args.get(1) {
        None => None,
        Some(version) => match resp::integer(version) {
            Some(2) => Some(false),
            Some(3) => Some(true),
            Some(_) => return Err(CommandError::NoProtocol),
            None => return Err(CommandError::ProtocolNotInteger),
        },
    };
    let mut user = None;
    let mut name = None;
    let mut rest = args.get(2..).unwrap_or_default();
    while let [option, behind @ ..] = rest {
        rest = match behind {
            [username, password, behind @ ..] if option.eq_ignore_ascii_case(b"auth") => {
                user = Some((username, password));
                behind
            }
            [client_name, behind @ ..] if option.eq_ignore_ascii_case(b"setname") => {
                name = Some(printable(client_name, "Client names")?);
                behind
            }
            _ => return Err(CommandError::HelloOption(quote(option))),
        };
    }
    if let Some((username, password)) = user {
        let user = ctx.port.users.authenticate(username, password);
        let user = user.inspect_err(|_| log_refused(ctx))?;
        ctx.session.set_user(Some(user));
    }
    if ctx.session.user.is_none() {
        return Err(CommandError::HelloNoAuth);
    }
    {
        let mut about = ctx.session.client.about.lock();
        if let Some(name) = name {
            about.name = name;
        }
        if let Some(resp3) = resp3 {
            about.resp3 = resp3;
            ctx.reply.set_resp3(resp3);
        }
    }
    describe_server(ctx);
    Ok(())
}

fn describe_server(ctx: &mut Context<'_>) {
    let id = ctx.session.client.id;
    let reply = &mut *ctx.reply;
    reply.map(7);
    reply.bulk("server");
    reply.bulk("redis");
    reply.bulk("version");
    reply.bulk(REDIS_VERSION);
    reply.bulk("proto");
    reply.integer(if reply.resp3() { 3 } else { 2 });
    reply.bulk("id");
    reply.count(id);
    reply.bulk("mode");
    reply.bulk("standalone");
    reply.bulk("role");
    reply.bulk("master");
    reply.bulk("modules");
    reply.array(0);
}

/// `RESET`: returns the connection to its first state.
pub(super) fn reset(ctx: &mut Context<'_>, _args: &[Arg<'_>]) -> Result<(), CommandError> {
    {
        let mut about = ctx.session.client.about.lock();
        *about = About {
            library: std::mem::take(&mut about.library),
            library_version: std::mem::take(&mut about.library_version),
            ..About::default()
        };
    }
    ctx.session.end_transaction();
    ctx.session.set_user(ctx.port.users.anonymous());
    ctx.reply.set_resp3(false);
    ctx.reply.reset_muting();
    ctx.reply.simple("RESET");
    Ok(())
}

/// `QUIT`
pub(super) fn quit(ctx: &mut Context<'_>, _args: &[Arg<'_>]) -> Result<(), CommandError> {
    ctx.session.closing = true;
    ctx.reply.ok();
    Ok(())
}

/// `SELECT index`: there is one database.
pub(super) fn select(ctx: &mut Context<'_>, args: &[Arg<'_>]) -> Result<(), CommandError> {
    if integer(&args[1])? != 0 {
        return Err(CommandError::Database);
    }
    ctx.reply.ok();
    Ok(())
}

/// `CLIENT ID`
pub(super) fn client_id(ctx: &mut Context<'_>, _args: &[Arg<'_>]) -> Result<(), CommandError> {
    ctx.reply.count(ctx.session.client.id);
    Ok(())
}

/// `CLIENT GETNAME`
pub(super) fn client_getname(ctx: &mut Context<'_>, _args: &[Arg<'_>]) -> Result<(), CommandError> {
    let about = ctx.session.client.about.lock();
    if about.name.is_empty() {
        ctx.reply.null();
    } else {
        ctx.reply.bulk(&about.name);
    }
    Ok(())
}

/// `CLIENT SETNAME name`
pub(super) fn client_setname(ctx: &mut Context<'_>, args: &[Arg<'_>]) -> Result<(), CommandError> {
    let name = printable(&args[2], "Client names")?;
    ctx.session.client.about.lock().name = name;
    ctx.reply.ok();
    Ok(())
}

/// `CLIENT SETINFO lib-name|lib-ver value`
pub(super) fn client_setinfo(ctx: &mut Context<'_>, args: &[Arg<'_>]) -> Result<(), CommandError> {
    let (attribute, value) = (&args[2], &args[3]);
    let mut about = ctx.session.client.about.lock();
    if attribute.eq_ignore_ascii_case(b"lib-name") {
        about.library = printable(value, "lib-name")?;
    } else if attribute.eq_ignore_ascii_case(b"lib-ver") {
        about.library_version = printable(value, "lib-ver")?;
    } else {
        return Err(CommandError::UnknownAttribute(quote(attribute)));
    }
    ctx.reply.ok();
    Ok(())
}

/// `CLIENT NO-EVICT on|off`, `CLIENT NO-TOUCH on|off`: the node has nothing to evict or touch.
pub(super) fn client_on_off(ctx: &mut Context<'_>, args: &[Arg<'_>]) -> Result<(), CommandError> {
    if !is_word(&args[2], "on") && !is_word(&args[2], "off") {
        return Err(CommandError::Syntax);
    }
    ctx.reply.ok();
    Ok(())
}

/// `CLIENT REPLY ON|OFF|SKIP`
pub(super) fn client_reply(ctx: &mut Context<'_>, args: &[Arg<'_>]) -> Result<(), CommandError> {
    if is_word(&args[2], "on") {
        ctx.reply.unmute();
        ctx.reply.ok();
    } else if is_word(&args[2], "off") {
        ctx.reply.mute();
    } else if is_word(&args[2], "skip") {
        ctx.reply.mute_next();
    } else {
        return Err(CommandError::Syntax);
    }
    Ok(())
}

/// `CLIENT INFO`
pub(super) fn client_info(ctx: &mut Context<'_>, _args: &[Arg<'_>]) -> Result<(), CommandError> {
    let mut line = String::new();
    let user = ctx.session.user.as_ref();
    let is_inspector = user.is_some_and(|user| user.may_inspect());
    ctx.session
        .client
        .describe(&mut line, ctx.port.commands, is_inspector);
    ctx.reply.verbatim(&line);
    Ok(())
}

/// `CLIENT LIST [TYPE type | ID id…]`
pub(super) fn client_list<'a>(ctx: &'a mut Context<'_>, args: &'a [Arg<'_>]) -> LongRun<'a> {
    Box::pin(list_clients(ctx, args))
}

async fn list_clients(ctx: &mut Context<'_>, args: &[Arg<'_>]) -> Result<(), CommandError> {
    // The lines are written twice: as text, and as an answer.
    let shown = match &args[2..] {
        [option, ids @ ..] if is_word(option, "id") => ids.len(),
        _ => ctx.port.clients.count(),
    };
    ctx.begin_long(2 * LINE_BYTES * shown)?;
    let mut list = ClientLines::of(ctx);
    match &args[2..] {
        [] => list.add_all().await?,
        [option, kind] if is_word(option, "type") => match kind {
            kind if is_word(kind, "normal") => list.add_all().await?,
            kind if ["master", "replica", "slave", "pubsub"]
                .iter()
                .any(|word| is_word(kind, word)) => {}
            kind => return Err(CommandError::ClientType(quote(kind))),
        },
        [option, ids @ ..] if is_word(option, "id") && !ids.is_empty() => {
            let ids = ids.iter().map(|id| resp::integer(id));
            let ids: Option<Vec<i64>> = ids.collect();
            for id in ids.ok_or(CommandError::ClientId)? {
                // As in Redis, a number that no connection can have is not an error: no connection
                // has it.
                let client = u64::try_from(id).ok();
                if let Some(client) = client.and_then(|id| ctx.port.clients.get(id)) {
                    list.add(&client).await?;
                }
            }
        }
        _ => return Err(CommandError::Syntax),
    }
    let lines = list.lines;
    ctx.reply.verbatim(&lines);
    Ok(())
}

/// Usual length of a line of `CLIENT LIST`.
const LINE_BYTES: usize = 256;

/// The lines of `CLIENT LIST`: written in portions, and within the bound on an answer.
struct ClientLines<'a> {
    clients: &'a Clients,
    commands: Commands,
    lines: String,
    bytes_max: usize,
    turn: Turn,
}

impl<'a> ClientLines<'a> {
    fn of(ctx: &Context<'a>) -> Self {
        Self {
            clients: &ctx.port.clients,
            commands: ctx.port.commands,
            lines: String::new(),
            bytes_max: ctx.port.reply_bytes_max,
            turn: Turn::default(),
        }
    }

    async fn add(&mut self, client: &Client) -> Result<(), CommandError> {
        let before = self.lines.len();
        client.describe(&mut self.lines, self.commands, true);
        if self.lines.len() > self.bytes_max {
            return Err(CommandError::TooLong(self.bytes_max));
        }
        self.turn.spend(self.lines.len() - before).await;
        Ok(())
    }

    /// Adds every connection. One that opens or ends meanwhile may or may not be included.
    async fn add_all(&mut self) -> Result<(), CommandError> {
        let mut last_id = 0;
        loop {
            let portion = self.clients.after(last_id, CLIENTS_PER_PORTION);
            let Some(last) = portion.last() else {
                return Ok(());
            };
            last_id = last.id;
            for client in &portion {
                self.add(client).await?;
            }
        }
    }
}

/// Checks a client's name for itself, which becomes part of a line of words.
fn printable(text: &[u8], what: &'static str) -> Result<String, CommandError> {
    if text.len() > NAME_BYTES_MAX {
        return Err(CommandError::NameLength {
            what,
            max: NAME_BYTES_MAX,
        });
    }
    if !text.iter().all(u8::is_ascii_graphic) {
        return Err(CommandError::NameCharacters(what));
    }
    Ok(String::from_utf8_lossy(text).into_owned())
}
