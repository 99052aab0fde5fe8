//! Writes replies, in RESP2 or RESP3 as the client chose, or drops them (`CLIENT REPLY`).
//!
//! One buffer gathers the replies of a whole batch so that they leave in one write. Text from
//! outside must never break a line: line ends are removed from simple strings and errors. A dropped
//! reply never uses memory: a client that reads nothing must not be able to fill a buffer.

/// Capacity that is kept between batches; a larger buffer is freed.
const KEPT_BYTES_MAX: usize = 16 * 1024;

/// The replies that wait to be written.
#[derive(Debug, Default)]
pub struct Reply {
    bytes: Vec<u8>,
    resp3: bool,
    muting: Muting,
}

/// The replies that a client does not want, between two commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Muted {
    /// All, until it wants them again (`CLIENT REPLY OFF`).
    All,
    /// That of the next command (`CLIENT REPLY SKIP`).
    Next,
}

/// The replies that are dropped.
#[derive(Clone, Copy, Debug, Default)]
struct Muting {
    /// All replies, until the client turns them on again.
    all: bool,
    /// The reply of the current command.
    this: bool,
    /// The reply of the next command.
    next: bool,
}

impl Reply {
    /// `CLIENT REPLY ON`: replies are written from here on.
    pub fn unmute(&mut self) {
        self.muting.all = false;
        self.muting.this = false;
    }

    /// `CLIENT REPLY OFF`: replies are dropped from here on.
    pub fn mute(&mut self) {
        self.muting.all = true;
    }

    /// `CLIENT REPLY SKIP`: the reply of the next command is dropped.
    pub fn mute_next(&mut self) {
        // As in Redis, it has no effect while all replies are dropped.
        self.muting.next |= !self.muting.all;
    }

    /// `RESET`: ends the muting. The reply of the current command stays dropped if it was.
    pub fn reset_muting(&mut self) {
        self.muting.all = false;
        self.muting.next = false;
    }

    /// Notes that a command has been run. As in Redis, a blank line or an empty array counts as
    /// one.
    pub fn end_command(&mut self) {
        self.muting.this = std::mem::take(&mut self.muting.next);
    }

    /// The replies that are dropped, between two commands.
    #[must_use]
    pub fn muted(&self) -> Option<Muted> {
        match self.muting {
            Muting { all: true, .. } => Some(Muted::All),
            Muting { this: true, .. } => Some(Muted::Next),
            _ => None,
        }
    }

    /// Drops replies as [`Reply::muted`] said, before the first command.
    pub fn set_muted(&mut self, muted: Option<Muted>) {
        self.muting = Muting {
            all: muted == Some(Muted::All),
            this: muted == Some(Muted::Next),
            next: false,
        };
    }

    /// Whether replies are dropped at the moment.
    #[must_use]
    #[inline]
    pub fn is_muted(&self) -> bool {
        self.muting.all || self.muting.this
    }

    /// Chooses RESP3 for later replies.
    pub fn set_resp3(&mut self, resp3: bool) {
        self.resp3 = resp3;
    }

    /// Whether the client chose RESP3.
    #[must_use]
    pub fn resp3(&self) -> bool {
        self.resp3
    }

    /// Bytes that wait to be written.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Memory of the buffer.
    #[must_use]
    pub fn allocated_bytes(&self) -> usize {
        self.bytes.capacity()
    }

    /// Makes room for `bytes` more. A buffer that grows by itself takes up to twice as much.
    pub fn reserve(&mut self, bytes: usize) {
        let wanted = self.bytes.len() + bytes;
        if wanted > 2 * self.bytes.capacity() {
            self.bytes.reserve_exact(bytes);
        } else {
            // Many small growths must not copy the whole each time.
            self.bytes.reserve(bytes);
        }
    }

    /// Empties the buffer, and frees the memory of an unusually large reply.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.bytes.shrink_to(KEPT_BYTES_MAX);
    }

    /// Frees all memory, because nothing is written for a while.
    pub fn release(&mut self) {
        debug_assert!(self.bytes.is_empty(), "replies are written before a wait");
        self.bytes = Vec::new();
    }

    /// Removes everything after the first `length` bytes: a reply that failed half-way.
    pub fn truncate(&mut self, length: usize) {
        self.bytes.truncate(length);
    }

    /// The same, and frees the memory of a reply that had grown large.
    pub fn undo(&mut self, length: usize) {
        self.bytes.truncate(length);
        self.bytes.shrink_to(KEPT_BYTES_MAX);
    }

    /// `+text`
    pub fn simple(&mut self, text: &str) {
        self.line(b'+', text);
    }

    /// `+OK`
    pub fn ok(&mut self) {
        self.put(b"+OK\r\n");
    }

    /// `-text`; client libraries read the first word as a code.
    pub fn error(&mut self, text: &str) {
        self.line(b'-', text);
    }

    /// `:number`
    pub fn integer(&mut self, number: i64) {
        self.header(b':', number);
    }

    /// `:number`, for a count.
    pub fn count(&mut self, number: u64) {
        self.header(b':', number);
    }

    /// A bulk string.
    pub fn bulk(&mut self, bytes: impl AsRef<[u8]>) {
        let bytes = bytes.as_ref();
        self.header(b'$', bytes.len());
        self.put(bytes);
        self.put(b"\r\n");
    }

    /// Text for people: a verbatim string in RESP3, a bulk string in RESP2.
    pub fn verbatim(&mut self, text: &str) {
        if self.resp3 {
            self.header(b'=', text.len() + 4);
            self.put(b"txt:");
            self.put(text.as_bytes());
            self.put(b"\r\n");
        } else {
            self.bulk(text);
        }
    }

    /// Null, in the place of a bulk string.
    pub fn null(&mut self) {
        let null: &[u8] = if self.resp3 { b"_\r\n" } else { b"$-1\r\n" };
        self.put(null);
    }

    /// Null, in the place of an array.
    pub fn null_array(&mut self) {
        let null: &[u8] = if self.resp3 { b"_\r\n" } else { b"*-1\r\n" };
        self.put(null);
    }

    /// Starts an array; `length` replies follow.
    pub fn array(&mut self, length: usize) {
        self.header(b'*', length);
    }

    /// Starts an array of `length` replies that are already in the buffer, from byte `start` on.
    pub fn array_before(&mut self, start: usize, length: usize) {
        self.before(start, |reply| reply.array(length));
    }

    /// Starts a map of `pairs` that are already in the buffer, from byte `start` on.
    pub fn map_before(&mut self, start: usize, pairs: usize) {
        self.before(start, |reply| reply.map(pairs));
    }

    fn before(&mut self, start: usize, write: impl FnOnce(&mut Self)) {
        let end = self.bytes.len();
        write(self);
        let length = self.bytes.len() - end;
        self.bytes[start..].rotate_right(length);
    }

    /// Starts a map; `pairs` times two replies follow. RESP2 has no maps and gets an array of keys
    /// and values.
    pub fn map(&mut self, pairs: usize) {
        if self.resp3 {
            self.header(b'%', pairs);
        } else {
            self.header(b'*', pairs * 2);
        }
    }

    /// Starts a set; `length` replies follow. RESP2 has no sets and gets an array.
    pub fn set(&mut self, length: usize) {
        self.header(if self.resp3 { b'~' } else { b'*' }, length);
    }

    #[inline]
    fn put(&mut self, bytes: &[u8]) {
        if !self.is_muted() {
            self.bytes.extend_from_slice(bytes);
        }
    }

    fn header(&mut self, kind: u8, number: impl itoa::Integer) {
        if self.is_muted() {
            return;
        }
        self.bytes.push(kind);
        let mut digits = itoa::Buffer::new();
        self.bytes
            .extend_from_slice(digits.format(number).as_bytes());
        self.bytes.extend_from_slice(b"\r\n");
    }

    fn line(&mut self, kind: u8, text: &str) {
        if self.is_muted() {
            return;
        }
        self.bytes.push(kind);
        let start = self.bytes.len();
        self.bytes.extend_from_slice(text.as_bytes());
        for byte in &mut self.bytes[start..] {
            if matches!(byte, b'\r' | b'\n') {
                *byte = b' ';
            }
        }
        self.bytes.extend_from_slice(b"\r\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use redis_protocol::resp2::types::OwnedFrame as Frame2;
    use redis_protocol::resp3::types::OwnedFrame as Frame3;
    use redis_protocol::{resp2, resp3};

    /// A reply to write, as data.
    #[derive(Clone, Debug)]
    enum Value {
        Simple(String),
        Error(String),
        Integer(i64),
        Bulk(Vec<u8>),
        Null,
        Array(Vec<Value>),
        Map(Vec<(u8, Value)>),
    }

    fn values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            "[a-zA-Z0-9 ]{0,12}".prop_map(Value::Simple),
            "[A-Z]{1,5} [a-z\r\n]{0,12}".prop_map(Value::Error),
            any::<i64>().prop_map(Value::Integer),
            prop::collection::vec(any::<u8>(), 0..20).prop_map(Value::Bulk),
            Just(Value::Null),
        ];
        leaf.prop_recursive(3, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
                prop::collection::btree_map(any::<u8>(), inner, 0..4)
                    .prop_map(|map| Value::Map(map.into_iter().collect())),
            ]
        })
    }

    fn write(reply: &mut Reply, value: &Value) {
        match value {
            Value::Simple(text) => reply.simple(text),
            Value::Error(text) => reply.error(text),
            Value::Integer(number) => reply.integer(*number),
            Value::Bulk(bytes) => reply.bulk(bytes),
            Value::Null => reply.null(),
            Value::Array(items) => {
                reply.array(items.len());
                items.iter().for_each(|item| write(reply, item));
            }
            Value::Map(pairs) => {
                reply.map(pairs.len());
                for (key, value) in pairs {
                    reply.integer(i64::from(*key));
                    write(reply, value);
                }
            }
        }
    }

    #[test]
    fn muted_replies_take_no_memory() {
        let mut reply = Reply::default();
        let all = [
            Value::Simple("a".into()),
            Value::Error("ERR b".into()),
            Value::Bulk(vec![0; 100]),
            Value::Integer(7),
            Value::Array(vec![Value::Null]),
            Value::Map(vec![(1, Value::Null)]),
        ];
        reply.mute();
        for resp3 in [false, true] {
            reply.set_resp3(resp3);
            all.iter().for_each(|value| write(&mut reply, value));
            reply.verbatim("text");
            reply.null_array();
            reply.set(1);
            reply.ok();
            reply.end_command();
        }
        assert_eq!(reply.bytes.capacity(), 0);
        reply.unmute();
        reply.ok();
        assert_eq!(reply.bytes(), b"+OK\r\n");
    }

    #[test]
    fn a_skip_counts_for_one_command() {
        let mut reply = Reply::default();
        let mut answered = Vec::new();
        for command in ["skip", "a", "b", "skip", "skip", "c", "d"] {
            if command == "skip" {
                reply.mute_next();
            } else if !reply.is_muted() {
                answered.push(command);
            }
            reply.end_command();
        }
        assert_eq!(answered, ["b", "d"]);
    }

    fn one_line(text: &str) -> String {
        text.replace(['\r', '\n'], " ")
    }

    fn as_resp2(value: &Value) -> Frame2 {
        match value {
            Value::Simple(text) => Frame2::SimpleString(text.clone().into_bytes()),
            Value::Error(text) => Frame2::Error(one_line(text)),
            Value::Integer(number) => Frame2::Integer(*number),
            Value::Bulk(bytes) => Frame2::BulkString(bytes.clone()),
            Value::Null => Frame2::Null,
            Value::Array(items) => Frame2::Array(items.iter().map(as_resp2).collect()),
            Value::Map(pairs) => Frame2::Array(
                pairs
                    .iter()
                    .flat_map(|(key, value)| [Frame2::Integer(i64::from(*key)), as_resp2(value)])
                    .collect(),
            ),
        }
    }

    fn as_resp3(value: &Value) -> Frame3 {
        let attributes = None;
        match value {
            Value::Simple(text) => Frame3::SimpleString {
                data: text.clone().into_bytes(),
                attributes,
            },
            Value::Error(text) => Frame3::SimpleError {
                data: one_line(text),
                attributes,
            },
            Value::Integer(data) => Frame3::Number {
                data: *data,
                attributes,
            },
            Value::Bulk(data) => Frame3::BlobString {
                data: data.clone(),
                attributes,
            },
            Value::Null => Frame3::Null,
            Value::Array(items) => Frame3::Array {
                data: items.iter().map(as_resp3).collect(),
                attributes,
            },
            Value::Map(pairs) => Frame3::Map {
                data: pairs
                    .iter()
                    .map(|(key, value)| {
                        let key = Frame3::Number {
                            data: i64::from(*key),
                            attributes: None,
                        };
                        (key, as_resp3(value))
                    })
                    .collect(),
                attributes,
            },
        }
    }

    proptest! {
        #[test]
        fn another_decoder_reads_every_reply(value in values()) {
            let mut reply = Reply::default();
            write(&mut reply, &value);
            let (frame, length) = resp2::decode::decode(reply.bytes()).expect("RESP2").expect("complete");
            prop_assert_eq!(length, reply.bytes().len());
            prop_assert_eq!(frame, as_resp2(&value));

            let mut reply = Reply::default();
            reply.set_resp3(true);
            write(&mut reply, &value);
            let (frame, length) =
                resp3::decode::complete::decode(reply.bytes()).expect("RESP3").expect("complete");
            prop_assert_eq!(length, reply.bytes().len());
            prop_assert_eq!(frame, as_resp3(&value));
        }
    }

    #[test]
    fn the_forms_that_differ_by_version() {
        let written = |resp3| {
            let mut reply = Reply::default();
            reply.set_resp3(resp3);
            reply.null();
            reply.null_array();
            reply.map(1);
            reply.set(1);
            reply.verbatim("x");
            String::from_utf8(reply.bytes().to_vec()).expect("text")
        };
        assert_eq!(written(false), "$-1\r\n*-1\r\n*2\r\n*1\r\n$1\r\nx\r\n");
        assert_eq!(written(true), "_\r\n_\r\n%1\r\n~1\r\n=5\r\ntxt:x\r\n");
    }

    #[test]
    fn a_large_reply_does_not_stay() {
        let mut reply = Reply::default();
        reply.bulk(vec![b'x'; 1 << 20]);
        reply.clear();
        assert!(reply.bytes.capacity() <= KEPT_BYTES_MAX);
    }
}
