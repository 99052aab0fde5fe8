//! The task of the source: it subscribes, publishes what arrives, and begins again.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use super::PubSubConfig;
use super::batch::{Batch, LogLines};
use super::channels::{Channels, Meant};
use super::lease::{self, Lease};
use super::lost::Lost;
use super::pace::{Pace, jittered};
use super::probe::{self, Sent};
use super::read::{Arrived, Subscription};
use super::server::{self, Server};
use crate::backoff::Backoff;
use crate::hub::Hub;
use crate::metrics::{PubSubMetrics, PubSubState};
use crate::once_a_minute::OnceAMinute;

/// Publishes the messages of the channels, until `stopped` is true or the hub is closed. `working`
/// becomes true when the first subscription works.
pub async fn run(
    config: PubSubConfig,
    hub: Hub,
    mut stopped: watch::Receiver<bool>,
    working: watch::Sender<bool>,
) {
    let source = Source::new(config, hub, working);
    let mut ended = stopped.clone();
    tokio::select! {
        () = source.run(&mut stopped) => {}
        () = async {
            let _ = ended.wait_for(|stopped| *stopped).await;
            // Time to leave the lease to another node.
            sleep(LEAVE).await;
        } => {}
    }
}

/// Time for a node that ends to leave the lease of the forwarder.
const LEAVE: Duration = Duration::from_millis(500);

struct Source {
    config: PubSubConfig,
    channels: Channels,
    hub: Hub,
    log_lines: LogLines,
    /// Log lines about subscriptions that work.
    begun: OnceAMinute,
    /// Log lines about another node's lease.
    waiting: OnceAMinute,
    working: watch::Sender<bool>,
}

impl Source {
    fn new(config: PubSubConfig, hub: Hub, working: watch::Sender<bool>) -> Self {
        Self {
            channels: Channels::new(&config.channels, &config.topics),
            log_lines: LogLines::default(),
            config,
            hub,
            begun: OnceAMinute::new(),
            waiting: OnceAMinute::new(),
            working,
        }
    }

    async fn run(self, stopped: &mut watch::Receiver<bool>) {
        let Pace {
            pause_min,
            pause_max,
            ..
        } = self.config.pace;
        let mut backoff = Backoff::new(pause_min, pause_max);
        let (losing, failing) = (OnceAMinute::new(), OnceAMinute::new());
        for attempt in 0.. {
            self.metrics().set_state(PubSubState::Connecting);
            let mut is_working = false;
            let began = Instant::now();
            let lost = match &self.config.forwarding {
                None => tokio::select! {
                    lost = self.subscribe_and_follow(attempt, None, &mut is_working) => lost,
                    _ = stopped.wait_for(|stopped| *stopped) => Lost::Ended,
                },
                Some(_) => self.forward(attempt, &mut is_working, stopped).await,
            };
            if matches!(lost, Lost::Ended) {
                return;
            }
            self.metrics().set_state(PubSubState::Away);
            let server = &self.config.server;
            if is_working {
                if began.elapsed() > pause_max {
                    backoff.succeeded();
                }
                self.metrics().lost[lost.reason() as usize].add(1);
                if let Some(left_out) = losing.due() {
                    tracing::warn!(
                        %server, reason = %lost, left_out,
                        "the subscription to Redis channels is lost: messages may be missed from now on, and streams are told a gap when it is back"
                    );
                }
            } else {
                self.metrics().failures.add(1);
                if let Some(left_out) = failing.due() {
                    tracing::warn!(
                        %server, reason = %lost, left_out,
                        "cannot subscribe to Redis channels: messages are missed until it works"
                    );
                }
            }
            sleep(jittered(backoff.failed())).await;
        }
    }

    fn metrics(&self) -> &PubSubMetrics {
        &self.hub.node_metrics().pubsub
    }

    async fn subscribe(
        &self,
        attempt: usize,
        probe_channel: &str,
    ) -> Result<(Server, Subscription), Lost> {
        let server = Server::choose(&self.config, attempt).await?;
        let max = self.config.message_bytes_max;
        let opened = Subscription::open(&server, max, &self.channels, probe_channel).await;
        Ok((server, opened?))
    }

    /// Publishes messages as one batch. Waits while the node is full.
    async fn publish(&self, arrived: &[Arrived]) -> Result<(), Lost> {
        let mut batch = Batch::new(&self.hub, &self.log_lines, &self.config);
        for message in arrived {
            let pattern = message.pattern.as_deref();
            if let Meant::Event(topic) = self.channels.meant(pattern, &message.channel) {
                batch.add(message, topic);
            }
        }
        batch.publish().await
    }

    /// Waits for the lease, and subscribes while this node has it.
    async fn forward(
        &self,
        attempt: usize,
        is_working: &mut bool,
        stopped: &mut watch::Receiver<bool>,
    ) -> Lost {
        let Some(config) = &self.config.forwarding else {
            return Lost::Ended;
        };
        let waits = || {
            if self.metrics().state() != PubSubState::Standby {
                self.metrics().set_state(PubSubState::Standby);
                if let Some(left_out) = self.waiting.due() {
                    tracing::info!(
                        left_out,
                        "another node writes the messages of Redis channels to the log; this one waits to replace it"
                    );
                }
            }
        };
        let Some(log) = self.hub.log() else {
            return Lost::Ended;
        };
        let name = log.roster_name();
        let taken = tokio::select! {
            taken = Lease::take(config, self.config.pace, name, waits) => taken,
            _ = stopped.wait_for(|stopped| *stopped) => return Lost::Ended,
        };
        let mut lease = match taken {
            Ok(lease) => lease,
            Err(lost) => return lost,
        };
        self.metrics().set_state(PubSubState::Connecting);
        let (until, host) = (lease.until(), lease.host().clone());
        let lost = tokio::select! {
            lost = lease.keep() => lost,
            // A former master may prolong it for long, while another one gives it to another node.
            lost = server::demoted(&config.address, &host, config.lease / 4) => lost,
            lost = self.subscribe_and_follow(attempt, Some(until), is_working) => lost,
            _ = stopped.wait_for(|stopped| *stopped) => Lost::Ended,
        };
        // Another node may reach what this one does not.
        let _ = timeout(LEAVE, lease.end()).await;
        lost
    }

    /// Subscribes, and publishes what arrives until something is wrong. `is_working` is set with
    /// the first message.
    async fn subscribe_and_follow(
        &self,
        attempt: usize,
        until: Option<watch::Receiver<Instant>>,
        is_working: &mut bool,
    ) -> Lost {
        let pace = self.config.pace;
        let probe_channel = probe::channel();
        let subscribe = self.subscribe(attempt, &probe_channel);
        let (server, subscription) = match timeout(pace.connect_timeout, subscribe).await {
            Ok(Ok(subscribed)) => subscribed,
            Ok(Err(lost)) => return lost,
            Err(_) => return Lost::silent("it did not answer"),
        };
        let first = Sent {
            number: 0,
            at: Instant::now(),
        };
        let sent = watch::Sender::new(first);
        let follow = Follow {
            source: self,
            subscription,
            probe_channel: probe_channel.as_bytes(),
            silence: Silence::new(pace.probe_timeout),
            until,
            is_working,
        };
        let probes = probe::run(&server, pace, &probe_channel, &sent);
        tokio::select! {
            lost = probes => lost,
            lost = server::demoted(&self.config.server, server.host(), pace.probe_every) => lost,
            lost = follow.run(sent.subscribe()) => lost,
        }
    }
}

/// How long a probe has been awaited. The time in which the node does not read, because it is full,
/// does not count: the probe may be there already.
struct Silence {
    /// Number of the probe that came last.
    seen: u64,
    awaited: Duration,
    max: Duration,
}

impl Silence {
    fn new(max: Duration) -> Self {
        Self {
            seen: 0,
            awaited: Duration::ZERO,
            max,
        }
    }

    /// The time that is left; `None` = no probe is awaited.
    fn left(&self, sent: &Sent) -> Option<Duration> {
        (sent.number > self.seen).then(|| self.max.saturating_sub(self.awaited))
    }

    /// A number that was not sent is a stranger's.
    fn came(&mut self, number: u64, sent: &Sent) {
        if number <= sent.number {
            self.seen = self.seen.max(number);
            self.awaited = Duration::ZERO;
        }
    }
}

/// A subscription at work.
struct Follow<'s> {
    source: &'s Source,
    subscription: Subscription,
    probe_channel: &'s [u8],
    silence: Silence,
    /// The end of the lease, if there is one.
    until: Option<watch::Receiver<Instant>>,
    is_working: &'s mut bool,
}

impl Follow<'_> {
    async fn run(mut self, mut sent: watch::Receiver<Sent>) -> Lost {
        loop {
            if let Err(lost) = self.publish(&sent).await {
                return lost;
            }
            if let Err(lost) = self.read(&mut sent).await {
                return lost;
            }
        }
    }

    /// Publishes all that has arrived whole.
    async fn publish(&mut self, sent: &watch::Receiver<Sent>) -> Result<(), Lost> {
        let mut arrived = Vec::new();
        loop {
            let mut bytes = 0;
            while Batch::has_room(arrived.len(), bytes)
                && let Some(message) = self.subscription.arrived()?
            {
                self.note_working().await?;
                if &message.channel[..] == self.probe_channel {
                    self.note_probe(&message, &sent.borrow());
                } else {
                    bytes += message.bytes();
                    arrived.push(message);
                }
            }
            if arrived.is_empty() {
                return Ok(());
            }
            // A process that was stopped for a while has what its successor has, too.
            let until = self.until.as_ref().map(|until| *until.borrow());
            if until.is_some_and(|until| Instant::now() >= until) {
                return Err(Lost::Lease);
            }
            self.source.publish(&arrived).await?;
            arrived.clear();
        }
    }

    /// The first message proves that the subscription works. All that may have been missed before
    /// is told, before anything that comes now.
    async fn note_working(&mut self) -> Result<(), Lost> {
        if *self.is_working {
            return Ok(());
        }
        let source = self.source;
        let (hub, config) = (&source.hub, &source.config);
        match &config.forwarding {
            Some(forwarding) => lease::mark(forwarding, config.pace, hub).await?,
            None => {
                let told = hub.doubt_upstream().await;
                told.map_err(|_closed| Lost::Ended)?;
            }
        }
        *self.is_working = true;
        source.working.send_replace(true);
        source.metrics().subscriptions.add(1);
        source.metrics().set_state(PubSubState::Subscribed);
        if let Some(left_out) = source.begun.due() {
            let (names, patterns) = (source.channels.names(), source.channels.patterns());
            tracing::info!(
                server = %source.config.server, channels = names.count(), patterns = patterns.count(), left_out,
                "subscribed to Redis channels; streams that were open before are told a gap"
            );
        }
        Ok(())
    }

    fn note_probe(&mut self, message: &Arrived, sent: &Sent) {
        let number = message.payload.as_ref().ok();
        let number = number.and_then(|text| std::str::from_utf8(text).ok()?.parse().ok());
        let Some(number) = number else {
            return;
        };
        self.silence.came(number, sent);
        if number == sent.number {
            let took_us = u64::try_from(sent.at.elapsed().as_micros()).unwrap_or(u64::MAX);
            self.source.metrics().note_probe(took_us);
        }
    }

    /// Reads more, and waits for it no longer than an awaited probe may take.
    async fn read(&mut self, sent: &mut watch::Receiver<Sent>) -> Result<(), Lost> {
        loop {
            let last = *sent.borrow_and_update();
            let left = self.silence.left(&last);
            let began = Instant::now();
            let (is_awaited, pause) = (left.is_some(), left.unwrap_or(Duration::MAX));
            let read = tokio::select! {
                // What is there is read, though the time may be over.
                biased;
                read = self.subscription.fill() => Some(read),
                _ = sent.changed() => None,
                () = sleep(pause), if is_awaited => {
                    return Err(Lost::silent("a probe was published and did not arrive"));
                }
            };
            if is_awaited {
                self.silence.awaited += began.elapsed();
            }
            if let Some(read) = read {
                return read;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;

    use super::*;
    use crate::bridge::redis::Address;
    use crate::hub::HubConfig;
    use crate::metrics::PubSubOutcome;

    /// A source whose subscription to `in` works.
    fn source() -> Source {
        let hub = Hub::start(HubConfig::default(), 1).expect("a hub");
        let config = PubSubConfig {
            server: Address::parse("redis://h").expect("an address"),
            channels: vec!["in".parse().expect("a channel")],
            topics: Vec::new(),
            forwarding: None,
            message_bytes_max: 1 << 20,
            pace: Pace::default(),
        };
        Source::new(config, hub, watch::Sender::new(true))
    }

    #[tokio::test]
    async fn what_a_forwarder_reads_after_the_end_of_its_lease_is_not_published() {
        for is_over in [false, true] {
            let source = source();
            let (mut server, node) = tokio::io::duplex(1_024);
            let message = b"*3\r\n$7\r\nmessage\r\n$2\r\nin\r\n$3\r\none\r\n";
            server.write_all(message).await.expect("written");
            let mut end = Instant::now();
            if !is_over {
                end += Duration::from_secs(3_600);
            }
            let until = watch::Sender::new(end);
            let mut follow = Follow {
                source: &source,
                subscription: Subscription::of(node),
                probe_channel: b"fantail:probe:1",
                silence: Silence::new(Duration::from_secs(3)),
                until: Some(until.subscribe()),
                is_working: &mut true,
            };
            follow.subscription.fill().await.expect("read");
            let probes = watch::Sender::new(sent(0)).subscribe();
            let is_lost = matches!(follow.publish(&probes).await, Err(Lost::Lease));
            let count = source.metrics().messages[PubSubOutcome::Raw as usize].get();
            assert_eq!((is_lost, count), (is_over, u64::from(!is_over)));
            source.hub.stop();
        }
    }

    fn sent(number: u64) -> Sent {
        Sent {
            number,
            at: Instant::now(),
        }
    }

    #[test]
    fn only_the_time_that_is_spent_waiting_makes_a_probe_late() {
        let max = Duration::from_secs(3);
        let mut silence = Silence::new(max);
        assert_eq!(silence.left(&sent(0)), None);
        assert_eq!(silence.left(&sent(1)), Some(max));
        silence.awaited += Duration::from_secs(2);
        assert_eq!(silence.left(&sent(1)), Some(Duration::from_secs(1)));
        // A further probe does not give the first one more time.
        assert_eq!(silence.left(&sent(2)), Some(Duration::from_secs(1)));
        silence.came(1, &sent(2));
        assert_eq!(silence.left(&sent(2)), Some(max));
        silence.came(2, &sent(2));
        assert_eq!(silence.left(&sent(2)), None);
        silence.came(1, &sent(2));
        assert_eq!(silence.left(&sent(2)), None);
    }

    /// No probe was awaited any more: the connection could be dead for ever.
    #[test]
    fn a_stranger_on_the_channel_of_probes_answers_for_none() {
        let max = Duration::from_secs(3);
        let mut silence = Silence::new(max);
        silence.awaited = Duration::from_secs(1);
        silence.came(u64::MAX, &sent(1));
        assert_eq!(silence.left(&sent(1)), Some(Duration::from_secs(2)));
    }
}
