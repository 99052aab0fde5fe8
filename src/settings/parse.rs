//! Parses a text into one value, and formats it: the formats of settings.
//!
//! Independent of any single setting. Passwords and users are in `super::credentials`, because a
//! [`Reason`] repeats the text that it refuses.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use super::bounds::Bounds;
use super::reason::Reason;
use crate::auth::TopicRule;
use crate::bridge::pubsub::{CHANNELS_MAX, Channel, ChannelTopic};
use crate::core::history::{SlowConsumerPolicy, SlowConsumerRule};
use crate::core::selector::Selector;
use crate::logging::{LogFilter, LogFilterError, LogFormat};
use crate::web::host::HostPattern;
use crate::web::network::network;
use crate::web::origin::OriginPattern;
use bytesize::ByteSize;
use ipnet::IpNet;

/// Word for a setting that is not set.
pub(super) const NONE: &str = "none";

pub(super) const POLICIES: [(&str, SlowConsumerPolicy); 3] = [
    ("disconnect", SlowConsumerPolicy::Disconnect),
    ("skip", SlowConsumerPolicy::Skip),
    ("latest", SlowConsumerPolicy::Latest),
];
pub(super) const FORMATS: [(&str, LogFormat); 2] =
    [("text", LogFormat::Text), ("json", LogFormat::Json)];

pub(super) fn address(text: &str) -> Result<SocketAddr, Reason> {
    text.parse().map_err(|_| Reason::Address)
}

pub(super) fn switch(text: &str) -> Result<bool, Reason> {
    text.parse().map_err(|_| Reason::Switch)
}

pub(super) fn count(text: &str, bounds: &Bounds<u64>) -> Result<usize, Reason> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Reason::Number);
    }
    if digits.len() < text.len() {
        return Err(Reason::TooSmall);
    }
    // A text of digits can only fail by being too long.
    let number = text.parse().map_err(|_| Reason::TooLarge)?;
    size(within(number, 0, bounds)?)
}

pub(super) fn bytes(text: &str, bounds: &Bounds<u64>) -> Result<usize, Reason> {
    let bytes: ByteSize = text.parse().map_err(|_| Reason::Bytes)?;
    size(within(bytes.as_u64(), 0, bounds)?)
}

pub(super) fn time(text: &str, bounds: &Bounds<Duration>) -> Result<Duration, Reason> {
    let time = humantime::parse_duration(text).map_err(|_| Reason::Time)?;
    within(time, Duration::ZERO, bounds)
}

pub(super) fn within<T: PartialOrd + Copy>(
    value: T,
    zero: T,
    bounds: &Bounds<T>,
) -> Result<T, Reason> {
    if value == zero && bounds.zero.is_some() {
        Ok(value)
    } else if value < bounds.min {
        Err(Reason::TooSmall)
    } else if value > bounds.max {
        Err(Reason::TooLarge)
    } else {
        Ok(value)
    }
}

fn size(number: u64) -> Result<usize, Reason> {
    usize::try_from(number).map_err(|_| Reason::TooLarge)
}

pub(super) fn show_bytes(bytes: u64) -> String {
    const UNITS: [(u32, &str); 4] = [(40, "TiB"), (30, "GiB"), (20, "MiB"), (10, "KiB")];
    // Only whole units, so that the shown value is exact.
    UNITS
        .iter()
        .find(|(shift, _)| bytes != 0 && bytes.trailing_zeros() >= *shift)
        .map_or_else(
            || bytes.to_string(),
            |(shift, unit)| format!("{}{unit}", bytes >> shift),
        )
}

pub(super) fn show_time(time: Duration) -> String {
    if time.is_zero() {
        "0".to_owned()
    } else {
        humantime::format_duration(time).to_string()
    }
}

fn word<T: Copy>(text: &str, words: &[(&str, T)]) -> Result<T, Reason> {
    words
        .iter()
        .find(|(name, _)| *name == text)
        .map(|(_, value)| *value)
        .ok_or_else(|| Reason::Word(text.to_owned()))
}

fn show_word<T: PartialEq>(value: &T, words: &[(&'static str, T)]) -> &'static str {
    words
        .iter()
        .find(|(_, other)| other == value)
        .map_or("", |(name, _)| name)
}

pub(super) fn policy(text: &str) -> Result<SlowConsumerPolicy, Reason> {
    word(text, &POLICIES)
}

pub(super) fn show_policy(policy: SlowConsumerPolicy) -> &'static str {
    show_word(&policy, &POLICIES)
}

pub(super) fn format(text: &str) -> Result<LogFormat, Reason> {
    word(text, &FORMATS)
}

pub(super) fn show_format(format: LogFormat) -> &'static str {
    show_word(&format, &FORMATS)
}

pub(super) fn rules(texts: &[String]) -> Result<Vec<SlowConsumerRule>, Reason> {
    let rules = texts.iter().map(|text| {
        // From the right: a prefix may hold `=`, a policy cannot.
        let (prefix, word) = text
            .rsplit_once('=')
            .ok_or_else(|| Reason::Rule(text.clone()))?;
        check_prefix(prefix, text)?;
        Ok(SlowConsumerRule {
            prefix: prefix.to_owned(),
            policy: policy(word)?,
        })
    });
    let rules: Vec<_> = rules.collect::<Result<_, _>>()?;
    check_rules(&rules)?;
    Ok(rules)
}

/// Longest key of the log, in bytes.
pub(super) const REDIS_KEY_BYTES_MAX: usize = 512;

pub(super) fn redis_key(text: &str) -> Result<String, Reason> {
    match text.len() {
        0 => Err(Reason::Empty),
        length if length > REDIS_KEY_BYTES_MAX => Err(Reason::TooLarge),
        _ if !has_one_slot(text) => Err(Reason::HashTag),
        _ => Ok(text.to_owned()),
    }
}

/// Whether keys that are made of this one can be in its slot of a Cluster: it has no braces, or they
/// enclose its hash tag (Redis Cluster specification, "Hash tags").
fn has_one_slot(key: &str) -> bool {
    match key.find(['{', '}']) {
        None => true,
        Some(open) => {
            let tag = key[open..]
                .strip_prefix('{')
                .and_then(|rest| rest.find('}'));
            tag.is_some_and(|length| length > 0)
        }
    }
}

pub(super) fn directory(text: &str) -> Result<PathBuf, Reason> {
    let path = PathBuf::from(text);
    check_directory(&path)?;
    Ok(path)
}

/// Checks that the system could have such a path.
pub(super) fn check_directory(path: &Path) -> Result<(), Reason> {
    let bytes = path.as_os_str().as_encoded_bytes();
    let is_path = !bytes.is_empty() && !bytes.contains(&0);
    is_path.then_some(()).ok_or(Reason::Path)
}

/// Checks that rules do not contradict each other.
pub(super) fn check_rules(rules: &[SlowConsumerRule]) -> Result<(), Reason> {
    for (index, rule) in rules.iter().enumerate() {
        check_prefix(&rule.prefix, &show_rule(rule))?;
        if rules[..index]
            .iter()
            .any(|other| other.prefix == rule.prefix)
        {
            return Err(Reason::Twice(rule.prefix.clone()));
        }
    }
    Ok(())
}

fn check_prefix(prefix: &str, text: &str) -> Result<(), Reason> {
    match prefix {
        "" => Err(Reason::Rule(text.to_owned())),
        _ => Ok(()),
    }
}

pub(super) fn show_rule(rule: &SlowConsumerRule) -> String {
    format!("{}={}", rule.prefix, show_policy(rule.policy))
}

pub(super) fn selectors(texts: &[String]) -> Result<Vec<Selector>, Reason> {
    each(texts, |text, error| Reason::Selector { text, error })
}

pub(super) fn topic_rules(texts: &[String]) -> Result<Vec<TopicRule>, Reason> {
    each(texts, |text, error| Reason::TopicRule { text, error })
}

pub(super) fn origins(texts: &[String]) -> Result<Vec<OriginPattern>, Reason> {
    each(texts, |text, error| Reason::Origin { text, error })
}

pub(super) fn hosts(texts: &[String]) -> Result<Vec<HostPattern>, Reason> {
    each(texts, |text, _| Reason::Host(text))
}

pub(super) fn channels(texts: &[String]) -> Result<Vec<Channel>, Reason> {
    let channels = each(texts, |text, error| Reason::Channel { text, error })?;
    check_channels(&channels).map(|()| channels)
}

pub(super) fn check_channels(channels: &[Channel]) -> Result<(), Reason> {
    distinct(channels.iter().map(Channel::text))
}

pub(super) fn channel_topics(texts: &[String]) -> Result<Vec<ChannelTopic>, Reason> {
    let topics = each(texts, |text, error| Reason::ChannelTopic { text, error })?;
    check_channel_topics(&topics).map(|()| topics)
}

pub(super) fn check_channel_topics(topics: &[ChannelTopic]) -> Result<(), Reason> {
    distinct(topics.iter().map(ChannelTopic::channel))
}

/// Checks that there are not too many, and none twice.
fn distinct<'t>(texts: impl Iterator<Item = &'t str>) -> Result<(), Reason> {
    let mut texts: Vec<&str> = texts.collect();
    if texts.len() > CHANNELS_MAX {
        return Err(Reason::TooLarge);
    }
    texts.sort_unstable();
    let mut pairs = texts.windows(2);
    match pairs.find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(Reason::Twice(pair[0].to_owned())),
        None => Ok(()),
    }
}

fn each<T: FromStr>(
    texts: &[String],
    reason: impl Fn(String, T::Err) -> Reason,
) -> Result<Vec<T>, Reason> {
    let values = texts.iter().map(|text| match text.parse() {
        _ if text.is_empty() => Err(Reason::Empty),
        Ok(value) => Ok(value),
        Err(error) => Err(reason(text.clone(), error)),
    });
    values.collect()
}

pub(super) fn networks(texts: &[String]) -> Result<Vec<IpNet>, Reason> {
    let network = |text: &String| network(text).ok_or_else(|| Reason::Network(text.clone()));
    texts.iter().map(network).collect()
}

pub(super) fn filter(text: &str) -> Result<LogFilter, Reason> {
    text.parse().map_err(|error| match error {
        LogFilterError::Empty => Reason::Empty,
        LogFilterError::Word(word) => Reason::Word(word),
        LogFilterError::Grammar => Reason::Filter,
    })
}
