//! The kinds of settings: how each is read, bounded, shown and described.
//!
//! A kind holds the accessor of its field in [`Settings`], so that one row of the table describes a
//! setting completely.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ipnet::IpNet;

use super::bounds::Bounds;
use super::checked::Settings;
use super::credentials;
use super::given::Given;
use super::key_source::{self, CLAIM_BYTES_MAX, Form, KeySource};
use super::parse;
use super::reason::Reason;
use super::user::IngestUser;
use crate::auth::{Algorithm, TopicRule};
use crate::bridge::pubsub::{CHANNELS_MAX, Channel, ChannelTopic};
use crate::bridge::redis::Address;
use crate::core::history::{SlowConsumerPolicy, SlowConsumerRule};
use crate::core::selector::Selector;
use crate::logging::{LOG_LEVELS, LogFilter, LogFormat};
use crate::secret::{PASSWORD_BYTES_MAX, Secret};
use crate::web::host::HostPattern;
use crate::web::origin::OriginPattern;

/// Shown for a list without values; not a valid value.
const EMPTY: &str = "(empty)";
/// Shown for a password that is not set; not a valid value.
const NOT_SET: &str = "(not set)";

/// The accessor of a field. Takes the settings mutably because one accessor serves writing and
/// reading.
pub(super) type Field<T> = fn(&mut Settings) -> &mut T;

/// The kind of a setting and its field.
pub(super) enum Kind {
    Address(Field<SocketAddr>),
    Switch(Field<bool>),
    Count(Bounds<u64>, Field<usize>),
    Bytes(Bounds<u64>, Field<usize>),
    Time(Bounds<Duration>, Field<Duration>),
    OptionalTime(Bounds<Duration>, Field<Option<Duration>>),
    Policy(Field<SlowConsumerPolicy>),
    Rules(Field<Vec<SlowConsumerRule>>),
    Topics(Field<Vec<Selector>>),
    Origins(Field<Vec<OriginPattern>>),
    /// Names of hosts.
    Hosts(Field<Vec<HostPattern>>),
    /// Networks, or single addresses.
    Networks(Field<Vec<IpNet>>),
    Password(Field<Option<Secret>>),
    /// A file that holds the password; its text goes into the field of the password.
    PasswordFile(Field<Option<Secret>>),
    Users(Field<Vec<IngestUser>>),
    /// Channels and patterns of a Redis server.
    Channels(Field<Vec<Channel>>),
    /// Topics of channels.
    ChannelTopics(Field<Vec<ChannelTopic>>),
    /// One of the forms of a role's keys; all forms share one field.
    Keys(Form, Field<Option<KeySource>>),
    Algorithm(Field<Option<Algorithm>>),
    /// The required value of a claim.
    Claim(Field<Option<String>>),
    TopicRules(Field<Vec<TopicRule>>),
    CookieName(Field<String>),
    /// The address of a log, which may hold a password.
    LogAddress(Field<Option<Address>>),
    /// A key in Redis.
    RedisKey(Field<String>),
    /// A directory.
    Directory(Field<Option<PathBuf>>),
    Filter(Field<LogFilter>),
    Format(Field<LogFormat>),
}

impl Kind {
    /// Reads `given` into its field.
    ///
    /// # Errors
    /// [`Reason`]; the settings are unchanged then.
    pub(super) fn set(&self, settings: &mut Settings, given: &Given) -> Result<(), Reason> {
        match self {
            Self::Address(field) => *field(settings) = parse::address(one(given)?)?,
            Self::Switch(field) => *field(settings) = parse::switch(one(given)?)?,
            Self::Count(bounds, field) => *field(settings) = parse::count(one(given)?, bounds)?,
            Self::Bytes(bounds, field) => *field(settings) = parse::bytes(one(given)?, bounds)?,
            Self::Time(bounds, field) => *field(settings) = parse::time(one(given)?, bounds)?,
            Self::OptionalTime(bounds, field) => {
                *field(settings) = match one(given)? {
                    parse::NONE => None,
                    text => Some(parse::time(text, bounds)?),
                }
            }
            Self::Policy(field) => *field(settings) = parse::policy(one(given)?)?,
            Self::Rules(field) => *field(settings) = parse::rules(many(given)?)?,
            Self::Topics(field) => *field(settings) = parse::selectors(many(given)?)?,
            Self::Origins(field) => *field(settings) = parse::origins(many(given)?)?,
            Self::Hosts(field) => *field(settings) = parse::hosts(many(given)?)?,
            Self::Networks(field) => *field(settings) = parse::networks(many(given)?)?,
            Self::Password(field) => *field(settings) = Some(credentials::password(one(given)?)?),
            Self::PasswordFile(field) => {
                *field(settings) = Some(credentials::password_file(one(given)?)?)
            }
            Self::Users(field) => *field(settings) = credentials::users(given)?,
            Self::Channels(field) => *field(settings) = parse::channels(many(given)?)?,
            Self::ChannelTopics(field) => *field(settings) = parse::channel_topics(many(given)?)?,
            Self::Keys(form, field) => *field(settings) = Some(form.read(one(given)?)?),
            Self::Algorithm(field) => {
                *field(settings) = Some(key_source::algorithm(one(given)?)?);
            }
            Self::Claim(field) => *field(settings) = Some(key_source::claim(one(given)?)?),
            Self::TopicRules(field) => *field(settings) = parse::topic_rules(many(given)?)?,
            Self::CookieName(field) => *field(settings) = key_source::cookie_name(one(given)?)?,
            Self::LogAddress(field) => {
                *field(settings) = Some(Address::parse(one(given)?).map_err(Reason::LogAddress)?);
            }
            Self::RedisKey(field) => *field(settings) = parse::redis_key(one(given)?)?,
            Self::Directory(field) => *field(settings) = Some(parse::directory(one(given)?)?),
            Self::Filter(field) => *field(settings) = parse::filter(one(given)?)?,
            Self::Format(field) => *field(settings) = parse::format(one(given)?)?,
        }
        Ok(())
    }

    /// Checks the value in the field, as `set` checks a new one. Values whose type excludes wrong
    /// ones pass.
    ///
    /// # Errors
    /// [`Reason`].
    pub(super) fn check(&self, settings: &mut Settings) -> Result<(), Reason> {
        let number =
            |bounds: &Bounds<u64>, number: usize| parse::within(number as u64, 0, bounds).map(drop);
        let time = |bounds: &Bounds<Duration>, time: Duration| {
            parse::within(time, Duration::ZERO, bounds).map(drop)
        };
        match self {
            Self::Count(bounds, field) | Self::Bytes(bounds, field) => {
                number(bounds, *field(settings))
            }
            Self::Time(bounds, field) => time(bounds, *field(settings)),
            Self::OptionalTime(bounds, field) => {
                field(settings).map_or(Ok(()), |value| time(bounds, value))
            }
            Self::Rules(field) => parse::check_rules(field(settings)),
            Self::Password(field) => match field(settings) {
                Some(password) => credentials::password(password.expose()).map(drop),
                None => Ok(()),
            },
            Self::Users(field) => credentials::check_users(field(settings)),
            Self::Channels(field) => parse::check_channels(field(settings)),
            Self::ChannelTopics(field) => parse::check_channel_topics(field(settings)),
            Self::Keys(form, field) => form.check(field(settings).as_ref()),
            Self::Claim(field) => match field(settings) {
                Some(text) => key_source::claim(text).map(drop),
                None => Ok(()),
            },
            Self::CookieName(field) => key_source::cookie_name(field(settings)).map(drop),
            Self::RedisKey(field) => parse::redis_key(field(settings)).map(drop),
            Self::Directory(field) => match field(settings) {
                Some(path) => parse::check_directory(path),
                None => Ok(()),
            },
            Self::Address(_)
            | Self::Switch(_)
            | Self::Policy(_)
            | Self::Topics(_)
            | Self::Origins(_)
            | Self::Hosts(_)
            | Self::Networks(_)
            | Self::PasswordFile(_)
            | Self::Algorithm(_)
            | Self::TopicRules(_)
            | Self::LogAddress(_)
            | Self::Filter(_)
            | Self::Format(_) => Ok(()),
        }
    }

    /// The value in the field, in the form in which it could be given; for a secret only whether it
    /// is set.
    pub(super) fn show(&self, settings: &mut Settings) -> String {
        match self {
            Self::Address(field) => field(settings).to_string(),
            Self::Switch(field) => field(settings).to_string(),
            Self::Count(_, field) => field(settings).to_string(),
            Self::Bytes(_, field) => parse::show_bytes(*field(settings) as u64),
            Self::Time(_, field) => parse::show_time(*field(settings)),
            Self::OptionalTime(_, field) => {
                field(settings).map_or_else(|| parse::NONE.to_owned(), parse::show_time)
            }
            Self::Policy(field) => parse::show_policy(*field(settings)).to_owned(),
            Self::Rules(field) => list(field(settings).iter().map(parse::show_rule)),
            Self::Topics(field) => {
                list(field(settings).iter().map(|topic| topic.text().to_owned()))
            }
            Self::TopicRules(field) => list(field(settings).iter().map(TopicRule::to_string)),
            Self::Origins(field) => list(field(settings).iter().map(OriginPattern::to_string)),
            Self::Hosts(field) => list(field(settings).iter().map(HostPattern::to_string)),
            Self::Networks(field) => list(field(settings).iter().map(IpNet::to_string)),
            Self::Password(field) | Self::PasswordFile(field) => match field(settings) {
                Some(_) => "(hidden)".to_owned(),
                None => NOT_SET.to_owned(),
            },
            Self::Users(field) => list(field(settings).iter().map(|user| user.name.clone())),
            Self::Channels(field) => list(field(settings).iter().map(|one| one.text().to_owned())),
            Self::ChannelTopics(field) => list(field(settings).iter().map(ChannelTopic::to_string)),
            Self::Keys(form, field) => {
                let shown = form.show(field(settings).as_ref());
                shown.unwrap_or_else(|| NOT_SET.to_owned())
            }
            Self::Algorithm(field) => field(settings).map_or(NOT_SET, Algorithm::name).to_owned(),
            Self::Claim(field) => field(settings)
                .clone()
                .unwrap_or_else(|| NOT_SET.to_owned()),
            Self::Filter(field) => field(settings).to_string(),
            Self::CookieName(field) | Self::RedisKey(field) => field(settings).clone(),
            Self::LogAddress(field) => {
                let address = field(settings).as_ref();
                address.map_or_else(|| NOT_SET.to_owned(), Address::to_string)
            }
            Self::Directory(field) => {
                let path = field(settings).as_deref().map(Path::display);
                path.map_or_else(|| NOT_SET.to_owned(), |path| path.to_string())
            }
            Self::Format(field) => parse::show_format(*field(settings)).to_owned(),
        }
    }

    /// The allowed values, in words.
    pub(super) fn allowed(&self) -> String {
        match self {
            Self::Address(_) => {
                "an IP address and a port, such as 127.0.0.1:8080 or [::1]:8080".to_owned()
            }
            Self::Switch(_) => "true, false".to_owned(),
            Self::Count(bounds, _) => range(bounds, |n| n.to_string()),
            Self::Bytes(bounds, _) => range(bounds, parse::show_bytes),
            Self::Time(bounds, _) => range(bounds, parse::show_time),
            Self::OptionalTime(bounds, _) => {
                format!("{}, or {}", range(bounds, parse::show_time), parse::NONE)
            }
            Self::Policy(_) => parse::POLICIES.map(|(name, _)| name).join(", "),
            Self::Rules(_) => format!(
                "a list of prefix=policy, policy one of {}",
                parse::POLICIES.map(|(name, _)| name).join(", ")
            ),
            Self::Topics(_) => "a list of topics".to_owned(),
            Self::Origins(_) => {
                "a list of origins such as https://example.com, or * for any".to_owned()
            }
            Self::Hosts(_) => {
                "a list of host names without port, such as node.example.com or *.example.com, or * for any"
                    .to_owned()
            }
            Self::Networks(_) => {
                "a list of addresses and networks such as 10.0.0.0/8 or fd00::/8".to_owned()
            }
            Self::Password(_) => format!("1 to {} bytes of text", PASSWORD_BYTES_MAX),
            Self::PasswordFile(_) => format!(
                "a path to a file of 1 to {} bytes of text; line ends after it do not count",
                PASSWORD_BYTES_MAX
            ),
            Self::Users(_) => "a list of tables with name, password, publish; or \
                 name:password:glob,glob with `;` between users"
                .to_owned(),
            Self::Channels(_) => format!("a list of up to {CHANNELS_MAX} channels and patterns"),
            Self::ChannelTopics(_) => {
                format!("a list of up to {CHANNELS_MAX} times channel=topic or pattern=topic")
            }
            Self::Keys(form, _) => form.allowed(),
            Self::Algorithm(_) => key_source::algorithms(),
            Self::Claim(_) => format!("1 to {CLAIM_BYTES_MAX} bytes of text"),
            Self::TopicRules(_) => {
                "a list of topics or native patterns with claims in braces, such as user/{sub}"
                    .to_owned()
            }
            Self::CookieName(_) => "a name that a cookie can have".to_owned(),
            Self::LogAddress(_) => {
                "redis://user:password@host:port/database, several hosts with commas between them; rediss:// for TLS; redis+sentinel://host,host,host/service"
                    .to_owned()
            }
            Self::RedisKey(_) => format!("1 to {} bytes of text", parse::REDIS_KEY_BYTES_MAX),
            Self::Directory(_) => "a path to a directory".to_owned(),
            Self::Filter(_) => {
                format!(
                    "{}, or a list of target=level",
                    LOG_LEVELS.join(", ")
                )
            }
            Self::Format(_) => parse::FORMATS.map(|(name, _)| name).join(", "),
        }
    }

    /// The separator between the values of a list in one text; `None` if the setting is a single
    /// value.
    pub(super) fn separator(&self) -> Option<char> {
        match self {
            Self::Rules(_)
            | Self::Topics(_)
            | Self::TopicRules(_)
            | Self::Origins(_)
            | Self::Hosts(_)
            | Self::Networks(_)
            | Self::Channels(_)
            | Self::ChannelTopics(_) => Some(','),
            // The comma already separates the globs of one user.
            Self::Users(_) => Some(';'),
            _ => None,
        }
    }

    /// Whether the value must never be shown.
    pub(super) fn is_secret(&self) -> bool {
        matches!(
            self,
            Self::Password(_) | Self::Users(_) | Self::Keys(Form::Secret, _) | Self::LogAddress(_)
        )
    }

    /// Whether its flag alone means `true`.
    pub(super) fn is_switch(&self) -> bool {
        matches!(self, Self::Switch(_))
    }

    /// Word for the value in the usage of its flag.
    pub(super) fn placeholder(&self) -> &'static str {
        match self {
            Self::Address(_) => "ADDRESS",
            Self::Switch(_) => "BOOL",
            Self::Count(..) => "COUNT",
            Self::Bytes(..) => "BYTES",
            Self::Time(..) | Self::OptionalTime(..) => "TIME",
            Self::Policy(_) => "POLICY",
            Self::Rules(_) => "PREFIX=POLICY",
            Self::Topics(_) => "TOPIC",
            Self::Origins(_) => "ORIGIN",
            Self::Hosts(_) => "HOST",
            Self::Networks(_) => "NETWORK",
            Self::Password(_) => "PASSWORD",
            Self::PasswordFile(_) => "FILE",
            Self::Users(_) => "NAME:PASSWORD:GLOBS",
            Self::Channels(_) => "CHANNEL",
            Self::ChannelTopics(_) => "CHANNEL=TOPIC",
            Self::Keys(form, _) => form.placeholder(),
            Self::Algorithm(_) => "ALGORITHM",
            Self::Claim(_) => "TEXT",
            Self::TopicRules(_) => "RULE",
            Self::CookieName(_) => "NAME",
            Self::LogAddress(_) => "URL",
            Self::RedisKey(_) => "KEY",
            Self::Directory(_) => "DIRECTORY",
            Self::Filter(_) => "FILTER",
            Self::Format(_) => "FORMAT",
        }
    }
}

fn one(given: &Given) -> Result<&str, Reason> {
    match given {
        Given::One(text) => Ok(text),
        Given::Many(_) | Given::Users(_) => Err(Reason::List),
    }
}

fn many(given: &Given) -> Result<&[String], Reason> {
    match given {
        Given::Many(texts) => Ok(texts),
        Given::One(text) => Ok(std::slice::from_ref(text)),
        Given::Users(_) => Err(Reason::Table),
    }
}

fn list(values: impl Iterator<Item = String>) -> String {
    let values: Vec<String> = values.collect();
    if values.is_empty() {
        EMPTY.to_owned()
    } else {
        values.join(", ")
    }
}

fn range<T: Copy>(bounds: &Bounds<T>, show: impl Fn(T) -> String) -> String {
    let range = format!("{} to {}", show(bounds.min), show(bounds.max));
    match bounds.zero {
        Some(meaning) => format!("{range}, or 0: {meaning}"),
        None => range,
    }
}
