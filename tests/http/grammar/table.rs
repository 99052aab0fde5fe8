//! Raw requests and the rule of RFC 9112 for each.
//!
//! If the RFC leaves a choice, the note has the one made.

/// The fate of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Then {
    /// The next request is answered.
    Lives,
    /// The answer has `Connection: close`, and the connection is closed.
    Closes,
}

/// One request.
pub(crate) struct Row {
    /// Of RFC 9112, unless another one is named.
    pub(crate) section: &'static str,
    pub(crate) note: &'static str,
    pub(crate) request: Vec<u8>,
    /// One of these is the answer's status.
    pub(crate) status: &'static [u16],
    pub(crate) then: Then,
    /// The guard alone passes all of it.
    pub(crate) passes: bool,
}

/// Refused before any code of the node sees a request, or while its body is read.
fn bad(section: &'static str, note: &'static str, request: impl AsRef<[u8]>) -> Row {
    Row {
        section,
        note,
        request: request.as_ref().to_vec(),
        status: &[400],
        then: Then::Closes,
        passes: false,
    }
}

/// Answered as any request is.
fn good(section: &'static str, note: &'static str, request: impl AsRef<[u8]>) -> Row {
    Row {
        status: &[200],
        then: Then::Lives,
        passes: true,
        ..bad(section, note, request)
    }
}

/// Right for the guard; its meaning is refused.
fn wrong(
    section: &'static str,
    note: &'static str,
    status: &'static [u16],
    request: impl AsRef<[u8]>,
) -> Row {
    Row {
        status,
        ..good(section, note, request)
    }
}

fn closes(row: Row) -> Row {
    Row {
        then: Then::Closes,
        ..row
    }
}

fn with_status(status: &'static [u16], row: Row) -> Row {
    Row { status, ..row }
}

/// A request with this line among its fields.
fn field(line: impl AsRef<[u8]>) -> Vec<u8> {
    join(&[
        b"GET /healthz HTTP/1.1\r\nHost: a\r\n",
        line.as_ref(),
        b"\r\n\r\n",
    ])
}

/// A publish with these fields (each with its CRLF) and body.
fn post(fields: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    let head = format!("POST /publish/t HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
    join(&[head.as_bytes(), body.as_ref()])
}

/// A publish with a chunked body.
fn chunked(body: impl AsRef<[u8]>) -> Vec<u8> {
    post("Transfer-Encoding: chunked\r\n", body)
}

fn join(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}

pub(crate) fn rows() -> Vec<Row> {
    let mut rows = request_lines();
    rows.extend(line_ends());
    rows.extend(fields());
    rows.extend(lengths());
    rows.extend(codings());
    rows.extend(chunk_lines());
    rows.extend(chunk_extensions());
    rows.extend(trailers());
    rows
}

fn request_lines() -> Vec<Row> {
    let line = |line: &[u8]| join(&[line, b"\r\nHost: a\r\n\r\n"]);
    let of = |text: &[u8]| line(text);
    vec![
        good("3", "origin-form", of(b"GET /healthz HTTP/1.1")),
        good("3.2.1", "with a query", of(b"GET /healthz?a=b&c HTTP/1.1")),
        good("3.2.1", "an empty query", of(b"GET /healthz? HTTP/1.1")),
        good(
            "3.2.1",
            "percent-encoding",
            of(b"GET /healthz?%41%zz HTTP/1.1"),
        ),
        good(
            "3.2.1",
            "chosen: what browsers do not escape in a query passes",
            of(b"GET /healthz?{a}|^`\\ HTTP/1.1"),
        ),
        bad(
            "3.2.1",
            "chosen: what they do escape does not",
            of(b"GET /healthz?<a> HTTP/1.1"),
        ),
        closes(wrong(
            "3.2.1",
            "chosen: nor do quotes in a query",
            &[400],
            of(b"GET /healthz?\"a\" HTTP/1.1"),
        )),
        good(
            "3.2.1",
            "chosen: UTF-8 passes, as in an IRI",
            of("GET /healthz?zo\u{eb} HTTP/1.1".as_bytes()),
        ),
        closes(wrong(
            "3.2.1",
            "chosen: what is not UTF-8 does not",
            &[400],
            of(b"GET /healthz?\xff HTTP/1.1"),
        )),
        good(
            "3.2.2",
            "absolute-form",
            of(b"GET http://a/healthz HTTP/1.1"),
        ),
        good(
            "3.2.2",
            "absolute-form, scheme in upper case",
            of(b"GET HTTP://a/healthz HTTP/1.1"),
        ),
        good(
            "3.2.2",
            "absolute-form, https",
            of(b"GET https://a/healthz HTTP/1.1"),
        ),
        wrong(
            "3.2.2",
            "absolute-form without a path is the path /",
            &[404],
            of(b"GET http://a HTTP/1.1"),
        ),
        wrong(
            "3.1",
            "an unknown method",
            &[405],
            of(b"BREW /healthz HTTP/1.1"),
        ),
        wrong(
            "3.1",
            "methods are case-sensitive",
            &[405],
            of(b"get /healthz HTTP/1.1"),
        ),
        wrong(
            "3.1",
            "every character of a token",
            &[405],
            of(b"!#$%&'*+-.^_`|~9Az /healthz HTTP/1.1"),
        ),
        bad(
            "3.1",
            "a method with a bad character",
            of(b"GE(T /healthz HTTP/1.1"),
        ),
        bad(
            "3.1",
            "a method in brackets",
            of(b"<GET> /healthz HTTP/1.1"),
        ),
        bad(
            "3.1",
            "a method with a colon",
            of(b"GET: /healthz HTTP/1.1"),
        ),
        bad("3.1", "a method with NUL", of(b"GE\0T /healthz HTTP/1.1")),
        bad(
            "3.1",
            "a method above ASCII",
            of("G\u{c9}T /healthz HTTP/1.1".as_bytes()),
        ),
        bad("3.1", "no method", of(b" /healthz HTTP/1.1")),
        bad(
            "3",
            "a space before the method",
            of(b" GET /healthz HTTP/1.1"),
        ),
        bad(
            "3",
            "two spaces before the target",
            of(b"GET  /healthz HTTP/1.1"),
        ),
        bad(
            "3",
            "two spaces after the target",
            of(b"GET /healthz  HTTP/1.1"),
        ),
        bad(
            "3",
            "a space after the version",
            of(b"GET /healthz HTTP/1.1 "),
        ),
        bad(
            "3",
            "a tab before the target",
            of(b"GET\t/healthz HTTP/1.1"),
        ),
        bad("3", "a tab after the target", of(b"GET /healthz\tHTTP/1.1")),
        bad("3", "a vertical tab", of(b"GET\x0b/healthz HTTP/1.1")),
        bad("3", "a form feed", of(b"GET /healthz\x0cHTTP/1.1")),
        bad("3", "no target", of(b"GET HTTP/1.1")),
        bad("3", "an empty target", of(b"GET  HTTP/1.1")),
        bad("3", "no version (HTTP/0.9)", of(b"GET /healthz")),
        bad("3", "an empty version", of(b"GET /healthz ")),
        bad("3", "one word", of(b"GET")),
        bad("3", "more words", of(b"GET /healthz HTTP/1.1 x")),
        bad(
            "3.2",
            "a space in the target",
            of(b"GET /heal thz HTTP/1.1"),
        ),
        bad("3.2", "a tab in the target", of(b"GET /heal\tthz HTTP/1.1")),
        bad("3.2", "NUL in the target", of(b"GET /healthz\0 HTTP/1.1")),
        bad("3.2", "DEL in the target", of(b"GET /healthz\x7f HTTP/1.1")),
        bad("3.2", "CR in the target", of(b"GET /heal\rthz HTTP/1.1")),
        bad(
            "3.2",
            "a control character in the target",
            of(b"GET /healthz\x01 HTTP/1.1"),
        ),
        bad("3.2", "a fragment", of(b"GET /healthz#a HTTP/1.1")),
        bad(
            "3.2",
            "a fragment in an absolute target",
            of(b"GET http://a/healthz#a HTTP/1.1"),
        ),
        bad("2.3", "version in lower case", of(b"GET /healthz http/1.1")),
        bad("2.3", "version in mixed case", of(b"GET /healthz Http/1.1")),
        bad("2.3", "HTTP/0.9", of(b"GET /healthz HTTP/0.9")),
        bad(
            "2.3",
            "chosen: HTTP/1.2 is refused, not read as 1.1",
            of(b"GET /healthz HTTP/1.2"),
        ),
        bad("2.3", "HTTP/2.0", of(b"GET /healthz HTTP/2.0")),
        bad("2.3", "HTTP/3.0", of(b"GET /healthz HTTP/3.0")),
        bad("2.3", "HTTP/1", of(b"GET /healthz HTTP/1")),
        bad("2.3", "HTTP/1.", of(b"GET /healthz HTTP/1.")),
        bad("2.3", "HTTP/1.10", of(b"GET /healthz HTTP/1.10")),
        bad("2.3", "HTTP/11.1", of(b"GET /healthz HTTP/11.1")),
        bad("2.3", "HTTP/01.1", of(b"GET /healthz HTTP/01.1")),
        bad("2.3", "another protocol", of(b"GET /healthz HTTPS/1.1")),
        bad("2.3", "no slash", of(b"GET /healthz HTTP1.1")),
        bad("2.1", "no HTTP at all", b"hello\r\n\r\n"),
        bad("2.1", "TLS", b"\x16\x03\x01\0\x01\x01\r\n\r\n"),
        bad(
            "2.1",
            "half a preface of HTTP/2",
            b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n",
        ),
        closes(good(
            "9.3",
            "HTTP/1.0 without Host",
            b"GET /healthz HTTP/1.0\r\n\r\n",
        )),
        closes(good(
            "9.3",
            "`Connection: close`",
            b"GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        )),
        closes(good(
            "9.6",
            "`close` among others, in any case",
            b"GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: foo, CLOSE\r\n\r\n",
        )),
        good(
            "9.3",
            "HTTP/1.0 that keeps alive",
            b"GET /healthz HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
        ),
    ]
}

fn line_ends() -> Vec<Row> {
    const GET: &[u8] = b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n";
    let lines = |count: usize| join(&[&b"\r\n".repeat(count), GET]);
    vec![
        good("2.2", "one empty line before the request", lines(1)),
        good("2.2", "chosen: up to eight of them", lines(8)),
        bad("2.2", "chosen: nine are too many", lines(9)),
        bad(
            "2.2",
            "chosen: an empty line that ends with LF alone",
            join(&[b"\n", GET]),
        ),
        bad("2.2", "a bare CR before the request", join(&[b"\r", GET])),
        bad(
            "2.2",
            "white space before the request",
            join(&[b" \r\n", GET]),
        ),
        bad(
            "2.2",
            "chosen: LF alone ends no request line",
            b"GET /healthz HTTP/1.1\nHost: a\r\n\r\n",
        ),
        bad(
            "2.2",
            "chosen: nor a field line",
            b"GET /healthz HTTP/1.1\r\nHost: a\n\r\n",
        ),
        bad(
            "2.2",
            "chosen: nor the head",
            b"GET /healthz HTTP/1.1\r\nHost: a\r\n\n",
        ),
        bad(
            "2.2",
            "LF alone everywhere",
            b"GET /healthz HTTP/1.1\nHost: a\n\n",
        ),
        bad(
            "2.2",
            "CR alone after the request line",
            b"GET /healthz HTTP/1.1\rHost: a\r\n\r\n",
        ),
        bad(
            "2.2",
            "CR alone after a field",
            b"GET /healthz HTTP/1.1\r\nHost: a\rX: b\r\n\r\n",
        ),
        bad(
            "2.2",
            "CR CR LF",
            b"GET /healthz HTTP/1.1\r\nHost: a\r\r\n\r\n",
        ),
        bad(
            "2.2",
            "CR CR LF after the request line",
            b"GET /healthz HTTP/1.1\r\r\nHost: a\r\n\r\n",
        ),
        bad(
            "2.2",
            "CR alone at the end of the head",
            b"GET /healthz HTTP/1.1\r\nHost: a\r\n\rx",
        ),
        bad(
            "2.2",
            "white space before the first field",
            b"GET /healthz HTTP/1.1\r\n Host: a\r\n\r\n",
        ),
        bad(
            "2.2",
            "an empty line with white space",
            b"GET /healthz HTTP/1.1\r\nHost: a\r\n \r\n\r\n",
        ),
    ]
}

fn fields() -> Vec<Row> {
    vec![
        good("5", "no white space after the colon", field("X:y")),
        good("5", "white space around the value", field("X: \t y \t ")),
        good("5", "an empty value", field("X:")),
        good("5", "a value of white space", field("X: \t ")),
        good("5", "colons in the value", field("X: a:b::c")),
        good("5", "white space within the value", field("X: a  b\tc")),
        good("RFC 9110 5.5", "obs-text", field(b"X: \x80\xff\xe4")),
        good(
            "RFC 9110 5.5",
            "every visible character",
            field("X: !\"#$%&'()*+,-./09:;<=>?@AZ[\\]^_`az{|}~"),
        ),
        good(
            "RFC 9110 5.1",
            "every character of a token in a name",
            field("!#$%&'*+-.^_`|~9Az: y"),
        ),
        good(
            "RFC 9110 5.3",
            "the same name several times",
            field("X: 1\r\nx: 2\r\nX: 3"),
        ),
        bad("5.1", "white space before the colon", field("X : y")),
        bad("5.1", "a tab before the colon", field("X\t: y")),
        bad("5.1", "an empty name", field(": y")),
        bad("5.1", "no colon", field("X")),
        bad("5.1", "no colon, but a value", field("X y")),
        bad("5.1", "a space in a name", field("X Y: z")),
        bad("RFC 9110 5.1", "a slash in a name", field("X/Y: z")),
        bad("RFC 9110 5.1", "a bracket in a name", field("X[0]: z")),
        bad("RFC 9110 5.1", "a quote in a name", field("\"X\": z")),
        bad("RFC 9110 5.1", "NUL in a name", field("X\0: z")),
        bad("RFC 9110 5.1", "DEL in a name", field("X\x7f: z")),
        bad("RFC 9110 5.1", "obs-text in a name", field(b"X\xe4: z")),
        bad("5.2", "a folded line", field("X: y\r\n z")),
        bad("5.2", "folded with a tab", field("X: y\r\n\tz")),
        bad("5.2", "folded to nothing", field("X: y\r\n ")),
        bad(
            "5.2",
            "a fold that hides a coding",
            field("X: y\r\n Transfer-Encoding: chunked"),
        ),
        bad("RFC 9110 5.5", "NUL in a value", field("X: y\0z")),
        bad(
            "RFC 9110 5.5",
            "a control character in a value",
            field("X: y\x01z"),
        ),
        bad("RFC 9110 5.5", "ESC in a value", field("X: \x1b[31m")),
        bad("RFC 9110 5.5", "backspace in a value", field("X: y\x08")),
        bad("RFC 9110 5.5", "DEL in a value", field("X: y\x7f")),
        bad(
            "RFC 9110 5.5",
            "a vertical tab in a value",
            field("X: y\x0bz"),
        ),
        bad("RFC 9110 5.5", "a form feed in a value", field("X: y\x0cz")),
    ]
}

fn lengths() -> Vec<Row> {
    let length = |value: &str| post(&format!("Content-Length: {value}\r\n"), "hello");
    vec![
        good("6.2", "a length", length("5")),
        good(
            "6.2",
            "a length with leading zeros",
            length("0000000000000000000000005"),
        ),
        good("6.2", "white space around a length", length("\t 5 \t")),
        good(
            "6.2",
            "a name in any case",
            post("cOnTeNt-LeNgTh: 5\r\n", "hello"),
        ),
        good("6.3", "a length of zero", post("Content-Length: 0\r\n", "")),
        good("6.3", "no length and no coding: no body", post("", "")),
        good(
            "6.3",
            "a body on a GET",
            b"GET /healthz HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi",
        ),
        bad("6.2", "an empty length", length("")),
        bad("6.2", "a length of white space", length("  ")),
        bad("6.2", "a sign", length("+5")),
        bad("6.2", "a negative length", length("-5")),
        bad("6.2", "a hexadecimal length", length("0x5")),
        bad("6.2", "a fraction", length("5.0")),
        bad("6.2", "an exponent", length("5e0")),
        bad("6.2", "digits of another script", length("\u{665}")),
        bad("6.2", "two numbers", length("5 5")),
        bad("6.2", "a quoted length", length("\"5\"")),
        bad("6.2", "a parameter", length("5;a=b")),
        bad("6.2", "a line break of another kind", length("5\x0b")),
        bad("6.2", "2^63", length("9223372036854775808")),
        bad("6.2", "2^64", length("18446744073709551616")),
        bad("6.2", "2^64 + 5", length("18446744073709551621")),
        bad("6.2", "a length of forty digits", length(&"9".repeat(40))),
        bad("6.3", "chosen: a list of the same length", length("5, 5")),
        bad("6.3", "a list of different lengths", length("5, 6")),
        bad("6.3", "a list with an empty element", length("5,")),
        bad(
            "6.3",
            "chosen: the same length twice",
            length("5\r\nContent-Length: 5"),
        ),
        bad("6.3", "different lengths", length("5\r\nContent-Length: 6")),
        bad(
            "6.3",
            "different lengths, the first empty",
            post("Content-Length:\r\nContent-Length: 5\r\n", "hello"),
        ),
        closes(wrong(
            "6.3",
            "chosen: a length that is too large is 413",
            &[413],
            length("9223372036854775807"),
        )),
    ]
}

fn codings() -> Vec<Row> {
    const BODY: &str = "5\r\nhello\r\n0\r\n\r\n";
    let coding = |value: &str| post(&format!("Transfer-Encoding: {value}\r\n"), BODY);
    let unknown = |note, request| with_status(&[501], bad("6.1", note, request));
    vec![
        good("6.1", "chunked", coding("chunked")),
        good("7", "codings in any case", coding("ChUnKeD")),
        good(
            "6.1",
            "the name in any case",
            post("tRaNsFeR-eNcOdInG: chunked\r\n", BODY),
        ),
        good("5", "white space around it", coding(" \tchunked\t ")),
        unknown("gzip before chunked", coding("gzip, chunked")),
        unknown("an unknown coding before chunked", coding("foo,chunked")),
        unknown("identity before chunked", coding("identity, chunked")),
        unknown(
            "a coding with a parameter before chunked",
            coding("foo;a=b, chunked"),
        ),
        unknown(
            "in two lines",
            post(
                "Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n",
                BODY,
            ),
        ),
        bad("6.3", "gzip alone", coding("gzip")),
        bad("6.3", "identity alone", coding("identity")),
        bad("6.3", "chunked is not last", coding("chunked, gzip")),
        bad(
            "6.3",
            "chunked is not last, in two lines",
            post(
                "Transfer-Encoding: chunked\r\nTransfer-Encoding: gzip\r\n",
                BODY,
            ),
        ),
        bad("6.1", "chunked twice", coding("chunked, chunked")),
        bad(
            "6.1",
            "chunked twice, in two lines",
            post(
                "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
                BODY,
            ),
        ),
        bad("6.3", "xchunked", coding("xchunked")),
        bad("6.3", "chunkedx", coding("chunkedx")),
        bad("6.3", "chunk", coding("chunk")),
        bad("6.3", "quoted", coding("\"chunked\"")),
        bad("6.3", "two words", coding("chunked chunked")),
        bad("6.3", "a vertical tab before it", coding("\x0bchunked")),
        bad("7.1", "chunked with a parameter", coding("chunked;a=b")),
        bad("6.3", "empty", coding("")),
        bad("6.3", "a comma alone", coding(",")),
        bad("6.3", "an empty element at the end", coding("chunked,")),
        bad(
            "6.3",
            "chosen: an empty element at the start",
            coding(", chunked"),
        ),
        bad(
            "6.1",
            "chosen: a length beside chunks",
            post("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", BODY),
        ),
        bad(
            "6.1",
            "chunks beside a length",
            post("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", BODY),
        ),
        bad(
            "6.1",
            "the right length beside chunks",
            post("Transfer-Encoding: chunked\r\nContent-Length: 15\r\n", BODY),
        ),
        bad(
            "6.1",
            "a length of zero beside chunks",
            post("Content-Length: 0\r\nTransfer-Encoding: chunked\r\n", BODY),
        ),
        bad(
            "6.1",
            "a length beside another coding",
            post("Content-Length: 5\r\nTransfer-Encoding: gzip\r\n", "hello"),
        ),
        bad(
            "6.1",
            "a coding in HTTP/1.0",
            format!("POST /publish/t HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n{BODY}"),
        ),
        bad(
            "6.1",
            "the same with keep-alive",
            format!(
                "POST /publish/t HTTP/1.0\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n{BODY}"
            ),
        ),
        bad(
            "5.1",
            "white space before the colon of a coding",
            post("Transfer-Encoding : chunked\r\n", BODY),
        ),
    ]
}

fn chunk_lines() -> Vec<Row> {
    let size = |size: &str| chunked(format!("{size}\r\nhello\r\n0\r\n\r\n"));
    vec![
        good(
            "7.1",
            "several chunks",
            chunked("2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n"),
        ),
        good("7.1", "no data", chunked("0\r\n\r\n")),
        good("7.1", "upper case", chunked("A\r\n0123456789\r\n0\r\n\r\n")),
        good("7.1", "lower case", chunked("a\r\n0123456789\r\n0\r\n\r\n")),
        good("7.1", "leading zeros", size("0005")),
        good("7.1", "sixteen digits", size("0000000000000005")),
        good(
            "7.1",
            "several zeros at the end",
            chunked("5\r\nhello\r\n000\r\n\r\n"),
        ),
        good(
            "7.1",
            "CRLF in the data",
            chunked("4\r\n\r\n\r\n\r\n0\r\n\r\n"),
        ),
        good(
            "7.1",
            "what looks like an end in the data",
            chunked("5\r\n0\r\n\r\n\r\n0\r\n\r\n"),
        ),
        bad("7.1", "no size", size("")),
        bad("7.1", "white space before the size", size(" 5")),
        bad("7.1", "white space after the size", size("5 ")),
        bad("7.1", "a tab after the size", size("5\t")),
        bad("7.1", "two sizes", size("5 5")),
        bad("7.1", "0x", size("0x5")),
        bad("7.1", "a plus", size("+5")),
        bad("7.1", "a minus", size("-5")),
        bad("7.1", "no hexadecimal digit", size("5g")),
        bad("7.1", "an underscore", size("0_5")),
        bad("7.1", "digits of another script", size("\u{665}")),
        bad("7.1", "NUL after the size", size("5\0")),
        bad("7.1", "seventeen digits", size("00000000000000005")),
        bad("7.1", "2^63", size("8000000000000000")),
        bad("7.1", "2^64 - 1", size("ffffffffffffffff")),
        bad("7.1", "2^64 + 5", size("10000000000000005")),
        bad(
            "7.1",
            "LF alone after the size",
            chunked("5\nhello\r\n0\r\n\r\n"),
        ),
        bad(
            "7.1",
            "CR alone after the size",
            chunked("5\rhello\r\n0\r\n\r\n"),
        ),
        bad(
            "7.1",
            "CR CR LF after the size",
            chunked("5\r\r\nhello\r\n0\r\n\r\n"),
        ),
        bad(
            "7.1",
            "LF alone after the data",
            chunked("5\r\nhello\n0\r\n\r\n"),
        ),
        bad(
            "7.1",
            "nothing after the data",
            chunked("5\r\nhello0\r\n\r\n"),
        ),
        bad(
            "7.1",
            "more data than its size",
            chunked("5\r\nhello!\r\n0\r\n\r\n"),
        ),
        bad(
            "7.1",
            "CR alone after the data",
            chunked("5\r\nhello\r0\r\n\r\n"),
        ),
        bad(
            "7.1",
            "an empty line after the data",
            chunked("5\r\nhello\r\n\r\n0\r\n\r\n"),
        ),
        bad(
            "7.1",
            "LF alone after the last size",
            chunked("5\r\nhello\r\n0\n\r\n"),
        ),
        bad(
            "7.1",
            "LF alone at the end",
            chunked("5\r\nhello\r\n0\r\n\n"),
        ),
        bad(
            "7.1",
            "CR alone at the end",
            chunked("5\r\nhello\r\n0\r\n\rx"),
        ),
    ]
}

fn chunk_extensions() -> Vec<Row> {
    let with = |extension: &str| chunked(format!("5{extension}\r\nhello\r\n0{extension}\r\n\r\n"));
    vec![
        good("7.1.1", "a name", with(";a")),
        good("7.1.1", "a name and a token", with(";a=b")),
        good("7.1.1", "several", with(";a;b=c;d=\"e\"")),
        good("7.1.1", "a quoted string", with(";a=\"b c\t;=,\"")),
        good("7.1.1", "an empty quoted string", with(";a=\"\"")),
        good("7.1.1", "quoted pairs", with(";a=\"\\\"\\\\\\x\\ \"")),
        good("7.1.1", "obs-text in quotes", with(";a=\"\u{e4}\"")),
        good("7.1.1", "white space before and after `;`", with(" \t; a")),
        good("7.1.1", "white space around `=`", with(";a \t= b")),
        good("7.1.1", "white space before the next", with(";a=\"b\" ;c")),
        good(
            "7.1.1",
            "every character of a token",
            with(";!#$%&'*+-.^_`|~9Az=!#$%&'*+-.^_`|~9Az"),
        ),
        good(
            "7.1.1",
            "a long one",
            chunked(format!("5;a={}\r\nhello\r\n0\r\n\r\n", "b".repeat(4_000))),
        ),
        good(
            "7.1.1",
            "many",
            chunked(format!("5{}\r\nhello\r\n0\r\n\r\n", ";a".repeat(4_000))),
        ),
        bad(
            "7.1.1",
            "chosen: together more than 16 KiB",
            chunked(format!(
                "5;a={}\r\nhello\r\n0\r\n\r\n",
                "b".repeat(16 << 10)
            )),
        ),
        bad(
            "7.1.1",
            "chosen: also over many chunks",
            chunked(format!("1;a={}\r\nx\r\n", "b".repeat(3_000)).repeat(6)),
        ),
        bad("7.1.1", "no name", with(";")),
        bad("7.1.1", "no name, white space", with("; ")),
        bad("7.1.1", "no name before the next", with(";;a")),
        bad("7.1.1", "no name before the value", with(";=b")),
        bad("7.1.1", "no value", with(";a=")),
        bad("7.1.1", "no value before the next", with(";a=;b")),
        bad("7.1.1", "white space at the end", with(";a ")),
        bad("7.1.1", "white space after a value", with(";a=b ")),
        bad("7.1.1", "two words", with(";a b")),
        bad("7.1.1", "two values", with(";a=b=c")),
        bad("7.1.1", "a bad character in a name", with(";bad[=x")),
        bad("7.1.1", "a bad character in a value", with(";a=b[")),
        bad("7.1.1", "NUL in a name", with(";\0ext")),
        bad("7.1.1", "NUL in a value", with(";a=\0")),
        bad("7.1.1", "NUL in quotes", with(";a=\"\0\"")),
        bad("7.1.1", "DEL in quotes", with(";a=\"\x7f\"")),
        bad("7.1.1", "an open quote", with(";a=\"b")),
        bad("7.1.1", "CR in quotes", with(";a=\"b\rc\"")),
        bad("7.1.1", "LF in quotes", with(";a=\"b\nc\"")),
        bad("7.1.1", "CRLF after a backslash", with(";a=\"b\\\r\n\"")),
        bad("7.1.1", "text after the quote", with(";a=\"b\"c")),
        bad("7.1.1", "a quoted name", with(";\"a\"")),
        bad("7.1.1", "obs-text in a name", with(";\u{e4}")),
        bad(
            "7.1.1",
            "LF alone at the end",
            chunked("5;a\nhello\r\n0\r\n\r\n"),
        ),
        bad("7.1.1", "CR in a name", with(";a\rb")),
        bad(
            "7.1.1",
            "a bad one at the last chunk",
            chunked("5\r\nhello\r\n0;\r\n\r\n"),
        ),
    ]
}

fn trailers() -> Vec<Row> {
    let with = |section: &[u8]| chunked(join(&[b"5\r\nhello\r\n0\r\n", section]));
    let fields = |count: usize| with(join(&[&b"X: y\r\n".repeat(count), b"\r\n"]).as_slice());
    vec![
        good("7.1.2", "a trailer", with(b"X: y\r\n\r\n")),
        good(
            "7.1.2",
            "white space and obs-text",
            with(b"X:\t \xff \r\nY:\r\n\r\n"),
        ),
        good(
            "7.1.2",
            "what frames a message says nothing here",
            with(b"Content-Length: 7\r\nTransfer-Encoding: gzip\r\n\r\n"),
        ),
        good("7.1.2", "as many as `header_count_max`", fields(100)),
        bad("7.1.2", "more", fields(101)),
        bad(
            "7.1.2",
            "larger than `header_bytes_max`",
            with(format!("X: {}\r\n\r\n", "y".repeat(32 << 10)).as_bytes()),
        ),
        bad("7.1.2", "LF alone", with(b"X: y\n\r\n")),
        bad("7.1.2", "LF alone everywhere", with(b"X: y\n\n")),
        bad("7.1.2", "LF alone at the end", with(b"X: y\r\n\n")),
        bad("7.1.2", "CR alone", with(b"X: y\rZ: a\r\n\r\n")),
        bad("7.1.2", "no colon", with(b"X\r\n\r\n")),
        bad(
            "7.1.2",
            "white space before the colon",
            with(b"X : y\r\n\r\n"),
        ),
        bad("7.1.2", "an empty name", with(b": y\r\n\r\n")),
        bad("7.1.2", "folded", with(b"X: y\r\n z\r\n\r\n")),
        bad("7.1.2", "NUL in a value", with(b"X: \0\r\n\r\n")),
        bad("7.1.2", "a bad name", with(b"X[: y\r\n\r\n")),
        bad(
            "7.1.2",
            "a request instead of the end",
            with(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"),
        ),
    ]
}
