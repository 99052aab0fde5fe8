//! The head of an HTTP/1.1 response (RFC 9112 §4 and §6), read by the crate `httparse`.

/// Longest response head that is believed, in bytes; more is a broken server.
pub(crate) const HEAD_BYTES_MAX: usize = 64 * 1024;

/// Most fields of a response head.
const FIELDS_MAX: usize = 100;

/// The relevant parts of a response head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    /// Status code.
    pub(crate) status: u16,
    /// Status code and reason phrase, as people read them.
    pub(crate) text: String,
    /// The media type, in lower case and without parameters.
    pub(crate) media_type: String,
    /// How the body ends.
    pub(crate) length: Length,
    /// Whether the connection serves another request afterwards.
    pub(crate) keep_alive: bool,
}

/// How a body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Length {
    /// With the last chunk.
    Chunked,
    /// After this number of bytes.
    Bytes(u64),
    /// With the connection.
    Close,
}

/// A malformed head.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum HeadError {
    /// Not HTTP.
    #[error("the answer is not HTTP: {0}")]
    Malformed(httparse::Error),
    /// A head without end.
    #[error("the head of the answer is longer than {HEAD_BYTES_MAX} bytes")]
    Long,
}

impl Head {
    /// Reads the head at the start of `input`; with its length in bytes, or `None` while it is not
    /// whole.
    pub(crate) fn parse(input: &[u8]) -> Result<Option<(Self, usize)>, HeadError> {
        let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
        let mut response = httparse::Response::new(&mut fields);
        let size = match response.parse(input) {
            Ok(httparse::Status::Complete(size)) => size,
            Ok(httparse::Status::Partial) if input.len() > HEAD_BYTES_MAX => {
                return Err(HeadError::Long);
            }
            Ok(httparse::Status::Partial) => return Ok(None),
            Err(error) => return Err(HeadError::Malformed(error)),
        };
        let status = response.code.unwrap_or(0);
        let mut head = Self {
            status,
            text: format!("{status} {}", response.reason.unwrap_or_default()),
            media_type: String::new(),
            length: Length::Close,
            keep_alive: response.version == Some(1),
        };
        for field in response.headers.iter() {
            head.take_field(field);
        }
        if matches!(status, 100..200 | 204 | 304) {
            head.length = Length::Bytes(0);
        }
        Ok(Some((head, size)))
    }

    fn take_field(&mut self, field: &httparse::Header<'_>) {
        let value = String::from_utf8_lossy(field.value)
            .trim()
            .to_ascii_lowercase();
        match field.name.to_ascii_lowercase().as_str() {
            "content-type" => {
                let media_type = value.split(';').next().unwrap_or_default();
                media_type.trim().clone_into(&mut self.media_type);
            }
            "transfer-encoding" if value.ends_with("chunked") => self.length = Length::Chunked,
            // Chunked wins, whichever is first.
            "content-length" if self.length != Length::Chunked => {
                self.length = value.parse().map_or(Length::Close, Length::Bytes);
            }
            "connection" => self.keep_alive = value != "close",
            _ => {}
        }
    }

    /// Whether the answer is still to come (RFC 9110 §15.2): `100 Continue`, `103 Early Hints`.
    /// After 101, the connection is no longer HTTP.
    pub(crate) fn is_interim(&self) -> bool {
        matches!(self.status, 100 | 102..200)
    }

    /// Whether an `EventSource` accepts this answer: 200 and `text/event-stream` (WHATWG HTML
    /// §9.2.2).
    pub(crate) fn is_event_stream(&self) -> bool {
        self.status == 200 && self.media_type == "text/event-stream"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_told_from_everything_else() {
        let text = b"HTTP/1.1 200 OK\r\nContent-Type: Text/Event-Stream; charset=utf-8\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n";
        let (head, size) = Head::parse(text).expect("HTTP").expect("whole");
        assert_eq!(size, text.len() - 3);
        assert!(head.is_event_stream());
        assert_eq!(head.length, Length::Chunked);

        let text = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 12\r\nContent-Type: application/problem+json\r\nConnection: close\r\n\r\n";
        let (head, _) = Head::parse(text).expect("HTTP").expect("whole");
        assert!(!head.is_event_stream());
        assert_eq!(head.text, "503 Service Unavailable");
        assert_eq!((head.length, head.keep_alive), (Length::Bytes(12), false));
    }

    #[test]
    fn a_head_is_whole_only_at_its_end() {
        let text = b"HTTP/1.1 204 No Content\r\nServer: x\r\n\r\n";
        for cut in 0..text.len() {
            assert_eq!(Head::parse(&text[..cut]), Ok(None), "{cut}");
        }
        let (head, _) = Head::parse(text).expect("HTTP").expect("whole");
        assert_eq!(head.length, Length::Bytes(0));
    }

    #[test]
    fn what_is_not_http_is_said_so() {
        let error = Head::parse(b"-ERR unknown command 'GET'\r\n").expect_err("not HTTP");
        assert!(
            error.to_string().starts_with("the answer is not HTTP"),
            "{error}"
        );
        let endless = vec![b'x'; HEAD_BYTES_MAX];
        let head = [b"HTTP/1.1 200 OK\r\nA: ".as_slice(), &endless].concat();
        assert_eq!(Head::parse(&head), Err(HeadError::Long));
    }
}
