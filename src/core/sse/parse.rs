//! Parses one event from SSE text, for readers of a topic's history (`XRANGE`) and for tests.

/// One event read from SSE text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parsed {
    /// The `id` field.
    pub id: Option<String>,
    /// The `event` field.
    pub event: Option<String>,
    /// The `data` lines, joined with LF.
    pub data: String,
    /// The `retry` field, in milliseconds.
    pub retry: Option<u64>,
}

/// Reads the first event of `text` by the rules of WHATWG HTML, "Interpreting an event stream".
///
/// Text that is not a field is ignored, as a client does; invalid UTF-8 becomes U+FFFD.
#[must_use]
pub fn parse(text: &[u8]) -> Parsed {
    let text = String::from_utf8_lossy(text);
    let mut parsed = Parsed::default();
    let mut data_lines = 0;
    for line in lines(&text) {
        if line.is_empty() {
            break;
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "data" => {
                if data_lines > 0 {
                    parsed.data.push('\n');
                }
                parsed.data.push_str(value);
                data_lines += 1;
            }
            "event" => parsed.event = Some(value.to_owned()),
            "id" if !value.contains('\0') => parsed.id = Some(value.to_owned()),
            "retry" if value.bytes().all(|b| b.is_ascii_digit()) => {
                parsed.retry = value.parse().ok()
            }
            _ => {}
        }
    }
    parsed
}

/// Lines ended by LF, CR or CRLF.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let end = memchr::memchr2(b'\n', b'\r', rest.as_bytes())?;
        let line = &rest[..end];
        let break_bytes = if rest[end..].starts_with("\r\n") {
            2
        } else {
            1
        };
        rest = &rest[end + break_bytes..];
        Some(line)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_end_and_comment_is_understood() {
        let parsed =
            parse(b": hello\r\nevent:a\rdata\ndata:  x\nid: 7\r\nretry: 10\n\ndata: next\n\n");
        assert_eq!(
            parsed,
            Parsed {
                id: Some("7".into()),
                event: Some("a".into()),
                data: "\n x".into(),
                retry: Some(10)
            }
        );
    }
}
