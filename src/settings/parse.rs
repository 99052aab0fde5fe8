//! One text into one value, and back: the words that settings are written in.
//!
//! Knows nothing of which setting it reads. Passwords and users are not here but in `super::credentials`, since a
//! [`Reason`] repeats the words that it refuses.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use bytesize::ByteSize;
use ipnet::IpNet;
use tracing_subscriber::EnvFilter;

use super::kind::Bounds;
use super::{LogFormat, Reason, SlowConsumerPolicy, SlowConsumerRule};
use crate::web::host;
use crate::web::origin::WebOrigin;

/// Word for a setting that is not set.
pub(super) const NONE: &str = "none";

pub(super) const LOG_LEVELS: [&str; 6] = ["error", "warn", "info", "debug", "trace", "off"];
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
    // Digits alone can only fail by being too many.
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

fn within<T: PartialOrd + Copy>(value: T, zero: T, bounds: &Bounds<T>) -> Result<T, Reason> {
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
    // Only whole units, so that what is shown is exactly what is meant.
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
    let mut rules: Vec<SlowConsumerRule> = Vec::with_capacity(texts.len());
    for text in texts {
        // From the right: a prefix may hold `=`, a policy cannot.
        let (prefix, word) = text
            .rsplit_once('=')
            .filter(|(prefix, _)| !prefix.is_empty())
            .ok_or_else(|| Reason::Rule(text.clone()))?;
        if rules.iter().any(|rule| rule.prefix == prefix) {
            return Err(Reason::Twice(prefix.to_owned()));
        }
        rules.push(SlowConsumerRule {
            prefix: prefix.to_owned(),
            policy: policy(word)?,
        });
    }
    Ok(rules)
}

pub(super) fn show_rule(rule: &SlowConsumerRule) -> String {
    format!("{}={}", rule.prefix, show_policy(rule.policy))
}

pub(super) fn topics(texts: &[String]) -> Result<Vec<String>, Reason> {
    if texts.iter().any(String::is_empty) {
        return Err(Reason::Empty);
    }
    Ok(texts.to_vec())
}

pub(super) fn origins(texts: &[String]) -> Result<Vec<String>, Reason> {
    texts.iter().map(|text| origin(text)).collect()
}

pub(super) fn hosts(texts: &[String]) -> Result<Vec<String>, Reason> {
    let fault = texts.iter().find(|text| !host::is_host_pattern(text));
    match fault {
        Some(text) => Err(Reason::Host(text.clone())),
        None => Ok(texts.to_vec()),
    }
}

pub(super) fn networks(texts: &[String]) -> Result<Vec<IpNet>, Reason> {
    let network = |text: &String| network(text).ok_or_else(|| Reason::Network(text.clone()));
    texts.iter().map(network).collect()
}

/// A network, whose host bits do not matter, or one address. `::ffff:10.0.0.0/104` is 10.0.0.0/8, as which clients are seen.
pub(crate) fn network(text: &str) -> Option<IpNet> {
    let network = match text.parse::<IpAddr>() {
        Ok(address) => IpNet::from(address),
        Err(_) => text.parse().ok()?,
    };
    let mapped = network.addr().to_canonical();
    let network = match network.prefix_len().checked_sub(96) {
        Some(prefix) if mapped.is_ipv4() && network.addr().is_ipv6() => {
            IpNet::new(mapped, prefix).ok()?
        }
        _ => network,
    };
    Some(network.trunc())
}

/// In the one spelling that browsers have for it.
fn origin(text: &str) -> Result<String, Reason> {
    if text == "*" {
        return Ok(text.to_owned());
    }
    let origin = WebOrigin::from_setting(text).map_err(|error| Reason::Origin {
        text: text.to_owned(),
        error,
    })?;
    Ok(origin.to_string())
}

/// A bare word in a filter is a target for which everything is logged, so a misspelt level would be taken for one and
/// silence the node; here it must be a level. `RUST_LOG` itself keeps its own grammar.
pub(super) fn filter(text: &str) -> Result<String, Reason> {
    if text.is_empty() {
        return Err(Reason::Empty);
    }
    for part in text
        .split(',')
        .map(str::trim)
        .filter(|part| !part.contains(['=', '[']))
    {
        if !LOG_LEVELS
            .iter()
            .any(|level| part.eq_ignore_ascii_case(level))
        {
            return Err(Reason::Word(part.to_owned()));
        }
    }
    EnvFilter::try_new(text).map_err(|_| Reason::Filter)?;
    Ok(text.to_owned())
}
