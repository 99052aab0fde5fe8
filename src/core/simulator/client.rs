//! A client of the simulator: reads bytes as a browser would, one at a time if it must.

use crate::core::sse::{Encoding, Wrap};

/// One block of the stream, complete with its blank line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Block {
    /// The topics, in its first lines.
    pub(super) topics: Vec<String>,
    pub(super) id: Option<String>,
    pub(super) event: String,
    pub(super) data: Option<String>,
}

/// Decodes a stream's bytes: head, chunks, lines, blocks.
#[derive(Debug)]
pub(super) struct Reader {
    encoding: Encoding,
    head_left: usize,
    raw: Vec<u8>,
    text: Vec<u8>,
    pub(super) ended: bool,
}

/// The head of each simulated stream.
pub(super) const HEAD: &[u8] = b"HEAD\r\n\r\n";

impl Reader {
    pub(super) fn new(encoding: Encoding) -> Self {
        Self {
            encoding,
            head_left: HEAD.len(),
            raw: Vec::new(),
            text: Vec::new(),
            ended: false,
        }
    }

    /// Whether the end of its body is the end of the connection.
    pub(super) fn is_plain(&self) -> bool {
        self.encoding.wrap() == Wrap::Bare
    }

    /// Adds bytes; returns the blocks that they complete.
    pub(super) fn read(&mut self, bytes: &[u8]) -> Vec<Block> {
        assert!(
            !self.ended || bytes.is_empty(),
            "bytes after the end of the body"
        );
        self.raw.extend_from_slice(bytes);
        let head = self.head_left.min(self.raw.len());
        let start = HEAD.len() - self.head_left;
        assert_eq!(&self.raw[..head], &HEAD[start..start + head]);
        self.raw.drain(..head);
        self.head_left -= head;
        if self.is_plain() {
            self.text.append(&mut self.raw);
        } else {
            while self.take_chunk() {}
        }
        let mut blocks = Vec::new();
        while let Some(end) = self.text.windows(2).position(|pair| pair == b"\n\n") {
            let block: Vec<u8> = self.text.drain(..end + 2).collect();
            blocks.push(parse(std::str::from_utf8(&block).expect("UTF-8")));
        }
        blocks
    }

    fn take_chunk(&mut self) -> bool {
        let Some(line_end) = self.raw.windows(2).position(|pair| pair == b"\r\n") else {
            return false;
        };
        let digits = std::str::from_utf8(&self.raw[..line_end]).expect("ASCII chunk head");
        let size = usize::from_str_radix(digits, 16).expect("hexadecimal chunk size");
        let end = line_end + 2 + size;
        if self.raw.len() < end + 2 {
            return false;
        }
        assert_eq!(
            &self.raw[end..end + 2],
            b"\r\n",
            "a chunk ends as it should"
        );
        self.text.extend_from_slice(&self.raw[line_end + 2..end]);
        self.raw.drain(..end + 2);
        self.ended |= size == 0;
        size > 0
    }
}

fn parse(text: &str) -> Block {
    let mut block = Block::default();
    for line in text.lines().filter(|line| !line.is_empty()) {
        match line.split_once(": ").expect("a field and its value") {
            ("topic", value) => {
                let topics = std::mem::take(&mut block.topics);
                assert_eq!(block, Block::default(), "the topics come first");
                block.topics = topics;
                block.topics.push(value.to_owned());
            }
            ("", value) => {
                let number = value.strip_prefix("heartbeat ").expect("no other comment");
                assert!(number.parse::<u64>().is_ok() && block.id.is_none());
            }
            ("id", value) => block.id = Some(value.to_owned()),
            ("event", value) => block.event = value.to_owned(),
            ("data", value) => block.data = Some(value.to_owned()),
            ("retry", value) => assert!(value.parse::<u64>().is_ok()),
            (field, _) => panic!("unknown field {field:?}"),
        }
    }
    block
}
