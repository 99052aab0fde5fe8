//! The client processes, as the coordinator sees them.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command as Process, Stdio};

use anyhow::{Context, bail};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::args::Args;
use crate::protocol::{Command, Reply};

/// File descriptors of a client process that are not streams, with room to spare.
const RESERVED_FILES: usize = 64;

/// All client processes.
pub(crate) struct Crew(Vec<Member>);

struct Member {
    process: Child,
    commands: ChildStdin,
    replies: BufReader<ChildStdout>,
}

/// What the check of all streams found.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Checked {
    /// Events that a stream was due and never got.
    pub(crate) lost: u64,
    /// Events that a stream got again, or after a later one.
    pub(crate) doubled: u64,
    /// Data that was no event of this run.
    pub(crate) other: u64,
    /// Streams that ended.
    pub(crate) ended: usize,
}

/// Raises the file limit of this process (its children inherit it) and says how many streams one process can hold.
pub(crate) fn streams_per_process() -> anyhow::Result<usize> {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(
        Resource::Nofile,
        Rlimit {
            current: limit.maximum,
            maximum: limit.maximum,
        },
    )?;
    let files = limit.maximum.map_or(usize::MAX, |files| files as usize);
    Ok(files.saturating_sub(RESERVED_FILES).max(1))
}

impl Crew {
    /// Starts `args.workers` copies of this program with the same arguments.
    pub(crate) fn start(args: &Args) -> anyhow::Result<Self> {
        let program = std::env::current_exe().context("finding this program to start it again")?;
        let start = |number: usize| {
            let mut process = Process::new(&program)
                .args(std::env::args_os().skip(1))
                .arg(format!("--worker={number}/{}", args.workers))
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .context("starting a client process")?;
            let (Some(commands), Some(replies)) = (process.stdin.take(), process.stdout.take())
            else {
                bail!("a client process has no standard input and output");
            };
            Ok(Member {
                process,
                commands,
                replies: BufReader::new(replies),
            })
        };
        Ok(Self(
            (0..args.workers)
                .map(start)
                .collect::<anyhow::Result<_>>()?,
        ))
    }

    /// Has `total` streams opened, shared out evenly; fails unless all of them are.
    pub(crate) fn open(&mut self, total: usize) -> anyhow::Result<()> {
        let workers = self.0.len();
        // Worker w owns the streams w, w + W, …: of `total` these are the rounded-up share of what is left from w on.
        let share = |w: usize| total.saturating_sub(w).div_ceil(workers);
        for reply in self.ask(|w| Command::Open(share(w)))? {
            if let Reply::Opened {
                open,
                failed: failed @ 1..,
                reason,
            } = reply
            {
                bail!(
                    "a client process opened {open} streams, and {failed} failed; one of the reasons: {reason:?}"
                );
            }
        }
        Ok(())
    }

    /// Tells every client process how many deliveries it is to have in all; [`Crew::reached`] waits for them.
    pub(crate) fn expect(&mut self, deliveries: &[u64]) -> anyhow::Result<()> {
        self.tell(|w| Command::Expect(deliveries[w]))
    }

    /// Waits until every client process has what it was told to expect; false if one has waited in vain.
    pub(crate) fn reached(&mut self, deliveries: &[u64]) -> anyhow::Result<bool> {
        let mut all = true;
        for (member, due) in self.0.iter_mut().zip(deliveries) {
            all &= matches!(member.reply()?, Reply::Reached(got) if got >= *due);
        }
        Ok(all)
    }

    /// Has every stream checked, now that `events` were published.
    pub(crate) fn check(&mut self, events: u64) -> anyhow::Result<Checked> {
        let mut sum = Checked::default();
        for reply in self.ask(|_| Command::Check(events))? {
            if let Reply::Checked {
                lost,
                doubled,
                other,
                ended,
            } = reply
            {
                sum.lost += lost;
                sum.doubled += doubled;
                sum.other += other;
                sum.ended += ended;
            }
        }
        Ok(sum)
    }

    fn tell(&mut self, command: impl Fn(usize) -> Command) -> anyhow::Result<()> {
        for (w, member) in self.0.iter_mut().enumerate() {
            let command = command(w);
            writeln!(member.commands, "{command}").context("a client process has ended")?;
        }
        Ok(())
    }

    fn ask(&mut self, command: impl Fn(usize) -> Command) -> anyhow::Result<Vec<Reply>> {
        self.tell(command)?;
        self.0.iter_mut().map(Member::reply).collect()
    }
}

impl Member {
    fn reply(&mut self) -> anyhow::Result<Reply> {
        let mut line = String::new();
        self.replies.read_line(&mut line)?;
        if line.is_empty() {
            bail!("a client process has ended: {:?}", self.process.wait()?);
        }
        Ok(line.parse()?)
    }
}
