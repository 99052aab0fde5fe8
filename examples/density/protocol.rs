//! What the coordinator and its client processes say to each other: one line a message, over standard input and output.

use std::fmt;
use std::str::FromStr;

/// To a client process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    /// Have this many streams open (all of this process together); answered by [`Reply::Opened`].
    Open(usize),
    /// Wait for this many deliveries (since the start); answered by [`Reply::Reached`].
    Expect(u64),
    /// Check every stream, now that so many events were published; answered by [`Reply::Checked`].
    Check(u64),
}

/// From a client process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    /// Streams open, and those that failed, with one of the reasons.
    Opened {
        open: usize,
        failed: usize,
        reason: String,
    },
    /// Deliveries until now: as many as expected, or fewer when nothing came for the whole timeout.
    Reached(u64),
    /// Events that never came, came twice or too late, data that was no event, and streams that ended.
    Checked {
        lost: u64,
        doubled: u64,
        other: u64,
        ended: usize,
    },
}

/// A line that is no message; it shows which.
#[derive(Debug, thiserror::Error)]
#[error("not a message of this tool: {0:?}")]
pub(crate) struct Unknown(String);

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open(count) => write!(f, "open {count}"),
            Self::Expect(deliveries) => write!(f, "expect {deliveries}"),
            Self::Check(events) => write!(f, "check {events}"),
        }
    }
}

impl FromStr for Command {
    type Err = Unknown;

    fn from_str(line: &str) -> Result<Self, Unknown> {
        let unknown = || Unknown(line.to_owned());
        let (word, number) = line.trim().split_once(' ').ok_or_else(unknown)?;
        let number: u64 = number.parse().map_err(|_| unknown())?;
        match word {
            "open" => Ok(Self::Open(number as usize)),
            "expect" => Ok(Self::Expect(number)),
            "check" => Ok(Self::Check(number)),
            _ => Err(unknown()),
        }
    }
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Opened {
                open,
                failed,
                reason,
            } => write!(f, "opened {open} {failed} {reason}"),
            Self::Reached(deliveries) => write!(f, "reached {deliveries}"),
            Self::Checked {
                lost,
                doubled,
                other,
                ended,
            } => write!(f, "checked {lost} {doubled} {other} {ended}"),
        }
    }
}

impl FromStr for Reply {
    type Err = Unknown;

    fn from_str(line: &str) -> Result<Self, Unknown> {
        let unknown = || Unknown(line.to_owned());
        let mut words = line.trim().splitn(2, ' ');
        let word = words.next().ok_or_else(unknown)?;
        let rest = words.next().unwrap_or_default();
        let number = |n: usize| -> Result<u64, Unknown> {
            let word = rest.split(' ').nth(n).ok_or_else(unknown)?;
            word.parse().map_err(|_| unknown())
        };
        match word {
            "opened" => Ok(Self::Opened {
                open: number(0)? as usize,
                failed: number(1)? as usize,
                reason: rest.splitn(3, ' ').nth(2).unwrap_or_default().to_owned(),
            }),
            "reached" => Ok(Self::Reached(number(0)?)),
            "checked" => Ok(Self::Checked {
                lost: number(0)?,
                doubled: number(1)?,
                other: number(2)?,
                ended: number(3)? as usize,
            }),
            _ => Err(unknown()),
        }
    }
}
