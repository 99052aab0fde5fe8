//! Log lines about streams: at `debug` one for each start and end, and once a minute those that an
//! operator needs.
//!
//! Nothing is kept for it: a line holds what the record, the store and the kernel know anyway. The
//! kernel forgets the address of a client that has reset its connection; the line of its start has
//! it, under the same id.

use tracing::{Level, debug, enabled, warn};

use crate::metrics::CloseReason;
use crate::once_a_minute::OnceAMinute;

use super::StreamInfo;
use super::subscriber::Key;
use super::{Core, Io};

/// Target of these lines. Operators write it into `log_level`, so it outlives the names of modules.
const TARGET: &str = "fantail::shard";

/// Topics of a stream that a line names.
const TOPICS_LOGGED: usize = 5;

/// Bytes of a topic or subject that a line shows.
const TEXT_BYTES_LOGGED: usize = 100;

/// Streams that were ended for being too slow; the debug log has their owners.
static LAGGED: OnceAMinute = OnceAMinute::new();
/// Streams that the system does not watch.
static TURNED_AWAY: OnceAMinute = OnceAMinute::new();
/// Streams that held more than the node had memory for.
static UNAFFORDABLE: OnceAMinute = OnceAMinute::new();
/// Streams whose client read nothing.
static STALLED: OnceAMinute = OnceAMinute::new();

impl<I: Io> Core<I> {
    /// A stream begins.
    pub(super) fn log_opened(&self, key: Key, io: &I) {
        if enabled!(target: TARGET, Level::DEBUG)
            && let Some(stream) = self.info(key.slot, io)
        {
            let (topics, subject) = (topics(&stream), subject(&stream));
            debug!(target: TARGET, id = stream.id, client = ?stream.client, subject, topics, "stream opened");
        }
    }

    /// A stream is about to end.
    pub(super) fn log_closed(&self, key: Key, reason: CloseReason, io: &I) {
        if enabled!(target: TARGET, Level::DEBUG)
            && let Some(stream) = self.info(key.slot, io)
        {
            let (topics, subject) = (topics(&stream), subject(&stream));
            debug!(
                target: TARGET,
                id = stream.id,
                client = ?stream.client,
                subject,
                topics,
                reason = reason.as_str(),
                bytes = stream.bytes,
                age_s = stream.age.as_secs(),
                "stream closed"
            );
        }
        match reason {
            CloseReason::Lagged => {
                if let Some(left_out) = LAGGED.due() {
                    warn!(
                        target: TARGET,
                        left_out,
                        "a stream was ended because events that it had not seen left the history; see `slow_consumer`, and `fantail_streams_closed_total`"
                    );
                }
            }
            CloseReason::WriteTimeout => {
                if let Some(left_out) = STALLED.due() {
                    warn!(
                        target: TARGET,
                        left_out,
                        "a stream was ended because its client took nothing for `write_timeout`"
                    );
                }
            }
            CloseReason::OutOfMemory => {
                if let Some(left_out) = UNAFFORDABLE.due() {
                    warn!(
                        target: TARGET,
                        left_out,
                        "a slow stream was ended because the node has no memory for what it holds (`memory_budget`)"
                    );
                }
            }
            _ => {}
        }
    }
}

/// A stream was turned away, because the system does not watch its connection.
pub(super) fn log_turned_away(error: &std::io::Error) {
    if let Some(left_out) = TURNED_AWAY.due() {
        warn!(
            target: TARGET,
            left_out,
            %error,
            "a stream was turned away because the system does not watch its socket; see `fs.epoll.max_user_watches`, and `fantail_streams_turned_away_total`"
        );
    }
}

fn topics(stream: &StreamInfo) -> String {
    let shown: Vec<String> = stream
        .topics
        .iter()
        .take(TOPICS_LOGGED)
        .map(|topic| cut(topic))
        .collect();
    let shown = shown.join(" ");
    match stream.topic_count.saturating_sub(TOPICS_LOGGED) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

fn subject(stream: &StreamInfo) -> Option<String> {
    stream.subject.as_deref().map(cut)
}

fn cut(text: &str) -> String {
    let end = text.floor_char_boundary(TEXT_BYTES_LOGGED);
    if end < text.len() {
        format!("{}…", &text[..end])
    } else {
        text.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_does_not_grow_with_what_a_client_sends() {
        assert_eq!(cut("a"), "a");
        assert_eq!(cut(&"é".repeat(60)), format!("{}…", "é".repeat(50)));
    }
}
