//! The stamp in the data of every event, with which each stream can check its events:
//! `ft:<run>:<topic>:<number>:<time>:`, and `x` up to the requested length. No character of it
//! needs an escape in a URL, a form or JSON, so a server may wrap it.

use std::time::Duration;

/// The first bytes of every stamp.
const MARK: &str = "ft:";

/// An event's identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// Number of its run of this program: servers with a history show events of earlier runs.
    pub(crate) run: u32,
    /// The topic's number.
    pub(crate) topic: u32,
    /// The event's number among those of its topic, from one.
    pub(crate) number: u32,
    /// When it was due to be published: nanoseconds of the monotonic clock, which all processes of
    /// a machine share.
    pub(crate) sent: u64,
}

impl Stamp {
    /// The event's data, `bytes` long or as long as the stamp needs.
    pub(crate) fn data(&self, bytes: usize) -> String {
        let Self {
            run,
            topic,
            number,
            sent,
        } = self;
        let mut data = format!("{MARK}{run:x}:{topic}:{number}:{sent}:");
        data.extend(std::iter::repeat_n('x', bytes.saturating_sub(data.len())));
        data
    }

    /// The event's idempotency key: the same whenever it is sent again.
    pub(crate) fn key(&self) -> String {
        let Self {
            run, topic, number, ..
        } = self;
        format!("ft-{run:x}-{topic}-{number}")
    }

    /// Finds the stamp in data, wherever it stands.
    pub(crate) fn find(data: &[u8]) -> Option<Self> {
        if data.starts_with(MARK.as_bytes()) {
            return Self::read(&data[MARK.len()..]);
        }
        let places = memchr::memmem::find_iter(data, MARK);
        let mut stamps = places.map(|start| Self::read(&data[start + MARK.len()..]));
        stamps.find_map(|stamp| stamp)
    }

    /// Parses the text after the mark.
    fn read(rest: &[u8]) -> Option<Self> {
        let mut fields = rest.split(|byte| *byte == b':');
        let mut text = || std::str::from_utf8(fields.next()?).ok();
        let run = u32::from_str_radix(text()?, 16).ok()?;
        let topic = text()?.parse().ok()?;
        let number = text()?.parse().ok().filter(|number| *number > 0)?;
        let sent = text()?.parse().ok()?;
        // The end mark was seen: a number was not cut short.
        text()?;
        Some(Self {
            run,
            topic,
            number,
            sent,
        })
    }
}

/// The monotonic clock now, in nanoseconds.
pub(crate) fn now() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

/// The time between two readings of the clock; zero if the second is before the first.
pub(crate) fn since(start: u64, end: u64) -> Duration {
    Duration::from_nanos(end.saturating_sub(start))
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAMP: Stamp = Stamp {
        run: 0xabc,
        topic: 7,
        number: 42,
        sent: 123_456_789,
    };

    #[test]
    fn a_stamp_is_found_again_also_in_a_wrapping() {
        let data = STAMP.data(128);
        assert_eq!(data.len(), 128);
        assert_eq!(Stamp::find(data.as_bytes()), Some(STAMP));
        let wrapped = format!(r#"{{"channel":"t","data":"{data}"}}"#);
        assert_eq!(Stamp::find(wrapped.as_bytes()), Some(STAMP));
        let topic = format!(r#"{{"channel":"soft:1","data":"{data}"}}"#);
        assert_eq!(Stamp::find(topic.as_bytes()), Some(STAMP));
        assert_eq!(Stamp::find(STAMP.data(0).as_bytes()), Some(STAMP));
    }

    #[test]
    fn what_is_no_stamp_is_not_taken_for_one() {
        for data in [
            "",
            "ft:",
            "ft:zz:1:2:3:",
            "ft:1:2:3:4",
            "hello",
            "ft:1:2:-3:4:",
        ] {
            assert_eq!(Stamp::find(data.as_bytes()), None, "{data}");
        }
    }
}
