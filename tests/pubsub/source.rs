//! A hub with the source of Redis channels, and streams that are read in the test's own thread.

use std::io::{ErrorKind, Read};
use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use bytes::Bytes;
use fantail::bridge::pubsub::{Pace, PubSubConfig, run};
use fantail::bridge::redis::Address;
use fantail::core::selector::Selector;
use fantail::hub::{Encoding, Hub, Interest, Subscribe};
use fantail::metrics::{PubSubMetrics, PubSubOutcome, PubSubState};
use fantail::node;
use fantail::settings::Settings;
use fantail::shard::wire::Incoming;
use tokio::runtime::Runtime;
use tokio::sync::watch;

use crate::support::wait_until;

/// Longest message of these sources.
pub(crate) const MESSAGE_BYTES_MAX: usize = 1 << 20;

/// A running source. Its times are short, so that outages are found soon.
pub(crate) struct Source {
    pub(crate) hub: Hub,
    pub(crate) runtime: Runtime,
    _stop: watch::Sender<bool>,
}

impl Source {
    /// A source whose first subscription works.
    pub(crate) fn start(url: &str, channels: &[&str], topics: &[&str]) -> Self {
        let source = Self::begin(url, channels, topics);
        source.wait_for(PubSubState::Subscribed);
        source
    }

    /// A source that has yet to subscribe.
    pub(crate) fn begin(url: &str, channels: &[&str], topics: &[&str]) -> Self {
        let mut source = Self::hub_only();
        source.run(url, channels, topics);
        source
    }

    /// A hub without the source.
    pub(crate) fn hub_only() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("a runtime");
        let settings = Settings {
            shards: 2,
            history_events: 20_000,
            ..Settings::on_free_ports()
        };
        let mut config = node::config::hub(&settings);
        config.shard.gap_spread_ms = 0;
        let hub = Hub::start(config, 1_000).expect("a hub");
        Self {
            hub,
            runtime,
            _stop: watch::Sender::new(false),
        }
    }

    /// Starts the source.
    pub(crate) fn run(&mut self, url: &str, channels: &[&str], topics: &[&str]) {
        let config = PubSubConfig {
            server: Address::parse(url).expect("an address"),
            channels: channels
                .iter()
                .map(|text| text.parse().expect("a channel"))
                .collect(),
            topics: topics
                .iter()
                .map(|text| text.parse().expect("a row"))
                .collect(),
            forwarding: None,
            message_bytes_max: MESSAGE_BYTES_MAX,
            pace: Pace {
                connect_timeout: Duration::from_secs(3),
                probe_every: Duration::from_millis(200),
                probe_timeout: Duration::from_secs(3),
                pause_min: Duration::from_millis(10),
                pause_max: Duration::from_millis(100),
            },
        };
        let stop = watch::Sender::new(false);
        let working = watch::Sender::new(false);
        self.runtime
            .spawn(run(config, self.hub.clone(), stop.subscribe(), working));
        self._stop = stop;
    }

    pub(crate) fn metrics(&self) -> &PubSubMetrics {
        &self.hub.node_metrics().pubsub
    }

    pub(crate) fn count(&self, outcome: PubSubOutcome) -> u64 {
        self.metrics().messages[outcome as usize].get()
    }

    /// Waits until so many messages had this outcome. They are counted once they are published.
    pub(crate) fn wait_for_count(&self, outcome: PubSubOutcome, count: u64) {
        wait_until(&format!("{count} messages are {outcome:?}"), || {
            assert!(self.count(outcome) <= count, "{outcome:?}");
            self.count(outcome) == count
        });
    }

    /// Subscriptions that worked and were given up.
    pub(crate) fn lost(&self) -> u64 {
        self.metrics()
            .lost
            .iter()
            .map(|counter| counter.get())
            .sum()
    }

    /// A number that changes with each probe that comes back.
    pub(crate) fn probes(&self) -> u64 {
        self.metrics().probe_us()
    }

    pub(crate) fn wait_for(&self, state: PubSubState) {
        wait_until(&format!("the source is {state:?}"), || {
            self.metrics().state() == state
        });
    }

    /// Waits until a subscription works that is not one of the first `count`.
    pub(crate) fn wait_for_subscription_after(&self, count: u64) {
        wait_until("it is subscribed again", || {
            self.metrics().subscriptions.get() > count
                && self.metrics().state() == PubSubState::Subscribed
        });
    }

    pub(crate) fn subscribe(&self, topic: &str) -> Stream {
        self.open(Selector::exact(topic))
    }

    pub(crate) fn subscribe_to_all(&self) -> Stream {
        self.open("*".parse().expect("a selector"))
    }

    fn open(&self, selector: Selector) -> Stream {
        let (ours, theirs) = UnixStream::pair().expect("sockets");
        ours.set_nonblocking(true).expect("non-blocking");
        theirs.set_nonblocking(true).expect("non-blocking");
        let address = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let permit = self.hub.reserve(address).expect("a place");
        let selectors = vec![selector];
        let subscribe = Subscribe {
            wire: Incoming::Socket(theirs.into()),
            encoding: Encoding::BARE,
            head: Bytes::new(),
            start: self.hub.resolve(&selectors, &[], None),
            interest: Interest {
                selectors,
                ..Interest::default()
            },
        };
        let opened = self.runtime.block_on(self.hub.subscribe(permit, subscribe));
        opened.expect("open");
        let mut stream = Stream {
            socket: ours,
            text: String::new(),
        };
        // From its first cursor on it misses nothing.
        stream.read_until("\n\n", "id: ");
        stream
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        self.hub.stop();
    }
}

/// An open stream.
pub(crate) struct Stream {
    socket: UnixStream,
    text: String,
}

impl Stream {
    /// Reads until `wanted` has arrived, and to the next `end` behind it. Returns all since the last
    /// call.
    pub(crate) fn read_until(&mut self, end: &str, wanted: &str) -> String {
        let mut length = 0;
        wait_until(&format!("{wanted:?} is on the stream"), || {
            let mut bytes = [0; 64 * 1024];
            match self.socket.read(&mut bytes) {
                Ok(0) => {
                    let shown: String = self.text.chars().take(1_000).collect();
                    panic!("the stream has ended after {shown:?}");
                }
                // The tests' texts are ASCII.
                Ok(count) => self
                    .text
                    .push_str(&String::from_utf8_lossy(&bytes[..count])),
                Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
            }
            let found = self.text.find(wanted).and_then(|at| {
                let behind = self.text[at..].find(end)?;
                Some(at + behind + end.len())
            });
            length = found.unwrap_or_default();
            found.is_some()
        });
        self.text.drain(..length).collect()
    }
}
