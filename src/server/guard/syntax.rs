//! The bytes allowed in each place (RFC 9110 §5.6, RFC 9112 §3.2).

const TOKEN: u8 = 1;
const VALUE: u8 = 2;
const TARGET: u8 = 4;
const QUOTED: u8 = 8;

static CLASSES: [u8; 256] = classes();

const fn classes() -> [u8; 256] {
    let mut classes = [0; 256];
    let mut at = 0;
    while at < 256 {
        let byte = at as u8;
        let is_symbol = matches!(
            byte,
            b'!' | b'#'
                | b'$'
                | b'%'
                | b'&'
                | b'\''
                | b'*'
                | b'+'
                | b'-'
                | b'.'
                | b'^'
                | b'_'
                | b'`'
                | b'|'
                | b'~'
        );
        let is_visible = byte > b' ' && byte != 0x7f;
        let is_space = byte == b' ' || byte == b'\t';
        if byte.is_ascii_alphanumeric() || is_symbol {
            classes[at] |= TOKEN;
        }
        if is_visible || is_space {
            classes[at] |= VALUE;
            if byte != b'"' && byte != b'\\' {
                classes[at] |= QUOTED;
            }
        }
        // Some of these characters are not in the grammar of URIs, but browsers and people send
        // them: text above ASCII, braces, bars.
        if is_visible && !matches!(byte, b'#' | b'<' | b'>') {
            classes[at] |= TARGET;
        }
        at += 1;
    }
    classes
}

/// `tchar`.
pub(super) fn is_token(byte: u8) -> bool {
    CLASSES[usize::from(byte)] & TOKEN != 0
}

/// Bytes of a field value: visible characters, white space, and bytes above ASCII.
pub(super) fn is_value(byte: u8) -> bool {
    CLASSES[usize::from(byte)] & VALUE != 0
}

/// Bytes of a request target.
pub(super) fn is_target(byte: u8) -> bool {
    CLASSES[usize::from(byte)] & TARGET != 0
}

/// `qdtext`.
pub(super) fn is_quoted(byte: u8) -> bool {
    CLASSES[usize::from(byte)] & QUOTED != 0
}

/// `OWS`, `BWS`.
pub(super) fn is_space(byte: u8) -> bool {
    byte == b' ' || byte == b'\t'
}

/// Length of the longest prefix of `bytes` whose bytes are all of a class.
pub(super) fn run(bytes: &[u8], is_in: impl Fn(u8) -> bool) -> usize {
    bytes
        .iter()
        .position(|byte| !is_in(*byte))
        .unwrap_or(bytes.len())
}
