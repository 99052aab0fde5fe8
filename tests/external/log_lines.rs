//! Lines of logs.

/// The log of a Debian machine's package manager during an upgrade: 400 lines of its `dpkg.log`.
const DPKG: &str = include_str!("../data/dpkg.log");

/// Lines that are hard to transport: 360 lines in a web server's form, made up, with addresses and
/// names that are reserved for documentation. They have quotes and backslashes, a tab, blanks at
/// both ends, text beyond ASCII, 6,000 bytes in a row, and lines that look like fields of an event
/// stream.
const AWKWARD: &str = include_str!("../data/awkward.log");

/// Every line of both, without its end.
pub(crate) fn lines() -> Vec<&'static str> {
    [DPKG, AWKWARD]
        .into_iter()
        .flat_map(|text| text.split_terminator('\n'))
        .collect()
}
