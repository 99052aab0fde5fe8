//! The server's answers to events, one each and in order.

use crate::wire::body::{Body, ChunkError};
use crate::wire::event_id::{ANSWER_BYTES_MAX, EventId};
use crate::wire::head::{Head, HeadError};

/// Longest line of an answer of the Redis protocol, in bytes.
const LINE_BYTES_MAX: usize = 64 * 1024;

/// Reads the answers on one connection.
#[derive(Debug)]
pub(crate) struct Answers {
    resp: bool,
    input: Vec<u8>,
    /// Within the body of an HTTP answer: the position, and the verdict of the head.
    body: Option<(Body, Verdict)>,
    /// Ids of events are of interest.
    wants_ids: bool,
    /// The body so far, if they are.
    said: Vec<u8>,
    closing: bool,
}

/// The server's verdict on an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The server has it; its id, if that was asked for and told.
    Taken(Option<EventId>),
    /// The server does not want it; its words.
    Refused(String),
}

/// A malformed answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AnswerError {
    /// Not HTTP.
    #[error("{0}")]
    Head(String),
    /// Not the Redis protocol.
    #[error("the answer to a published event is not of the Redis protocol: {0:?}")]
    Resp(String),
}

impl From<HeadError> for AnswerError {
    fn from(error: HeadError) -> Self {
        Self::Head(error.to_string())
    }
}

impl From<ChunkError> for AnswerError {
    fn from(error: ChunkError) -> Self {
        Self::Head(error.to_string())
    }
}

impl Answers {
    /// Reads answers of the Redis protocol, or else of HTTP; with the ids of events, if these are
    /// wanted.
    pub(crate) fn new(resp: bool, wants_ids: bool) -> Self {
        Self {
            wants_ids,
            said: Vec::new(),
            resp,
            input: Vec::new(),
            body: None,
            closing: false,
        }
    }

    /// Whether the server has announced the end of the connection.
    pub(crate) fn closing(&self) -> bool {
        self.closing
    }

    /// The connection has ended: the answer that only ends with it.
    pub(crate) fn end(&mut self) -> Option<Verdict> {
        let (_, verdict) = self.body.take_if(|(body, _)| *body == Body::Close)?;
        Some(self.with_id(verdict))
    }

    /// The verdict with the id that its body told.
    fn with_id(&mut self, verdict: Verdict) -> Verdict {
        let said = std::mem::take(&mut self.said);
        match verdict {
            Verdict::Taken(None) if self.wants_ids => Verdict::Taken(EventId::in_answer(&said)),
            verdict => verdict,
        }
    }

    /// Adds received bytes, and appends the complete answers.
    pub(crate) fn feed(
        &mut self,
        bytes: &[u8],
        into: &mut Vec<Verdict>,
    ) -> Result<(), AnswerError> {
        self.input.extend_from_slice(bytes);
        let mut used = 0;
        loop {
            let next = if self.resp {
                resp(&self.input[used..], self.wants_ids)?
            } else {
                self.http(used)?
            };
            match next {
                Some((size, verdict)) => {
                    used += size;
                    into.extend(verdict);
                }
                None => break,
            }
        }
        self.input.drain(..used);
        Ok(())
    }

    /// The next step in an HTTP answer: how many bytes it took, and the verdict at its end.
    fn http(&mut self, used: usize) -> Result<Option<(usize, Option<Verdict>)>, AnswerError> {
        let input = &self.input[used..];
        if let Some((body, verdict)) = &mut self.body {
            let mut rest = input;
            while let Some(piece) = body.next(&mut rest)? {
                if self.wants_ids {
                    let room = ANSWER_BYTES_MAX.saturating_sub(self.said.len());
                    self.said.extend_from_slice(&piece[..piece.len().min(room)]);
                }
            }
            let size = input.len() - rest.len();
            if body.ended() {
                let verdict = verdict.clone();
                self.body = None;
                return Ok(Some((size, Some(self.with_id(verdict)))));
            }
            return Ok((size > 0).then_some((size, None)));
        }
        let Some((head, size)) = Head::parse(input)? else {
            return Ok(None);
        };
        if head.is_interim() {
            return Ok(Some((size, None)));
        }
        let verdict = match head.status {
            200..300 => Verdict::Taken(None),
            _ => Verdict::Refused(head.text.clone()),
        };
        self.closing |= !head.keep_alive;
        let body = Body::from(head.length);
        if body.ended() {
            return Ok(Some((size, Some(verdict))));
        }
        self.body = Some((body, verdict));
        Ok(Some((size, None)))
    }
}

/// The answer at the start of the input, when it is whole.
fn resp(input: &[u8], wants_ids: bool) -> Result<Option<(usize, Option<Verdict>)>, AnswerError> {
    let Some(end) = memchr::memchr(b'\n', input) else {
        return match input.len() {
            0..=LINE_BYTES_MAX => Ok(None),
            _ => Err(AnswerError::Resp("a line without end".to_owned())),
        };
    };
    let line = String::from_utf8_lossy(&input[..end]);
    let line = line.trim_end();
    let size = end + 1;
    let bulk = |rest: &str| rest.parse::<i64>().ok();
    match line.split_at_checked(1) {
        Some((":" | "+", _)) => Ok(Some((size, Some(Verdict::Taken(None))))),
        Some(("-", text)) => Ok(Some((size, Some(Verdict::Refused(text.to_owned()))))),
        Some(("$", rest)) => match bulk(rest) {
            Some(-1) => Ok(Some((size, Some(Verdict::Refused("null".to_owned()))))),
            Some(length @ 0..) => {
                let whole = size + length as usize + 2;
                let id = |text: &[u8]| EventId::in_answer(text).filter(|_| wants_ids);
                Ok(input.get(..whole).map(|all| {
                    let id = id(&all[size..whole - 2]);
                    (whole, Some(Verdict::Taken(id)))
                }))
            }
            _ => Err(AnswerError::Resp(line.to_owned())),
        },
        _ => Err(AnswerError::Resp(line.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TAKEN: Verdict = Verdict::Taken(None);

    #[test]
    fn the_ids_of_events_are_read_when_they_are_wanted() {
        let id = EventId::parse("5-1").map(|id| Verdict::Taken(Some(id)));
        let http = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n7\r\n{\"id\":\"\r\n8\r\n5-1.ab\"}\r\n0\r\n\r\n";
        for (resp, text) in [(true, "$3\r\n5-1\r\n"), (false, http)] {
            let (mut answers, mut verdicts) = (Answers::new(resp, true), Vec::new());
            for byte in text.as_bytes() {
                answers.feed(&[*byte], &mut verdicts).expect("an answer");
            }
            assert_eq!(verdicts.pop(), id);
            // The next answer without an id has none.
            let bare = ["HTTP/1.1 204 No Content\r\n\r\n", "+OK\r\n"][usize::from(resp)];
            answers
                .feed(bare.as_bytes(), &mut verdicts)
                .expect("one more");
            assert_eq!(verdicts, [TAKEN]);
        }
    }

    /// The verdicts, with the input in one piece and cut everywhere.
    fn read(resp: bool, text: &str) -> Vec<Verdict> {
        let verdicts = |pieces: &[&str]| {
            let (mut answers, mut verdicts) = (Answers::new(resp, false), Vec::new());
            for piece in pieces {
                answers
                    .feed(piece.as_bytes(), &mut verdicts)
                    .expect("answers");
            }
            verdicts
        };
        let whole = verdicts(&[text]);
        for cut in 0..text.len() {
            assert_eq!(
                verdicts(&[&text[..cut], &text[cut..]]),
                whole,
                "cut at {cut}"
            );
        }
        whole
    }

    #[test]
    fn redis_answers_are_told_apart() {
        let verdicts = read(true, ":3\r\n$5\r\n1-0\r\n\r\n+OK\r\n-ERR no\r\n");
        let refused = Verdict::Refused("ERR no".to_owned());
        assert_eq!(verdicts, [TAKEN, TAKEN, TAKEN, refused]);
    }

    #[test]
    fn http_answers_are_told_apart() {
        let text = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 202 Accepted\r\n\
            Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\nHTTP/1.1 429 Too Many Requests\r\nContent-Length: 0\r\n\r\n";
        let refused = Verdict::Refused("429 Too Many Requests".to_owned());
        assert_eq!(read(false, text), [TAKEN, TAKEN, refused]);
    }

    #[test]
    fn an_answer_may_end_with_its_connection() {
        let (mut answers, mut verdicts) = (Answers::new(false, false), Vec::new());
        let text = b"HTTP/1.0 200 OK\r\n\r\nall right";
        answers.feed(text, &mut verdicts).expect("an answer");
        assert!(verdicts.is_empty() && answers.closing());
        assert_eq!(answers.end(), Some(TAKEN));
        assert_eq!(answers.end(), None);
    }
}
