//! Numbers and their nouns: `1 stream`, `2 streams`.

use std::fmt;

/// A number of things.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Counted(pub(crate) usize, pub(crate) &'static str);

impl fmt::Display for Counted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(count, noun) = self;
        let ending = if *count == 1 { "" } else { "s" };
        write!(f, "{count} {noun}{ending}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upgrade_of_one_stream_said_1_streams() {
        let said = |count| Counted(count, "stream").to_string();
        assert_eq!(
            [said(0), said(1), said(2)],
            ["0 streams", "1 stream", "2 streams"]
        );
    }
}
