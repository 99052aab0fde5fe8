//! Pages of entries, and the wait for the next one.

use redis::Value;

use super::connection::Connection;
use super::error::Error;
use super::raw_id::RawId;
use super::reply;
use crate::bridge::entry::{self, Content};
use crate::bridge::follow::Entry;
use crate::core::event::EventId;

/// Time that a call waits for an entry. Far below the limit of an answer.
const BLOCK_MS: u64 = 1_000;

/// Bytes that a page is to have, about.
const PAGE_BYTES: usize = 4 << 20;

/// Entries of the first page.
const FIRST_PAGE: usize = 16;

/// Most entries of a page. With entries of the largest size, it takes 256 MiB for a moment.
const PAGE_MAX: usize = 1_000;

/// The number of entries that is asked for, by the size of those that came.
#[derive(Clone, Copy, Debug, Default)]
pub struct PageSize {
    /// Average of the bytes of an entry; 0 = none came yet.
    average: usize,
}

impl PageSize {
    /// Number of entries to ask for.
    #[must_use]
    pub fn entries(self) -> usize {
        match self.average {
            0 => FIRST_PAGE,
            average => (PAGE_BYTES / average).clamp(2, PAGE_MAX),
        }
    }

    /// A page of so many entries came.
    pub fn came(&mut self, entries: usize, bytes: usize) {
        if entries == 0 {
            return;
        }
        let new = (bytes / entries).max(64);
        // Large entries count at once, small ones slowly.
        self.average = match self.average {
            0 => new,
            old => new.max((7 * old + new) / 8),
        };
    }

    /// A page did not come in time: the next one is smaller.
    pub fn failed(&mut self) {
        let now = PAGE_BYTES / self.entries();
        self.average = (4 * now).min(PAGE_BYTES);
    }
}

/// A page of entries.
#[derive(Debug, Default)]
pub struct RawPage {
    /// By rising ids.
    pub entries: Vec<Entry<Content>>,
    /// The stream had no more.
    pub is_end: bool,
    /// Entries whose ids a node cannot tell from others: numbers of 2^20 and above in one
    /// millisecond. Only the first of a millisecond is in the page.
    pub passed_over: usize,
}

impl Connection {
    /// Entries from an id on, the entry with this id included: at least two, unless the stream has
    /// fewer.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn page(&mut self, from: EventId, size: &mut PageSize) -> Result<RawPage, Error> {
        let mut page = RawPage::default();
        let mut from = RawId::of(from);
        loop {
            let count = size.entries();
            let entries = match self.range(from, count).await {
                Ok(entries) => entries,
                Err(error) => {
                    size.failed();
                    return Err(error);
                }
            };
            let (came, mut bytes) = (entries.len(), 0);
            for (raw, fields) in entries {
                let id = self.readable(raw)?;
                from = raw.after();
                self.newest_read = raw;
                if page.entries.last().is_some_and(|last| last.id >= id) {
                    page.passed_over += 1;
                    continue;
                }
                let pairs = fields.chunks_exact(2);
                let pairs = pairs.map(|pair| {
                    let part = |at: usize| reply::bytes(&pair[at]).unwrap_or_default();
                    (part(0), part(1))
                });
                let read = entry::read(id, pairs);
                bytes += read.content.bytes;
                page.entries.push(Entry {
                    id,
                    print: read.print,
                    marker: read.marker,
                    payload: read.content,
                });
            }
            size.came(came, bytes);
            page.is_end = came < count;
            if page.is_end || page.entries.len() > 1 {
                return Ok(page);
            }
        }
    }

    async fn range(
        &mut self,
        from: RawId,
        count: usize,
    ) -> Result<Vec<(RawId, Vec<Value>)>, Error> {
        let mut command = redis::cmd("XRANGE");
        command.arg(&self.key).arg(from.to_string()).arg("+");
        command.arg("COUNT").arg(count);
        let answer = self.call(&command).await?;
        entries(answer).ok_or(Error::Answer("XRANGE"))
    }

    /// Waits for an entry above this id, for a second at most.
    ///
    /// # Errors
    /// [`Error`]; also if the server has become a replica.
    pub async fn wait(&mut self, after: EventId) -> Result<(), Error> {
        // Several entries may have the node's id: waiting for one above the first ends at once.
        let after = match self.newest_read {
            raw if raw.at_most() == after => raw,
            _ => RawId::of(after),
        };
        let mut command = redis::cmd("XREAD");
        command.arg("COUNT").arg(1).arg("BLOCK").arg(BLOCK_MS);
        command.arg("STREAMS").arg(&self.key).arg(after.to_string());
        self.call(&command).await.map(drop)
    }

    /// The newest entry; zero if there is none.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn newest(&mut self) -> Result<EventId, Error> {
        let mut command = redis::cmd("XREVRANGE");
        command.arg(&self.key).arg("+").arg("-");
        command.arg("COUNT").arg(1);
        let answer = self.call(&command).await?;
        let entries = entries(answer).ok_or(Error::Answer("XREVRANGE"))?;
        let newest = entries.first().map(|(raw, _)| self.readable(*raw));
        newest.unwrap_or(Ok(EventId::ZERO))
    }

    /// The oldest entry at or above an id.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn first_from(&mut self, from: EventId) -> Result<Option<EventId>, Error> {
        let entries = self.range(RawId::of(from), 1).await?;
        Ok(entries.first().map(|(raw, _)| raw.at_most()))
    }
}

fn entries(answer: Value) -> Option<Vec<(RawId, Vec<Value>)>> {
    let read = |value| {
        let [id, fields] = <[Value; 2]>::try_from(reply::items(value)?).ok()?;
        Some((RawId::parse(reply::text(&id)?)?, reply::items(fields)?))
    };
    reply::items(answer)?.into_iter().map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_bounded_by_the_bytes_of_what_came() {
        let mut size = PageSize::default();
        assert_eq!(size.entries(), FIRST_PAGE);
        size.came(16, 16 * 200);
        assert_eq!(size.entries(), PAGE_MAX);
        size.came(1_000, 1_000 * (256 << 10));
        assert_eq!(size.entries(), 16);
        for _ in 0..100 {
            size.came(16, 16 * 200);
        }
        assert_eq!(size.entries(), PAGE_MAX);
        size.failed();
        assert_eq!(size.entries(), PAGE_MAX / 4);
        for _ in 0..20 {
            size.failed();
        }
        assert_eq!(size.entries(), 2);
    }
}
