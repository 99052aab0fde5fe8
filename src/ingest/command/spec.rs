//! The description of a command: its name, its arguments, its users and how it is run.

use super::error::{self, CommandError};
use super::{LongCall, Prepare, ShortCall, is_word};
use crate::ingest::resp::Arg;

/// A command, or a subcommand of one.
#[derive(Debug)]
pub(in crate::ingest) struct Spec {
    /// Lower case; a subcommand's is `container|name`.
    pub(super) name: &'static str,
    /// Number of arguments, the name included; a negative number is a minimum.
    pub(super) arity: i64,
    pub(super) run: Run,
    pub(super) access: Access,
    pub(super) flags: &'static [&'static str],
    /// First and last argument that is a topic, and the step between; zeros for none.
    pub(super) keys: [i64; 3],
    pub(super) categories: &'static [&'static str],
    /// First version of Redis that has it.
    pub(super) since: &'static str,
    pub(super) summary: &'static str,
    /// Its arguments as words: `[optional]`, `repeated...`.
    pub(super) syntax: &'static str,
    pub(super) subcommands: &'static [Spec],
}

/// How a command is run.
#[derive(Clone, Copy, Debug)]
pub(super) enum Run {
    /// It is an event, which is published with others.
    Publish(Prepare),
    /// It runs by itself, or is queued while a transaction is open.
    Call(ShortCall),
    /// The same, in portions: others have their turn in between.
    Long(LongCall),
    /// It runs by itself, also while a transaction is open.
    Immediate(ShortCall),
    /// It runs the queued commands.
    Exec,
    /// Only its subcommands run.
    Subcommands,
}

/// The users that may send a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    /// Anyone, also before authentication.
    Anyone,
    /// Every user.
    User,
    /// Users that may read histories and other connections. Named users may only publish.
    Inspector,
}

impl Spec {
    pub(super) const fn new(name: &'static str, arity: i64, access: Access, run: Run) -> Self {
        Self {
            name,
            arity,
            run,
            access,
            flags: &[],
            keys: [0, 0, 0],
            categories: &["@slow", "@connection"],
            since: "1.0.0",
            summary: "",
            syntax: "",
            subcommands: &[],
        }
    }

    pub(super) const fn about(
        mut self,
        since: &'static str,
        summary: &'static str,
        syntax: &'static str,
    ) -> Self {
        self.since = since;
        self.summary = summary;
        self.syntax = syntax;
        self
    }

    pub(super) const fn flags(mut self, flags: &'static [&'static str]) -> Self {
        self.flags = flags;
        self
    }

    pub(super) const fn categories(mut self, categories: &'static [&'static str]) -> Self {
        self.categories = categories;
        self
    }

    pub(super) const fn first_argument_is_topic(mut self) -> Self {
        self.keys = [1, 1, 1];
        self
    }

    pub(super) const fn arguments_are_topics(mut self) -> Self {
        self.keys = [1, -1, 1];
        self
    }

    pub(super) const fn subcommands(mut self, subcommands: &'static [Self]) -> Self {
        self.subcommands = subcommands;
        self
    }

    /// Whether it accepts `count` arguments, its name included.
    pub(super) fn takes(&self, count: usize) -> bool {
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        if self.arity < 0 {
            count >= -self.arity
        } else {
            count == self.arity
        }
    }

    /// The name without its container's.
    pub(super) fn short_name(&self) -> &'static str {
        self.name.rsplit('|').next().unwrap_or(self.name)
    }
}

/// All commands of the port, in the order of the table.
#[derive(Clone, Copy, Debug)]
pub(in crate::ingest) struct Commands(pub(super) &'static [Spec]);

impl Commands {
    /// The slice of all commands.
    pub(super) fn all(self) -> &'static [Spec] {
        self.0
    }

    /// Name of the command at `place`.
    pub(in crate::ingest) fn name_of(self, place: usize) -> Option<&'static str> {
        self.0.get(place).map(|spec| spec.name)
    }

    /// Finds the command or subcommand that `args` name, and the index of it (or of its container)
    /// in the table.
    pub(super) fn find(self, args: &[Arg<'_>]) -> Result<(usize, &'static Spec), CommandError> {
        let Some((place, spec)) = self.command(&args[0]) else {
            return Err(CommandError::unknown(args));
        };
        let Some(name) = args.get(1).filter(|_| !spec.subcommands.is_empty()) else {
            return Ok((place, spec));
        };
        let subcommand = spec
            .subcommands
            .iter()
            .find(|sub| is_word(name, sub.short_name()));
        subcommand
            .map(|sub| (place, sub))
            .ok_or_else(|| CommandError::UnknownSubcommand {
                given: error::quote(name),
                container: spec.name.to_ascii_uppercase(),
            })
    }

    /// Finds a command by name, in upper or lower case. The table is short and begins with the
    /// commands of publishers, so a linear search beats hashing.
    pub(super) fn command(self, name: &[u8]) -> Option<(usize, &'static Spec)> {
        let mut commands = self.0.iter().enumerate();
        commands.find(|(_, spec)| is_word(name, spec.name))
    }
}
