//! Writing to the stream.

use redis::{Pipeline, Value};

use super::Stream;
use super::connection::Connection;
use super::error::{Error, Refused};
use super::raw_id::RawId;
use super::reply;
use super::roster::{self, RosterWrite};
use crate::bridge::entry::{self, Fields};
use crate::bridge::follow::Marker;
use crate::core::event::EventId;

/// Entries that are written together, all or nothing.
#[derive(Clone, Debug)]
pub struct Batch {
    /// At least one.
    pub entries: Vec<Fields>,
    /// The change of a roster that is made with them.
    pub roster: Option<RosterWrite>,
}

impl From<Vec<Fields>> for Batch {
    fn from(entries: Vec<Fields>) -> Self {
        let roster = None;
        Self { entries, roster }
    }
}

/// A batch was refused: nothing of it was written.
pub type Refusal = Refused;

/// Longest time that a server waits for its replicas, in milliseconds. Below the limit of an answer.
const WAIT_MS: u64 = 1_000;

/// Of so many entries, one is dropped before the size is measured again.
const TRIM_PART: u64 = 16;

impl Connection {
    /// Writes batches, each all or nothing, in order. Returns for each the id of its last entry, or
    /// the refusal; and the number of replicas that have them all, if it was asked to wait for some.
    ///
    /// # Errors
    /// [`Error`]: each batch may or may not have been written.
    pub async fn append(
        &mut self,
        stream: &Stream,
        batches: &[Batch],
        replicas: usize,
    ) -> Result<(Vec<Result<EventId, Refusal>>, usize), Error> {
        let mut pipeline = Pipeline::new();
        for batch in batches {
            if let Some(roster) = &batch.roster {
                pipeline.add_command(roster::announce(stream, &batch.entries, roster));
                continue;
            }
            if batch.entries.len() > 1 {
                pipeline.cmd("MULTI");
            }
            for fields in &batch.entries {
                let command = pipeline.cmd("XADD").arg(&stream.key);
                command.arg("MAXLEN").arg("~").arg(stream.events_max);
                command.arg("*");
                for (name, value) in fields {
                    command.arg(*name).arg(&value[..]);
                }
            }
            if batch.entries.len() > 1 {
                pipeline.cmd("EXEC");
            }
        }
        if replicas > 0 {
            pipeline.cmd("WAIT").arg(replicas).arg(WAIT_MS);
        }
        let mut answers = self.calls(&pipeline).await?.into_iter();
        let mut outcomes = Vec::with_capacity(batches.len());
        for batch in batches {
            let (calls, count) = match batch.entries.len() {
                // One script.
                _ if batch.roster.is_some() => (1, 1),
                1 => (1, 1),
                // `MULTI`, the entries, `EXEC`.
                several => (several + 2, several),
            };
            let answers: Vec<Value> = answers.by_ref().take(calls).collect();
            outcomes.push(outcome(answers, count)?);
        }
        let has = answers.next().and_then(|answer| reply::number(&answer));
        let has = has.and_then(|has| usize::try_from(has).ok()).unwrap_or(0);
        Ok((outcomes, has))
    }

    /// Writes a marker with this id. False if the stream has a higher one, or this one.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn append_at(&mut self, id: EventId, marker: Marker) -> Result<bool, Error> {
        match self
            .append_fields(&id.to_string(), entry::of_marker(marker))
            .await
        {
            Ok(_) => Ok(true),
            Err(Error::Refused(refused)) if refused.is_of_id() => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Writes a marker, with the id that the server chooses.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn append_marker(&mut self, marker: Marker) -> Result<EventId, Error> {
        let answer = self.append_fields("*", entry::of_marker(marker)).await?;
        Ok(written(&answer)?.at_most())
    }

    async fn append_fields(&mut self, id: &str, fields: Fields) -> Result<Value, Error> {
        let mut command = redis::cmd("XADD");
        command.arg(&self.key).arg(id);
        for (name, value) in fields {
            command.arg(name).arg(value);
        }
        self.call(&command).await
    }

    /// Drops the entries below an id, or a few less.
    ///
    /// # Errors
    /// [`Error`]; servers before version 6.2 do not know how.
    pub async fn trim_below(&mut self, id: EventId) -> Result<(), Error> {
        let answer = self.call(redis::cmd("XLEN").arg(&self.key)).await?;
        let entries = reply::number(&answer).ok_or(Error::Answer("XLEN"))?;
        self.trim("MINID", &id.to_string(), entries).await.map(drop)
    }

    /// Drops the oldest entries, a part at a time, until all take no more than `max` bytes, or a few
    /// more. Entries differ in size, so the number to drop is not known. As many as there were at first
    /// are dropped at most: in a log that grows, there is always one more.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn trim_to_bytes(&mut self, max: u64) -> Result<(), Error> {
        let (mut entries, mut bytes) = self.size().await?;
        let mut left = entries;
        while bytes > max && left > 0 {
            let kept = share(entries, max, bytes);
            let part = kept.max(entries - entries / TRIM_PART);
            // The server drops entries in groups, of which it keeps the one with the bound.
            let mut dropped = self.trim_to(entries, part).await?;
            if dropped == 0 {
                dropped = self.trim_to(entries, kept).await?;
            }
            if dropped == 0 {
                break;
            }
            left = left.saturating_sub(dropped);
            (entries, bytes) = self.size().await?;
        }
        Ok(())
    }

    async fn trim_to(&mut self, entries: u64, kept: u64) -> Result<u64, Error> {
        let most = entries.saturating_sub(kept);
        self.trim("MAXLEN", &kept.to_string(), most).await
    }

    /// Drops no more than `most` entries, or a few more. Returns their number.
    async fn trim(&mut self, how: &str, bound: &str, most: u64) -> Result<u64, Error> {
        let mut command = redis::cmd("XTRIM");
        command.arg(&self.key).arg(how).arg("~").arg(bound);
        let mut dropped = 0;
        // One call drops no more than some 10,000, so that the server is not held up.
        while dropped < most {
            let answer = self.call(&command).await?;
            match reply::number(&answer).ok_or(Error::Answer("XTRIM"))? {
                0 => break,
                more => dropped += more,
            }
        }
        Ok(dropped)
    }

    /// Number of entries, and the memory that they take.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn size(&mut self) -> Result<(u64, u64), Error> {
        let mut pipeline = Pipeline::new();
        pipeline.cmd("XLEN").arg(&self.key);
        // All of it: a sample would be of the oldest entries alone.
        let usage = pipeline.cmd("MEMORY").arg("USAGE").arg(&self.key);
        usage.arg("SAMPLES").arg(0);
        let mut answers = self.calls(&pipeline).await?.into_iter();
        let mut number = || -> Result<u64, Error> {
            let answer = reply::accepted(answers.next().unwrap_or_default())?;
            Ok(reply::number(&answer).unwrap_or(0))
        };
        Ok((number()?, number()?))
    }
}

/// The number of entries that take `max` of the `bytes` that all take, if all are alike.
fn share(entries: u64, max: u64, bytes: u64) -> u64 {
    let share = u128::from(entries) * u128::from(max) / u128::from(bytes.max(1));
    u64::try_from(share).unwrap_or(entries).max(1)
}

/// The outcome of a batch, by the answers to its calls.
fn outcome(answers: Vec<Value>, entries: usize) -> Result<Result<EventId, Refusal>, Error> {
    let executed = answers.last().cloned();
    // A call that was refused before `EXEC` says more than the refusal of `EXEC`.
    for answer in answers {
        if let Value::ServerError(error) = answer {
            return Ok(Err(error.into()));
        }
    }
    let mut last = executed.unwrap_or_default();
    if entries > 1 {
        // All entries go to one key: all are refused, or none is.
        let executed = reply::items(last).ok_or(Error::Answer("EXEC"))?;
        last = Value::Nil;
        for answer in executed {
            if let Value::ServerError(error) = answer {
                return Ok(Err(error.into()));
            }
            last = answer;
        }
    }
    Ok(Ok(written(&last)?.at_most()))
}

fn written(answer: &Value) -> Result<RawId, Error> {
    let id = reply::text(answer).and_then(RawId::parse);
    id.ok_or(Error::Answer("XADD"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_of_entries_is_that_of_their_bytes() {
        assert_eq!(share(1_000, 50, 100), 500);
        assert_eq!(share(u64::MAX, u64::MAX / 2, u64::MAX), u64::MAX / 2);
        assert_eq!(share(1_000, 1, 1 << 40), 1);
        assert_eq!(share(0, 1, 0), 1);
    }
}
