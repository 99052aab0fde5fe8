use crate::support::sse::SseEvent;

/// The received bytes of one response, and the reader's place in them.
#[derive(Clone, Debug)]
pub(crate) struct Wire {
    stage: Stage,
    /// Bytes that are not understood yet.
    raw: Vec<u8>,
    /// Text of a block that has not ended.
    text: Vec<u8>,
    /// The first line of the response; empty until it is there.
    pub(crate) status: String,
    /// The last `retry`, in milliseconds.
    pub(crate) retry: Option<u64>,
    /// The topics that events were said to have.
    pub(crate) topics: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Head,
    ChunkSize,
    ChunkData(usize),
    ChunkEnd {
        last: bool,
    },
    /// A body without chunks.
    Plain,
    /// The last chunk has arrived.
    Ended,
}

impl Wire {
    /// The bytes of a connection, from the head of the response on.
    pub(crate) fn http() -> Self {
        Self::at(Stage::Head)
    }

    /// Bare text of a stream, as HTTP/2 carries it.
    pub(crate) fn text() -> Self {
        Self::at(Stage::Plain)
    }

    fn at(stage: Stage) -> Self {
        Self {
            stage,
            raw: Vec::new(),
            text: Vec::new(),
            status: String::new(),
            retry: None,
            topics: Vec::new(),
        }
    }

    /// True when the body has ended as it should.
    pub(crate) fn has_ended(&self) -> bool {
        self.stage == Stage::Ended
    }

    /// Adds bytes; returns the events that they complete. `cursor` is the client's last event id,
    /// which moves with every complete block.
    pub(crate) fn feed(&mut self, bytes: &[u8], cursor: &mut String) -> Vec<SseEvent> {
        self.raw.extend_from_slice(bytes);
        while self.step() {}
        self.blocks(cursor)
    }

    /// Parses one more piece; false if it needs more bytes.
    fn step(&mut self) -> bool {
        match self.stage {
            Stage::Head => self.head(),
            Stage::ChunkSize => {
                let Some(line) = self.take_through(b"\r\n") else {
                    return false;
                };
                let digits = std::str::from_utf8(&line[..line.len() - 2]).expect("digits");
                let size = usize::from_str_radix(digits, 16)
                    .unwrap_or_else(|_| panic!("no chunk size: {digits:?}"));
                self.stage = match size {
                    0 => Stage::ChunkEnd { last: true },
                    size => Stage::ChunkData(size),
                };
                true
            }
            Stage::ChunkData(left) => {
                let now = left.min(self.raw.len());
                self.text.extend(self.raw.drain(..now));
                self.stage = if left > now {
                    Stage::ChunkData(left - now)
                } else {
                    Stage::ChunkEnd { last: false }
                };
                left == now
            }
            Stage::ChunkEnd { last } => {
                let Some(end) = self.take_through(b"\r\n") else {
                    return false;
                };
                assert_eq!(end, b"\r\n", "a chunk ends with CRLF");
                self.stage = if last { Stage::Ended } else { Stage::ChunkSize };
                true
            }
            Stage::Plain => {
                self.text.append(&mut self.raw);
                false
            }
            Stage::Ended => {
                assert_eq!(self.raw, b"", "nothing comes after the last chunk");
                false
            }
        }
    }

    fn head(&mut self) -> bool {
        let Some(head) = self.take_through(b"\r\n\r\n") else {
            return false;
        };
        let head = String::from_utf8(head).expect("a head of UTF-8");
        head.lines()
            .next()
            .unwrap_or_default()
            .clone_into(&mut self.status);
        let chunked = head
            .to_ascii_lowercase()
            .contains("\r\ntransfer-encoding: chunked\r\n");
        self.stage = if chunked {
            Stage::ChunkSize
        } else {
            Stage::Plain
        };
        true
    }

    fn take_through(&mut self, mark: &[u8]) -> Option<Vec<u8>> {
        let at = self
            .raw
            .windows(mark.len())
            .position(|window| window == mark)?;
        Some(self.raw.drain(..at + mark.len()).collect())
    }

    fn blocks(&mut self, cursor: &mut String) -> Vec<SseEvent> {
        let mut events = Vec::new();
        let mut start = 0;
        while let Some(length) = self.text[start..]
            .windows(2)
            .position(|pair| pair == b"\n\n")
        {
            let end = start + length + 1;
            let block = std::str::from_utf8(&self.text[start..end]).expect("a stream of UTF-8");
            let mut block = block;
            while let Some((topic, rest)) = block
                .strip_prefix("topic: ")
                .and_then(|rest| rest.split_once('\n'))
            {
                self.topics.push(topic.to_owned());
                block = rest;
            }
            events.extend(interpret(block, cursor, &mut self.retry));
            start = end + 1;
        }
        self.text.drain(..start);
        events
    }
}

/// One block by the rules of WHATWG HTML, section 9.2.6; the event that it fires, if it does.
fn interpret(block: &str, cursor: &mut String, retry: &mut Option<u64>) -> Option<SseEvent> {
    let mut data: Option<String> = None;
    let mut event = "message";
    for line in block.split_terminator('\n') {
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "data" => match &mut data {
                None => data = Some(value.to_owned()),
                Some(data) => {
                    data.push('\n');
                    data.push_str(value);
                }
            },
            "event" => event = value,
            "id" => value.clone_into(cursor),
            "retry" => *retry = value.parse().ok(),
            "" => assert!(value.starts_with("heartbeat "), "a comment in {block:?}"),
            other => panic!("no field of an event stream: {other:?} in {block:?}"),
        }
    }
    data.map(|data| SseEvent {
        id: cursor.clone(),
        event: event.to_owned(),
        data,
    })
}
