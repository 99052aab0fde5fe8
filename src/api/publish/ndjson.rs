//! A stream of events, one JSON object per line, published as they arrive.
//!
//! The stream may be endless, and may idle between two lines; a line that has begun must end in
//! time. At most one line is held, and the bytes that arrived with it in one piece. Published
//! events stay published; the answer has their number.

use bytes::{Buf, Bytes, BytesMut};
use serde::Serialize;

use super::commit::{Memory, draft, submit, warning};
use super::error::PublishError;
use super::json;
use super::keys::CallKeys;
use super::permission::Permission;
use crate::api::node::Node;
use crate::api::reach::Reach;
use crate::bom;
use crate::core::event::Event;
use crate::core::idempotency::Place;
use crate::core::sse::Draft;
use crate::hub::{NotPublished, Receipt};
use crate::server::media_type::Charset;
use crate::server::request_body::{BodyError, RequestBody};
use crate::server::segments::Segments;

/// The answer to a whole stream.
#[derive(Debug, Serialize)]
pub(super) struct Accepted {
    /// Number of its events, repeats included.
    accepted: u64,
    /// Number of those that were published before.
    #[serde(skip_serializing_if = "is_zero")]
    repeated: u64,
    /// The first warning of any event.
    #[serde(skip_serializing_if = "Option::is_none")]
    warning: Option<String>,
}

impl Accepted {
    /// Whether all of it was published before.
    pub(super) fn is_repeat(&self) -> bool {
        self.accepted > 0 && self.repeated == self.accepted
    }

    fn add(&mut self, receipts: &[Receipt]) {
        let repeated = receipts.iter().filter(|receipt| receipt.is_repeat);
        self.accepted += receipts.len() as u64;
        self.repeated += repeated.count() as u64;
    }
}

impl Accepted {
    /// Adds these, and leaves none. Returns their number.
    fn add_all(&mut self, receipts: &mut Vec<Receipt>) -> usize {
        let receipts = std::mem::take(receipts);
        self.add(&receipts);
        receipts.len()
    }
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// Publishes the stream and returns the number of its events.
pub(super) async fn publish(
    node: &Node,
    permission: &Permission,
    keys: &CallKeys<'_>,
    charset: Charset,
    body: &mut RequestBody,
) -> Result<Accepted, PublishError> {
    let mut stream = Stream {
        node,
        permission,
        keys,
        charset,
        batch_max: node.publish.batch_max.max(1),
        lines: Lines::new(node.publish.body_bytes_max),
        line: 0,
        done: Accepted {
            accepted: 0,
            repeated: 0,
            warning: None,
        },
    };
    body.hold(0)?;
    body.await_line();
    loop {
        let chunk = match body.chunk().await {
            Ok(Some(chunk)) => chunk,
            Ok(None) => break,
            Err(error) => return Err(stream.failed_at(stream.line + 1, error.into())),
        };
        let (line, was_between) = (stream.line, stream.lines.is_between());
        stream.lines.push(&chunk);
        stream.publish_lines(Lines::next).await?;
        if let Err(error) = body.hold(stream.lines.held_bytes()) {
            return Err(stream.failed_at(stream.line + 1, error.into()));
        }
        if stream.lines.is_between() {
            body.await_line();
        } else if was_between || stream.line > line {
            body.begin_line();
        }
    }
    stream.publish_lines(Lines::last).await?;
    Ok(stream.done)
}

struct Stream<'h> {
    node: &'h Node,
    permission: &'h Permission,
    keys: &'h CallKeys<'h>,
    charset: Charset,
    /// Most events published at once; bounds the memory of a batch of small lines.
    batch_max: usize,
    lines: Lines,
    /// Number of lines read so far.
    line: u64,
    /// The answer for the events published so far.
    done: Accepted,
}

impl Stream<'_> {
    /// Publishes every line that `take` yields, in batches.
    async fn publish_lines(
        &mut self,
        take: fn(&mut Lines) -> Result<Option<Bytes>, BodyError>,
    ) -> Result<(), PublishError> {
        loop {
            let mut batch = Vec::new();
            let mut failed = None;
            while batch.len() < self.batch_max {
                match take(&mut self.lines) {
                    Ok(Some(mut line)) => {
                        self.line += 1;
                        if self.line == 1 {
                            line = line.slice_ref(bom::skip(&line));
                        }
                        if !line.trim_ascii().is_empty() {
                            batch.push((self.line, line));
                        }
                    }
                    Ok(None) => break,
                    Err(error) => {
                        failed = Some((self.line + 1, error.into()));
                        break;
                    }
                }
            }
            let full = batch.len() == self.batch_max;
            self.publish_batch(&batch).await?;
            if let Some((line, error)) = failed {
                return Err(self.failed_at(line, error));
            }
            if !full {
                return Ok(());
            }
        }
    }

    /// Publishes the lines up to the first bad one, which is the error.
    async fn publish_batch(&mut self, batch: &[(u64, Bytes)]) -> Result<(), PublishError> {
        let mut reach = Reach::default();
        let mut memory = Memory::new(self.node);
        let mut drafts = Vec::with_capacity(batch.len());
        let mut failed = None;
        for (line, text) in batch {
            let checked = self.draft(text, drafts.len(), &mut reach).await;
            match checked {
                Ok(draft) => {
                    if let Err(error) = memory.hold(draft.memory_bytes()) {
                        failed = Some((*line, error.into()));
                        break;
                    }
                    if self.done.warning.is_none() {
                        self.done.warning = warning(draft.topics());
                    }
                    drafts.push(draft);
                }
                Err(error) => {
                    failed = Some((*line, error));
                    break;
                }
            }
        }
        if let Some((number, error)) = self.submit(&mut drafts).await {
            let line = batch.get(number).map_or(self.line, |(line, _)| *line);
            failed = Some((line, error));
        }
        match failed {
            Some((line, error)) => Err(self.failed_at(line, error)),
            None => Ok(()),
        }
    }

    /// Makes an event of a line, the one after so many others that wait to be published.
    async fn draft<'l>(
        &self,
        line: &'l [u8],
        waiting: usize,
        reach: &mut Reach,
    ) -> Result<Draft<'l>, PublishError> {
        let event = self.parse(line)?;
        let place = Place {
            index: self.done.accepted as usize + waiting,
            count: None,
        };
        let name = self.keys.name_of(&event, place, None)?;
        let mut draft = draft(event, self.permission, None, self.node, reach).await?;
        if let Some(name) = name {
            draft.set_key(name);
        }
        Ok(draft)
    }

    /// Publishes events up to the first one that has the key of another event. Returns the number
    /// of that one, or of the first one that a node which shuts down or has no log refuses.
    async fn submit(&mut self, drafts: &mut [Draft<'_>]) -> Option<(usize, PublishError)> {
        let (mut done, mut end) = (0, drafts.len());
        let mut failed = None;
        loop {
            match submit(self.node, &mut drafts[done..end]).await {
                Ok(receipts) => {
                    self.done.add(&receipts);
                    return failed;
                }
                Err(NotPublished::Closed(closed)) => return Some((done, closed.into())),
                Err(NotPublished::Away(mut unlogged)) => {
                    done += self.done.add_all(&mut unlogged.receipts);
                    return Some((done, PublishError::Away(unlogged)));
                }
                Err(NotPublished::Unknown(mut unlogged)) => {
                    done += self.done.add_all(&mut unlogged.receipts);
                    return Some((done, PublishError::Unknown(unlogged)));
                }
                Err(NotPublished::Reused(mut reused)) => {
                    self.done.add(&reused.receipts);
                    end = done + reused.number;
                    done += reused.receipts.len();
                    reused.receipts.clear();
                    let has_header_key = self.keys.are_of_header();
                    let error = PublishError::of(reused.into(), has_header_key, |_| None);
                    failed = Some((end, error));
                }
            }
        }
    }

    fn parse<'l>(&self, line: &'l [u8]) -> Result<Event<'l>, PublishError> {
        self.charset.check(line)?;
        Ok(json::parse_line(line)?)
    }

    fn failed_at(&self, line: u64, error: PublishError) -> PublishError {
        PublishError::Line {
            line,
            accepted: self.done.accepted,
            source: Box::new(error),
        }
    }
}

/// Cuts pieces of a body into lines, each of at most `max` bytes.
struct Lines {
    /// The line that has begun, without what is in `buffer`.
    begun: Segments,
    /// Bytes that were not searched yet.
    buffer: BytesMut,
    max: usize,
}

impl Lines {
    fn new(max: usize) -> Self {
        Self {
            begun: Segments::default(),
            buffer: BytesMut::new(),
            max,
        }
    }

    /// Whether no line has begun.
    fn is_between(&self) -> bool {
        self.begun.is_empty() && self.buffer.is_empty()
    }

    fn push(&mut self, chunk: &[u8]) {
        self.buffer.extend_from_slice(chunk);
    }

    /// Memory of the line that has begun.
    fn held_bytes(&self) -> usize {
        self.begun.bytes_with(self.buffer.len())
    }

    /// The next whole line, without its line feed.
    fn next(&mut self) -> Result<Option<Bytes>, BodyError> {
        let line_feed = memchr::memchr(b'\n', &self.buffer);
        let length = line_feed.unwrap_or(self.buffer.len());
        if self.begun.len() + length > self.max {
            return Err(BodyError::TooLarge { max: self.max });
        }
        if line_feed.is_none() {
            self.begun.push(&self.buffer);
            // A stream may be silent for long.
            self.buffer = BytesMut::new();
            return Ok(None);
        }
        let end = self.buffer.split_to(length);
        self.buffer.advance(1);
        if self.begun.is_empty() {
            return Ok(Some(end.freeze()));
        }
        self.begun.push(&end);
        Ok(Some(std::mem::take(&mut self.begun).join()))
    }

    /// The next line after the body has ended: the last one needs no line feed.
    fn last(&mut self) -> Result<Option<Bytes>, BodyError> {
        match self.next()? {
            None if !self.begun.is_empty() => Ok(Some(std::mem::take(&mut self.begun).join())),
            line => Ok(line),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cut(text: &[u8], piece: usize, max: usize) -> Result<Vec<Bytes>, BodyError> {
        let mut lines = Lines::new(max);
        let mut all = Vec::new();
        for chunk in text.chunks(piece) {
            lines.push(chunk);
            while let Some(line) = lines.next()? {
                all.push(line);
            }
        }
        while let Some(line) = lines.last()? {
            all.push(line);
        }
        Ok(all)
    }

    #[test]
    fn lines_are_bounded_at_the_byte() {
        assert_eq!(cut(b"abcd\nab", 1, 4).expect("fits"), ["abcd", "ab"]);
        assert!(cut(b"abcde\n", 100, 4).is_err());
        assert!(cut(b"abcde", 1, 4).is_err());
        assert!(cut(b"", 1, 4).expect("fits").is_empty());
    }

    proptest! {
        #[test]
        fn pieces_do_not_matter(text in "[ab\n]{0,60}", piece in 1_usize..10) {
            let mut expected: Vec<&str> = text.split('\n').collect();
            if expected.last() == Some(&"") {
                expected.pop();
            }
            prop_assert_eq!(cut(text.as_bytes(), piece, 100).expect("fits"), expected);
        }
    }
}
