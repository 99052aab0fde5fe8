//! `COMMAND` and `HELP`: the command table, as answers.

use super::error::CommandError;
use super::spec::{Commands, Spec};
use super::{Context, LongRun, Turn, is_word};
use crate::core::glob::Glob;
use crate::ingest::resp::{Arg, Reply};

/// Longest pattern of names of commands and settings, in bytes; the names have a few dozen bytes.
pub(super) const NAME_PATTERN_BYTES_MAX: usize = 256;

/// Cost of describing a command, in the measure of [`Turn`].
const SPEC_COST: usize = 1_024;

/// `COMMAND`
pub(super) fn command(ctx: &mut Context<'_>, _args: &[Arg<'_>]) -> Result<(), CommandError> {
    let commands = ctx.port.commands.all();
    ctx.reply.array(commands.len());
    commands.iter().for_each(|spec| describe(ctx.reply, spec));
    Ok(())
}

/// `COMMAND COUNT`
pub(super) fn count(ctx: &mut Context<'_>, _args: &[Arg<'_>]) -> Result<(), CommandError> {
    ctx.reply.count(ctx.port.commands.all().len() as u64);
    Ok(())
}

/// `COMMAND INFO [name…]`
pub(super) fn info<'a>(ctx: &'a mut Context<'_>, args: &'a [Arg<'_>]) -> LongRun<'a> {
    Box::pin(describe_named(ctx, args))
}

async fn describe_named(ctx: &mut Context<'_>, args: &[Arg<'_>]) -> Result<(), CommandError> {
    let names = &args[2..];
    if names.is_empty() {
        return command(ctx, args);
    }
    let start = ctx.reply.bytes().len();
    let mut turn = Turn::default();
    ctx.reply.array(names.len());
    for name in names {
        match by_full_name(ctx.port.commands, name) {
            Some(spec) => describe(ctx.reply, spec),
            None => ctx.reply.null(),
        }
        ctx.check_length(start)?;
        turn.spend(SPEC_COST).await;
    }
    Ok(())
}

/// `COMMAND LIST [FILTERBY MODULE name | ACLCAT category | PATTERN glob]`
pub(super) fn list(ctx: &mut Context<'_>, args: &[Arg<'_>]) -> Result<(), CommandError> {
    let wanted: Box<dyn Fn(&Spec) -> bool> = match &args[2..] {
        [] => Box::new(|_| true),
        [filter, by, _] if is_word(filter, "filterby") && is_word(by, "module") => {
            Box::new(|_| false)
        }
        [filter, by, category] if is_word(filter, "filterby") && is_word(by, "aclcat") => {
            let category = format!(
                "@{}",
                String::from_utf8_lossy(category).to_ascii_lowercase()
            );
            Box::new(move |spec| spec.categories.contains(&category.as_str()))
        }
        [filter, by, pattern] if is_word(filter, "filterby") && is_word(by, "pattern") => {
            let glob = Glob::bounded(&pattern.to_ascii_lowercase(), NAME_PATTERN_BYTES_MAX)?;
            Box::new(move |spec| glob.matches(spec.name.as_bytes()))
        }
        _ => return Err(CommandError::Syntax),
    };
    let names: Vec<_> = ctx
        .port
        .commands
        .all()
        .iter()
        .filter(|spec| wanted(spec))
        .collect();
    ctx.reply.array(names.len());
    names.iter().for_each(|spec| ctx.reply.bulk(spec.name));
    Ok(())
}

/// `COMMAND DOCS [name…]`
pub(super) fn docs<'a>(ctx: &'a mut Context<'_>, args: &'a [Arg<'_>]) -> LongRun<'a> {
    Box::pin(document_named(ctx, &args[2..]))
}

async fn document_named(ctx: &mut Context<'_>, names: &[Arg<'_>]) -> Result<(), CommandError> {
    let start = ctx.reply.bytes().len();
    let mut turn = Turn::default();
    let commands = ctx.port.commands;
    let specs: Vec<&Spec> = if names.is_empty() {
        commands.all().iter().collect()
    } else {
        let specs = names.iter().filter_map(|name| by_full_name(commands, name));
        specs.collect()
    };
    ctx.reply.map(specs.len());
    for spec in specs {
        document(ctx.reply, spec);
        ctx.check_length(start)?;
        turn.spend(SPEC_COST).await;
    }
    Ok(())
}

/// `HELP` of any container.
pub(super) fn help(ctx: &mut Context<'_>, args: &[Arg<'_>]) -> Result<(), CommandError> {
    let Some((_, container)) = ctx.port.commands.command(&args[0]) else {
        return Err(CommandError::unknown(args));
    };
    let name = container.name.to_ascii_uppercase();
    ctx.reply.array(1 + container.subcommands.len() * 2);
    ctx.reply.simple(&format!(
        "{name} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:"
    ));
    for sub in container.subcommands {
        let line = format!("{} {}", sub.short_name().to_ascii_uppercase(), sub.syntax);
        ctx.reply.simple(line.trim_end());
        ctx.reply.simple(&format!("    {}", sub.summary));
    }
    Ok(())
}

/// Finds a command by name, or a subcommand by `container|name`.
fn by_full_name(commands: Commands, name: &[u8]) -> Option<&'static Spec> {
    let dash = name.iter().position(|&byte| byte == b'|');
    let (_, spec) = commands.command(&name[..dash.unwrap_or(name.len())])?;
    if dash.is_none() {
        return Some(spec);
    }
    spec.subcommands
        .iter()
        .find(|sub| name.eq_ignore_ascii_case(sub.name.as_bytes()))
}

/// Writes what a client needs to route a command: the ten elements of `COMMAND INFO`.
fn describe(reply: &mut Reply, spec: &Spec) {
    reply.array(10);
    reply.bulk(spec.name);
    reply.integer(spec.arity);
    reply.set(spec.flags.len());
    spec.flags.iter().for_each(|flag| reply.simple(flag));
    spec.keys.iter().for_each(|key| reply.integer(*key));
    reply.set(spec.categories.len());
    spec.categories
        .iter()
        .for_each(|category| reply.simple(category));
    // Hints for clusters, and places of keys beyond the three numbers: both are empty.
    reply.set(0);
    reply.set(0);
    reply.set(spec.subcommands.len());
    spec.subcommands.iter().for_each(|sub| describe(reply, sub));
}

/// Writes what a person needs to use a command: `redis-cli` shows it while the person types.
fn document(reply: &mut Reply, spec: &Spec) {
    let arguments: Vec<&str> = spec.syntax.split_whitespace().collect();
    let sections = usize::from(!arguments.is_empty()) + usize::from(!spec.subcommands.is_empty());
    reply.bulk(spec.name);
    reply.map(3 + sections);
    reply.bulk("summary");
    reply.bulk(spec.summary);
    reply.bulk("since");
    reply.bulk(spec.since);
    reply.bulk("group");
    reply.bulk(match spec.categories {
        list if list.contains(&"@stream") => "stream",
        list if list.contains(&"@pubsub") => "pubsub",
        list if list.contains(&"@transaction") => "transactions",
        list if list.contains(&"@scripting") => "scripting",
        list if list.contains(&"@connection") => "connection",
        _ => "server",
    });
    if !arguments.is_empty() {
        reply.bulk("arguments");
        reply.array(arguments.len());
        arguments.iter().for_each(|word| argument(reply, word));
    }
    if !spec.subcommands.is_empty() {
        reply.bulk("subcommands");
        reply.map(spec.subcommands.len());
        spec.subcommands.iter().for_each(|sub| document(reply, sub));
    }
}

/// One word of a syntax: `name`, `[optional]`, `repeated...`.
fn argument(reply: &mut Reply, word: &str) {
    let inner = word
        .strip_prefix('[')
        .and_then(|word| word.strip_suffix(']'));
    let optional = inner.is_some();
    let word = inner.unwrap_or(word);
    let repeated = word.ends_with("...");
    let name = word.trim_end_matches("...");
    let flags: Vec<&str> = [(optional, "optional"), (repeated, "multiple")]
        .into_iter()
        .filter_map(|(is, flag)| is.then_some(flag))
        .collect();
    reply.map(2 + usize::from(!flags.is_empty()));
    reply.bulk("name");
    reply.bulk(name);
    reply.bulk("type");
    reply.bulk("string");
    if !flags.is_empty() {
        reply.bulk("flags");
        reply.set(flags.len());
        flags.iter().for_each(|flag| reply.simple(flag));
    }
}
