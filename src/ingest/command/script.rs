//! `EVAL`, `EVALSHA` and `SCRIPT`: scripts that publish, as one batch, all or nothing.
//!
//! `ingest/script` defines scripts, and which of them are understood. Scripts are kept by their
//! SHA-1 for `EVALSHA`, a bounded number of them. A client whose script was forgotten gets
//! `NOSCRIPT`, and sends it again.

use std::collections::VecDeque;
use std::sync::Arc;

use aws_lc_rs::digest;
use hashbrown::HashMap;
use parking_lot::Mutex;

use super::error::CommandError;
use super::publish::{Answer, Publication, UNCOUNTED_BYTES};
use super::spec::Run;
use super::{Context, Prepared, integer, is_word};
use crate::core::budget::{Budget, Charge, Exhausted, Part};
use crate::ingest::Port;
use crate::ingest::resp::Arg;
use crate::ingest::script::{Bounds, Outcome, Script, Stop};
use crate::ingest::users::User;

/// Scripts that the node keeps for `EVALSHA`.
const SCRIPTS_MAX: usize = 128;

/// Memory of those. A script that publishes takes some kibibytes; one of the longest that is made
/// to be large takes a mebibyte.
const SCRIPTS_BYTES_MAX: usize = 4 << 20;

/// What a script takes in the tables beside itself.
const KEPT_OVERHEAD_BYTES: usize = 128;

/// Values that a script may read for each event that it may publish. A usual script reads some
/// five, with the fields of an `XADD` some twenty.
const VALUES_PER_EVENT_MAX: usize = 32;

/// Values that a script may read, however few events it may publish.
const VALUES_MIN: usize = 1_024;

/// Bytes of a SHA-1.
const HASH_BYTES: usize = 20;

type Hash = [u8; HASH_BYTES];

/// The scripts that were sent. The oldest is forgotten first.
#[derive(Debug)]
pub(in crate::ingest) struct Scripts(Mutex<Kept>);

#[derive(Debug)]
struct Kept {
    by_hash: HashMap<Hash, Arc<Script>>,
    oldest_first: VecDeque<Hash>,
    bytes: usize,
    /// The same in the node's account.
    memory: Charge,
}

impl Kept {
    /// Keeps a script, and forgets the oldest for it.
    ///
    /// # Errors
    /// [`Exhausted`] where the node has no memory for it; then nothing has changed.
    fn keep(&mut self, hash: Hash, script: &Arc<Script>) -> Result<(), Exhausted> {
        if self.by_hash.contains_key(&hash) {
            return Ok(());
        }
        let bytes = self.bytes + cost(script);
        self.memory.set(bytes)?;
        self.bytes = bytes;
        self.by_hash.insert(hash, Arc::clone(script));
        self.oldest_first.push_back(hash);
        while self.by_hash.len() > SCRIPTS_MAX || self.bytes > SCRIPTS_BYTES_MAX {
            let Some(oldest) = self.oldest_first.pop_front() else {
                break;
            };
            if let Some(script) = self.by_hash.remove(&oldest) {
                self.bytes -= cost(&script);
            }
        }
        self.memory.set_anyway(self.bytes);
        Ok(())
    }
}

fn cost(script: &Script) -> usize {
    script.bytes() + KEPT_OVERHEAD_BYTES
}

impl Scripts {
    /// None yet; what is kept is charged to `budget`.
    pub(in crate::ingest) fn new(budget: &Arc<Budget>) -> Self {
        Self(Mutex::new(Kept {
            by_hash: HashMap::new(),
            oldest_first: VecDeque::new(),
            bytes: 0,
            memory: Charge::new(budget, Part::Scripts),
        }))
    }

    fn find(&self, hash: &Hash) -> Option<Arc<Script>> {
        self.0.lock().by_hash.get(hash).cloned()
    }

    /// The script with this text, its hash, and whether it is kept. The text is parsed if the
    /// script is not kept yet.
    fn read(&self, text: &[u8]) -> Result<(Arc<Script>, Hash, bool), CommandError> {
        let hash = hash(text);
        if let Some(script) = self.find(&hash) {
            return Ok((script, hash, true));
        }
        let script = Arc::new(Script::parse(text, publishes)?);
        let is_kept = self.0.lock().keep(hash, &script).is_ok();
        Ok((script, hash, is_kept))
    }

    fn forget_all(&self) {
        let mut kept = self.0.lock();
        kept.by_hash = HashMap::new();
        kept.oldest_first = VecDeque::new();
        kept.bytes = 0;
        kept.memory.set_anyway(0);
    }
}

fn hash(text: &[u8]) -> Hash {
    let digest = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, text);
    let mut hash = Hash::default();
    hash.copy_from_slice(digest.as_ref());
    hash
}

fn to_hex(hash: &Hash) -> String {
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn from_hex(text: &[u8]) -> Option<Hash> {
    let text = std::str::from_utf8(text).ok();
    let text = text.filter(|text| text.len() == 2 * HASH_BYTES && text.is_ascii())?;
    let mut hash = Hash::default();
    for (place, byte) in hash.iter_mut().enumerate() {
        let digits = &text[2 * place..2 * place + 2];
        // `from_str_radix` would accept a sign.
        if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return None;
        }
        *byte = u8::from_str_radix(digits, 16).ok()?;
    }
    Some(hash)
}

/// Whether a script may call this command.
fn publishes(name: &str) -> bool {
    matches!(name, "publish" | "spublish" | "xadd")
}

/// `EVAL script numkeys [key…] [arg…]`
pub(super) fn eval<'b>(
    port: &Port,
    user: &User,
    args: &[Arg<'b>],
) -> Result<Prepared<'b>, CommandError> {
    let keys = key_count(args)?;
    // One that is not kept is run all the same.
    let (script, hash, _) = port.scripts.read(&args[1])?;
    run(port, user, &script, &hash, args[3..].split_at(keys))
}

/// `EVALSHA sha1 numkeys [key…] [arg…]`
pub(super) fn evalsha<'b>(
    port: &Port,
    user: &User,
    args: &[Arg<'b>],
) -> Result<Prepared<'b>, CommandError> {
    // As in Redis: a text that cannot be a hash is refused before the number of keys is read.
    if args[1].len() != 2 * HASH_BYTES {
        return Err(CommandError::NoScript);
    }
    let keys = key_count(args)?;
    let hash = from_hex(&args[1]).ok_or(CommandError::NoScript)?;
    let script = port.scripts.find(&hash).ok_or(CommandError::NoScript)?;
    run(port, user, &script, &hash, args[3..].split_at(keys))
}

fn key_count(args: &[Arg<'_>]) -> Result<usize, CommandError> {
    let keys = integer(&args[2])?;
    let keys = usize::try_from(keys).map_err(|_| CommandError::NegativeKeys)?;
    if keys > args.len() - 3 {
        return Err(CommandError::TooManyKeys);
    }
    Ok(keys)
}

/// Why a script cannot be run with its arguments.
enum Failure {
    Stop(Stop),
    Call { line: u32, error: CommandError },
}

impl From<Stop> for Failure {
    fn from(stop: Stop) -> Self {
        Self::Stop(stop)
    }
}

/// Makes the events of a script.
fn run<'b>(
    port: &Port,
    user: &User,
    script: &Script,
    hash: &Hash,
    (keys, args): (&[Arg<'b>], &[Arg<'b>]),
) -> Result<Prepared<'b>, CommandError> {
    let limits = port.transaction;
    let bounds = Bounds {
        steps_max: limits.commands_max,
        values_max: (VALUES_PER_EVENT_MAX * limits.commands_max).max(VALUES_MIN),
        bytes_max: limits.bytes_max,
    };
    let mut publications = Vec::new();
    let mut bytes_left = bounds.bytes_max;
    let mut call = |line, command: &str, args: Vec<Arg<'b>>| {
        if publications.len() >= bounds.steps_max {
            return Err(Stop::TooLong.into());
        }
        let publication =
            prepare(port, user, command, &args).map_err(|error| Failure::Call { line, error })?;
        bytes_left = bytes_left
            .checked_sub(publication.bytes())
            .ok_or(Stop::TooLarge)?;
        publications.push(publication);
        Ok(())
    };
    let in_script = |line: u32, error: &CommandError| {
        CommandError::InScript(format!(
            "{error} script: {}, on @user_script:{line}.",
            to_hex(hash)
        ))
    };
    let outcome = script.run(keys, args, bounds, &mut call);
    let bytes = bounds.bytes_max - bytes_left;
    match outcome {
        // A script makes many events of one argument.
        Ok(_) if !has_room_for(port, bytes) => Err(CommandError::OutOfMemory),
        Ok(outcome) => Ok(answered(publications, outcome)),
        Err(Failure::Call { line, error }) => Err(in_script(line, &error)),
        Err(Failure::Stop(stop)) => Err(match stop {
            Stop::NilArgument { line } => in_script(line, &CommandError::ScriptArgument),
            Stop::Unsuited => CommandError::ScriptValues,
            Stop::TooLong => CommandError::too_many(bounds.steps_max, "events of a script"),
            Stop::TooManyValues => CommandError::too_many(bounds.values_max, "values of a script"),
            Stop::TooLarge => CommandError::too_many_bytes(bounds.bytes_max),
        }),
    }
}

/// Whether the node has memory for the events of a script. Few and short ones are let through.
fn has_room_for(port: &Port, bytes: usize) -> bool {
    let budget = port.hub.budget();
    bytes <= UNCOUNTED_BYTES || budget.check(Part::Commands, bytes).is_ok()
}

/// Makes an event of a call in a script.
fn prepare<'b>(
    port: &Port,
    user: &User,
    command: &str,
    args: &[Arg<'b>],
) -> Result<Publication<'b>, CommandError> {
    let Some((_, spec)) = port.commands.command(command.as_bytes()) else {
        return Err(CommandError::ScriptCommand);
    };
    if !spec.takes(args.len()) {
        return Err(CommandError::ScriptArity);
    }
    let Run::Publish(prepare) = spec.run else {
        return Err(CommandError::ScriptCommand);
    };
    match prepare(port, user, args)? {
        Prepared::Publish(publication) => Ok(publication),
        // `NOMKSTREAM`: whether it publishes is only known when it does.
        _ => Err(CommandError::ScriptCommand),
    }
}

/// The events of a script, with at most one answer for all of them.
fn answered(mut publications: Vec<Publication<'_>>, outcome: Outcome) -> Prepared<'_> {
    let constant = match outcome {
        Outcome::Reply(number) => {
            for (place, publication) in publications.iter_mut().enumerate() {
                if place != number {
                    publication.answer = Answer::Nothing;
                }
            }
            return Prepared::PublishAll(publications);
        }
        Outcome::Nil => Answer::Null,
        Outcome::Integer(number) => Answer::Integer(number),
        Outcome::Text(text) => Answer::Text(text),
    };
    let Some((last, others)) = publications.split_last_mut() else {
        return Prepared::Constant(constant);
    };
    for publication in others {
        publication.answer = Answer::Nothing;
    }
    last.answer = constant;
    Prepared::PublishAll(publications)
}

/// `SCRIPT LOAD script`
pub(super) fn load(ctx: &mut Context<'_>, args: &[Arg<'_>]) -> Result<(), CommandError> {
    let (_, hash, is_kept) = ctx.port.scripts.read(&args[2])?;
    if !is_kept {
        return Err(CommandError::OutOfMemory);
    }
    ctx.reply.bulk(to_hex(&hash));
    Ok(())
}

/// `SCRIPT EXISTS sha1…`
pub(super) fn exists(ctx: &mut Context<'_>, args: &[Arg<'_>]) -> Result<(), CommandError> {
    ctx.reply.array(args.len() - 2);
    for hash in &args[2..] {
        let script = from_hex(hash).and_then(|hash| ctx.port.scripts.find(&hash));
        ctx.reply.integer(i64::from(script.is_some()));
    }
    Ok(())
}

/// `SCRIPT FLUSH [ASYNC|SYNC]`
pub(super) fn flush(ctx: &mut Context<'_>, args: &[Arg<'_>]) -> Result<(), CommandError> {
    match &args[2..] {
        [] => {}
        [how] if is_word(how, "async") || is_word(how, "sync") => {}
        _ => return Err(CommandError::ScriptFlush),
    }
    ctx.port.scripts.forget_all();
    ctx.reply.ok();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_kept_scripts_is_bounded() {
        let budget = Budget::new(64 << 20);
        let scripts = Scripts::new(&budget);
        let text = |n: usize| format!("redis.call('publish', 't', {n})").into_bytes();
        for n in 0..SCRIPTS_MAX + 10 {
            scripts.read(&text(n)).expect("understood");
            scripts.read(&text(n)).expect("understood");
        }
        let kept = |n| scripts.find(&hash(&text(n))).is_some();
        assert!(!kept(9) && kept(10) && kept(SCRIPTS_MAX + 9));
        assert_eq!(scripts.0.lock().by_hash.len(), SCRIPTS_MAX);
        assert_eq!(scripts.0.lock().oldest_first.len(), SCRIPTS_MAX);
        assert!(budget.used(Part::Scripts) > 0);
        scripts.forget_all();
        assert!(!kept(10));
        assert_eq!(budget.used(Part::Scripts), 0);
    }

    /// Of 128 scripts of 16 KiB each, the node held 60 MB.
    #[test]
    fn the_memory_of_kept_scripts_is_bounded_and_charged() {
        let budget = Budget::new(64 << 20);
        let scripts = Scripts::new(&budget);
        for n in 0..SCRIPTS_MAX {
            let terms = "+1".repeat(8_000);
            let text = format!("local n = {n}{terms}");
            assert!(scripts.read(text.as_bytes()).expect("understood").2);
            let kept = scripts.0.lock();
            assert!(kept.bytes <= SCRIPTS_BYTES_MAX);
            let held: usize = kept.by_hash.values().map(|script| cost(script)).sum();
            assert_eq!((kept.bytes, budget.used(Part::Scripts)), (held, held));
        }
        assert!(scripts.0.lock().by_hash.len() > 1);
    }

    #[test]
    fn a_script_for_which_there_is_no_memory_is_not_kept() {
        let budget = Budget::new(8_000);
        budget.take_anyway(Part::Bodies, 6_000);
        let scripts = Scripts::new(&budget);
        assert!(!scripts.read(b"return 1").expect("understood").2);
        assert!(scripts.find(&hash(b"return 1")).is_none());
        budget.give_back(Part::Bodies, 6_000);
        assert!(scripts.read(b"return 1").expect("understood").2);
    }

    #[test]
    fn hashes_have_forty_digits() {
        // The answer of redis-server to `SCRIPT LOAD`.
        let known = "c40ba6e26df88db016246c9d3eb11047ce721187";
        let text = b"return redis.call('publish', KEYS[1], ARGV[1])";
        assert_eq!(to_hex(&hash(text)), known);
        assert_eq!(from_hex(known.as_bytes()), Some(hash(text)));
        for bad in [
            "",
            "c4",
            &"+1".repeat(20),
            &"zz".repeat(20),
            &"é".repeat(20),
            &"0".repeat(41),
        ] {
            assert_eq!(from_hex(bad.as_bytes()), None, "{bad}");
        }
    }
}
