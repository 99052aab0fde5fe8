//! Which channels are subscribed to, and the topic of each.

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use crate::core::glob::Glob;
use crate::core::topic;

/// Longest name of a channel, and longest pattern, in bytes.
pub const CHANNEL_BYTES_MAX: usize = 1_024;
/// Most channels and patterns, and most topics that are given for channels.
pub const CHANNELS_MAX: usize = 256;

/// Start of the channels that nodes probe their subscriptions with.
pub(super) const PROBE_PREFIX: &str = "fantail:probe:";

/// The channel on which Sentinels tell each other of themselves: a pattern such as `*` matches it.
const SENTINEL_HELLO: &[u8] = b"__sentinel__:hello";

/// A channel by its name, or a pattern of channels.
///
/// A text with `*`, `?`, `[` or `\` is a pattern, with Redis's own meaning (`PSUBSCRIBE`). A
/// backslash before a character stands for the character, so `price\*` is the channel `price*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Channel {
    text: String,
    /// `None` = the text is the name.
    glob: Option<Glob>,
}

/// Why a text is no channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ChannelError {
    /// Empty.
    #[error("a channel needs a name")]
    Empty,
    /// Too long.
    #[error("the name of a channel is longer than {CHANNEL_BYTES_MAX} bytes")]
    TooLong,
    /// A channel of probes.
    #[error("channels that begin with `{PROBE_PREFIX}` are the nodes' own")]
    Probe,
}

impl Channel {
    /// The text as it was given.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether it is a pattern.
    #[must_use]
    pub fn is_pattern(&self) -> bool {
        self.glob.is_some()
    }

    fn matches(&self, channel: &[u8]) -> bool {
        match &self.glob {
            Some(glob) => glob.matches(channel),
            None => self.text.as_bytes() == channel,
        }
    }
}

impl FromStr for Channel {
    type Err = ChannelError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.is_empty() {
            return Err(ChannelError::Empty);
        }
        if text.starts_with(PROBE_PREFIX) {
            return Err(ChannelError::Probe);
        }
        let is_pattern = text.contains(['*', '?', '[', '\\']);
        let glob = Glob::bounded(text.as_bytes(), CHANNEL_BYTES_MAX);
        let glob = glob.map_err(|_| ChannelError::TooLong)?;
        Ok(Self {
            text: text.to_owned(),
            glob: is_pattern.then_some(glob),
        })
    }
}

/// The topic that messages of a channel, or of all channels of a pattern, are published to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChannelTopic {
    channel: Channel,
    topic: String,
}

/// Why a text is no `channel=topic`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ChannelTopicError {
    /// No `=`.
    #[error("not channel=topic")]
    Form,
    /// No channel.
    #[error(transparent)]
    Channel(#[from] ChannelError),
    /// No topic.
    #[error("a channel needs a topic behind the `=`")]
    NoTopic,
    /// A topic of the node's own.
    #[error("the topic is the node's own; choose another")]
    ReservedTopic,
}

impl ChannelTopic {
    /// The channel or pattern, as it was given.
    #[must_use]
    pub fn channel(&self) -> &str {
        self.channel.text()
    }

    /// Whether messages may come by one of these subscriptions that the row is for. Two patterns are
    /// not compared.
    pub fn is_of_some(&self, channels: &[Channel]) -> bool {
        self.channel.is_pattern()
            || channels
                .iter()
                .any(|channel| channel.matches(self.channel().as_bytes()))
    }

    /// The topic.
    #[must_use]
    pub fn topic(&self) -> &str {
        &self.topic
    }
}

impl FromStr for ChannelTopic {
    type Err = ChannelTopicError;

    /// Reads `channel=topic`. The topic may hold `=`, the channel cannot.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (channel, topic) = text.split_once('=').ok_or(ChannelTopicError::Form)?;
        if topic.is_empty() {
            return Err(ChannelTopicError::NoTopic);
        }
        if topic::is_reserved(topic) {
            return Err(ChannelTopicError::ReservedTopic);
        }
        Ok(Self {
            channel: channel.parse()?,
            topic: topic.to_owned(),
        })
    }
}

impl fmt::Display for ChannelTopic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.channel.text, self.topic)
    }
}

/// What a message is for, by its channel and the pattern that it came by.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Meant<'a> {
    /// An event with this topic, unless it names its own; `None` = the channel can be no topic.
    Event(Option<&'a str>),
    /// The same message comes, or came, by another subscription.
    Again,
    /// No publisher's: a probe, or a Sentinel's.
    Foreign,
}

/// All subscriptions, and the topics of channels.
#[derive(Clone, Debug, Default)]
pub(super) struct Channels {
    names: Vec<String>,
    patterns: Vec<Channel>,
    topics_by_name: HashMap<Vec<u8>, String>,
    topics_by_pattern: Vec<ChannelTopic>,
}

impl Channels {
    pub(super) fn new(channels: &[Channel], topics: &[ChannelTopic]) -> Self {
        let (patterns, names) = channels
            .iter()
            .cloned()
            .partition::<Vec<_>, _>(Channel::is_pattern);
        let (by_pattern, by_name) = topics
            .iter()
            .cloned()
            .partition::<Vec<_>, _>(|topic| topic.channel.is_pattern());
        let by_name = by_name.into_iter();
        Self {
            names: names.into_iter().map(|channel| channel.text).collect(),
            patterns,
            topics_by_name: by_name
                .map(|row| (row.channel.text.into_bytes(), row.topic))
                .collect(),
            topics_by_pattern: by_pattern,
        }
    }

    /// The channels to subscribe to by name.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(String::as_str)
    }

    /// The patterns to subscribe to.
    pub(super) fn patterns(&self) -> impl Iterator<Item = &str> {
        self.patterns.iter().map(Channel::text)
    }

    /// What a message is for. Redis sends it once for each subscription that matches its channel:
    /// the one by name counts, or else the one by the first pattern of the list.
    pub(super) fn meant<'a>(&'a self, pattern: Option<&[u8]>, channel: &'a [u8]) -> Meant<'a> {
        if channel.starts_with(PROBE_PREFIX.as_bytes()) || channel == SENTINEL_HELLO {
            return Meant::Foreign;
        }
        if let Some(pattern) = pattern {
            let by_name = self.names.iter().any(|name| name.as_bytes() == channel);
            let mut earlier = self
                .patterns
                .iter()
                .take_while(|other| other.text.as_bytes() != pattern);
            if by_name || earlier.any(|other| other.matches(channel)) {
                return Meant::Again;
            }
        }
        Meant::Event(self.topic(channel))
    }

    /// The topic of a channel: the one that is given for its name, or for the first pattern that
    /// matches it, or its own name.
    fn topic<'a>(&'a self, channel: &'a [u8]) -> Option<&'a str> {
        if let Some(topic) = self.topics_by_name.get(channel) {
            return Some(topic);
        }
        let mut rows = self.topics_by_pattern.iter();
        match rows.find(|row| row.channel.matches(channel)) {
            Some(row) => Some(&row.topic),
            None => std::str::from_utf8(channel).ok(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn channels(channels: &[&str], topics: &[&str]) -> Channels {
        let channels = channels.iter().map(|text| text.parse().expect("a channel"));
        let topics = topics.iter().map(|text| text.parse().expect("a row"));
        Channels::new(&channels.collect::<Vec<_>>(), &topics.collect::<Vec<_>>())
    }

    #[test]
    fn a_text_with_a_character_of_globs_is_a_pattern() {
        for (text, is_pattern) in [
            ("news", false),
            ("news.*", true),
            ("new?", true),
            ("new[st]", true),
            (r"price\*", true),
            ("a{b}", false),
            ("näws 1", false),
        ] {
            let channel: Channel = text.parse().expect(text);
            assert_eq!(channel.is_pattern(), is_pattern, "{text}");
        }
        assert_eq!("".parse::<Channel>(), Err(ChannelError::Empty));
        assert_eq!(
            "fantail:probe:1".parse::<Channel>(),
            Err(ChannelError::Probe)
        );
        assert_eq!(
            "x".repeat(1_025).parse::<Channel>(),
            Err(ChannelError::TooLong)
        );
    }

    #[test]
    fn the_topic_is_the_channel_unless_another_is_given() {
        let all = channels(
            &["a", "news.*"],
            &[
                "a=b/c",
                "news.*=news",
                "news.sport=https://example.com/?x=1",
            ],
        );
        let topic = |channel: &'static str| match all.meant(None, channel.as_bytes()) {
            Meant::Event(topic) => topic.map(str::to_owned),
            other => panic!("{other:?}"),
        };
        assert_eq!(topic("a").as_deref(), Some("b/c"));
        assert_eq!(
            topic("news.sport").as_deref(),
            Some("https://example.com/?x=1")
        );
        assert_eq!(topic("news.other").as_deref(), Some("news"));
        assert_eq!(topic("else").as_deref(), Some("else"));
        assert_eq!(all.meant(None, b"\xff"), Meant::Event(None));
    }

    #[test]
    fn a_message_that_matches_several_subscriptions_is_one_event() {
        let all = channels(&["news.a", "news.*", "*"], &[]);
        let event = Meant::Event(Some("news.a"));
        assert_eq!(all.meant(None, b"news.a"), event);
        assert_eq!(all.meant(Some(b"news.*"), b"news.a"), Meant::Again);
        assert_eq!(all.meant(Some(b"*"), b"news.a"), Meant::Again);
        assert_eq!(
            all.meant(Some(b"news.*"), b"news.b"),
            Meant::Event(Some("news.b"))
        );
        assert_eq!(all.meant(Some(b"*"), b"news.b"), Meant::Again);
        assert_eq!(all.meant(Some(b"*"), b"other"), Meant::Event(Some("other")));
    }

    #[test]
    fn what_nodes_and_sentinels_tell_each_other_is_no_event() {
        let all = channels(&["*"], &[]);
        for channel in ["fantail:probe:x", "__sentinel__:hello"] {
            assert_eq!(all.meant(Some(b"*"), channel.as_bytes()), Meant::Foreign);
        }
    }

    #[test]
    fn a_row_that_is_none_is_refused() {
        for (text, error) in [
            ("a", ChannelTopicError::Form),
            ("a=", ChannelTopicError::NoTopic),
            ("=a", ChannelTopicError::Channel(ChannelError::Empty)),
            ("a=/.well-known/mercure/x", ChannelTopicError::ReservedTopic),
        ] {
            assert_eq!(text.parse::<ChannelTopic>(), Err(error), "{text}");
        }
        let row: ChannelTopic = "a.*=b=c".parse().expect("a row");
        assert_eq!(
            (row.channel(), row.topic(), row.to_string()),
            ("a.*", "b=c", "a.*=b=c".to_owned())
        );
    }

    proptest! {
        /// Of all the copies that Redis sends of a message, exactly one is an event.
        #[test]
        fn one_copy_of_a_message_counts(
            texts in prop::collection::vec("[ab*?]{1,3}", 1..6),
            channel in "[ab]{1,3}",
        ) {
            let mut texts = texts;
            texts.sort();
            texts.dedup();
            let list: Vec<Channel> = texts.iter().map(|text| text.parse().expect("a channel")).collect();
            let all = Channels::new(&list, &[]);
            let copies = list.iter().filter(|one| one.matches(channel.as_bytes()));
            let copies: Vec<_> = copies.map(|one| {
                let pattern = one.is_pattern().then(|| one.text().as_bytes());
                all.meant(pattern, channel.as_bytes())
            }).collect();
            let events = copies.iter().filter(|copy| matches!(copy, Meant::Event(_))).count();
            prop_assert_eq!(events, usize::from(!copies.is_empty()));
        }
    }
}
