//! Channels of a Redis server as a source of events.
//!
//! A node subscribes to channels and patterns. Each message becomes an event and is published through
//! [`Hub::publish`](crate::hub::Hub::publish), with the limits of all ways in.
//!
//! Redis delivers at most once: it keeps nothing for a subscriber that is away, and tells nobody. So
//! the node tells it. Whenever a subscription begins to work, all streams that are open are told a
//! gap `upstream`, also at the node's start: a stream may have been open before, or resume from a
//! history of an earlier process, and messages may have passed between.
//!
//! A subscription that is silent may be idle or dead. So the node publishes a message to a channel of
//! its own every few seconds, over a second connection, and expects it on the subscription. A
//! `PING` would prove that the server answers, and not that it delivers.
//!
//! Where nodes share a log, one of them subscribes, and writes the messages to the log ([`lease`]). Its
//! gaps are markers of the log, which all nodes tell in the same place.
//!
//! **Invariant:** no message stops the source. What cannot be an event is counted and passed over.
//! While the node is full, nothing is read; Redis then ends the connection, which is a gap.

mod batch;
mod channels;
mod connect;
mod lease;
mod lost;
pub mod message;
mod pace;
mod probe;
mod read;
mod server;
mod source;
pub mod wire;

pub use channels::{
    CHANNEL_BYTES_MAX, CHANNELS_MAX, Channel, ChannelError, ChannelTopic, ChannelTopicError,
};
pub use lease::{Forwarding, LEASE};
pub use pace::Pace;
pub use source::run;

use super::redis::Address;

/// Config of the source.
#[derive(Clone, Debug)]
pub struct PubSubConfig {
    /// The server, or several: each attempt takes the next one. Of Sentinels, the master that they
    /// name.
    pub server: Address,
    /// Channels and patterns to subscribe to.
    pub channels: Vec<Channel>,
    /// Topics of channels whose topic is not their name.
    pub topics: Vec<ChannelTopic>,
    /// The log of several nodes, if there is one: one of them writes the messages to it.
    pub forwarding: Option<Forwarding>,
    /// Longest message, in bytes.
    pub message_bytes_max: usize,
    /// Times.
    pub pace: Pace,
}
