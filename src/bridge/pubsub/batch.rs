//! Messages that arrived together, as one batch of events.

use tokio::time::sleep;

use crate::core::budget::{Charge, Part};
use crate::core::sse::Draft;
use crate::hub::{Closed, Hub, NotPublished};
use crate::metrics::{PubSubOutcome, Source};
use crate::once_a_minute::OnceAMinute;

use super::PubSubConfig;
use super::lost::Lost;
use super::message::{self, Refused};
use super::read::Arrived;

/// Most messages of one batch.
const MESSAGES_MAX: usize = 512;
/// A batch that has as many bytes is published before more is read.
const BYTES_MAX: usize = 1 << 20;
/// Events up to this size are not charged to the node's account.
const UNCOUNTED_BYTES: usize = 64 * 1024;
/// Bytes of a channel's name that are logged.
const LOGGED_BYTES: usize = 200;

/// Log lines about messages that are not published.
#[derive(Debug, Default)]
pub(super) struct LogLines {
    /// That one is refused, for each cause.
    refused: [OnceAMinute; PubSubOutcome::ALL.len()],
    /// That they wait for the log of several nodes.
    waiting: OnceAMinute,
}

/// Events that are made of messages.
pub(super) struct Batch<'a> {
    hub: &'a Hub,
    log_lines: &'a LogLines,
    config: &'a PubSubConfig,
    drafts: Vec<Draft<'a>>,
    bytes: usize,
    counts: [u64; PubSubOutcome::ALL.len()],
}

impl<'a> Batch<'a> {
    /// Whether one more message may join as many.
    pub(super) fn has_room(messages: usize, bytes: usize) -> bool {
        messages < MESSAGES_MAX && bytes < BYTES_MAX
    }

    pub(super) fn new(hub: &'a Hub, log_lines: &'a LogLines, config: &'a PubSubConfig) -> Self {
        Self {
            hub,
            log_lines,
            config,
            drafts: Vec::new(),
            bytes: 0,
            counts: Default::default(),
        }
    }

    /// Adds the event that a message is. One that is none is counted.
    pub(super) fn add(&mut self, arrived: &'a Arrived, topic: Option<&'a str>) {
        match self.draft(arrived, topic) {
            Ok((draft, outcome)) => {
                self.bytes += draft.frame_bytes_max();
                self.drafts.push(draft);
                self.counts[outcome as usize] += 1;
            }
            Err(refused) => {
                let outcome = refused.outcome() as usize;
                self.counts[outcome] += 1;
                if let Some(left_out) = self.log_lines.refused[outcome].due() {
                    let channel = String::from_utf8_lossy(&arrived.channel);
                    let channel = &channel[..channel.floor_char_boundary(LOGGED_BYTES)];
                    tracing::warn!(
                        channel, reason = %refused, left_out,
                        "a message of a Redis channel was refused: no stream gets it"
                    );
                }
            }
        }
    }

    fn draft(
        &self,
        arrived: &'a Arrived,
        topic: Option<&'a str>,
    ) -> Result<(Draft<'a>, PubSubOutcome), Refused> {
        let payload = arrived
            .payload
            .as_ref()
            .map_err(|length| Refused::TooLong {
                length: *length,
                max: self.config.message_bytes_max,
            })?;
        let message = message::read(payload, topic.ok_or(Refused::Channel)?)?;
        let draft = Draft::new(message.event, self.hub.event_limits())?;
        let outcome = if message.is_envelope {
            PubSubOutcome::Event
        } else {
            PubSubOutcome::Raw
        };
        Ok((draft, outcome))
    }

    /// Publishes the events. Waits while the node is full.
    pub(super) async fn publish(mut self) -> Result<(), Lost> {
        let mut memory = None;
        if self.bytes > UNCOUNTED_BYTES {
            let charge = memory.insert(Charge::new(self.hub.budget(), Part::Events));
            charge.set_anyway(self.bytes);
        }
        let mut rest = &mut self.drafts[..];
        while !rest.is_empty() {
            let (published, pause) = match self.hub.publish(Source::PubSub, rest).await {
                Ok(_) => break,
                Err(NotPublished::Closed(Closed)) => return Err(Lost::Ended),
                // Certainly not published: they wait, and nothing is read meanwhile.
                Err(NotPublished::Away(away)) => {
                    if let Some(left_out) = self.log_lines.waiting.due() {
                        tracing::warn!(
                            reason = %away, left_out,
                            "messages of Redis channels wait for the log: none is read meanwhile"
                        );
                    }
                    (away.receipts.len(), away.retry_after)
                }
                // A repeat might be a second event, and none might be a loss: a doubt.
                Err(NotPublished::Unknown(unknown)) => return Err(Lost::Unsure(unknown.why)),
                Err(NotPublished::Reused(_)) => unreachable!("they have no keys"),
            };
            rest = &mut rest[published..];
            sleep(pause).await;
        }
        let counters = &self.hub.node_metrics().pubsub.messages;
        for (counter, count) in counters.iter().zip(self.counts) {
            if count > 0 {
                counter.add(count);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;
    use tokio::runtime::Handle;
    use tokio::time::timeout;

    use super::*;
    use crate::bridge::pubsub::Pace;
    use crate::bridge::redis::Address;
    use crate::hub::HubConfig;
    use crate::hub::log::memory::MemoryLog;

    const DEADLINE: Duration = Duration::from_secs(20);

    /// A message whose event has as many topics as one may have.
    fn message(number: usize) -> Arrived {
        let topics: Vec<String> = (0..100).map(|topic| format!("{number}/{topic}")).collect();
        let envelope = serde_json::json!({ "data": number.to_string(), "topic": topics });
        Arrived {
            pattern: None,
            channel: Bytes::from_static(b"in"),
            payload: Ok(envelope.to_string().into()),
        }
    }

    fn config() -> PubSubConfig {
        PubSubConfig {
            server: Address::parse("redis://h").expect("an address"),
            channels: Vec::new(),
            topics: Vec::new(),
            forwarding: None,
            message_bytes_max: 1 << 20,
            pace: Pace::default(),
        }
    }

    fn batch<'a>(
        hub: &'a Hub,
        log_lines: &'a LogLines,
        config: &'a PubSubConfig,
        messages: &'a [Arrived],
    ) -> Batch<'a> {
        let mut batch = Batch::new(hub, log_lines, config);
        for message in messages {
            batch.add(message, Some("in"));
        }
        batch
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn of_a_batch_that_the_log_took_in_part_only_the_rest_is_written_again() {
        let log = MemoryLog::default();
        let hub = Hub::start(log.config(HubConfig::default()), 1).expect("a hub");
        let tail = log.join(&hub, &Handle::current());
        // More topics than are written at once: the last message goes by itself.
        let messages: Vec<Arrived> = (0..11).map(message).collect();
        let (log_lines, config) = (LogLines::default(), config());
        let batch = batch(&hub, &log_lines, &config, &messages);
        tail.hold_back(true);
        let refuse_the_last = async {
            while log.len() < 10 {
                sleep(Duration::from_millis(1)).await;
            }
            log.refuse_next(1);
            tail.hold_back(false);
        };
        let both = async { tokio::join!(batch.publish(), refuse_the_last) };
        let (published, ()) = timeout(DEADLINE, both).await.expect("in time");
        published.expect("published");
        assert_eq!(log.len(), 11);
        let messages = &hub.node_metrics().pubsub.messages;
        assert_eq!(messages[PubSubOutcome::Event as usize].get(), 11);
        hub.stop();
    }

    /// A repeat might be a second event.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn messages_of_an_unknown_outcome_are_not_written_again() {
        let log = MemoryLog::default();
        let hub = Hub::start(log.config(HubConfig::default()), 1).expect("a hub");
        let _tail = log.join(&hub, &Handle::current());
        log.lose_answers(true);
        let (log_lines, config, messages) = (LogLines::default(), config(), [message(0)]);
        let published = batch(&hub, &log_lines, &config, &messages).publish();
        let published = timeout(DEADLINE, published).await.expect("in time");
        assert!(matches!(published, Err(Lost::Unsure(_))), "{published:?}");
        assert_eq!(log.len(), 1);
        hub.stop();
    }
}
