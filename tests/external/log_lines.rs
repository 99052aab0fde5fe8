//! Lines of a web server's log.

/// The log: 360 lines, made up, with addresses and names that are reserved for documentation. Among ordinary requests it has quotes and
/// backslashes, a tab, blanks at both ends, text beyond ASCII, 6,000 bytes in a row, and lines that look like fields of an event stream.
const TEXT: &str = include_str!("../data/access.log");

/// Every line, without its end.
pub(crate) fn lines() -> Vec<&'static str> {
    TEXT.split_terminator('\n').collect()
}
